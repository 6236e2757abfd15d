-- Status facts: fps of a stream every few seconds, attributed to orchestrator, model and GPU.
-- Read by: rollups and serving views, through the _current view only.

-- One row is one version of one status sample. Row key: (source, source_event_uid); what stands between them in ORDER
-- BY are functions of the uid: the hour first, for rollups and windows read by it. Version: generation (12 bits) above
-- evidence (116 bits), so a row derived from more evidence replaces every row from part of it, and a repeat is the same
-- row again.
CREATE TABLE IF NOT EXISTS fact_stream_status_samples
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    sample_ts                  DateTime64(3, 'UTC'),                 -- envelope time
    sample_date                Date MATERIALIZED toDate(sample_ts),
    workflow_session_id        String,
    stream_id                  String,
    request_id                 String,
    gateway                    LowCardinality(String),
    orchestrator_address       String,                               -- canonical, '' unless attributed
    orchestrator_url           String,                               -- claimed node; unattributed: the event's own
    pipeline                   LowCardinality(String),
    model_id                   Nullable(String),
    gpu_id                     Nullable(String),                     -- smallest id of the group
    gpu_count                  UInt32,                               -- GPUs it may be; 1 is certainty, 0 no claim
    region                     Nullable(String),
    state                      LowCardinality(String),
    output_fps                 Float32,
    input_fps                  Float32,
    is_attributed              UInt8,
    unattributed_reason        LowCardinality(String),               -- '' when attributed
    gpu_attribution_method     LowCardinality(String),               -- node_match, wallet_match, none
    gpu_attribution_confidence Float32,
    evidence_level             UInt8,                                -- 0 to 6
    selected_snapshot_uid      String,                               -- '' unless attributed
    selected_snapshot_ts       Nullable(DateTime64(3, 'UTC')),
    version                    UInt128,
    is_deleted                 UInt8,
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(sample_ts)
ORDER BY (source, toStartOfHour(sample_ts), workflow_session_id, sample_ts, source_event_uid);

-- The status facts as they stand: one row per sample, its greatest version, tombstones left out.
CREATE VIEW IF NOT EXISTS fact_stream_status_samples_current AS
SELECT
    source,
    source_event_uid,
    source_event_id,
    sample_ts,
    sample_date,
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
    state,
    output_fps,
    input_fps,
    is_attributed,
    unattributed_reason,
    gpu_attribution_method,
    gpu_attribution_confidence,
    evidence_level,
    selected_snapshot_uid,
    selected_snapshot_ts,
    version,
    is_deleted,
    ingestion_timestamp
FROM fact_stream_status_samples
FINAL;
