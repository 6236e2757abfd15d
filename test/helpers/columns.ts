/** The bounds of the warehouse's columns, written down a second time, apart from migrations and emit. */
import * as assert from "uvu/assert";
import type { Cell, Row, Table } from "../../src/core/emit/row.ts";

const UINT = (bits: number) => (cell: Cell) =>
  isNumber(cell) && Number.isInteger(cell) && cell >= 0 && cell <= 2 ** bits - 1;
const isNumber = (cell: Cell): cell is number => typeof cell === "number" && Number.isFinite(cell);
/** Bytes are text that is kept as it came. Of a pair of surrogates `u` sees one character: what is left is a lone one. */
const TEXT = (cell: Cell) => cell instanceof Uint8Array || (typeof cell === "string" && !/\p{Surrogate}/u.test(cell));
const INSTANT = (cell: Cell) => isNumber(cell) && Number.isInteger(cell) && cell >= 0 && cell <= 10_413_791_999_999;
const INT32 = (cell: Cell) => isNumber(cell) && Number.isInteger(cell) && cell >= -(2 ** 31) && cell < 2 ** 31;
const FLOAT32 = (cell: Cell) => isNumber(cell) && Number.isFinite(Math.fround(cell));
const UINT64 = (cell: Cell) => UINT(53)(cell);
const UINT128 = (cell: Cell) => typeof cell === "string" && /^\d+$/.test(cell) && BigInt(cell) < 2n ** 128n;
const orNull = (holds: (cell: Cell) => boolean) => (cell: Cell) => cell === null || holds(cell);

const FLOAT64 = isNumber;
const FLAG = (cell: Cell) => cell === 0 || cell === 1;
const listOf = (holds: (cell: Cell) => boolean) => (cell: Cell) => Array.isArray(cell) && cell.every(holds);

/** What every fact states of who served it. */
const IDENTITY = {
  pipeline: TEXT,
  orchestrator_address: TEXT,
  orchestrator_url: TEXT,
  model_id: orNull(TEXT),
  gpu_id: orNull(TEXT),
  gpu_count: UINT(32),
  is_attributed: FLAG,
  unattributed_reason: TEXT,
  gpu_attribution_method: TEXT,
  gpu_attribution_confidence: FLOAT32,
  evidence_level: UINT(8),
  selected_snapshot_uid: TEXT,
  selected_snapshot_ts: orNull(INSTANT),
};
/** What every fact of an event states of it. */
const FACT_EVENT = {
  source: TEXT,
  source_event_uid: TEXT,
  source_event_id: TEXT,
  workflow_session_id: TEXT,
  stream_id: TEXT,
  request_id: TEXT,
  gateway: TEXT,
  version: UINT128,
  is_deleted: FLAG,
};
const SEGMENT = {
  ...IDENTITY,
  start_ts: INSTANT,
  end_ts: orNull(INSTANT),
  reason: TEXT,
  source_trace_type: TEXT,
  source_event_uid: TEXT,
};
const columnsOf = (holds: (cell: Cell) => boolean, names: string) =>
  Object.fromEntries(names.split(" ").map((name) => [name, holds]));

/** The columns that the typed rows of an event begin with, and those of a node. */
const EVENT = { source: TEXT, raw_event_uid: TEXT, event_timestamp: INSTANT };
const SESSION = { ...EVENT, stream_id: TEXT, request_id: TEXT, gateway: TEXT };
const NODE = { ...EVENT, source_event_id: TEXT, orchestrator_address: TEXT, local_address: TEXT, orch_uri: TEXT };

/** The columns of a capability, and of its three families. */
const CAPABILITY = {
  ...{ capability_id: INT32, capability_name: TEXT, capability_group: TEXT, capability_catalog_version: TEXT },
};
const ADVERTISED = { capacity: orNull(UINT64) };
const CONSTRAINT = {
  ...{ model_id: TEXT, runner_version: orNull(TEXT), capacity: orNull(UINT64), capacity_in_use: orNull(UINT64) },
  warm: UINT(8),
};
const PRICE = { constraint_name: orNull(TEXT), price_per_unit: orNull(UINT64), pixels_per_unit: orNull(UINT64) };

/** The columns of one track of a WebRTC input. */
function track(kind: string): Record<string, (cell: Cell) => boolean> {
  const reals = ["jitter", "packet_loss_pct", "rtt", "last_input_ts", "latency"];
  const counts = ["packets_received", "packets_lost"];
  return Object.fromEntries([
    ...reals.map((name) => [`${kind}_${name}`, FLOAT32] as const),
    ...counts.map((name) => [`${kind}_${name}`, UINT(32)] as const),
  ]);
}

