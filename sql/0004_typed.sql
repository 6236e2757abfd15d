-- Typed layer: every accepted event of a known type, decoded, one table per type. Read by: assertion packs, triage, and
-- whoever wants fields instead of JSON. What a column holds is what the decoder read; nothing is looked up elsewhere.
--
-- Everywhere `event_timestamp` is the envelope's time, by which windows are cut, and (source, raw_event_uid) is the
-- identity of the event: its bytes are in raw_streaming_events under (source, uid), so they are not repeated here.
-- Every row is a function of its event, so an event that is processed again gives equal rows, which fold. Read the
-- tables with FINAL, or count distinct keys. Addresses and URLs are in normal form: trimmed, lower-case.

-- One row is one status event. Row key: (source, raw_event_uid).
CREATE TABLE IF NOT EXISTS raw_ai_stream_status
(
    source               LowCardinality(String),
    raw_event_uid        String,
    event_timestamp      DateTime64(3, 'UTC'),
    event_date           Date MATERIALIZED toDate(event_timestamp),
    event_hour           UInt8 MATERIALIZED toHour(event_timestamp),
    stream_id            String,
    request_id           String,
    gateway              LowCardinality(String),
    orchestrator_address String,                                     -- hot wallet, as the event names it
    orchestrator_url     String,
    pipeline             LowCardinality(String),                     -- as sent: upstream writes a model label here
    output_fps           Float32,                                    -- frames per second; 0 also when absent
    input_fps            Float32,
    state                LowCardinality(String),
    restart_count        UInt32,
    last_error           Nullable(String),
    last_error_time      Nullable(DateTime64(3, 'UTC')),
    prompt_text          Nullable(String),
    prompt_width         UInt16,
    prompt_height        UInt16,
    params_hash          String,
    start_time           Nullable(DateTime64(3, 'UTC')),
    ingestion_timestamp  DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, stream_id, request_id, event_timestamp, raw_event_uid);

-- One row is one lifecycle mark. Row key: (source, raw_event_uid).
CREATE TABLE IF NOT EXISTS raw_stream_trace_events
(
    source               LowCardinality(String),
    raw_event_uid        String,
    event_timestamp      DateTime64(3, 'UTC'),
    event_date           Date MATERIALIZED toDate(event_timestamp),
    stream_id            String,
    request_id           String,
    gateway              LowCardinality(String),
    orchestrator_address String,                                     -- hot wallet, '' before one is chosen
    orchestrator_url     String,
    trace_type           LowCardinality(String),
    data_timestamp       DateTime64(3, 'UTC'),                       -- the mark's own time, else the envelope's
    message              String,                                     -- why an orchestrator was swapped, else ''
    ingestion_timestamp  DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, stream_id, request_id, event_timestamp, raw_event_uid);

-- One row is one error or message of a stream. Row key: (source, raw_event_uid).
CREATE TABLE IF NOT EXISTS raw_ai_stream_events
(
    source              LowCardinality(String),
    raw_event_uid       String,
    event_timestamp     DateTime64(3, 'UTC'),
    event_date          Date MATERIALIZED toDate(event_timestamp),
    stream_id           String,
    request_id          String,
    gateway             LowCardinality(String),
    pipeline            String,                                      -- as sent: upstream writes a model label here
    event_type          LowCardinality(String),
    message             String,
    capability          String,
    ingestion_timestamp DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, stream_id, request_id, event_timestamp, raw_event_uid);

