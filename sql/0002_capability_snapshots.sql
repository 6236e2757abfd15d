-- Capability dimension: what each snapshot said of each node. Read by: triage and the serving views.

-- One row is one GPU of one hardware element of one entry of one capability message; a node that tells no
-- hardware has one row per model of its constraints, or a single row that knows the node only. Row key: all that
-- ORDER BY names. Every row is a function of its message, so repeats are equal rows.
CREATE TABLE IF NOT EXISTS dim_orchestrator_capability_snapshots
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    snapshot_ts                DateTime64(3, 'UTC'),
    snapshot_date              Date MATERIALIZED toDate(snapshot_ts),
    orchestrator_address       String,                               -- canonical, '' when the entry names none
    orchestrator_proxy_address String,                               -- hot wallet
    orchestrator_url           String,
    pipeline                   String,                               -- as advertised
    model_id                   String,                               -- as advertised, '' when unknown
    capability_id              Int32,                                -- -1 when no constraint names the model
    capability_name            LowCardinality(String),
    capability_group           LowCardinality(String),
    capability_catalog_version LowCardinality(String),
    gpu_id                     Nullable(String),
    gpu_name                   Nullable(String),
    gpu_memory_total           Nullable(UInt64),                     -- bytes
    gpu_major                  Nullable(UInt8),
    gpu_minor                  Nullable(UInt8),
    runner_version             Nullable(String),
    region                     Nullable(String),
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(snapshot_ts)
ORDER BY (source, orchestrator_address, orchestrator_proxy_address, orchestrator_url, pipeline, model_id,
          capability_id, ifNull(gpu_id, ''), snapshot_ts, source_event_uid);
