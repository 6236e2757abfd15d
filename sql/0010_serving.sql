-- Serving views, by the hour unless they say otherwise. Read by: dashboards, the API, assertion packs. They read rollups
-- and sessions by the key contract of 0008 and add no key of their own. What has rows of its own is put together with
-- UNION ALL and GROUP BY, so a key that only one of them has loses nothing, and a filter on window_start or source
-- reaches each; outer joins only add to rows that are there, and mean the same whether they fill with NULL or not. A
-- ratio or a mean of nothing is NULL.

-- One row is one session in one hour under one key that it was served by, with the outcome of the session.
-- is_tail = 1: the session ended in this hour, and here as in the hour before it had but one or two samples, without
-- output and in no state that runs. Such an hour is the end of no service, and no view counts it as service.
CREATE VIEW IF NOT EXISTS serving_session_hours AS
SELECT
    hour.window_start AS window_start,
    hour.orchestrator_address AS orchestrator_address,
    hour.pipeline AS pipeline,
    hour.model_id AS model_id,
    hour.gpu_id AS gpu_id,
    hour.region AS region,
    hour.samples AS samples,
    hour.active_samples AS active_samples,
    toUInt8(hour.is_idle AND session.session_start_ts < hour.window_start
        AND session.session_end_ts >= hour.window_start
        AND session.session_end_ts < hour.window_start + INTERVAL 1 HOUR) AS is_tail,
    session.* EXCEPT (gateway, orchestrator_address, pipeline, model_id, gpu_id, region)
FROM serving_sessions AS session
INNER JOIN
(
    SELECT
        source,
        window_start,
        workflow_session_id,
        orchestrator_address,
        pipeline,
        model_id,
        gpu_id,
        region,
        sum(session_samples) AS samples,
        sum(session_active_samples) AS active_samples,
        active_samples = 0 AND samples < 3
            AND sum(earlier_active_samples) = 0 AND sum(earlier_samples) BETWEEN 1 AND 2 AS is_idle
    FROM
    (
        SELECT
            source,
            toStartOfHour(minute.window_start) AS window_start,
            workflow_session_id,
            orchestrator_address,
            pipeline,
            model_id,
            gpu_id,
            region,
            session_samples,
            session_active_samples,
            0 AS earlier_samples,
            0 AS earlier_active_samples
        FROM agg_stream_performance_1m_current AS minute
        ARRAY JOIN
            sessions.workflow_session_id AS workflow_session_id,
            sessions.samples AS session_samples,
            sessions.active_samples AS session_active_samples
        UNION ALL
        SELECT
            source,
            toStartOfHour(minute.window_start) + INTERVAL 1 HOUR AS window_start,
            workflow_session_id,
            orchestrator_address,
            pipeline,
            model_id,
            gpu_id,
            region,
            0 AS session_samples,
            0 AS session_active_samples,
            samples AS earlier_samples,
            active_samples AS earlier_active_samples
        FROM agg_stream_performance_1m_current AS minute
        ARRAY JOIN
            sessions.workflow_session_id AS workflow_session_id,
            sessions.samples AS samples,
            sessions.active_samples AS active_samples
    )
    GROUP BY
        source,
        window_start,
        workflow_session_id,
        orchestrator_address,
        pipeline,
        model_id,
        gpu_id,
        region
    HAVING samples > 0
) AS hour USING (source, workflow_session_id);

