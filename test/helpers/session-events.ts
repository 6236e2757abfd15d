/**
 * Builders of the events that make a session: its edges, its samples, and what its gateway says beside them.
 *
 * An event that is given no id is named after its kind and time, so that tests can find its row.
 */
import { NO_HINT, node, snapshot, SOURCE, URL, type Wire } from "./events.ts";

/** The model that every node of these tests runs. */
export const SD = "streamdiffusion-sdxl";

/** The pipeline that it implies, and that these nodes advertise. */
export const LIVE = NO_HINT;

/** How events name node A and node B. */
export const A = { wallet: "0xhot", url: URL };
export const B = { wallet: "0xhot-b", url: "https://node-b:8935" };

/** Two nodes, each with a wallet, a canonical address and a GPU of its own. */
export const NODE_A = node("0xca", SD, ["GPU-a"]);
export const NODE_B = node("0xcb", SD, ["GPU-b"], { hot: B.wallet, url: B.url });

/** Both nodes are known from here on. */
export const KNOWN_AT = 500;
export const KNOWN = snapshot(KNOWN_AT, NODE_A, NODE_B);

interface Fields {
  readonly id?: string;
  readonly source?: string;
  readonly stream?: string;
  readonly request?: string;
  readonly gateway?: string;
}

function wire(type: string, name: string, at: number, fields: Fields, data: object): Wire {
  const { id, source, stream, request, gateway } = fields;
  return {
    source: source ?? SOURCE,
    envelope: {
      id: id ?? `${name}@${at}`,
      type,
      timestamp: at,
      gateway: gateway ?? "gateway-1",
      data: { stream_id: stream ?? "stream-1", request_id: request ?? "request-1", ...data },
    },
  };
}

export interface TraceFields extends Fields {
  readonly wallet?: string;
  readonly url?: string;
  /** When its envelope was sent, if that is not when the edge happened. */
  readonly sentAt?: number;
}

/** A lifecycle edge that happened at this time. */
export function trace(type: string, at: number, { wallet, url, sentAt, ...fields }: TraceFields = {}): Wire {
  const info = { address: wallet ?? "", url: url ?? "" };
  const id = fields.id ?? `${type}@${at}`;
  return wire("stream_trace", type, sentAt ?? at, { ...fields, id }, { type, timestamp: at, orchestrator_info: info });
}

type Edge = (at: number, fields?: TraceFields) => Wire;
const edge = (type: string): Edge => (at, fields) => trace(type, at, fields);

export const request = edge("gateway_receive_stream_request");
export const sent = edge("gateway_send_first_ingest_segment");
export const processed = edge("gateway_receive_first_processed_segment");
export const playable = edge("gateway_receive_few_processed_segments");
export const noOrchestrator = edge("gateway_no_orchestrators_available");
export const swap = edge("orchestrator_swap");
export const close = edge("gateway_ingest_stream_closed");

export interface SampleFields extends TraceFields {
  /** What the wire calls `pipeline`: a model label; `NO_HINT` by default. */
  readonly model?: string;
  readonly state?: string;
  readonly fps?: number;
  readonly startTime?: number;
  readonly lastError?: string;
  readonly lastErrorTime?: number;
  readonly restarts?: number;
  readonly lastRestartTime?: number;
}

/** A status sample with everything that a session counts. */
export function sample(at: number, { wallet, url, model, state, fps, startTime, ...rest }: SampleFields = {}): Wire {
  const { lastError, lastErrorTime, restarts, lastRestartTime, ...fields } = rest;
  return wire("ai_stream_status", "sample", at, fields, {
    pipeline: model ?? NO_HINT,
    state: state ?? "ONLINE",
    start_time: startTime,
    orchestrator_info: { address: wallet ?? "", url: url ?? "" },
    inference_status: {
      fps: fps ?? 20,
      restart_count: restarts ?? 0,
      last_restart_time: lastRestartTime,
      last_error: lastError,
      last_error_time: lastErrorTime,
    },
    input_status: { fps: 30 },
  });
}

/** What a gateway says of a stream: `error`, `params_update` or any other kind. */
export function streamEvent(type: string, at: number, message = "", fields: Fields & { model?: string } = {}): Wire {
  const { model, ...rest } = fields;
  return wire("ai_stream_events", type, at, rest, { type, message, pipeline: model ?? SD });
}

export const error = (at: number, message: string, fields?: Fields): Wire => streamEvent("error", at, message, fields);

/** Transport figures of a stream. */
export function ingest(at: number, fields: Fields = {}): Wire {
  const stats = {
    conn_quality: "good",
    peer_conn_stats: { BytesReceived: 2_000, BytesSent: 300 },
    track_stats: [{ type: "video", jitter: 1.5, latency: 4 }, { type: "audio", jitter: 2.5, latency: 8 }],
  };
  return wire("stream_ingest_metrics", "ingest", at, fields, { timestamp: at, stats });
}
