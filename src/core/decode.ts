/**
 * DECODE: a stored message becomes an event, or a reason why not.
 *
 * The checks run in the order of the upstream contract, and the first failure decides, so that a message has
 * the same reason wherever it is judged. Bad input is a value here, never an exception. What is refused keeps
 * as much of its envelope as could be read, for the archive and for whoever triages it.
 */
import type { CapabilitiesPayload, EventType, StoredMessage, TelemetryEvent } from "./event.ts";
import { type Fields, isFields, pathOf, Unreadable } from "./fields.ts";
import { contentHashOf, uidOf } from "./identity.ts";
import { hash64, hash64OfBytes } from "./hash.ts";
import { canonicalJson, type Json, parseJsonBytes, parseJsonText } from "./json.ts";
import { EVENT_TYPES, type IgnoreReason, isNoiseType, traceNoise } from "./noise.ts";
import {
  LONGEST_ID,
  readCapabilityEntry,
  readDiscovery,
  readIngest,
  readPayment,
  readStatus,
  readStreamEvent,
  readTrace,
  REQUIRED,
} from "./payload.ts";
import { sourceOf, typeOf } from "./subject.ts";
import { LAST_INSTANT_MS } from "./time.ts";

/** Raised whenever the same bytes would decode to other rows; part of the generation's hash. */
export const DECODER_VERSION = 4;

/** The largest message that is decoded, in bytes: the row limit of the upstream contract. */
export const LARGEST_MESSAGE = 1_000_000;

/** An event later than this after its message was stored is refused: a broken clock, or seconds for milliseconds. */
export const FURTHEST_FUTURE_MS = 3_600_000;

const SUPPORTED_VERSIONS: ReadonlySet<unknown> = new Set([1, "1", "v1"]);

/** Stage and class of each reason of refusal, in the words of the upstream contract. */
export const REASONS = {
  null_payload: ["DESERIALIZATION", "DESERIALIZATION_FAILED"],
  json_parse_error: ["DESERIALIZATION", "DESERIALIZATION_FAILED"],
  root_not_object: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  missing_type: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  missing_timestamp: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  missing_data: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  unsupported_version: ["SCHEMA_VALIDATION", "UNSUPPORTED_VERSION"],
  missing_field: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  empty_array: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  invalid_data_shape: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  wrong_subject: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  time_in_future: ["SCHEMA_VALIDATION", "SCHEMA_INVALID"],
  parse_exception: ["PARSE", "PARSING_FAILED"],
  record_too_large: ["SINK_GUARD", "RECORD_TOO_LARGE"],
} as const;

export type RejectReason = keyof typeof REASONS;

/** Why a message was refused. */
export interface Rejection {
  readonly stage: (typeof REASONS)[RejectReason][0];
  readonly failureClass: (typeof REASONS)[RejectReason][1];
  readonly reason: RejectReason;
  /** For people; never decided upon. Holds field names and limits, no content of the message. */
  readonly details: string;
}

/** What could be read of a message, whatever became of it. */
export interface Envelope {
  readonly source: string;
  readonly uid: string;
  readonly id: string;
  readonly type: string;
  /** The envelope's own timestamp; an event's time may be its payload's. */
  readonly timestampMs: number | null;
  readonly gateway: string;
}

export type Decoded =
  | { readonly outcome: "accepted"; readonly envelope: Envelope; readonly event: TelemetryEvent }
  | {
    readonly outcome: "ignored";
    readonly envelope: Envelope;
    readonly reason: IgnoreReason;
    /** True for a type that is on no list: it is kept in `raw_unknown_events`. */
    readonly unknownType: boolean;
  }
  | { readonly outcome: "rejected"; readonly envelope: Envelope; readonly rejection: Rejection };

type JsonObject = { [key: string]: Json };

const isObject = (value: Json | undefined): value is JsonObject => isFields(value);

/** What has been read of a message so far. */
class Reading {
  id = "";
  type = "";
  timestampMs: number | null = null;
  gateway = "";
  readonly source: string;
  readonly #bytes: Uint8Array;

  constructor(source: string, bytes: Uint8Array) {
    this.source = source;
    this.#bytes = bytes;
  }

