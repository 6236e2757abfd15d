-- Rollups. Read by: serving views, assertion packs, dashboards; through the _current view only where there is one.

-- One row is one version of one minute of one key. A minute is recomputed whole, from the newest versions of its
-- samples, and all its keys are written in one insert under one version: the minute's evidence, the sum of 1 + the
-- version of every sample in it, withdrawn ones too. So it grows with every event and every correction, a key that a
-- correction leaves has no row of the greatest version, and any number of writers agree. What is not served
-- (unattributed samples, tombstones) is the row whose key is empty, without samples: a minute that has lost its last
-- served sample still gets a version. States are made of sorted values, so that equal evidence gives equal bytes. The
-- deviation is of Float64: its state is a sum of squares, which loses the jitter of a steady stream in Float32. Row
-- key: all that ORDER BY names.
CREATE TABLE IF NOT EXISTS agg_stream_performance_1m
(
    source               LowCardinality(String),
    window_start         DateTime('UTC'),
    gateway              LowCardinality(String),
    orchestrator_address LowCardinality(String),
    pipeline             LowCardinality(String),
    model_id             LowCardinality(String),
    gpu_id               LowCardinality(String),
    region               LowCardinality(String),
    sessions_uniq_state  AggregateFunction(uniqExact, String),
    streams_uniq_state   AggregateFunction(uniqExact, String),
    output_fps_avg_state AggregateFunction(avg, Float32),
    output_fps_p95_state AggregateFunction(quantileTDigest(0.95), Float32),
    fps_jitter_num_state AggregateFunction(stddevPop, Float64),
    fps_jitter_den_state AggregateFunction(avg, Float32),
    sample_count_state   AggregateFunction(count),
    sessions             Nested
    (
        workflow_session_id String,
        samples             UInt64,
        active_samples      UInt64                                   -- with output, or in a state that runs
    ),
    version              UInt256,
    ingestion_timestamp  DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (source, window_start, gateway, orchestrator_address, pipeline, model_id, gpu_id, region);

-- The minutes as they stand: of each minute the rows of its greatest version, without the one of the empty key.
CREATE VIEW IF NOT EXISTS agg_stream_performance_1m_current AS
SELECT * EXCEPT (newest_version)
FROM
(
    SELECT
        *,
        max(version) OVER (PARTITION BY source, window_start) AS newest_version
    FROM agg_stream_performance_1m
    FINAL
)
WHERE version = newest_version AND orchestrator_address != '';

-- Sessions by the hour in which they start, each counted once. A start moves while evidence comes, so nothing is
-- stored.
CREATE VIEW IF NOT EXISTS agg_reliability_1h AS
SELECT
    source,
    toStartOfHour(session_start_ts) AS window_start,
    gateway,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region,
    sumState(toUInt64(known_sessions)) AS known_sessions_state,
    sumState(toUInt64(startup_success_sessions)) AS startup_success_sessions_state,
    sumState(toUInt64(excused_sessions)) AS excused_sessions_state,
    sumState(toUInt64(unexcused_sessions)) AS unexcused_sessions_state,
    sumState(toUInt64(confirmed_swapped_sessions)) AS confirmed_swapped_sessions_state,
    sumState(toUInt64(inferred_orchestrator_change_sessions)) AS inferred_orchestrator_change_sessions_state,
    sumState(toUInt64(swapped_sessions)) AS swapped_sessions_state,
    sumState(toUInt64(sessions_with_errors)) AS sessions_with_errors_state,
    sumState(toUInt64(sessions_with_last_error)) AS sessions_with_last_error_state,
    sumState(toUInt64(loading_only_sessions)) AS loading_only_sessions_state,
    sumState(toUInt64(zero_output_fps_sessions)) AS zero_output_fps_sessions_state,
    sumState(toUInt64(status_error_samples)) AS status_error_samples_state,
    sumState(toUInt64(health_signal_count)) AS health_signal_count_state,
    sumState(toUInt64(health_expected_signal_count)) AS health_expected_signal_count_state
FROM serving_sessions
GROUP BY
    source,
    window_start,
    gateway,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region;

-- Latencies by the minute in which their session starts; a session without one is left out of its average and count.
CREATE VIEW IF NOT EXISTS agg_latency_kpis_1m AS
SELECT
    source,
    toStartOfMinute(session_start_ts) AS window_start,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region,
    avgState(prompt_to_first_frame_ms) AS prompt_to_first_frame_ms_avg_state,
    quantileTDigestState(0.95)(prompt_to_first_frame_ms) AS prompt_to_first_frame_ms_p95_state,
    sumState(toUInt64(prompt_to_first_frame_ms IS NOT NULL)) AS valid_prompt_to_first_frame_state,
    avgState(startup_time_ms) AS startup_time_ms_avg_state,
    quantileTDigestState(0.95)(startup_time_ms) AS startup_time_ms_p95_state,
    sumState(toUInt64(startup_time_ms IS NOT NULL)) AS valid_startup_time_state,
    avgState(e2e_latency_ms) AS e2e_latency_ms_avg_state,
    quantileTDigestState(0.95)(e2e_latency_ms) AS e2e_latency_ms_p95_state,
    sumState(toUInt64(e2e_latency_ms IS NOT NULL)) AS valid_e2e_latency_state
FROM serving_sessions
GROUP BY
    source,
    window_start,
    orchestrator_address,
    pipeline,
    model_id,
    gpu_id,
    region;
