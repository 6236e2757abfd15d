/** The commands, each as a process of its own in a folder of its own: what they do, say and end with. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { connect } from "nats";
import * as assert from "uvu/assert";
import { startNatsServer } from "../../src/local/nats-server.ts";
import {
  type Command,
  type Ended,
  eventually,
  inFolder,
  latecomer,
  PROGRAM,
  startCommand,
  within,
} from "../helpers/cluster.ts";
import { isAlive } from "../helpers/script.ts";
import { describe } from "../helpers/suite.ts";
import { linesIn } from "../helpers/terminal.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures/production/", import.meta.url));
const DEMO_PICTURE = new URL("../../deploy/screenshots/demo.svg", import.meta.url);
const LOG = join(FIXTURES, "gateway_log_2026-01-08.jsonl");
/** Nothing listens there. */
const NOWHERE = "127.0.0.1:9";

function json(ended: Ended): Record<string, unknown> {
  assert.is(ended.code, 0, ended.err);
  return JSON.parse(ended.out);
}

/** A folder, and a nats-server that commands in it are told of. */
function withServer(use: (run: Run, natsUrl: string, cwd: string) => Promise<void>): Promise<void> {
  return inFolder(async (cwd) => {
    const nats = await startNatsServer({ folder: join(cwd, "server") });
    try {
      const env = { NATS_URL: nats.url };
      await use((...args) => latecomer(args, { cwd, env }), nats.url, cwd);
    } finally {
      await nats.kill();
    }
  });
}
type Run = (...args: string[]) => Promise<Ended>;

/** Runs each command with its environment; it must end with its code, and print nothing that is called hunter. */
async function endWithoutSecrets(cwd: string, cases: readonly [string[], Record<string, string>, number][]) {
  const ended = await Promise.all(cases.map(([args, env]) => latecomer(args, { cwd, env })));
  for (const [at, { code, out, err }] of ended.entries()) {
    const [args, , expected] = cases[at]!;
    assert.is(code, expected, `${args.join(" ")}: ${err}`);
    const printed = /hunter\d/.exec(out + err);
    assert.is(printed, null, `${args.join(" ")} prints ${printed?.[0]}`);
  }
}

async function streamsOf(natsUrl: string): Promise<{ name: string; max_age: number }[]> {
  const nc = await connect({ servers: natsUrl });
  try {
    const found = [];
    for await (const { config } of (await nc.jetstreamManager()).streams.list()) found.push(config);
    return found;
  } finally {
    await nc.close();
  }
}

