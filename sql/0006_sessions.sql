-- Sessions: one row each, with its segments and latencies as columns, so that a segment that late evidence renumbers
-- leaves nothing behind. Read by: rollups and serving views, through the _current views only.

-- One row is one version of one session. Row key: (source, workflow_session_id). Version: generation (12 bits) above the
-- session's evidence (116 bits): the sum over its distinct events of 1 + their rank. The times of a session move while
-- evidence comes, so none is part of its key or its partition; retention counts from its last event, which only grows.
-- Not partitioned: an insert writes a part of all columns for each partition that it touches, and sessions are few.
CREATE TABLE IF NOT EXISTS fact_workflow_sessions
(
    source                                LowCardinality(String),
    workflow_session_id                   String,                    -- stream_id and request_id, see streams/CONTRACT.md
    workflow_type                         LowCardinality(String),
    workflow_id                           String,                    -- pipeline of the first event, else the type
    stream_id                             String,
    request_id                            String,
    session_id                            String,                    -- '': nothing upstream tells it
    pipeline                              LowCardinality(String),
    gateway                               LowCardinality(String),
    orchestrator_address                  String,                    -- canonical, of the last segment
    orchestrator_url                      String,
    model_id                              Nullable(String),
    gpu_id                                Nullable(String),
    gpu_count                             UInt32,
    region                                Nullable(String),
    is_attributed                         UInt8,
    unattributed_reason                   LowCardinality(String),
    gpu_attribution_method                LowCardinality(String),
    gpu_attribution_confidence            Float32,
    evidence_level                        UInt8,
    selected_snapshot_uid                 String,
    selected_snapshot_ts                  Nullable(DateTime64(3, 'UTC')),
    has_model_change                      UInt8,
    has_pipeline_change                   UInt8,
    session_start_ts                      DateTime64(3, 'UTC'),      -- of the first event or the runner's start
    session_end_ts                        DateTime64(3, 'UTC'),      -- of the last event
    known_stream                          UInt8,
    startup_success                       UInt8,
    startup_excused                       UInt8,
    startup_unexcused                     UInt8,
    confirmed_swap_count                  UInt32,
    inferred_orchestrator_change_count    UInt32,
    swap_count                            UInt32,                    -- the confirmed ones
    error_count                           UInt32,
    excusable_error_count                 UInt32,
    error_count_before_playable           UInt32,
    error_count_after_playable            UInt32,
    excusable_error_count_before_playable UInt32,
    excusable_error_count_after_playable  UInt32,
    last_error_occurred                   UInt8,
    loading_only_session                  UInt8,
    zero_output_fps_session               UInt8,
    status_sample_count                   UInt32,
    status_error_sample_count             UInt32,
    health_signal_count                   UInt32,
    health_expected_signal_count          UInt32,
    health_completeness_ratio             Float32,
    first_stream_request_ts               Nullable(DateTime64(3, 'UTC')),
    first_processed_ts                    Nullable(DateTime64(3, 'UTC')),
    first_playable_ts                     Nullable(DateTime64(3, 'UTC')),
    completed                             UInt8,
    restart_seen                          UInt8,
    degraded_input_seen                   UInt8,
    degraded_inference_seen               UInt8,
    prompt_to_first_frame_ms              Nullable(Float64),         -- request to first processed segment
    startup_time_ms                       Nullable(Float64),         -- first processed to playable segment
    e2e_latency_ms                        Nullable(Float64),         -- request to playable segment
    event_count                           UInt32,
    source_first_event_uid                String,
    source_last_event_uid                 String,
    segments                              Nested
    (
        start_ts                   DateTime64(3, 'UTC'),
        end_ts                     Nullable(DateTime64(3, 'UTC')),   -- null while open
        pipeline                   String,
        orchestrator_address       String,
        orchestrator_url           String,
        model_id                   Nullable(String),
        gpu_id                     Nullable(String),
        gpu_count                  UInt32,
        is_attributed              UInt8,
        unattributed_reason        String,
        gpu_attribution_method     String,
        gpu_attribution_confidence Float32,
        evidence_level             UInt8,
        selected_snapshot_uid      String,
        selected_snapshot_ts       Nullable(DateTime64(3, 'UTC')),
        reason                     String,                           -- initial, orchestrator_change, stream_closed
        source_trace_type          String,
        source_event_uid           String                            -- of the last event, or of what ended it
    ),
    version                               UInt128,
    is_deleted                            UInt8,
    ingestion_timestamp                   DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
ORDER BY (source, workflow_session_id);

-- The sessions as they stand: one row per session, its greatest version, tombstones left out.
CREATE VIEW IF NOT EXISTS fact_workflow_sessions_current AS
SELECT *
FROM fact_workflow_sessions
FINAL;

-- One row is one segment of a session as it stands: a stretch with one orchestrator.
CREATE VIEW IF NOT EXISTS fact_workflow_session_segments AS
SELECT
    source,
    workflow_session_id,
    toUInt16(segment_number - 1) AS segment_index,
    segment_start_ts,
    segment_end_ts,
    gateway,
    segment_pipeline AS pipeline,
    segment_orchestrator_address AS orchestrator_address,
    segment_orchestrator_url AS orchestrator_url,
    CAST(NULL, 'Nullable(String)') AS worker_id,
    segment_gpu_id AS gpu_id,
    segment_gpu_count AS gpu_count,
    segment_model_id AS model_id,
    CAST(NULL, 'Nullable(String)') AS region,
    segment_is_attributed AS is_attributed,
    segment_unattributed_reason AS unattributed_reason,
    segment_method AS gpu_attribution_method,
    segment_confidence AS gpu_attribution_confidence,
    segment_evidence_level AS evidence_level,
    segment_snapshot_uid AS selected_snapshot_uid,
    segment_snapshot_ts AS selected_snapshot_ts,
    segment_reason AS reason,
    segment_trace_type AS source_trace_type,
    segment_event_uid AS source_event_uid,
    version,
    is_deleted,
    ingestion_timestamp
FROM fact_workflow_sessions
FINAL
ARRAY JOIN
    arrayEnumerate(segments.start_ts) AS segment_number,
    segments.start_ts AS segment_start_ts,
    segments.end_ts AS segment_end_ts,
    segments.pipeline AS segment_pipeline,
    segments.orchestrator_address AS segment_orchestrator_address,
    segments.orchestrator_url AS segment_orchestrator_url,
    segments.gpu_id AS segment_gpu_id,
    segments.gpu_count AS segment_gpu_count,
    segments.model_id AS segment_model_id,
    segments.is_attributed AS segment_is_attributed,
    segments.unattributed_reason AS segment_unattributed_reason,
    segments.gpu_attribution_method AS segment_method,
    segments.gpu_attribution_confidence AS segment_confidence,
    segments.evidence_level AS segment_evidence_level,
    segments.selected_snapshot_uid AS segment_snapshot_uid,
    segments.selected_snapshot_ts AS segment_snapshot_ts,
    segments.reason AS segment_reason,
    segments.source_trace_type AS segment_trace_type,
    segments.source_event_uid AS segment_event_uid;

-- The same under the name that every fact's fold has.
CREATE VIEW IF NOT EXISTS fact_workflow_session_segments_current AS
SELECT *
FROM fact_workflow_session_segments;

-- One row is the latencies of a session as it stands; edge_semantics_version names the pairs of edges.
CREATE VIEW IF NOT EXISTS fact_workflow_latency_samples AS
SELECT
    source,
    session_start_ts AS sample_ts,
    toDate(session_start_ts) AS sample_date,
    workflow_session_id,
    stream_id,
    request_id,
    gateway,
    orchestrator_address,
    orchestrator_url,
    pipeline,
    model_id,
    gpu_id,
    gpu_count,
    region,
    is_attributed,
    unattributed_reason,
    gpu_attribution_method,
    gpu_attribution_confidence,
    evidence_level,
    selected_snapshot_uid,
    selected_snapshot_ts,
    prompt_to_first_frame_ms,
    startup_time_ms,
    e2e_latency_ms,
    toUInt8(prompt_to_first_frame_ms IS NOT NULL) AS has_prompt_to_first_frame,
    toUInt8(startup_time_ms IS NOT NULL) AS has_startup_time,
    toUInt8(e2e_latency_ms IS NOT NULL) AS has_e2e_latency,
    'v1' AS edge_semantics_version,
    version,
    is_deleted,
    ingestion_timestamp
FROM fact_workflow_sessions
FINAL;

-- The same under the name that every fact's fold has.
CREATE VIEW IF NOT EXISTS fact_workflow_latency_samples_current AS
SELECT *
FROM fact_workflow_latency_samples;
