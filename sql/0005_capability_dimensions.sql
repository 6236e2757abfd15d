-- Capability dimensions beside the snapshots, the newest state of the nodes, and the catalogue. Read by: serving views,
-- assertion packs, triage. What three of the four families say in the typed tables is all that their dimensions have:
-- these are the same rows under the names of the dimensions, one of each, so FINAL is not needed. The snapshots have a
-- table of their own (0002), whose order serves the latest one of a node.

-- One row is one capability that a node advertises in one snapshot.
CREATE VIEW IF NOT EXISTS dim_orchestrator_capability_advertised_snapshots AS
SELECT
    source,
    raw_event_uid AS source_event_uid,
    source_event_id,
    event_timestamp AS snapshot_ts,
    toDate(event_timestamp) AS snapshot_date,
    orchestrator_address,
    local_address AS orchestrator_proxy_address,
    orch_uri AS orchestrator_url,
    capability_id,
    capability_name,
    capability_group,
    capability_catalog_version,
    capacity,
    ingestion_timestamp
FROM raw_network_capabilities_advertised FINAL;

-- One row is one model that a node serves under a capability in one snapshot.
CREATE VIEW IF NOT EXISTS dim_orchestrator_capability_model_constraints AS
SELECT
    source,
    raw_event_uid AS source_event_uid,
    source_event_id,
    event_timestamp AS snapshot_ts,
    toDate(event_timestamp) AS snapshot_date,
    orchestrator_address,
    local_address AS orchestrator_proxy_address,
    orch_uri AS orchestrator_url,
    capability_id,
    capability_name,
    capability_group,
    capability_catalog_version,
    model_id,
    runner_version,
    capacity,
    capacity_in_use,
    warm,
    ingestion_timestamp
FROM raw_network_capabilities_model_constraints FINAL;

-- One row is one price that a node asks in one snapshot.
CREATE VIEW IF NOT EXISTS dim_orchestrator_capability_prices AS
SELECT
    source,
    raw_event_uid AS source_event_uid,
    source_event_id,
    event_timestamp AS snapshot_ts,
    toDate(event_timestamp) AS snapshot_date,
    orchestrator_address,
    local_address AS orchestrator_proxy_address,
    orch_uri AS orchestrator_url,
    capability_id,
    capability_name,
    capability_group,
    capability_catalog_version,
    constraint_name,
    price_per_unit,
    pixels_per_unit,
    ingestion_timestamp
FROM raw_network_capabilities_prices FINAL;

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
