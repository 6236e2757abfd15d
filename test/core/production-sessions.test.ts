/**
 * The five bundled production sessions and that of the gateway's log: their rows, written down by hand from the
 * events and from what the predecessor recorded of its reference run (request, start, outcome, errors, output,
 * health). It left both sessions with a swap unattributed for want of a match by url; here the url names their node.
 *
 * Times are milliseconds after the request.
 */
import * as assert from "uvu/assert";
import type { Row } from "../../src/core/emit/row.ts";
import { type Facts, idOf, whateverOrder } from "../helpers/facts.ts";
import { productionEvents, productionFiles } from "../helpers/production.ts";
import { describe } from "../helpers/suite.ts";
import { HOUR_MS, states } from "../helpers/world.ts";

const LIVE = "live-video-to-video";
const REQUEST = "gateway_receive_stream_request";
const CLOSE = "gateway_ingest_stream_closed";
const BORROWED = "segment_window_join";

/** Its facts in the order of the file, from behind, and with the snapshots last. */
function factsOf(requestId: string): Facts {
  const file = productionFiles().find((name) => name.includes(requestId))!;
  const events = productionEvents(file);
  const isSnapshot = (wire: (typeof events)[number]) => wire.envelope.type === "network_capabilities";
  const snapshotsLast = [...events.filter((one) => !isSnapshot(one)), ...events.filter(isSnapshot)];
  return whateverOrder(events, [[...events].reverse(), snapshotsLast], { allowedLatenessMs: 100 * HOUR_MS });
}

const short = (uid: Row[string] | undefined): string => idOf(uid).slice(0, 8);

/** Trace type, how it is attributed or why not, and how far the session had come by then; in the order of the edges. */
function edgesOf(all: Facts): [type: string, attribution: string, coverage: string][] {
  const coverage = new Map(all.of("fact_lifecycle_edge_coverage").map((row) => [row.source_event_uid, row]));
  const rows = [...all.of("fact_stream_trace_edges")].sort((a, b) => Number(a.edge_ts) - Number(b.edge_ts));
  return rows.map((row) => [
    String(row.trace_type),
    String(row.unattributed_reason || row.gpu_attribution_method),
    String(coverage.get(row.source_event_uid!)!.unmatched_reason),
  ]);
}

/** What the three kinds of session have in common. */
const SUCCESS = {
  known_stream: 1,
  startup_success: 1,
  startup_excused: 0,
  startup_unexcused: 0,
  last_error_occurred: 0,
  status_error_sample_count: 0,
  loading_only_session: 0,
  zero_output_fps_session: 0,
  restart_seen: 0,
  health_signal_count: 3,
  health_expected_signal_count: 3,
  health_completeness_ratio: 1,
  inferred_orchestrator_change_count: 0,
  has_model_change: 0,
  has_pipeline_change: 0,
  workflow_id: "ai_live_video_stream",
};

const EXCUSED = {
  known_stream: 1,
  startup_success: 0,
  startup_excused: 1,
  startup_unexcused: 0,
  completed: 1,
  error_count: 2,
  excusable_error_count: 2,
  error_count_before_playable: 2,
  error_count_after_playable: 0,
  last_error_occurred: 0,
  status_sample_count: 0,
  loading_only_session: 0,
  zero_output_fps_session: 0,
  health_signal_count: 0,
  health_expected_signal_count: 3,
  health_completeness_ratio: 0,
  swap_count: 0,
  prompt_to_first_frame_ms: null,
  startup_time_ms: null,
  e2e_latency_ms: null,
};

const NOBODY = {
  is_attributed: 0,
  unattributed_reason: "no_orchestrator",
  orchestrator_address: "",
  orchestrator_url: "",
  pipeline: "",
  model_id: null,
  gpu_id: null,
  gpu_count: 0,
  gpu_attribution_method: "none",
  gpu_attribution_confidence: 0,
  evidence_level: 0,
  selected_snapshot_uid: "",
  selected_snapshot_ts: null,
};

/** Attributed by url and wallet on a snapshot from before. */
const ATTRIBUTED = {
  is_attributed: 1,
  unattributed_reason: "",
  pipeline: LIVE,
  gpu_count: 1,
  gpu_attribution_method: "node_match",
  gpu_attribution_confidence: 0.9,
  evidence_level: 6,
};

