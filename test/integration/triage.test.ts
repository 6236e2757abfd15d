/** `latecomer triage` on real servers: what it finds in the stress scenario, and what it says when it cannot ask. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { corrections } from "../../src/triage/corrections.ts";
import { encode, withCluster, withServedCluster } from "../helpers/cluster.ts";
import { EVENTS, UNKNOWN_SESSION, WITHHELD } from "../helpers/stress.ts";
import { describe } from "../helpers/suite.ts";
import { bytesOf, statusWire } from "../helpers/wire.ts";
import { settle, triageCommand, triageJson } from "../helpers/triage.ts";

const WALLET = "0x3333333333333333333333333333333333333333";
const NODE = "https://node-c.example:8935";
const MODEL = "streamdiffusion-sdxl-v2v";
const CANONICAL = "0xcccccccccccccccccccccccccccccccccccccccc";
const NOWHERE = "127.0.0.1:9";

/** No JSON, and an event whose time cannot be read. */
const REFUSED = ["{", '{"id":"late","type":"stream_trace","timestamp":"soon","data":{}}'].map(encode);

const SCRIPT = "<script>alert(1)</script>";
/** A sample that would be a script where its session or its orchestrator is written down as it is. */
const HOSTILE = statusWire({
  stream_id: SCRIPT,
  request_id: "it's",
  orchestrator_info: { address: SCRIPT, url: `https://${SCRIPT}` },
});

