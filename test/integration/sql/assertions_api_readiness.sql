-- What the API serves: views that are there, with their columns and grain, and rows that can be true.

-- name: api_views_present
-- what: the serving views are there
WITH [
    'v_api_gpu_metrics',
    'v_api_network_demand',
    'v_api_network_demand_by_gpu',
    'v_api_sla_compliance',
    'v_api_jitter_5m',
    'v_api_session_identity',
    'v_health_rollup_freshness'
] AS wanted
SELECT
    length(missing) AS failed_rows,
    arrayFilter(
        name -> NOT has((SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase()), name),
        wanted
    ) AS missing;

-- name: gpu_metrics_keys_not_null
-- what: a row of the GPU view has an hour, an orchestrator, a GPU, and a pipeline or a model
SELECT
    countIf(
        orchestrator_address = '' OR ifNull(gpu_id, '') = '' OR (pipeline = '' AND ifNull(model_id, '') = '')
            OR window_start < toDateTime('2000-01-01 00:00:00', 'UTC')
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_gpu_metrics
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: gold_pipeline_coverage_attributable_min_threshold
-- what: of the rows of the GPU and SLA views that know their model, 99 in 100 know their pipeline
SELECT
    toUInt64(pipeline_coverage_ratio < 0.99) * (total_attributable_model_rows - attributed_with_pipeline) AS failed_rows,
    if(total_attributable_model_rows = 0, 1, attributed_with_pipeline / total_attributable_model_rows)
        AS pipeline_coverage_ratio,
    count() AS total_attributable_model_rows,
    countIf(pipeline != '') AS attributed_with_pipeline
FROM
(
    SELECT pipeline, ifNull(model_id, '') AS model
    FROM v_api_gpu_metrics
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT pipeline, ifNull(model_id, '')
    FROM v_api_sla_compliance
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
)
WHERE model != '';

-- name: gpu_metrics_rollup_fields_consistent
-- what: the rates of the GPU view follow from its counts, and there are none without known sessions
SELECT
    countIf(
        (known_sessions = 0 AND (failure_rate IS NOT NULL OR swap_rate IS NOT NULL))
            OR (known_sessions > 0 AND (ifNull(abs(failure_rate - unexcused_sessions / known_sessions), 1) > 1e-6
                OR ifNull(abs(swap_rate - swapped_sessions / known_sessions), 1) > 1e-6))
            OR startup_success_sessions + excused_sessions + unexcused_sessions != known_sessions
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_gpu_metrics
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: gpu_metrics_latency_fields_nonnegative
-- what: no latency is negative, and one that was measured is there
SELECT
    countIf(
        ifNull(prompt_to_first_frame_ms, 0) < 0 OR ifNull(startup_time_ms, 0) < 0 OR ifNull(e2e_latency_ms, 0) < 0
            OR (valid_prompt_to_first_frame_count > 0) != (prompt_to_first_frame_ms IS NOT NULL)
            OR (valid_startup_time_count > 0) != (startup_time_ms IS NOT NULL)
            OR (valid_e2e_latency_count > 0) != (e2e_latency_ms IS NOT NULL)
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_gpu_metrics
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: gpu_metrics_startup_seconds_matches_ms
-- what: the start-up time in seconds is that in milliseconds
SELECT
    countIf(
        (startup_time_s IS NULL) != (startup_time_ms IS NULL) OR ifNull(abs(startup_time_s * 1000 - startup_time_ms), 0) > 1e-6
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_gpu_metrics
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_hourly_grain
-- what: demand is by the hour
SELECT
    countIf(toStartOfHour(window_start) != window_start) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_required_columns_present
-- what: demand has the columns that clients read
WITH ['model_id', 'pipeline', 'total_minutes', 'startup_success_ratio', 'success_ratio', 'source'] AS wanted
SELECT
    length(missing_columns) AS failed_rows,
    arrayFilter(
        name -> NOT has(
            (
                SELECT groupArray(name)
                FROM system.columns
                WHERE database = currentDatabase() AND table = 'v_api_network_demand'
            ),
            name
        ),
        wanted
    ) AS missing_columns;

-- name: network_demand_by_gpu_hourly_grain
-- what: demand by GPU is by the hour
SELECT
    countIf(toStartOfHour(window_start) != window_start) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand_by_gpu
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_by_gpu_required_columns_present
-- what: demand by GPU has the columns that clients read
WITH ['gpu_id', 'gpu_type', 'source'] AS wanted
SELECT
    length(missing_columns) AS failed_rows,
    arrayFilter(
        name -> NOT has(
            (
                SELECT groupArray(name)
                FROM system.columns
                WHERE database = currentDatabase() AND table = 'v_api_network_demand_by_gpu'
            ),
            name
        ),
        wanted
    ) AS missing_columns;

-- name: network_demand_by_gpu_capacity_fields_nonnegative
-- what: minutes and capacity are not negative, and no GPU is used at more than one and a half times its capacity
SELECT
    countIf(
        used_inference_minutes < 0 OR available_capacity_minutes < 0 OR ifNull(capacity_rate, 0) NOT BETWEEN 0 AND 1.5
    ) AS failed_rows,
    max(ifNull(capacity_rate, 0)) AS max_capacity_rate,
    count() AS rows_checked
FROM v_api_network_demand_by_gpu
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_additive_fields_nonnegative
-- what: no count of demand is negative, and no part greater than what it is a part of
SELECT
    countIf(
        total_minutes < 0 OR fee_payment_eth < 0 OR toInt64(known_sessions) < 0 OR toInt64(unserved_sessions) < 0
            OR unexcused_sessions > known_sessions OR swapped_sessions > known_sessions
            OR zero_output_fps_sessions > known_sessions OR loading_only_sessions > known_sessions
            OR total_streams > total_sessions
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_served_unserved_consistency
-- what: demand is what was served and what was not, and what was not is what capacity is missing for
SELECT
    countIf(
        total_demand_sessions != served_sessions + unserved_sessions OR missing_capacity_count != unserved_sessions
            OR total_demand_sessions != known_sessions
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_pipeline_not_model_id
-- what: the pipeline of demand is no model label
SELECT
    countIf(pipeline != '' AND lower(pipeline) = lower(ifNull(model_id, ''))) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_pipeline_fallback_applied
-- what: no model of an hour and gateway is counted with its pipeline and without it
-- severity: warning
SELECT
    countIf(has_blank AND pipelines = 1) AS failed_rows,
    count() AS keys_checked
FROM
(
    SELECT countIf(pipeline = '') > 0 AS has_blank, uniqExactIf(pipeline, pipeline != '') AS pipelines
    FROM v_api_network_demand
    WHERE ifNull(model_id, '') != ''
        AND window_start >= {from_ts:DateTime64(3, 'UTC')}
        AND window_start < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, window_start, gateway, ifNull(region, ''), ifNull(model_id, '')
);

-- name: sla_compliance_rollup_safe
-- what: the ratios of the SLA view follow from its counts, and there are none without known sessions
SELECT
    countIf(
        (known_sessions = 0 AND (sla_score IS NOT NULL OR success_ratio IS NOT NULL))
            OR (known_sessions > 0 AND (
                ifNull(abs(startup_success_ratio - (1 - unexcused_sessions / known_sessions)), 1) > 1e-6
                OR ifNull(abs(no_swap_ratio - (1 - swapped_sessions / known_sessions)), 1) > 1e-6
                OR ifNull(success_ratio NOT BETWEEN 0 AND startup_success_ratio + 1e-6, 1)
                OR ifNull(sla_score NOT BETWEEN 0 AND 100, 1)
            ))
            OR abs(health_completeness_ratio
                - if(health_expected_signal_count = 0, 1, health_signal_count / health_expected_signal_count)) > 1e-6
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_sla_compliance
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: sla_compliance_required_columns_present
-- what: the SLA view has the columns that clients read
WITH ['startup_success_ratio', 'success_ratio', 'no_swap_ratio', 'sla_score', 'source'] AS wanted
SELECT
    length(missing_columns) AS failed_rows,
    arrayFilter(
        name -> NOT has(
            (
                SELECT groupArray(name)
                FROM system.columns
                WHERE database = currentDatabase() AND table = 'v_api_sla_compliance'
            ),
            name
        ),
        wanted
    ) AS missing_columns;

-- name: network_demand_success_ratios_valid
-- what: the ratios of demand are from 0 to 1 and in order, and there are none without known sessions
SELECT
    countIf(
        (known_sessions = 0) != (startup_success_ratio IS NULL) OR (known_sessions = 0) != (success_ratio IS NULL)
            OR ifNull(startup_success_ratio NOT BETWEEN 0 AND 1, 0)
            OR ifNull(success_ratio NOT BETWEEN 0 AND startup_success_ratio + 1e-6, 0)
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_success_ratio_penalizes_failure_indicators
-- what: each unexcused, silent or never loaded session takes its share from the success of the demand
SELECT
    countIf(
        success_ratio * known_sessions > known_sessions
            - greatest(unexcused_sessions, zero_output_fps_sessions, loading_only_sessions) + 1e-6
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE known_sessions > 0
    AND window_start >= {from_ts:DateTime64(3, 'UTC')}
    AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_low_sample_windows
-- what: demand that was served has a second of samples at least
-- severity: warning
SELECT
    countIf(total_minutes < 1 / 60) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE served_sessions > 0
    AND window_start >= {from_ts:DateTime64(3, 'UTC')}
    AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: sla_recompute_parity_vs_latest_sessions
-- what: a known session with samples of an orchestrator counts in the SLA of that orchestrator, and no other session does
SELECT
    countIf(in_facts != in_view OR known_diff != 0) AS failed_rows,
    countIf(in_facts) AS raw_rows,
    countIf(in_view) AS view_rows,
    countIf(in_facts AND in_view) AS joined_rows,
    countIf(NOT in_view) AS raw_only_keys,
    countIf(NOT in_facts) AS view_only_keys,
    sum(abs(known_diff)) AS total_known_diff
FROM
(
    SELECT
        countIf(side = 1) > 0 AS in_facts,
        countIf(side = -1) > 0 AS in_view,
        sum(side * toInt64(known)) AS known_diff
    FROM
    (
        SELECT 1 AS side, hours.source AS source, hour, hours.orchestrator_address AS address, known_stream AS known
        FROM session_hours AS hours
        INNER JOIN fact_workflow_sessions_current AS session
            ON session.source = hours.source AND session.workflow_session_id = hours.id
        WHERE NOT is_tail
        UNION ALL
        SELECT -1, source, window_start, orchestrator_address, known_sessions
        FROM v_api_sla_compliance
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, address
);