  envelope(contentHash: string): Envelope {
    const { source, id, type, timestampMs, gateway } = this;
    return { source, uid: uidOf(id, contentHash), id, type, timestampMs, gateway };
  }

  reject(reason: RejectReason, details: string): Decoded {
    const [stage, failureClass] = REASONS[reason];
    const rejection = { stage, failureClass, reason, details };
    return { outcome: "rejected", envelope: this.envelope(hash64OfBytes(this.#bytes)), rejection };
  }

  ignore(reason: IgnoreReason, unknownType: boolean, data: Json): Decoded {
    const content = canonicalJson([this.type, this.timestampMs, this.gateway, data]);
    return { outcome: "ignored", envelope: this.envelope(hash64(content)), reason, unknownType };
  }
}

/** Decodes one stored message. Never throws, and depends on nothing but the message. */
export function decode(message: StoredMessage): Decoded {
  const { bytes } = message;
  const reading = new Reading(sourceOf(message.subject), bytes);
  if (bytes.length === 0) return reading.reject("null_payload", "no bytes");
  if (bytes.length > LARGEST_MESSAGE) {
    return reading.reject("record_too_large", `${bytes.length} bytes, at most ${LARGEST_MESSAGE}`);
  }
  const parsed = parseJsonBytes(bytes);
  if (!parsed.ok) return reading.reject("json_parse_error", parsed.why);
  const root = parsed.value;
  if (!isObject(root)) return reading.reject("root_not_object", "the message is no JSON object");

  if (typeof root.id === "string" && root.id.length <= LONGEST_ID) reading.id = root.id.trim();
  if (typeof root.gateway === "string") reading.gateway = root.gateway;
  if (typeof root.type !== "string" || root.type === "") return reading.reject("missing_type", "type is no text");
  if (root.type.length > LONGEST_ID) {
    return reading.reject("missing_type", `type is longer than ${LONGEST_ID} characters`);
  }
  reading.type = root.type;
  const envelopeTimeMs = envelopeTime(root.timestamp);
  if (envelopeTimeMs === undefined) return reading.reject("missing_timestamp", "timestamp is no Unix milliseconds");
  reading.timestampMs = envelopeTimeMs;
  if (root.data === undefined) return reading.reject("missing_data", "data is missing");

  let data = root.data;
  if (typeof data === "string") {
    const inner = parseJsonText(data);
    // Text that is no JSON stays text, and then fails as whatever the type's own check says of text.
    if (inner.ok) data = inner.value;
    else if (inner.why !== "not valid JSON") return reading.reject("json_parse_error", `data: ${inner.why}`);
  }

  const type = root.type;
  if (!isEventType(type)) return reading.ignore("unsupported_event_family", !isNoiseType(type), data);
  const version = root.version ?? (isObject(data) ? data.version : undefined) ?? 1;
  if (!SUPPORTED_VERSIONS.has(version)) return reading.reject("unsupported_version", "version is neither 1 nor v1");
  if (type === "stream_trace" && isObject(data)) {
    const noise = traceNoise(data, root.sender);
    if (noise !== undefined) return reading.ignore(noise, false, data);
  }

  const missing = missingField(type, root, data);
  if (missing !== undefined) return reading.reject("missing_field", `${missing} is missing or blank`);
  if (type === "discovery_results" && !(Array.isArray(data) && data.length > 0)) {
    return reading.reject("empty_array", "data is no array with members");
  }
  if (type === "network_capabilities" && !Array.isArray(data) && !isObject(data)) {
    return reading.reject("invalid_data_shape", "data is neither an array nor an object");
  }
  // Who replays a range finds the snapshots around it by their subjects: to use it now would be to lose it then.
  if (type === "network_capabilities" && typeOf(message.subject) !== type) {
    return reading.reject("wrong_subject", "a capability message on the subject of another type");
  }
  if (root.id !== undefined && root.id !== null && (typeof root.id !== "string" || root.id.length > LONGEST_ID)) {
    return reading.reject("parse_exception", `id is no text of at most ${LONGEST_ID} characters`);
  }
  const { gateway: name } = root;
  if (name !== undefined && name !== null && (typeof name !== "string" || name.length > LONGEST_ID)) {
    return reading.reject("parse_exception", `gateway is no text of at most ${LONGEST_ID} characters`);
  }

  const body = decodeBody(type, data, envelopeTimeMs);
  if (typeof body === "string") return reading.reject("parse_exception", body);
  const { payload } = body;
  const dataTimeMs = body.type === "stream_trace" ? body.payload.dataTimeMs : 0;
  const eventTimeMs = dataTimeMs > 0 ? dataTimeMs : envelopeTimeMs;
  if (Math.max(eventTimeMs, envelopeTimeMs) > message.streamTimeMs + FURTHEST_FUTURE_MS) {
    return reading.reject("time_in_future", "the event is more than an hour later than its message was stored");
  }
  const envelope = reading.envelope(contentHashOf(type, envelopeTimeMs, reading.gateway, payload));
  const { source, uid, id, gateway } = envelope;
  const head = { source, uid, id, eventTimeMs, gateway };
  return { outcome: "accepted", envelope, event: { type, head, payload } as TelemetryEvent };
}

/** When the event of a message was; undefined where it holds none. */
export function eventTimeOf(decoded: Decoded): number | undefined {
  return decoded.outcome === "accepted" ? decoded.event.head.eventTimeMs : undefined;
}

function isEventType(type: string): type is EventType {
  return EVENT_TYPES.has(type);
}

/** Refuses a message after it was decoded: what it maps to is larger than what may be stored. */
export function refuseTooLarge(decoded: Decoded, details: string): Decoded {
  const [stage, failureClass] = REASONS.record_too_large;
  return {
    outcome: "rejected",
    envelope: decoded.envelope,
    rejection: { stage, failureClass, reason: "record_too_large", details },
  };
}

/** Unix milliseconds as a number or as digits; anything else is no timestamp. */
function envelopeTime(timestamp: Json | undefined): number | undefined {
  const value = typeof timestamp === "string" && /^\s*\d+\s*$/.test(timestamp) ? Number(timestamp) : timestamp;
  if (typeof value !== "number" || value < 0 || value > LAST_INSTANT_MS) return undefined;
  return Math.trunc(value);
}

const isMissing = (value: Json | undefined): boolean => value === undefined || value === null || value === "";

function missingField(type: EventType, root: JsonObject, data: Json): string | undefined {
  if (type === "stream_trace" && isMissing(root.id)) return "id";
  if (isMissing(data)) return "data";
  const fields = isObject(data) ? data : {};
  for (const field of REQUIRED[type]) if (isMissing(fields[field])) return `data.${field}`;
  return undefined;
}

type Body = TelemetryEvent extends infer Event ? Event extends TelemetryEvent ? Omit<Event, "head"> : never : never;

/** The payload by its type, or which field could not be read. */
function decodeBody(type: EventType, data: Json, envelopeTimeMs: number): Body | string {
  try {
    return readBody(type, data, envelopeTimeMs);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return `data${pathOf(data, error.of) ?? ""}.${error.field}: ${error.message}`;
  }
}

function readBody(type: EventType, data: Json, envelopeTimeMs: number): Body {
  // What has required fields came so far only as an object, and discovery results only as a list.
  const fields = data as Fields;
  switch (type) {
    case "ai_stream_status":
      return { type, payload: readStatus(fields) };
    case "stream_trace":
      return { type, payload: readTrace(fields, envelopeTimeMs) };
    case "ai_stream_events":
      return { type, payload: readStreamEvent(fields) };
    case "stream_ingest_metrics":
      return { type, payload: readIngest(fields) };
    case "discovery_results":
      return { type, payload: readDiscovery(data as readonly Json[]) };
    case "create_new_payment":
      return { type, payload: readPayment(fields) };
    case "network_capabilities":
      return { type, payload: readCapabilities(Array.isArray(data) ? data : [data]) };
  }
}

/**
 * One node that sends nonsense about itself must not hide all the others, so an entry that cannot be read is
 * left out and counted. Members that are null, scalars or empty say nothing, and are skipped as upstream does.
 */
function readCapabilities(members: readonly Json[]): CapabilitiesPayload {
  const entries = [];
  let unreadable = 0;
  for (const member of members) {
    if (!isFields(member) || Object.keys(member).length === 0) continue;
    try {
      entries.push(readCapabilityEntry(member));
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      unreadable++;
    }
  }
  return { entries, unreadable };
}
