/** Who writes the facts: the runbook's way from the view to Latecomer and back, on real servers, and doubt and its end. */
import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import { registerCutover } from "../../src/cli/cutover.ts";
import { registerDoctor } from "../../src/cli/doctor.ts";
import { registerInit } from "../../src/cli/init.ts";
import { registerReplay } from "../../src/cli/replay.ts";
import { handOver } from "../../src/clickhouse/cutover.ts";
import { ShadowTables } from "../../src/clickhouse/shadow.ts";
import { HANDED_OVER_MS } from "../../src/clickhouse/sink.ts";
import { type FactWriter, factWriters, type Writer } from "../../src/clickhouse/writer.ts";
import { FACTS } from "../../src/core/facts.ts";
import type { LatecomerError } from "../../src/errors.ts";
import type { Clock } from "../../src/ports.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Cluster, type Ended, eventually, pause, withServedCluster } from "../helpers/cluster.ts";
import { bytesOf, MISSING, node, snapshot, status, type StatusFields } from "../helpers/events.ts";
import { inProcess } from "../helpers/command.ts";
import { type Json, json, options } from "../helpers/replay.ts";
import { describe } from "../helpers/suite.ts";

const RUNBOOK = readFileSync(new URL("../../deploy/RUNBOOK.md", import.meta.url), "utf8");
const FACT = "fact_stream_status_samples";
const VIEW = `mv_${FACT}`;
const T = Date.parse("2026-03-01T12:00:00Z");

