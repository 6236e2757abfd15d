-- Raw layer: what arrived, byte for byte, and what became of it.
-- Read by: verify, export-fixtures, triage, and whoever asks where an event went.

-- One row is one stored message of the event stream. Row key: (source, uid, stream_sequence), sorted by sequence:
-- rows come and are read in the order of the stream. A message that is
-- processed again gives the same row; only a reader that remembers an earlier copy can say `duplicate`, so that
-- is the greater version. Read it with FINAL.
CREATE TABLE IF NOT EXISTS raw_streaming_events
(
    source              LowCardinality(String),
    uid                 String,
    stream_sequence     UInt64,
    subject             LowCardinality(String),
    stream_ts           DateTime64(3, 'UTC'),                        -- when JetStream stored it
    id                  String,                                      -- the envelope's id, '' when it has none
    type                LowCardinality(String),
    timestamp           UInt64,                                      -- the envelope's, in Unix ms; 0 when unreadable
    gateway             LowCardinality(String),
    outcome             LowCardinality(String),                      -- accepted, rejected, ignored, duplicate
    reason              LowCardinality(String),                      -- why rejected or ignored, else ''
    payload             String CODEC(ZSTD(1)),                       -- the message as it came
    payload_encoding    LowCardinality(String),                      -- json, or base64 for bytes that are no JSON
    version             UInt8,
    data                String ALIAS JSONExtractRaw(payload, 'data'),
    event_timestamp     DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(toInt64(timestamp), 'UTC'),
    event_date          Date MATERIALIZED toDate(event_timestamp),
    ingestion_timestamp DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(stream_ts)
ORDER BY (source, stream_sequence, uid);

-- One row is one refused message. Row key: (source, source_offset, event_uid): its place in the stream, which a server
-- that lost its end gives to another message, and who it is. Repeats are equal rows.
CREATE TABLE IF NOT EXISTS raw_streaming_events_dlq
(
    schema_version          LowCardinality(String),
    source                  LowCardinality(String),
    source_topic            LowCardinality(String),                  -- the subject it was stored under
    source_partition        UInt32,
    source_offset           UInt64,                                  -- stream sequence
    source_record_timestamp DateTime64(3, 'UTC'),
    event_uid               String,
    event_id                String,
    event_type              LowCardinality(String),
    event_version           Nullable(String),
    event_timestamp         Nullable(DateTime64(3, 'UTC')),
    event_date              Date MATERIALIZED toDate(ifNull(event_timestamp, source_record_timestamp)),
    dedup_key               Nullable(String),
    dedup_strategy          Nullable(String),
    replay                  UInt8,
    failure_stage           LowCardinality(String),
    failure_class           LowCardinality(String),
    failure_reason          LowCardinality(String),
    failure_details         String,
    orchestrator            Nullable(String),
    broadcaster             Nullable(String),
    region                  Nullable(String),
    payload_encoding        LowCardinality(String),
    payload_body            String CODEC(ZSTD(1)),
    payload_canonical_json  Nullable(String),
    ingestion_timestamp     DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(source_record_timestamp)
ORDER BY (source, source_offset, event_uid);

-- One row is one well-formed event of a type on no list. Row key: (source, event_type, raw_event_uid).
CREATE TABLE IF NOT EXISTS raw_unknown_events
(
    source              LowCardinality(String),
    raw_event_uid       String,
    event_type          LowCardinality(String),
    ingest_timestamp    DateTime64(3, 'UTC'),                        -- when JetStream stored it
    ingest_date         Date MATERIALIZED toDate(ingest_timestamp),
    source_topic        LowCardinality(String),
    raw_json            String CODEC(ZSTD(1)),
    ingestion_timestamp DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ingest_timestamp)
ORDER BY (source, event_type, raw_event_uid);
