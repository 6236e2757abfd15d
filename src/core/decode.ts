/**
 * DECODE: a stored message becomes an event, or a reason why not.
 *
 * The checks run in the order of the upstream contract, and the first failure decides, so that a message has
 * the same reason wherever it is judged. Bad input is a value here, never an exception. What is refused keeps
 * as much of its envelope as could be read, for the archive and for whoever triages it.
 */
import * as v from "valibot";
import type { EventType, StoredMessage, TelemetryEvent } from "./event.ts";
import { contentHashOf, uidOf } from "./identity.ts";
import { hash64, hash64OfBytes } from "./hash.ts";
import { canonicalJson, type Json, parseJsonBytes, parseJsonText } from "./json.ts";
import { EVENT_TYPES, type IgnoreReason, isNoiseType, traceNoise } from "./noise.ts";
import {
  capabilityEntrySchema,
  discoverySchema,
  ingestSchema,
  LONGEST_ID,
  paymentSchema,
  REQUIRED,
  statusSchema,
  streamEventSchema,
  traceSchema,
} from "./schema.ts";
import { sourceOf } from "./subject.ts";
import { LAST_INSTANT_MS } from "./time.ts";

/** Raised whenever the same bytes would decode to other rows; part of the generation's hash. */
export const DECODER_VERSION = 1;

/** The largest message that is decoded, in bytes: the row limit of the upstream contract. */
export const LARGEST_MESSAGE = 1_000_000;

/** An event later than this after its message was stored is refused: a broken clock, or seconds for milliseconds. */
const FURTHEST_FUTURE_MS = 3_600_000;

const SUPPORTED_VERSIONS: ReadonlySet<unknown> = new Set([1, "1", "v1"]);

/** Stage, class and reason of a refusal, in the words of the upstream contract. */
export interface Rejection {
  readonly stage: "DESERIALIZATION" | "SCHEMA_VALIDATION" | "PARSE" | "SINK_GUARD";
  readonly failureClass:
    | "DESERIALIZATION_FAILED"
    | "SCHEMA_INVALID"
    | "UNSUPPORTED_VERSION"
    | "PARSING_FAILED"
    | "RECORD_TOO_LARGE";
  readonly reason: RejectReason;
  /** For people; never decided upon. Holds field names and limits, no content of the message. */
  readonly details: string;
}

export type RejectReason =
  | "null_payload"
  | "json_parse_error"
  | "root_not_object"
  | "missing_type"
  | "missing_timestamp"
  | "missing_data"
  | "unsupported_version"
  | "missing_field"
  | "empty_array"
  | "invalid_data_shape"
  | "parse_exception"
  | "time_in_future"
  | "record_too_large";

