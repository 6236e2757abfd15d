/**
 * What every command promises: help, one JSON document, and a plain word and the right exit code where something is
 * missing. The commands are those of the program: one without a row here fails.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, request as ask } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import * as assert from "uvu/assert";
import { createProgram } from "../../src/cli/program.ts";
import { TIME_FORMS } from "../../src/cli/time.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { type Ended, GATEWAY_LOG, inFolder, withServedCluster } from "../helpers/cluster.ts";
import { environmentOf, wholeProgram } from "../helpers/command.ts";
import { STRESS } from "../helpers/stress.ts";
import { describe } from "../helpers/suite.ts";

const LOG = fileURLToPath(new URL(`../fixtures/production/${GATEWAY_LOG}`, import.meta.url));
const WINDOW = ["--from", "2026-01-08", "--to", "2026-01-09"];
/** Nothing can be written there: a part of the path is a file. */
const OUT = `${LOG}/fixtures`;
const NOWHERE = "127.0.0.1:9";
const AWAY = { NATS_URL: `nats://${NOWHERE}`, CLICKHOUSE_URL: `http://${NOWHERE}` };

/** How a call ends, and what it says of that on stderr; when it says nothing it has printed its document. */
type End = readonly [code: number, says?: RegExp];

interface Row {
  /** A call of it. */
  readonly call: readonly string[];
  /** What it ends with 3 without. */
  readonly needs: readonly ("nats" | "clickhouse")[];
  /** What is away is what it was asked for: it prints that, and ends with 1. */
  readonly reports?: true;
  /** How the call ends in an installation that holds nothing; none for what has servers of its own. */
  readonly empty?: End;
  /** Calls that name what is not there. */
  readonly unknown?: readonly (readonly [args: readonly string[], ...End])[];
}

const NO_REPLAY = /there is no replay "nobody"; `latecomer replay list` tells which/;
const NO_LETTER = /LIVEPEER_DLQ holds no letter 7; `latecomer dlq list` names those it holds/;
const NO_MESSAGES = /LIVEPEER_EVENTS holds no messages/;
const BOTH = ["nats", "clickhouse"] as const;