const NOT_PROCESSED = "awaiting_first_processed_segment_edge";
const NOT_PLAYABLE = "awaiting_playable_edge";

describe("production sessions", (test) => {
  test("ebeb78b7: a clean success on one orchestrator", () => {
    const T = Date.parse("2026-02-25T20:43:11.605Z");
    const all = factsOf("ebeb78b7");
    const identity = {
      ...ATTRIBUTED,
      orchestrator_address: "0x9d61ae5875e89036fbf6059f3116d01a22ace3c8",
      orchestrator_url: "https://rtv.nullworks.xyz:9924",
      model_id: "streamdiffusion-sdxl",
      gpu_id: "GPU-1e7025d4-a3dd-5371-daec-b666af6ec29c",
      selected_snapshot_ts: 1_772_052_169_295,
    };
    const row = all.session("ebeb78b7");
    states(row, {
      ...SUCCESS,
      ...identity,
      session_start_ts: T,
      session_end_ts: T + 43_657,
      completed: 1,
      event_count: 12,
      status_sample_count: 4,
      degraded_input_seen: 1,
      degraded_inference_seen: 0,
      swap_count: 0,
      error_count: 1,
      excusable_error_count: 1,
      error_count_after_playable: 1,
      prompt_to_first_frame_ms: 11_282,
      startup_time_ms: 2_014,
      e2e_latency_ms: 13_296,
      gateway: "cloud-spe-ai-live-video-tester-fra",
    });
    assert.is(short(row.selected_snapshot_uid), "d5c7cb37");
    assert.equal([short(row.source_first_event_uid), short(row.source_last_event_uid)], ["0bc953d8", "9d5fd42b"]);
    const [segment, ...more] = all.segments("ebeb78b7");
    assert.equal(more, []);
    states(segment!, {
      ...identity,
      start_ts: T,
      end_ts: T + 43_657,
      reason: "stream_closed",
      source_trace_type: CLOSE,
    });
    assert.is(short(segment!.source_event_uid), "9d5fd42b");
    assert.equal(edgesOf(all), [
      [REQUEST, "pre_assignment", NOT_PROCESSED],
      ["runner_send_first_processed_segment", "node_match", NOT_PROCESSED],
      ["gateway_send_first_ingest_segment", "node_match", NOT_PROCESSED],
      ["gateway_receive_first_processed_segment", "node_match", NOT_PLAYABLE],
      ["runner_receive_first_ingest_segment", "node_match", NOT_PLAYABLE],
      ["gateway_receive_few_processed_segments", "node_match", ""],
      [CLOSE, BORROWED, ""],
    ]);
    const samples = all.of("fact_stream_status_samples");
    assert.is(samples.length, 4);
    for (const one of samples) states(one, identity);
  });

  test("a06463a9: no orchestrator was available, then the stream was closed", () => {
    const T = Date.parse("2026-02-25T20:43:03.709Z");
    const all = factsOf("a06463a9");
    const row = all.session("a06463a9");
    states(row, { ...EXCUSED, ...NOBODY, session_start_ts: T, session_end_ts: T + 2_284, event_count: 5 });
    assert.equal([short(row.source_first_event_uid), short(row.source_last_event_uid)], ["1ad8c61a", "d137ce43"]);
    const [segment, ...more] = all.segments("a06463a9");
    assert.equal(more, []);
    states(segment!, { ...NOBODY, start_ts: T, end_ts: T + 2_284, reason: "stream_closed", source_trace_type: CLOSE });
    assert.equal(edgesOf(all), [
      [REQUEST, "no_orchestrator", NOT_PROCESSED],
      ["gateway_no_orchestrators_available", "no_orchestrator", NOT_PROCESSED],
      [CLOSE, "no_orchestrator", "missing_first_processed_segment_edge"],
    ]);
  });

  test("6806f180: no orchestrator within two seconds, which only an error tells", () => {
    const T = Date.parse("2026-02-25T20:30:10.114Z");
    const all = factsOf("6806f180");
    states(all.session("6806f180"), {
      ...EXCUSED,
      ...NOBODY,
      session_start_ts: T,
      session_end_ts: T + 2_271,
      event_count: 4,
    });
    const [segment, ...more] = all.segments("6806f180");
    assert.equal(more, []);
    states(segment!, { ...NOBODY, start_ts: T, end_ts: T + 2_271, reason: "stream_closed" });
    assert.equal(edgesOf(all), [
      [REQUEST, "no_orchestrator", NOT_PROCESSED],
      [CLOSE, "no_orchestrator", "missing_first_processed_segment_edge"],
    ]);
  });

  test("bd1cd871: a swap that finds no second orchestrator; attributed by url", () => {
    const T = Date.parse("2026-02-25T19:29:25.640Z");
    const all = factsOf("bd1cd871");
    const identity = {
      ...ATTRIBUTED,
      orchestrator_address: "0x66970f8b4a5376ed7961e8633a83809e49ad809d",
      orchestrator_url: "https://server.ai-bitbender.xyz:1112",
      model_id: "streamdiffusion-sdxl-v2v",
      gpu_id: "GPU-9d15ed34-1a0e-af63-6cfd-9fe8fee4619a",
      selected_snapshot_ts: 1_772_047_719_872,
    };
    const row = all.session("bd1cd871");
    states(row, {
      ...SUCCESS,
      ...identity,
      session_start_ts: T,
      session_end_ts: T + 73_020,
      completed: 1,
      event_count: 16,
      status_sample_count: 2,
      degraded_input_seen: 0,
      degraded_inference_seen: 0,
      confirmed_swap_count: 1,
      swap_count: 1,
      error_count: 5,
      excusable_error_count: 2,
      error_count_before_playable: 0,
      error_count_after_playable: 5,
      excusable_error_count_before_playable: 0,
      excusable_error_count_after_playable: 2,
      prompt_to_first_frame_ms: 10_777,
      startup_time_ms: 1_745,
      e2e_latency_ms: 12_522,
    });
    assert.is(short(row.selected_snapshot_uid), "bdb0ff6f");
    // Errors come for half a minute after the close, which they do not undo.
    const [segment, ...more] = all.segments("bd1cd871");
    assert.equal(more, []);
    states(segment!, {
      ...identity,
      start_ts: T,
      end_ts: T + 39_500,
      reason: "stream_closed",
      source_trace_type: CLOSE,
    });
    assert.is(short(segment!.source_event_uid), "5635ea41");
    assert.equal(edgesOf(all), [
      [REQUEST, "pre_assignment", NOT_PROCESSED],
      ["runner_send_first_processed_segment", "node_match", NOT_PROCESSED],
      ["gateway_send_first_ingest_segment", "node_match", NOT_PROCESSED],
      ["gateway_receive_first_processed_segment", "node_match", NOT_PLAYABLE],
      ["runner_receive_first_ingest_segment", "node_match", NOT_PLAYABLE],
      ["gateway_receive_few_processed_segments", "node_match", ""],
      ["orchestrator_swap", "node_match", ""],
      ["gateway_no_orchestrators_available", BORROWED, ""],
      [CLOSE, BORROWED, ""],
    ]);
    const swaps = all.of("fact_stream_trace_edges").filter((one) => one.is_swap_event === 1);
    assert.equal(swaps.map((one) => short(one.source_event_uid)), ["3ffae517"]);
    // It names the orchestrator that is given up, and its time is the envelope's.
    states(swaps[0]!, { ...identity, edge_ts: T + 36_845, trace_category: "orchestrator" });
  });

  test("c40084e7: a wallet that serves two orchestrators; attributed by url", () => {
    const T = Date.parse("2026-02-25T18:12:50.697Z");
    const all = factsOf("c40084e7");
    const identity = {
      ...ATTRIBUTED,
      orchestrator_address: "0x733da28b0145ff561868e408d2ac8565ebe73aab",
      orchestrator_url: "https://legiocorp.link:8777",
      model_id: "streamdiffusion-sdxl-v2v",
      gpu_id: "GPU-58290a4a-4431-fd4b-cef7-e664c3c7d4cb",
      selected_snapshot_ts: 1_772_043_169_295,
    };
    const row = all.session("c40084e7");
    states(row, {
      // The runner restarted two hours before this stream began, so no restart is the session's.
      ...SUCCESS,
      ...identity,
      session_start_ts: T,
      session_end_ts: T + 53_110,
      completed: 1,
      event_count: 13,
      status_sample_count: 5,
      degraded_input_seen: 1,
      degraded_inference_seen: 0,
      swap_count: 0,
      error_count: 1,
      excusable_error_count: 1,
      error_count_after_playable: 1,
      prompt_to_first_frame_ms: 19_389,
      startup_time_ms: 2_598,
      e2e_latency_ms: 21_987,
    });
    assert.is(short(row.selected_snapshot_uid), "4b35fc67");
    const [segment, ...more] = all.segments("c40084e7");
    assert.equal(more, []);
    states(segment!, {
      ...identity,
      start_ts: T,
      end_ts: T + 53_110,
      reason: "stream_closed",
      source_trace_type: CLOSE,
    });
    assert.is(short(segment!.source_event_uid), "ca7f62b0");
    assert.equal(edgesOf(all), [
      [REQUEST, "pre_assignment", NOT_PROCESSED],
      ["runner_send_first_processed_segment", "node_match", NOT_PROCESSED],
      ["gateway_send_first_ingest_segment", "node_match", NOT_PROCESSED],
      ["gateway_receive_first_processed_segment", "node_match", NOT_PLAYABLE],
      ["runner_receive_first_ingest_segment", "node_match", NOT_PLAYABLE],
      ["gateway_receive_few_processed_segments", "node_match", ""],
      [CLOSE, BORROWED, ""],
    ]);
  });

  test("db936fab of the gateway's log of 2026-01-08: attributed on a snapshot that comes 76 seconds after its request", () => {
    const T = 1_767_908_945_298;
    const snapshotAt = 1_767_909_021_590;
    const all = factsOf("gateway_log_2026-01-08");
    const identity = {
      ...ATTRIBUTED,
      orchestrator_address: "0xd00354656922168815fcd1e51cbddb9e359e3c7f",
      orchestrator_url: "https://rtav-orch2.xodeapp.xyz:28935",
      model_id: "streamdiffusion-sdxl-faceid",
      gpu_id: "GPU-a8d13655-197b-2226-d09f-b4b81e07504b",
      selected_snapshot_ts: snapshotAt,
    };
    const row = all.session("db936fab");
    states(row, {
      ...SUCCESS,
      ...identity,
      session_start_ts: T,
      session_end_ts: T + 170_312,
      completed: 0,
      event_count: 23,
      status_sample_count: 17,
      degraded_input_seen: 0,
      degraded_inference_seen: 1,
      swap_count: 0,
      error_count: 0,
      prompt_to_first_frame_ms: 2_655,
      startup_time_ms: 4_089,
      e2e_latency_ms: 6_744,
      gateway: "",
    });
    assert.equal([short(row.source_first_event_uid), short(row.source_last_event_uid)], ["59485235", "8b35b1b6"]);
    const [segment, ...more] = all.segments("db936fab");
    assert.equal(more, []);
    states(segment!, {
      ...identity,
      start_ts: T,
      end_ts: null,
      reason: "initial",
      source_trace_type: "gateway_receive_few_processed_segments",
    });
    assert.equal(edgesOf(all), [
      [REQUEST, "pre_assignment", NOT_PROCESSED],
      ["gateway_send_first_ingest_segment", "node_match", NOT_PROCESSED],
      ["runner_receive_first_ingest_segment", "node_match", NOT_PROCESSED],
      ["runner_send_first_processed_segment", "node_match", NOT_PROCESSED],
      ["gateway_receive_first_processed_segment", "node_match", NOT_PLAYABLE],
      ["gateway_receive_few_processed_segments", "node_match", ""],
    ]);
    // All edges lie before the snapshot.
    for (const one of all.of("fact_stream_trace_edges").filter((one) => one.is_attributed === 1)) {
      states(one, { ...identity, gpu_attribution_confidence: 0.7 });
    }
    const ingest = all.of("fact_stream_ingest_samples");
    assert.is(ingest.length, 34);
    states(ingest.find((one) => one.sample_ts === T + 5_310)!, {
      workflow_session_id: "stream-o5s73x-mk5zc8fy|db936fab",
      connection_quality: "good",
      video_jitter: 10.126770701625134,
      audio_jitter: 20.29064497237114,
      bytes_received: 477_890,
      bytes_sent: 4_013,
    });
  });
});