/** What could be read of a message, whatever became of it. */
export interface Envelope {
  readonly source: string;
  readonly uid: string;
  readonly id: string;
  readonly type: string;
  readonly eventTimeMs: number | null;
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

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Decodes one stored message. Never throws, and depends on nothing but the message. */
export function decode(message: StoredMessage): Decoded {
  const { bytes } = message;
  const source = sourceOf(message.subject);
  const known = { source, id: "", type: "", eventTimeMs: null as number | null, gateway: "" };

  const reject = (
    stage: Rejection["stage"],
    failureClass: Rejection["failureClass"],
    reason: RejectReason,
    details: string,
  ): Decoded => ({
    outcome: "rejected",
    envelope: { ...known, uid: uidOf(known.id, hash64OfBytes(bytes)) },
    rejection: { stage, failureClass, reason, details },
  });
  const invalid = (reason: RejectReason, details: string) =>
    reject("SCHEMA_VALIDATION", "SCHEMA_INVALID", reason, details);
  const unparsed = (details: string) => reject("PARSE", "PARSING_FAILED", "parse_exception", details);

  if (bytes.length === 0) return reject("DESERIALIZATION", "DESERIALIZATION_FAILED", "null_payload", "no bytes");
  if (bytes.length > LARGEST_MESSAGE) {
    const size = `${bytes.length} bytes, at most ${LARGEST_MESSAGE}`;
    return reject("SINK_GUARD", "RECORD_TOO_LARGE", "record_too_large", size);
  }
  const parsed = parseJsonBytes(bytes);
  if (!parsed.ok) return reject("DESERIALIZATION", "DESERIALIZATION_FAILED", "json_parse_error", parsed.why);
  const root = parsed.value;
  if (!isObject(root)) return invalid("root_not_object", "the message is no JSON object");

  if (typeof root.id === "string" && root.id.length <= LONGEST_ID) known.id = root.id.trim();
  if (typeof root.gateway === "string") known.gateway = root.gateway;
  if (typeof root.type !== "string" || root.type === "") return invalid("missing_type", "type is missing or no text");
  if (root.type.length > LONGEST_ID) return invalid("missing_type", `type is longer than ${LONGEST_ID} characters`);
  known.type = root.type;
  const envelopeTimeMs = envelopeTime(root.timestamp);
  if (envelopeTimeMs === undefined) return invalid("missing_timestamp", "timestamp is missing or no Unix milliseconds");
  known.eventTimeMs = envelopeTimeMs;
  if (root.data === undefined) return invalid("missing_data", "data is missing");

  let data = root.data;
  if (typeof data === "string") {
    const inner = parseJsonText(data);
    // Text that is no JSON stays text, and then fails as whatever the type's own check says of text.
    if (inner.ok) data = inner.value;
    else if (inner.why !== "not valid JSON") {
      return reject("DESERIALIZATION", "DESERIALIZATION_FAILED", "json_parse_error", `data: ${inner.why}`);
    }
  }

  const ignore = (reason: IgnoreReason, unknownType: boolean): Decoded => {
    const content = canonicalJson([known.type, envelopeTimeMs, known.gateway, data]);
    return { outcome: "ignored", envelope: { ...known, uid: uidOf(known.id, hash64(content)) }, reason, unknownType };
  };
  if (!isEventType(known.type)) return ignore("unsupported_event_family", !isNoiseType(known.type));
  const type = known.type;
  const version = root.version ?? (isObject(data) ? data.version : undefined) ?? 1;
  if (!SUPPORTED_VERSIONS.has(version)) {
    return reject("SCHEMA_VALIDATION", "UNSUPPORTED_VERSION", "unsupported_version", "version is neither 1 nor v1");
  }
  if (type === "stream_trace" && isObject(data)) {
    const noise = traceNoise(data, root.sender);
    if (noise !== undefined) return ignore(noise, false);
  }

  const missing = missingField(type, root, data);
  if (missing !== undefined) return invalid("missing_field", `${missing} is missing or blank`);
  if (type === "discovery_results" && !(Array.isArray(data) && data.length > 0)) {
    return invalid("empty_array", "data is no array with members");
  }
  if (type === "network_capabilities" && !Array.isArray(data) && !isObject(data)) {
    return invalid("invalid_data_shape", "data is neither an array nor an object");
  }
  if (root.id !== undefined && root.id !== null && (typeof root.id !== "string" || root.id.length > LONGEST_ID)) {
    return unparsed(`id is no text of at most ${LONGEST_ID} characters`);
  }
  if (root.gateway !== undefined && root.gateway !== null && typeof root.gateway !== "string") {
    return unparsed("gateway is no text");
  }

  const body = decodeBody(type, data, envelopeTimeMs);
  if (typeof body === "string") return unparsed(body);
  const eventTimeMs = body.type === "stream_trace" && body.payload.dataTimeMs > 0
    ? body.payload.dataTimeMs
    : envelopeTimeMs;
  known.eventTimeMs = eventTimeMs;
  if (Math.max(eventTimeMs, envelopeTimeMs) > message.streamTimeMs + FURTHEST_FUTURE_MS) {
    return invalid("time_in_future", "the event is more than an hour later than its message was stored");
  }
  const uid = uidOf(known.id, contentHashOf([type, envelopeTimeMs, known.gateway, body.payload]));
  const head = { source, uid, id: known.id, eventTimeMs, gateway: known.gateway };
  return { outcome: "accepted", envelope: { ...known, uid }, event: { ...body, head } as TelemetryEvent };
}

function isEventType(type: string): type is EventType {
  return EVENT_TYPES.has(type);
}

/** Unix milliseconds as a number or as digits; anything else is no timestamp. */
function envelopeTime(timestamp: Json | undefined): number | undefined {
  const value = typeof timestamp === "string" && /^\s*\d+\s*$/.test(timestamp) ? Number(timestamp) : timestamp;
  if (typeof value !== "number" || value < 0 || value > LAST_INSTANT_MS) return undefined;
  return Math.trunc(value);
}

function missingField(type: EventType, root: JsonObject, data: Json): string | undefined {
  const isMissing = (value: Json | undefined) => value === undefined || value === null || value === "";
  if (type === "stream_trace" && isMissing(root.id)) return "id";
  if (data === null) return "data";
  const fields = isObject(data) ? data : {};
  const missing = REQUIRED[type].find((field) => isMissing(fields[field]));
  return missing === undefined ? undefined : `data.${missing}`;
}

type Body = TelemetryEvent extends infer Event ? Event extends TelemetryEvent ? Omit<Event, "head"> : never : never;

/** The payload by its type, or which field could not be read. */
function decodeBody(type: EventType, data: Json, envelopeTimeMs: number): Body | string {
  switch (type) {
    case "ai_stream_status":
      return read(statusSchema, data, (payload) => ({ type, payload }));
    case "stream_trace":
      return read(traceSchema, data, (payload) => ({ type, payload: { ...payload, envelopeTimeMs } }));
    case "ai_stream_events":
      return read(streamEventSchema, data, (payload) => ({ type, payload }));
    case "stream_ingest_metrics":
      return read(ingestSchema, data, (payload) => ({ type, payload }));
    case "discovery_results":
      return read(discoverySchema, data, (payload) => ({ type, payload }));
    case "create_new_payment":
      return read(paymentSchema, data, (payload) => ({ type, payload }));
    case "network_capabilities":
      return decodeCapabilities(Array.isArray(data) ? data : [data]);
  }
}

const ABORT_EARLY = { abortEarly: true, abortPipeEarly: true } as const;

function read<Schema extends v.GenericSchema, Result>(
  schema: Schema,
  data: unknown,
  wrap: (output: v.InferOutput<Schema>) => Result,
): Result | string {
  const parsed = v.safeParse(schema, data, ABORT_EARLY);
  if (parsed.success) return wrap(parsed.output);
  const issue = parsed.issues[0];
  return `data.${v.getDotPath(issue) ?? ""}: ${issue.expected ?? issue.message}`;
}

/**
 * One node that sends nonsense about itself must not hide all the others, so an entry that cannot be read is
 * left out and counted. Members that are null, scalars or empty say nothing, and are skipped as upstream does.
 */
function decodeCapabilities(members: readonly Json[]): Body {
  const entries = [];
  let unreadable = 0;
  for (const member of members) {
    if (!isObject(member) || Object.keys(member).length === 0) continue;
    const parsed = v.safeParse(capabilityEntrySchema, member, ABORT_EARLY);
    if (parsed.success) entries.push(parsed.output);
    else unreadable++;
  }
  return { type: "network_capabilities", payload: { entries, unreadable } };
}
