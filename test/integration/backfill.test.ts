/** Back-fills into live tables beside a running processor, and replays that are refused. */
import * as assert from "uvu/assert";
import { startRollup } from "../../src/cli/run.ts";
import { type Digest, rollupDigest } from "../../src/clickhouse/digest.ts";
import { minutesWithin, openRollups } from "../../src/clickhouse/rollup.ts";
import {
  type Cluster,
  type Command,
  eventually,
  latecomer,
  startCommand,
  withCluster,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { ensureGeneration } from "../../src/nats/generation.ts";
import type { ReplayRecord } from "../../src/replay/record.ts";
import { installation, interrupt, json, LOAD, options, progressOf, replay, SETTINGS } from "../helpers/replay.ts";
import { describe } from "../helpers/suite.ts";

/** The rollup's digest once no mark is left. */
async function rolledUp(cluster: Cluster): Promise<Digest> {
  const worker = await startRollup(cluster.nc, cluster.clickhouse, cluster.journal);
  await within("drained", worker.drained());
  await worker.stop();
  return await rollupDigest(cluster.clickhouse, cluster.config.database, { source: "org" });
}

describe("a back-fill", (test) => {
  test("raises the generation of a running processor, mends rows, buries what no event yields, and is folded by all", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      const running = await cluster.start();
      await cluster.publish("org", LOAD.slice(0, 1_500));
      await running.drained();
      const before = await cluster.facts("org");
      const rollup = await rolledUp(cluster);
      const [wrong, other] = before.filter((row) => row.is_attributed === 1);
      const columns = Object.keys(wrong!).filter((name) => name !== "sample_date").join(", ");
      // As an older version might have left them: a wrong row with more evidence, and one of another identity.
      await cluster.clickhouse.command(
        `INSERT INTO fact_stream_status_samples (source, ${columns})
         SELECT source, ${columns.replace(" model_id", " 'wrong'").replace(" version", " version + 1")}
         FROM fact_stream_status_samples FINAL WHERE source_event_uid = {uid:String}`,
        { uid: wrong!.source_event_uid },
      );
      await cluster.clickhouse.command(
        `INSERT INTO fact_stream_status_samples (source, ${columns})
         SELECT source, ${columns.replace("source_event_uid", "'of-an-older-version'")}
         FROM fact_stream_status_samples FINAL WHERE source_event_uid = {uid:String}`,
        { uid: other!.source_event_uid },
      );
      await cluster.clickhouse.command(
        `INSERT INTO raw_streaming_events
         (source, uid, stream_sequence, subject, stream_ts, id, type, timestamp, gateway, outcome, reason, payload,
          payload_encoding, version)
         SELECT source, 'of-an-older-version', stream_sequence, subject, stream_ts, id, type, timestamp, gateway,
                outcome, reason, payload, payload_encoding, version
         FROM raw_streaming_events FINAL WHERE uid = {uid:String}`,
        { uid: other!.source_event_uid },
      );
      const minutes = await minutesWithin(cluster.clickhouse, { fromMs: 0, toMs: 10_000_000_000_000 });
      await openRollups(cluster.clickhouse).recompute(minutes);
      assert.not.equal(await rolledUp(cluster), rollup);
      const report = json(await replay(cluster, "--from-seq", "1", "--to-seq", "1500", "--backfill", "--json"));
      assert.is(report.generation, 2);
      assert.equal(await rolledUp(cluster), rollup, "its minutes and those of its tombstones are marked");
      const [samples, ...others] = report.applied;
      assert.equal(samples, { table: "fact_stream_status_samples", written: before.length, tombstones: 1, kept: 0 });
      for (const { table, tombstones, kept } of others) assert.equal([tombstones, kept], [0, 0], table);
      const content = (rows: Record<string, unknown>[]) => rows.map(({ version: _, ...row }) => row);
      const after = await cluster.facts("org");
      assert.equal(content(after), content(before));
      assert.ok(after.every((row) => BigInt(row.version as string) >> 116n === 2n));
      const [tombstone] = await cluster.rows<{ version: string; deleted: number }>(
        `SELECT version, is_deleted AS deleted FROM fact_stream_status_samples
         WHERE source_event_uid = 'of-an-older-version' ORDER BY version DESC LIMIT 1`,
      );
      assert.equal([BigInt(tombstone!.version), tombstone!.deleted], [2n << 116n, 1]);

      await cluster.publish("org", LOAD.slice(1_500, 2_500));
      await running.drained();
      const last = await cluster.facts("org");
      assert.ok(last.length > after.length);
      assert.ok(last.every((row) => BigInt(row.version as string) >> 116n === 2n), "the processor goes on under it");
      await running.stop();
      const compared = json(await replay(cluster, "--from-seq", "1", "--compare", "--json"));
      assert.equal(compared.differing, {});
    }));

  test("fixes its evidence only when every live processor writes under its generation", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", LOAD.slice(0, 300));
      const bucket = (name: string) => cluster.nc.jetstream().views.kv(name, { bindOnly: true });
      const [leases, replays] = [await bucket("leases"), await bucket("replays")];
      const holds = (generation: number) => leases.put("0", JSON.stringify({ owner: "slow", generation }));
      await holds(1);
      const running = replay(cluster, "--from-seq", "1", "--to-seq", "300", "--backfill", "--keep", "--json");
      const record = async () => {
        const id = (await cluster.keys("replays")).find((key) => !key.includes("."));
        return id === undefined ? undefined : (await replays.get(id))?.json<ReplayRecord>();
      };
      await eventually("raised", async () => (await holds(1), (await record())?.generation === 2));
      await cluster.publish("org", LOAD.slice(300, 400));
      await holds(1);
      assert.equal((await record())?.evidence.toSeq, 0);
      await holds(2);
      const report = json(await running);
      assert.is(report.evidence.toSeq, 400, "what came while it waited is known to it");
    }));

  test("leaves a row that rests on a snapshot which the stream no longer holds, and a comparison says so", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", LOAD.slice(0, 1_500));
      await cluster.process();
      const before = await cluster.facts("org");
      const snapshots = (await cluster.messages("LIVEPEER_EVENTS"))
        .filter(({ subject }) => subject.includes("network_capabilities"));
      const [first] = snapshots;
      await cluster.jsm.streams.purge("LIVEPEER_EVENTS", { seq: first!.seq + 1 });
      const from = String(first!.seq + 1);
      const compared = json(await replay(cluster, "--from-seq", from, "--compare", "--json"), 1);
      assert.equal(Object.keys(compared.differing), ["evidence_expired"]);
      const report = json(await replay(cluster, "--from-seq", from, "--backfill", "--json"));
      const kept = report.applied.reduce((sum: number, one: { kept: number }) => sum + one.kept, 0);
      assert.is(kept, compared.differing.evidence_expired);
      const content = (rows: Record<string, unknown>[]) => rows.map(({ version: _, ...row }) => row);
      assert.equal(content(await cluster.facts("org")), content(before), "nothing known is lost");
    }));
});

