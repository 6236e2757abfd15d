/** For every assertion of every pack, what must make it fail: each way apart where it has several. */
import type { Changes } from "./corruption.ts";

/** The table or view with some columns replaced. */
const put = (name: string, replace: string): Changes => ({
  [name]: `SELECT * REPLACE (${replace}) FROM sound.${name}`,
});

/** Only the rows for which a condition holds; none by default. */
const only = (name: string, condition = "0"): Changes => ({ [name]: `SELECT * FROM sound.${name} WHERE ${condition}` });

/** What is there and some rows more, the same with some columns replaced. */
const more = (name: string, replace: string): Changes => ({
  [name]: `SELECT * FROM sound.${name} UNION ALL SELECT * REPLACE (${replace}) FROM sound.${name}`,
});

const twice = (name: string): Changes => ({
  [name]: `SELECT * FROM sound.${name} UNION ALL SELECT * FROM sound.${name}`,
});

/** A view as it was, whatever becomes of what it reads. */
const asItWas = (name: string): Changes => ({ [name]: `SELECT * FROM sound.${name}` });

const without = (name: string, column: string): Changes => ({
  [name]: `SELECT * EXCEPT (${column}) FROM sound.${name}`,
});

const SAMPLES = "fact_stream_status_samples";
const EDGES = "fact_stream_trace_edges";
const SESSIONS = "fact_workflow_sessions";
const SEGMENTS = "fact_workflow_session_segments_current";
const LATENCIES = "fact_workflow_latency_samples_current";
const SNAPSHOTS = "dim_orchestrator_capability_snapshots";
const PRICES = "dim_orchestrator_capability_prices";
const ROLLUP = "agg_stream_performance_1m";
const GPU = "v_api_gpu_metrics";
const DEMAND = "v_api_network_demand";
const BY_GPU = "v_api_network_demand_by_gpu";
const SLA = "v_api_sla_compliance";

const UNATTRIBUTED = "0 AS is_attributed, 'no_snapshot' AS unattributed_reason";
const HOUR_LATER = "window_start + INTERVAL 1 HOUR AS window_start";

/** Facts that are projected from a typed table: rows missing on either side, and rows twice. */
const projection = (typed: string, fact: string): Changes[] => [
  only(typed, "raw_event_uid != (SELECT max(raw_event_uid) FROM sound." + typed + ")"),
  only(fact, "source_event_uid != (SELECT max(source_event_uid) FROM sound." + fact + ")"),
  twice(`${fact}_current`),
];