describe("latecomer triage", (test) => {
  test("names the wallet and the session of a withheld snapshot, and shows how they heal when it comes", () =>
    withServedCluster({}, async (cluster) => {
      // Versions that were replaced must still be there to be counted.
      await cluster.clickhouse.command("SYSTEM STOP MERGES fact_stream_status_samples");
      await settle(cluster, "org", EVENTS);
      const sick = await triageJson(cluster);
      assert.is(sick.code, 1);
      const { found } = sick;
      assert.ok(found.lag.checks.length >= 3 && found.lag.checks.every(({ state }) => state === "ok"));
      assert.equal(
        found.findings.filter(({ state }) => state === "failed").map((
          { name, file, commands },
        ) => [name, file, commands]),
        ["silver_empty_key_rate", "session_attribution_proportions"].map((name) => [
          name,
          "test/integration/sql/assertions_pipeline.sql",
          [`latecomer explain --source org -- '${UNKNOWN_SESSION}'`],
        ]),
      );
      assert.equal(
        found.offenders.map(({ kind, name, samples, edges, sessions, reasons, exampleSession }) => [
          ...[kind, name, samples, edges, sessions, reasons, exampleSession],
        ]),
        [
          ["model", MODEL, 2, 0, 1, { no_snapshot: 2 }, UNKNOWN_SESSION],
          ["url", NODE, 2, 3, 1, { no_snapshot: 5 }, UNKNOWN_SESSION],
          ["wallet", WALLET, 2, 3, 1, { no_snapshot: 5 }, UNKNOWN_SESSION],
        ],
      );
      assert.equal(
        found.sessions.map((
          { source, session, samples, edges, wallets },
        ) => [source, session, samples, edges, wallets]),
        [["org", UNKNOWN_SESSION, 2, 3, [WALLET]]],
      );
      assert.equal(found.rates, [
        { fact: "fact_stream_status_samples", attributable: 11, unattributed: 2 },
        { fact: "fact_stream_trace_edges", attributable: 18, unattributed: 3 },
        { fact: "fact_workflow_sessions", attributable: 5, unattributed: 1 },
      ]);
      const start = Date.UTC(2026, 1, 25, 20);
      assert.equal(found.history.buckets[0], { atMs: start, attributed: 0, unattributed: { no_snapshot: 2 } });
      assert.is(found.history.buckets.reduce((sum, { attributed }) => sum + attributed, 0), 9);
      // A snapshot between the samples of a session comes after some of them.
      assert.not.ok(found.late.healed.some(({ session }) => session === UNKNOWN_SESSION));

      await settle(cluster, "org", WITHHELD);
      // Without NATS the tables tell the same, and only that is not known which the exit code says.
      const healed = await triageJson(cluster, [], { NATS_URL: `nats://${NOWHERE}` });
      assert.is(healed.code, 3, JSON.stringify(healed.found.findings));
      assert.ok(healed.found.sound);
      assert.match(healed.found.lag.unknown, "cannot connect to NATS");
      assert.equal([healed.found.offenders, healed.found.sessions], [[], []]);
      assert.ok(healed.found.rates.every(({ unattributed }) => unattributed === 0));
      assert.is(healed.found.late.rows, found.late.rows + 5);
      const { session, rows, orchestrator, model, gpu } = healed.found.late.healed[0]!;
      assert.equal([session, rows, orchestrator, model, gpu], [UNKNOWN_SESSION, 5, CANONICAL, MODEL, "GPU-c"]);
      const samples = healed.found.corrections.find(({ fact }) => fact === "fact_stream_status_samples")!;
      assert.ok(samples.healed >= 2 && samples.healed <= samples.rows, JSON.stringify(samples));
      assert.ok(samples.delay!.mostMs >= healed.found.late.wait!.mostMs / 2, "the correction came after its snapshot");
    }));

  test("looks at one source alone, lists what was refused, and says which partition is behind and read by nobody", () =>
    withServedCluster({}, async (cluster) => {
      await settle(cluster, "org", [...EVENTS, ...WITHHELD]);
      await settle(cluster, "lab", [...EVENTS, ...REFUSED, bytesOf(HOSTILE)]);
      await cluster.publish("org", [EVENTS[0]!]);
      const now = ["--to", new Date(Date.now() + 3_600_000).toISOString()];
      const page = join(cluster.folder, "triage.html");
      const { code, found } = await triageJson(cluster, ["--source", "lab", ...now, "--html", page]);
      assert.is(code, 1);
      assert.equal(found.sessions.map(({ source, session }) => [source, session]), [
        ["lab", UNKNOWN_SESSION],
        ["lab", `${SCRIPT}|it's`],
      ]);
      assert.is(found.rates[0]!.attributable, 12);
      const written = readFileSync(page, "utf8");
      assert.is(written.match(/<script/g)?.length, 1, "names that events give are no markup");
      assert.match(
        written,
        "latecomer explain --source lab -- &#39;&lt;script&gt;alert(1)&lt;/script&gt;|it&#39;\\&#39;&#39;s&#39;",
      );
      assert.equal([...new Set(found.freshness.map(({ source }) => source))], ["lab"]);
      assert.equal(found.refused.map(({ reason, letters }) => [reason, letters]).sort(), [
        ["json_parse_error", 1],
        ["missing_timestamp", 1],
      ]);
      const behind = found.findings.find(({ name }) => name.startsWith("partition"))!;
      assert.equal([behind.state, behind.commands], ["failed", ["latecomer run"]]);
    }));

  test("counts as a correction a row of more evidence, not one of a raised generation or one that is written again", () =>
    withCluster({}, async ({ clickhouse }) => {
      await clickhouse.command("SYSTEM STOP MERGES fact_stream_status_samples");
      const start = Date.UTC(2026, 1, 25);
      const write = (uid: string, generation: bigint, evidence: bigint, reason: string, afterMs: number) =>
        clickhouse.command(
          `INSERT INTO fact_stream_status_samples
             (source, source_event_uid, sample_ts, unattributed_reason, version, ingestion_timestamp)
           VALUES ('org', {uid:String}, fromUnixTimestamp64Milli({start:Int64}), {reason:String}, {version:UInt128},
             fromUnixTimestamp64Milli({written:Int64}))`,
          { uid, reason, start, version: String((generation << 116n) + evidence), written: start + afterMs },
        );
      await write("healed", 1n, 1n, "no_snapshot", 0);
      await write("healed", 1n, 5n, "", 10_000);
      await write("healed", 1n, 5n, "", 100_000);
      await write("improved", 1n, 1n, "no_orchestrator", 0);
      await write("improved", 1n, 2n, "", 20_000);
      await write("raised", 1n, 5n, "", 0);
      await write("raised", 2n, 5n, "", 60_000);
      await write("repeated", 1n, 3n, "", 0);
      await write("repeated", 1n, 3n, "", 5_000);
      const found = await corrections(clickhouse, { source: "org", fromMs: start, toMs: start + 1 });
      assert.equal(found[0], {
        fact: "fact_stream_status_samples",
        rows: 4,
        corrected: 2,
        healed: 1,
        delay: { medianMs: 20_000, p95Ms: 20_000, mostMs: 20_000 },
      });
      assert.is((await corrections(clickhouse, { source: "lab", fromMs: start, toMs: start + 1 }))[0]!.rows, 0);
      assert.is((await corrections(clickhouse, { source: "org", fromMs: 0, toMs: start }))[0]!.rows, 0);
    }));

  test("says of an empty database that it is empty, and what is wrong where it cannot ask or was asked wrongly", () =>
    withServedCluster({}, async (cluster) => {
      const empty = await triageCommand(cluster);
      assert.is(empty.code, 1);
      assert.is(empty.out.split("The window has no samples, edges or sessions.").length, 2, "it is said once");
      assert.match(empty.out, "failed: raw_typed_network_capabilities_expected_in_window");
      const away = await triageCommand(cluster, [], { CLICKHOUSE_URL: `http://${NOWHERE}` });
      assert.equal([away.code, away.out], [3, ""]);
      const nothing = await triageCommand(cluster, ["--database", "elsewhere"]);
      assert.equal([nothing.code, nothing.out], [3, ""]);
      assert.match(nothing.err, /Database elsewhere does not exist/);
      const backwards = await triageCommand(cluster, ["--to", "2026-02-24"]);
      assert.equal([backwards.code, backwards.out], [2, ""]);
    }));
});
