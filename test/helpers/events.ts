/**
 * Builders of wire messages: the few fields a test is about, in the shape that gateways send.
 *
 * Times are milliseconds since 1970 and may be as small as `1_000`: the core compares them, nothing more.
 */
import type { StoredMessage } from "../../src/core/event.ts";
import { sessionKeyOf } from "../../src/core/identity.ts";
import { eventSubject, PARTITION_ALL, partitionOf } from "../../src/core/subject.ts";

/** A canonical pipeline in the field where gateways put a model: it hints at no model (parity list §6.13). */
export const NO_HINT = "live-video-to-video";

/** The source of every event that names no other. */
export const SOURCE = "network";

/** An envelope as it travels; real ones carry their time as a number or as text. */
export interface Envelope {
  readonly id: string;
  readonly type: string;
  readonly timestamp: number | string;
  readonly gateway: string;
  readonly data: unknown;
}

/** An envelope and the source on whose subject it is published. */
export interface Wire {
  readonly source: string;
  readonly envelope: Envelope;
}

/** What every event of a session may say; the ids of its session are `stream-1` and `request-1` by default. */
export interface SessionFields {
  /** The envelope's time, which is the event time of all but a trace with a time of its own. */
  readonly at: number;
  readonly id?: string;
  readonly source?: string;
  readonly gateway?: string;
  readonly stream?: string;
  readonly request?: string;
}

/** The UUID of a number, for events whose ids are as production has them. */
export function uuidOf(number: number): string {
  const digits = Math.imul(number + 1, 0x9e3779b1) >>> 0;
  return `${digits.toString(16).padStart(8, "0")}-4a1c-4e2b-9d3f-${number.toString(16).padStart(12, "0")}`;
}

/** An id that is there and blank: the only missing one that is accepted. */
export const MISSING = " ";

/** An event of a session; fields of `data` that are undefined are left out of the message. */
function sessionEvent(type: string, fields: SessionFields & { readonly id: string }, data: object): Wire {
  return {
    source: fields.source ?? SOURCE,
    envelope: {
      id: fields.id,
      type,
      timestamp: fields.at,
      gateway: fields.gateway ?? "gateway-1",
      data: { stream_id: fields.stream ?? "stream-1", request_id: fields.request ?? "request-1", ...data },
    },
  };
}

export interface StatusFields extends SessionFields {
  readonly wallet?: string;
  readonly url?: string;
  /** What the wire calls `pipeline`: a model label; `NO_HINT` by default. */
  readonly model?: string;
  readonly fps?: number;
  readonly state?: string;
  readonly startTime?: number | null;
  readonly lastError?: string | null;
  readonly lastErrorTime?: number | null;
  readonly restarts?: number;
  readonly lastRestartTime?: number | null;
}

/** A status sample. */
export function status(fields: StatusFields): Wire {
  return sessionEvent("ai_stream_status", { ...fields, id: fields.id ?? "sample" }, {
    pipeline: fields.model ?? NO_HINT,
    state: fields.state ?? "ONLINE",
    start_time: fields.startTime,
    orchestrator_info: { address: fields.wallet ?? "", url: fields.url ?? "" },
    inference_status: {
      fps: fields.fps ?? 20,
      last_error: fields.lastError,
      last_error_time: fields.lastErrorTime,
      restart_count: fields.restarts,
      last_restart_time: fields.lastRestartTime,
    },
    input_status: { fps: 30 },
  });
}

/** The ten trace types by what they tell. */
export const TRACE = {
  request: "gateway_receive_stream_request",
  noOrchestrators: "gateway_no_orchestrators_available",
  ingest: "gateway_send_first_ingest_segment",
  runnerIngest: "runner_receive_first_ingest_segment",
  runnerProcessed: "runner_send_first_processed_segment",
  processed: "gateway_receive_first_processed_segment",
  playable: "gateway_receive_few_processed_segments",
  data: "gateway_receive_first_data_segment",
  swap: "orchestrator_swap",
  close: "gateway_ingest_stream_closed",
} as const;

export interface TraceFields extends SessionFields {
  readonly type: string;
  readonly wallet?: string;
  readonly url?: string;
  /** The payload's own time, by the clock of who made the mark; above 0 it is the event time. */
  readonly ownTime?: number;
  readonly message?: string;
}

/** A lifecycle edge; its id is its type when none is given. */
export function trace(fields: TraceFields): Wire {
  return sessionEvent("stream_trace", { ...fields, id: fields.id ?? fields.type }, {
    type: fields.type,
    timestamp: fields.ownTime,
    message: fields.message,
    orchestrator_info: { address: fields.wallet ?? "", url: fields.url ?? "" },
  });
}

export interface StreamEventFields extends SessionFields {
  /** `error` by default. */
  readonly type?: string;
  readonly message?: string;
  readonly model?: string;
}

/** An AI event of a session: an error, a change of parameters, or another one. */
export function streamEvent(fields: StreamEventFields): Wire {
  return sessionEvent("ai_stream_events", { ...fields, id: fields.id ?? "event" }, {
    type: fields.type ?? "error",
    message: fields.message ?? "",
    pipeline: fields.model ?? NO_HINT,
  });
}