-- One row is the state of a WebRTC input at one moment; numbers that the event does not tell are 0. Of two tracks of a
-- kind the last counts. Row key: (source, raw_event_uid).
CREATE TABLE IF NOT EXISTS raw_stream_ingest_metrics
(
    source                 LowCardinality(String),
    raw_event_uid          String,
    event_timestamp        DateTime64(3, 'UTC'),
    event_date             Date MATERIALIZED toDate(event_timestamp),
    stream_id              String,
    request_id             String,
    gateway                LowCardinality(String),
    connection_quality     LowCardinality(String),
    video_jitter           Float32,                                  -- ms
    video_packets_received UInt32,                                   -- cumulative
    video_packets_lost     UInt32,                                   -- cumulative
    video_packet_loss_pct  Float32,                                  -- percent
    video_rtt              Float32,
    video_last_input_ts    Float32,                                  -- seconds of media since the start
    video_latency          Float32,
    audio_jitter           Float32,
    audio_packets_received UInt32,
    audio_packets_lost     UInt32,
    audio_packet_loss_pct  Float32,
    audio_rtt              Float32,
    audio_last_input_ts    Float32,
    audio_latency          Float32,
    bytes_received         UInt64,                                   -- cumulative
    bytes_sent             UInt64,                                   -- cumulative
    ingestion_timestamp    DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, stream_id, request_id, event_timestamp, raw_event_uid);

-- One row is one candidate of a discovery. Row key: (source, raw_event_uid, position): a message may list one twice.
CREATE TABLE IF NOT EXISTS raw_discovery_results
(
    source               LowCardinality(String),
    raw_event_uid        String,
    event_timestamp      DateTime64(3, 'UTC'),
    event_date           Date MATERIALIZED toDate(event_timestamp),
    position             UInt32,                                     -- in its message, from 0: the fastest comes first
    gateway              LowCardinality(String),
    orchestrator_address String,                                     -- hot wallet
    orchestrator_url     String,
    latency_ms           UInt32,                                     -- 0 also when absent
    ingestion_timestamp  DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, orchestrator_address, event_timestamp, raw_event_uid, position);

-- One row is one payment. Row key: (source, raw_event_uid). Amounts are the text that was sent, unit included: they
-- pass what a number of JSON holds exactly.
CREATE TABLE IF NOT EXISTS raw_payment_events
(
    source              LowCardinality(String),
    raw_event_uid       String,
    event_timestamp     DateTime64(3, 'UTC'),
    event_date          Date MATERIALIZED toDate(event_timestamp),
    request_id          String,                                      -- '' except on the first payment of a session
    session_id          String,
    manifest_id         String,
    gateway             LowCardinality(String),
    sender              String,                                      -- wallet in normal form
    recipient           String,                                      -- canonical wallet in normal form
    orchestrator        String,                                      -- a URL
    face_value          String,                                      -- wei
    price               String,                                      -- wei per pixel
    num_tickets         String,
    win_prob            String,
    client_ip           String,
    capability          String,
    ingestion_timestamp DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, recipient, event_timestamp, raw_event_uid);

-- Capabilities. A message lists nodes, and each node gives rows of four kinds. What a message says twice is one row,
-- and where it contradicts itself the first counts. Numbers beyond 2^53 - 1, negative ones and what is no number are NULL.
-- Sorted by time, so that the rows of a message lie together: every message repeats nearly all of the one before it, and
-- a million advertised capabilities take 2.6 bytes a row like this, 11.5 sorted by node, with a third of the merging.

-- One row is one GPU of one hardware element of one node; a node that tells no hardware has one row per model of its
-- constraints, or a single row that knows the node only. Row key: all that ORDER BY names.
CREATE TABLE IF NOT EXISTS raw_network_capabilities
(
    source                     LowCardinality(String),
    raw_event_uid              String,
    source_event_id            String,
    event_timestamp            DateTime64(3, 'UTC'),
    event_date                 Date MATERIALIZED toDate(event_timestamp),
    orchestrator_address       String,                               -- canonical, '' when the entry names none
    local_address              String,                               -- hot wallet
    orch_uri                   String,
    pipeline                   String,                               -- as advertised
    model_id                   String,                               -- as advertised, '' when unknown
    gpu_id                     Nullable(String),
    gpu_name                   Nullable(String),
    gpu_memory_total           Nullable(UInt64),                     -- bytes
    gpu_memory_free            Nullable(UInt64),                     -- bytes
    gpu_major                  Nullable(UInt8),
    gpu_minor                  Nullable(UInt8),
    capability_id              Nullable(Int32),                      -- NULL when no constraint names the model
    capability_name            LowCardinality(Nullable(String)),
    capability_group           LowCardinality(Nullable(String)),
    capability_catalog_version LowCardinality(String),
    runner_version             Nullable(String),
    capacity                   Nullable(UInt64),                     -- free slots of the model on this node
    capacity_in_use            Nullable(UInt64),
    warm                       Nullable(UInt8),
    price_per_unit             Nullable(UInt64),                     -- wei; of this capability and model alone
    pixels_per_unit            Nullable(UInt64),
    orchestrator_version       String,
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, event_timestamp, raw_event_uid, orchestrator_address, local_address, orch_uri, pipeline, model_id,
          ifNull(capability_id, -1), ifNull(gpu_id, ''));