-- What serving adds up, by the hour: the rollup's minutes as they are, and the sessions that start in the hour. Its
-- rows are parts, to be grouped by whoever reads them; what a part does not know is an empty state, 0 or NULL.
CREATE VIEW IF NOT EXISTS serving_hours AS
SELECT
    source,
    toStartOfHour(minute.window_start) AS window_start,
    gateway,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region,
    sessions_uniq_state,
    streams_uniq_state,
    output_fps_avg_state,
    output_fps_p95_state,
    fps_jitter_num_state,
    fps_jitter_den_state,
    sample_count_state,
    0 AS started_sessions,
    0 AS known_sessions,
    0 AS served_sessions,
    0 AS unserved_sessions,
    0 AS startup_success_sessions,
    0 AS excused_sessions,
    0 AS unexcused_sessions,
    0 AS confirmed_swapped_sessions,
    0 AS inferred_orchestrator_change_sessions,
    0 AS swapped_sessions,
    0 AS sessions_with_errors,
    0 AS sessions_with_last_error,
    0 AS loading_only_sessions,
    0 AS zero_output_fps_sessions,
    0 AS no_output_sessions,
    0 AS failed_sessions,
    0 AS status_error_samples,
    0 AS health_signal_count,
    0 AS health_expected_signal_count,
    CAST(NULL, 'Nullable(Float64)') AS prompt_to_first_frame_ms,
    CAST(NULL, 'Nullable(Float64)') AS startup_time_ms,
    CAST(NULL, 'Nullable(Float64)') AS e2e_latency_ms
FROM agg_stream_performance_1m_current AS minute
UNION ALL
SELECT
    source,
    toStartOfHour(session_start_ts) AS window_start,
    gateway,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region,
    arrayReduce('uniqExactState', emptyArrayString()) AS sessions_uniq_state,
    arrayReduce('uniqExactState', emptyArrayString()) AS streams_uniq_state,
    arrayReduce('avgState', emptyArrayFloat32()) AS output_fps_avg_state,
    arrayReduce('quantileTDigestState(0.95)', emptyArrayFloat32()) AS output_fps_p95_state,
    arrayReduce('stddevPopState', emptyArrayFloat64()) AS fps_jitter_num_state,
    arrayReduce('avgState', emptyArrayFloat32()) AS fps_jitter_den_state,
    arrayReduce('countState', emptyArrayFloat32()) AS sample_count_state,
    1 AS started_sessions,
    known_sessions,
    served_sessions,
    unserved_sessions,
    startup_success_sessions,
    excused_sessions,
    unexcused_sessions,
    confirmed_swapped_sessions,
    inferred_orchestrator_change_sessions,
    swapped_sessions,
    sessions_with_errors,
    sessions_with_last_error,
    loading_only_sessions,
    zero_output_fps_sessions,
    no_output_sessions,
    failed_sessions,
    status_error_samples,
    health_signal_count,
    health_expected_signal_count,
    prompt_to_first_frame_ms,
    startup_time_ms,
    e2e_latency_ms
FROM serving_sessions;

-- One row is one payment with the session that it is for. Only the first payment of a payment session names a request;
-- a later one has that of the latest earlier one with its session_id. A request id is used again and again: the session
-- is the latest that had started by then, or a minute later: what is known of a session may begin after its first
-- payment, when the event of its request is lost. One without a request id is nobody's. A payment without a session keeps
-- its gateway, and no other part of a key.
CREATE VIEW IF NOT EXISTS serving_payments AS
SELECT
    payment.source AS source,
    payment.event_timestamp AS event_timestamp,
    payment.raw_event_uid AS source_event_uid,
    ifNull(session.workflow_session_id, '') AS workflow_session_id,
    if(workflow_session_id = '', payment.gateway, assumeNotNull(session.gateway)) AS gateway,
    ifNull(session.orchestrator_address, '') AS orchestrator_address,
    ifNull(session.pipeline, '') AS pipeline,
    ifNull(session.model_id, '') AS model_id,
    ifNull(session.gpu_id, '') AS gpu_id,
    ifNull(session.region, '') AS region,
    payment.fee_payment_eth AS fee_payment_eth
FROM
(
    SELECT
        payment.source AS source,
        payment.event_timestamp AS event_timestamp,
        payment.raw_event_uid AS raw_event_uid,
        payment.gateway AS gateway,
        if(payment.request_id = '', ifNull(first.request_id, ''), payment.request_id) AS request_id,
        ifNotFinite(toFloat64OrZero(extract(payment.face_value, '^ *([0-9]+(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?)')), 0)
            / 1e18 AS fee_payment_eth
    FROM raw_payment_events AS payment FINAL
    ASOF LEFT JOIN
    (
        SELECT source, session_id, event_timestamp, request_id
        FROM raw_payment_events
        WHERE request_id != '' AND session_id != ''
    ) AS first
        ON first.source = payment.source AND first.session_id = payment.session_id
        AND first.event_timestamp <= payment.event_timestamp
) AS payment
ASOF LEFT JOIN
(
    SELECT
        *,
        session_start_ts - INTERVAL 1 MINUTE AS payable_from_ts
    FROM serving_sessions
    WHERE request_id != ''
) AS session
    ON session.source = payment.source AND session.request_id = payment.request_id
    AND session.payable_from_ts <= payment.event_timestamp;