/** The commands of a section of the runbook, without the word `latecomer`. */
function commandsOf(section: string): string[][] {
  const [, text] = RUNBOOK.split(new RegExp(`^### ${section}$`, "m"));
  const [, fence] = /^```sh\n(.*?)^```$/ms.exec(text!.split(/^##/m)[0]!)!;
  return fence!.trim().split("\n").map((line) => {
    const [name, ...args] = line.split(" ");
    assert.is(name, "latecomer", line);
    return args;
  });
}

/** Runs the commands of a section as they stand there, A from the plan; each must end with 0. */
async function follow(cluster: Cluster, section: string): Promise<void> {
  for (const args of commandsOf(section)) {
    const first = args.includes("A") ? String((await plan(cluster)).fromSeq) : "";
    const { code, out, err } = await command(cluster, ...args.map((arg) => arg === "A" ? first : arg));
    assert.is(code, 0, `${section}: ${args.join(" ")}\n${out}\n${err}`);
  }
}

const COMMANDS = { init: registerInit, cutover: registerCutover, replay: registerReplay, doctor: registerDoctor };

function command(cluster: Cluster, ...args: string[]): Promise<Ended> {
  // Tests have events older than the retention of a server.
  const env = { ...options(cluster).env, LATECOMER_LOG_LEVEL: "error", LATECOMER_TABLE_RETENTION: "none" };
  return inProcess(COMMANDS[args[0] as keyof typeof COMMANDS], env, args);
}

const cutover = (cluster: Cluster, ...args: string[]) => command(cluster, "cutover", ...args);
const plan = async (cluster: Cluster): Promise<Json> => json(await cutover(cluster, "plan", "--json"));

async function sample(cluster: Cluster, ...all: Partial<StatusFields>[]): Promise<void> {
  const wires = all.map((fields) => status({ at: T, model: "m", ...fields }));
  await cluster.publish("org", wires.map(({ envelope }) => bytesOf(envelope)));
}

async function knows(cluster: Cluster, canonical: string, hot: string, url: string): Promise<void> {
  const { envelope } = snapshot(T - 60_000, node(canonical, "m", ["gpu-1"], { hot, url }));
  await cluster.publish("org", [bytesOf(envelope)]);
}

interface Stands {
  readonly address: string;
  readonly model: string | null;
  readonly reason: string;
  readonly ofView: boolean;
}

/** How the samples stand, by id. */
async function samples(cluster: Cluster): Promise<Record<string, Stands>> {
  const rows = await cluster.facts("org");
  return Object.fromEntries(rows.map((row) => [row.source_event_id, {
    address: row.orchestrator_address as string,
    model: row.model_id as string | null,
    reason: row.unattributed_reason as string,
    ofView: row.version === "1",
  }]));
}

/** Every accepted sample has one row, whoever wrote it. */
async function noneMissing(cluster: Cluster): Promise<void> {
  const accepted = await cluster.count("SELECT uniqExact(source, raw_event_uid) FROM raw_ai_stream_status");
  const rows = await cluster.count(`SELECT count() FROM ${FACT}_current`);
  const events = await cluster.count(`SELECT uniqExact(source, source_event_uid) FROM ${FACT}_current`);
  assert.equal([rows, events], [accepted, accepted]);
}

/** Ids as they come, too: both writers must give a sample one key. */
const ODD: Partial<StatusFields>[] = [
  { id: "odd-1", stream: "  padded\t", request: "\u00a0\u2003wide\ufeff" },
  { id: "odd-2", stream: MISSING, request: "r~1" },
  { id: "odd-3", stream: "s|1", request: MISSING },
  { id: " odd-4~0123456789abcdef ", stream: MISSING, request: MISSING },
  { id: "", stream: MISSING, request: MISSING, at: T + 1 },
  { id: "ödd-6", stream: "strömung", request: "日本" },
];

describe("the runbook's cut-over", (test) => {
  test("goes from the view to Latecomer, mends what the view left empty, and goes back and forth again", () =>
    withServedCluster({ allowedLatenessMs: "10s" }, async (cluster) => {
      await follow(cluster, "Begin with the view");
      const running = await cluster.start();
      await knows(cluster, "0xa", "0xhot-a", "https://a:1");
      await running.drained();
      await sample(cluster, { id: "a1", wallet: "0xhot-a", url: "https://a:1" }, ...ODD);
      await sample(cluster, { id: "b1", wallet: "0xhot-b", url: "https://b:1" }, { id: "n1" });
      await running.drained();
      await knows(cluster, "0xb", "0xhot-b", "https://b:1");
      await running.drained();
      const byView = await samples(cluster);
      assert.equal(byView.a1, { address: "0xa", model: "m", reason: "", ofView: true });
      const empty = { address: "", model: null, reason: "no_snapshot", ofView: true };
      assert.equal([byView.b1, byView.n1], [empty, empty], "the view does not mend what came too late");
      await noneMissing(cluster);
      assert.is(running.processor.counts.get("rows_withheld")! >= 9, true);
      const said = () => cluster.journal.lines.filter(({ fields }) => fields.fact === FACT).map(({ level }) => level);
      assert.equal(said(), ["warn"], "however many rows are withheld");
      assert.is(await cluster.count("SELECT count() FROM fact_workflow_sessions_current") > 0, true);
      const before = await plan(cluster);
      assert.equal([before.rowsOfView, before.outOfReach, before.fromSeq], [9, 0, 1]);
      assert.equal(before.steps.map((step: Json) => step.isDone), [false, false, false, false, false]);

      await follow(cluster, "Cut over");
      assert.is(await cluster.count("SELECT count() FROM system.tables WHERE name = {VIEW:String}", { VIEW }), 0);
      await sample(cluster, { id: "a2", wallet: "0xhot-a", url: "https://a:1", at: T + 5_000 });
      await running.drained();
      const between = await samples(cluster);
      assert.equal(between.a2, { address: "0xa", model: "m", reason: "", ofView: false });
      assert.equal(between.b1, empty, "not before the back-fill");
      assert.equal(said(), ["warn", "info"]);

      await follow(cluster, "Back-fill");
      await running.drained();
      const mended = await samples(cluster);
      assert.equal(mended.b1, { address: "0xb", model: "m", reason: "", ofView: false });
      assert.equal(mended.n1, { address: "", model: null, reason: "no_orchestrator", ofView: false });
      assert.equal(Object.values(mended).filter(({ ofView }) => ofView), []);
      await noneMissing(cluster);
      const after = await plan(cluster);
      assert.equal(after.rowsOfView, 0);
      assert.equal(after.steps.map((step: Json) => step.isDone), [true, true, true, false, false]);

      const back = follow(cluster, "Roll back");
      for (let at = 0; at < 8; at++) {
        await sample(cluster, { id: `during-${at}`, wallet: "0xhot-a", url: "https://a:1", at: T + 10_000 + at });
        await pause(500);
      }
      await back;
      await sample(cluster, { id: "c1", wallet: "0xhot-c", url: "https://c:1", at: T + 20_000 });
      await running.drained();
      await knows(cluster, "0xc", "0xhot-c", "https://c:1");
      await running.drained();
      const rolled = await samples(cluster);
      assert.equal(rolled.c1, empty, "as it was before");
      assert.equal(rolled.b1, mended.b1, "what Latecomer wrote stays");
      await noneMissing(cluster);
      assert.is(Object.values(rolled).filter(({ address, ofView }) => address === "0xa" && ofView).length > 0, true);

      await follow(cluster, "Cut over");
      await follow(cluster, "Back-fill");
      await running.drained();
      assert.equal((await samples(cluster)).c1, { address: "0xc", model: "m", reason: "", ofView: false });
      await noneMissing(cluster);
      await running.stop();
    }));
});

describe("the writer of a fact", (test) => {
  test("is Latecomer after init, for every fact, and the commands say so", () =>
    withServedCluster({}, async (cluster) => {
      const { writers } = json(await cutover(cluster, "status", "--json"));
      assert.equal(writers.map((one: Json) => one.fact), FACTS.map(({ table }) => table));
      for (const { writer, views, why } of writers) assert.equal([writer, views, why], ["latecomer", [], null]);
      assert.match((await cutover(cluster, "to", "latecomer")).out, "latecomer is the writer already");
      assert.is((await cutover(cluster, "to", "nobody")).code, 2);
      const shown = await cutover(cluster, "plan");
      for (const command of ["cutover to latecomer   (done)", "replay --from-seq 1 --backfill", "cutover to mv"]) {
        assert.ok(shown.out.includes(`latecomer ${command}`), shown.out);
      }
    }));

  test("that is in doubt is told, refused both ways with what mends it, and mended by that", () =>
    withServedCluster({}, async (cluster) => {
      const { clickhouse } = cluster;
      const says = (fact: string, writer: string) =>
        clickhouse.command(
          "INSERT INTO attribution_writer SELECT {fact:String}, {writer:String}, now64(3) + INTERVAL 1 HOUR",
          { fact, writer },
        );
      const cases: [string, () => Promise<void>, RegExp][] = [
        ["a view beside Latecomer", () =>
          clickhouse.command(
            `CREATE MATERIALIZED VIEW \`by-hand\` TO ${FACT} AS SELECT source FROM raw_ai_stream_status`,
          ), /latecomer's, and livepeer_analytics\.`by-hand` writes it too/],
        ["a view that is not there", () => says(FACT, "mv"), /a view that is not there/],
        ["a fact no view can write", () => says("fact_workflow_sessions", "mv"), /there is none for it/],
        ["no row", () => clickhouse.command("TRUNCATE TABLE attribution_writer"), /has no row of it/],
        ["an unknown writer", () => says(FACT, "somebody"), /its writer is "somebody"/],
      ];
      for (const [claim, corrupt, why] of cases) {
        await corrupt();
        const told = json(await cutover(cluster, "status", "--json"), 1).writers.filter((one: Json) =>
          one.why !== null
        );
        assert.match(told[0].why, why, claim);
        for (const to of ["mv", "latecomer"]) {
          const refused = await cutover(cluster, "to", to);
          assert.is(refused.code, 2, claim);
          assert.match(refused.err, why);
          assert.ok(refused.err.includes(told[0].fix), refused.err);
        }
        assert.is((await cutover(cluster, "plan")).code, 1);
        const examined = json(await command(cluster, "doctor", "--json"));
        const finding = examined.findings.find((one: Json) => one.check === "writer of the facts");
        assert.equal([finding.state, finding.fix], ["warning", told[0].fix], claim);
        assert.match(finding.detail, why);
        const { code, err } = await command(cluster, ...told[0].fix.split(" ").slice(1));
        assert.is(code, 0, `${claim}: ${err}`);
        assert.is((await cutover(cluster, "status")).code, 0, claim);
      }
      assert.is((await cutover(cluster, "to", "latecomer")).code, 0);
    }));

  test("changes before the processors are waited for, the view is there only after, and an interruption leaves nobody", () =>
    withServedCluster({}, async ({ clickhouse, config: { database } }) => {
      const stands = async () => {
        const [{ writer, views, doubt }] = await factWriters(clickhouse, database) as [FactWriter];
        return { writer, views, fix: doubt?.fix };
      };
      const waits: unknown[] = [];
      const clock: Clock = { ...systemClock, sleep: async (ms) => void waits.push([ms, await stands()]) };
      const go = (to: Writer, force = false, signal = new AbortController().signal) =>
        handOver(clickhouse, database, { to, force }, clock, signal);
      const nobody = { writer: "mv", views: [], fix: "latecomer cutover to mv --force" };
      const mv = { writer: "mv", views: [`${database}.${VIEW}`], fix: undefined };
      const ours = { writer: "latecomer", views: [], fix: undefined };
      await go("mv");
      assert.equal(await stands(), mv);
      assert.equal(await go("mv"), [], "it is so already");
      assert.is((await go("mv", true)).length, 3, "all of it again");
      await go("latecomer");
      assert.equal(await stands(), ours);
      assert.equal(waits, [nobody, nobody, ours].map((then) => [HANDED_OVER_MS, then]));
      const code = await go("mv", false, AbortSignal.abort()).catch((error: LatecomerError) => error.code);
      assert.equal([code, await stands()], ["INTERRUPTED", nobody]);
      await go("mv", true);
      assert.equal(await stands(), mv);
    }));

  test("is who a back-fill needs to be, before its work and before it copies; a shadow needs nothing", () =>
    withServedCluster({ allowedLatenessMs: "10s" }, async (cluster) => {
      await knows(cluster, "0xa", "0xhot-a", "https://a:1");
      await sample(cluster, { id: "a1", wallet: "0xhot-a", url: "https://a:1" });
      await cluster.process();
      await eventually("leases gone", async () => (await cluster.keys("leases")).length === 0);
      json(await cutover(cluster, "to", "mv", "--json"));
      const refused = await command(cluster, "replay", "--from-seq", "1", "--backfill");
      assert.is(refused.code, 2, refused.err);
      assert.match(refused.err, `may not write ${FACT}: it is written by mv; latecomer cutover to latecomer`);
      assert.equal(await cluster.keys("replays"), []);
      json(await command(cluster, "replay", "--from-seq", "1", "--compare", "--json"));
      const shadow = new ShadowTables(cluster.clickhouse, cluster.config.database, "late", { fromSeq: 1, toSeq: 2 });
      await shadow.create();
      const copied = await shadow.apply(2).catch((error: { code: string }) => error.code);
      assert.is(copied, "NOT_THE_WRITER");
    }));
});