-- One row is one capability that a node advertises. Row key: all that ORDER BY names.
CREATE TABLE IF NOT EXISTS raw_network_capabilities_advertised
(
    source                     LowCardinality(String),
    raw_event_uid              String,
    source_event_id            String,
    event_timestamp            DateTime64(3, 'UTC'),
    event_date                 Date MATERIALIZED toDate(event_timestamp),
    orchestrator_address       String,                               -- canonical, '' when the entry names none
    local_address              String,                               -- hot wallet
    orch_uri                   String,
    capability_id              Int32,
    capability_name            LowCardinality(String),
    capability_group           LowCardinality(String),
    capability_catalog_version LowCardinality(String),
    capacity                   Nullable(UInt64),
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, event_timestamp, raw_event_uid, orchestrator_address, local_address, orch_uri, capability_id);

-- One row is one model that a node serves under a capability. Row key: all that ORDER BY names.
CREATE TABLE IF NOT EXISTS raw_network_capabilities_model_constraints
(
    source                     LowCardinality(String),
    raw_event_uid              String,
    source_event_id            String,
    event_timestamp            DateTime64(3, 'UTC'),
    event_date                 Date MATERIALIZED toDate(event_timestamp),
    orchestrator_address       String,                               -- canonical, '' when the entry names none
    local_address              String,                               -- hot wallet
    orch_uri                   String,
    capability_id              Int32,
    capability_name            LowCardinality(String),
    capability_group           LowCardinality(String),
    capability_catalog_version LowCardinality(String),
    model_id                   String,
    runner_version             Nullable(String),
    capacity                   Nullable(UInt64),                     -- free slots; upstream omits 0
    capacity_in_use            Nullable(UInt64),                     -- busy slots; upstream omits 0
    warm                       UInt8,
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, event_timestamp, raw_event_uid, orchestrator_address, local_address, orch_uri, capability_id,
          model_id);

-- One row is one price that a node asks, also for models that it does not run. Row key: all that ORDER BY names.
CREATE TABLE IF NOT EXISTS raw_network_capabilities_prices
(
    source                     LowCardinality(String),
    raw_event_uid              String,
    source_event_id            String,
    event_timestamp            DateTime64(3, 'UTC'),
    event_date                 Date MATERIALIZED toDate(event_timestamp),
    orchestrator_address       String,                               -- canonical, '' when the entry names none
    local_address              String,                               -- hot wallet
    orch_uri                   String,
    capability_id              Int32,                                -- -1 when the price names none
    capability_name            LowCardinality(String),
    capability_group           LowCardinality(String),
    capability_catalog_version LowCardinality(String),
    constraint_name            Nullable(String),                     -- model, or name of an external capability
    price_per_unit             Nullable(UInt64),                     -- wei; upstream omits 0
    pixels_per_unit            Nullable(UInt64),
    ingestion_timestamp        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_timestamp)
ORDER BY (source, event_timestamp, raw_event_uid, orchestrator_address, local_address, orch_uri, capability_id,
          ifNull(constraint_name, ''));
