/**
 * Known noise: well-formed messages that share the stream and that nobody here reads. They are ignored and
 * counted, never rejected, so that a dead letter always means that something was lost.
 */
import type { EventType } from "./event.ts";

/** The event types that are decoded; every other type is either noise or unknown. */
export const EVENT_TYPES: ReadonlySet<string> = new Set<EventType>([
  "stream_trace",
  "ai_stream_status",
  "ai_stream_events",
  "stream_ingest_metrics",
  "network_capabilities",
  "discovery_results",
  "create_new_payment",
]);

/** Types of the hosted product, together over half of `network_events`; their shape is documented nowhere. */
const NOISE_TYPES: ReadonlySet<string> = new Set(["pipelines_api_request", "webrtc_stats"]);

/** The ten trace types that mean something in the lifecycle of a session. */
export const TRACE_TYPES: ReadonlySet<string> = new Set([
  "gateway_receive_stream_request",
  "gateway_no_orchestrators_available",
  "gateway_send_first_ingest_segment",
  "runner_receive_first_ingest_segment",
  "runner_send_first_processed_segment",
  "gateway_receive_first_processed_segment",
  "gateway_receive_few_processed_segments",
  "gateway_receive_first_data_segment",
  "orchestrator_swap",
  "gateway_ingest_stream_closed",
]);

/** What the `scope` web client sends as traces of its own. */
const SCOPE_CLIENT_TYPES: ReadonlySet<string> = new Set([
  "stream_heartbeat",
  "pipeline_load_start",
  "pipeline_loaded",
  "session_created",
  "stream_started",
  "playback_ready",
  "session_closed",
  "stream_stopped",
  "pipeline_unloaded",
  "websocket_connected",
  "websocket_disconnected",
  "error",
]);

/** Why a message is ignored. */
export type IgnoreReason =
  | "unsupported_event_family"
  | "ignored_stream_trace_non_core_app"
  | "ignored_stream_trace_scope_client_noise"
  | "unsupported_stream_trace_type";

const isBlank = (value: unknown): boolean => typeof value !== "string" || value.trim() === "";

/** True for a type that is known to be noise, as against one that nobody has seen yet. */
export function isNoiseType(type: string): boolean {
  return NOISE_TYPES.has(type);
}

/**
 * The reason to ignore a trace, or `undefined` for one to decode. A trace without a type is no noise: it
 * lacks a required field.
 */
export function traceNoise(data: Readonly<Record<string, unknown>>, sender: unknown): IgnoreReason | undefined {
  const type = data.type;
  if (typeof type !== "string" || type === "" || TRACE_TYPES.has(type)) return undefined;
  if (type.toLowerCase().startsWith("app_")) return "ignored_stream_trace_non_core_app";
  const senderType = typeof sender === "object" && sender !== null && "type" in sender ? sender.type : undefined;
  const scope = data.client_source === "scope" && isBlank(senderType) && isBlank(data.stream_id);
  if (scope && SCOPE_CLIENT_TYPES.has(type)) return "ignored_stream_trace_scope_client_noise";
  return "unsupported_stream_trace_type";
}
