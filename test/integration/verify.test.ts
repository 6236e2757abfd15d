/** verify over a real nats-server and the real engine: a sound installation, and one that is broken in each way. */
import * as assert from "uvu/assert";
import { initialise } from "../../src/cli/init.ts";
import { verify } from "../../src/cli/verify.ts";
import { FACTS } from "../../src/core/facts.ts";
import { openDeadLetters } from "../../src/nats/deadletters.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { resolveRange } from "../../src/nats/range.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import { seeded, shuffled } from "../../src/runtime/shuffle.ts";
import type { Account } from "../../src/verify/account.ts";
import {
  type Cluster,
  encode,
  GATEWAY_LOG,
  latecomer,
  productionEvents,
  typeOf,
  withCluster,
  withServedCluster,
} from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

const LOG = productionEvents(GATEWAY_LOG);
const ALL = productionEvents();

const envelope = (type: string, id: string, data: unknown = { a: 1 }) =>
  encode(JSON.stringify({ id, type, timestamp: "1767909000000", gateway: "g", data }));

const SAMPLE = JSON.parse(new TextDecoder().decode(LOG.find((event) => typeOf(event) === "ai_stream_status")));

/** A status sample of the log, sent at another time. */
function statusAt(timeMs: number): Uint8Array {
  return encode(JSON.stringify({ ...SAMPLE, id: "young", timestamp: timeMs }));
}

/** A status sample of the log in a session of its own. */
function statusOf(session: string): Uint8Array {
  return encode(JSON.stringify({ ...SAMPLE, id: session, data: { ...SAMPLE.data, stream_id: session } }));
}

const { stream_id, request_id } = SAMPLE.data;
/** The session of the log, and a change of its parameters. */
const SESSION = `${stream_id}|${request_id}`;
const UPDATE = envelope("ai_stream_events", "update", { type: "params_update", pipeline: "m", stream_id, request_id });

const GARBAGE = ["{nope", "", "[]", '{"id":"x"}', '{"type":"ai_stream_status"}'].map(encode);
const UNKNOWN = ["u1", "u2"].map((id) => envelope("something_new", id));
const NOISE = [envelope("webrtc_stats", "n1")];
/** Every outcome, and more than one of each. */
const MIXED = [...LOG, UPDATE, ...GARBAGE, ...UNKNOWN, ...NOISE, ...LOG.slice(0, 9)];

async function account(cluster: Cluster, from?: number, to?: number, most = Infinity): Promise<Account> {
  const range = await resolveRange(await openEventStream(cluster.nc), from, to);
  return verify(cluster.config, cluster.nc, cluster.clickhouse, range, to === undefined, most);
}

/** What was found, as kind and sequence, in one order. */
function found({ findings }: Account): [string, number][] {
  return findings.map((one): [string, number] => [one.kind, one.streamSequence])
    .sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
}

/** A processed installation that is sound, for a test to break. */
function withProcessed(use: (cluster: Cluster) => Promise<void>, messages = MIXED): Promise<void> {
  return withCluster({}, async (cluster) => {
    await cluster.publish("org", messages);
    await cluster.process();
    assert.equal(found(await account(cluster)), [], "sound before it is broken");
    await use(cluster);
  });
}

/** The sequences of archived messages that meet a condition, ascending. */
async function sequences(cluster: Cluster, condition: string): Promise<number[]> {
  const rows = await cluster.rows<{ seq: string }>(
    `SELECT stream_sequence AS seq FROM raw_streaming_events FINAL WHERE ${condition} ORDER BY seq`,
  );
  return rows.map((row) => Number(row.seq));
}

function alter(cluster: Cluster, table: string, change: string): Promise<void> {
  return cluster.clickhouse.command(`ALTER TABLE ${table} ${change} SETTINGS mutations_sync = 2`);
}

/** Archives a copy of a row with some columns changed. */
function archiveAgain(cluster: Cluster, sequence: number, changes: string): Promise<void> {
  return cluster.clickhouse.command(
    `INSERT INTO raw_streaming_events
       (source, uid, stream_sequence, subject, stream_ts, id, type, timestamp, gateway, outcome, reason, payload,
        payload_encoding, version)
     SELECT source, uid, stream_sequence, subject, stream_ts, id, type, timestamp, gateway, outcome, reason, payload,
            payload_encoding, version
     FROM (SELECT * REPLACE (${changes}) FROM raw_streaming_events FINAL WHERE stream_sequence = ${sequence})`,
  );
}

