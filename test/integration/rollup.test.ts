/** The rollup with the real server and engine: whole minutes, recomputed, whoever asks and however often. */
import { nanos } from "nats";
import * as assert from "uvu/assert";
import { startRollup } from "../../src/cli/run.ts";
import { rollupDigest } from "../../src/clickhouse/digest.ts";
import { minutesWithin, openRollups } from "../../src/clickhouse/rollup.ts";
import { wholeMinutes } from "../../src/core/minute.ts";
import { openDirtyMinuteQueue, openDirtyMinutes } from "../../src/nats/dirty.ts";
import { seeded, shuffled, withDuplicates } from "../../src/runtime/shuffle.ts";
import { productionLoad } from "../bench/load.ts";
import {
  type Cluster,
  eventually,
  latecomer,
  pause,
  productionEvents,
  withCluster,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { at, type Key, sampleRow, SOURCE, type Tables, withTables } from "../helpers/serving.ts";
import { describe } from "../helpers/suite.ts";

const A: Key = { gateway: "g", orchestrator_address: "0xa", pipeline: "live", model_id: "m", gpu_id: "G1" };
const B: Key = { ...A, orchestrator_address: "0xb", gpu_id: "G2" };
const NOBODY: Key = { gateway: "g", orchestrator_address: "", pipeline: "", model_id: null, gpu_id: null };

const EVERYTHING = { fromMs: 0, toMs: 10_000_000_000_000 };

/** Every stored row of the rollup, byte for byte, but for when it was inserted. */
function bytesIn(tables: Tables): Promise<Record<string, unknown>[]> {
  return tables.rows(
    `SELECT window_start, orchestrator_address, finalizeAggregation(sessions_uniq_state) AS sessions,
            hex(CAST(output_fps_p95_state AS String)) AS p95, hex(CAST(fps_jitter_num_state AS String)) AS deviation,
            hex(CAST(output_fps_avg_state AS String)) AS mean, sessions.samples, sessions.active_samples,
            toString(version) AS version
     FROM agg_stream_performance_1m FINAL ORDER BY ALL`,
  );
}

/** Keys and samples of the minutes as they stand. */
async function standing(tables: Tables): Promise<string[]> {
  const rows = await tables.rows(
    `SELECT formatDateTime(window_start, '%H:%i') AS minute, orchestrator_address AS address,
            finalizeAggregation(sample_count_state) AS samples
     FROM agg_stream_performance_1m_current ORDER BY minute, address`,
  );
  return rows.map(({ minute, address, samples }) => `${minute} ${address} ${samples}`);
}

describe("a recomputed minute", (test) => {
  test("has the same bytes whoever recomputes it, in whatever order its samples lie", () =>
    withTables(async (tables) => {
      const samples = Array.from(
        { length: 500 },
        (_, n) =>
          sampleRow(`e${n}`, `s${n % 37}|r`, n % 3 === 0 ? B : A, at("10:00") + (n % 120) * 1_000, 1 / (n + 1), {
            version: String(n + 1),
          }),
      );
      await tables.write("fact_stream_status_samples", samples);
      await tables.rollup();
      const first = await bytesIn(tables);
      assert.is(first.length, 4);
      await tables.rollup();
      assert.equal(await bytesIn(tables), first);
      for (const table of ["fact_stream_status_samples", "agg_stream_performance_1m"]) {
        await tables.clickhouse.command(`TRUNCATE TABLE ${table}`);
      }
      const random = seeded(7);
      for (const part of [0, 1, 2, 3, 4]) {
        // In parts that overlap, each in an order of its own.
        const some = samples.filter((_, n) => n % 5 === part || random() < 0.2);
        await tables.write("fact_stream_status_samples", shuffled(some, random));
      }
      await tables.rollup();
      assert.equal(await bytesIn(tables), first);
    }));

  test("keeps no trace of a key that a correction has left, and has a version though nothing is left in it", () =>
    withTables(async (tables) => {
      await tables.write("fact_stream_status_samples", [
        sampleRow("e1", "s1|r", B, at("10:00:10"), 10),
        sampleRow("e2", "s1|r", A, at("10:00:20"), 20),
        sampleRow("e3", "s1|r", B, at("10:01:10"), 30),
        sampleRow("e4", "s1|r", NOBODY, at("10:02:10"), 30),
      ]);
      await tables.rollup();
      assert.equal(await standing(tables), ["10:00 0xa 1", "10:00 0xb 1", "10:01 0xb 1"]);
      await tables.write("fact_stream_status_samples", [
        sampleRow("e1", "s1|r", A, at("10:00:10"), 10, { version: "2" }),
        // A tombstone of a greater generation, with no evidence.
        sampleRow("e3", "s1|r", B, at("10:01:10"), 30, { version: String(2n << 116n), is_deleted: 1 }),
        sampleRow("e4", "s1|r", B, at("10:02:10"), 30, { version: "2" }),
      ]);
      await tables.rollup();
      assert.equal(await standing(tables), ["10:00 0xa 2", "10:02 0xb 1"]);
      const [left] = await tables.rows(
        `SELECT orchestrator_address AS address, finalizeAggregation(sample_count_state) AS samples,
                toString(version) AS version
         FROM agg_stream_performance_1m FINAL
         WHERE window_start = '2026-02-01 10:01:00' ORDER BY agg_stream_performance_1m.version DESC LIMIT 1`,
      );
      assert.equal(left, { address: "", samples: 0, version: String((2n << 116n) + 1n) });
      // What a slow worker read before the corrections comes last, and changes nothing.
      await tables.clickhouse.command(
        `INSERT INTO agg_stream_performance_1m SELECT * FROM agg_stream_performance_1m WHERE orchestrator_address = '0xb'`,
      );
      assert.equal(await standing(tables), ["10:00 0xa 2", "10:02 0xb 1"]);
    }));

  test("has a version that 128 bits would not hold", () =>
    withTables(async (tables) => {
      const greatest = (1n << 128n) - 1n;
      const rows = ["e1", "e2", "e3"].map((uid) =>
        sampleRow(uid, "s|r", A, at("10:00:01"), 1, { version: String(greatest) })
      );
      await tables.write("fact_stream_status_samples", rows);
      await tables.rollup();
      const [row] = await tables.rows("SELECT toString(version) AS version FROM agg_stream_performance_1m");
      assert.is(row!.version, String(3n * (greatest + 1n)));
    }));

  test("is found in any window that touches it, by source, and no other is recomputed", () =>
    withTables(async (tables) => {
      await tables.write("fact_stream_status_samples", [
        sampleRow("e1", "s|r", A, at("10:00:59"), 1),
        sampleRow("e2", "s|r", A, at("10:01:00"), 1),
        sampleRow("e3", "s|r", A, at("11:00:30"), 1),
        sampleRow("e1", "s|r", A, at("10:00:10"), 1, { source: "other" }),
      ]);
      const found = async (fromMs: number, toMs: number, source?: string) =>
        (await minutesWithin(tables.clickhouse, { source, ...wholeMinutes({ fromMs, toMs }) }))
          .map((one) => `${one.source} ${new Date(one.startMs).toISOString().slice(11, 16)}`);
      assert.equal(await found(at("10:00:59"), at("10:01"), SOURCE), [`${SOURCE} 10:00`]);
      assert.equal(await found(at("10:00:30"), at("10:00:31"), "other"), ["other 10:00"]);
      assert.equal(await found(at("10:00"), at("10:00:05"), SOURCE), [`${SOURCE} 10:00`], "its sample comes later");
      assert.equal(await found(at("10:02"), at("11:00"), SOURCE), []);
      assert.equal(await found(at("10:00"), at("11:00:31")), [
        `${SOURCE} 10:00`,
        `${SOURCE} 10:01`,
        `${SOURCE} 11:00`,
        "other 10:00",
      ]);
      const minutes = [{ source: SOURCE, startMs: at("10:01") }, { source: SOURCE, startMs: at("12:00") }];
      assert.is(await openRollups(tables.clickhouse).recompute(minutes), 1, "nothing is at twelve");
      assert.equal(await standing(tables), ["10:01 0xa 1"]);
    }));
});

describe("marks", (test) => {
  test("of one minute are one, in one hand at a time, and outlive the ack of the one that was in hand", () =>
    withCluster({}, async ({ nc }) => {
      const marks = openDirtyMinutes(nc);
      const [one, two] = [await openDirtyMinuteQueue(nc), await openDirtyMinuteQueue(nc)];
      assert.equal(await one.take(10), []);
      const minute = { source: "an org/ä", startMs: at("10:00") };
      await marks.mark([minute, minute, { source: "b", startMs: at("10:00") }]);
      await marks.mark([minute]);
      assert.is((await one.backlog()).pending, 2);
      const taken = [...await one.take(1), ...await two.take(10)];
      assert.equal(taken.map((mark) => mark.minute?.source), ["b", "an org/ä"]);
      assert.equal(taken[1]!.minute, minute);
      assert.equal(await two.take(10), [], "all are in hand");
      await marks.mark([minute]);
      for (const mark of taken) mark.finish();
      await eventually("finished", async () => (await one.backlog()).pending === 1);
      const [again] = await two.take(10);
      assert.equal(again?.minute, minute);
      nc.publish("dirty.x.no-minute", "");
      await eventually("marked", async () => (await one.backlog()).pending === 2);
      const [odd] = await one.take(10);
      assert.is(odd?.minute, undefined);
      odd!.finish();
      again!.finish();
      await eventually("finished", async () => (await one.backlog()).pending === 0);
      assert.is((await one.backlog()).oldestMs, 0);
    }));

  test("stay in hand for as long as they are worked on, and then go to whoever asks", () =>
    withCluster({}, async ({ nc, jsm }) => {
      const [one, two] = [await openDirtyMinuteQueue(nc), await openDirtyMinuteQueue(nc)];
      assert.equal(await one.take(1), []);
      await jsm.consumers.update("LIVEPEER_DIRTY_MINUTES", "rollup", { ack_wait: nanos(1_000) });
      await openDirtyMinutes(nc).mark([{ source: "org", startMs: at("10:00") }]);
      const [mark] = await one.take(1);
      for (const until = performance.now() + 3_000; performance.now() < until; await pause(100)) {
        mark!.working();
        assert.equal(await two.take(1), []);
      }
      await eventually("it is handed out again", async () => (await two.take(1)).length === 1);
    }));

  test("are taken on when the consumer was removed, and wait while the engine is away", () =>
    withCluster({}, async (cluster) => {
      const { nc, jsm, clickhouse, journal } = cluster;
      const worker = await startRollup(nc, clickhouse, journal);
      await openDirtyMinutes(nc).mark([{ source: "org", startMs: at("10:00") }]);
      await within("drained", worker.drained());
      await jsm.consumers.delete("LIVEPEER_DIRTY_MINUTES", "rollup");
      await openDirtyMinutes(nc).mark([{ source: "org", startMs: at("10:01") }]);
      await within("drained again", worker.drained());
      await within("stopped", worker.stop());
      assert.is(worker.counts.get("marks_finished"), 2);
    }));
});

/** Asserts that every minute stands as a recomputation of everything leaves it. */
async function isUpToDate(cluster: Cluster, source: string): Promise<number> {
  const digest = () => rollupDigest(cluster.clickhouse, cluster.config.database, { source });
  const found = await digest();
  await openRollups(cluster.clickhouse).recompute(await minutesWithin(cluster.clickhouse, EVERYTHING));
  assert.equal(await digest(), found);
  const [counted] = await cluster.rows<{ samples: string; rolled: string }>(
    `SELECT (SELECT count() FROM fact_stream_status_samples_current
             WHERE is_attributed AND source = {source:String}) AS samples,
            (SELECT countMerge(sample_count_state) FROM agg_stream_performance_1m_current
             WHERE source = {source:String}) AS rolled`,
    { source },
  );
  assert.is(counted!.rolled, counted!.samples);
  return found.rows;
}

describe("the role rollup", (test) => {
  test("ends the same for events in order and shuffled, corrections and all", () =>
    withCluster({ allowedLatenessMs: "60d", ttlBeforeMs: "37h", ttlAfterMs: "37h" }, async (cluster) => {
      const events = productionEvents();
      const random = seeded(3);
      const worker = await startRollup(cluster.nc, cluster.clickhouse, cluster.journal);
      const running = await cluster.start();
      await cluster.publish("in-order", events);
      await running.drained();
      for (const part of [shuffled(withDuplicates(events, 0.3, random), random)]) {
        for (let from = 0; from < part.length; from += 50) {
          await cluster.publish("shuffled", part.slice(from, from + 50));
          // Minutes are recomputed before all their rows are there, and again.
          await pause(20);
        }
      }
      await running.drained();
      await running.stop();
      await within("drained", worker.drained());
      await worker.stop();
      const digest = (source: string) => rollupDigest(cluster.clickhouse, cluster.config.database, { source });
      const { rows, ...one } = await digest("in-order");
      const { rows: others, ...other } = await digest("shuffled");
      assert.ok(rows > 0);
      assert.equal({ rows: others, ...other }, { rows, ...one });
      assert.is(await isUpToDate(cluster, "shuffled"), rows);
    }));

  test("two workers that race with two processors leave every minute as it must be", () =>
    withServedCluster({ partitions: "2", batchRows: "100", allowedLatenessMs: "10s" }, async (cluster) => {
      const workers = [];
      for (let n = 0; n < 2; n++) workers.push(await startRollup(cluster.nc, cluster.clickhouse, cluster.journal));
      // Two of one name: each takes the other's leases, and both read everything.
      const processors = [await cluster.start(), await cluster.start()];
      const load = productionLoad(3_000);
      for (let from = 0; from < load.length; from += 300) await cluster.publish("org", load.slice(from, from + 300));
      for (const running of processors) await running.drained();
      for (const running of processors) await running.stop();
      for (const worker of workers) await within("drained", worker.drained());
      for (const worker of workers) await worker.stop();
      const finished = workers.map(({ counts }) => counts.get("marks_finished") ?? 0);
      assert.ok(finished[0]! + finished[1]! > 2, "minutes were recomputed before all their rows were there");
      assert.ok(await isUpToDate(cluster, "org") > 0);
    }));

  test("is drained by `run --until-drained`, told by `doctor`, and done again by `rollup`, which changes nothing", () =>
    withServedCluster({}, async (cluster) => {
      const options = {
        cwd: cluster.folder,
        env: { NATS_URL: cluster.config.natsUrl, CLICKHOUSE_URL: cluster.config.clickhouseUrl },
      };
      await cluster.publish("org", productionEvents());
      const attributed = await latecomer(["run", "--until-drained", "--roles", "attribute", "--json"], options);
      assert.is(attributed.code, 0, attributed.err);
      assert.is(await cluster.count("SELECT count() FROM agg_stream_performance_1m"), 0);
      const { pending } = await (await openDirtyMinuteQueue(cluster.nc)).backlog();
      assert.ok(pending > 0);
      const doctor = await latecomer(["doctor"], options);
      assert.match(doctor.out, new RegExp(`${pending} minutes wait, the oldest for`));
      const rolled = await latecomer(["run", "--until-drained", "--roles", "rollup", "--json"], options);
      assert.is(rolled.code, 0, rolled.err);
      assert.is(JSON.parse(rolled.out).counts.marks_finished, pending);
      assert.is(await isUpToDate(cluster, "org") > 0, true);

      const digest = () => latecomer(["digest", "--source", "org", "--json"], options);
      const before = await digest();
      assert.is(JSON.parse(before.out).digests.at(-1).table, "agg_stream_performance_1m");
      await cluster.clickhouse.command("TRUNCATE TABLE agg_stream_performance_1m");
      const window = ["--from", "2026-01-01", "--to", "2026-12-31T00:00:00Z"];
      const elsewhere = await latecomer(["rollup", ...window, "--source", "nobody", "--json"], options);
      assert.is(JSON.parse(elsewhere.out).minutes, 0);
      for (const flags of [["--source", "org"], []]) {
        const again = await latecomer(["rollup", ...window, ...flags, "--json"], options);
        assert.is(again.code, 0, again.err);
        assert.is(JSON.parse(again.out).recomputed, pending);
        assert.is((await digest()).out, before.out);
      }
      const narrow = ["--from", "2026-01-08T00:00:30Z", "--to", "2026-01-08T00:01:30Z"];
      const { from, to } = JSON.parse((await latecomer(["rollup", ...narrow, "--json"], options)).out);
      assert.equal([from, to], [Date.parse("2026-01-08T00:00:00Z"), Date.parse("2026-01-08T00:02:00Z")]);
      const wrong = await latecomer(["rollup", "--from", "yesterday", "--to", "now"], options);
      assert.is(wrong.code, 2);
      const role = await latecomer(["run", "--roles", "attribute,everything"], options);
      assert.is(role.code, 2);
      assert.match(role.err, /LATECOMER_ROLES is "attribute,everything", expected some of attribute, rollup/);
    }));
});