export const CORRUPTIONS: Readonly<Record<string, Readonly<Record<string, readonly Changes[]>>>> = {
  raw_typed: {
    raw_typed_accepted_estimate_nonnegative: [
      only("raw_streaming_events_dlq"),
      only("raw_streaming_events", "outcome != 'rejected'"),
    ],
    raw_typed_no_dlq_or_quarantine_for_core_types: [
      put("raw_streaming_events", "if(type = 'stream_trace', 'rejected', toString(outcome)) AS outcome"),
      put("raw_streaming_events", "if(type = 'ai_stream_events', 'ignored', toString(outcome)) AS outcome"),
      put("raw_streaming_events", "if(type = 'stream_trace', 'ignored', toString(outcome)) AS outcome"),
    ],
    raw_typed_core_1to1_parity: [
      only("raw_ai_stream_status"),
      put("raw_stream_ingest_metrics", "concat(raw_event_uid, 'x') AS raw_event_uid"),
      only("raw_streaming_events", "type != 'stream_trace'"),
    ],
    raw_typed_network_capabilities_expected_in_window: [
      only("raw_streaming_events", "type != 'network_capabilities'"),
    ],
    raw_typed_network_capabilities_fanout_guard: [
      put("raw_network_capabilities_prices", "'nobody' AS raw_event_uid"),
    ],
  },
  pipeline: {
    raw_events_present: ["raw_streaming_events", "raw_ai_stream_status", "raw_stream_trace_events"].map((one) =>
      only(one)
    ),
    capability_dimension_mvs_present: [{ [PRICES]: null }],
    capability_dimensions_projecting: [
      only(SNAPSHOTS),
      only("dim_orchestrator_capability_advertised_snapshots"),
      only("dim_orchestrator_capability_model_constraints"),
      only(PRICES),
    ],
    capability_snapshot_gpu_coverage: [
      only(SNAPSHOTS, `gpu_id IS NULL OR gpu_id != (SELECT max(gpu_id) FROM sound.${SNAPSHOTS})`),
      more(SNAPSHOTS, "'GPU-more' AS gpu_id"),
      only("raw_network_capabilities", "gpu_id IS NOT NULL"),
    ],
    capability_prices_key_multiplicity_guard: [twice(PRICES)],
    session_fact_present: [only(SESSIONS)],
    core_raw_to_silver_gold_nonempty: [only(SAMPLES), only(EDGES), only(SESSIONS), only("raw_streaming_events")],
    network_capabilities_raw_and_typed_present: [
      only("raw_network_capabilities"),
      only("raw_streaming_events", "type != 'network_capabilities'"),
    ],
    status_raw_to_silver_projection: projection("raw_ai_stream_status", SAMPLES),
    trace_raw_to_silver_projection: projection("raw_stream_trace_events", EDGES),
    ingest_raw_to_silver_projection: projection("raw_stream_ingest_metrics", "fact_stream_ingest_samples"),
    session_final_uniqueness: [twice(`${SESSIONS}_current`)],
    workflow_session_has_identifier: [put(SESSIONS, "'' AS workflow_session_id")],
    swap_signal_split_consistency: [put(SESSIONS, "swap_count + 1 AS swap_count")],
    gold_sessions_use_canonical_orchestrator_identity: [
      put(SESSIONS, "if(is_attributed = 1, '0xhot', '') AS orchestrator_address"),
      put(SESSIONS, "'another' AS selected_snapshot_uid"),
    ],
    swapped_sessions_have_evidence: [
      put(SESSIONS, "1 AS confirmed_swap_count"),
      put(SESSIONS, "1 AS inferred_orchestrator_change_count"),
    ],
    param_updates_reference_existing_session: [put("fact_workflow_param_updates", "'nowhere' AS workflow_session_id")],
    latest_sessions_vs_segment_session_ids: [
      only(SEGMENTS),
      more(SEGMENTS, "'nowhere' AS workflow_session_id"),
    ],
    raw_session_rows_vs_latest_sessions: [{ ...only(SESSIONS), ...asItWas(`${SESSIONS}_current`) }],
    segment_rows_vs_segment_session_ids: [
      put(SEGMENTS, "segment_index + 1 AS segment_index"),
      twice(SEGMENTS),
      put(SEGMENTS, "if(segment_index = 1, segment_start_ts - INTERVAL 1 DAY, segment_start_ts) AS segment_start_ts"),
    ],
    mixed_known_stream_versions: [more(SESSIONS, "0 AS known_stream, version + 1000000 AS version")],
    session_summary_change_flags_consistency: [
      put(SESSIONS, "1 AS has_model_change"),
      put(SESSIONS, "1 AS has_pipeline_change"),
    ],
    lifecycle_session_pipeline_model_compatible: [put(SESSIONS, "ifNull(model_id, '') AS pipeline")],
    lifecycle_unattributed_pipeline_not_model_id: [
      put(SESSIONS, UNATTRIBUTED),
      put(SAMPLES, UNATTRIBUTED),
      put(EDGES, "if(is_attributed = 0, '', toString(unattributed_reason)) AS unattributed_reason"),
    ],
    session_to_segment_pipeline_model_consistency: [
      put(SESSIONS, "'0xother' AS orchestrator_address"),
      put(SESSIONS, "'GPU-other' AS gpu_id"),
    ],
    session_to_latency_pipeline_model_consistency: [put(LATENCIES, "'other' AS pipeline"), only(LATENCIES)],
    session_to_status_projection_consistency: [
      put(SAMPLES, "if(is_attributed = 1, '0xother', '') AS orchestrator_address"),
      put(SAMPLES, "if(is_attributed = 1, 'other', NULL) AS model_id"),
      only(SESSIONS),
    ],
    status_vs_segment_identity_consistency: [
      put(SAMPLES, "transform(orchestrator_address, ['0xca', '0xcb'], ['0xcb', '0xca']) AS orchestrator_address"),
    ],
    latency_vs_segment_identity_consistency: [put(LATENCIES, "'0xother' AS orchestrator_address"), only(SEGMENTS)],
    trace_edge_pipeline_model_coverage: [put(EDGES, "'' AS pipeline")],
    proxy_to_canonical_multiplicity_guard: [more(SNAPSHOTS, "'0xanother' AS orchestrator_address")],
    silver_empty_key_rate: [put(SAMPLES, UNATTRIBUTED)],
    session_attribution_proportions: [put(SESSIONS, UNATTRIBUTED)],
    unresolved_late_corrections: [
      put(SAMPLES, UNATTRIBUTED),
      put(SAMPLES, `${UNATTRIBUTED}, '' AS orchestrator_url`),
    ],
    agg_stream_performance_1m_matches_status_samples: [
      only(ROLLUP),
      only(SAMPLES),
      put(ROLLUP, "'other' AS gateway"),
      put(SAMPLES, "output_fps + 1 AS output_fps"),
      put(SAMPLES, "concat(workflow_session_id, toString(rand())) AS workflow_session_id"),
    ],
    rollup_minutes_have_all_evidence: [
      only(ROLLUP),
      put(SAMPLES, "version + 1 AS version"),
      put(ROLLUP, "version + 1 AS version"),
    ],
    rollup_empty_key_rate: [
      put(`${ROLLUP}_current`, "'' AS orchestrator_address"),
      put(`${ROLLUP}_current`, "'' AS model_id"),
    ],
    gpu_view_no_perf_only_orphan_rows: [only(SESSIONS)],
    gpu_view_covers_healthy_attributed_session_keys: [only(GPU), put(GPU, "'GPU-other' AS gpu_id")],
    demand_has_rows_for_all_session_hours: [only(DEMAND)],
    gpu_count_delta_explained_by_key_overlap: [twice(GPU), twice(`${ROLLUP}_current`)],
    gpu_view_matches_rollup: [
      put(GPU, "'0xother' AS orchestrator_address"),
      put(GPU, "avg_output_fps + 1 AS avg_output_fps"),
      put(GPU, "status_samples + 1 AS status_samples"),
      only(GPU, `window_start = (SELECT min(window_start) FROM sound.${GPU})`),
      { ...only(ROLLUP), ...asItWas(GPU) },
    ],
    gpu_view_matches_status_samples: [
      put(GPU, "'0xother' AS orchestrator_address"),
      put(GPU, "avg_output_fps + 1 AS avg_output_fps"),
      only(GPU, `window_start = (SELECT min(window_start) FROM sound.${GPU})`),
      only(SAMPLES),
      put(SAMPLES, "'GPU-other' AS gpu_id"),
    ],
    parity_overlap_health: [only(ROLLUP), only(SAMPLES), put(GPU, "'0xother' AS orchestrator_address")],
    network_demand_counts_aligned_to_rollup: [only(DEMAND), put(DEMAND, "'other' AS gateway")],
    network_demand_view_matches_rollup: [
      put(DEMAND, "known_sessions + 1 AS known_sessions"),
      put(DEMAND, "avg_output_fps + 1 AS avg_output_fps"),
      put(DEMAND, "total_minutes + 1 AS total_minutes"),
      put(DEMAND, "'other' AS gateway"),
      only(DEMAND),
    ],
    network_demand_effective_success_not_above_startup_success: [
      put(DEMAND, "startup_success_ratio + 1 AS success_ratio"),
    ],
    network_demand_effective_success_penalizes_failure_indicators: [put(DEMAND, "1. AS success_ratio")],
    network_demand_model_split_conservation: [put(DEMAND, "2 * total_minutes AS total_minutes"), only(DEMAND)],
    network_demand_join_multiplicity_guard: [twice(DEMAND), twice(BY_GPU)],
    network_demand_pipeline_join_inflation_guard: [more(DEMAND, "'other' AS model_id")],
    preexisting_grain_drift_baseline_gpu_sla: [put(GPU, "known_sessions + 1 AS known_sessions"), only(GPU)],
    sla_counts_aligned_to_raw_latest_sessions: [only(SLA), put(SLA, "'0xother' AS orchestrator_address")],
    sla_view_matches_session_fact: [
      put(SLA, "known_sessions + 1 AS known_sessions"),
      put(SLA, "'0xother' AS orchestrator_address"),
      only(SLA),
    ],
    view_count_grain_ordering: [put(BY_GPU, "2 * used_inference_minutes AS used_inference_minutes"), only(BY_GPU)],
    sla_ratios_in_bounds: [put(SLA, "1.5 AS success_ratio"), put(SLA, "101. AS sla_score")],
    terminal_tail_artifact_filtered_in_gpu_sla: [more(GPU, HOUR_LATER), more(SLA, HOUR_LATER)],
    same_hour_failed_no_output_retained_in_gpu_sla: [only(GPU), only(SLA)],
    active_no_output_rows_retained_in_gpu_sla: [only(GPU), only(SLA)],
    gold_pipeline_empty_hotspots_diagnostic: [put(GPU, "'' AS pipeline"), put(SLA, "'' AS pipeline")],
    serving_views_do_not_reference_typed_raw_tables: [{ [GPU]: "SELECT * FROM raw_ai_stream_status" }],
    single_authoritative_writer: [
      only("attribution_writer"),
      put("attribution_writer", "'somebody' AS writer"),
      put("attribution_writer", "'mv' AS writer"),
      put(SAMPLES, "toUInt128(1) AS version"),
    ],
  },
  api_readiness: {
    api_views_present: [{ v_api_jitter_5m: null }, { [SLA]: null }],
    gpu_metrics_keys_not_null: [
      put(GPU, "'' AS gpu_id"),
      put(GPU, "'' AS orchestrator_address"),
      put(GPU, "'' AS pipeline, '' AS model_id"),
    ],
    gold_pipeline_coverage_attributable_min_threshold: [put(SLA, "'' AS pipeline")],
    gpu_metrics_rollup_fields_consistent: [
      put(GPU, "0.123 AS failure_rate"),
      put(GPU, "0.123 AS swap_rate"),
      put(GPU, "known_sessions + 1 AS known_sessions, NULL AS failure_rate, NULL AS swap_rate"),
    ],
    gpu_metrics_latency_fields_nonnegative: [
      put(GPU, "-1. AS e2e_latency_ms"),
      put(GPU, "0 AS valid_startup_time_count"),
    ],
    gpu_metrics_startup_seconds_matches_ms: [
      put(GPU, "startup_time_ms AS startup_time_s"),
      put(GPU, "NULL AS startup_time_s"),
    ],
    network_demand_hourly_grain: [put(DEMAND, "window_start + 60 AS window_start")],
    network_demand_required_columns_present: [without(DEMAND, "model_id"), { [DEMAND]: null }],
    network_demand_by_gpu_hourly_grain: [put(BY_GPU, "window_start + 60 AS window_start")],
    network_demand_by_gpu_required_columns_present: [without(BY_GPU, "gpu_type")],
    network_demand_by_gpu_capacity_fields_nonnegative: [
      put(BY_GPU, "2. AS capacity_rate"),
      put(BY_GPU, "-1. AS available_capacity_minutes"),
    ],
    network_demand_additive_fields_nonnegative: [
      put(DEMAND, "-1. AS total_minutes"),
      put(DEMAND, "known_sessions + 1 AS unexcused_sessions"),
    ],
    network_demand_served_unserved_consistency: [
      put(DEMAND, "total_demand_sessions + 1 AS total_demand_sessions"),
      put(DEMAND, "unserved_sessions + 1 AS missing_capacity_count"),
    ],
    network_demand_pipeline_not_model_id: [put(DEMAND, "model_id AS pipeline")],
    network_demand_pipeline_fallback_applied: [more(DEMAND, "'' AS pipeline")],
    sla_compliance_rollup_safe: [
      put(SLA, "0.123 AS no_swap_ratio"),
      put(SLA, "NULL AS sla_score"),
      put(SLA, "0.5 AS health_completeness_ratio, 3 AS health_expected_signal_count, 3 AS health_signal_count"),
    ],
    sla_compliance_required_columns_present: [without(SLA, "sla_score")],
    network_demand_success_ratios_valid: [
      put(DEMAND, "-1. AS startup_success_ratio"),
      put(DEMAND, "NULL AS success_ratio"),
    ],
    network_demand_success_ratio_penalizes_failure_indicators: [put(DEMAND, "1. AS success_ratio")],
    network_demand_low_sample_windows: [put(DEMAND, "0. AS total_minutes")],
    sla_recompute_parity_vs_latest_sessions: [
      only(SLA),
      put(SLA, "known_sessions + 1 AS known_sessions"),
      more(SLA, "'0xother' AS orchestrator_address"),
    ],
  },
  scenario_candidates: {
    scenario_1_clean_success_no_swap_fps_gt_12_exists: [
      put(SESSIONS, "0 AS startup_success"),
      put(SAMPLES, "12 AS output_fps"),
    ],
    scenario_2_no_orchestrator_then_closed_exists: [
      put(SESSIONS, "1 AS startup_success"),
      only(EDGES, "trace_type != 'gateway_no_orchestrators_available'"),
    ],
    scenario_3_success_with_swap_exists: [
      put(SESSIONS, "0 AS confirmed_swap_count, 0 AS inferred_orchestrator_change_count"),
    ],
    scenario_4_success_with_param_updates_exists: [only("fact_workflow_param_updates")],
    scenario_5_out_of_category_baseline_exists: [put(SESSIONS, "1 AS startup_success, 1 AS confirmed_swap_count")],
    scenario_6_same_hour_failed_no_output_retained_in_views: [only(GPU), only(SLA)],
    scenario_7_rollover_tail_filtered_in_views: [more(GPU, HOUR_LATER), more(SLA, HOUR_LATER)],
  },
};