/** What the runbook says under that name. */
async function startOver(cluster: Cluster): Promise<void> {
  for (const bucket of ["checkpoints", "unmatched_status"]) await cluster.jsm.streams.purge(`KV_${bucket}`);
  await initialise(cluster.config, cluster.nc, await planStreams(cluster.jsm, cluster.config), {});
  await cluster.process();
}

const UNIQUE =
  "outcome = 'accepted' AND type != 'ai_stream_status' AND uid NOT IN (SELECT uid FROM raw_streaming_events WHERE outcome = 'duplicate')";

describe("verify of a sound installation", (test) => {
  test("accounts for every message of a window of several pages exactly once, from wherever it starts", () =>
    withCluster({ partitions: "3" }, async (cluster) => {
      await cluster.publish("org", shuffled([...ALL, ...MIXED], seeded(1)));
      await cluster.publish("other", shuffled(MIXED, seeded(2)));
      const ticks = Array.from({ length: 5_200 }, (_, at) => envelope("webrtc_stats", `n${at}`));
      await cluster.publish("org", [...ticks, ...LOG.slice(0, 20)]);
      await cluster.process();
      const whole = await account(cluster);
      assert.equal(whole.findings, []);
      assert.equal([whole.found, whole.expired, whole.removed, whole.expiredMessages], [{}, {}, 0, 0]);
      const stored = await cluster.storedCount();
      assert.ok(stored > 5_300);
      assert.is(whole.stored, stored);
      for (const [outcome, count] of Object.entries(whole.accounted)) {
        assert.ok(count > 0, outcome);
        assert.is(
          count,
          await cluster.count("SELECT count() FROM raw_streaming_events FINAL WHERE outcome = {outcome:String}", {
            outcome,
          }),
        );
      }
      // The originals of the last duplicates lie before the window: they are looked up in the archive.
      const end = await account(cluster, stored - 30);
      assert.equal(end.findings, []);
      assert.is(end.accounted.duplicate, 20);
      assert.is(end.stored, 31);
    }));

  test("counts a message that was removed from the stream, and a dead letter that is older than the stream keeps", () =>
    withProcessed(async (cluster) => {
      const [gone] = await sequences(cluster, UNIQUE);
      await cluster.jsm.streams.deleteMessage("LIVEPEER_EVENTS", gone!, false);
      const letters = await cluster.messages("LIVEPEER_DLQ");
      assert.is(letters.length, GARBAGE.length);
      await cluster.jsm.streams.purge("LIVEPEER_DLQ");
      const now = await account(cluster);
      assert.equal(now.findings, []);
      assert.is(now.removed, 1);
      assert.is(now.stored, MIXED.length - 1);
      // The last letter's time is that of the oldest message whose letter could still be there.
      assert.is(now.expired.dead_letter, GARBAGE.length);
    }));
});

describe("verify where tables drop what is old", (test) => {
  test("expects no row of what is older than its fact is kept, and says how much it did not compare", () =>
    withCluster({ tableRetention: "contract" }, async (cluster) => {
      const young = statusAt(Date.now() - 60_000);
      await cluster.publish("org", [...MIXED, statusOf("old"), young]);
      await cluster.process();
      for (const { table } of FACTS) await cluster.clickhouse.command(`OPTIMIZE TABLE ${table} FINAL`);
      assert.is(
        await cluster.count("SELECT count() FROM fact_stream_status_samples"),
        1,
        "all others are from January",
      );
      const now = await account(cluster);
      assert.equal(now.findings, []);
      // The session of the log goes on with the young sample.
      assert.equal(now.expired, {
        fact_stream_status_samples: 18,
        fact_stream_trace_edges: 6,
        fact_lifecycle_edge_coverage: 6,
        fact_stream_ingest_samples: 34,
        fact_workflow_param_updates: 1,
        fact_workflow_sessions: 1,
      });
      for (const { table } of FACTS) await alter(cluster, table, "DELETE WHERE 1");
      const [status] = await sequences(cluster, "type = 'stream_trace' OR type LIKE 'ai_stream%'");
      assert.equal(found(await account(cluster)), [["session_short", status], ["no_fact", MIXED.length + 2]]);
    }));
});