export interface IngestFields extends SessionFields {
  readonly quality?: string;
  readonly videoJitter?: number;
  readonly audioJitter?: number;
  readonly videoLatency?: number;
  readonly audioLatency?: number;
  readonly received?: number;
  readonly sent?: number;
}

/** What the gateway measured of a session's input. */
export function ingest(fields: IngestFields): Wire {
  return sessionEvent("stream_ingest_metrics", { ...fields, id: fields.id ?? "ingest" }, {
    stats: {
      conn_quality: fields.quality ?? "good",
      peer_conn_stats: { BytesReceived: fields.received ?? 0, BytesSent: fields.sent ?? 0 },
      track_stats: [
        { type: "video", jitter: fields.videoJitter ?? 0, latency: fields.videoLatency ?? 0 },
        { type: "audio", jitter: fields.audioJitter ?? 0, latency: fields.audioLatency ?? 0 },
      ],
    },
  });
}

export interface HardwareFields {
  readonly model: string;
  /** `live-video-to-video` by default. */
  readonly pipeline?: string;
  readonly gpus?: readonly string[];
  /** How `gpu_info` is written; both shapes are seen in production. `object` by default. */
  readonly shape?: "object" | "array";
}

export interface NodeFields {
  readonly canonical: string;
  readonly hot?: string;
  readonly url?: string;
  readonly hardware?: readonly HardwareFields[];
  /** Models that the node only advertises, under capability 35 (live video to video). */
  readonly advertises?: readonly string[];
}

/** A capability message. */
export function capabilities(
  { at, id, source, nodes }: { at: number; id?: string; source?: string; nodes: readonly NodeFields[] },
): Wire {
  return {
    source: source ?? SOURCE,
    envelope: {
      id: id ?? `snapshot-${at}`,
      type: "network_capabilities",
      timestamp: at,
      gateway: "gateway-1",
      data: nodes.map(entryOf),
    },
  };
}

function entryOf({ canonical, hot, url, hardware, advertises }: NodeFields): unknown {
  const models = Object.fromEntries((advertises ?? []).map((model) => [model, { warm: true, runnerVersion: "1" }]));
  return {
    address: canonical,
    local_address: hot ?? "",
    orch_uri: url ?? "",
    capabilities: { version: "0.8.9", constraints: { PerCapability: advertises ? { 35: { models } } : {} } },
    hardware: hardware === undefined ? null : hardware.map(({ model, pipeline, gpus, shape }) => {
      const list = (gpus ?? []).map((id) => ({ id, name: "RTX", memory_total: 1, major: 8 }));
      const info = shape === "array" ? list : Object.fromEntries(list.entries());
      return { pipeline: pipeline ?? NO_HINT, model_id: model, gpu_info: info };
    }),
  };
}

/** Where `node` puts its node. */
export const URL = "https://node-a:8935";

/** A node at `URL` with the hot wallet `0xhot` that runs one model on these GPUs. */
export function node(canonical: string, model: string, gpus: string[], more: Partial<NodeFields> = {}): NodeFields {
  return { canonical, hot: "0xhot", url: URL, hardware: [{ model, gpus }], ...more };
}

/** A capability message of these nodes, named after its time and nodes. */
export function snapshot(at: number, ...nodes: NodeFields[]): Wire {
  return capabilities({ at, id: `snapshot-${at}-${nodes.map((one) => `${one.canonical}${one.url}`).join()}`, nodes });
}

/** Ways to write one event: as built, time as text, `data` as text, keys in reverse order. */
export const ENCODINGS = 4;

/** The bytes of an envelope in one of its encodings; all of them are one event. */
export function bytesOf(envelope: Envelope, encoding = 0): Uint8Array {
  const variants: (() => unknown)[] = [
    () => envelope,
    () => ({ ...envelope, timestamp: String(envelope.timestamp) }),
    () => ({ ...envelope, data: JSON.stringify(envelope.data) }),
    () => reversed(envelope),
  ];
  return new TextEncoder().encode(JSON.stringify(variants[encoding % ENCODINGS]!()));
}

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).reverse().map(([key, held]) => [key, reversed(held)]));
}

/** The subject that a publisher who knows the number of partitions would choose. */
export function subjectOf({ source, envelope }: Wire, partitions: number): string {
  const { stream_id, request_id } = envelope.data as { stream_id?: string; request_id?: string };
  const isShared = stream_id === undefined && request_id === undefined;
  const key = sessionKeyOf(stream_id ?? "", request_id ?? "", envelope.id);
  return eventSubject(source, envelope.type, isShared ? PARTITION_ALL : partitionOf(key, partitions));
}

/** A message as the stream stored it. */
export function stored(subject: string, bytes: Uint8Array, seq: number, streamTimeMs: number): StoredMessage {
  return { subject, bytes, streamSequence: seq, streamTimeMs };
}
