/** `latecomer replay` on a real stream and the real engine: one range, one answer, and nothing else touched. */
import * as assert from "uvu/assert";
import { eventually, latecomer, startCommand, withServedCluster } from "../helpers/cluster.ts";
import { installation, interrupt, type Json, json, LOAD, options, replay, SETTINGS } from "../helpers/replay.ts";
import { describe } from "../helpers/suite.ts";

describe("two replays of one range", (test) => {
  test("print one digest, whatever the batches, the interruptions and the order, and touch nothing but their own", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", LOAD);
      await cluster.nc.jetstream().publish("events.org.ai_stream_status.0", new TextEncoder().encode("{"));
      await cluster.process();
      await eventually("leases gone", async () => (await cluster.keys("leases")).length === 0);
      const before = await installation(cluster);
      const range = ["--from-seq", "700", "--to-seq", "3500", "--json"];

      const plain = json(await replay(cluster, ...range, "--compare"));
      assert.equal([plain.done, plain.doneSeq, plain.differing], [true, 3_500, {}]);
      const samples = (await cluster.messages("LIVEPEER_EVENTS"))
        .filter(({ seq, subject }) => seq >= 700 && seq <= 3_500 && subject.includes(".ai_stream_status.")).length;
      const [digest] = plain.digests;
      assert.is(digest.rows, samples);
      assert.ok(digest.rows > 300);
      assert.equal(await installation(cluster), before, "nothing is left, nothing else was touched");

      const slow = options(cluster, { LATECOMER_BATCH_ROWS: "20", LATECOMER_LINGER: "1ms" });
      const first = startCommand(["replay", ...range], slow);
      const killed = await interrupt(cluster, first, 1_000, "SIGKILL");
      const listed = json(await replay(cluster, "list", "--json")).replays;
      assert.equal(listed.map((one: Json) => [one.id, one.isDone]), [[killed.id, false]]);
      const consumer = await cluster.jsm.consumers.info("LIVEPEER_EVENTS", `replay-${killed.id}`);
      assert.is(consumer.config.durable_name, `replay-${killed.id}`);
      const second = startCommand(["replay", "resume", killed.id, "--json"], slow);
      const { ended } = await interrupt(cluster, second, 1_600, "SIGTERM");
      const stopped = json(ended, 1);
      assert.equal([stopped.done, stopped.id, stopped.digests], [false, killed.id, []]);
      assert.ok(stopped.doneSeq >= 1_600 && stopped.doneSeq < 3_500, `stopped at ${stopped.doneSeq}`);
      assert.match(ended.err, `latecomer replay resume ${killed.id}`);
      const last = json(await replay(cluster, "resume", killed.id, "--json"));
      assert.equal(last.digests, plain.digests, "killed, then stopped");

      const disordered = startCommand(["replay", ...range, "--shuffle-seed", "7", "--compare"], slow);
      const broken = await interrupt(cluster, disordered, 2_000, "SIGKILL");
      const shuffled = json(await replay(cluster, "resume", broken.id, "--batch-rows", "97", "--json"));
      assert.equal([shuffled.digests, shuffled.differing], [plain.digests, {}], "shuffled, and killed");
      assert.equal(await installation(cluster), before);
      assert.equal(await cluster.keys("replays"), []);
    }));
});

describe("latecomer replay --compare", (test) => {
  test("lists rows that were changed, lost, made up or written under an older generation, and says why", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", LOAD.slice(0, 1_500));
      await cluster.process();
      const facts = await cluster.facts("org");
      const [changed, lost, old, lacking] = facts.filter((row) => row.is_attributed === 1);
      const columns = Object.keys(changed!).filter((name) => !["sample_date"].includes(name));
      const rewrite = (row: Record<string, unknown>, changes: Record<string, string>) =>
        cluster.clickhouse.command(
          `INSERT INTO fact_stream_status_samples (source, ${columns.join(", ")})
           SELECT source, ${columns.map((name) => changes[name] ?? name).join(", ")}
           FROM fact_stream_status_samples FINAL WHERE source_event_uid = {uid:String}`,
          { uid: row.source_event_uid },
        );
      const erase = (row: Record<string, unknown>) =>
        cluster.clickhouse.command(
          `ALTER TABLE fact_stream_status_samples DELETE WHERE source_event_uid = {uid:String} SETTINGS mutations_sync = 2`,
          { uid: row.source_event_uid },
        );
      await rewrite(changed!, { gpu_id: "'GPU-other'" });
      await erase(lost!);
      await rewrite(lacking!, { model_id: "NULL", version: "version + 1" });
      await cluster.clickhouse.command(
        `INSERT INTO raw_streaming_events
         (source, uid, stream_sequence, subject, stream_ts, id, type, timestamp, gateway, outcome, reason, payload,
          payload_encoding, version)
         SELECT source, 'made-up', stream_sequence, subject, stream_ts, id, type, timestamp, gateway, outcome, reason,
                payload, payload_encoding, version
         FROM raw_streaming_events FINAL WHERE uid = {uid:String}`,
        { uid: old!.source_event_uid },
      );
      await rewrite(old!, { source_event_uid: "'made-up'" });
      const report = json(await replay(cluster, "--from-seq", "1", "--compare", "--keep", "--json"), 1);
      assert.equal(report.differing, { missing_live: 1, changed: 1, more_evidence: 1, missing_replay: 1 });
      const of = (kind: string) => report.differences.find((one: Json) => one.kind === kind);
      assert.equal(of("changed").key, { source: "org", source_event_uid: changed!.source_event_uid });
      assert.equal(of("changed").columns, [{ column: "gpu_id", replay: changed!.gpu_id, live: "GPU-other" }]);
      assert.is(of("missing_live").key.source_event_uid, lost!.source_event_uid);
      assert.is(of("missing_replay").key.source_event_uid, "made-up");
      assert.ok(of("missing_live").columns.every((one: Json) => one.live === null));

      const kept = `fact_stream_status_samples__replay_${report.id}`;
      assert.is(await cluster.count(`SELECT count() FROM ${kept} FINAL`), facts.length);
      const again = json(await replay(cluster, "resume", report.id, "--json"), 1);
      assert.equal(again.digests, report.digests, "what is done can be looked at again");
      assert.equal(json(await replay(cluster, "drop", report.id, "--json")), { dropped: report.id });
      assert.is(await cluster.count("SELECT count() FROM system.tables WHERE name LIKE '%__replay_%'"), 0);

      const text = await latecomer(["replay", "--from-seq", "1", "--compare"], options(cluster));
      assert.is(text.code, 1);
      assert.match(text.out, "4 rows differ from the live tables:");
      assert.match(text.out, "GPU-other");
    }));
});
