-- Enrichment at insert time, as it was before Latecomer: for a migration only. `latecomer cutover to mv` creates it,
-- `latecomer cutover to latecomer` drops it. It is on no list of migrations.
--
-- A sample takes address, node and model of the nearest snapshot of the day before it that names its hot wallet and its
-- model and is stored already; when there is none it claims nothing, and nothing mends it later. No GPU is claimed.
-- Its key is the one that Latecomer gives the sample, so that the two fold. Its version is 1, generation 0 above evidence
-- 1: Latecomer's generations begin with 1, so that every row and every tombstone of Latecomer's replaces it, whichever
-- was first. Two rows of the view for one sample may differ; then the later insert counts.
CREATE MATERIALIZED VIEW mv_fact_stream_status_samples
TO fact_stream_status_samples
AS
WITH
    snapshot.address != '' AND snapshot.ts >= status.event_timestamp - INTERVAL 1 DAY AS is_found,
    -- The session's key as Latecomer makes it: without white space around the ids, missing ones by name.
    '^[\\t-\\r\\p{Z}\\x{FEFF}]+|[\\t-\\r\\p{Z}\\x{FEFF}]+$' AS outer_space,
    replaceRegexpAll(status.stream_id, outer_space, '') AS stream_key,
    replaceRegexpAll(status.request_id, outer_space, '') AS request_key,
    replaceRegexpAll(source_event_id, outer_space, '') AS event_key
SELECT
    status.source AS source,
    status.raw_event_uid AS source_event_uid,
    -- The uid is the id, a tilde and 16 digits, or the digits alone.
    substring(status.raw_event_uid, 1, greatest(length(status.raw_event_uid) - 17, 0)) AS source_event_id,
    status.event_timestamp AS sample_ts,
    concat(
        if(stream_key = '', '_missing_stream', stream_key),
        '|',
        if(request_key = '', '_missing_request', request_key),
        if(stream_key = '' AND request_key = '', concat('|', if(event_key = '', '_missing_event', event_key)), '')
    ) AS workflow_session_id,
    status.stream_id AS stream_id,
    status.request_id AS request_id,
    status.gateway AS gateway,
    if(is_found, snapshot.address, '') AS orchestrator_address,
    if(is_found, snapshot.url, status.orchestrator_url) AS orchestrator_url,
    if(is_found AND snapshot.pipeline != snapshot.model, snapshot.pipeline, '') AS pipeline,
    if(is_found, snapshot.model, NULL) AS model_id,
    CAST(NULL, 'Nullable(String)') AS gpu_id,
    toUInt32(0) AS gpu_count,
    CAST(NULL, 'Nullable(String)') AS region,
    status.state AS state,
    status.output_fps AS output_fps,
    status.input_fps AS input_fps,
    toUInt8(is_found) AS is_attributed,
    if(is_found, '', 'no_snapshot') AS unattributed_reason,
    if(is_found, 'wallet_match', 'none') AS gpu_attribution_method,
    toFloat32(if(is_found, 0.4, 0)) AS gpu_attribution_confidence,
    toUInt8(if(is_found, 3, 0)) AS evidence_level,
    if(is_found, snapshot.uid, '') AS selected_snapshot_uid,
    if(is_found, snapshot.ts, NULL) AS selected_snapshot_ts,
    toUInt128(1) AS version,
    toUInt8(0) AS is_deleted
FROM raw_ai_stream_status AS status
ASOF LEFT JOIN
(
    SELECT
        source,
        orchestrator_proxy_address AS wallet,
        lowerUTF8(model_id) AS hint,
        snapshot_ts AS ts,
        orchestrator_address AS address,
        orchestrator_url AS url,
        pipeline,
        model_id AS model,
        source_event_uid AS uid
    FROM dim_orchestrator_capability_snapshots
    WHERE orchestrator_proxy_address != '' AND orchestrator_address != '' AND model_id != ''
      AND snapshot_ts >= (SELECT min(event_timestamp) FROM raw_ai_stream_status) - INTERVAL 1 DAY
) AS snapshot
ON snapshot.source = status.source
   AND snapshot.wallet = status.orchestrator_address
   AND snapshot.hint = lowerUTF8(status.pipeline)
   AND snapshot.ts <= status.event_timestamp