describe("latecomer", (test) => {
  test("has --help, and tells its version", () =>
    inFolder(async (cwd) => {
      const help = await latecomer(["--help"], { cwd });
      assert.is(help.code, 0);
      assert.match(help.out, "Usage: latecomer");
      const version = await latecomer(["--version"], { cwd });
      const manifest = readFileSync(fileURLToPath(new URL("../../package.json", import.meta.url)), "utf8");
      assert.equal([version.code, version.out.trim()], [0, JSON.parse(manifest).version]);
      assert.equal(readdirSync(cwd), [], "asking leaves nothing behind");
    }));

  test("writes all of its output into a pipe, however slowly that is read, and ends quietly when nobody reads it", () =>
    inFolder(async (cwd) => {
      const shell = async (script: string) => {
        const child = spawn("sh", ["-c", script, ...PROGRAM], { cwd, stdio: ["ignore", "pipe", "pipe"] });
        const [out, err] = await within(script, Promise.all([text(child.stdout), text(child.stderr)]));
        return { out, err };
      };
      const whole = await shell('"$0" "$@" init --print --json > whole; cat whole');
      assert.ok(whole.out.length > 65_536, "more than a pipe holds");
      const piped = await shell('"$0" "$@" init --print --json | (sleep 2; cat)');
      assert.equal(piped, whole);
      const left = await shell('("$0" "$@" init --print; echo "ended with $?" >&2) | head -n 1');
      assert.is(left.err, "ended with 0\n");
      if (!existsSync("/dev/full")) return;
      const full = await shell('"$0" "$@" init --print > /dev/full; echo "ended with $?"');
      assert.is(full.out, "ended with 3\n");
      assert.match(full.err, /^latecomer: cannot write to standard output: ENOSPC.*\n$/);
    }));

  test("ends with 2 on wrong usage, and says what is wrong", () =>
    inFolder(async (cwd) => {
      const wrong: [string[], RegExp][] = [
        [["frobnicate"], /frobnicate/],
        [["run", "--frobnicate"], /--frobnicate/],
        [["run", "--batch-rows", "many"], /LATECOMER_BATCH_ROWS is "many", expected a whole number/],
        [["publish"], /file/],
        [["publish", LOG, "--duplicate", "2"], /"2" is no probability/],
        [["publish", LOG, "--shuffle-seed", "x"], /"x" is no whole number/],
        [["publish", join(cwd, "none.jsonl")], /cannot read .*none\.jsonl/],
        [["digest", "--from", "someday"], /"someday" is no time/],
        [["digest", "--from", "2026-11-31"], /there is no 2026-11-31/],
        [["export-fixtures", "--from", "2026-01-01", "--out", "fixtures"], /--to/],
        [["load-fixtures", cwd], /cannot read .*manifest\.json/],
      ];
      const ended = await Promise.all(wrong.map(([args]) => latecomer(args, { cwd })));
      for (const [at, { code, err, out }] of ended.entries()) {
        assert.is(code, 2, `${wrong[at]![0].join(" ")}: ${err}`);
        assert.match(err, wrong[at]![1]);
        assert.is(out, "");
      }
    }));

  test("ends with 2 on a seed that is no number, instead of showing another order than was asked for", () =>
    inFolder(async (cwd) => {
      const { code } = await latecomer(["demo", "--json", "--seed", "x"], { cwd });
      assert.is(code, 2);
    }));

  test("lists every problem of the configuration at once", () =>
    inFolder(async (cwd) => {
      const env = {
        NATS_URL: "http://somewhere",
        LATECOMER_TTL_BEFORE: "38h",
        LATECOMER_PARTITONS: "2",
        LATECOMER_LINGER: "soon",
      };
      const { code, err } = await latecomer(["run", "--batch-rows", "0"], { cwd, env });
      assert.is(code, 2);
      for (const name of [...Object.keys(env), "LATECOMER_BATCH_ROWS"]) assert.match(err, name);
    }));

  test("ends with 3 when a server does not answer, saying what to do, and never prints a secret", () =>
    inFolder(async (cwd) => {
      const env = {
        NATS_URL: `nats://user:hunter2@${NOWHERE},nats://hunter3@${NOWHERE}`,
        CLICKHOUSE_URL: `http://user:hunter4@${NOWHERE}`,
      };
      await endWithoutSecrets(cwd, [
        [["init"], env, 3],
        [["run", "--until-drained", "--json"], env, 3],
        [["publish", LOG], env, 3],
        [["digest"], env, 3],
        [["triage"], env, 3],
        [["doctor", "--json"], env, 1],
      ]);
      const { err } = await latecomer(["init"], { cwd, env });
      assert.match(err, /latecomer dev/);
    }));

  test("prints no secret that stands in the parameters of a URL", () =>
    inFolder((cwd) => {
      const env = { NATS_URL: `nats://${NOWHERE}`, CLICKHOUSE_URL: `http://${NOWHERE}/?access_token=hunter5` };
      return endWithoutSecrets(cwd, [[["run"], env, 3], [["doctor", "--json"], env, 1]]);
    }));

  test("prints no secret of a URL that lacks its scheme", () =>
    inFolder((cwd) => {
      const env = { NATS_URL: `user:hunter2@${NOWHERE}`, CLICKHOUSE_URL: `user:hunter3@${NOWHERE}` };
      return endWithoutSecrets(cwd, [[["run"], env, 2]]);
    }));

  test("prints no part of a password that has an @ in it", () =>
    inFolder((cwd) => {
      const env = { NATS_URL: `nats://user:p@hunter2@${NOWHERE}`, CLICKHOUSE_URL: `http://user:p@hunter3@${NOWHERE}` };
      return endWithoutSecrets(cwd, [[["run"], env, 3]]);
    }));
});

