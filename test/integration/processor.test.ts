/**
 * The main job, in one process, on a real nats-server and the real engine: what is published comes out attributed,
 * corrected, archived and accounted for, in whatever order it came.
 */
import process from "node:process";
import * as assert from "uvu/assert";
import { LatecomerError } from "../../src/errors.ts";
import { seeded, shuffled, withDuplicates } from "../../src/runtime/shuffle.ts";
import {
  type Cluster,
  eventually,
  GATEWAY_LOG,
  neverBack,
  productionEvents,
  typeOf,
  withCluster,
  within,
} from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

const LOG = productionEvents(GATEWAY_LOG);
const SNAPSHOT_AT = LOG.findIndex((event) => typeOf(event) === "network_capabilities");
const BEFORE = LOG.slice(0, SNAPSHOT_AT);
const SNAPSHOT = LOG.slice(SNAPSHOT_AT, SNAPSHOT_AT + 1);
const AFTER = LOG.slice(SNAPSHOT_AT + 1);
const ALL = productionEvents();

const isStatus = (event: Uint8Array) => typeOf(event) === "ai_stream_status";

/** An event some time later, as one of its own. */
function moved(bytes: Uint8Array, id: string, laterMs: number): Uint8Array {
  const event = JSON.parse(new TextDecoder().decode(bytes));
  return text(JSON.stringify({ ...event, id, timestamp: String(Number(event.timestamp) + laterMs) }));
}

function movedSnapshot(id: string, laterMs: number): Uint8Array {
  return moved(SNAPSHOT[0]!, id, laterMs);
}

/** Longer than all production events lie apart: then any order of them must give one answer. */
const SPAN = { allowedLatenessMs: "60d" };

/** The events as they happened: all before a snapshot processed before it, and it before all after it. */
async function inOrder(cluster: Cluster, source: string, events: readonly Uint8Array[]): Promise<void> {
  const running = await cluster.start();
  for (let from = 0; from < events.length;) {
    const isSnapshot = (event: Uint8Array) => typeOf(event) === "network_capabilities";
    const next = events.findIndex((event, at) => at > from && (isSnapshot(event) || isSnapshot(events[from]!)));
    const to = next < 0 ? events.length : next;
    await cluster.publish(source, events.slice(from, to));
    await running.drained();
    from = to;
  }
  await running.stop();
}

