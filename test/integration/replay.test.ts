/** `latecomer replay` on a real stream and the real engine: one range, one answer, and nothing else touched. */
import * as assert from "uvu/assert";
import { seeded } from "../../src/runtime/shuffle.ts";
import { productionLoad } from "../bench/load.ts";
import {
  type Cluster,
  type Command,
  type Ended,
  eventually,
  latecomer,
  startCommand,
  typeOf,
  withCluster,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

/** So that a shuffled replay of the range has several blocks. */
const SETTINGS = { allowedLatenessMs: "10s" };
const EVENTS = 4_000;

/** The load with every second snapshot late by up to 5 s of event time, within the allowed lateness. */
function load(count: number): Uint8Array[] {
  const random = seeded(5);
  let nth = 0;
  const places = productionLoad(count).map((event, at) => {
    const isLate = typeOf(event) === "network_capabilities" && nth++ % 2 === 0;
    return { event, place: at + (isLate ? random() * 500 : 0) };
  });
  return places.sort((a, b) => a.place - b.place).map(({ event }) => event);
}

const LOAD = load(EVENTS);

function options(cluster: Cluster, more: Record<string, string> = {}) {
  return {
    cwd: cluster.folder,
    env: {
      NATS_URL: cluster.config.natsUrl,
      CLICKHOUSE_URL: cluster.config.clickhouseUrl,
      LATECOMER_ALLOWED_LATENESS: SETTINGS.allowedLatenessMs,
      ...more,
    },
  };
}

const replay = (cluster: Cluster, ...args: string[]): Promise<Ended> =>
  latecomer(["replay", ...args], options(cluster));

// deno-lint-ignore no-explicit-any
type Json = any;

function json(ended: Ended, code = 0): Json {
  assert.is(ended.code, code, `${ended.out}\n${ended.err}`);
  return JSON.parse(ended.out);
}

/** What must be as it was, but for what is a replay's own. */
async function installation(cluster: Cluster): Promise<unknown> {
  const streams: unknown[] = [];
  for await (const { config, state } of cluster.jsm.streams.list()) {
    // Leases come and go by themselves while a processor runs.
    if (config.name === "KV_replays") continue;
    streams.push([config.name, state.messages, state.first_seq, state.last_seq, state.bytes]);
  }
  const consumers: string[] = [];
  for await (const { name } of cluster.jsm.consumers.list("LIVEPEER_EVENTS")) consumers.push(name);
  const tables = await cluster.rows(
    `SELECT name, total_rows AS rows FROM system.tables WHERE database = currentDatabase() ORDER BY name`,
  );
  const facts = await cluster.facts("org");
  return { streams: streams.sort(), consumers: consumers.sort(), tables, facts };
}

/** The progress of the only replay, by its record. */
async function progressOf(cluster: Cluster): Promise<{ id: string; doneSeq: number } | undefined> {
  const bucket = await cluster.nc.jetstream().views.kv("replays", { bindOnly: true });
  const id = (await cluster.keys("replays")).find((key) => !key.includes("."));
  const entry = id === undefined ? null : await bucket.get(`${id}.progress`);
  return entry === null ? undefined : { id: id!, doneSeq: entry.json<{ doneSeq: number }>().doneSeq };
}

/** Waits until the only replay has come so far, and ends its process. */
async function interrupt(cluster: Cluster, command: Command, at: number, signal: NodeJS.Signals) {
  let reached: Awaited<ReturnType<typeof progressOf>>;
  const isThere = async () => {
    reached = await progressOf(cluster);
    return (reached?.doneSeq ?? 0) >= at;
  };
  try {
    await eventually(`a replay at ${at}`, isThere).catch((error) => {
      throw new Error(`${error.message}; it is at ${reached?.doneSeq}\n${command.written.out}\n${command.written.err}`);
    });
    command.kill(signal);
    return { id: reached!.id, ended: await within("interrupted", command.ended) };
  } finally {
    command.kill("SIGKILL");
  }
}

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

      const text = await replay(cluster, "--from-seq", "1", "--compare");
      assert.is(text.code, 1);
      assert.match(text.out, "4 rows differ from the live tables:");
      assert.match(text.out, "GPU-other");
    }));
});

describe("a back-fill", (test) => {
  test("raises the generation of a running processor, mends rows, buries what no event yields, and is folded by all", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      const running = await cluster.start();
      await cluster.publish("org", LOAD.slice(0, 1_500));
      await running.drained();
      const before = await cluster.facts("org");
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
      const report = json(await replay(cluster, "--from-seq", "1", "--to-seq", "1500", "--backfill", "--json"));
      assert.is(report.generation, 2);
      assert.equal(
        report.applied,
        [{ table: "fact_stream_status_samples", written: before.length, tombstones: 1, kept: 0 }],
      );
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
      assert.is(report.applied[0].kept, compared.differing.evidence_expired);
      const content = (rows: Record<string, unknown>[]) => rows.map(({ version: _, ...row }) => row);
      assert.equal(content(await cluster.facts("org")), content(before), "nothing known is lost");
    }));
});

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
      const slow = options(cluster, { LATECOMER_BATCH_ROWS: "5", LATECOMER_LINGER: "1ms" });
      const command = startCommand(["replay", "--from-seq", "1", "--backfill", "--json"], slow);
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
        assert.is((await latecomer(["init", "--raise-generation"], slow)).code, 0);
        const passed = await replay(cluster, "resume", id!);
        assert.is(passed.code, 2, passed.err);
        assert.match(passed.err, "its rows would be hidden");
        assert.is((await replay(cluster, "drop", id!)).code, 0);
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
