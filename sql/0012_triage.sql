-- The state of the attribution by the hour. Read by: dashboards, alert rules, the notebook. They count what the facts and
-- the archive say and decide nothing; whether a promise is kept is said by the assertion packs alone.

-- One row is one hour of the samples that a gateway sent, by how they were attributed or why they were not.
CREATE VIEW IF NOT EXISTS v_triage_attribution AS
SELECT
    source,
    toStartOfHour(sample_ts) AS window_start,
    gateway,
    gpu_attribution_method,
    unattributed_reason,                                             -- '' where they are attributed
    count() AS samples,
    countIf(ifNull(model_id, '') != '') AS samples_with_model,
    countIf(gpu_count = 1) AS samples_with_one_gpu,
    uniqExact(workflow_session_id) AS sessions
FROM fact_stream_status_samples_current
GROUP BY
    source,
    window_start,
    gateway,
    gpu_attribution_method,
    unattributed_reason;

-- One row is one hour of the unattributed samples that make one claim: the hot wallet, url and model that they name
-- themselves, as evidence for whoever looks for what is missing, and no identity. The wallet and the model stand in the
-- typed event only; both sides have the hour, so that a filter on it reaches both.
CREATE VIEW IF NOT EXISTS v_triage_unattributed AS
SELECT
    source,
    window_start,
    gateway,
    unattributed_reason,
    ifNull(claim.orchestrator_address, '') AS claimed_wallet,
    orchestrator_url AS claimed_url,
    ifNull(claim.pipeline, '') AS claimed_model,
    count() AS samples,
    uniqExact(workflow_session_id) AS sessions,
    arraySlice(arraySort(groupUniqArray(workflow_session_id)), 1, 5) AS first_sessions,
    min(sample_ts) AS first_sample_ts,
    max(sample_ts) AS last_sample_ts
FROM
(
    SELECT
        source,
        toStartOfHour(sample_ts) AS window_start,
        source_event_uid,
        sample_ts,
        workflow_session_id,
        gateway,
        orchestrator_url,
        unattributed_reason
    FROM fact_stream_status_samples_current
    WHERE is_attributed = 0
) AS sample
LEFT ANY JOIN
(
    SELECT
        source,
        toStartOfHour(event_timestamp) AS window_start,
        raw_event_uid AS source_event_uid,
        orchestrator_address,
        pipeline
    FROM raw_ai_stream_status
) AS claim USING (source, window_start, source_event_uid)
GROUP BY
    source,
    window_start,
    gateway,
    unattributed_reason,
    claimed_wallet,
    claimed_url,
    claimed_model;

-- One row is one hour, by when they were stored, of the messages of one type that came to one end: accepted, or
-- rejected, ignored or a duplicate, and why.
CREATE VIEW IF NOT EXISTS v_triage_messages AS
SELECT
    source,
    toStartOfHour(stream_ts) AS window_start,
    type,
    outcome,
    reason,
    count() AS messages
FROM raw_streaming_events
FINAL
GROUP BY
    source,
    window_start,
    type,
    outcome,
    reason;