-- The same with what was paid in the hour.
CREATE VIEW IF NOT EXISTS serving_paid_hours AS
SELECT
    *,
    0. AS fee_payment_eth
FROM serving_hours
UNION ALL
SELECT
    source,
    toStartOfHour(event_timestamp) AS window_start,
    gateway,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region,
    arrayReduce('uniqExactState', emptyArrayString()) AS sessions_uniq_state,
    arrayReduce('uniqExactState', emptyArrayString()) AS streams_uniq_state,
    arrayReduce('avgState', emptyArrayFloat32()) AS output_fps_avg_state,
    arrayReduce('quantileTDigestState(0.95)', emptyArrayFloat32()) AS output_fps_p95_state,
    arrayReduce('stddevPopState', emptyArrayFloat64()) AS fps_jitter_num_state,
    arrayReduce('avgState', emptyArrayFloat32()) AS fps_jitter_den_state,
    arrayReduce('countState', emptyArrayFloat32()) AS sample_count_state,
    0 AS started_sessions,
    0 AS known_sessions,
    0 AS served_sessions,
    0 AS unserved_sessions,
    0 AS startup_success_sessions,
    0 AS excused_sessions,
    0 AS unexcused_sessions,
    0 AS confirmed_swapped_sessions,
    0 AS inferred_orchestrator_change_sessions,
    0 AS swapped_sessions,
    0 AS sessions_with_errors,
    0 AS sessions_with_last_error,
    0 AS loading_only_sessions,
    0 AS zero_output_fps_sessions,
    0 AS no_output_sessions,
    0 AS failed_sessions,
    0 AS status_error_samples,
    0 AS health_signal_count,
    0 AS health_expected_signal_count,
    CAST(NULL, 'Nullable(Float64)') AS prompt_to_first_frame_ms,
    CAST(NULL, 'Nullable(Float64)') AS startup_time_ms,
    CAST(NULL, 'Nullable(Float64)') AS e2e_latency_ms,
    fee_payment_eth
FROM serving_payments;

-- What each GPU is, as the newest snapshot tells that has it under this orchestrator and model.
CREATE VIEW IF NOT EXISTS serving_gpus AS
SELECT
    source,
    orchestrator_address,
    model_id,
    gpu_id,
    newest.1 AS gpu_name,
    newest.2 AS gpu_memory_total,
    newest.3 AS runner_version,
    newest.4 AS cuda_version
FROM
(
    SELECT
        source,
        orchestrator_address,
        model_id,
        ifNull(gpu.gpu_id, '') AS gpu_id,
        argMax(
            tuple(gpu_name, gpu_memory_total, runner_version, concat(toString(gpu_major), '.', toString(gpu_minor))),
            tuple(latest_snapshot_ts, source_event_uid, pipeline, capability_id)
        ) AS newest
    FROM dim_orchestrator_capability_current AS gpu
    WHERE gpu.gpu_id IS NOT NULL
    GROUP BY
        source,
        orchestrator_address,
        model_id,
        gpu_id
);