describe("latecomer init", (test) => {
  test("makes everything, changes nothing the second time, and shows what it would do", () =>
    withServer(async (run, natsUrl, cwd) => {
      const doctor = await run("doctor");
      assert.is(doctor.code, 1);
      assert.match(doctor.out, /latecomer init/);
      for (const args of [["digest"], ["triage"], ["cutover", "status"], ["run", "--until-drained"]]) {
        const { code, err } = await run(...args);
        assert.is(code, 3, `${args.join(" ")}: ${err}`);
        assert.match(err, /there is no .*\.latecomer\/clickhouse.*latecomer init/, args.join(" "));
      }
      const dry = json(await run("init", "--dry-run", "--json"));
      const actions = (report: Record<string, unknown>) => {
        return new Set((report.streams as { action: string }[]).map(({ action }) => action));
      };
      assert.equal([...actions(dry)], ["create"]);
      assert.equal(await streamsOf(natsUrl), [], "a dry run makes nothing");
      assert.ok((dry.migrations as string[]).includes("0001_raw"));
      assert.not.ok(existsSync(join(cwd, ".latecomer")), "nor did any of them make a folder");
      assert.is((await run("init")).code, 0);
      const before = await streamsOf(natsUrl);
      assert.equal(
        before.map(({ name }) => name).sort(),
        [
          ...["KV_capability_snapshots", "KV_checkpoints", "KV_leases", "KV_replay_sessions", "KV_replays"],
          ...["KV_unmatched_status", "KV_workflow_sessions"],
          ...["LIVEPEER_DIRTY_MINUTES", "LIVEPEER_DLQ", "LIVEPEER_EVENTS"],
        ],
      );
      const again = json(await run("init", "--json"));
      assert.equal([...actions(again)], ["keep"]);
      assert.equal(again.migrations, []);
      assert.is(again.generation, 1);
      assert.equal(await streamsOf(natsUrl), before);
      const sound = await run("doctor");
      assert.is(sound.code, 0, sound.out);
      assert.ok(Array.isArray(json(await run("doctor", "--json")).findings));

      const narrow = await run("init", "--dry-run", "--stream-retention", "1d");
      assert.is(narrow.code, 2, "as without --dry-run");
      assert.match(narrow.err, /--force/);
      assert.match(narrow.out, /max_age: 604800000000000 → 86400000000000|7d → 1d/);
      const refused = await run("init", "--stream-retention", "1d");
      assert.is(refused.code, 2, refused.err);
      assert.match(refused.err, /--force/);
      assert.equal(await streamsOf(natsUrl), before, "neither changed anything");
      assert.is((await run("init", "--stream-retention", "1d", "--force")).code, 0);
      const after = await streamsOf(natsUrl);
      assert.is(after.find(({ name }) => name === "LIVEPEER_EVENTS")!.max_age, 86_400_000_000_000);

      const mixed = await run("run", "--until-drained", "--ttl-before", "1h");
      assert.not.equal(mixed.code, 0, "rows of other settings are not mixed in");
      assert.match(mixed.err, /--raise-generation/);
      const raised = json(
        await run("init", "--json", "--stream-retention", "1d", "--ttl-before", "1h", "--raise-generation"),
      );
      assert.is(raised.generation, 2);
      assert.is((await run("run", "--until-drained", "--ttl-before", "1h")).code, 0);
      assert.ok(existsSync(join(cwd, ".latecomer", "clickhouse")), "the embedded engine's folder is the default one");
    }));
});

describe("latecomer init --json", (test) => {
  test("prints one document also when the settings are not those of the generation", () =>
    withServer(async (run) => {
      assert.is((await run("init")).code, 0);
      const other = await run("init", "--json", "--ttl-before", "1h");
      assert.is(other.code, 0, other.err);
      assert.type(JSON.parse(other.out), "object");
    }));
});

