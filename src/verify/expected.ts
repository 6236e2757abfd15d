/**
 * What a stored message must have left in the tables; small, so that a page of them costs little memory. What a
 * capability message leaves in `dim_orchestrator_capability_snapshots` is no fact and is not looked at.
 */
import type { IngestEvent, StoredMessage, TelemetryEvent } from "../core/event.ts";
import type { FactTable } from "../core/facts.ts";
import { sessionKeyOf } from "../core/identity.ts";
import { judge } from "../core/judge.ts";
import { isSessionEvent, kindOf, type SessionEvent } from "../core/session/signal.ts";

export interface Expected {
  readonly streamSequence: number;
  readonly streamTimeMs: number;
  readonly partition: string;
  readonly source: string;
  readonly uid: string;
  readonly outcome: "accepted" | "rejected" | "ignored";
  /** Of a type on no list: it has a row of its own. */
  readonly isUnknown: boolean;
  /** Undefined for what belongs to no session. */
  readonly part: SessionPart | undefined;
}

/** What an accepted event is to its session, and leaves in facts. */
export interface SessionPart {
  readonly sessionId: string;
  readonly eventTimeMs: number;
  /** The facts of which one row is its own. */
  readonly facts: readonly FactTable[];
  /** True when its session counts it. */
  readonly isSignal: boolean;
}

/** Judges a message as the processor does. */
export function expectedOf(message: StoredMessage): Expected {
  const { streamSequence, streamTimeMs, subject } = message;
  const { decoded } = judge(message);
  const { source, uid } = decoded.envelope;
  return {
    streamSequence,
    streamTimeMs,
    partition: subject.slice(subject.lastIndexOf(".") + 1),
    source,
    uid,
    outcome: decoded.outcome,
    isUnknown: decoded.outcome === "ignored" && decoded.unknownType,
    part: decoded.outcome === "accepted" ? partOf(decoded.event) : undefined,
  };
}

function partOf(event: TelemetryEvent): SessionPart | undefined {
  const isSignal = isSessionEvent(event);
  if (!isSignal && event.type !== "stream_ingest_metrics") return undefined;
  const { head: { id, eventTimeMs }, payload: { streamId, requestId } } = event;
  return { sessionId: sessionKeyOf(streamId, requestId, id), eventTimeMs, facts: factsOf(event), isSignal };
}

const STATUS: readonly FactTable[] = ["fact_stream_status_samples"];
const TRACE: readonly FactTable[] = ["fact_stream_trace_edges", "fact_lifecycle_edge_coverage"];
const UPDATE: readonly FactTable[] = ["fact_workflow_param_updates"];
const INGEST: readonly FactTable[] = ["fact_stream_ingest_samples"];
const NONE: readonly FactTable[] = [];

function factsOf(event: SessionEvent | IngestEvent): readonly FactTable[] {
  switch (event.type) {
    case "ai_stream_status":
      return STATUS;
    case "stream_trace":
      return TRACE;
    case "stream_ingest_metrics":
      return INGEST;
    case "ai_stream_events":
      return kindOf(event) === "params_update" ? UPDATE : NONE;
  }
}