-- One row is one hour of a GPU under one orchestrator, pipeline, model and region: what it put out, and what became of
-- the sessions that started on it. An hour in which it had nothing but tails is left out.
CREATE VIEW IF NOT EXISTS v_api_gpu_metrics AS
SELECT
    key.source AS source,
    key.window_start AS window_start,
    key.orchestrator_address AS orchestrator_address,
    key.pipeline AS pipeline,
    key.model_id AS model_id,
    key.gpu_id AS gpu_id,
    key.region AS region,
    gpu.gpu_name AS gpu_name,
    gpu.gpu_memory_total AS gpu_memory_total,
    gpu.runner_version AS runner_version,
    gpu.cuda_version AS cuda_version,
    avg_output_fps,
    p95_output_fps,
    jitter_coeff_fps,
    status_samples,
    prompt_to_first_frame_ms,
    startup_time_ms,
    startup_time_ms / 1000 AS startup_time_s,
    e2e_latency_ms,
    p95_prompt_to_first_frame_ms,
    p95_startup_time_ms,
    p95_e2e_latency_ms,
    valid_prompt_to_first_frame_count,
    valid_startup_time_count,
    valid_e2e_latency_count,
    known_sessions,
    startup_success_sessions,
    excused_sessions,
    unexcused_sessions,
    confirmed_swapped_sessions,
    inferred_orchestrator_change_sessions,
    swapped_sessions,
    sessions_with_errors,
    sessions_with_last_error,
    loading_only_sessions,
    zero_output_fps_sessions,
    status_error_samples,
    health_signal_count,
    health_expected_signal_count,
    if(health_expected_signal_count = 0, 1., health_signal_count / health_expected_signal_count)
        AS health_completeness_ratio,
    unexcused_sessions / nullIf(known_sessions, 0) AS failure_rate,
    swapped_sessions / nullIf(known_sessions, 0) AS swap_rate
FROM
(
    SELECT
        source,
        window_start,
        orchestrator_address,
        pipeline,
        model_id,
        gpu_id,
        region,
        sum(hour.started_sessions) AS started_sessions,
        countMerge(hour.sample_count_state) AS status_samples,
        if(status_samples = 0, NULL, avgMerge(hour.output_fps_avg_state)) AS avg_output_fps,
        if(status_samples = 0, NULL, quantileTDigestMerge(0.95)(hour.output_fps_p95_state)) AS p95_output_fps,
        if(status_samples = 0, NULL, stddevPopMerge(hour.fps_jitter_num_state)
            / nullIf(avgMerge(hour.fps_jitter_den_state), 0)) AS jitter_coeff_fps,
        avg(hour.prompt_to_first_frame_ms) AS prompt_to_first_frame_ms,
        avg(hour.startup_time_ms) AS startup_time_ms,
        avg(hour.e2e_latency_ms) AS e2e_latency_ms,
        quantileTDigest(0.95)(hour.prompt_to_first_frame_ms) AS p95_prompt_to_first_frame_ms,
        quantileTDigest(0.95)(hour.startup_time_ms) AS p95_startup_time_ms,
        quantileTDigest(0.95)(hour.e2e_latency_ms) AS p95_e2e_latency_ms,
        count(hour.prompt_to_first_frame_ms) AS valid_prompt_to_first_frame_count,
        count(hour.startup_time_ms) AS valid_startup_time_count,
        count(hour.e2e_latency_ms) AS valid_e2e_latency_count,
        sum(hour.known_sessions) AS known_sessions,
        sum(hour.startup_success_sessions) AS startup_success_sessions,
        sum(hour.excused_sessions) AS excused_sessions,
        sum(hour.unexcused_sessions) AS unexcused_sessions,
        sum(hour.confirmed_swapped_sessions) AS confirmed_swapped_sessions,
        sum(hour.inferred_orchestrator_change_sessions) AS inferred_orchestrator_change_sessions,
        sum(hour.swapped_sessions) AS swapped_sessions,
        sum(hour.sessions_with_errors) AS sessions_with_errors,
        sum(hour.sessions_with_last_error) AS sessions_with_last_error,
        sum(hour.loading_only_sessions) AS loading_only_sessions,
        sum(hour.zero_output_fps_sessions) AS zero_output_fps_sessions,
        sum(hour.status_error_samples) AS status_error_samples,
        sum(hour.health_signal_count) AS health_signal_count,
        sum(hour.health_expected_signal_count) AS health_expected_signal_count
    FROM serving_hours AS hour
    WHERE orchestrator_address != '' AND gpu_id != ''
    GROUP BY
        source,
        window_start,
        orchestrator_address,
        pipeline,
        model_id,
        gpu_id,
        region
) AS key
LEFT JOIN
(
    SELECT
        source,
        window_start,
        orchestrator_address,
        pipeline,
        model_id,
        gpu_id,
        region,
        sum(samples) AS tail_samples
    FROM serving_session_hours
    WHERE is_tail
    GROUP BY
        source,
        window_start,
        orchestrator_address,
        pipeline,
        model_id,
        gpu_id,
        region
) AS tail USING (source, window_start, orchestrator_address, pipeline, model_id, gpu_id, region)
LEFT JOIN serving_gpus AS gpu USING (source, orchestrator_address, model_id, gpu_id)
WHERE key.status_samples > ifNull(tail.tail_samples, 0) OR key.started_sessions > 0;