describe("the gateway log of 2026-01-08, whose only snapshot comes after seven samples", (test) => {
  test("is stored unattributed with the reason, corrected by a higher version, and attributed from then on", () =>
    withCluster({}, async (cluster) => {
      assert.is(BEFORE.filter(isStatus).length, 7);
      const running = await cluster.start();
      await cluster.publish("org", BEFORE);
      await running.drained();
      const first = await cluster.facts("org");
      assert.is(first.length, 7);
      for (const row of first) {
        assert.equal(
          [row.is_attributed, row.unattributed_reason, row.evidence_level, row.gpu_attribution_method],
          [0, "no_snapshot", 0, "none"],
        );
        assert.equal([row.orchestrator_address, row.pipeline, row.model_id, row.gpu_id], ["", "", null, null]);
        assert.is(
          row.orchestrator_url,
          "https://rtav-orch2.xodeapp.xyz:28935",
          "the url of the event stays as context",
        );
      }
      const waiting = await cluster.keys("unmatched_status");
      // Five edges name their orchestrator before the snapshot too.
      assert.is(waiting.length, 7 + 5, "unmatched_status holds exactly what waits for the TTL");
      assert.ok(waiting.every((key) => key.startsWith("org.")));
      assert.equal(await cluster.keys("capability_snapshots"), []);

      await cluster.publish("org", SNAPSHOT);
      await running.drained();
      const second = await cluster.facts("org");
      assert.equal(second.map((row) => row.source_event_uid), first.map((row) => row.source_event_uid));
      for (const [at, row] of second.entries()) {
        assert.ok(
          BigInt(row.version as string) > BigInt(first[at]!.version as string),
          "a correction has a higher version",
        );
        assert.equal(
          [row.orchestrator_address, row.model_id, row.gpu_id, row.gpu_count, row.unattributed_reason],
          [
            "0xd00354656922168815fcd1e51cbddb9e359e3c7f",
            "streamdiffusion-sdxl-faceid",
            "GPU-a8d13655-197b-2226-d09f-b4b81e07504b",
            1,
            "",
          ],
        );
        assert.equal([row.gpu_attribution_method, row.evidence_level], ["node_match", 6]);
        assert.ok(Math.abs((row.gpu_attribution_confidence as number) - 0.7) < 1e-6, "the snapshot is later: 0.7");
        assert.is(row.selected_snapshot_ts, "2026-01-08 21:50:21.590");
      }
      assert.is((await cluster.keys("capability_snapshots")).length, 1);

      await cluster.publish("org", AFTER);
      await running.drained();
      const last = await cluster.facts("org");
      assert.is(last.length, 17);
      for (const row of last.slice(7)) {
        assert.is(row.is_attributed, 1);
        assert.ok(Math.abs((row.gpu_attribution_confidence as number) - 0.9) < 1e-6, "the snapshot is earlier: 0.9");
      }
      assert.equal(last.slice(0, 7), second, "what came after the snapshot changes nothing before it");
      assert.is(running.processor.counts.get("corrections"), 7 + 5);
      assert.is(running.processor.openCount, 17 + 5, "a nearer snapshot can still correct them all");
      await cluster.publish("org", [movedSnapshot("much-later", 2 * 3_600_000)]);
      await running.drained();
      await running.stop();
      assert.is(running.processor.openCount, 0, "closed: the feed has passed them by more than the allowed lateness");
      assert.equal(await cluster.keys("unmatched_status"), [], "what is closed waits no more");
      assert.equal(await cluster.facts("org"), last);
      const dims = await cluster.rows(
        `SELECT orchestrator_address AS address, gpu_id AS gpu FROM dim_orchestrator_capability_snapshots FINAL
         WHERE source = 'org'`,
      );
      assert.ok(dims.some((row) => row.gpu === "GPU-a8d13655-197b-2226-d09f-b4b81e07504b"));
    }));

  test("comes too late for what has closed, which the log says, with the window to replay", () =>
    withCluster({ ttlBeforeMs: "3h", ttlAfterMs: "1h", allowedLatenessMs: "10m" }, async (cluster) => {
      const running = await cluster.start();
      for (const event of [movedSnapshot("newest", 2 * 3_600_000), SNAPSHOT[0]!]) {
        await cluster.publish("org", [event]);
        await running.drained();
      }
      await running.stop();
      const late = cluster.journal.lines.filter(({ message }) => message.startsWith("a snapshot came later"));
      // It can count for events from the later TTL before it to the earlier TTL after it.
      assert.equal(late.map(({ level, fields: { source, from, to } }) => [level, source, from, to]), [
        ["warn", "org", "2026-01-08T20:50:21.590Z", "2026-01-09T00:50:21.590Z"],
      ]);
      assert.is(running.processor.counts.get("late_snapshot"), 1);
    }));

  test("is told to be late, and to be dropped, also where the bound keeps none as old", () =>
    withCluster({ allowedLatenessMs: "10m", maxSightings: "1" }, async (cluster) => {
      const running = await cluster.start();
      const hours = [2, 3].map((later) => movedSnapshot(`${later} hours later`, later * 3_600_000));
      for (const event of [...hours, SNAPSHOT[0]!]) {
        await cluster.publish("org", [event]);
        await running.drained();
      }
      await running.stop();
      const late = cluster.journal.lines.filter(({ message }) => message.startsWith("a snapshot came later"));
      assert.equal(late.map(({ fields: { from, to } }) => [from, to]), [
        ["2026-01-07T21:50:21.590Z", "2026-01-09T21:50:21.590Z"],
      ]);
      assert.is(running.processor.counts.get("late_snapshot"), 1);
      assert.is(running.processor.counts.get("snapshots_dropped"), 2, "of three one is kept");
    }));

  test("comes before the samples that follow it in a backlog, so that few of these are corrected", () =>
    withCluster({}, async (cluster) => {
      const sample = AFTER.find(isStatus)!;
      // Of fifty nodes each, so that to read them takes longer than the samples do.
      const backlog = Array.from({ length: 12_000 }, (_, nth) => {
        const laterMs = Math.floor(nth / 50) * 10_000;
        if (nth % 50 === 0) return movedSnapshot(`every ten seconds ${nth}`, laterMs);
        return moved(sample, `5e3c0000-0000-4000-8000-${String(nth).padStart(12, "0")}`, laterMs);
      });
      await cluster.publish("org", backlog);
      const running = await cluster.start();
      await running.drained();
      await running.stop();
      const { counts } = running.processor;
      assert.is(counts.get("first_rows"), 11_760);
      const corrections = counts.get("corrections") ?? 0;
      assert.ok(corrections < 1_200, `${corrections} rows were written twice`);
    }));

  test("is archived with one accepted row per stored message, byte for byte", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", LOG);
      await cluster.process();
      const archive = await cluster.rows<{ seq: string; outcome: string; payload: string; subject: string }>(
        `SELECT stream_sequence AS seq, outcome, payload, subject FROM raw_streaming_events FINAL ORDER BY seq`,
      );
      const stored = await cluster.messages("LIVEPEER_EVENTS");
      assert.equal(
        archive.map((row) => [Number(row.seq), row.outcome, row.subject, row.payload]),
        stored.map(({ seq, subject, data }) => [seq, "accepted", subject, new TextDecoder().decode(data)]),
      );
      assert.is(archive.length, 65);
      assert.is(await cluster.count("SELECT count() FROM raw_streaming_events"), 65, "nothing was written twice");
    }));
});

