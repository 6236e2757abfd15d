/**
 * One valibot schema per event type: wire names in, our payload (event.ts) out.
 *
 * Null and missing are one; a number may come as text; a field of another type is refused, and so is a number
 * that its column could not hold: a silent zero or infinity would be a wrong row. Which fields must be there
 * at all is `REQUIRED`, checked before the schema, so that the two failures keep their own reasons.
 */
import * as v from "valibot";
import type {
  CapabilityEntry,
  CapabilityPrice,
  DiscoveryPayload,
  EventType,
  Gpu,
  Hardware,
  IngestPayload,
  IngestTrack,
  ModelConstraint,
  PaymentPayload,
  StatusPayload,
  StreamEventPayload,
  TracePayload,
} from "./event.ts";
import { normalAddress, normalUrl } from "./normalise.ts";
import { LAST_INSTANT_MS } from "./time.ts";

/**
 * Ids become part of subjects and keys, which NATS bounds at 4,096 bytes with all else on the line; real ids are at most
 * 46 characters long.
 */
export const LONGEST_ID = 256;

/** Longer than any URL a server accepts. */
const LONGEST_URL = 2_048;

const MAX_UINT16 = 65_535;
const MAX_UINT32 = 4_294_967_295;
/** The largest number that a `Float32` column holds. */
const MAX_FLOAT32 = 3.4028234663852886e38;

