/**
 * The folded fact rows that a set of events must leave, by brute force: every column a direct expression over the
 * signals of its session (session-oracle.ts), spelled out once more, apart from src/core. The row of the session
 * itself is in session-row-oracle.ts.
 */
import type { IngestEvent, StatusEvent, StreamEvent, TraceEvent } from "../../src/core/event.ts";
import { TRACE } from "./events.ts";
import type { Attribution, OracleEvent } from "./oracle.ts";
import {
  bit,
  evidenceOf,
  identityAt,
  isType,
  type Session,
  sessionOf,
  sessionsOf,
  type Signal,
  traceType,
  upTo,
} from "./session-oracle.ts";
import { type FactRow, sessionRow } from "./session-row-oracle.ts";

export const FACTS = [
  "fact_stream_status_samples",
  "fact_stream_trace_edges",
  "fact_stream_ingest_samples",
  "fact_workflow_sessions",
  "fact_workflow_param_updates",
  "fact_lifecycle_edge_coverage",
] as const;
export type Fact = (typeof FACTS)[number];

export interface OracleSettings {
  readonly ttl: { readonly beforeMs: number; readonly afterMs: number };
  readonly generation: number;
}

/** The folded rows of every fact, in no particular order. */
export function expectedFacts(events: readonly OracleEvent[], settings: OracleSettings): Record<Fact, FactRow[]> {
  const sessions = sessionsOf(events, settings.ttl);
  const version = (evidence: bigint) => String(BigInt(settings.generation) * 2n ** 116n + evidence);
  const each = (rowOf: (session: Session, signal: Signal) => FactRow | undefined) =>
    sessions.flatMap((session) => session.signals.map((signal) => rowOf(session, signal)))
      .filter((row) => row !== undefined);
  return {
    fact_stream_status_samples: each((_, { event, attribution, rank }) =>
      event.type === "ai_stream_status" ? statusRow(event, attribution, version(1n + rank)) : undefined
    ),
    fact_stream_trace_edges: each((session, signal) => {
      const { event, isNamed, attribution, rank } = signal;
      if (event.type !== "stream_trace") return undefined;
      return isNamed
        ? edgeRow(event, attribution, version(1n + rank))
        : edgeRow(event, identityAt(session, session, signal), version(evidenceOf(session)));
    }),
    fact_stream_ingest_samples: events.flatMap(({ event }) =>
      event.type === "stream_ingest_metrics" ? [ingestRow(event, version(1n))] : []
    ),
    fact_workflow_sessions: sessions.map((session) => sessionRow(session, version(evidenceOf(session)))),
    fact_workflow_param_updates: each((session, signal) => {
      const { event } = signal;
      if (event.type !== "ai_stream_events" || !isType(event, "params_update")) return undefined;
      const identity = identityAt(session, upTo(session, signal), signal);
      return paramRow(event, identity, version(evidenceOf(session)));
    }),
    fact_lifecycle_edge_coverage: each((session, signal) => {
      const { event } = signal;
      if (event.type !== "stream_trace") return undefined;
      const prefix = upTo(session, signal);
      return coverageRow(event, prefix, identityAt(session, prefix, signal), version(evidenceOf(session)));
    }),
  };
}

/** The identity of a fact row within its table. */
export function keyOf(row: FactRow): string {
  return `${row.source} ${row.source_event_uid ?? row.workflow_session_id}`;
}

/** What every row that is keyed by its event says of the event; `at` names its time's column. */
function headOf(event: StatusEvent | TraceEvent | StreamEvent | IngestEvent, at: string) {
  const { head, payload } = event;
  return {
    source: head.source,
    source_event_uid: head.uid,
    source_event_id: head.id,
    [at]: head.eventTimeMs,
    workflow_session_id: sessionOf(event)!,
    stream_id: payload.streamId,
    request_id: payload.requestId,
    gateway: head.gateway,
  };
}

function statusRow(event: StatusEvent, attribution: Attribution, version: string): FactRow {
  const { state, outputFps, inputFps } = event.payload;
  const measured = { region: null, state, output_fps: outputFps, input_fps: inputFps };
  return { ...headOf(event, "sample_ts"), ...attribution, ...measured, version, is_deleted: 0 };
}

function edgeRow(event: TraceEvent, attribution: Attribution, version: string): FactRow {
  const type = event.payload.traceType;
  const prefix = type.split("_")[0]!;
  return {
    ...headOf(event, "edge_ts"),
    ...attribution,
    trace_type: type,
    trace_category: ["gateway", "orchestrator", "runner", "app"].includes(prefix) ? prefix : "other",
    is_swap_event: type === "orchestrator_swap" ? 1 : 0,
    version,
    is_deleted: 0,
  };
}

function ingestRow(event: IngestEvent, version: string): FactRow {
  const { connectionQuality, video, audio, bytesReceived, bytesSent } = event.payload;
  return {
    ...headOf(event, "sample_ts"),
    connection_quality: connectionQuality,
    video_jitter: video.jitter,
    audio_jitter: audio.jitter,
    video_latency: video.latency,
    audio_latency: audio.latency,
    bytes_received: bytesReceived,
    bytes_sent: bytesSent,
    version,
    is_deleted: 0,
  };
}

function paramRow(event: StreamEvent, identity: Attribution, version: string): FactRow {
  const { message } = event.payload;
  return { ...headOf(event, "update_ts"), ...identity, update_type: "params_update", message, version, is_deleted: 0 };
}

function coverageRow(event: TraceEvent, prefix: Session, identity: Attribution, version: string): FactRow {
  const has = (type: string) => prefix.signals.some((one) => traceType(one) === type);
  const [known, processed, playable] = [has(TRACE.request), has(TRACE.processed), has(TRACE.playable)];
  const terminal = event.payload.traceType === TRACE.close;
  return {
    ...headOf(event, "signal_ts"),
    ...identity,
    trace_type: event.payload.traceType,
    known_stream: bit(known),
    has_first_processed_edge: bit(processed),
    has_first_playable_edge: bit(playable),
    startup_edge_matched: bit(known && processed),
    playable_edge_matched: bit(known && playable),
    is_terminal_signal: bit(terminal),
    unmatched_reason: !known
      ? "missing_stream_request_edge"
      : terminal && !processed
      ? "missing_first_processed_segment_edge"
      : terminal && !playable
      ? "missing_playable_edge"
      : !processed
      ? "awaiting_first_processed_segment_edge"
      : !playable
      ? "awaiting_playable_edge"
      : "",
    version,
    is_deleted: 0,
  };
}
