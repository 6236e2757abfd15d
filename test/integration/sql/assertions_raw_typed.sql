-- Archive against typed tables: every accepted event is decoded once, and nothing else is. Times are those of the
-- envelope; what has none counts by when it was stored.

-- name: raw_typed_accepted_estimate_nonnegative
-- what: what was refused in the archive is a dead letter, and every dead letter is a refused message of the archive
SELECT
    countIf(archived = 0 OR letters = 0) AS failed_rows,
    countIf(archived = 0) AS letters_without_archive,
    countIf(letters = 0) AS refused_without_letter,
    arraySlice(groupUniqArrayIf(concat(source, ' ', toString(seq)), archived = 0 OR letters = 0), 1, 5) AS examples
FROM
(
    SELECT source, seq, uid, max(archive) AS archived, max(letter) AS letters
    FROM
    (
        SELECT source, stream_sequence AS seq, uid, 1 AS archive, 0 AS letter
        FROM raw_streaming_events FINAL
        WHERE outcome = 'rejected'
            AND stream_ts >= {from_ts:DateTime64(3, 'UTC')}
            AND stream_ts < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, source_offset AS seq, event_uid AS uid, 0 AS archive, 1 AS letter
        FROM raw_streaming_events_dlq FINAL
        WHERE source_record_timestamp >= {from_ts:DateTime64(3, 'UTC')}
            AND source_record_timestamp < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, seq, uid
);

-- name: raw_typed_no_dlq_or_quarantine_for_core_types
-- what: no event of the four core types is refused, and none is ignored but traces that are known noise by their type
SELECT
    count() AS failed_rows,
    countIf(outcome = 'rejected') AS dlq_rows,
    countIf(outcome = 'ignored') AS ignored_rows,
    arraySlice(groupUniqArray(concat(type, ': ', reason)), 1, 5) AS reasons
FROM raw_streaming_events FINAL
WHERE type IN ('ai_stream_status', 'stream_trace', 'ai_stream_events', 'stream_ingest_metrics')
    AND outcome IN ('rejected', 'ignored')
    AND reason NOT IN
    (
        'ignored_stream_trace_non_core_app', 'ignored_stream_trace_scope_client_noise', 'unsupported_stream_trace_type'
    )
    AND if(timestamp > 0, event_timestamp, stream_ts) >= {from_ts:DateTime64(3, 'UTC')}
    AND if(timestamp > 0, event_timestamp, stream_ts) < {to_ts:DateTime64(3, 'UTC')};

-- name: raw_typed_core_1to1_parity
-- what: the typed tables hold each accepted event of a core type, and no other
SELECT
    countIf(accepted = 0 OR decoded = 0) AS failed_rows,
    countIf(decoded = 0) AS missing_in_typed,
    countIf(accepted = 0) AS typed_only,
    countIf(accepted = 1) AS accepted_events,
    arraySlice(groupUniqArrayIf(concat(type, ' ', source, ' ', uid), accepted = 0 OR decoded = 0), 1, 5) AS examples
FROM
(
    SELECT source, type, uid, max(archive) AS accepted, max(typed) AS decoded
    FROM
    (
        SELECT source, toString(type) AS type, uid, 1 AS archive, 0 AS typed
        FROM raw_streaming_events FINAL
        WHERE type IN ('ai_stream_status', 'stream_trace', 'ai_stream_events', 'stream_ingest_metrics')
            AND outcome = 'accepted'
            AND event_timestamp >= {from_ts:DateTime64(3, 'UTC')}
            AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, 'ai_stream_status', raw_event_uid, 0, 1
        FROM raw_ai_stream_status FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, 'stream_trace', raw_event_uid, 0, 1
        FROM raw_stream_trace_events FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, 'ai_stream_events', raw_event_uid, 0, 1
        FROM raw_ai_stream_events FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, 'stream_ingest_metrics', raw_event_uid, 0, 1
        FROM raw_stream_ingest_metrics FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, type, uid
);

-- name: raw_typed_network_capabilities_expected_in_window
-- what: the window has capability snapshots
SELECT
    toUInt8(count() = 0) AS failed_rows,
    count() AS raw_rows
FROM raw_streaming_events FINAL
WHERE type = 'network_capabilities' AND outcome = 'accepted'
    AND event_timestamp >= {from_ts:DateTime64(3, 'UTC')}
    AND event_timestamp < {to_ts:DateTime64(3, 'UTC')};

-- name: raw_typed_network_capabilities_fanout_guard
-- what: rows of a capability table come from accepted snapshots only
SELECT
    countIf(accepted = 0) AS failed_rows,
    countIf(accepted = 1) AS accepted_snapshots,
    countIf(accepted = 1 AND typed_rows = 0) AS snapshots_without_rows,
    sum(typed_rows) AS rows_of_snapshots,
    if(accepted_snapshots = 0, 0, round(rows_of_snapshots / accepted_snapshots, 1)) AS rows_per_snapshot,
    arraySlice(groupUniqArrayIf(concat(source, ' ', uid), accepted = 0), 1, 5) AS examples
FROM
(
    SELECT source, uid, max(archive) AS accepted, sum(typed) AS typed_rows
    FROM
    (
        SELECT source, uid, 1 AS archive, 0 AS typed
        FROM raw_streaming_events FINAL
        WHERE type = 'network_capabilities' AND outcome = 'accepted'
            AND event_timestamp >= {from_ts:DateTime64(3, 'UTC')}
            AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, raw_event_uid, 0, 1
        FROM raw_network_capabilities FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, raw_event_uid, 0, 1
        FROM raw_network_capabilities_advertised FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, raw_event_uid, 0, 1
        FROM raw_network_capabilities_model_constraints FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT source, raw_event_uid, 0, 1
        FROM raw_network_capabilities_prices FINAL
        WHERE event_timestamp >= {from_ts:DateTime64(3, 'UTC')} AND event_timestamp < {to_ts:DateTime64(3, 'UTC')}
    )
    GROUP BY source, uid
);