const NUMBER_TEXT = /^\s*[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\s*$/;

/** Any value; null and missing become `""`, so that what follows in a pipe runs for them too. */
const anything = v.nullish(v.unknown(), "");

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** An object of these fields; valibot alone would take an array for one. */
function record<Entries extends v.ObjectEntries>(entries: Entries) {
  return v.pipe(v.custom<Record<string, unknown>>(isRecord, "expected an object"), v.object(entries));
}

/** A nested object; null and missing count as an empty one. */
function section<Entries extends v.ObjectEntries>(entries: Entries) {
  return v.nullish(record(entries), {});
}

/** A number or numeric text within bounds; absent, null and blank give `absent`. Fractions are cut for integers. */
function numberWithin<Absent extends number | null>(low: number, high: number, absent: Absent, integer: boolean) {
  return v.pipe(
    anything,
    v.rawTransform<unknown, number | Absent>(({ dataset, addIssue, NEVER }) => {
      const input = dataset.value;
      if (input === "") return absent;
      const value = typeof input === "string" && NUMBER_TEXT.test(input) ? Number(input) : input;
      if (typeof value !== "number") {
        addIssue({ message: `expected a number, got ${Array.isArray(input) ? "an array" : typeof input}` });
        return NEVER;
      }
      const result = integer ? Math.trunc(value) : value;
      if (!(result >= low && result <= high)) {
        addIssue({ message: `expected a number from ${low} to ${high}` });
        return NEVER;
      }
      return result;
    }),
  );
}

const text = v.nullish(v.string(), "");
/** Two of these make one key, where a byte that is no letter or digit becomes three. */
const id = v.pipe(text, v.maxBytes(LONGEST_ID));
const address = v.pipe(text, v.maxLength(LONGEST_ID), v.transform(normalAddress));
const url = v.pipe(text, v.maxLength(LONGEST_URL), v.transform(normalUrl));
const textOrNull = v.pipe(text, v.transform((value) => value === "" ? null : value));
const real = numberWithin(-MAX_FLOAT32, MAX_FLOAT32, 0, false);
const uint16 = numberWithin(0, MAX_UINT16, 0, true);
const uint32 = numberWithin(0, MAX_UINT32, 0, true);
const uint53 = numberWithin(0, Number.MAX_SAFE_INTEGER, 0, true);
const instant = numberWithin(0, LAST_INSTANT_MS, 0, true);
const instantOrNull = numberWithin(0, LAST_INSTANT_MS, null, true);

const orchestratorInfo = section({ address, url });

export const statusSchema = v.pipe(
  v.object({
    stream_id: id,
    request_id: id,
    pipeline: v.pipe(text, v.maxLength(LONGEST_ID)),
    state: text,
    start_time: instantOrNull,
    orchestrator_info: orchestratorInfo,
    inference_status: section({
      fps: real,
      restart_count: uint32,
      last_restart_time: instantOrNull,
      last_error: textOrNull,
      last_error_time: instantOrNull,
      last_params: section({
        // A prompt may be a list of weighted prompts; what is no text has no column.
        prompt: v.pipe(anything, v.transform((value) => typeof value === "string" && value ? value : null)),
        width: uint16,
        height: uint16,
      }),
      last_params_hash: text,
    }),
    input_status: section({ fps: real }),
  }),
  v.transform((data): StatusPayload => ({
    streamId: data.stream_id,
    requestId: data.request_id,
    pipeline: data.pipeline,
    state: data.state,
    address: data.orchestrator_info.address,
    url: data.orchestrator_info.url,
    outputFps: data.inference_status.fps,
    inputFps: data.input_status.fps,
    restartCount: data.inference_status.restart_count,
    lastRestartTimeMs: data.inference_status.last_restart_time,
    lastError: data.inference_status.last_error,
    lastErrorTimeMs: data.inference_status.last_error_time,
    prompt: data.inference_status.last_params.prompt,
    promptWidth: data.inference_status.last_params.width,
    promptHeight: data.inference_status.last_params.height,
    paramsHash: data.inference_status.last_params_hash,
    startTimeMs: data.start_time,
  })),
);

/** The trace needs its envelope's time beside its payload, so it comes as the pair of both. */
export const traceSchema = v.pipe(
  v.object({
    stream_id: id,
    request_id: id,
    type: v.pipe(text, v.maxLength(LONGEST_ID)),
    timestamp: instant,
    message: text,
    orchestrator_info: orchestratorInfo,
  }),
  v.transform((data): Omit<TracePayload, "envelopeTimeMs"> => ({
    streamId: data.stream_id,
    requestId: data.request_id,
    traceType: data.type,
    address: data.orchestrator_info.address,
    url: data.orchestrator_info.url,
    dataTimeMs: data.timestamp,
    message: data.message,
  })),
);

export const streamEventSchema = v.pipe(
  v.object({
    stream_id: id,
    request_id: id,
    pipeline: v.pipe(text, v.maxLength(LONGEST_ID)),
    type: v.pipe(text, v.maxLength(LONGEST_ID)),
    message: text,
    capability: text,
  }),
  v.transform((data): StreamEventPayload => ({
    streamId: data.stream_id,
    requestId: data.request_id,
    pipeline: data.pipeline,
    eventType: data.type,
    message: data.message,
    capability: data.capability,
  })),
);

const track = record({
  type: text,
  jitter: real,
  packets_received: uint32,
  packets_lost: uint32,
  packet_loss_pct: real,
  rtt: real,
  last_input_ts: real,
  latency: real,
});

function trackOf(tracks: readonly v.InferOutput<typeof track>[], type: string): IngestTrack {
  const found = tracks.findLast((one) => one.type === type);
  return {
    jitter: found?.jitter ?? 0,
    packetsReceived: found?.packets_received ?? 0,
    packetsLost: found?.packets_lost ?? 0,
    packetLossPct: found?.packet_loss_pct ?? 0,
    rtt: found?.rtt ?? 0,
    lastInputTs: found?.last_input_ts ?? 0,
    latency: found?.latency ?? 0,
  };
}

export const ingestSchema = v.pipe(
  v.object({
    stream_id: id,
    request_id: id,
    stats: section({
      conn_quality: text,
      peer_conn_stats: section({ BytesReceived: uint53, BytesSent: uint53 }),
      track_stats: v.nullish(v.array(track), []),
    }),
  }),
  v.transform((data): IngestPayload => ({
    streamId: data.stream_id,
    requestId: data.request_id,
    connectionQuality: data.stats.conn_quality,
    video: trackOf(data.stats.track_stats, "video"),
    audio: trackOf(data.stats.track_stats, "audio"),
    bytesReceived: data.stats.peer_conn_stats.BytesReceived,
    bytesSent: data.stats.peer_conn_stats.BytesSent,
  })),
);

export const discoverySchema = v.pipe(
  v.array(record({ address, url, latency_ms: uint32 })),
  v.transform((data): DiscoveryPayload => ({
    orchestrators: data.map((one) => ({ address: one.address, url: one.url, latencyMs: one.latency_ms })),
  })),
);

/** Amounts and prices stay the text they are: face values pass what a double holds exactly. */
const paymentText = v.pipe(
  v.nullish(v.union([v.string(), v.number()]), ""),
  v.transform(String),
  v.maxLength(2_048),
);

export const paymentSchema = v.pipe(
  v.object({
    requestID: id,
    sessionID: paymentText,
    manifestID: paymentText,
    sender: paymentText,
    recipient: paymentText,
    orchestrator: paymentText,
    faceValue: paymentText,
    price: paymentText,
    numTickets: paymentText,
    winProb: paymentText,
    clientIP: paymentText,
    capability: paymentText,
  }),
  v.transform((data): PaymentPayload => ({
    requestId: data.requestID,
    sessionId: data.sessionID,
    manifestId: data.manifestID,
    sender: normalAddress(data.sender),
    recipient: normalAddress(data.recipient),
    orchestrator: normalUrl(data.orchestrator),
    faceValue: data.faceValue,
    price: data.price,
    numTickets: data.numTickets,
    winProb: data.winProb,
    clientIp: data.clientIP,
    capability: data.capability,
  })),
);

/** Side facts of a capability entry are kept when they can be read, and are unknown otherwise. */
function lenient(low: number, high: number) {
  return v.fallback(numberWithin(low, high, null, true), null);
}
const lenientText = v.fallback(text, "");
const countOrNull = lenient(0, Number.MAX_SAFE_INTEGER);
/** A count that upstream leaves out when it is 0; null stays what cannot be read. */
const count = v.fallback(numberWithin<number | null>(0, Number.MAX_SAFE_INTEGER, 0, true), null);

const gpu = v.pipe(
  record({
    id: lenientText,
    name: lenientText,
    memory_total: countOrNull,
    memory_free: countOrNull,
    major: lenient(0, 255),
    minor: lenient(0, 255),
  }),
  v.transform((one): Gpu => ({
    id: one.id.trim(),
    name: one.name,
    memoryTotal: one.memory_total,
    memoryFree: one.memory_free,
    major: one.major,
    minor: one.major === null ? one.minor : one.minor ?? 0,
  })),
);

/** The values of a JSON object in the order of its keys, numeric ones by value, or of an array; nulls left out. */
const inKeyOrder = v.pipe(
  anything,
  v.transform((input): unknown[] => {
    const values = Array.isArray(input) ? input : isRecord(input) ? sortedKeys(input).map((key) => input[key]) : [];
    return values.filter((value) => value !== null);
  }),
);

function sortedKeys(record: Record<string, unknown>): string[] {
  return Object.keys(record).sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : a > b ? 1 : 0));
}

