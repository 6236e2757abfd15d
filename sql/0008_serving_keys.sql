-- The key contract: by which key serving counts what. These two views are its only definition; rollups and serving
-- views take their keys from here and from nowhere else, and nothing behind them fills or guesses a key again.
--
-- A key is (source, gateway, orchestrator_address, pipeline, model_id, gpu_id, region), as the facts claim it. What is
-- unknown is '' and never NULL, so that GROUP BY, JOIN, IN and USING compare it like any other value.

-- One row is one status sample in its newest version, withdrawn ones too: serving counts those with is_served = 1, and a
-- minute's evidence is made of all, so FINAL, which hides tombstones, would not do. A sample is active with output, or
-- in a state that runs. Read it for a few hours at a time, by source and toStartOfHour(sample_ts): both are among what
-- the versions of a sample share, so the condition reaches the order of the table.
CREATE VIEW IF NOT EXISTS serving_samples AS
SELECT
    source,
    source_event_uid,
    sample_ts,
    workflow_session_id,
    gateway,
    orchestrator_address,
    pipeline,
    ifNull(sample.model_id, '') AS model_id,
    ifNull(sample.gpu_id, '') AS gpu_id,
    ifNull(sample.region, '') AS region,
    stream_id,
    output_fps,
    toUInt8(output_fps > 0 OR state IN ('ONLINE', 'DEGRADED_INFERENCE', 'DEGRADED_INPUT')) AS is_active,
    version,
    toUInt8(is_attributed = 1 AND is_deleted = 0) AS is_served
FROM
(
    SELECT
        *,
        row_number() OVER
        (
            PARTITION BY source, toStartOfHour(sample_ts), workflow_session_id, sample_ts, source_event_uid
            ORDER BY version DESC
        ) AS nth_newest
    FROM fact_stream_status_samples
) AS sample
WHERE nth_newest = 1;

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
