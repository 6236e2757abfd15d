-- The situations that a set of fixtures must show. The scenarios are those of sql/fixtures/scenario_candidates.sql.

-- define: outcomes
-- what: each session that starts in the window, with what tells its scenario
SELECT
    session.source AS source,
    session.workflow_session_id AS id,
    known_stream, startup_success, startup_unexcused, swap_count, confirmed_swap_count,
    inferred_orchestrator_change_count, orchestrator_address,
    sample.mean_fps AS mean_fps,
    edge.no_orchestrators AS no_orchestrators,
    edge.closes AS closes,
    update.updates AS updates
FROM
(
    SELECT *
    FROM fact_workflow_sessions_current
    WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
) AS session
LEFT JOIN
(
    SELECT source, workflow_session_id, avg(output_fps) AS mean_fps
    FROM fact_stream_status_samples_current
    GROUP BY source, workflow_session_id
) AS sample USING (source, workflow_session_id)
LEFT JOIN
(
    SELECT
        source, workflow_session_id,
        countIf(trace_type = 'gateway_no_orchestrators_available') AS no_orchestrators,
        countIf(trace_type = 'gateway_ingest_stream_closed') AS closes
    FROM fact_stream_trace_edges_current
    GROUP BY source, workflow_session_id
) AS edge USING (source, workflow_session_id)
LEFT JOIN
(
    SELECT source, workflow_session_id, count() AS updates
    FROM fact_workflow_param_updates_current
    GROUP BY source, workflow_session_id
) AS update USING (source, workflow_session_id);

-- name: scenario_1_clean_success_no_swap_fps_gt_12_exists
-- what: a known session of an attributed orchestrator succeeds without a swap at more than 12 frames per second
SELECT
    toUInt8(candidates = 0) AS failed_rows,
    countIf(known_stream AND startup_success AND NOT startup_unexcused AND swap_count = 0 AND mean_fps > 12
        AND orchestrator_address != '') AS candidates
FROM outcomes;

-- name: scenario_2_no_orchestrator_then_closed_exists
-- what: a session finds no orchestrator and is closed
SELECT
    toUInt8(candidates = 0) AS failed_rows,
    countIf(NOT startup_success AND no_orchestrators > 0 AND closes > 0) AS candidates
FROM outcomes;

-- name: scenario_3_success_with_swap_exists
-- what: a session succeeds and changes its orchestrator
SELECT
    toUInt8(candidates = 0) AS failed_rows,
    countIf(startup_success AND (confirmed_swap_count > 0 OR inferred_orchestrator_change_count > 0)) AS candidates,
    countIf(startup_success AND confirmed_swap_count > 0) AS explicit_candidates,
    countIf(startup_success AND inferred_orchestrator_change_count > 0) AS derived_candidates
FROM outcomes;

-- name: scenario_4_success_with_param_updates_exists
-- what: a session succeeds and has its parameters updated, which production was never seen to do
-- severity: warning
SELECT
    toUInt8(candidates = 0) AS failed_rows,
    countIf(startup_success AND updates > 0) AS candidates
FROM outcomes;

-- name: scenario_5_out_of_category_baseline_exists
-- what: a session fits none of the first four scenarios
-- severity: warning
SELECT
    toUInt8(candidates = 0) AS failed_rows,
    countIf(
        NOT (known_stream AND startup_success AND NOT startup_unexcused AND swap_count = 0 AND mean_fps > 12)
            AND NOT (NOT startup_success AND no_orchestrators > 0 AND closes > 0)
            AND NOT (startup_success AND (confirmed_swap_count > 0 OR inferred_orchestrator_change_count > 0))
            AND NOT (startup_success AND updates > 0)
    ) AS candidates
FROM outcomes;

-- name: scenario_6_same_hour_failed_no_output_retained_in_views
-- what: a session that starts and ends without output within one hour is shown in the GPU view and in the SLA view
SELECT
    countIf(is_candidate AND NOT in_gpu) + countIf(is_candidate AND NOT in_sla) AS failed_rows,
    countIf(is_candidate) AS candidates,
    countIf(is_candidate AND NOT in_gpu) AS gpu_missing_rows,
    countIf(is_candidate AND NOT in_sla) AS sla_missing_rows
FROM silent_hours;

-- name: scenario_7_rollover_tail_filtered_in_views
-- what: an hour in which a session only ends, after an hour without work, is shown neither in the GPU view nor in the SLA view
SELECT
    countIf(is_only_tail AND (in_gpu OR in_sla)) AS failed_rows,
    countIf(is_only_tail) AS candidates,
    countIf(is_only_tail AND in_gpu) AS gpu_rows_found,
    countIf(is_only_tail AND in_sla) AS sla_rows_found
FROM tail_hours;
