/**
 * Typed rows: what each event leaves in the table of its type, and which messages leave nothing. What a capability
 * message leaves is in capability-rows.test.ts.
 */
import * as assert from "uvu/assert";
import type { Table } from "../../src/core/emit/row.ts";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { FROM_THE_START, PartitionState } from "../../src/core/step.ts";
import { checkCells } from "../helpers/columns.ts";
import { describe } from "../helpers/suite.ts";
import {
  discoveryWire,
  eventOf,
  HOT,
  ingestWire,
  NODE,
  paymentWire,
  productionLines,
  rowsIn,
  SENT_MS,
  statusWire,
  stored,
  streamEventWire,
  traceWire,
  VALID,
  type Wire,
} from "../helpers/wire.ts";

const status = (data: Wire = {}, envelope: Wire = {}) => eventOf("ai_stream_status", statusWire(data, envelope));
const trace = (data: Wire = {}, envelope: Wire = {}) => eventOf("stream_trace", traceWire(data, envelope));

/** What the rows of a session's events begin with. */
function sessionHead(uid: string) {
  return {
    source: "cloud_spe",
    raw_event_uid: uid,
    event_timestamp: SENT_MS,
    stream_id: "stream-o5s73x-mk5zc8fy",
    request_id: "db936fab",
    gateway: "gateway-a",
  };
}

/** The rows of a partition that takes these messages, by table. */
function taken(...messages: unknown[]): ReadonlyMap<Table, readonly unknown[]> {
  const feed = new SnapshotFeed({ allowedLatenessMs: 3_600_000, mostSightings: 100_000 });
  const ttl = { beforeMs: 86_400_000, afterMs: 86_400_000 };
  const bounds = { mostOpen: 100, mostSessions: 100, sessionLagMs: 0, leftOut: new Set<string>(), mostSeen: 100 };
  const settings = { ttl, allowedLatenessMs: 3_600_000, generation: 1, contentHash: "", ...bounds };
  const state = new PartitionState(settings, feed, FROM_THE_START);
  for (const [at, message] of messages.entries()) state.take(stored(message, { streamSequence: at + 1 }));
  const { rows } = state.seal();
  checkCells(rows);
  return rows;
}

const TYPED = /^raw_(?!streaming_events|unknown_events)|^dim_/;
const typedIn = (rows: ReadonlyMap<Table, readonly unknown[]>) =>
  [...rows.keys()].filter((table) => TYPED.test(table) && rows.get(table)!.length > 0);

describe("typed rows: one event, one row", (test) => {
  test("a status event", () => {
    const event = status();
    assert.equal(rowsIn("raw_ai_stream_status", event), [{
      ...sessionHead(event.head.uid),
      orchestrator_address: HOT,
      orchestrator_url: NODE,
      pipeline: "streamdiffusion-sdxl",
      output_fps: 17.25,
      input_fps: 20.5,
      state: "ONLINE",
      restart_count: 2,
      last_error: "image fetch timeout",
      last_error_time: SENT_MS - 5_000,
      prompt_text: "a cat",
      prompt_width: 768,
      prompt_height: 512,
      params_hash: "99914b932bd37a50b983c5e7c90ae93b",
      start_time: SENT_MS - 10_000,
    }]);
  });

  test("a status event that tells nothing: 0 for numbers, null for what may be unknown, blank for names", () => {
    const nothing = { state: undefined, start_time: undefined, orchestrator_info: undefined };
    const [row] = rowsIn(
      "raw_ai_stream_status",
      status({ ...nothing, inference_status: undefined, input_status: null }),
    );
    const { output_fps, input_fps, restart_count, prompt_width, prompt_height } = row!;
    assert.equal([output_fps, input_fps, restart_count, prompt_width, prompt_height], [0, 0, 0, 0, 0]);
    assert.equal([row!.last_error, row!.last_error_time, row!.prompt_text, row!.start_time], [null, null, null, null]);
    assert.equal([row!.state, row!.params_hash, row!.orchestrator_address, row!.orchestrator_url], ["", "", "", ""]);
  });

  test("a trace event: its own time beside the envelope's", () => {
    const event = trace({ message: "orchestrator is slow" });
    assert.equal(rowsIn("raw_stream_trace_events", event), [{
      ...sessionHead(event.head.uid),
      orchestrator_address: HOT,
      orchestrator_url: NODE,
      trace_type: "gateway_send_first_ingest_segment",
      data_timestamp: SENT_MS - 2,
      message: "orchestrator is slow",
    }]);
  });

  test("a trace event without a time of its own, as swaps are, has the envelope's", () => {
    for (const timestamp of [undefined, null, 0]) {
      const [row] = rowsIn("raw_stream_trace_events", trace({ type: "orchestrator_swap", timestamp }));
      assert.equal([row!.event_timestamp, row!.data_timestamp], [SENT_MS, SENT_MS]);
    }
  });

  test("a stream event", () => {
    const event = eventOf("ai_stream_events", streamEventWire());
    assert.equal(rowsIn("raw_ai_stream_events", event), [{
      ...sessionHead(event.head.uid),
      pipeline: "streamdiffusion-sdxl",
      event_type: "error",
      message: "whip disconnected",
      capability: "",
    }]);
  });

  test("an ingest event: its tracks side by side, missing numbers 0", () => {
    const event = eventOf("stream_ingest_metrics", ingestWire());
    assert.equal(rowsIn("raw_stream_ingest_metrics", event), [{
      ...sessionHead(event.head.uid),
      connection_quality: "good",
      video_jitter: 10.5,
      video_packets_received: 413,
      video_packets_lost: 1,
      video_packet_loss_pct: 0.25,
      video_rtt: 0,
      video_last_input_ts: 5,
      video_latency: 0,
      audio_jitter: 4,
      audio_packets_received: 250,
      audio_packets_lost: 0,
      audio_packet_loss_pct: 0,
      audio_rtt: 0,
      audio_last_input_ts: 0,
      audio_latency: 0,
      bytes_received: 477_890,
      bytes_sent: 4_013,
    }]);
  });

  test("an ingest event whose counter has passed 32 bits keeps it", () => {
    const stats = { peer_conn_stats: { BytesReceived: 2 ** 40 + 1, BytesSent: Number.MAX_SAFE_INTEGER } };
    const [row] = rowsIn("raw_stream_ingest_metrics", eventOf("stream_ingest_metrics", ingestWire({ stats })));
    assert.equal([row!.bytes_received, row!.bytes_sent], [2 ** 40 + 1, Number.MAX_SAFE_INTEGER]);
  });

  test("a payment: wallets and url in normal form, amounts as they were sent", () => {
    const event = eventOf("create_new_payment", paymentWire({ orchestrator: ` ${NODE.toUpperCase()}/` }));
    assert.equal(rowsIn("raw_payment_events", event), [{
      source: "cloud_spe",
      raw_event_uid: event.head.uid,
      event_timestamp: SENT_MS,
      request_id: "db936fab",
      session_id: "01b55632",
      manifest_id: "35_streamdiffusion-sdxl-faceid",
      gateway: "gateway-a",
      sender: "0x5ae4e42db3671370a0c25aff451e7482aaec3d0b",
      recipient: "0xd00354656922168815fcd1e51cbddb9e359e3c7f",
      orchestrator: NODE,
      face_value: "2402400000000000 WEI",
      price: "1635.021 wei/pixel",
      num_tickets: "2",
      win_prob: "0.0009990010",
      client_ip: "",
      capability: "",
    }]);
  });

  test("a payment beyond what a number of JSON holds exactly loses no digit", () => {
    const faceValue = "240240000000000000000000000001 WEI";
    const [row] = rowsIn("raw_payment_events", eventOf("create_new_payment", paymentWire({ faceValue })));
    assert.is(row!.face_value, faceValue);
  });

  test("a discovery: a row per candidate in its order, one that is listed twice has two", () => {
    const candidates = [
      { address: HOT.toUpperCase(), latency_ms: "77", url: `${NODE}/` },
      { address: "0xb", latency_ms: undefined, url: "https://b" },
      { address: HOT, latency_ms: "77", url: NODE },
    ];
    const event = eventOf("discovery_results", discoveryWire(candidates));
    const rows = rowsIn("raw_discovery_results", event);
    assert.equal(
      rows.map((row) => [row.position, row.orchestrator_address, row.orchestrator_url, row.latency_ms]),
      [[0, HOT, NODE, 77], [1, "0xb", "https://b", 0], [2, HOT, NODE, 77]],
    );
    for (const row of rows) assert.is(row.raw_event_uid, event.head.uid);
  });
});