-- One row is one hour of what a gateway asked for and got, by region, pipeline and model. Who was not served has no
-- pipeline and no model: nobody said which it would have been.
CREATE VIEW IF NOT EXISTS v_api_network_demand AS
SELECT
    source,
    window_start,
    gateway,
    region,
    pipeline,
    model_id,
    uniqExactMerge(hour.streams_uniq_state) AS total_streams,
    uniqExactMerge(hour.sessions_uniq_state) AS total_sessions,
    countMerge(hour.sample_count_state) / 60 AS total_minutes,
    if(countMerge(hour.sample_count_state) = 0, NULL, avgMerge(hour.output_fps_avg_state)) AS avg_output_fps,
    sum(hour.known_sessions) AS known_sessions,
    sum(hour.served_sessions) AS served_sessions,
    sum(hour.unserved_sessions) AS unserved_sessions,
    served_sessions + unserved_sessions AS total_demand_sessions,
    sum(hour.unexcused_sessions) AS unexcused_sessions,
    sum(hour.confirmed_swapped_sessions) AS confirmed_swapped_sessions,
    sum(hour.inferred_orchestrator_change_sessions) AS inferred_orchestrator_change_sessions,
    sum(hour.swapped_sessions) AS swapped_sessions,
    sum(hour.sessions_with_errors) AS sessions_with_errors,
    sum(hour.sessions_with_last_error) AS sessions_with_last_error,
    sum(hour.loading_only_sessions) AS loading_only_sessions,
    sum(hour.zero_output_fps_sessions) AS zero_output_fps_sessions,
    sum(hour.status_error_samples) AS status_error_samples,
    sum(hour.health_signal_count) AS health_signal_count,
    sum(hour.health_expected_signal_count) AS health_expected_signal_count,
    if(health_expected_signal_count = 0, 1., health_signal_count / health_expected_signal_count)
        AS health_completeness_ratio,
    unserved_sessions AS missing_capacity_count,
    1 - unexcused_sessions / nullIf(known_sessions, 0) AS startup_success_ratio,
    1 - sum(hour.failed_sessions) / nullIf(known_sessions, 0) AS success_ratio,
    sum(hour.fee_payment_eth) AS fee_payment_eth
FROM serving_paid_hours AS hour
GROUP BY
    source,
    window_start,
    gateway,
    region,
    pipeline,
    model_id;

-- How many sessions of a model an orchestrator can serve at once, free slots and used ones, by the newest snapshot of
-- each of its nodes: a model that a node does not name there any more has no slots on it.
CREATE VIEW IF NOT EXISTS serving_capacity AS
SELECT
    source,
    orchestrator_address,
    model_id,
    sum(newest_slots) AS slots
