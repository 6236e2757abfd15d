/** `latecomer audit` on a real stream: what it reports, what it ends with, and that it leaves nothing behind. */
import { Command } from "commander";
import * as assert from "uvu/assert";
import { registerAudit } from "../../src/cli/audit.ts";
import { GATEWAY_LOG, inFolder, latecomer, productionEvents, withCluster } from "../helpers/cluster.ts";
import { DEFECTS, worldsWith } from "../helpers/defects.ts";
import { describe } from "../helpers/suite.ts";

/** How many facts events leave: each its own, an edge also its coverage, and each session one. */
function factsOf(events: readonly Uint8Array[]): number {
  const sessions = new Set<string>();
  let facts = 0;
  for (const bytes of events) {
    const { type, data } = JSON.parse(new TextDecoder().decode(bytes));
    if (type === "ai_stream_status" || type === "stream_ingest_metrics") facts++;
    if (type === "stream_trace") facts += 2;
    if (["ai_stream_status", "stream_trace", "ai_stream_events"].includes(type)) {
      sessions.add(`${data.stream_id}|${data.request_id}`);
    }
  }
  return facts + sessions.size;
}

/** Runs the command in this process on a core with a defect. */
async function auditDefect(natsUrl: string, name: string, ...args: string[]): Promise<{ code: number; out: string }> {
  let code = 0;
  const printed: string[] = [];
  const context = {
    env: { NATS_URL: natsUrl },
    takeSignal: () => new AbortController().signal,
    version: "",
    setExitCode: (exit: number) => code = exit,
  };
  const program = new Command().exitOverride();
  registerAudit(program, context, worldsWith(DEFECTS[name]!));
  const write = process.stdout.write;
  process.stdout.write = (text: string | Uint8Array) => printed.push(String(text)) > 0;
  try {
    await program.parseAsync(["audit", ...args], { from: "user" });
  } finally {
    process.stdout.write = write;
  }
  return { code, out: printed.join("") };
}

describe("latecomer audit", (test) => {
  test("reports what a defect makes differ, with the smallest schedule, and ends with 1", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("one", productionEvents());
      const { natsUrl } = cluster.config;
      for (const name of Object.keys(DEFECTS)) {
        const { code, out } = await auditDefect(natsUrl, name, "--json", "--schedules", "40");
        assert.is(code, 1, name);
        const { differences } = JSON.parse(out);
        assert.ok(differences.length > 0, name);
        const [{ source, source_event_uid, workflow_session_id, columns, minimal }] = differences;
        assert.equal([source, typeof source_event_uid], ["one", "string"]);
        for (const { column, inOrder, scheduled } of columns) assert.is.not(inOrder, scheduled, column);
        assert.ok(minimal.messages.length <= 4 && minimal.steps.length <= 8, JSON.stringify(minimal));
        if (name !== Object.keys(DEFECTS)[0]) continue;
        const text = await auditDefect(natsUrl, name, "--schedules", "40");
        assert.is(text.code, 1);
        assert.match(text.out, `${differences.length} rows differ from those in order:`);
        assert.match(text.out, `one ${source_event_uid || workflow_session_id} differs:`);
        for (const line of [...minimal.messages, ...minimal.steps]) assert.ok(text.out.includes(`  ${line}\n`), line);
      }
    }));

  test("finds no row that differs in production events, and touches nothing", () =>
    withCluster({}, async (cluster) => {
      const events = productionEvents(GATEWAY_LOG);
      await cluster.publish("one", events);
      await cluster.publish("two", [...events].reverse());
      const bad = new TextEncoder().encode("{");
      await cluster.nc.jetstream().publish("events.one.ai_stream_status.0", bad);
      const state = async () => {
        const streams = [];
        for await (const { config, state } of cluster.jsm.streams.list()) streams.push([config.name, state]);
        const consumers = [];
        for await (const { name } of cluster.jsm.consumers.list("LIVEPEER_EVENTS")) consumers.push(name);
        // How many consumers a stream has and when it was made are no content.
        return JSON.stringify([streams.sort(), consumers.sort()], (key, value) => key === "consumer_count" ? 0 : value);
      };
      const before = await state();
      const env = { NATS_URL: cluster.config.natsUrl, CLICKHOUSE_URL: "http://127.0.0.1:9" };
      const audit = (...args: string[]) => latecomer(["audit", ...args], { cwd: cluster.folder, env });

      const whole = await audit("--json", "--schedules", "12", "--seed", "5");
      assert.is(whole.code, 0, whole.err);
      const count = 2 * events.length + 1;
      const { allowedLatenessMs, rows, compared, ...told } = JSON.parse(whole.out);
      assert.equal(told, { fromSeq: 1, toSeq: count, messages: count, seed: 5, schedules: 12, differences: [] });
      assert.ok(allowedLatenessMs > 0);
      const expected = factsOf(events);
      assert.equal([rows, compared], [2 * expected, 12 * 2 * expected]);

      const part = await audit("--from-seq", "3", "--to-seq", "9", "--schedules", "3");
      assert.is(part.code, 0, part.err);
      assert.match(
        part.out,
        /^7 messages, sequences 3 to 9, allowed lateness \S+; 3 schedules from seed 1, \d+ rows each/,
      );
      assert.match(part.out, "Every schedule leaves the same rows.");
      assert.is(part.err, "");
      assert.is(await state(), before);
    }));

  test("refuses ranges and numbers that mean nothing, with exit 2, and says what is there", () =>
    withCluster({}, async (cluster) => {
      const run = (...args: string[]) =>
        latecomer(["audit", ...args], { cwd: cluster.folder, env: { NATS_URL: cluster.config.natsUrl } });
      const empty = await run();
      assert.is(empty.code, 2, empty.err);
      assert.match(empty.err, "LIVEPEER_EVENTS holds no messages");
      await cluster.publish("one", productionEvents(GATEWAY_LOG).slice(0, 5));
      const cases: [string[], RegExp][] = [
        [["--from-seq", "4", "--to-seq", "2"], /--from-seq 4 lies behind --to-seq 2/],
        [["--to-seq", "6"], /LIVEPEER_EVENTS holds 1 to 5/],
        [["--from-seq", "0"], /LIVEPEER_EVENTS holds 1 to 5/],
        [["--from-seq", "first"], /"first" is no whole number/],
        [["--schedules", "0"], /"0" is too few/],
        [["--ttl-before", "40h"], /LATECOMER_TTL_BEFORE is "40h"/],
      ];
      for (const [args, why] of cases) {
        const { code, out, err } = await run(...args);
        assert.equal([code, out], [2, ""], `${args.join(" ")}: ${err}`);
        assert.match(err, why);
      }
    }));

  test("ends with 3 when no server answers", () =>
    inFolder(async (cwd) => {
      const { code, err } = await latecomer(["audit"], { cwd, env: { NATS_URL: "nats://127.0.0.1:9" } });
      assert.is(code, 3, err);
    }));
});