const ROWS: Readonly<Record<string, Row>> = {
  dev: { call: ["dev"], needs: [] },
  demo: { call: ["demo"], needs: [] },
  init: { call: ["init"], needs: BOTH, empty: [0] },
  run: { call: ["run", "--until-drained"], needs: BOTH, empty: [0] },
  rollup: { call: ["rollup", ...WINDOW], needs: ["clickhouse"], empty: [0] },
  replay: { call: ["replay", "--from-seq", "1"], needs: BOTH, empty: [2, NO_MESSAGES] },
  "replay list": { call: ["replay", "list"], needs: ["nats"], empty: [0] },
  "replay resume": {
    call: ["replay", "resume", "nobody"],
    needs: BOTH,
    empty: [2, NO_REPLAY],
    unknown: [[["replay", "resume", "nobody"], 2, NO_REPLAY]],
  },
  "replay drop": {
    call: ["replay", "drop", "nobody"],
    needs: BOTH,
    empty: [2, NO_REPLAY],
    unknown: [[["replay", "drop", "nobody"], 2, NO_REPLAY]],
  },
  digest: { call: ["digest"], needs: ["clickhouse"], empty: [0], unknown: [[["digest", "--source", "nobody"], 0]] },
  doctor: { call: ["doctor"], needs: BOTH, reports: true, empty: [0] },
  // Without NATS it tells what the tables know. An empty window lacks what an assertion expects.
  triage: { call: ["triage"], needs: ["clickhouse"], empty: [1] },
  verify: {
    call: ["verify"],
    needs: BOTH,
    empty: [2, NO_MESSAGES],
    unknown: [[["verify", "--from-seq", "9999"], 2, /9999/]],
  },
  "dlq list": { call: ["dlq", "list"], needs: BOTH, empty: [0], unknown: [[["dlq", "list", "--source", "nobody"], 0]] },
  "dlq show": {
    call: ["dlq", "show", "7"],
    needs: BOTH,
    empty: [2, NO_LETTER],
    unknown: [[["dlq", "show", "7"], 2, NO_LETTER]],
  },
  "dlq republish": {
    call: ["dlq", "republish", "--reason", "none"],
    needs: BOTH,
    empty: [0],
    unknown: [[["dlq", "republish", "--seq", "7"], 2, NO_LETTER]],
  },
  "cutover status": { call: ["cutover", "status"], needs: ["clickhouse"], empty: [0] },
  "cutover plan": { call: ["cutover", "plan"], needs: BOTH, empty: [0] },
  "cutover to": {
    call: ["cutover", "to", "latecomer"],
    needs: ["clickhouse"],
    empty: [0],
    unknown: [[["cutover", "to", "nobody"], 2, /"nobody" is no writer, expected mv or latecomer/]],
  },
  audit: {
    call: ["audit", "--schedules", "1"],
    needs: ["nats"],
    empty: [2, NO_MESSAGES],
    unknown: [[["audit", "--from-seq", "9999"], 2, /9999/]],
  },
  assert: {
    call: ["assert", "raw_typed"],
    needs: ["clickhouse"],
    empty: [1],
    unknown: [
      [["assert", "nobody"], 2, /no pack "nobody": there are raw_typed, /],
      [["assert", "raw_typed", "--junit", OUT], 2, /cannot write .*: ENOTDIR/],
    ],
  },
  "export-fixtures": {
    call: ["export-fixtures", ...WINDOW, "--out", OUT],
    needs: ["clickhouse"],
    empty: [1, /there is no session from 2026-01-08/],
    unknown: [
      [["export-fixtures", ...WINDOW, "--out", "nobody", "--source", "nobody"], 1, /no session of source nobody/],
      [["export-fixtures", ...WINDOW, "--out", OUT], 2, /cannot write fixtures to .*: ENOTDIR/],
    ],
  },
  explain: {
    call: ["explain", "nobody"],
    needs: BOTH,
    empty: [1, /no event and no session is called "nobody"/],
    unknown: [[["explain", "nobody"], 1, /no event and no session is called "nobody"/]],
  },
  "what-if": {
    call: ["what-if", "--ttl-before", "1h"],
    needs: ["nats"],
    empty: [2, NO_MESSAGES],
    unknown: [[["what-if", "--without-snapshot", "nobody"], 2, /no snapshot .* is called "nobody"/]],
  },
  "forget-source": {
    call: ["forget-source", "nobody"],
    needs: BOTH,
    empty: [0],
    unknown: [[["forget-source", "nobody", "--apply"], 0]],
  },
  // Behind the others: an installation that these have filled is not empty any more.
  publish: {
    call: ["publish", LOG],
    needs: ["nats"],
    empty: [0],
    unknown: [[["publish", "nobody.jsonl"], 2, /cannot read nobody\.jsonl/]],
  },
  simulate: { call: ["simulate", "--count", "10"], needs: ["nats"], empty: [0] },
  "load-fixtures": {
    call: ["load-fixtures", STRESS],
    needs: ["nats"],
    empty: [0],
    unknown: [[["load-fixtures", "nobody"], 2, /cannot read nobody\/manifest\.json/]],
  },
};

/** What does something, by the words that call it. */
function commandsOf(parent: Command, words: readonly string[] = []): Map<string, Command> {
  return new Map(parent.commands.flatMap((command) => {
    const name = [...words, command.name()];
    const own: [string, Command][] = isCallable(command) ? [[name.join(" "), command]] : [];
    return [...own, ...commandsOf(command, name)];
  }));
}

/** False for a command that only groups others. */
function isCallable({ commands, options }: Command): boolean {
  return commands.length === 0 || options.length > 0;
}

const PROGRAM = createProgram({
  env: {},
  takeSignal: () => new AbortController().signal,
  version: "",
  setExitCode: () => {},
});

/** Fails when a call says more than a person needs: a stack, or a password. */
function isPlain({ out, err }: Ended, what: string): void {
  assert.not.match(err, /\n +at /, what);
  assert.not.match(out + err, /hunter/, what);
}

/** Fails unless a call ended so; it says why, or prints one document. */
function endsSo(ended: Ended, [code, says]: End, what: string): void {
  isPlain(ended, what);
  assert.is(ended.code, code, `${what}: ${ended.out}${ended.err}`);
  if (says === undefined) assert.type(JSON.parse(ended.out), "object", what);
  else {
    assert.match(ended.err, says, what);
    assert.match(ended.err, /^latecomer: /, what);
    assert.is(ended.out, "", what);
  }
}