describe("production events in disorder", (test) => {
  test("give the digest and the versions of the orderly run, whatever seed, partitions and batch size", () =>
    withCluster(SPAN, async (cluster) => {
      await inOrder(cluster, "orderly", ALL);
      const expected = await cluster.digest("orderly");
      const facts = await cluster.facts("orderly");
      assert.is(expected.rows, ALL.filter(isStatus).length);
      assert.ok(facts.some((row) => row.is_attributed === 1));
      let seed = 0;
      // Small batches first: each processor warms up on all that the ones before it have read.
      // One message a batch but once: a message is an insert into each of its tables, and all before it come again.
      for (const [batchRows, partitions] of [[1, 3], [14, 1], [28, 3], [5_000, 1], [5_000, 3]] as const) {
        const source = `seed-${++seed}`;
        const random = seeded(seed);
        await cluster.publish(source, shuffled(withDuplicates(ALL, 0.3, random), random), { partitions });
        const { counts } = await cluster.process({ partitions, batchRows });
        const what = `seed ${seed}, ${partitions} partitions, batches of ${batchRows}`;
        assert.equal(await cluster.digest(source), expected, what);
        assert.equal(await cluster.facts(source), facts, what);
        assert.ok((counts.get("duplicate") ?? 0) > 0, "duplicates arrive, and are counted");
      }
      const snapshots = ALL.filter((event) => typeOf(event) === "network_capabilities").length;
      const keys = await cluster.keys("capability_snapshots");
      assert.is(keys.length, snapshots * (seed + 1), "one entry per snapshot and source, however often it came");
    }));

  test("go in batches of which each partition has its share", () =>
    withCluster(SPAN, async (cluster) => {
      const most = async (settings: { partitions: number }) => {
        const sizes: number[] = [];
        const running = await cluster.start({ ...settings, batchRows: 40 }, (table, rowCount) => {
          if (table === "raw_streaming_events") sizes.push(rowCount);
        });
        await cluster.publish(`of-${settings.partitions}`, ALL, settings);
        await running.drained();
        await running.stop();
        return Math.max(...sizes);
      };
      // Beside those of sessions there is one for all that belongs to none.
      assert.is(await most({ partitions: 1 }), 20);
      assert.is(await most({ partitions: 3 }), 10);
    }));

  test("come to the same rows when the processor is replaced in between, with and without a farewell", () =>
    withCluster(SPAN, async (cluster) => {
      await inOrder(cluster, "orderly", ALL);
      const facts = await cluster.facts("orderly");
      for (const farewell of [true, false]) {
        const source = farewell ? "stopped" : "crashed";
        const random = seeded(7);
        const messages = shuffled(withDuplicates(ALL, 0.3, random), random);
        const parts = [0, 40, 80, 120, messages.length].map((at) => Math.min(at, messages.length));
        for (let part = 1; part < parts.length; part++) {
          let inserts = 0;
          // A crash comes in the middle of a batch: some of its tables are written, its checkpoint is not.
          const block = () => ++inserts % 3 === 0 && !farewell ? new Promise<void>(() => {}) : undefined;
          const running = await cluster.start({ batchRows: 30, partitions: 2 }, block);
          await cluster.publish(source, messages.slice(parts[part - 1], parts[part]), { partitions: 2 });
          if (farewell) {
            await running.drained();
            await running.stop();
          } else {
            await new Promise((resolve) => setTimeout(resolve, 150));
            await running.crash();
          }
        }
        await cluster.process({ partitions: 2 });
        assert.equal(await cluster.facts(source), facts, source);
      }
      const archived = await cluster.count("SELECT count() FROM raw_streaming_events FINAL");
      assert.is(archived, await cluster.storedCount(), "every stored message is in the archive once");
    }));
});