/** What the columns of the warehouse hold; a row has exactly these. */
const COLUMNS: Record<Table, Record<string, (cell: Cell) => boolean>> = {
  raw_streaming_events: {
    ...{ source: TEXT, uid: TEXT, stream_sequence: UINT64, subject: TEXT, stream_ts: INSTANT, id: TEXT, type: TEXT },
    ...{
      timestamp: INSTANT,
      gateway: TEXT,
      outcome: TEXT,
      reason: TEXT,
      payload: TEXT,
      payload_encoding: TEXT,
      version: UINT(8),
    },
  },
  raw_streaming_events_dlq: {
    ...{ schema_version: TEXT, source: TEXT, source_topic: TEXT, source_partition: UINT(32), source_offset: UINT64 },
    ...{
      source_record_timestamp: INSTANT,
      event_uid: TEXT,
      event_id: TEXT,
      event_type: TEXT,
      event_version: orNull(TEXT),
    },
    ...{ event_timestamp: orNull(INSTANT), dedup_key: orNull(TEXT), dedup_strategy: orNull(TEXT), replay: UINT(8) },
    ...{ failure_stage: TEXT, failure_class: TEXT, failure_reason: TEXT, failure_details: TEXT },
    ...{ payload_encoding: TEXT, payload_body: TEXT },
  },
  raw_unknown_events: {
    ...{
      source: TEXT,
      raw_event_uid: TEXT,
      event_type: TEXT,
      ingest_timestamp: INSTANT,
      source_topic: TEXT,
      raw_json: TEXT,
    },
  },
  raw_ai_stream_status: {
    ...SESSION,
    ...{ orchestrator_address: TEXT, orchestrator_url: TEXT, pipeline: TEXT, state: TEXT, params_hash: TEXT },
    ...{ output_fps: FLOAT32, input_fps: FLOAT32, restart_count: UINT(32), last_error: orNull(TEXT) },
    ...{ last_error_time: orNull(INSTANT), prompt_text: orNull(TEXT), prompt_width: UINT(16), prompt_height: UINT(16) },
    start_time: orNull(INSTANT),
  },
  raw_stream_trace_events: {
    ...SESSION,
    ...{ orchestrator_address: TEXT, orchestrator_url: TEXT, trace_type: TEXT, data_timestamp: INSTANT, message: TEXT },
  },
  raw_ai_stream_events: { ...SESSION, pipeline: TEXT, event_type: TEXT, message: TEXT, capability: TEXT },
  raw_stream_ingest_metrics: {
    ...SESSION,
    ...{ connection_quality: TEXT, bytes_received: UINT64, bytes_sent: UINT64 },
    ...track("video"),
    ...track("audio"),
  },
  raw_discovery_results: {
    ...EVENT,
    ...{ position: UINT(32), gateway: TEXT, orchestrator_address: TEXT, orchestrator_url: TEXT, latency_ms: UINT(32) },
  },
  raw_payment_events: {
    ...EVENT,
    ...{ request_id: TEXT, session_id: TEXT, manifest_id: TEXT, gateway: TEXT, sender: TEXT, recipient: TEXT },
    ...{ orchestrator: TEXT, face_value: TEXT, price: TEXT, num_tickets: TEXT, win_prob: TEXT, client_ip: TEXT },
    capability: TEXT,
  },
  raw_network_capabilities: {
    ...NODE,
    ...{
      pipeline: TEXT,
      model_id: TEXT,
      gpu_id: orNull(TEXT),
      gpu_name: orNull(TEXT),
      gpu_memory_total: orNull(UINT64),
    },
    ...{ gpu_memory_free: orNull(UINT64), gpu_major: orNull(UINT(8)), gpu_minor: orNull(UINT(8)) },
    ...{ capability_id: orNull(INT32), capability_name: orNull(TEXT), capability_group: orNull(TEXT) },
    ...{ capability_catalog_version: TEXT, runner_version: orNull(TEXT), capacity: orNull(UINT64) },
    ...{ capacity_in_use: orNull(UINT64), warm: orNull(UINT(8)), price_per_unit: orNull(UINT64) },
    ...{ pixels_per_unit: orNull(UINT64), orchestrator_version: TEXT },
  },
  raw_network_capabilities_advertised: { ...NODE, ...CAPABILITY, ...ADVERTISED },
  raw_network_capabilities_model_constraints: { ...NODE, ...CAPABILITY, ...CONSTRAINT },
  raw_network_capabilities_prices: { ...NODE, ...CAPABILITY, ...PRICE },
  dim_orchestrator_capability_snapshots: {
    ...{
      source: TEXT,
      source_event_uid: TEXT,
      source_event_id: TEXT,
      snapshot_ts: INSTANT,
      orchestrator_address: TEXT,
    },
    ...{
      orchestrator_proxy_address: TEXT,
      orchestrator_url: TEXT,
      pipeline: TEXT,
      model_id: TEXT,
      capability_id: INT32,
    },
    ...{ capability_name: TEXT, capability_group: TEXT, capability_catalog_version: TEXT, gpu_id: orNull(TEXT) },
    ...{
      gpu_name: orNull(TEXT),
      gpu_memory_total: orNull(UINT64),
      gpu_major: orNull(UINT(8)),
      gpu_minor: orNull(UINT(8)),
    },
    ...{ runner_version: orNull(TEXT), region: orNull(TEXT) },
  },
  fact_stream_status_samples: {
    ...{ source: TEXT, source_event_uid: TEXT, source_event_id: TEXT, sample_ts: INSTANT, workflow_session_id: TEXT },
    ...{
      stream_id: TEXT,
      request_id: TEXT,
      gateway: TEXT,
      orchestrator_address: TEXT,
      orchestrator_url: TEXT,
      pipeline: TEXT,
    },
    ...{ model_id: orNull(TEXT), gpu_id: orNull(TEXT), gpu_count: UINT(32), region: orNull(TEXT), state: TEXT },
    ...{ output_fps: FLOAT32, input_fps: FLOAT32, is_attributed: UINT(8), unattributed_reason: TEXT },
    ...{ gpu_attribution_method: TEXT, gpu_attribution_confidence: FLOAT32, evidence_level: UINT(8) },
    ...{ selected_snapshot_uid: TEXT, selected_snapshot_ts: orNull(INSTANT), version: UINT128, is_deleted: UINT(8) },
  },
  fact_stream_trace_edges: {
    ...FACT_EVENT,
    ...IDENTITY,
    ...{ edge_ts: INSTANT, trace_type: TEXT, trace_category: TEXT, is_swap_event: FLAG },
  },
  fact_stream_ingest_samples: {
    ...FACT_EVENT,
    ...{ sample_ts: INSTANT, connection_quality: TEXT, bytes_received: UINT64, bytes_sent: UINT64 },
    ...columnsOf(FLOAT32, "video_jitter audio_jitter video_latency audio_latency"),
  },
  fact_workflow_param_updates: { ...FACT_EVENT, ...IDENTITY, update_ts: INSTANT, update_type: TEXT, message: TEXT },
  fact_lifecycle_edge_coverage: {
    ...FACT_EVENT,
    ...IDENTITY,
    ...{ signal_ts: INSTANT, trace_type: TEXT, unmatched_reason: TEXT },
    ...columnsOf(FLAG, "known_stream has_first_processed_edge has_first_playable_edge startup_edge_matched"),
    ...columnsOf(FLAG, "playable_edge_matched is_terminal_signal"),
  },
  fact_workflow_sessions: {
    ...{ source: TEXT, workflow_session_id: TEXT, workflow_type: TEXT, workflow_id: TEXT, stream_id: TEXT },
    ...{ request_id: TEXT, session_id: TEXT, gateway: TEXT, region: orNull(TEXT) },
    ...IDENTITY,
    ...columnsOf(FLAG, "has_model_change has_pipeline_change known_stream startup_success startup_excused"),
    ...columnsOf(FLAG, "startup_unexcused last_error_occurred loading_only_session zero_output_fps_session"),
    ...columnsOf(FLAG, "completed restart_seen degraded_input_seen degraded_inference_seen is_deleted"),
    ...columnsOf(UINT(32), "confirmed_swap_count inferred_orchestrator_change_count swap_count error_count"),
    ...columnsOf(UINT(32), "excusable_error_count error_count_before_playable error_count_after_playable"),
    ...columnsOf(UINT(32), "excusable_error_count_before_playable excusable_error_count_after_playable"),
    ...columnsOf(UINT(32), "status_sample_count status_error_sample_count health_signal_count"),
    ...columnsOf(UINT(32), "health_expected_signal_count event_count"),
    ...{ health_completeness_ratio: FLOAT32, session_start_ts: INSTANT, session_end_ts: INSTANT },
    ...columnsOf(orNull(INSTANT), "first_stream_request_ts first_processed_ts first_playable_ts"),
    ...columnsOf(orNull(FLOAT64), "prompt_to_first_frame_ms startup_time_ms e2e_latency_ms"),
    ...{ source_first_event_uid: TEXT, source_last_event_uid: TEXT, version: UINT128 },
    ...Object.fromEntries(Object.entries(SEGMENT).map(([name, holds]) => [`segments.${name}`, listOf(holds)])),
  },
};

/** Throws at a row with other columns than its table, or with a cell that its column could not hold. */
export function checkCells(rows: ReadonlyMap<Table, readonly Row[]>): void {
  for (const [table, list] of rows) {
    const columns = COLUMNS[table];
    const names = Object.keys(columns).sort().join();
    for (const row of list) {
      if (Object.keys(row).sort().join() !== names) {
        assert.equal(Object.keys(row).sort(), Object.keys(columns).sort(), table);
      }
      for (const name in columns) {
        if (!columns[name]!(row[name]!)) {
          assert.unreachable(`${table}.${name}: ${JSON.stringify(row[name])?.slice(0, 100)}`);
        }
      }
    }
  }
}