FROM
(
    SELECT
        source,
        orchestrator_address,
        orchestrator_proxy_address,
        orchestrator_url,
        capability_id,
        model_id,
        argMax(ifNull(capacity, 0) + ifNull(capacity_in_use, 0), tuple(snapshot_ts, source_event_uid)) AS newest_slots,
        max(tuple(snapshot_ts, source_event_uid)) AS stated
    FROM dim_orchestrator_capability_model_constraints
    GROUP BY
        source,
        orchestrator_address,
        orchestrator_proxy_address,
        orchestrator_url,
        capability_id,
        model_id
) AS model
INNER JOIN
(
    SELECT
        source,
        orchestrator_address,
        orchestrator_proxy_address,
        orchestrator_url,
        max(tuple(snapshot_ts, source_event_uid)) AS newest
    FROM dim_orchestrator_capability_snapshots
    GROUP BY
        source,
        orchestrator_address,
        orchestrator_proxy_address,
        orchestrator_url
) AS node USING (source, orchestrator_address, orchestrator_proxy_address, orchestrator_url)
WHERE stated = newest
GROUP BY
    source,
    orchestrator_address,
    model_id;

-- One row is one hour of a GPU by the gateway that used it. Capacity is that of the newest snapshots, free and in use,
-- shared evenly among the rows that an orchestrator and model have in the hour, so that it adds up.
CREATE VIEW IF NOT EXISTS v_api_network_demand_by_gpu AS
SELECT
    key.source AS source,
    key.window_start AS window_start,
    key.gateway AS gateway,
    key.orchestrator_address AS orchestrator_address,
    key.region AS region,
    key.pipeline AS pipeline,
    key.model_id AS model_id,
    key.gpu_id AS gpu_id,
    ifNull(gpu.gpu_name, 'unknown') AS gpu_type,
    total_streams,
    total_sessions,
    used_inference_minutes AS inference_minutes_by_gpu_type,
    used_inference_minutes,
    60 * nullIf(capacity.slots, 0)
        / count() OVER (PARTITION BY key.source, key.window_start, key.orchestrator_address, key.model_id)
        AS available_capacity_minutes,
    used_inference_minutes / available_capacity_minutes AS capacity_rate,
    known_sessions,
    unexcused_sessions,
    confirmed_swapped_sessions,
    inferred_orchestrator_change_sessions,
    swapped_sessions,
    sessions_with_errors,
    sessions_with_last_error,
    loading_only_sessions,
    zero_output_fps_sessions,
    status_error_samples,
    health_signal_count,
    health_expected_signal_count,
    if(health_expected_signal_count = 0, 1., health_signal_count / health_expected_signal_count)
        AS health_completeness_ratio,
    unserved_sessions AS missing_capacity_count,
    fee_payment_eth
FROM
(
    SELECT
        source,
        window_start,
        gateway,
        orchestrator_address,
        region,
        pipeline,
        model_id,
        gpu_id,
        uniqExactMerge(hour.streams_uniq_state) AS total_streams,
        uniqExactMerge(hour.sessions_uniq_state) AS total_sessions,
        countMerge(hour.sample_count_state) / 60 AS used_inference_minutes,
        sum(hour.known_sessions) AS known_sessions,
        sum(hour.unexcused_sessions) AS unexcused_sessions,
        sum(hour.confirmed_swapped_sessions) AS confirmed_swapped_sessions,
        sum(hour.inferred_orchestrator_change_sessions) AS inferred_orchestrator_change_sessions,
        sum(hour.swapped_sessions) AS swapped_sessions,
        sum(hour.sessions_with_errors) AS sessions_with_errors,
        sum(hour.sessions_with_last_error) AS sessions_with_last_error,
        sum(hour.loading_only_sessions) AS loading_only_sessions,
        sum(hour.zero_output_fps_sessions) AS zero_output_fps_sessions,
        sum(hour.status_error_samples) AS status_error_samples,
        sum(hour.health_signal_count) AS health_signal_count,
        sum(hour.health_expected_signal_count) AS health_expected_signal_count,
        sum(hour.unserved_sessions) AS unserved_sessions,
        sum(hour.fee_payment_eth) AS fee_payment_eth
    FROM serving_paid_hours AS hour
    WHERE orchestrator_address != ''
    GROUP BY
        source,
        window_start,
        gateway,
        orchestrator_address,
        region,
        pipeline,
        model_id,
        gpu_id
) AS key
LEFT JOIN serving_gpus AS gpu USING (source, orchestrator_address, model_id, gpu_id)
LEFT JOIN serving_capacity AS capacity USING (source, orchestrator_address, model_id);

