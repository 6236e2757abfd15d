/** What the row of a session must say, every column a direct expression over its signals. */
import { TRACE } from "./events.ts";
import {
  bit,
  canonicalOf,
  compare,
  isType,
  type Run,
  runsOf,
  type Session,
  type Signal,
  traceType,
} from "./session-oracle.ts";

type Scalar = string | number | null;

/** A fact row by column; a nested column is a list. */
export type FactRow = Readonly<Record<string, Scalar | readonly Scalar[]>>;

/** Status `start_time`s before the year 2000 are clocks that were never set. */
const YEAR_2000_MS = Date.UTC(2000, 0, 1);

const EXCUSABLE = [
  "no orchestrators available",
  "mediamtx ingest disconnected",
  "whip disconnected",
  "missing video",
  "ice connection state failed",
  "user disconnected",
];

/** The folded row of a session; its nested columns have one member per run. */
export function sessionRow(session: Session, version: string): FactRow {
  const { source, key, signals } = session;
  const runs = runsOf(session);
  const identity = runs.at(-1)!.identity;
  const first = signals[0]!;
  const times = signals.map((one) => one.event.head.eventTimeMs);
  const traces = (type: string) => signals.filter((one) => traceType(one) === type);
  const firstTime = (type: string): number | null => traces(type)[0]?.event.head.eventTimeMs ?? null;
  const has = (type: string): boolean => traces(type).length > 0;

  const statuses = signals.flatMap(({ event }) =>
    event.type === "ai_stream_status" ? [{ ...event.payload, at: event.head.eventTimeMs }] : []
  );
  const state = (one: { readonly state: string }) => one.state.trim().toUpperCase();
  const starts = statuses.flatMap(({ startTimeMs, at }) =>
    startTimeMs !== null && startTimeMs >= YEAR_2000_MS && startTimeMs <= at ? [startTimeMs] : []
  );
  /** Of an earlier life of the runner: it lies before the session's start. */
  const isSticky = (time: number | null, start: number | null) => time !== null && start !== null && time < start;
  const faulty = statuses.filter(({ lastError, lastErrorTimeMs, startTimeMs }) => {
    const error = lastError?.trim() ?? "";
    return error !== "" && error !== "null" && !isSticky(lastErrorTimeMs, startTimeMs);
  });
  const restarted = statuses.filter(({ restartCount, lastRestartTimeMs, startTimeMs }) =>
    restartCount > 0 && !isSticky(lastRestartTimeMs, startTimeMs)
  );

  const errors = signals.filter(({ event }) => event.type === "ai_stream_events" && isType(event, "error"));
  const isExcusable = ({ event }: Signal) =>
    event.type === "ai_stream_events" && EXCUSABLE.some((text) => event.payload.message.toLowerCase().includes(text));
  const playable = traces(TRACE.playable)[0];
  const isBefore = (one: Signal) => playable === undefined || compare(one, playable) < 0;
  const excusable = errors.filter(isExcusable);

  const known = has(TRACE.request);
  const success = has(TRACE.playable);
  const excused = known && !success &&
    (has(TRACE.noOrchestrators) || (errors.length > 0 && errors.length === excusable.length));
  const swaps = traces(TRACE.swap).length;
  const healthy = bit(statuses.length > 0) + bit(has(TRACE.processed)) + bit(success);
  const [requestedMs, processedMs, playableMs] = [
    firstTime(TRACE.request),
    firstTime(TRACE.processed),
    firstTime(TRACE.playable),
  ];

  return {
    source,
    workflow_session_id: key,
    workflow_type: "ai_live_video_stream",
    workflow_id: first.attribution.pipeline || "ai_live_video_stream",
    stream_id: first.event.payload.streamId.trim(),
    request_id: first.event.payload.requestId.trim(),
    session_id: "",
    gateway: signals.map((one) => one.event.head.gateway).find((gateway) => gateway.trim() !== "") ?? "",
    region: null,
    ...identity,
    has_model_change: bit(distinct(runs.map((run) => run.identity.model_id?.toLowerCase() ?? "")).length > 1),
    has_pipeline_change: bit(distinct(runs.map((run) => run.identity.pipeline)).length > 1),
    session_start_ts: Math.min(...times, ...starts),
    session_end_ts: Math.max(...times),
    known_stream: bit(known),
    startup_success: bit(success),
    startup_excused: bit(excused),
    startup_unexcused: bit(known && !success && !excused),
    confirmed_swap_count: swaps,
    inferred_orchestrator_change_count: Math.max(0, distinct(signals.map(canonicalOf)).length - 1),
    swap_count: swaps,
    error_count: errors.length,
    excusable_error_count: excusable.length,
    error_count_before_playable: errors.filter(isBefore).length,
    error_count_after_playable: errors.filter((one) => !isBefore(one)).length,
    excusable_error_count_before_playable: excusable.filter(isBefore).length,
    excusable_error_count_after_playable: excusable.filter((one) => !isBefore(one)).length,
    last_error_occurred: bit(faulty.length > 0),
    loading_only_session: bit(statuses.length > 0 && statuses.every((one) => state(one) === "LOADING")),
    zero_output_fps_session: bit(statuses.length > 0 && !statuses.some((one) => one.outputFps > 0)),
    status_sample_count: statuses.length,
    status_error_sample_count: faulty.length,
    health_signal_count: healthy,
    health_expected_signal_count: known ? 3 : 0,
    health_completeness_ratio: known ? healthy / 3 : 1,
    first_stream_request_ts: requestedMs,
    first_processed_ts: processedMs,
    first_playable_ts: playableMs,
    completed: bit(has(TRACE.close)),
    restart_seen: bit(restarted.length > 0),
    degraded_input_seen: bit(statuses.some((one) => state(one) === "DEGRADED_INPUT")),
    degraded_inference_seen: bit(statuses.some((one) => state(one) === "DEGRADED_INFERENCE")),
    prompt_to_first_frame_ms: between(requestedMs, processedMs),
    startup_time_ms: between(processedMs, playableMs),
    e2e_latency_ms: between(requestedMs, playableMs),
    event_count: signals.length,
    source_first_event_uid: first.event.head.uid,
    source_last_event_uid: signals.at(-1)!.event.head.uid,
    ...segmentsOf(runs),
    version,
    is_deleted: 0,
  };
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts.filter((text) => text !== ""))];
}

/** The time from one edge to another, null when one is missing or they come the other way round. */
function between(from: number | null, to: number | null): number | null {
  return from === null || to === null || to < from ? null : to - from;
}

function segmentsOf(runs: readonly Run[]): FactRow {
  const segments = runs.map(({ startMs, endMs, identity, reason, sourceTraceType, sourceEventUid }) => ({
    start_ts: startMs,
    end_ts: endMs,
    ...identity,
    reason,
    source_trace_type: sourceTraceType,
    source_event_uid: sourceEventUid,
  }));
  const names = Object.keys(segments[0]!) as (keyof (typeof segments)[number])[];
  return Object.fromEntries(names.map((name) => [`segments.${name}`, segments.map((segment) => segment[name])]));
}