describe("verify of an installation that is broken", (test) => {
  test("tells rows that are missing, that contradict their message, and duplicates without an original", () =>
    withProcessed(async (cluster) => {
      const [missing, ignored, alone] = await sequences(cluster, UNIQUE);
      const [refused] = await sequences(cluster, "outcome = 'rejected'");
      await alter(cluster, "raw_streaming_events", `DELETE WHERE stream_sequence IN (${missing}, ${refused})`);
      await alter(cluster, "raw_streaming_events", `UPDATE outcome = 'ignored' WHERE stream_sequence = ${ignored}`);
      await alter(cluster, "raw_streaming_events", `UPDATE outcome = 'duplicate' WHERE stream_sequence = ${alone}`);
      const broken = await account(cluster);
      assert.equal(
        found(broken),
        [
          ["missing", missing],
          ["contradicted", ignored],
          ["contradicted", alone],
          ["missing", refused],
        ].sort((a, b) => Number(a[1]) - Number(b[1])),
      );
      assert.equal(broken.found, { missing: 2, contradicted: 2 });
      const sum = Object.values(broken.accounted).reduce((all, count) => all + count, 0);
      assert.is(sum, broken.stored - 4, "what has a finding is not accounted for");
      assert.is((await account(cluster, undefined, undefined, 1)).findings.length, 1);

      // What the runbook says to do mends it.
      await alter(cluster, "raw_streaming_events", `DELETE WHERE stream_sequence IN (${ignored}, ${alone})`);
      await startOver(cluster);
      assert.equal(found(await account(cluster)), []);
    }));

  test("needs an original that counts: where the first of several copies is called a duplicate too, all are told", () =>
    withProcessed(async (cluster) => {
      const [copy] = await sequences(cluster, "outcome = 'duplicate'");
      const same = await sequences(
        cluster,
        `uid = (SELECT uid FROM raw_streaming_events FINAL WHERE stream_sequence = ${copy})`,
      );
      assert.is(same.length, 2);
      await alter(cluster, "raw_streaming_events", `UPDATE outcome = 'duplicate' WHERE stream_sequence = ${same[0]}`);
      assert.equal(found(await account(cluster)), same.map((sequence) => ["contradicted", sequence]));
    }));

  test("tells one message under two identities from a row of another message", () =>
    withProcessed(async (cluster) => {
      const [twice, other, renamed] = await sequences(cluster, UNIQUE);
      await archiveAgain(cluster, twice!, "'stranger' AS uid");
      await archiveAgain(cluster, other!, "'stranger' AS uid, stream_ts - INTERVAL 1 SECOND AS stream_ts");
      await archiveAgain(cluster, renamed!, "'stranger' AS uid");
      await alter(
        cluster,
        "raw_streaming_events",
        `DELETE WHERE stream_sequence = ${renamed} AND uid != 'stranger'`,
      );
      const broken = await account(cluster);
      assert.equal(found(broken), [["counted_twice", twice], ["foreign", other], ["contradicted", renamed]]);
      assert.is(broken.findings.find((one) => one.kind === "foreign")?.uid, "stranger");
    }));

  test("tells dead letters that are lacking or stray, in the stream and in the table", () =>
    withProcessed(async (cluster) => {
      const letters = await cluster.messages("LIVEPEER_DLQ");
      const of = (at: number) => Number(letters[at]!.header("Latecomer-Sequence"));
      await cluster.jsm.streams.deleteMessage("LIVEPEER_DLQ", letters[2]!.seq, false);
      await alter(cluster, "raw_streaming_events_dlq", `DELETE WHERE source_offset = ${of(3)}`);
      const [first, second] = await sequences(cluster, UNIQUE);
      await openDeadLetters(cluster.nc).publish([{
        subject: "dlq.org.json_parse_error.x",
        bytes: encode("x"),
        source: "org",
        uid: "x",
        sourceSubject: "events.org.x.all",
        streamSequence: first!,
        stage: "PARSE",
        failureClass: "PARSING_FAILED",
        reason: "parse_exception",
        details: "",
      }]);
      await alter(cluster, "raw_streaming_events_dlq", `DELETE WHERE source_offset = 0`);
      await cluster.clickhouse.command(
        `INSERT INTO raw_streaming_events_dlq (source, source_offset, source_record_timestamp, event_uid)
         SELECT 'org', ${second}, now64(3), 'x'`,
      );
      assert.equal(found(await account(cluster)), [
        ["stray_dead_letter", first],
        ["stray_dead_letter", second],
        ["no_dead_letter", of(2)],
        ["no_dead_letter", of(3)],
      ]);
    }));

  test("tells unknown events and those that lack a row of a fact, and they come again from the stream", () =>
    withProcessed(async (cluster) => {
      const lost: [kind: string, sequence: number, detail: string][] = [];
      for (
        const [table, type, column = "source_event_uid"] of [
          ["raw_unknown_events", "something_new", "raw_event_uid"],
          ["fact_stream_status_samples", "ai_stream_status"],
          ["fact_stream_trace_edges", "stream_trace"],
          ["fact_lifecycle_edge_coverage", "stream_trace"],
          ["fact_stream_ingest_samples", "stream_ingest_metrics"],
          ["fact_workflow_param_updates", "ai_stream_events"],
        ] as const
      ) {
        const of = await sequences(cluster, `type = '${type}' AND outcome IN ('accepted', 'ignored')`);
        // The last of its type, so that edge and coverage are lost of one event.
        const sequence = of[of.length - 1]!;
        const uid = `(SELECT uid FROM raw_streaming_events WHERE stream_sequence = ${sequence})`;
        await alter(cluster, table, `DELETE WHERE ${column} = ${uid}`);
        if (column === "raw_event_uid") lost.push(["no_unknown_row", sequence, "archived, and not kept apart"]);
        else lost.push(["no_fact", sequence, `no row in ${table}`]);
      }
      const { findings } = await account(cluster);
      const told = findings.map(({ kind, streamSequence, detail }) => [kind, streamSequence, detail]);
      const bySequence = (a: unknown[], b: unknown[]) => Number(a[1]) - Number(b[1]);
      assert.equal(told.sort(bySequence), lost.sort(bySequence));
      await startOver(cluster);
      assert.equal(found(await account(cluster)), []);
    }));

  test("tells a session that is gone or counts fewer events than it has", () =>
    withProcessed(async (cluster) => {
      const table = "fact_workflow_sessions";
      const events = await cluster.count(`SELECT event_count FROM ${table} FINAL`);
      assert.is(events, 6 + 17 + 1, "traces, samples and the update");
      const told = async () => {
        const { findings } = await account(cluster);
        return findings.map(({ kind, uid, detail }) => [kind, uid, detail]);
      };
      const [first] = await cluster.rows<{ uid: string }>(
        "SELECT uid FROM raw_streaming_events FINAL WHERE type = 'stream_trace' ORDER BY stream_sequence LIMIT 1",
      );
      const fewer = `SELECT * REPLACE (toUInt32(${
        events - 1
      }) AS event_count, version + 1 AS version) FROM ${table} FINAL`;
      await cluster.clickhouse.command(`INSERT INTO ${table} ${fewer}`);
      const short = `session ${SESSION} counts ${events - 1} events; ${events} of them are accepted`;
      assert.equal(await told(), [["session_short", first!.uid, short]]);
      await alter(cluster, table, "DELETE WHERE 1");
      const gone = `session ${SESSION} has no row; ${events} of its events are accepted`;
      assert.equal(await told(), [["session_short", first!.uid, gone]]);
      await startOver(cluster);
      assert.equal(await told(), []);
    }));

  test("tells what is pending from what is lost", () =>
    withProcessed(async (cluster) => {
      const before = await cluster.storedCount();
      await cluster.publish("org", [...GARBAGE, ...LOG.slice(0, 3)]);
      const pending = Array.from({ length: 8 }, (_, at) => ["not_processed", before + 1 + at]);
      assert.equal(found(await account(cluster)), pending);
      await cluster.process();
      assert.equal(found(await account(cluster)), []);
    }));

  test("tells that the stream lost what was processed, and holds other messages under its sequences", () =>
    withProcessed(async (cluster) => {
      await cluster.jsm.streams.delete("LIVEPEER_EVENTS");
      await initialise(cluster.config, cluster.nc, await planStreams(cluster.jsm, cluster.config), {});
      await cluster.publish("org", LOG.slice(-2));
      const { found: counts, findings } = await account(cluster);
      assert.is(counts.missing, 2, "behind a checkpoint that is ahead of them nobody reads them");
      assert.is(counts.foreign, MIXED.length);
      assert.equal(
        findings.filter((one) => one.kind === "foreign").map((one) => one.streamSequence),
        MIXED.map((_, at) => at + 1),
      );
      assert.is(counts.checkpoint_ahead, 2, "both partitions");

      // A processor that starts notices it; what was lost stays lost.
      await cluster.process();
      const after = await account(cluster);
      assert.equal(after.found, { foreign: MIXED.length });
      assert.is(after.accounted.accepted, 2);
    }));
});