/** ClickHouse's HTTP interface for one user, in front of another that asks for no password. */
async function withPassword(target: string, use: (url: string, wrong: string) => Promise<void>): Promise<void> {
  const known = `Basic ${btoa("user:hunter1")}`;
  const server = createServer((request, response) => {
    if (request.headers.authorization !== known) {
      request.resume();
      response.writeHead(403, { "X-ClickHouse-Exception-Code": "516" });
      response.end("Code: 516. DB::Exception: user: Authentication failed. (AUTHENTICATION_FAILED)\n");
      return;
    }
    const { url, method, headers } = request;
    request.pipe(ask(`${target}${url}`, { method: method!, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await use(`http://user:hunter1@127.0.0.1:${port}`, `http://user:hunter2@127.0.0.1:${port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

interface Installation {
  readonly env: Readonly<Record<string, string>>;
  /** The same places with a password that is not theirs. */
  readonly wrong: { readonly NATS_URL: string; readonly CLICKHOUSE_URL: string };
}

/** An installation behind passwords. */
function withPasswords(use: (installation: Installation) => Promise<void>): Promise<void> {
  return withServedCluster(
    {},
    (cluster) =>
      withPassword(cluster.config.clickhouseUrl, async (CLICKHOUSE_URL, wrongUrl) => {
        const env = { ...environmentOf(cluster), CLICKHOUSE_URL, LATECOMER_TABLE_RETENTION: "none" };
        const wrong = { NATS_URL: cluster.nats.url.replace("hunter1", "hunter2"), CLICKHOUSE_URL: wrongUrl };
        await use({ env, wrong });
      }),
    {
      startNats: async (folder) => {
        const nats = await startNatsServer({ folder, configText: "authorization: { user: user, password: hunter1 }" });
        return { ...nats, url: nats.url.replace("//", "//user:hunter1@") };
      },
    },
  );
}

describe("every command", (test) => {
  test("is in the table of this test", () => {
    assert.equal([...commandsOf(PROGRAM).keys()].sort(), Object.keys(ROWS).sort());
  });

  test("has help and --json, and ends with 2 on a flag that it does not know", async () => {
    for (const [name, command] of commandsOf(PROGRAM)) {
      const words = name.split(" ");
      const help = await wholeProgram({}, [...words, "--help"]);
      assert.equal([help.code, help.err], [0, ""], name);
      assert.match(help.out, `Usage: latecomer ${name} `);
      assert.match(help.out.replace(/\s+/g, " "), command.description());
      assert.ok(command.options.some(({ long }) => long === "--json"), `${name} --json`);
      const wrong = await wholeProgram({}, [...ROWS[name]!.call, "--frobnicate"]);
      assert.equal([wrong.code, wrong.out], [2, ""], name);
      assert.match(wrong.err, "unknown option '--frobnicate'");
    }
  });

  test("takes times in one way, and no window that ends before it begins", async () => {
    const taking = new Set<string>();
    for (const [name, { options }] of commandsOf(PROGRAM)) {
      const flags = options.filter((option) => option.flags.endsWith("<time>") && option.long !== "--duration");
      for (const { description } of flags) assert.match(description, TIME_FORMS);
      if (!flags.some(({ long }) => long === "--to")) continue;
      taking.add(name);
      for (const from of ["2026-01-02", "2026-01-03"]) {
        const { code, out, err } = await wholeProgram({}, [...ROWS[name]!.call, "--from", from, "--to", "2026-01-02"]);
        assert.equal([code, out], [2, ""], `${name}: ${err}`);
        assert.match(err, /--from must be before --to/, name);
      }
    }
    assert.equal([...taking].sort(), ["assert", "digest", "dlq list", "export-fixtures", "rollup", "triage"]);
  });

  test("ends with 2 where it was told no place, before it looks for anything", async () => {
    for (const url of ["chdb:", "chdb: ", "chdb://"]) {
      const { code, out, err } = await wholeProgram({ CLICKHOUSE_URL: url }, ["digest"]);
      assert.equal([code, out], [2, ""], err);
      assert.match(
        err,
        `CLICKHOUSE_URL is "${url}", expected a URL that starts with http:// or https://, or chdb:<folder>`,
      );
    }
    const ofFile = await wholeProgram({ CLICKHOUSE_URL: `chdb:${LOG}` }, ["digest"]);
    assert.equal([ofFile.code, ofFile.out], [2, ""], ofFile.err);
    assert.match(ofFile.err, /expected chdb:<folder>: there is a file/);
  });

  test("ends with 2 on a writer that there is not, before it connects", async () => {
    const { code, out, err } = await wholeProgram(AWAY, ["cutover", "to", "nobody"]);
    assert.equal([code, out], [2, ""], err);
    assert.match(err, /"nobody" is no writer, expected mv or latecomer/);
  });

  test("ends with 2 on a file that it could not write, before it connects, and leaves one that it could as it is", () =>
    inFolder(async (folder) => {
      const [kept, fresh] = [join(folder, "kept"), join(folder, "fresh")];
      writeFileSync(kept, "before");
      for (const call of [["assert", "--junit"], ["triage", "--html"]]) {
        for (const [file, says] of [[OUT, "ENOTDIR"], [join(folder, "none", "file"), "ENOENT"], [folder, "EISDIR"]]) {
          const { code, out, err } = await wholeProgram(AWAY, [...call, file!]);
          assert.equal([code, out], [2, ""], `${call} ${says}: ${err}`);
          assert.match(err, `cannot write ${file}: ${says}`);
        }
        for (const file of [kept, fresh]) {
          const { code, err } = await wholeProgram(AWAY, [...call, file]);
          assert.is(code, 3, err);
        }
      }
      assert.is(readFileSync(kept, "utf8"), "before");
      assert.not.ok(existsSync(fresh));
    }));

  test("answers about an installation that is empty, and about what nobody knows", () =>
    withPasswords(async ({ env }) => {
      for (const [name, { call, empty }] of Object.entries(ROWS)) {
        if (empty !== undefined) endsSo(await wholeProgram(env, [...call, "--json"]), empty, `${name}, empty`);
      }
      assert.is((await wholeProgram(env, ["run", "--until-drained"])).code, 0);
      for (const { unknown = [] } of Object.values(ROWS)) {
        for (const [args, ...end] of unknown) {
          endsSo(await wholeProgram(env, [...args, "--json"]), end, args.join(" "));
        }
      }
    }));

  test("ends with 3 without what it needs, says what to do, and keeps passwords to itself", () =>
    inFolder((folder) =>
      withPasswords(async ({ env, wrong }) => {
        const bare = await startNatsServer({ folder: join(folder, "bare") });
        try {
          const lacks = (need: Row["needs"][number], more: Record<string, string>, says: RegExp) => ({
            need,
            more,
            says,
          });
          const refused = {
            nats: /refuses these credentials: check NATS_URL/,
            clickhouse: /credentials: check CLICKHOUSE_URL/,
          };
          const cases = [
            lacks("nats", { NATS_URL: `nats://user:hunter3@${NOWHERE}` }, /cannot connect to NATS .*`latecomer dev`/),
            lacks("nats", { NATS_URL: wrong.NATS_URL }, refused.nats),
            lacks("nats", { NATS_URL: bare.url }, /latecomer init/),
            lacks("clickhouse", { CLICKHOUSE_URL: `http://user:hunter3@${NOWHERE}` }, /ECONNREFUSED.*CLICKHOUSE_URL/),
            lacks("clickhouse", { CLICKHOUSE_URL: wrong.CLICKHOUSE_URL }, refused.clickhouse),
            lacks("clickhouse", { LATECOMER_DATABASE: "elsewhere" }, /latecomer init/),
          ];
          // There is something to look at, were it not for what is missing.
          assert.is((await wholeProgram(env, ROWS.publish!.call)).code, 0);
          for (const [name, { call, needs, reports }] of Object.entries(ROWS)) {
            for (const { need, more, says } of cases) {
              // What is to be made is not missing to who makes it.
              const makes = name === "init" && says.source === "latecomer init";
              if (!needs.includes(need) || makes) continue;
              const what = `${name} with ${JSON.stringify(more)}`;
              const ended = await wholeProgram({ ...env, ...more }, call);
              if (!reports) endsSo(ended, [3, says], what);
              else {
                isPlain(ended, what);
                assert.is(ended.code, 1, what);
                assert.match(ended.out.replace(/ +/g, " "), says, what);
              }
            }
          }
        } finally {
          await bare.kill();
        }
      })
    ));
});