-- One row is one hour of service under one key, with the sessions that were served in it: a session counts in every
-- hour in which it had samples there, and in the hour of its tail not at all.
CREATE VIEW IF NOT EXISTS v_api_sla_compliance AS
SELECT
    source,
    window_start,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region,
    sum(hour.known_sessions) AS known_sessions,
    sum(hour.startup_success_sessions) AS startup_success_sessions,
    sum(hour.excused_sessions) AS excused_sessions,
    sum(hour.unexcused_sessions) AS unexcused_sessions,
    sum(hour.confirmed_swapped_sessions) AS confirmed_swapped_sessions,
    sum(hour.inferred_orchestrator_change_sessions) AS inferred_orchestrator_change_sessions,
    sum(hour.swapped_sessions) AS swapped_sessions,
    sum(hour.sessions_with_errors) AS sessions_with_errors,
    sum(hour.sessions_with_last_error) AS sessions_with_last_error,
    sum(hour.loading_only_sessions) AS loading_only_sessions,
    sum(hour.zero_output_fps_sessions) AS zero_output_fps_sessions,
    sum(hour.status_error_samples) AS status_error_samples,
    sum(hour.health_signal_count) AS health_signal_count,
    sum(hour.health_expected_signal_count) AS health_expected_signal_count,
    if(health_expected_signal_count = 0, 1., health_signal_count / health_expected_signal_count)
        AS health_completeness_ratio,
    1 - unexcused_sessions / nullIf(known_sessions, 0) AS startup_success_ratio,
    1 - sum(hour.failed_sessions) / nullIf(known_sessions, 0) AS success_ratio,
    1 - swapped_sessions / nullIf(known_sessions, 0) AS no_swap_ratio,
    100 * health_completeness_ratio * (0.4 * startup_success_ratio + 0.2 * no_swap_ratio
        + 0.4 * (1 - sum(hour.no_output_sessions) / nullIf(known_sessions, 0))) AS sla_score
FROM serving_session_hours AS hour
WHERE NOT is_tail
GROUP BY
    source,
    window_start,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region;

-- One row is five minutes of a GPU in which there were ten samples or more.
CREATE VIEW IF NOT EXISTS v_api_jitter_5m AS
SELECT
    source,
    toStartOfFiveMinutes(minute.window_start) AS window_start_5m,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region,
    avgMerge(output_fps_avg_state) AS avg_output_fps,
    stddevPopMerge(fps_jitter_num_state) / nullIf(avgMerge(fps_jitter_den_state), 0) AS jitter_coeff_fps,
    countMerge(sample_count_state) AS status_samples
FROM agg_stream_performance_1m_current AS minute
GROUP BY
    source,
    window_start_5m,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region
HAVING status_samples >= 10;

-- One row is one session: who it is, and under which version it stands.
CREATE VIEW IF NOT EXISTS v_api_session_identity AS
SELECT
    source,
    workflow_session_id,
    orchestrator_address,
    stream_id,
    request_id,
    session_start_ts,
    session_end_ts,
    version AS latest_version
FROM fact_workflow_sessions_current;

-- One row is one watched table of one source: the newest instant that it knows, and how long ago that was.
CREATE VIEW IF NOT EXISTS v_health_rollup_freshness AS
SELECT
    source,
    table_name,
    max_event_ts,
    now64(3, 'UTC') AS checked_at,
    dateDiff('minute', max_event_ts, checked_at) AS lag_minutes
FROM
(
    SELECT source, 'fact_stream_status_samples' AS table_name, max(sample_ts) AS max_event_ts
    FROM fact_stream_status_samples
    GROUP BY source
    UNION ALL
    SELECT source, 'fact_workflow_sessions' AS table_name, max(session_start_ts) AS max_event_ts
    FROM fact_workflow_sessions
    GROUP BY source
    UNION ALL
    SELECT source, 'agg_stream_performance_1m' AS table_name, toDateTime64(max(window_start), 3, 'UTC') AS max_event_ts
    FROM agg_stream_performance_1m
    GROUP BY source
);
