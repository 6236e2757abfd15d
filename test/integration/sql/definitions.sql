-- Queries that assertions of every pack may read from, each under its name.

-- define: session_hours
-- what: from samples and sessions alone, each session in each hour under each key, and whether the hour is only its tail
SELECT
    hours.source AS source, hour, hours.id AS id, orchestrator_address, pipeline, model_id, gpu_id, region,
    samples, active, fps, session.started AS started, session.ended AS ended,
    samples < 3 AND active = 0 AND earlier BETWEEN 1 AND 2 AND earlier_active = 0
        AND started < hour AND ended >= hour AND ended < hour + INTERVAL 1 HOUR AS is_tail
FROM
(
    SELECT
        source, hour, id, orchestrator_address, pipeline, model_id, gpu_id, region,
        countIf(here) AS samples,
        countIf(here AND is_active) AS active,
        countIf(NOT here) AS earlier,
        countIf(NOT here AND is_active) AS earlier_active,
        sumIf(output_fps, here) AS fps
    FROM
    (
        SELECT
            source, workflow_session_id AS id, orchestrator_address, pipeline, ifNull(fact.model_id, '') AS model_id,
            ifNull(fact.gpu_id, '') AS gpu_id, ifNull(fact.region, '') AS region, output_fps,
            output_fps > 0 OR state IN ('ONLINE', 'DEGRADED_INFERENCE', 'DEGRADED_INPUT') AS is_active,
            arrayJoin([true, false]) AS here,
            toStartOfHour(sample_ts) + if(here, 0, 3600) AS hour
        FROM fact_stream_status_samples_current AS fact
        WHERE is_attributed = 1
            AND sample_ts >= {from_ts:DateTime64(3, 'UTC')} - INTERVAL 1 HOUR
            AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, id, orchestrator_address, pipeline, model_id, gpu_id, region
    HAVING samples > 0 AND hour >= {from_ts:DateTime64(3, 'UTC')} AND hour < {to_ts:DateTime64(3, 'UTC')}
) AS hours
LEFT JOIN
(
    SELECT source, workflow_session_id AS id, session_start_ts AS started, session_end_ts AS ended
    FROM fact_workflow_sessions_current
) AS session USING (source, id);

-- define: shown_keys
-- what: the hours and keys that the GPU view and the SLA view show
SELECT
    'gpu' AS side, source, window_start AS hour, orchestrator_address, pipeline, ifNull(view.model_id, '') AS model,
    ifNull(view.gpu_id, '') AS gpu, ifNull(view.region, '') AS area
FROM v_api_gpu_metrics AS view
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
UNION ALL
SELECT
    'sla', source, window_start, orchestrator_address, pipeline, ifNull(view.model_id, ''), ifNull(view.gpu_id, ''),
    ifNull(view.region, '')
FROM v_api_sla_compliance AS view
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};
