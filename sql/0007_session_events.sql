-- Facts of a session's events: trace edges, parameter updates, lifecycle coverage, ingest samples.
-- Read by: session evidence, scenarios and packs, through the _current views only.

-- Row key of each: (source, source_event_uid); the two columns between them in ORDER BY are functions of the uid. What
-- depends on the event alone has its own evidence as version, what depends on its session the session's.

-- One row is one version of one trace edge. An edge that names no orchestrator takes the identity of the segment in
-- which it falls (segment_window_join); before the session knows one it says pre_assignment.
CREATE TABLE IF NOT EXISTS fact_stream_trace_edges
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    edge_ts                    DateTime64(3, 'UTC'),                 -- of the payload, else of the envelope
    edge_date                  Date MATERIALIZED toDate(edge_ts),
    workflow_session_id        String,
    stream_id                  String,
    request_id                 String,
    pipeline                   LowCardinality(String),
    gateway                    LowCardinality(String),
    orchestrator_address       String,                               -- canonical, '' unless attributed
    orchestrator_url           String,                               -- claimed node; unattributed: the event's own
    model_id                   Nullable(String),
    gpu_id                     Nullable(String),
    gpu_count                  UInt32,
    is_attributed              UInt8,
    unattributed_reason        LowCardinality(String),
    gpu_attribution_method     LowCardinality(String),
    gpu_attribution_confidence Float32,
    evidence_level             UInt8,
    selected_snapshot_uid      String,
    selected_snapshot_ts       Nullable(DateTime64(3, 'UTC')),
    trace_type                 LowCardinality(String),
    trace_category             LowCardinality(String),               -- gateway, orchestrator, runner, app, other
    is_swap_event              UInt8,                                -- names the orchestrator that is abandoned
    version                    UInt128,
    is_deleted                 UInt8,
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(edge_ts)
ORDER BY (source, workflow_session_id, edge_ts, source_event_uid);

CREATE VIEW IF NOT EXISTS fact_stream_trace_edges_current AS
SELECT *, edge_date
FROM fact_stream_trace_edges
FINAL;

-- One row is one version of one parameter update, with what its session knew by then.
CREATE TABLE IF NOT EXISTS fact_workflow_param_updates
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    update_ts                  DateTime64(3, 'UTC'),
    update_date                Date MATERIALIZED toDate(update_ts),
    workflow_session_id        String,
    stream_id                  String,
    request_id                 String,
    pipeline                   LowCardinality(String),
    gateway                    LowCardinality(String),
    orchestrator_address       String,                               -- canonical, '' unless attributed
    orchestrator_url           String,                               -- claimed node; unattributed: the event's own
    model_id                   Nullable(String),
    gpu_id                     Nullable(String),
    gpu_count                  UInt32,
    is_attributed              UInt8,
    unattributed_reason        LowCardinality(String),
    gpu_attribution_method     LowCardinality(String),
    gpu_attribution_confidence Float32,
    evidence_level             UInt8,
    selected_snapshot_uid      String,
    selected_snapshot_ts       Nullable(DateTime64(3, 'UTC')),
    update_type                LowCardinality(String),
    message                    String,                               -- its first 1,000 characters
    version                    UInt128,
    is_deleted                 UInt8,
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(update_ts)
ORDER BY (source, workflow_session_id, update_ts, source_event_uid);

CREATE VIEW IF NOT EXISTS fact_workflow_param_updates_current AS
SELECT *, update_date
FROM fact_workflow_param_updates
FINAL;

-- One row is one version of one trace edge as a test of the lifecycle: which edges had come before it, and what its
-- session knew by then.
CREATE TABLE IF NOT EXISTS fact_lifecycle_edge_coverage
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    signal_ts                  DateTime64(3, 'UTC'),
    signal_date                Date MATERIALIZED toDate(signal_ts),
    workflow_session_id        String,
    stream_id                  String,
    request_id                 String,
    pipeline                   LowCardinality(String),
    gateway                    LowCardinality(String),
    orchestrator_address       String,                               -- canonical, '' unless attributed
    orchestrator_url           String,                               -- claimed node; unattributed: the event's own
    model_id                   Nullable(String),
    gpu_id                     Nullable(String),
    gpu_count                  UInt32,
    is_attributed              UInt8,
    unattributed_reason        LowCardinality(String),
    gpu_attribution_method     LowCardinality(String),
    gpu_attribution_confidence Float32,
    evidence_level             UInt8,
    selected_snapshot_uid      String,
    selected_snapshot_ts       Nullable(DateTime64(3, 'UTC')),
    trace_type                 LowCardinality(String),
    known_stream               UInt8,
    has_first_processed_edge   UInt8,
    has_first_playable_edge    UInt8,
    startup_edge_matched       UInt8,
    playable_edge_matched      UInt8,
    is_terminal_signal         UInt8,
    unmatched_reason           LowCardinality(String),               -- '' when nothing is missing
    version                    UInt128,
    is_deleted                 UInt8,
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(signal_ts)
ORDER BY (source, workflow_session_id, signal_ts, source_event_uid);

CREATE VIEW IF NOT EXISTS fact_lifecycle_edge_coverage_current AS
SELECT *, signal_date
FROM fact_lifecycle_edge_coverage
FINAL;

-- One row is one ingest sample of a WebRTC stream, every five seconds.
CREATE TABLE IF NOT EXISTS fact_stream_ingest_samples
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    sample_ts                  DateTime64(3, 'UTC'),
    sample_date                Date MATERIALIZED toDate(sample_ts),
    workflow_session_id        String,
    stream_id                  String,
    request_id                 String,
    gateway                    LowCardinality(String),
    connection_quality         LowCardinality(String),
    video_jitter               Float32,
    audio_jitter               Float32,
    video_latency              Float32,
    audio_latency              Float32,
    bytes_received             UInt64,                               -- since the start of the stream
    bytes_sent                 UInt64,
    version                    UInt128,
    is_deleted                 UInt8,
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(sample_ts)
ORDER BY (source, workflow_session_id, sample_ts, source_event_uid);

CREATE VIEW IF NOT EXISTS fact_stream_ingest_samples_current AS
SELECT *, sample_date
FROM fact_stream_ingest_samples
FINAL;