describe("typed rows: which messages have them", (test) => {
  const TABLES: Record<keyof typeof VALID, number> = {
    ai_stream_status: 1,
    stream_trace: 1,
    ai_stream_events: 1,
    stream_ingest_metrics: 1,
    discovery_results: 1,
    create_new_payment: 1,
    network_capabilities: 5,
  };
  for (const [type, tables] of Object.entries(TABLES) as [keyof typeof VALID, number][]) {
    test(`an accepted ${type} has rows in ${tables}`, () => {
      assert.is(typedIn(taken(VALID[type]())).length, tables);
    });

    test(`a ${type} that comes again has no more of them, and no less`, () => {
      const once = taken(VALID[type]());
      const twice = taken(VALID[type](), VALID[type]());
      for (const table of typedIn(twice)) assert.equal(twice.get(table), once.get(table), table);
      assert.is(twice.get("raw_streaming_events")!.length, 2);
    });
  }

  test("refused messages, noise and unknown types have none", () => {
    const unknown = { ...statusWire(), type: "a_new_type" };
    const noise = traceWire({ type: "app_send_stream_request" });
    assert.equal(
      typedIn(taken(statusWire({ stream_id: "" }), unknown, noise, "no JSON", paymentWire({ price: "" }))),
      [],
    );
  });

  test("Attribution007 BlankGatewayRateIsComputable: of four events three have no gateway, and the rows say so", () => {
    const blank = [{ gateway: "" }, { gateway: undefined }, { gateway: null }];
    const rows = [{}, ...blank].flatMap((gateway, at) =>
      rowsIn("raw_ai_stream_status", status({}, { id: `e${at}`, ...gateway }))
    );
    assert.equal([rows.length, rows.filter((row) => row.gateway === "").length], [4, 3]);
  });

  test("every real event is accepted and has rows that its columns can hold", () => {
    const lines = productionLines();
    const rows = taken(...lines);
    const perType = new Map<string, number>();
    for (const line of lines) {
      const { type } = JSON.parse(line) as { type: string };
      perType.set(type, (perType.get(type) ?? 0) + 1);
    }
    const single = {
      raw_ai_stream_status: "ai_stream_status",
      raw_stream_trace_events: "stream_trace",
      raw_ai_stream_events: "ai_stream_events",
      raw_stream_ingest_metrics: "stream_ingest_metrics",
      raw_payment_events: "create_new_payment",
    } as const;
    for (const [table, type] of Object.entries(single)) {
      assert.is(rows.get(table as Table)!.length, perType.get(type), type);
    }
    assert.is(rows.get("raw_streaming_events")!.length, lines.length);
  });
});