/** Starts a back-fill of the whole stream that takes its time: so many messages a batch. */
function startBackfill(cluster: Cluster, batchRows: string): Command {
  const slow = options(cluster, { LATECOMER_BATCH_ROWS: batchRows, LATECOMER_LINGER: "1ms" });
  return startCommand(["replay", "--from-seq", "1", "--backfill", "--json"], slow);
}

describe("a replay that cannot be", (test) => {
  test("is refused with what is wrong, exit 2 or 3, and nothing changed", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      const empty = await replay(cluster, "--from-seq", "1");
      assert.is(empty.code, 2, empty.err);
      assert.match(empty.err, "LIVEPEER_EVENTS holds no messages");
      await cluster.publish("org", LOAD.slice(0, 600));
      await cluster.process();
      await eventually("leases gone", async () => (await cluster.keys("leases")).length === 0);
      const before = await installation(cluster);
      const cases: [string[], RegExp][] = [
        [[], /--from-seq is missing/],
        [["--from-seq", "5", "--to-seq", "4"], /--from-seq 5 lies behind --to-seq 4/],
        [["--from-seq", "1", "--to-seq", "601"], /LIVEPEER_EVENTS holds 1 to 600/],
        [["--from-seq", "0"], /LIVEPEER_EVENTS holds 1 to 600/],
        [["--from-seq", "x"], /"x" is no whole number/],
        [["--from-seq", "1", "--backfill", "--compare"], /choose one/],
        [["--from-seq", "1", "--max-sightings", "1"], /raise LATECOMER_MAX_SIGHTINGS/],
        [["resume", "nosuch"], /there is no replay "nosuch"/],
        [["resume", "a.b"], /there is no replay "a.b"/],
        [["drop", "nosuch"], /there is no replay "nosuch"/],
      ];
      for (const [args, why] of cases) {
        const { code, out, err } = await replay(cluster, ...args);
        assert.equal([code, out], [2, ""], `${args.join(" ")}: ${err}`);
        assert.match(err, why);
      }
      const other = await replay(cluster, "--from-seq", "1", "--ttl-before", "1h");
      assert.is(other.code, 3, other.err);
      assert.match(other.err, "made for other TTLs");
      assert.equal(await installation(cluster), before);
      assert.equal(await cluster.keys("replays"), []);
    }));

  test("for it runs elsewhere, or its generation was passed, is refused too", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", LOAD.slice(0, 2_000));
      const command = startBackfill(cluster, "5");
      try {
        let id: string | undefined;
        await eventually("under way", async () => (id = (await progressOf(cluster))?.id) !== undefined);
        for (const what of ["resume", "drop"]) {
          const { code, err } = await replay(cluster, what, id!);
          assert.is(code, 3, err);
          assert.match(err, `replay ${id} runs elsewhere: process ${command.pid} on `);
        }
        command.kill("SIGINT");
        const stopped = await within("stopped", command.ended);
        assert.is(stopped.code, 1, stopped.err);
        assert.is(
          await cluster.count("SELECT count() FROM fact_stream_status_samples"),
          0,
          "nothing half done is seen",
        );
        assert.is((await latecomer(["init", "--raise-generation"], options(cluster))).code, 0);
        const passed = await replay(cluster, "resume", id!);
        assert.is(passed.code, 2, passed.err);
        assert.match(passed.err, "its rows would be hidden");
        assert.is((await replay(cluster, "drop", id!)).code, 0);
        const kv = await cluster.nc.jetstream().views.kv("checkpoints", { bindOnly: true });
        const generation = (await kv.get("generation"))!.json<{ hash: string }>();
        await kv.put("generation", JSON.stringify({ ...generation, generation: 4_095 }));
        const none = await replay(cluster, "--from-seq", "1", "--backfill");
        assert.is(none.code, 2, none.err);
        assert.match(none.err, "generation 4095 is the last there is");
        assert.equal(await cluster.keys("replays"), [], "and nothing of it is left");
      } finally {
        command.kill("SIGKILL");
      }
    }));

  test("to its end since the stream dropped what it had to read ends with 1, and has changed no row", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", LOAD);
      await cluster.process();
      const before = await cluster.facts("org");
      // Small batches leave time to purge, and are over before a pipeline looks where the stream begins.
      const command = startBackfill(cluster, "40");
      try {
        await eventually("under way", async () => ((await progressOf(cluster))?.doneSeq ?? 0) >= 40);
        await cluster.jsm.streams.purge("LIVEPEER_EVENTS", { seq: LOAD.length - 50 });
        const { code, out, err } = await within("ended", command.ended);
        assert.is(code, 1, `${out}\n${err}`);
        assert.match(err, /the stream no longer holds sequences \d+ to 3949, and replay .* drop it and start another/);
      } finally {
        command.kill("SIGKILL");
      }
      assert.equal(await cluster.facts("org"), before);
      assert.is((await replay(cluster, "drop", (await progressOf(cluster))!.id)).code, 0);
    }));

  test("for it was being removed is refused, and drop does the rest", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", LOAD.slice(0, 2_000));
      await cluster.process();
      const before = await cluster.facts("org");
      const { id, ended } = await interrupt(cluster, startBackfill(cluster, "20"), 1_000, "SIGTERM");
      assert.is(ended.code, 1, ended.err);
      // A drop that ends when some of the tables are gone: the last that it would drop is another's, and not for it.
      const kept = `left_out__replay_${id}`;
      await cluster.clickhouse.command(`RENAME TABLE ${kept} TO put_away`);
      await cluster.clickhouse.command(`CREATE DICTIONARY ${kept} (id UInt64) PRIMARY KEY id LAYOUT(FLAT) LIFETIME(0)
        SOURCE(CLICKHOUSE(QUERY 'SELECT 1 AS id'))`);
      assert.not.equal((await replay(cluster, "drop", id)).code, 0);
      await cluster.clickhouse.command(`DROP DICTIONARY ${kept}`);
      await cluster.clickhouse.command(`RENAME TABLE put_away TO ${kept}`);
      const { code, err } = await replay(cluster, "resume", id);
      assert.is(code, 2, err);
      assert.match(err, `latecomer replay drop ${id}`);
      assert.equal(await cluster.facts("org"), before, "no row of it is taken for one that no event yields");
      assert.is((await replay(cluster, "drop", id)).code, 0);
      assert.is(await cluster.count("SELECT count() FROM system.tables WHERE name LIKE '%__replay_%'"), 0);
      assert.equal(await cluster.keys("replays"), []);
    }));

  test("for its generation was passed while it ran, is refused before it changes a row", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", LOAD.slice(0, 2_000));
      const command = startBackfill(cluster, "5");
      try {
        await eventually("under way", async () => (await progressOf(cluster)) !== undefined);
        await ensureGeneration(cluster.nc, cluster.config, true);
        const { code, err } = await within("ended", command.ended);
        assert.is(code, 2, err);
        assert.match(err, "its rows would be hidden");
        assert.is(await cluster.count("SELECT count() FROM fact_stream_status_samples"), 0);
      } finally {
        command.kill("SIGKILL");
      }
    }));

  test("for no server answers ends with 3", () =>
    withCluster({}, async (cluster) => {
      const { code, err } = await latecomer(["replay", "list"], {
        cwd: cluster.folder,
        env: { NATS_URL: "nats://127.0.0.1:9" },
      });
      assert.is(code, 3, err);
    }));
});
