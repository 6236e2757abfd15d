-- From the typed tables to the facts, and from the facts to the rollups and views: presence, projection, identity,
-- attribution, and views that agree with what they are made of.
--
-- One-sided keys are found by UNION ALL and GROUP BY. An anti-join that asks a key that cannot be null for null finds
-- nothing, whatever is missing: the engine fills the missing side with defaults.

-- name: raw_events_present
-- what: the archive, the typed statuses and the typed traces have rows
SELECT
    toUInt8(raw_rows = 0) + toUInt8(status_rows = 0) + toUInt8(trace_rows = 0) AS failed_rows,
    (
        SELECT count()
        FROM raw_streaming_events
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS raw_rows,
    (
        SELECT count()
        FROM raw_ai_stream_status
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS status_rows,
    (
        SELECT count()
        FROM raw_stream_trace_events
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS trace_rows;

-- name: capability_dimension_mvs_present
-- what: the four capability dimensions, the present state of the nodes and the catalogue are there
WITH [
    'dim_orchestrator_capability_snapshots',
    'dim_orchestrator_capability_advertised_snapshots',
    'dim_orchestrator_capability_model_constraints',
    'dim_orchestrator_capability_prices',
    'dim_orchestrator_capability_current',
    'dim_capability_catalogue'
] AS wanted
SELECT
    length(missing) AS failed_rows,
    arrayFilter(
        name -> NOT has((SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase()), name),
        wanted
    ) AS missing;

-- name: capability_dimensions_projecting
-- what: each capability table that has rows has rows in its dimension
SELECT
    toUInt8(caps_rows > 0 AND dim_caps_rows = 0) + toUInt8(adv_rows > 0 AND dim_adv_rows = 0)
        + toUInt8(mc_rows > 0 AND dim_mc_rows = 0) + toUInt8(price_rows > 0 AND dim_price_rows = 0) AS failed_rows,
    (
        SELECT count()
        FROM raw_network_capabilities FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS caps_rows,
    (
        SELECT count()
        FROM dim_orchestrator_capability_snapshots FINAL
        WHERE snapshot_ts >= {from_ts:DateTime64(3, 'UTC')} AND snapshot_ts < {to_ts:DateTime64(3, 'UTC')}
    ) AS dim_caps_rows,
    (
        SELECT count()
        FROM raw_network_capabilities_advertised FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS adv_rows,
    (
        SELECT count()
        FROM dim_orchestrator_capability_advertised_snapshots
        WHERE snapshot_ts >= {from_ts:DateTime64(3, 'UTC')} AND snapshot_ts < {to_ts:DateTime64(3, 'UTC')}
    ) AS dim_adv_rows,
    (
        SELECT count()
        FROM raw_network_capabilities_model_constraints FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS mc_rows,
    (
        SELECT count()
        FROM dim_orchestrator_capability_model_constraints
        WHERE snapshot_ts >= {from_ts:DateTime64(3, 'UTC')} AND snapshot_ts < {to_ts:DateTime64(3, 'UTC')}
    ) AS dim_mc_rows,
    (
        SELECT count()
        FROM raw_network_capabilities_prices FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS price_rows,
    (
        SELECT count()
        FROM dim_orchestrator_capability_prices
        WHERE snapshot_ts >= {from_ts:DateTime64(3, 'UTC')} AND snapshot_ts < {to_ts:DateTime64(3, 'UTC')}
    ) AS dim_price_rows;

-- name: capability_snapshot_gpu_coverage
-- what: the dimension knows the GPUs of each node, pipeline and model of a snapshot that its typed rows know, no more, no fewer
SELECT
    countIf(typed_gpus != dim_gpus OR in_typed != in_dim) AS failed_rows,
    countIf(in_dim = 0) AS missing_dim_keys,
    countIf(in_typed = 0) AS dim_only_keys,
    countIf(in_typed = 1 AND in_dim = 1 AND typed_gpus > dim_gpus) AS loss_rows,
    countIf(in_typed = 1 AND in_dim = 1 AND typed_gpus < dim_gpus) AS expansion_rows,
    count() AS keys_checked
FROM
(
    SELECT
        source, uid, orchestrator_address, url, pipeline, model_id,
        max(typed) AS in_typed,
        max(dim) AS in_dim,
        uniqExactIf(gpu_id, typed = 1) AS typed_gpus,
        uniqExactIf(gpu_id, dim = 1) AS dim_gpus
    FROM
    (
        SELECT
            source, raw_event_uid AS uid, orchestrator_address, orch_uri AS url, pipeline, model_id, gpu_id,
            1 AS typed, 0 AS dim
        FROM raw_network_capabilities FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, source_event_uid, orchestrator_address, orchestrator_url, pipeline, model_id, gpu_id, 0, 1
        FROM dim_orchestrator_capability_snapshots FINAL
        WHERE snapshot_ts >= {from_ts:DateTime64(3, 'UTC')} AND snapshot_ts < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, uid, orchestrator_address, url, pipeline, model_id
);

-- name: capability_prices_key_multiplicity_guard
-- what: a node asks one price for a capability and constraint in one snapshot
SELECT
    countIf(rows > 1) AS failed_rows,
    sumIf(rows, rows > 1) AS duplicate_rows,
    max(rows) AS max_rows_in_group
FROM
(
    SELECT count() AS rows
    FROM dim_orchestrator_capability_prices
    WHERE snapshot_ts >= {from_ts:DateTime64(3, 'UTC')} AND snapshot_ts < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY
        source, source_event_uid, orchestrator_address, orchestrator_proxy_address, orchestrator_url, capability_id,
        constraint_name
);

-- name: session_fact_present
-- what: sessions start in the window
SELECT
    toUInt8(count() = 0) AS failed_rows,
    count() AS sessions_window
FROM fact_workflow_sessions_current
WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')};

-- name: core_raw_to_silver_gold_nonempty
-- what: accepted core events have become samples, edges and sessions
SELECT
    toUInt8(accepted_ids = 0) + toUInt8(status_rows = 0) + toUInt8(trace_rows = 0) + toUInt8(session_rows = 0)
        AS failed_rows,
    (
        SELECT uniqExact(source, uid)
        FROM raw_streaming_events
        WHERE type IN ('ai_stream_status', 'stream_trace', 'ai_stream_events', 'stream_ingest_metrics')
            AND outcome = 'accepted'
            AND event_timestamp >= {from_ts:DateTime64(3, 'UTC')}
            AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS accepted_ids,
    (
        SELECT count()
        FROM fact_stream_status_samples_current
        WHERE sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
    ) AS status_rows,
    (
        SELECT count()
        FROM fact_stream_trace_edges_current
        WHERE edge_ts >= {from_ts:DateTime64(3, 'UTC')} AND edge_ts < {to_ts:DateTime64(3, 'UTC')}
    ) AS trace_rows,
    (
        SELECT count()
        FROM fact_workflow_sessions_current
        WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
    ) AS session_rows;

-- name: network_capabilities_raw_and_typed_present
-- what: the window has capability snapshots, raw and typed
SELECT
    toUInt8(raw_rows = 0) + toUInt8(typed_rows = 0) AS failed_rows,
    (
        SELECT count()
        FROM raw_streaming_events
        WHERE type = 'network_capabilities'
            AND event_timestamp >= {from_ts:DateTime64(3, 'UTC')}
            AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS raw_rows,
    (
        SELECT count()
        FROM raw_network_capabilities
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    ) AS typed_rows;

-- name: status_raw_to_silver_projection
-- what: each typed status is one sample, and each sample one typed status
SELECT
    countIf(typed_rows != 1 OR fact_rows != 1) AS failed_rows,
    countIf(fact_rows = 0) AS missing_in_silver,
    countIf(typed_rows = 0) AS silver_only_keys,
    countIf(fact_rows > 1) AS multiplicity_mismatch,
    count() AS keys_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', uid), typed_rows != 1 OR fact_rows != 1), 1, 5) AS examples
FROM
(
    SELECT source, uid, countIf(side = 'typed') AS typed_rows, countIf(side = 'fact') AS fact_rows
    FROM
    (
        SELECT source, raw_event_uid AS uid, 'typed' AS side
        FROM raw_ai_stream_status FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, source_event_uid, 'fact'
        FROM fact_stream_status_samples_current
        WHERE sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, uid
);

-- name: trace_raw_to_silver_projection
-- what: each typed trace is one edge, and each edge one typed trace
SELECT
    countIf(typed_rows != 1 OR fact_rows != 1) AS failed_rows,
    countIf(fact_rows = 0) AS missing_in_silver,
    countIf(typed_rows = 0) AS silver_only_keys,
    countIf(fact_rows > 1) AS multiplicity_mismatch,
    count() AS keys_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', uid), typed_rows != 1 OR fact_rows != 1), 1, 5) AS examples
FROM
(
    SELECT source, uid, countIf(side = 'typed') AS typed_rows, countIf(side = 'fact') AS fact_rows
    FROM
    (
        SELECT source, raw_event_uid AS uid, 'typed' AS side
        FROM raw_stream_trace_events FINAL
        WHERE data_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND data_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, source_event_uid, 'fact'
        FROM fact_stream_trace_edges_current
        WHERE edge_ts >= {from_ts:DateTime64(3, 'UTC')} AND edge_ts < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, uid
);

-- name: ingest_raw_to_silver_projection
-- what: each typed ingest metric is one ingest sample, and each sample one metric
SELECT
    countIf(typed_rows != 1 OR fact_rows != 1) AS failed_rows,
    countIf(fact_rows = 0) AS missing_in_silver,
    countIf(typed_rows = 0) AS silver_only_keys,
    countIf(fact_rows > 1) AS multiplicity_mismatch,
    count() AS keys_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', uid), typed_rows != 1 OR fact_rows != 1), 1, 5) AS examples
FROM
(
    SELECT source, uid, countIf(side = 'typed') AS typed_rows, countIf(side = 'fact') AS fact_rows
    FROM
    (
        SELECT source, raw_event_uid AS uid, 'typed' AS side
        FROM raw_stream_ingest_metrics FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, source_event_uid, 'fact'
        FROM fact_stream_ingest_samples_current
        WHERE sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, uid
);

-- name: session_final_uniqueness
-- what: a session is one row
SELECT
    countIf(rows > 1) AS failed_rows,
    count() AS unique_sessions_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', workflow_session_id), rows > 1), 1, 5) AS examples
FROM
(
    SELECT source, workflow_session_id, count() AS rows
    FROM fact_workflow_sessions_current
    WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, workflow_session_id
);

-- name: workflow_session_has_identifier
-- what: a session has an id
SELECT
    countIf(workflow_session_id = '') AS failed_rows,
    count() AS total_rows
FROM fact_workflow_sessions_current
WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')};

-- name: swap_signal_split_consistency
-- what: swap_count repeats the confirmed swaps, and inferred changes are told apart from them
SELECT
    countIf(swap_count != confirmed_swap_count) AS failed_rows,
    count() AS rows_checked
FROM fact_workflow_sessions_current
WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')};

-- name: gold_sessions_use_canonical_orchestrator_identity
-- what: the orchestrator of an attributed session stands, as canonical, in the snapshot that the session names
SELECT
    countIf(claims > 0 AND known = 0) AS failed_rows,
    countIf(claims > 0) AS session_orchestrators_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', address, ' ', uid), claims > 0 AND known = 0), 1, 5) AS examples
FROM
(
    SELECT source, address, uid, countIf(side = 'session') AS claims, countIf(side = 'snapshot') AS known
    FROM
    (
        SELECT source, orchestrator_address AS address, selected_snapshot_uid AS uid, 'session' AS side
        FROM fact_workflow_sessions_current
        WHERE is_attributed = 1
            AND session_start_ts >= {from_ts:DateTime64(3, 'UTC')}
            AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, orchestrator_address, source_event_uid, 'snapshot'
        FROM dim_orchestrator_capability_snapshots
    )
    GROUP BY source, address, uid
);

-- name: swapped_sessions_have_evidence
-- what: a session with swaps has segments of several orchestrators, or a swap edge
SELECT
    countIf(swapped > 0 AND addresses < 2 AND swap_edges = 0) AS failed_rows,
    countIf(swapped > 0) AS swapped_sessions_checked,
    arraySlice(
        groupUniqArrayIf(concat(source, ' ', id), swapped > 0 AND addresses < 2 AND swap_edges = 0), 1, 5
    ) AS failing_workflow_session_ids
FROM
(
    SELECT source, id, max(is_swapped) AS swapped, uniqExactIf(address, address != '') AS addresses, sum(edge) AS swap_edges
    FROM
    (
        SELECT
            source, workflow_session_id AS id, 0 AS edge, '' AS address,
            toUInt8(confirmed_swap_count > 0 OR inferred_orchestrator_change_count > 0) AS is_swapped
        FROM fact_workflow_sessions_current
        WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, workflow_session_id, 0, orchestrator_address, 0 FROM fact_workflow_session_segments_current
        UNION ALL
        SELECT source, workflow_session_id, 1, '', 0 FROM fact_stream_trace_edges_current WHERE is_swap_event = 1
    )
    GROUP BY source, id
);

-- name: param_updates_reference_existing_session
-- what: a parameter update belongs to a session that there is
SELECT
    countIf(updates > 0 AND sessions = 0) AS failed_rows,
    sum(updates) AS updates_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', id), updates > 0 AND sessions = 0), 1, 5) AS examples
FROM
(
    SELECT source, id, countIf(side = 'update') AS updates, countIf(side = 'session') AS sessions
    FROM
    (
        SELECT source, workflow_session_id AS id, 'update' AS side
        FROM fact_workflow_param_updates_current
        WHERE update_ts >= {from_ts:DateTime64(3, 'UTC')} AND update_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, workflow_session_id, 'session' FROM fact_workflow_sessions_current
    )
    GROUP BY source, id
);

-- name: latest_sessions_vs_segment_session_ids
-- what: every session has segments, and every segment a session
SELECT
    countIf(sessions = 0 OR segments = 0) AS failed_rows,
    countIf(segments = 0) AS sessions_without_segments,
    countIf(sessions = 0) AS segments_without_session,
    count() AS sessions_checked
FROM
(
    SELECT source, id, countIf(side = 'session') AS sessions, countIf(side = 'segment') AS segments, max(start) AS starts
    FROM
    (
        SELECT source, workflow_session_id AS id, 'session' AS side, session_start_ts AS start
        FROM fact_workflow_sessions_current
        UNION ALL
        SELECT source, workflow_session_id, 'segment', segment_start_ts FROM fact_workflow_session_segments_current
    )
    GROUP BY source, id
    HAVING starts >= {from_ts:DateTime64(3, 'UTC')} AND starts < {to_ts:DateTime64(3, 'UTC')}
);

-- name: raw_session_rows_vs_latest_sessions
-- what: each session that is shown is stored, in as many versions as it has had
SELECT
    countIf(stored = 0) AS failed_rows,
    sum(stored) AS sessions_raw,
    countIf(shown > 0) AS sessions_latest,
    sessions_raw - sessions_latest AS delta
FROM
(
    SELECT source, id, countIf(side = 'stored') AS stored, countIf(side = 'shown') AS shown
    FROM
    (
        SELECT source, workflow_session_id AS id, 'stored' AS side FROM fact_workflow_sessions
        UNION ALL
        SELECT source, workflow_session_id, 'shown'
        FROM fact_workflow_sessions_current
        WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, id
    HAVING shown > 0
);

-- name: segment_rows_vs_segment_session_ids
-- what: the segments of a session are numbered from 0 on, without gaps, and in the order of their starts
SELECT
    countIf(rows != last_index + 1 OR indexes != rows OR NOT ordered) AS failed_rows,
    sum(rows) AS segment_rows,
    count() AS segment_session_ids
FROM
(
    SELECT
        count() AS rows,
        max(segment_index) AS last_index,
        uniqExact(segment_index) AS indexes,
        arraySort(groupArray((segment_index, segment_start_ts))) AS listed,
        arraySort(listed.2) = listed.2 AS ordered
    FROM fact_workflow_session_segments_current
    GROUP BY source, workflow_session_id
    HAVING min(segment_start_ts) >= {from_ts:DateTime64(3, 'UTC')}
        AND min(segment_start_ts) < {to_ts:DateTime64(3, 'UTC')}
);

-- name: mixed_known_stream_versions
-- what: more evidence never takes back that a session's stream request was seen
SELECT
    countIf(last_known < any_known) AS failed_rows,
    countIf(first_known < last_known) AS sessions_with_known_stream_transitions,
    count() AS sessions_checked
FROM
(
    SELECT
        argMin(known_stream, version) AS first_known,
        argMax(known_stream, version) AS last_known,
        max(known_stream) AS any_known
    FROM fact_workflow_sessions
    WHERE is_deleted = 0
        AND session_start_ts >= {from_ts:DateTime64(3, 'UTC')}
        AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, workflow_session_id, bitShiftRight(version, 116)
);

-- name: session_summary_change_flags_consistency
-- what: a session says that its model or pipeline changed when its segments claim several, and only then
SELECT
    countIf(has_model_change != (models > 1) OR has_pipeline_change != (pipelines > 1)) AS failed_rows,
    countIf(has_model_change != (models > 1)) AS model_flag_mismatch_rows,
    countIf(has_pipeline_change != (pipelines > 1)) AS pipeline_flag_mismatch_rows,
    count() AS rows_checked
FROM
(
    SELECT
        has_model_change,
        has_pipeline_change,
        length(arrayDistinct(arrayFilter(one -> ifNull(one, '') != '', segments.model_id))) AS models,
        length(arrayDistinct(arrayFilter(one -> one != '', segments.pipeline))) AS pipelines
    FROM fact_workflow_sessions_current
    WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
);

-- name: lifecycle_session_pipeline_model_compatible
-- what: the pipeline of an attributed session is no model label
SELECT
    countIf(is_attributed = 1 AND pipeline != '' AND lower(pipeline) = lower(ifNull(model_id, ''))) AS failed_rows,
    countIf(is_attributed = 0) AS unattributed_rows,
    count() AS rows_checked
FROM fact_workflow_sessions_current
WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')};

-- name: lifecycle_unattributed_pipeline_not_model_id
-- what: an unattributed sample, edge or session claims no orchestrator, pipeline, model, GPU or region, and says why
SELECT
    countIf(
        orchestrator_address != '' OR pipeline != '' OR ifNull(model_id, '') != '' OR ifNull(gpu_id, '') != ''
            OR gpu_count != 0 OR gpu_attribution_confidence != 0 OR unattributed_reason = ''
    ) AS failed_rows,
    count() AS rows_checked
FROM
(
    SELECT
        orchestrator_address, pipeline, model_id, gpu_id, gpu_count, gpu_attribution_confidence, unattributed_reason
    FROM fact_workflow_sessions_current
    WHERE is_attributed = 0
        AND session_start_ts >= {from_ts:DateTime64(3, 'UTC')}
        AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT
        orchestrator_address, pipeline, model_id, gpu_id, gpu_count, gpu_attribution_confidence, unattributed_reason
    FROM fact_stream_status_samples_current
    WHERE is_attributed = 0 AND sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT
        orchestrator_address, pipeline, model_id, gpu_id, gpu_count, gpu_attribution_confidence, unattributed_reason
    FROM fact_stream_trace_edges_current
    WHERE is_attributed = 0 AND edge_ts >= {from_ts:DateTime64(3, 'UTC')} AND edge_ts < {to_ts:DateTime64(3, 'UTC')}
);

-- name: session_to_segment_pipeline_model_consistency
-- what: the identity of a session is that of its last segment, whole
SELECT
    countIf(
        orchestrator_address != segments.orchestrator_address[-1]
            OR pipeline != segments.pipeline[-1]
            OR ifNull(model_id, '') != ifNull(segments.model_id[-1], '')
            OR ifNull(gpu_id, '') != ifNull(segments.gpu_id[-1], '')
            OR selected_snapshot_uid != segments.selected_snapshot_uid[-1]
    ) AS failed_rows,
    countIf(is_attributed = 0) AS unattributed_rows,
    count() AS rows_checked
FROM fact_workflow_sessions_current
WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')};

-- name: session_to_latency_pipeline_model_consistency
-- what: every session has one row of latencies, of its own orchestrator, pipeline, model and GPU
SELECT
    countIf(latencies != 1 OR identities > 1) AS failed_rows,
    countIf(latencies = 0) AS missing_latency_rows,
    countIf(identities > 1) AS mismatch_rows,
    count() AS rows_checked
FROM
(
    SELECT
        source, id,
        countIf(side = 'latency') AS latencies,
        countIf(side = 'session') AS sessions,
        uniqExact(orchestrator_address, pipeline, model, gpu) AS identities
    FROM
    (
        SELECT
            source, workflow_session_id AS id, orchestrator_address, pipeline,
            ifNull(model_id, '') AS model, ifNull(gpu_id, '') AS gpu, 'session' AS side
        FROM fact_workflow_sessions_current
        WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT
            source, workflow_session_id, orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, ''),
            'latency'
        FROM fact_workflow_latency_samples_current
        WHERE sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, id
);

-- name: session_to_status_projection_consistency
-- what: an attributed sample names an orchestrator of its session, and the samples of a session not only other models than
-- its segments: one orchestrator may change the model within a segment, which has one
SELECT
    sum(other_addresses + other_models) AS failed_rows,
    sum(other_addresses) AS orchestrator_mismatch_rows,
    sum(other_models) AS model_mismatch_rows,
    sum(samples) AS rows_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', id), other_addresses + other_models > 0), 1, 5) AS examples
FROM
(
    SELECT
        sample.source AS source,
        sample.workflow_session_id AS id,
        count() AS samples,
        countIf(NOT has(session.addresses, sample.orchestrator_address)) AS other_addresses,
        countIf(ifNull(sample.model_id, '') != '' AND session.models != []) AS comparable,
        countIf(ifNull(sample.model_id, '') != '' AND has(session.models, sample.model_id)) AS alike,
        if(alike = 0, comparable, 0) AS other_models
    FROM fact_stream_status_samples_current AS sample
    LEFT JOIN
    (
        SELECT
            source,
            workflow_session_id,
            segments.orchestrator_address AS addresses,
            arrayFilter(one -> one != '', arrayMap(one -> ifNull(one, ''), segments.model_id)) AS models
        FROM fact_workflow_sessions_current
    ) AS session USING (source, workflow_session_id)
    WHERE sample.is_attributed = 1
        AND sample.sample_ts >= {from_ts:DateTime64(3, 'UTC')}
        AND sample.sample_ts < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, id
);

-- name: status_vs_segment_identity_consistency
-- what: an attributed sample names the orchestrator of a segment that is in force at its time
SELECT
    countIf(matching = 0) AS failed_rows,
    count() AS rows_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', uid), matching = 0), 1, 5) AS examples
FROM
(
    SELECT
        sample.source AS source,
        sample.source_event_uid AS uid,
        arrayCount(
            (address, start_ts, end_ts, at) -> address = sample.orchestrator_address AND start_ts <= sample.sample_ts
                AND (at = length(addresses) OR ifNull(end_ts, start_ts) >= sample.sample_ts),
            session.addresses, session.starts, session.ends, arrayEnumerate(session.addresses)
        ) AS matching
    FROM fact_stream_status_samples_current AS sample
    LEFT JOIN
    (
        SELECT
            source,
            workflow_session_id,
            segments.orchestrator_address AS addresses,
            segments.start_ts AS starts,
            segments.end_ts AS ends
        FROM fact_workflow_sessions_current
    ) AS session USING (source, workflow_session_id)
    WHERE sample.is_attributed = 1
        AND sample.sample_ts >= {from_ts:DateTime64(3, 'UTC')}
        AND sample.sample_ts < {to_ts:DateTime64(3, 'UTC')}
);

-- name: latency_vs_segment_identity_consistency
-- what: latencies are counted for the orchestrator, pipeline, model and GPU of their session's last segment
SELECT
    countIf(identities != 1 OR sides != 2) AS failed_rows,
    countIf(sides != 2) AS missing_segment_match_rows,
    count() AS rows_checked
FROM
(
    SELECT source, id, uniqExact(identity) AS identities, uniqExact(side) AS sides
    FROM
    (
        SELECT
            source, workflow_session_id AS id, 'latency' AS side,
            (orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, '')) AS identity
        FROM fact_workflow_latency_samples_current
        WHERE sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT
            source, workflow_session_id, 'segment',
            argMax((orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, '')), segment_index)
        FROM fact_workflow_session_segments_current
        WHERE (source, workflow_session_id) IN
        (
            SELECT source, workflow_session_id
            FROM fact_workflow_latency_samples_current
            WHERE sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
        )
        GROUP BY source, workflow_session_id
    )
    GROUP BY source, id
);

-- name: trace_edge_pipeline_model_coverage
-- what: an attributed session that has edges with an orchestrator has one with the session's pipeline and model
-- severity: warning
SELECT
    countIf(attributed > 0 AND edges > 0 AND labelled = 0) AS failed_rows,
    countIf(attributed > 0 AND edges > 0) AS attributed_sessions_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', id), attributed > 0 AND edges > 0 AND labelled = 0), 1, 5) AS examples
FROM
(
    SELECT
        source, id,
        countIf(side = 'session') AS attributed,
        countIf(side = 'edge') AS edges,
        countIf(side = 'edge' AND has_labels) AS labelled
    FROM
    (
        SELECT source, workflow_session_id AS id, 'session' AS side, 1 AS has_labels
        FROM fact_workflow_sessions_current
        WHERE is_attributed = 1 AND pipeline != '' AND ifNull(model_id, '') != ''
            AND session_start_ts >= {from_ts:DateTime64(3, 'UTC')}
            AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, workflow_session_id, 'edge', pipeline != '' AND ifNull(model_id, '') != ''
        FROM fact_stream_trace_edges_current
        WHERE is_attributed = 1
    )
    GROUP BY source, id
);

-- name: proxy_to_canonical_multiplicity_guard
-- what: within one snapshot a hot wallet at one url stands for one canonical address
-- severity: warning
SELECT
    countIf(canonicals > 1) AS failed_rows,
    count() AS proxy_uri_keys_checked,
    arraySlice(groupUniqArrayIf(concat(proxy, ' ', url), canonicals > 1), 1, 5) AS examples
FROM
(
    SELECT
        orchestrator_proxy_address AS proxy,
        orchestrator_url AS url,
        uniqExact(orchestrator_address) AS canonicals
    FROM dim_orchestrator_capability_snapshots
    WHERE orchestrator_proxy_address != '' AND orchestrator_url != '' AND orchestrator_address != ''
        AND snapshot_ts >= {from_ts:DateTime64(3, 'UTC')}
        AND snapshot_ts < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, source_event_uid, proxy, url
);

-- name: silver_empty_key_rate
-- what: at most one in twenty samples that name a wallet or a url has no orchestrator
SELECT
    toUInt64(unattributed / greatest(attributable, 1) > 0.05) * unattributed AS failed_rows,
    countIf(unattributed_reason != 'no_orchestrator') AS attributable,
    countIf(is_attributed = 0 AND unattributed_reason != 'no_orchestrator') AS unattributed,
    round(unattributed / greatest(attributable, 1), 4) AS empty_key_rate,
    countIf(is_attributed = 1 AND ifNull(model_id, '') = '') AS without_model,
    countIf(is_attributed = 1 AND ifNull(gpu_id, '') = '') AS without_gpu,
    sumMap(map(if(is_attributed = 1, 'attributed', toString(unattributed_reason)), 1)) AS samples_by_reason
FROM fact_stream_status_samples_current
WHERE sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')};

-- name: session_attribution_proportions
-- what: at most one in ten sessions with a sample or edge that names a wallet or a url has no orchestrator
SELECT
    toUInt64(unattributed / greatest(attributable, 1) > 0.1) * unattributed AS failed_rows,
    countIf(unattributed_reason NOT IN ('no_orchestrator', 'pre_assignment')) AS attributable,
    countIf(is_attributed = 1) AS attributed,
    attributable - attributed AS unattributed,
    round(unattributed / greatest(attributable, 1), 4) AS unattributed_rate,
    sumMap(map(if(is_attributed = 1, 'attributed', toString(unattributed_reason)), 1)) AS sessions_by_reason
FROM fact_workflow_sessions_current
WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')};

-- name: unresolved_late_corrections
-- what: no sample is unknown to a snapshot of its node, or of its wallet when it names no node, from within the hour
SELECT
    countIf(near) AS failed_rows,
    count() AS unattributed_samples_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', uid), near), 1, 5) AS examples,
    arraySlice(groupUniqArrayIf(name, near), 1, 5) AS nodes
FROM
(
    SELECT
        sample.source AS source,
        sample.uid AS uid,
        sample.name AS name,
        arrayExists(at -> abs(dateDiff('second', at, sample.at)) < 3600, snapshots.times) AS near
    FROM
    (
        SELECT fact.source AS source, uid, at, if(url != '', url, address) AS name, url != '' AS is_url
        FROM
        (
            SELECT source, source_event_uid AS uid, sample_ts AS at, orchestrator_url AS url
            FROM fact_stream_status_samples_current
            WHERE unattributed_reason IN ('no_snapshot', 'node_unknown')
                AND sample_ts >= {from_ts:DateTime64(3, 'UTC')}
                AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
        ) AS fact
        INNER JOIN
        (
            SELECT source, raw_event_uid AS uid, orchestrator_address AS address
            FROM raw_ai_stream_status
            WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
            GROUP BY source, uid, address
        ) AS typed USING (source, uid)
    ) AS sample
    LEFT JOIN
    (
        SELECT source, name, is_url, groupUniqArray(snapshot_ts) AS times
        FROM
        (
            SELECT source, orchestrator_url AS name, 1 AS is_url, snapshot_ts FROM dim_orchestrator_capability_snapshots
            UNION ALL
            SELECT source, orchestrator_proxy_address, 0, snapshot_ts FROM dim_orchestrator_capability_snapshots
            UNION ALL
            SELECT source, orchestrator_address, 0, snapshot_ts FROM dim_orchestrator_capability_snapshots
        )
        WHERE name != ''
            AND snapshot_ts >= {from_ts:DateTime64(3, 'UTC')} - INTERVAL 1 HOUR
            AND snapshot_ts < {to_ts:DateTime64(3, 'UTC')} + INTERVAL 1 HOUR
        GROUP BY source, name, is_url
    ) AS snapshots USING (source, name, is_url)
);

-- name: agg_stream_performance_1m_matches_status_samples
-- what: each minute of the rollup is what its attributed samples give, by the full key, and no minute is missing
SELECT
    multiIf(
        expected_rows = 0 AND rollup_rows = 0, 'EMPTY_BOTH',
        expected_rows > 0 AND rollup_rows > 0 AND joined_rows = 0, 'NO_OVERLAP_BOTH_NONEMPTY',
        expected_only_keys + rollup_only_keys > 0, 'KEY_MISMATCH',
        value_mismatch_rows > 0, 'VALUE_MISMATCH',
        'PASS'
    ) AS failure_mode,
    expected_only_keys + rollup_only_keys + value_mismatch_rows AS failed_rows,
    countIf(in_expected) AS expected_rows,
    countIf(in_rollup) AS rollup_rows,
    countIf(in_expected AND in_rollup) AS joined_rows,
    countIf(NOT in_rollup) AS expected_only_keys,
    countIf(NOT in_expected) AS rollup_only_keys,
    countIf(in_expected AND in_rollup
        AND (samples.1 != samples.2 OR sessions.1 != sessions.2 OR streams.1 != streams.2 OR abs(fps.1 - fps.2) > 1e-6))
        AS value_mismatch_rows,
    sum(abs(toInt64(samples.1) - toInt64(samples.2))) AS total_diff_samples,
    max(if(in_expected AND in_rollup, abs(fps.1 - fps.2), 0)) AS max_abs_diff_avg_output_fps
FROM
(
    SELECT
        countIf(side = 1) > 0 AS in_expected,
        countIf(side = 2) > 0 AS in_rollup,
        (sumIf(samples, side = 1), sumIf(samples, side = 2)) AS samples,
        (sumIf(sessions, side = 1), sumIf(sessions, side = 2)) AS sessions,
        (sumIf(streams, side = 1), sumIf(streams, side = 2)) AS streams,
        (sumIf(fps, side = 1), sumIf(fps, side = 2)) AS fps
    FROM
    (
        SELECT
            1 AS side, source, toStartOfMinute(sample_ts) AS minute, gateway, orchestrator_address, pipeline,
            ifNull(fact.model_id, '') AS model_id, ifNull(fact.gpu_id, '') AS gpu_id, ifNull(fact.region, '') AS region,
            count() AS samples, uniqExact(workflow_session_id) AS sessions, uniqExact(stream_id) AS streams,
            avg(output_fps) AS fps
        FROM fact_stream_status_samples_current AS fact
        WHERE is_attributed = 1
            AND sample_ts >= {from_ts:DateTime64(3, 'UTC')}
            AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
        GROUP BY source, minute, gateway, orchestrator_address, pipeline, model_id, gpu_id, region
        UNION ALL
        SELECT
            2, source, window_start, gateway, orchestrator_address, pipeline, model_id, gpu_id, region,
            countMerge(sample_count_state), uniqExactMerge(sessions_uniq_state), uniqExactMerge(streams_uniq_state),
            avgMerge(output_fps_avg_state)
        FROM agg_stream_performance_1m_current
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
        GROUP BY source, window_start, gateway, orchestrator_address, pipeline, model_id, gpu_id, region
    )
    GROUP BY source, minute, gateway, orchestrator_address, pipeline, model_id, gpu_id, region
);

-- name: rollup_minutes_have_all_evidence
-- what: each minute of the rollup was computed from the newest version of every sample in it
SELECT
    countIf(stored != evidence) AS failed_rows,
    countIf(stored = 0) AS minutes_never_computed,
    countIf(stored > 0 AND stored < evidence) AS minutes_behind_corrections,
    countIf(stored > evidence) AS minutes_ahead,
    count() AS minutes_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', toString(minute)), stored != evidence), 1, 5) AS examples
FROM
(
    SELECT source, minute, sum(expected) AS evidence, max(present) AS stored
    FROM
    (
        SELECT source, toStartOfMinute(sample_ts) AS minute, toUInt256(max(version)) + 1 AS expected, toUInt256(0) AS present
        FROM fact_stream_status_samples
        WHERE sample_ts >= {from_ts:DateTime64(3, 'UTC')} AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
        GROUP BY source, minute, source_event_uid
        UNION ALL
        SELECT source, window_start, toUInt256(0), version
        FROM agg_stream_performance_1m
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, minute
);

-- name: rollup_empty_key_rate
-- what: no rollup row lacks its orchestrator, and at most one in twenty of its samples a model
SELECT
    countIf(orchestrator_address = '') + toUInt8(model_rate > 0.05) AS failed_rows,
    count() AS rollup_rows,
    countIf(orchestrator_address = '') AS rollup_empty_orch_rows,
    countIf(model_id = '') AS rollup_empty_model_rows,
    countIf(gpu_id = '') AS rollup_empty_gpu_rows,
    countIf(region = '') AS rollup_empty_region_rows,
    round(sumIf(samples, model_id = '') / greatest(sum(samples), 1), 4) AS model_rate,
    round(sumIf(samples, gpu_id = '') / greatest(sum(samples), 1), 4) AS gpu_rate
FROM
(
    SELECT orchestrator_address, model_id, gpu_id, region, countMerge(sample_count_state) AS samples
    FROM agg_stream_performance_1m_current
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, window_start, gateway, orchestrator_address, pipeline, model_id, gpu_id, region
);

-- name: gpu_view_no_perf_only_orphan_rows
-- what: the samples of an attributed hour belong to sessions that there are
SELECT
    countIf(started = toDateTime64(0, 3, 'UTC')) AS failed_rows,
    count() AS rows_checked,
    arraySlice(groupUniqArrayIf(concat(source, ' ', id), started = toDateTime64(0, 3, 'UTC')), 1, 5) AS examples
FROM session_hours;

-- name: gpu_view_covers_healthy_attributed_session_keys
-- what: a successful session with a GPU has the row of its hour and key in the GPU view
SELECT
    countIf(eligible > 0 AND shown = 0) AS failed_rows,
    countIf(eligible > 0) AS eligible_session_keys,
    countIf(shown > 0) AS gpu_view_keys,
    arraySlice(groupUniqArrayIf(concat(toString(hour), ' ', address, ' ', gpu), eligible > 0 AND shown = 0), 1, 5)
        AS missing_key_examples
FROM
(
    SELECT source, hour, address, gpu, countIf(side = 'session') AS eligible, countIf(side = 'view') AS shown
    FROM
    (
        SELECT
            'session' AS side, source, toStartOfHour(session_start_ts) AS hour, orchestrator_address AS address, pipeline,
            ifNull(model_id, '') AS model, ifNull(gpu_id, '') AS gpu, ifNull(region, '') AS region
        FROM fact_workflow_sessions_current
        WHERE startup_success = 1 AND is_attributed = 1 AND ifNull(gpu_id, '') != ''
            AND session_start_ts >= {from_ts:DateTime64(3, 'UTC')}
            AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT
            'view', source, window_start, orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, ''),
            ifNull(region, '')
        FROM v_api_gpu_metrics
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, address, pipeline, model, gpu, region
);

-- name: demand_has_rows_for_all_session_hours
-- what: every hour in which sessions start at a gateway has rows of demand
SELECT
    countIf(sessions > 0 AND shown = 0) AS failed_rows,
    countIf(sessions > 0) AS session_hours,
    countIf(shown > 0) AS demand_hours,
    arraySlice(groupUniqArrayIf(concat(toString(hour), ' ', gateway), sessions > 0 AND shown = 0), 1, 5) AS missing_hours
FROM
(
    SELECT source, hour, gateway, countIf(side = 'session') AS sessions, countIf(side = 'view') AS shown
    FROM
    (
        SELECT 'session' AS side, source, toStartOfHour(session_start_ts) AS hour, gateway
        FROM fact_workflow_sessions_current
        WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT 'view', source, window_start, gateway
        FROM v_api_network_demand
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, gateway
);

-- name: gpu_count_delta_explained_by_key_overlap
-- what: a key has one row per hour in the GPU view, and one per minute and gateway in the rollup
SELECT
    countIf(rows > 1) AS failed_rows,
    countIf(side = 'view') AS view_rows,
    countIf(side = 'rollup') AS rollup_rows,
    countIf(rows > 1 AND side = 'view') AS view_duplicates,
    countIf(rows > 1 AND side = 'rollup') AS rollup_duplicates
FROM
(
    SELECT 'view' AS side, count() AS rows
    FROM v_api_gpu_metrics
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, window_start, orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, ''), ifNull(region, '')
    UNION ALL
    SELECT 'rollup', count()
    FROM agg_stream_performance_1m_current
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, window_start, gateway, orchestrator_address, pipeline, model_id, gpu_id, region
);

-- name: gpu_view_matches_rollup
-- what: the GPU view has the hours and keys of the rollup, with its samples and frames per second, and no other
SELECT
    multiIf(
        rollup_rows = 0 AND view_rows = 0, 'EMPTY_BOTH',
        rollup_rows > 0 AND view_rows > 0 AND joined_rows = 0, 'NO_OVERLAP_BOTH_NONEMPTY',
        rollup_only_keys + view_only_keys > 0, 'KEY_MISMATCH',
        value_mismatch_rows > 0, 'VALUE_MISMATCH_WITH_OVERLAP',
        'PASS'
    ) AS failure_mode,
    rollup_only_keys + view_only_keys + value_mismatch_rows AS failed_rows,
    countIf(in_left) AS rollup_rows,
    countIf(in_view) AS view_rows,
    countIf(in_left AND in_view) AS joined_rows,
    countIf(NOT in_view) AS rollup_only_keys,
    countIf(NOT in_left) AS view_only_keys,
    countIf(in_left AND in_view AND (samples.1 != samples.2 OR abs(fps.1 - fps.2) > 1e-6)) AS value_mismatch_rows,
    countIf(in_left AND orchestrator_address = '') AS rollup_empty_orch_rows,
    countIf(in_left AND gpu_id = '') AS rollup_empty_gpu_rows,
    countIf(in_left AND region = '') AS rollup_empty_region_rows,
    countIf(in_view AND orchestrator_address = '') AS view_empty_orch_rows,
    countIf(in_view AND gpu_id = '') AS view_empty_gpu_rows,
    countIf(in_view AND region = '') AS view_empty_region_rows,
    avgIf(abs(fps.1 - fps.2), in_left AND in_view) AS mean_abs_diff_fps,
    maxIf(abs(fps.1 - fps.2), in_left AND in_view) AS max_abs_diff_fps,
    arraySlice(
        groupUniqArrayIf(concat(toString(hour), ' ', orchestrator_address, ' ', gpu_id), in_left != in_view), 1, 5
    ) AS one_sided_keys
FROM
(
    SELECT
        source, hour, orchestrator_address, pipeline, model_id, gpu_id, region,
        countIf(side = 1) > 0 AS in_left,
        countIf(side = 2) > 0 AS in_view,
        (sumIf(samples, side = 1), sumIf(samples, side = 2)) AS samples,
        (sumIf(fps, side = 1), sumIf(fps, side = 2)) AS fps
    FROM
    (
        SELECT
            1 AS side, source, hour, orchestrator_address, pipeline, model_id, gpu_id, region,
            sum(all_samples) AS samples, sum(all_fps) AS fps
        FROM
        (
            SELECT
                source, toStartOfHour(minute.window_start) AS hour, orchestrator_address, pipeline, model_id, gpu_id, region,
                countMerge(sample_count_state) AS all_samples, avgMerge(output_fps_avg_state) AS all_fps, 0 AS tails,
                0 AS starts
            FROM agg_stream_performance_1m_current AS minute
            WHERE gpu_id != ''
                AND minute.window_start >= {from_ts:DateTime64(3, 'UTC')}
                AND minute.window_start < {to_ts:DateTime64(3, 'UTC')}
            GROUP BY source, hour, orchestrator_address, pipeline, model_id, gpu_id, region
            UNION ALL
            SELECT source, window_start, orchestrator_address, pipeline, model_id, gpu_id, region, 0, 0, sum(samples), 0
            FROM serving_session_hours
            WHERE is_tail
                AND window_start >= {from_ts:DateTime64(3, 'UTC')}
                AND window_start < {to_ts:DateTime64(3, 'UTC')}
            GROUP BY source, window_start, orchestrator_address, pipeline, model_id, gpu_id, region
            UNION ALL
            SELECT
                source, toStartOfHour(session_start_ts), orchestrator_address, pipeline, ifNull(model_id, ''),
                ifNull(gpu_id, ''), ifNull(region, ''), 0, 0, 0, count()
            FROM fact_workflow_sessions_current
            WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
            GROUP BY ALL
        )
        GROUP BY source, hour, orchestrator_address, pipeline, model_id, gpu_id, region
        HAVING samples > 0 AND (samples > sum(tails) OR sum(starts) > 0)
        UNION ALL
        SELECT
            2, source, window_start, orchestrator_address, pipeline, ifNull(view.model_id, ''), ifNull(view.gpu_id, ''),
            ifNull(view.region, ''), status_samples, ifNull(avg_output_fps, 0)
        FROM v_api_gpu_metrics AS view
        WHERE status_samples > 0
            AND window_start >= {from_ts:DateTime64(3, 'UTC')}
            AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, orchestrator_address, pipeline, model_id, gpu_id, region
);

-- name: gpu_view_matches_status_samples
-- what: the GPU view has the hours and keys of the attributed samples, with their frames per second, and no other
SELECT
    multiIf(
        fact_rows = 0 AND view_rows = 0, 'EMPTY_BOTH',
        fact_rows > 0 AND view_rows > 0 AND joined_rows = 0, 'NO_OVERLAP_BOTH_NONEMPTY',
        fact_only_keys + view_only_keys > 0, 'KEY_MISMATCH',
        value_mismatch_rows > 0, 'VALUE_MISMATCH_WITH_OVERLAP',
        'PASS'
    ) AS failure_mode,
    fact_only_keys + view_only_keys + value_mismatch_rows AS failed_rows,
    countIf(in_left) AS fact_rows,
    countIf(in_view) AS view_rows,
    countIf(in_left AND in_view) AS joined_rows,
    countIf(NOT in_view) AS fact_only_keys,
    countIf(NOT in_left) AS view_only_keys,
    countIf(in_left AND in_view AND (samples.1 != samples.2 OR abs(fps.1 - fps.2) > 1e-6)) AS value_mismatch_rows,
    countIf(in_left AND orchestrator_address = '') AS fact_empty_orch_rows,
    countIf(in_left AND gpu_id = '') AS fact_empty_gpu_rows,
    countIf(in_left AND region = '') AS fact_empty_region_rows,
    countIf(in_view AND orchestrator_address = '') AS view_empty_orch_rows,
    countIf(in_view AND gpu_id = '') AS view_empty_gpu_rows,
    countIf(in_view AND region = '') AS view_empty_region_rows,
    avgIf(abs(fps.1 - fps.2), in_left AND in_view) AS mean_abs_diff_fps,
    maxIf(abs(fps.1 - fps.2), in_left AND in_view) AS max_abs_diff_fps,
    arraySlice(
        groupUniqArrayIf(concat(toString(hour), ' ', orchestrator_address, ' ', gpu_id), in_left != in_view), 1, 5
    ) AS one_sided_keys
FROM
(
    SELECT
        source, hour, orchestrator_address, pipeline, model_id, gpu_id, region,
        countIf(side = 1) > 0 AS in_left,
        countIf(side = 2) > 0 AS in_view,
        (sumIf(samples, side = 1), sumIf(samples, side = 2)) AS samples,
        (sumIf(fps, side = 1), sumIf(fps, side = 2)) AS fps
    FROM
    (
        SELECT
            1 AS side, source, hour, orchestrator_address, pipeline, model_id, gpu_id, region,
            sum(all_samples) AS samples, sum(all_fps) / samples AS fps
        FROM
        (
            SELECT
                source, hour, orchestrator_address, pipeline, model_id, gpu_id, region,
                sum(hours.samples) AS all_samples, sum(hours.fps) AS all_fps, sumIf(hours.samples, is_tail) AS tails,
                0 AS starts
            FROM session_hours AS hours
            WHERE gpu_id != ''
            GROUP BY source, hour, orchestrator_address, pipeline, model_id, gpu_id, region
            UNION ALL
            SELECT
                source, toStartOfHour(session_start_ts), orchestrator_address, pipeline, ifNull(model_id, ''),
                ifNull(gpu_id, ''), ifNull(region, ''), 0, 0, 0, count()
            FROM fact_workflow_sessions_current
            WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
            GROUP BY ALL
        )
        GROUP BY source, hour, orchestrator_address, pipeline, model_id, gpu_id, region
        HAVING samples > 0 AND (samples > sum(tails) OR sum(starts) > 0)
        UNION ALL
        SELECT
            2, source, window_start, orchestrator_address, pipeline, ifNull(view.model_id, ''), ifNull(view.gpu_id, ''),
            ifNull(view.region, ''), status_samples, ifNull(avg_output_fps, 0)
        FROM v_api_gpu_metrics AS view
        WHERE status_samples > 0
            AND window_start >= {from_ts:DateTime64(3, 'UTC')}
            AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, orchestrator_address, pipeline, model_id, gpu_id, region
);

-- name: parity_overlap_health
-- what: samples, rollup and GPU view share at least 19 in 20 of their keys
SELECT
    toUInt64(overlap < 0.95) * (keys - shared_keys) AS failed_rows,
    count() AS keys,
    countIf(hasAll(present, ['samples', 'rollup', 'view'])) AS shared_keys,
    if(keys = 0, 1, round(shared_keys / keys, 4)) AS overlap,
    countIf(NOT has(present, 'samples')) AS keys_without_samples,
    countIf(NOT has(present, 'rollup')) AS keys_without_rollup,
    countIf(NOT has(present, 'view')) AS keys_without_view
FROM
(
    SELECT groupUniqArray(side) AS present
    FROM
    (
        SELECT
            if(is_tail, 'tail', 'samples') AS side, source, hour, orchestrator_address, pipeline, model_id AS model,
            gpu_id AS gpu
        FROM session_hours
        WHERE gpu_id != ''
        UNION ALL
        SELECT 'rollup', source, toStartOfHour(window_start), orchestrator_address, pipeline, model_id, gpu_id
        FROM agg_stream_performance_1m_current
        WHERE gpu_id != ''
            AND window_start >= {from_ts:DateTime64(3, 'UTC')}
            AND window_start < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT 'view', source, window_start, orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, '')
        FROM v_api_gpu_metrics
        WHERE status_samples > 0
            AND window_start >= {from_ts:DateTime64(3, 'UTC')}
            AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, orchestrator_address, pipeline, model, gpu
    HAVING NOT has(present, 'tail') OR has(present, 'samples')
);

-- name: network_demand_counts_aligned_to_rollup
-- what: demand has a row for each key that the rollup, the sessions or the payments have, and no other
SELECT
    countIf(NOT in_view) + countIf(NOT in_expected AND NOT is_paid) AS failed_rows,
    countIf(in_expected) AS rollup_rows,
    countIf(in_view) AS view_rows,
    countIf(NOT in_view) AS rollup_only_keys,
    countIf(NOT in_expected) AS view_only_keys,
    countIf(is_paid AND NOT in_expected) AS keys_of_payments_alone
FROM
(
    SELECT
        countIf(side = 'expected') > 0 AS in_expected,
        countIf(side = 'view') > 0 AS in_view,
        max(paid) AS is_paid
    FROM
    (
        SELECT
            'expected' AS side, source, toStartOfHour(window_start) AS hour, gateway, region, pipeline, model_id AS model,
            0 AS paid
        FROM agg_stream_performance_1m_current
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT
            'expected', source, toStartOfHour(session_start_ts), gateway, ifNull(region, ''), pipeline,
            ifNull(model_id, ''), 0
        FROM fact_workflow_sessions_current
        WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT
            'view', source, window_start, gateway, ifNull(region, ''), pipeline, ifNull(model_id, ''),
            fee_payment_eth > 0 AND total_demand_sessions = 0 AND total_minutes = 0
        FROM v_api_network_demand
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, gateway, region, pipeline, model
);

-- name: network_demand_view_matches_rollup
-- what: what demand counts is what the rollup and the sessions count
SELECT
    multiIf(
        rollup_rows = 0 AND view_rows = 0, 'EMPTY_BOTH',
        rollup_rows > 0 AND view_rows > 0 AND joined_rows = 0, 'NO_OVERLAP_BOTH_NONEMPTY',
        rollup_only_keys > 0, 'KEY_MISMATCH',
        value_mismatch_rows > 0, 'VALUE_MISMATCH_WITH_OVERLAP',
        'PASS'
    ) AS failure_mode,
    rollup_only_keys + value_mismatch_rows AS failed_rows,
    countIf(in_expected) AS rollup_rows,
    countIf(in_view) AS view_rows,
    countIf(in_expected AND in_view) AS joined_rows,
    countIf(in_expected AND NOT in_view) AS rollup_only_keys,
    countIf(in_view AND is_different) AS value_mismatch_rows,
    countIf(in_view AND gateway = '') AS view_empty_gateway_rows,
    countIf(in_view AND region = '') AS view_empty_region_rows,
    countIf(in_view AND pipeline = '') AS view_empty_pipeline_rows,
    countIf(in_view AND model = '') AS view_empty_model_rows,
    sum(abs(differences[1])) AS total_diff_known_sessions,
    sum(abs(differences[2])) AS total_diff_served_sessions,
    sum(abs(differences[3])) AS total_diff_unserved_sessions,
    sum(abs(differences[4])) AS total_diff_unexcused_sessions,
    sum(abs(differences[5])) AS total_diff_swapped_sessions,
    sum(abs(differences[6])) AS total_diff_sessions,
    sum(abs(differences[7])) AS total_diff_streams,
    sum(abs(differences[8])) / 60 AS total_diff_minutes,
    max(abs(fps_difference)) AS max_abs_diff_fps
FROM
(
    SELECT
        gateway, region, pipeline, model,
        countIf(side = 1) > 0 AS in_expected,
        countIf(side = -1) > 0 AS in_view,
        sumForEach(arrayMap(one -> toInt64(one) * side, counts)) AS differences,
        sum(fps * side) AS fps_difference,
        arrayExists(one -> one != 0, differences) OR abs(fps_difference) > 1e-6 AS is_different
    FROM
    (
        SELECT
            1 AS side, source, toStartOfHour(minute.window_start) AS hour, gateway, region, pipeline, model_id AS model,
            [
                0, 0, 0, 0, 0,
                uniqExactMerge(sessions_uniq_state),
                uniqExactMerge(streams_uniq_state),
                countMerge(sample_count_state)
            ] AS counts,
            avgMerge(output_fps_avg_state) AS fps
        FROM agg_stream_performance_1m_current AS minute
        WHERE minute.window_start >= {from_ts:DateTime64(3, 'UTC')}
            AND minute.window_start < {to_ts:DateTime64(3, 'UTC')}
        GROUP BY source, hour, gateway, region, pipeline, model
        UNION ALL
        SELECT
            1, source, toStartOfHour(session_start_ts) AS hour, gateway, ifNull(fact.region, '') AS area, pipeline,
            ifNull(fact.model_id, '') AS model,
            [
                countIf(known_stream),
                countIf(known_stream AND orchestrator_address != ''),
                countIf(known_stream AND orchestrator_address = ''),
                countIf(startup_unexcused),
                countIf(known_stream AND (confirmed_swap_count > 0 OR inferred_orchestrator_change_count > 0)),
                0, 0, 0
            ],
            0
        FROM fact_workflow_sessions_current AS fact
        WHERE session_start_ts >= {from_ts:DateTime64(3, 'UTC')} AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        GROUP BY source, hour, gateway, area, pipeline, model
        UNION ALL
        SELECT
            -1, source, window_start, gateway, ifNull(view.region, ''), pipeline, ifNull(view.model_id, ''),
            [
                known_sessions, served_sessions, unserved_sessions, unexcused_sessions, swapped_sessions, total_sessions,
                total_streams, toUInt64(round(total_minutes * 60))
            ],
            ifNull(avg_output_fps, 0)
        FROM v_api_network_demand AS view
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, gateway, region, pipeline, model
);

-- name: network_demand_effective_success_not_above_startup_success
-- what: no more sessions succeed than start
SELECT
    countIf(success_ratio > startup_success_ratio + 1e-6) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_effective_success_penalizes_failure_indicators
-- what: demand with an unexcused, silent or never loaded session has no full success
SELECT
    countIf(ifNull(success_ratio, 1) >= 0.999999) AS failed_rows,
    count() AS rows_checked
FROM v_api_network_demand
WHERE known_sessions > 0 AND (unexcused_sessions > 0 OR zero_output_fps_sessions > 0 OR loading_only_sessions > 0)
    AND window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: network_demand_model_split_conservation
-- what: the minutes of the models of a pipeline add up to those of the pipeline
SELECT
    countIf(abs(rollup_minutes - view_minutes) > 1e-6) AS failed_rows,
    count() AS pipelines_checked,
    max(abs(rollup_minutes - view_minutes)) AS max_abs_diff_minutes
FROM
(
    SELECT sumIf(minutes, side = 'rollup') AS rollup_minutes, sumIf(minutes, side = 'view') AS view_minutes
    FROM
    (
        SELECT
            'rollup' AS side, source, toStartOfHour(minute.window_start) AS hour, gateway, region, pipeline,
            countMerge(sample_count_state) / 60 AS minutes
        FROM agg_stream_performance_1m_current AS minute
        WHERE minute.window_start >= {from_ts:DateTime64(3, 'UTC')}
            AND minute.window_start < {to_ts:DateTime64(3, 'UTC')}
        GROUP BY source, hour, gateway, region, pipeline
        UNION ALL
        SELECT 'view', source, window_start, gateway, ifNull(view.region, ''), pipeline, total_minutes
        FROM v_api_network_demand AS view
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, gateway, region, pipeline
);

-- name: network_demand_join_multiplicity_guard
-- what: a key of demand has one row per hour, with GPUs and without
SELECT
    countIf(rows > 1) AS failed_rows,
    countIf(rows > 1 AND side = 'demand') AS demand_nonunique_keys,
    countIf(rows > 1 AND side = 'by_gpu') AS by_gpu_nonunique_keys
FROM
(
    SELECT 'demand' AS side, count() AS rows
    FROM v_api_network_demand
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, window_start, gateway, ifNull(region, ''), pipeline, ifNull(model_id, '')
    UNION ALL
    SELECT 'by_gpu', count()
    FROM v_api_network_demand_by_gpu
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY
        source, window_start, gateway, orchestrator_address, ifNull(region, ''), pipeline, ifNull(model_id, ''),
        ifNull(gpu_id, '')
);

-- name: network_demand_pipeline_join_inflation_guard
-- what: demand can be joined by pipeline alone; where a pipeline has several models in an hour, that would count twice
-- severity: warning
SELECT
    countIf(models > 1) AS failed_rows,
    sum(models * models) / greatest(sum(models), 1) AS inflation_factor,
    count() AS keys_checked
FROM
(
    SELECT count() AS models
    FROM v_api_network_demand
    WHERE pipeline != ''
        AND window_start >= {from_ts:DateTime64(3, 'UTC')}
        AND window_start < {to_ts:DateTime64(3, 'UTC')}
    GROUP BY source, window_start, gateway, ifNull(region, ''), pipeline
);

-- name: preexisting_grain_drift_baseline_gpu_sla
-- what: by hour and orchestrator the GPU view counts the sessions that start on its GPUs, each once
SELECT
    countIf(fact.1 != view.1 OR fact.2 != view.2 OR fact.3 != view.3) AS failed_rows,
    sum(abs(toInt64(fact.1) - toInt64(view.1))) AS known_diff,
    sum(abs(toInt64(fact.2) - toInt64(view.2))) AS unexcused_diff,
    sum(abs(toInt64(fact.3) - toInt64(view.3))) AS swapped_diff,
    count() AS keys_checked
FROM
(
    SELECT
        (sumIf(known, side = 1), sumIf(unexcused, side = 1), sumIf(swapped, side = 1)) AS fact,
        (sumIf(known, side = 2), sumIf(unexcused, side = 2), sumIf(swapped, side = 2)) AS view
    FROM
    (
        SELECT
            1 AS side, source, toStartOfHour(session_start_ts) AS hour, orchestrator_address,
            toUInt64(known_stream) AS known, toUInt64(startup_unexcused) AS unexcused,
            toUInt64(known_stream AND (confirmed_swap_count > 0 OR inferred_orchestrator_change_count > 0)) AS swapped
        FROM fact_workflow_sessions_current
        WHERE orchestrator_address != '' AND ifNull(gpu_id, '') != ''
            AND session_start_ts >= {from_ts:DateTime64(3, 'UTC')}
            AND session_start_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT 2, source, window_start, orchestrator_address, known_sessions, unexcused_sessions, swapped_sessions
        FROM v_api_gpu_metrics
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, orchestrator_address
);

-- name: sla_counts_aligned_to_raw_latest_sessions
-- what: the SLA view has the hours and keys in which sessions were served, tails apart, and no other
SELECT
    countIf(NOT in_view OR NOT in_facts) AS failed_rows,
    countIf(in_facts) AS raw_rows,
    countIf(in_view) AS view_rows,
    countIf(NOT in_view) AS raw_only_keys,
    countIf(NOT in_facts) AS view_only_keys
FROM
(
    SELECT countIf(side = 'facts') > 0 AS in_facts, countIf(side = 'view') > 0 AS in_view
    FROM
    (
        SELECT 'facts' AS side, source, hour, orchestrator_address, pipeline, model_id AS model, gpu_id AS gpu, region AS area
        FROM session_hours
        WHERE NOT is_tail
        UNION ALL
        SELECT
            'view', source, window_start, orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, ''),
            ifNull(region, '')
        FROM v_api_sla_compliance
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, orchestrator_address, pipeline, model, gpu, area
);

-- name: sla_view_matches_session_fact
-- what: the SLA view counts, in each hour and key, what became of the sessions that were served there
SELECT
    multiIf(
        raw_rows = 0 AND view_rows = 0, 'EMPTY_BOTH',
        raw_rows > 0 AND view_rows > 0 AND joined_rows = 0, 'NO_OVERLAP_BOTH_NONEMPTY',
        raw_only_keys + view_only_keys > 0, 'KEY_MISMATCH',
        value_mismatch_rows > 0, 'VALUE_MISMATCH_WITH_OVERLAP',
        'PASS'
    ) AS failure_mode,
    raw_only_keys + view_only_keys + value_mismatch_rows AS failed_rows,
    countIf(in_facts) AS raw_rows,
    countIf(in_view) AS view_rows,
    countIf(in_facts AND in_view) AS joined_rows,
    countIf(NOT in_view) AS raw_only_keys,
    countIf(NOT in_facts) AS view_only_keys,
    countIf(in_facts AND in_view AND arrayExists(one -> one != 0, differences)) AS value_mismatch_rows,
    sum(abs(differences[1])) AS total_known_diff,
    sum(abs(differences[2])) AS total_unexcused_diff,
    sum(abs(differences[3])) AS total_swapped_diff,
    sum(abs(differences[4])) AS total_last_error_diff,
    sum(abs(differences[5])) AS total_loading_only_diff,
    sum(abs(differences[6])) AS total_zero_output_diff,
    sum(abs(differences[7])) AS total_status_error_samples_diff,
    sum(abs(differences[8])) AS total_health_signal_count_diff,
    sum(abs(differences[9])) AS total_health_expected_signal_count_diff
FROM
(
    SELECT
        countIf(side = 1) > 0 AS in_facts,
        countIf(side = -1) > 0 AS in_view,
        sumForEach(arrayMap(one -> toInt64(one) * side, counts)) AS differences
    FROM
    (
        SELECT
            1 AS side, hours.source AS source, hours.hour AS hour, hours.orchestrator_address AS address,
            hours.pipeline AS pipeline, hours.model_id AS model, hours.gpu_id AS gpu, hours.region AS area,
            session.counts AS counts
        FROM session_hours AS hours
        INNER JOIN
        (
            SELECT
                source,
                workflow_session_id AS id,
                [
                    known_stream,
                    startup_unexcused,
                    known_stream AND (confirmed_swap_count > 0 OR inferred_orchestrator_change_count > 0),
                    known_stream AND last_error_occurred,
                    known_stream AND loading_only_session,
                    known_stream AND zero_output_fps_session,
                    if(known_stream, status_error_sample_count, 0),
                    if(known_stream, health_signal_count, 0),
                    health_expected_signal_count
                ] AS counts
            FROM fact_workflow_sessions_current
        ) AS session USING (source, id)
        WHERE NOT is_tail
        UNION ALL
        SELECT
            -1, source, window_start, orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, ''),
            ifNull(region, ''),
            [
                known_sessions, unexcused_sessions, swapped_sessions, sessions_with_last_error, loading_only_sessions,
                zero_output_fps_sessions, status_error_samples, health_signal_count, health_expected_signal_count
            ]
        FROM v_api_sla_compliance
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, hour, address, pipeline, model, gpu, area
);

-- name: view_count_grain_ordering
-- what: demand by GPU folds to demand: the minutes of a gateway, pipeline and model are the same with GPUs and without
SELECT
    countIf(abs(demand_minutes - gpu_minutes) > 1e-6) AS failed_rows,
    count() AS keys_checked,
    sum(demand_minutes) AS demand_minutes_total,
    sum(gpu_minutes) AS by_gpu_minutes_total
FROM
(
    SELECT sumIf(minutes, side = 'demand') AS demand_minutes, sumIf(minutes, side = 'by_gpu') AS gpu_minutes
    FROM
    (
        SELECT
            'demand' AS side, source, window_start, gateway, ifNull(region, '') AS area, pipeline,
            ifNull(model_id, '') AS model, total_minutes AS minutes
        FROM v_api_network_demand
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT
            'by_gpu', source, window_start, gateway, ifNull(region, ''), pipeline, ifNull(model_id, ''),
            used_inference_minutes
        FROM v_api_network_demand_by_gpu
        WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, window_start, gateway, area, pipeline, model
);

-- name: sla_ratios_in_bounds
-- what: ratios are from 0 to 1, the score from 0 to 100, and no more sessions succeed than start
SELECT
    countIf(
        arrayExists(
            ratio -> isNaN(ratio) OR ratio < 0 OR ratio > 1,
            [
                health_completeness_ratio, ifNull(startup_success_ratio, 0), ifNull(success_ratio, 0),
                ifNull(no_swap_ratio, 0), ifNull(sla_score, 0) / 100
            ]
        ) OR ifNull(success_ratio > startup_success_ratio + 1e-6, 0)
    ) AS failed_rows,
    count() AS rows_checked
FROM v_api_sla_compliance
WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')};

-- name: terminal_tail_artifact_filtered_in_gpu_sla
-- what: an hour in which a session only ends, after an hour without work, is shown neither in the GPU view nor in the SLA view
SELECT
    countIf(is_only_tail AND (in_gpu OR in_sla)) AS failed_rows,
    countIf(is_only_tail) AS artifact_candidates,
    countIf(is_only_tail AND in_gpu) AS gpu_rows_found,
    countIf(is_only_tail AND in_sla) AS sla_rows_found
FROM tail_hours;

-- name: same_hour_failed_no_output_retained_in_gpu_sla
-- what: a session that starts and ends without output within one hour is shown in the GPU view and in the SLA view
SELECT
    countIf(is_candidate AND NOT in_gpu) + countIf(is_candidate AND NOT in_sla) AS failed_rows,
    countIf(is_candidate) AS candidates,
    countIf(is_candidate AND NOT in_gpu) AS gpu_missing_rows,
    countIf(is_candidate AND NOT in_sla) AS sla_missing_rows
FROM silent_hours;

-- name: active_no_output_rows_retained_in_gpu_sla
-- what: an hour of a GPU with three samples or more is shown in both views, though none of them shows output
SELECT
    countIf(is_candidate AND NOT in_gpu) + countIf(is_candidate AND NOT in_sla) AS failed_rows,
    countIf(is_candidate) AS active_no_output_candidates,
    countIf(is_candidate AND NOT in_gpu) AS gpu_missing_rows,
    countIf(is_candidate AND NOT in_sla) AS sla_missing_rows
FROM
(
    SELECT
        countIf(side = 'candidate') > 0 AS is_candidate,
        countIf(side = 'gpu') > 0 AS in_gpu,
        countIf(side = 'sla') > 0 AS in_sla
    FROM
    (
        SELECT
            'candidate' AS side, source, hour, orchestrator_address, pipeline, model_id AS model, gpu_id AS gpu,
            region AS area
        FROM session_hours
        WHERE gpu_id != '' AND samples >= 3 AND fps = 0
        UNION ALL
        SELECT side, source, hour, orchestrator_address, pipeline, model, gpu, area FROM shown_keys
    )
    GROUP BY source, hour, orchestrator_address, pipeline, model, gpu, area
);

-- name: gold_pipeline_empty_hotspots_diagnostic
-- what: rows of the GPU and SLA views that know their model know their pipeline
-- severity: warning
SELECT
    count() AS failed_rows,
    topK(5)(orchestrator_address) AS top_orchestrator_addresses,
    topK(5)(model) AS top_model_ids,
    topK(5)(gpu) AS top_gpu_ids
FROM
(
    SELECT orchestrator_address, pipeline, ifNull(model_id, '') AS model, ifNull(gpu_id, '') AS gpu
    FROM v_api_gpu_metrics
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT orchestrator_address, pipeline, ifNull(model_id, ''), ifNull(gpu_id, '')
    FROM v_api_sla_compliance
    WHERE window_start >= {from_ts:DateTime64(3, 'UTC')} AND window_start < {to_ts:DateTime64(3, 'UTC')}
)
WHERE model != '' AND pipeline = '';

-- name: serving_views_do_not_reference_typed_raw_tables
-- what: what serves reads facts, rollups and dimensions; of the raw and typed tables only payments
SELECT
    countIf(references != []) AS failed_rows,
    groupArrayIf(name, references != []) AS offending_views,
    groupUniqArrayArray(references) AS offending_refs,
    count() AS views_checked
FROM
(
    SELECT
        name,
        arrayFilter(one -> one != 'raw_payment_events', extractAll(as_select, '(?:FROM|JOIN)\\s+(?:\\w+\\.)?(raw_\\w+)')) AS references
    FROM system.tables
    WHERE database = currentDatabase() AND match(name, '^(v_api_|v_health_|serving_)')
);

-- name: single_authoritative_writer
-- what: every fact has one writer, a view writes only what it is the writer of, and no row is of the view where it is not
SELECT
    countIf(writer NOT IN ('latecomer', 'mv') OR (views > 0) != (writer = 'mv')) + toUInt64(foreign_rows) AS failed_rows,
    groupArrayIf(concat(fact, ': ', if(writer = '', 'nobody', writer)), writer NOT IN ('latecomer', 'mv')) AS without_writer,
    groupArrayIf(fact, (views > 0) != (writer = 'mv')) AS writer_and_views_disagree,
    (
        SELECT count()
        FROM fact_stream_status_samples_current
        WHERE version < toUInt128(bitShiftLeft(toUInt256(1), 116))
            AND sample_ts >= {from_ts:DateTime64(3, 'UTC')}
            AND sample_ts < {to_ts:DateTime64(3, 'UTC')}
            AND (SELECT argMax(writer, since) FROM attribution_writer WHERE fact = 'fact_stream_status_samples') != 'mv'
    ) AS foreign_rows
FROM
(
    SELECT fact, anyIf(named, side = 'writer') AS writer, countIf(side = 'view') AS views
    FROM
    (
        SELECT 'fact' AS side, name AS fact, '' AS named
        FROM system.tables
        WHERE database = currentDatabase() AND startsWith(name, 'fact_') AND engine LIKE '%MergeTree'
        UNION ALL
        SELECT 'writer', toString(fact), argMax(writer, since) FROM attribution_writer GROUP BY fact
        UNION ALL
        SELECT 'view', extract(create_table_query, ' TO (?:\\w+\\.)?(fact_\\w+)') AS target, name
        FROM system.tables
        WHERE engine = 'MaterializedView' AND database = currentDatabase() AND target != ''
    )
    GROUP BY fact
);