describe("latecomer publish, run and digest", (test) => {
  test("give one digest for one content, in order and shuffled with duplicates", () =>
    withServer(async (run, _url, cwd) => {
      assert.is((await run("init")).code, 0);
      const published = json(await run("publish", LOG, "--source", "orderly", "--json"));
      assert.equal(published, { published: 65, source: "orderly" });
      const [shuffled, same] = await Promise.all(["one", "two"].map(async (source) => {
        const flags = ["--source", source, "--shuffle-seed", "5", "--duplicate", "0.3", "--rate", "1000"];
        return json(await run("publish", LOG, ...flags, "--json")).published as number;
      }));
      assert.ok(shuffled! > 65 && shuffled! < 100);
      assert.is(same, shuffled, "one seed, one order");
      const input = readFileSync(LOG, "utf8");
      const env = { NATS_URL: _url };
      const piped = await latecomer(["publish", "-", "--source", "piped"], { cwd, env, input });
      assert.match(piped.out, /published 65 messages/);
      const done = json(await run("run", "--until-drained", "--json"));
      const counts = done.counts as Record<string, number>;
      assert.is(counts.accepted, 4 * 65);
      assert.is(counts.duplicate, 2 * (shuffled! - 65));
      const found = [];
      for (const source of ["orderly", "one", "two", "piped"]) {
        const report = json(await run("digest", "--json", "--source", source));
        found.push(JSON.stringify(report.digests));
      }
      assert.is(new Set(found).size, 1, found.join("\n"));
      assert.match(found[0]!, '"rows":17');
      const window = ["--from", "2026-01-08T21:49:30Z", "--to", "1767909005608", "--source", "one", "--json"];
      const [part] = json(await run("digest", ...window)).digests as { rows: number }[];
      assert.is(part!.rows, 3, "[from, to) of event time: 21:49:35, :45 and :55");
      assert.match((await run("run", "--until-drained")).out, /open/);
    }));
});

