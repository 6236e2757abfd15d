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

-- define: tail_hours
-- what: each hour under each key: whether only tails are in it, and whether the views show it
SELECT
    countIf(side = 'tail') > 0 AND countIf(side = 'other') = 0 AS is_only_tail,
    countIf(side = 'gpu') > 0 AS in_gpu,
    countIf(side = 'sla') > 0 AS in_sla
FROM
(
    SELECT
        if(is_tail, 'tail', 'other') AS side, source, hour, orchestrator_address, pipeline, model_id AS model,
        gpu_id AS gpu, region AS area
    FROM session_hours
    UNION ALL
    SELECT
        'other', source, toStartOfHour(session_start_ts), orchestrator_address, pipeline, ifNull(model_id, ''),
        ifNull(gpu_id, ''), ifNull(region, '')
    FROM fact_workflow_sessions_current
    WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT side, source, hour, orchestrator_address, pipeline, model, gpu, area FROM shown_keys
)
GROUP BY source, hour, orchestrator_address, pipeline, model, gpu, area;

-- define: silent_hours
-- what: each hour under each key: whether a session starts and ends in it without output, and whether the views show it
SELECT
    countIf(side = 'candidate') > 0 AS is_candidate,
    countIf(side = 'gpu') > 0 AS in_gpu,
    countIf(side = 'sla') > 0 AS in_sla
FROM
(
    SELECT
        'candidate' AS side, hours.source AS source, hours.hour AS hour, orchestrator_address, pipeline,
        model_id AS model, gpu_id AS gpu, region AS area
    FROM session_hours AS hours
    INNER JOIN
    (
        SELECT source, workflow_session_id AS id
        FROM fact_workflow_sessions_current
        WHERE (last_error_occurred OR loading_only_session OR zero_output_fps_session)
            AND toStartOfHour(session_start_ts) = toStartOfHour(session_end_ts)
            AND session_start_ts >= {from_ts:DateTime64(3, 'UTC')}
            AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
    ) AS session USING (source, id)
    WHERE gpu_id != '' AND samples < 3 AND active = 0
    UNION ALL
    SELECT side, source, hour, orchestrator_address, pipeline, model, gpu, area FROM shown_keys
)
GROUP BY source, hour, orchestrator_address, pipeline, model, gpu, area;