describe("latecomer verify", (test) => {
  test("ends with 0, 1 or 2, says what it found, and refuses ranges that the stream does not hold", () =>
    withServedCluster({}, async (cluster) => {
      const env = { NATS_URL: cluster.config.natsUrl, CLICKHOUSE_URL: cluster.config.clickhouseUrl };
      const run = (...args: string[]) => latecomer(["verify", ...args], { cwd: cluster.folder, env });
      const empty = await run();
      assert.is(empty.code, 2);
      assert.match(empty.err, "LIVEPEER_EVENTS holds no messages");

      // More sessions and unknown events than the URL of one query could name.
      const sessions = Array.from({ length: 300 }, (_, at) => statusOf(`${"|".repeat(60)}${at}`));
      const unknown = Array.from({ length: 900 }, (_, at) => envelope("something_new", `u-${at}`));
      await cluster.publish("org", [...MIXED, ...sessions, ...unknown]);
      await cluster.process();
      const sound = await run();
      assert.is(sound.code, 0, sound.err);
      assert.match(sound.out, "Every stored event is accounted for.");

      const refused: [string[], RegExp][] = [
        [["--from-seq", "9", "--to-seq", "8"], /--from-seq 9 lies behind --to-seq 8/],
        [["--to-seq", "5000"], /sequence 5000 is not there: LIVEPEER_EVENTS holds 1 to/],
        [["--from-seq", "0"], /sequence 0 is not there/],
        [["--from-seq", "5000"], /sequence 5000 is not there/],
        [["--from-seq", "x"], /"x" is no whole number/],
      ];
      for (const [args, why] of refused) {
        const ended = await run(...args);
        assert.equal([ended.code, ended.out], [2, ""], args.join(" "));
        assert.match(ended.err, why);
      }

      const samples = await sequences(cluster, "type = 'ai_stream_status' AND outcome = 'accepted'");
      await alter(cluster, "fact_stream_status_samples", "DELETE WHERE 1");
      await alter(cluster, "raw_streaming_events", "DELETE WHERE type != 'ai_stream_status'");
      const broken = await run();
      assert.is(broken.code, 1, broken.err);
      assert.match(broken.out, /no_fact +\d+ +An accepted event has no row in a fact/);
      assert.match(broken.out, /and \d+ more; --json lists all/);
      const json = await run("--json", "--to-seq", String(samples[0]));
      assert.is(json.code, 1);
      const document = JSON.parse(json.out) as Account & { sound: boolean; toSeq: number };
      assert.equal([document.sound, document.toSeq, document.found.no_fact], [false, samples[0], 1]);
      assert.is(document.findings.length, samples[0]);
      assert.equal(
        LOG.slice(0, samples[0]).map((event) => typeOf(event) === "ai_stream_status" ? "no_fact" : "missing"),
        document.findings.map((one) => one.kind),
      );
    }));
});