describe("latecomer dev", (test) => {
  /** Runs with a `dev` in a folder; kills what is left of it. */
  const withDev = (use: (dev: Command, natsPid: number, cwd: string) => Promise<void>) =>
    inFolder(async (cwd) => {
      const dev = startCommand(["dev"], { cwd });
      let natsPid = 0;
      try {
        await eventually("dev announces itself", () => existsSync(join(cwd, ".latecomer", "dev.json")));
        natsPid = Number(readFileSync(join(cwd, ".latecomer", "nats", "nats-server.pid"), "utf8"));
        await use(dev, natsPid, cwd);
      } finally {
        dev.kill("SIGKILL");
        if (natsPid > 0 && isAlive(natsPid)) process.kill(natsPid, "SIGKILL");
      }
    });

  test("serves the other commands without any configuration, refuses a second one, and leaves nothing behind", () =>
    withDev(async (dev, natsPid, cwd) => {
      const run: Run = (...args) => latecomer(args, { cwd });
      const announced = JSON.parse(readFileSync(join(cwd, ".latecomer", "dev.json"), "utf8"));
      assert.is(announced.pid, dev.pid);
      const [second, doctor] = await Promise.all([run("dev"), run("doctor")]);
      assert.is(second.code, 3, second.err);
      assert.match(second.err, String(dev.pid));
      assert.is(doctor.code, 0, doctor.out);
      assert.equal(
        (json(await run("init", "--json")).streams as { action: string }[]).filter(({ action }) => action !== "keep"),
        [],
      );
      assert.is((await run("publish", LOG, "--source", "org")).code, 0);
      assert.is((json(await run("run", "--until-drained", "--json")).counts as Record<string, number>).accepted, 65);
      const [digest] = json(await run("digest", "--json")).digests as { rows: number }[];
      assert.is(digest!.rows, 17);
      const held = await latecomer(["digest"], { cwd, env: { CLICKHOUSE_URL: "chdb:.latecomer/clickhouse" } });
      assert.is(held.code, 3, held.err);
      assert.match(held.err, String(dev.pid), "names who holds the folder");
      dev.kill("SIGTERM");
      const { code, err } = await dev.ended;
      assert.is(code, 0, err);
      assert.not.ok(existsSync(join(cwd, ".latecomer", "dev.json")));
      await eventually("nats-server has gone", () => !isAlive(natsPid), 5_000);
      const [kept] = json(await run("digest", "--json")).digests as { digest: string }[];
      assert.equal(kept, digest, "without it the commands open the folder themselves");
    }));

  test("ends with 3 and one line where it cannot write", () =>
    inFolder(async (cwd) => {
      writeFileSync(join(cwd, ".latecomer"), "a file");
      const { code, out, err } = await latecomer(["dev"], { cwd });
      assert.equal([code, out], [3, ""], err);
      assert.match(err, /^latecomer: the folder \S+nats of nats-server cannot be written: (ENOTDIR|EEXIST)[^\n]*\n$/);
      rmSync(join(cwd, ".latecomer"));
      mkdirSync(join(cwd, ".latecomer", "dev.json"), { recursive: true });
      const unannounced = await latecomer(["dev"], { cwd });
      assert.is(unannounced.code, 3, unannounced.err);
      assert.match(unannounced.err, /^latecomer: cannot write \S+dev\.json: EISDIR[^\n]*\n$/);
    }));

  test("ends with 3 when its nats-server does, with the end of its log, and lets the folder go", () =>
    withDev(async (dev, natsPid, cwd) => {
      process.kill(natsPid, "SIGKILL");
      const { code, err } = await within("dev ends", dev.ended, 20_000);
      assert.is(code, 3, err);
      assert.match(
        err,
        /^latecomer: nats-server on nats:\S+ has ended\. The last lines of its log:\n.*Server is ready/s,
      );
      assert.not.ok(existsSync(join(cwd, ".latecomer", "dev.json")));
      const digest = await latecomer(["digest"], { cwd });
      assert.is(digest.code, 0, digest.err);
    }));

  test("that was killed is not taken for a living one", () =>
    inFolder(async (cwd) => {
      mkdirSync(join(cwd, ".latecomer"));
      const stale = { pid: 2 ** 22 - 1, natsUrl: `nats://${NOWHERE}`, clickhouseUrl: `http://${NOWHERE}` };
      writeFileSync(join(cwd, ".latecomer", "dev.json"), JSON.stringify(stale));
      const { code, err } = await latecomer(["digest"], { cwd });
      assert.not.match(err, NOWHERE);
      assert.not.equal(code, 0, "no database was made yet");
    }));
});

describe("latecomer demo", (test) => {
  test("ends with equal digests and exactly seven corrected rows of 2026-01-08", () =>
    inFolder(async (cwd) => {
      const [plain, document] = await Promise.all([
        latecomer(["demo"], { cwd }),
        latecomer(["demo", "--json"], { cwd }),
      ]);
      assert.is(plain.code, 0, plain.err);
      const report = json(document) as {
        equal: boolean;
        digests: { inOrder: { rows: number; digest: string }[]; shuffled: { digest: string }[] };
        samples: { sampleTs: string; corrections: number; orchestrator: string }[];
      };
      assert.is(report.equal, true);
      assert.is(report.digests.inOrder[0]!.digest, report.digests.shuffled[0]!.digest);
      assert.is(report.digests.inOrder[0]!.rows, 28);
      const corrected = report.samples.filter(({ sampleTs, corrections }) =>
        sampleTs.startsWith("2026-01-08") && corrections > 0
      );
      assert.is(corrected.length, 7);
      assert.ok(corrected.every(({ orchestrator }) => orchestrator !== ""));
      assert.ok(plain.out.includes(report.digests.inOrder[0]!.digest), "both digests are printed");
      const pictured = linesIn(readFileSync(DEMO_PICTURE, "utf8")).join("\n");
      for (const { digest } of report.digests.inOrder) assert.match(pictured, digest, "npm run screenshot");
      assert.equal(readdirSync(cwd), [], "it works in a folder of its own");
    }));
});