describe("a processor that is replaced", (test) => {
  test("leaves samples that wait for the TTL to its successor, through unmatched_status", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", BEFORE);
      await cluster.process();
      for (const { seq, data } of await cluster.messages("LIVEPEER_EVENTS")) {
        if (isStatus(data)) await cluster.jsm.streams.deleteMessage("LIVEPEER_EVENTS", seq);
      }
      await cluster.publish("org", SNAPSHOT);
      await cluster.process();
      const facts = await cluster.facts("org");
      assert.equal(facts.map((row) => row.is_attributed), [1, 1, 1, 1, 1, 1, 1]);
    }));

  test("leaves samples that only a nearer snapshot can improve to its successor, through the stream", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", SNAPSHOT);
      await cluster.process();
      await cluster.publish("org", [...BEFORE, ...AFTER]);
      await cluster.process();
      assert.equal(await cluster.keys("unmatched_status"), [], "many and short: not in the bucket");
      const before = await cluster.facts("org");
      // At 21:49:21.590: from then on until the first snapshot a sample now has one before it.
      await cluster.publish("org", [movedSnapshot("earlier", -60_000)]);
      await cluster.process();
      const after = await cluster.facts("org");
      const changed = after.filter((row, at) => row.version !== before[at]!.version);
      assert.equal(changed, after.slice(0, 7), "nothing is nearer to those that came after the first snapshot");
      assert.ok(changed.every((row) => String(row.selected_snapshot_uid).startsWith("earlier~")));
    }));

  test("moves no checkpoint back, neither by itself nor through its successors", () =>
    withCluster(SPAN, async (cluster) => {
      const watch = await cluster.watchCheckpoints();
      const random = seeded(3);
      const messages = shuffled(ALL, random);
      for (let at = 0; at < messages.length; at += 40) {
        await cluster.publish("org", messages.slice(at, at + 40));
        const running = await cluster.start({ batchRows: 10 });
        if (at % 80 === 0) await running.drained();
        await running.crash();
      }
      await cluster.process();
      watch.stop();
      assert.ok(watch.seen.length > 10);
      neverBack(watch.seen);
    }));
});

describe("an owner that was taken for dead", (test) => {
  test("and comes back moves nothing back, neither rows nor the checkpoint of its successor", () =>
    withCluster({}, async (cluster) => {
      let wake = () => {};
      const asleep = new Promise<void>((resolve) => wake = resolve);
      let held = 0;
      const zombie = await cluster.start({ batchRows: 10 }, () => (held++, asleep));
      await cluster.publish("org", BEFORE);
      await eventually("it has rows in hand", () => held > 0);
      await cluster.process();
      await cluster.publish("org", [...SNAPSHOT, ...AFTER]);
      await cluster.process();
      const facts = await cluster.facts("org");
      assert.ok(facts.every((row) => row.is_attributed === 1));
      const watch = await cluster.watchCheckpoints();
      wake();
      await zombie.drained();
      await zombie.stop();
      watch.stop();
      assert.ok(watch.seen.length > 0);
      neverBack(watch.seen);
      assert.equal(await cluster.facts("org"), facts);
      assert.equal(await cluster.count("SELECT count() FROM raw_streaming_events FINAL"), LOG.length);
    }));
});

describe("a processor that fails", (test) => {
  test("after it was drained says so to who waits for its end, and to nobody else", () =>
    withCluster({}, async (cluster) => {
      const unhandled: unknown[] = [];
      const note = (reason: unknown) => unhandled.push(reason);
      process.on("unhandledRejection", note);
      try {
        const running = await cluster.start({}, () => {
          throw new LatecomerError("BROKEN", "fatal", "this warehouse takes nothing");
        });
        await running.drained();
        await cluster.publish("org", BEFORE);
        const failure = await within("it failed", running.processor.finished().catch((error) => error));
        assert.is(failure.code, "BROKEN");
        await running.crash();
        assert.equal(unhandled, []);
      } finally {
        process.off("unhandledRejection", note);
      }
    }));
});

