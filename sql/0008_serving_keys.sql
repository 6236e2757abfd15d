-- The key contract: by which key serving counts what. These two views are its only definition; rollups and serving
-- views take their keys from here and from nowhere else, and nothing behind them fills or guesses a key again.
--
-- A key is (source, gateway, orchestrator_address, pipeline, model_id, gpu_id, region), as the facts claim it. What is
-- unknown is '' and never NULL, so that GROUP BY, JOIN, IN and USING compare it like any other value.

-- One row is one status sample in its newest version, withdrawn ones too: serving counts those with is_served = 1, and
-- a minute's evidence is made of all. It is taken whole: an argMax of each column for itself would skip NULLs. A sample
-- is active with output, or in a state that runs. Read it for a few hours at a time, by source and
-- toStartOfHour(sample_ts).
CREATE VIEW IF NOT EXISTS serving_samples AS
SELECT
    source,
    source_event_uid,
    sample_ts,
    workflow_session_id,
    newest.1 AS gateway,
    newest.2 AS orchestrator_address,
    newest.3 AS pipeline,
    ifNull(newest.4, '') AS model_id,
    ifNull(newest.5, '') AS gpu_id,
    ifNull(newest.6, '') AS region,
    newest.7 AS stream_id,
    newest.8 AS output_fps,
    toUInt8(newest.8 > 0 OR newest.9 IN ('ONLINE', 'DEGRADED_INFERENCE', 'DEGRADED_INPUT')) AS is_active,
    newest_version AS version,
    toUInt8(newest.10 = 1 AND newest.11 = 0) AS is_served
FROM
(
    SELECT
        source,
        source_event_uid,
        sample_ts,
        workflow_session_id,
        argMax(
            tuple(
                gateway,
                orchestrator_address,
                pipeline,
                model_id,
                gpu_id,
                region,
                stream_id,
                output_fps,
                state,
                is_attributed,
                is_deleted
            ),
            version
        ) AS newest,
        max(version) AS newest_version
    FROM fact_stream_status_samples
    GROUP BY
        source,
        source_event_uid,
        sample_ts,
        workflow_session_id
);

-- One row is one session as it stands. Its outcomes count only where its stream request was seen (known_stream = 1):
-- a ratio over known sessions could otherwise leave [0, 1].
CREATE VIEW IF NOT EXISTS serving_sessions AS
SELECT
    source,
    workflow_session_id,
    stream_id,
    request_id,
    session_start_ts,
    session_end_ts,
    gateway,
    orchestrator_address,
    pipeline,
    ifNull(fact.model_id, '') AS model_id,
    ifNull(fact.gpu_id, '') AS gpu_id,
    ifNull(fact.region, '') AS region,
    known_stream AS known_sessions,
    toUInt8(known_stream AND orchestrator_address != '') AS served_sessions,
    toUInt8(known_stream AND orchestrator_address = '') AS unserved_sessions,
    toUInt8(known_stream AND startup_success) AS startup_success_sessions,
    startup_excused AS excused_sessions,
    startup_unexcused AS unexcused_sessions,
    toUInt8(known_stream AND confirmed_swap_count > 0) AS confirmed_swapped_sessions,
    toUInt8(known_stream AND inferred_orchestrator_change_count > 0) AS inferred_orchestrator_change_sessions,
    toUInt8(confirmed_swapped_sessions OR inferred_orchestrator_change_sessions) AS swapped_sessions,
    toUInt8(known_stream AND error_count > 0) AS sessions_with_errors,
    toUInt8(known_stream AND last_error_occurred) AS sessions_with_last_error,
    toUInt8(known_stream AND loading_only_session) AS loading_only_sessions,
    toUInt8(known_stream AND zero_output_fps_session) AS zero_output_fps_sessions,
    toUInt8(loading_only_sessions OR zero_output_fps_sessions) AS no_output_sessions,
    toUInt8(unexcused_sessions OR no_output_sessions) AS failed_sessions,
    if(known_stream, status_error_sample_count, 0) AS status_error_samples,
    if(known_stream, fact.health_signal_count, 0) AS health_signal_count,
    fact.health_expected_signal_count AS health_expected_signal_count,
    prompt_to_first_frame_ms,
    startup_time_ms,
    e2e_latency_ms
FROM fact_workflow_sessions_current AS fact;