const hardware = v.pipe(
  record({ pipeline: text, model_id: text, gpu_info: v.pipe(inKeyOrder, v.array(gpu)) }),
  v.transform((one): Hardware => ({ pipeline: one.pipeline.trim(), model: one.model_id.trim(), gpus: one.gpu_info })),
);

const model = record({
  warm: v.pipe(anything, v.transform((value) => value === true || value === 1)),
  runnerVersion: lenientText,
  capacity: count,
  capacityInUse: count,
});

const price = v.pipe(
  record({
    capability: lenient(-2, 2_147_483_647),
    constraint: lenientText,
    pricePerUnit: count,
    pixelsPerUnit: countOrNull,
  }),
  v.transform((one): CapabilityPrice => ({
    capabilityId: one.capability,
    constraint: one.constraint.trim(),
    pricePerUnit: one.pricePerUnit,
    pixelsPerUnit: one.pixelsPerUnit,
  })),
);

function pricesOf(prices: unknown): CapabilityPrice[] {
  if (!Array.isArray(prices)) return [];
  return prices.flatMap((one) => {
    const parsed = v.safeParse(price, one);
    return parsed.success ? [parsed.output] : [];
  });
}

/** Capability ids in ascending order; keys that are no integer are skipped, as upstream does. */
function capabilityIds(record: Record<string, unknown>): number[] {
  return Object.keys(record).filter((key) => /^(0|-?[1-9]\d{0,8})$/.test(key)).map(Number).sort((a, b) => a - b);
}

function constraintsOf(perCapability: unknown): ModelConstraint[] {
  if (!isRecord(perCapability)) return [];
  return capabilityIds(perCapability).flatMap((capabilityId) => {
    const held = perCapability[String(capabilityId)];
    const models = isRecord(held) && isRecord(held.models) ? held.models : {};
    return Object.keys(models).sort().flatMap((name): ModelConstraint[] => {
      const parsed = v.safeParse(model, models[name] ?? {});
      if (!parsed.success) return [];
      const { warm, runnerVersion, capacity, capacityInUse } = parsed.output;
      return [{
        capabilityId,
        model: name.trim(),
        warm,
        runnerVersion,
        capacity,
        capacityInUse,
      }];
    });
  });
}

const nodeUrl = v.pipe(text, v.maxLength(LONGEST_URL));

export const capabilityEntrySchema = v.pipe(
  record({
    address,
    local_address: address,
    orch_uri: nodeUrl,
    uri: nodeUrl,
    capabilities: section({
      version: lenientText,
      capacities: anything,
      constraints: section({ PerCapability: anything }),
    }),
    capabilities_prices: anything,
    hardware: v.nullish(v.array(hardware), []),
  }),
  v.transform((entry): CapabilityEntry => {
    const capacities = isRecord(entry.capabilities.capacities) ? entry.capabilities.capacities : {};
    return {
      address: entry.address,
      localAddress: entry.local_address,
      url: normalUrl(entry.orch_uri) || normalUrl(entry.uri),
      version: entry.capabilities.version,
      capacities: capabilityIds(capacities).map((one) => [one, v.parse(countOrNull, capacities[String(one)])]),
      constraints: constraintsOf(entry.capabilities.constraints.PerCapability),
      prices: pricesOf(entry.capabilities_prices),
      hardware: entry.hardware,
    };
  }),
);

/** Fields under `data` that must be there, not null and not `""`, by type. */
export const REQUIRED: Readonly<Record<EventType, readonly string[]>> = {
  stream_trace: ["stream_id", "request_id", "type"],
  ai_stream_status: ["stream_id", "request_id", "pipeline"],
  ai_stream_events: ["stream_id", "request_id", "pipeline", "type"],
  stream_ingest_metrics: ["stream_id", "request_id"],
  network_capabilities: [],
  discovery_results: [],
  create_new_payment: [
    "sessionID",
    "manifestID",
    "sender",
    "recipient",
    "orchestrator",
    "faceValue",
    "numTickets",
    "price",
    "winProb",
  ],
};