describe("sources", (test) => {
  test("share no snapshots, though their events have the same ids", () =>
    withCluster({}, async (cluster) => {
      const bare = LOG.filter((event) => typeOf(event) !== "network_capabilities");
      await cluster.publish("bare-before", bare);
      await cluster.process();
      await cluster.publish("full", LOG);
      await cluster.process();
      await cluster.publish("bare-after", bare);
      await cluster.process();
      assert.ok((await cluster.facts("full")).every((row) => row.is_attributed === 1));
      const waiting = await cluster.keys("unmatched_status");
      for (const source of ["bare-before", "bare-after"]) {
        const facts = await cluster.facts(source);
        assert.is(facts.length, 17);
        for (const row of facts) assert.equal([row.is_attributed, row.unattributed_reason], [0, "no_snapshot"]);
        assert.is(waiting.filter((key) => key.startsWith(`${source}.`)).length, 17 + 5);
      }
      const late = await cluster.count(
        "SELECT count() FROM dim_orchestrator_capability_snapshots FINAL WHERE source != 'full'",
      );
      assert.is(late, 0);
      const duplicates = await cluster.count(
        "SELECT count() FROM raw_streaming_events FINAL WHERE outcome = 'duplicate'",
      );
      assert.is(duplicates, 0, "one id in two sources is two events");
    }));
});

describe("repeated events", (test) => {
  test("with message ids are dropped by the server, without them they arrive, are counted and change nothing", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("ids", LOG, { messageIds: true });
      await cluster.publish("ids", LOG, { messageIds: true });
      assert.is(await cluster.storedCount(), 65);
      await cluster.publish("plain", LOG);
      await cluster.publish("plain", LOG);
      assert.is(await cluster.storedCount(), 65 + 130);
      const { counts } = await cluster.process();
      assert.is(counts.get("duplicate"), 65);
      assert.is(counts.get("accepted"), 130);
      assert.equal(await cluster.facts("plain"), await cluster.facts("ids"));
      const outcomes = await cluster.rows(
        `SELECT source, outcome, count() AS n FROM raw_streaming_events FINAL GROUP BY source, outcome ORDER BY source, outcome`,
      );
      assert.equal(outcomes, [
        { source: "ids", outcome: "accepted", n: "65" },
        { source: "plain", outcome: "accepted", n: "65" },
        { source: "plain", outcome: "duplicate", n: "65" },
      ]);
      assert.is(await cluster.storedCount("LIVEPEER_DLQ"), 0, "a duplicate is no dead letter");
    }));

  test("on a partition token that is not theirs are processed all the same", () =>
    withCluster({ partitions: "2" }, async (cluster) => {
      await cluster.publish("right", LOG);
      const js = cluster.nc.jetstream();
      for (const event of LOG) {
        const token = isStatus(event) ? "all" : typeOf(event) === "network_capabilities" ? "1" : "0";
        await js.publish(`events.wrong.${typeOf(event)}.${token}`, event);
      }
      await cluster.process();
      assert.equal(await cluster.facts("wrong"), await cluster.facts("right"));
    }));
});

