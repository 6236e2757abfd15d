-- Capability dimensions beside the snapshots, the newest state of the nodes, and the catalogue. Read by: serving views,
-- assertion packs, triage. Like the snapshots, every row is a function of its message, so repeats are equal rows that
-- fold; in the three tables that follow the row key is what ORDER BY names, by time for the reason told in 0004.

-- One row is one capability that a node advertises in one snapshot.
CREATE TABLE IF NOT EXISTS dim_orchestrator_capability_advertised_snapshots
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    snapshot_ts                DateTime64(3, 'UTC'),
    snapshot_date              Date MATERIALIZED toDate(snapshot_ts),
    orchestrator_address       String,                               -- canonical, '' when the entry names none
    orchestrator_proxy_address String,                               -- hot wallet
    orchestrator_url           String,
    capability_id              Int32,
    capability_name            LowCardinality(String),
    capability_group           LowCardinality(String),
    capability_catalog_version LowCardinality(String),
    capacity                   Nullable(UInt64),
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(snapshot_ts)
ORDER BY (source, snapshot_ts, source_event_uid, orchestrator_address, orchestrator_proxy_address, orchestrator_url,
          capability_id);

-- One row is one model that a node serves under a capability in one snapshot.
CREATE TABLE IF NOT EXISTS dim_orchestrator_capability_model_constraints
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    snapshot_ts                DateTime64(3, 'UTC'),
    snapshot_date              Date MATERIALIZED toDate(snapshot_ts),
    orchestrator_address       String,                               -- canonical, '' when the entry names none
    orchestrator_proxy_address String,                               -- hot wallet
    orchestrator_url           String,
    capability_id              Int32,
    capability_name            LowCardinality(String),
    capability_group           LowCardinality(String),
    capability_catalog_version LowCardinality(String),
    model_id                   String,
    runner_version             Nullable(String),
    capacity                   Nullable(UInt64),                     -- free slots; upstream omits 0
    capacity_in_use            Nullable(UInt64),                     -- busy slots; upstream omits 0
    warm                       UInt8,
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(snapshot_ts)
ORDER BY (source, snapshot_ts, source_event_uid, orchestrator_address, orchestrator_proxy_address, orchestrator_url,
          capability_id, model_id);

-- One row is one price that a node asks in one snapshot.
CREATE TABLE IF NOT EXISTS dim_orchestrator_capability_prices
(
    source                     LowCardinality(String),
    source_event_uid           String,
    source_event_id            String,
    snapshot_ts                DateTime64(3, 'UTC'),
    snapshot_date              Date MATERIALIZED toDate(snapshot_ts),
    orchestrator_address       String,                               -- canonical, '' when the entry names none
    orchestrator_proxy_address String,                               -- hot wallet
    orchestrator_url           String,
    capability_id              Int32,                                -- -1 when the price names none
    capability_name            LowCardinality(String),
    capability_group           LowCardinality(String),
    capability_catalog_version LowCardinality(String),
    constraint_name            Nullable(String),                     -- model, or name of an external capability
    price_per_unit             Nullable(UInt64),                     -- wei; upstream omits 0
    pixels_per_unit            Nullable(UInt64),
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(snapshot_ts)
ORDER BY (source, snapshot_ts, source_event_uid, orchestrator_address, orchestrator_proxy_address, orchestrator_url,
          capability_id, ifNull(constraint_name, ''));

-- What the newest snapshot of a source says of an orchestrator, pipeline, model, capability and GPU. One row is taken
-- whole: of one instant the greatest uid, of one message the greatest url. An argMax of each column for itself would
-- skip NULLs and answer with what an older snapshot said. Repeats change nothing here, so FINAL is not needed.
CREATE VIEW IF NOT EXISTS dim_orchestrator_capability_current AS
SELECT
    source,
    orchestrator_address,
    pipeline,
    model_id,
    capability_id,
    gpu_id,
    newest.1 AS source_event_uid,
    newest.2 AS source_event_id,
    newest.3 AS latest_snapshot_ts,
    newest.4 AS orchestrator_proxy_address,
    newest.5 AS orchestrator_url,
    newest.6 AS capability_name,
    newest.7 AS capability_group,
    newest.8 AS capability_catalog_version,
    newest.9 AS gpu_name,
    newest.10 AS gpu_memory_total,
    newest.11 AS gpu_major,
    newest.12 AS gpu_minor,
    newest.13 AS runner_version,
    newest.14 AS region
FROM
(
    SELECT
        source,
        orchestrator_address,
        pipeline,
        model_id,
        capability_id,
        gpu_id,
        argMax(
            tuple(
                source_event_uid,
                source_event_id,
                snapshot_ts,
                orchestrator_proxy_address,
                orchestrator_url,
                capability_name,
                capability_group,
                capability_catalog_version,
                gpu_name,
                gpu_memory_total,
                gpu_major,
                gpu_minor,
                runner_version,
                region
            ),
            tuple(snapshot_ts, source_event_uid, orchestrator_url, orchestrator_proxy_address)
        ) AS newest
    FROM dim_orchestrator_capability_snapshots
    GROUP BY
        source,
        orchestrator_address,
        pipeline,
        model_id,
        capability_id,
        gpu_id
);

-- What the numbered capabilities mean. One row is one capability of one version of the catalogue; `latecomer init`
-- writes those of its own version. Row key: (capability_catalog_version, capability_id). Read it with FINAL.
CREATE TABLE IF NOT EXISTS dim_capability_catalogue
(
    capability_catalog_version LowCardinality(String),
    capability_id              Int32,
    capability_name            String,
    capability_group           LowCardinality(String),
    pipeline                   String,                               -- what a built-in AI capability runs, else ''
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (capability_catalog_version, capability_id);