describe("events that are refused or unknown", (test) => {
  test("are found in the dead-letter stream and table with bytes, subject, sequence and reason", () =>
    withCluster({}, async (cluster) => {
      const status = JSON.parse(new TextDecoder().decode(LOG.find(isStatus)!));
      const future = { ...status, id: "future", timestamp: String(Date.now() + 2 * 3_600_000) };
      const bad: [string, Uint8Array][] = [
        ["null_payload", new Uint8Array()],
        ["json_parse_error", Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)],
        ["json_parse_error", text('{"id":"x","__proto__":{},"type":"ai_stream_status"}')],
        ["json_parse_error", text(`${'{"a":'.repeat(60)}1${"}".repeat(60)}`)],
        ["json_parse_error", text(JSON.stringify(status).replace(/"fps":[^,}]+/, '"fps":1e400'))],
        ["root_not_object", text("[1]")],
        ["missing_type", text(JSON.stringify({ ...status, type: undefined }))],
        ["missing_timestamp", text(JSON.stringify({ ...status, timestamp: "yesterday" }))],
        ["missing_data", text(JSON.stringify({ ...status, data: undefined }))],
        ["unsupported_version", text(JSON.stringify({ ...status, version: 2 }))],
        ["missing_field", text(JSON.stringify({ ...status, data: { ...status.data, stream_id: "" } }))],
        ["empty_array", text(JSON.stringify({ ...status, type: "discovery_results", data: [] }))],
        ["invalid_data_shape", text(JSON.stringify({ ...status, type: "network_capabilities", data: 5 }))],
        ["time_in_future", text(JSON.stringify(future))],
        ["record_too_large", text(JSON.stringify({ ...status, filler: "x".repeat(1_000_000) }))],
      ];
      const js = cluster.nc.jetstream();
      for (const [, bytes] of bad) await js.publish("events.org.ai_stream_status.0", bytes);
      await cluster.publish("org", LOG);
      await cluster.process();
      const letters = await cluster.messages("LIVEPEER_DLQ");
      assert.is(letters.length, bad.length);
      for (const [at, [reason, bytes]] of bad.entries()) {
        const letter = letters.find(({ header }) => header("Latecomer-Sequence") === String(at + 1))!;
        assert.ok(letter, `a letter for ${reason}`);
        assert.is(letter.header("Latecomer-Reason"), reason);
        assert.is(letter.header("Latecomer-Stream"), "LIVEPEER_EVENTS");
        assert.is(letter.header("Latecomer-Subject"), "events.org.ai_stream_status.0");
        assert.match(letter.subject, new RegExp(`^dlq\\.org\\.${reason}\\.[^.]+$`));
        assert.ok(Buffer.from(letter.data).equals(bytes), `${reason}: the original bytes`);
      }
      const rows = await cluster.rows<Record<string, string>>(
        `SELECT source_offset AS seq, source_topic AS subject, failure_reason AS reason, payload_encoding AS encoding,
                payload_body AS body FROM raw_streaming_events_dlq FINAL ORDER BY source_offset`,
      );
      assert.equal(rows.map(({ seq, reason }) => [Number(seq), reason]), bad.map(([reason], at) => [at + 1, reason]));
      for (const [at, { subject, encoding, body }] of rows.entries()) {
        assert.is(subject, "events.org.ai_stream_status.0");
        const kept = Buffer.from(body!, encoding === "base64" ? "base64" : "utf8");
        assert.ok(kept.equals(bad[at]![1]), `${bad[at]![0]}: the original bytes in the table`);
      }
      const rejected = await cluster.count("SELECT count() FROM raw_streaming_events FINAL WHERE outcome = 'rejected'");
      assert.is(rejected, bad.length);
      assert.is((await cluster.facts("org")).length, 17, "what is valid is not disturbed");
    }));

  test("that are as large as can be have a letter without a body where their subject leaves no room for it", () =>
    withCluster({}, async (cluster) => {
      const subject = `events.${"%".repeat(300)}.${"t".repeat(3_600)}.0`;
      const bytes = new Uint8Array(cluster.nc.info!.max_payload - 4_096).fill("x".charCodeAt(0));
      await cluster.nc.jetstream().publish(subject, bytes);
      // One that takes more than it may in every key is of the blank source, or the server would hang up on it for ever.
      await cluster.nc.jetstream().publish(`events.${"漢".repeat(1_024)}.ai_stream_status.0`, LOG.find(isStatus)!);
      await cluster.process();
      const [letter] = await cluster.messages("LIVEPEER_DLQ");
      assert.is(letter!.header("Latecomer-Body"), "omitted");
      assert.is(letter!.header("Latecomer-Subject"), subject);
      const [row] = await cluster.rows<{ bytes: number }>(
        "SELECT length(base64Decode(payload_body)) AS bytes FROM raw_streaming_events_dlq FINAL",
      );
      assert.is(Number(row!.bytes), bytes.length);
      assert.is((await cluster.facts("")).length, 1);
    }));

  test("of an unknown type are kept in raw_unknown_events, and known noise is ignored; neither is a dead letter", () =>
    withCluster({}, async (cluster) => {
      const envelope = (id: string, type: string, data: unknown) =>
        text(JSON.stringify({ id, type, timestamp: "1767908955607", gateway: "", data }));
      const unknown = envelope("u", "unheard_of", { a: 1 });
      const trace = { stream_id: "s", request_id: "r", type: "app_send_stream_request", timestamp: 1767908955607 };
      await cluster.publish("org", [
        unknown,
        envelope("n", "webrtc_stats", { a: 1 }),
        envelope("t", "stream_trace", trace),
      ]);
      await cluster.process();
      const rows = await cluster.rows(
        "SELECT source, event_type, raw_json FROM raw_unknown_events FINAL",
      );
      assert.equal(rows, [{ source: "org", event_type: "unheard_of", raw_json: new TextDecoder().decode(unknown) }]);
      assert.is(await cluster.storedCount("LIVEPEER_DLQ"), 0);
      assert.is(await cluster.count("SELECT count() FROM raw_streaming_events_dlq"), 0);
      const outcomes = await cluster.rows("SELECT DISTINCT outcome FROM raw_streaming_events FINAL");
      assert.equal(outcomes, [{ outcome: "ignored" }]);
    }));
});

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}
