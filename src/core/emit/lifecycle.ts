/** The facts of a session's events other than status samples: trace edges, parameter updates, coverage, ingest samples. */
import type { IngestEvent } from "../event.ts";
import { evidenceOf, type Rank, versionOf } from "../evidence.ts";
import { idOf, sessionKeyOf } from "../identity.ts";
import type { Edge } from "../observed.ts";
import type { Claim, Method, UnattributedReason } from "../select.ts";
import { borrows, type Dependent, type Derived } from "../session/derive.ts";
import type { Session } from "../session/session.ts";
import { MEANING, meaningOf, traceTypeOf } from "../session/signal.ts";
import { NO_CLAIM } from "../session/support.ts";
import type { Row } from "./row.ts";

/** What a row states of who served it: its own claim, or one that it takes from its session. */
interface Identity extends Omit<Claim, "method" | "reason"> {
  readonly method: Method | "segment_window_join";
  readonly reason: UnattributedReason | "pre_assignment";
}

/** What every row of an event states of it. */
interface EventIds {
  readonly uid: string;
  readonly id: string;
  readonly timeMs: number;
  readonly session: string;
  readonly streamId: string;
  readonly requestId: string;
  readonly gateway: string;
}

/** The row of an edge that names its orchestrator. */
export function edgeRow(edge: Edge, claim: Claim, rank: Rank, generation: number): Row {
  const ids = {
    uid: edge.uid,
    id: edge.id,
    timeMs: edge.eventTimeMs,
    session: sessionKeyOf(edge.streamId, edge.requestId, edge.id),
    streamId: edge.streamId,
    requestId: edge.requestId,
    gateway: edge.gateway,
  };
  return traceRow(edge.source, ids, edge.traceType, claim, versionOf(generation, evidenceOf(rank)));
}

/** The rows of a session's event that depend on the session, each with its table. */
export function dependentRows(
  session: Session,
  dependent: Dependent,
  { claimOf, isKnown }: Derived,
  generation: number,
): { readonly edge?: Row; readonly coverage?: Row; readonly update?: Row } {
  const { nth, mark, run, supportThen } = dependent;
  const signal = session.signals.at(nth);
  const { context: { streamId, requestId, gateway }, timeMs, uid } = signal;
  const ids = { uid, id: idOf(uid), timeMs, session: session.key, streamId, requestId, gateway };
  const version = versionOf(generation, session.evidence);
  const unknown = nobody(
    isKnown ? "pre_assignment" : "no_orchestrator",
    session.supports.groundOf(signal.support).claim.url,
  );
  const then = supportThen === undefined ? unknown : lent(claimOf(supportThen));
  if (meaningOf(mark) === MEANING.paramsUpdate) {
    return { update: updateRow(session.source, ids, signal.text, then, version) };
  }
  const traceType = traceTypeOf(mark);
  const coverage = coverageRow(session.source, ids, dependent, traceType, then, version);
  if (!borrows(dependent)) return { coverage };
  const identity = supportThen === undefined ? unknown : lent(claimOf(run.support));
  return { coverage, edge: traceRow(session.source, ids, traceType, identity, version) };
}

/** The row of an ingest sample. It claims nothing, so there is one evidence for it. */
export function ingestRow({ head, payload }: IngestEvent, generation: number): Row {
  return {
    source: head.source,
    source_event_uid: head.uid,
    source_event_id: head.id,
    sample_ts: head.eventTimeMs,
    workflow_session_id: sessionKeyOf(payload.streamId, payload.requestId, head.id),
    stream_id: payload.streamId,
    request_id: payload.requestId,
    gateway: head.gateway,
    connection_quality: payload.connectionQuality,
    video_jitter: payload.video.jitter,
    audio_jitter: payload.audio.jitter,
    video_latency: payload.video.latency,
    audio_latency: payload.audio.latency,
    bytes_received: payload.bytesReceived,
    bytes_sent: payload.bytesSent,
    version: versionOf(generation, 1n).toString(),
    is_deleted: 0,
  };
}

/** Of an event that came before its session knew an orchestrator; `url` is its own, as raw context. */
function nobody(reason: "pre_assignment" | "no_orchestrator", url: string): Identity {
  return { ...NO_CLAIM, reason, url };
}

function lent(claim: Claim): Identity {
  return { ...claim, method: "segment_window_join" };
}

function traceRow(source: string, ids: EventIds, traceType: string, identity: Identity, version: bigint): Row {
  return {
    source,
    source_event_uid: ids.uid,
    source_event_id: ids.id,
    edge_ts: ids.timeMs,
    workflow_session_id: ids.session,
    stream_id: ids.streamId,
    request_id: ids.requestId,
    gateway: ids.gateway,
    orchestrator_address: identity.canonical,
    orchestrator_url: identity.url,
    pipeline: identity.pipeline,
    model_id: identity.model,
    gpu_id: identity.gpu,
    gpu_count: identity.gpuCount,
    trace_type: traceType,
    trace_category: categoryOf(traceType),
    is_swap_event: traceType === "orchestrator_swap" ? 1 : 0,
    is_attributed: identity.reason === "" ? 1 : 0,
    unattributed_reason: identity.reason,
    gpu_attribution_method: identity.method,
    gpu_attribution_confidence: identity.confidence,
    evidence_level: identity.level,
    selected_snapshot_uid: identity.snapshotUid,
    selected_snapshot_ts: identity.snapshotTimeMs,
    version: version.toString(),
    is_deleted: 0,
  };
}

function updateRow(source: string, ids: EventIds, message: string, identity: Identity, version: bigint): Row {
  return {
    source,
    source_event_uid: ids.uid,
    source_event_id: ids.id,
    update_ts: ids.timeMs,
    workflow_session_id: ids.session,
    stream_id: ids.streamId,
    request_id: ids.requestId,
    pipeline: identity.pipeline,
    gateway: ids.gateway,
    orchestrator_address: identity.canonical,
    orchestrator_url: identity.url,
    model_id: identity.model,
    gpu_id: identity.gpu,
    gpu_count: identity.gpuCount,
    is_attributed: identity.reason === "" ? 1 : 0,
    unattributed_reason: identity.reason,
    gpu_attribution_method: identity.method,
    gpu_attribution_confidence: identity.confidence,
    evidence_level: identity.level,
    selected_snapshot_uid: identity.snapshotUid,
    selected_snapshot_ts: identity.snapshotTimeMs,
    update_type: "params_update",
    message,
    version: version.toString(),
    is_deleted: 0,
  };
}

function coverageRow(
  source: string,
  ids: EventIds,
  { requested, processed, playable }: Dependent,
  traceType: string,
  identity: Identity,
  version: bigint,
): Row {
  const isTerminal = traceType === "gateway_ingest_stream_closed";
  return {
    source,
    source_event_uid: ids.uid,
    source_event_id: ids.id,
    signal_ts: ids.timeMs,
    workflow_session_id: ids.session,
    stream_id: ids.streamId,
    request_id: ids.requestId,
    pipeline: identity.pipeline,
    model_id: identity.model,
    gpu_id: identity.gpu,
    gpu_count: identity.gpuCount,
    gateway: ids.gateway,
    orchestrator_address: identity.canonical,
    orchestrator_url: identity.url,
    is_attributed: identity.reason === "" ? 1 : 0,
    unattributed_reason: identity.reason,
    gpu_attribution_method: identity.method,
    gpu_attribution_confidence: identity.confidence,
    evidence_level: identity.level,
    selected_snapshot_uid: identity.snapshotUid,
    selected_snapshot_ts: identity.snapshotTimeMs,
    trace_type: traceType,
    known_stream: requested ? 1 : 0,
    has_first_processed_edge: processed ? 1 : 0,
    has_first_playable_edge: playable ? 1 : 0,
    startup_edge_matched: requested && processed ? 1 : 0,
    playable_edge_matched: requested && playable ? 1 : 0,
    is_terminal_signal: isTerminal ? 1 : 0,
    unmatched_reason: unmatchedReason(requested, processed, playable, isTerminal),
    version: version.toString(),
    is_deleted: 0,
  };
}

/** The first thing that is missing, in the words of the upstream contract; what a close finds missing will not come. */
function unmatchedReason(requested: boolean, processed: boolean, playable: boolean, isTerminal: boolean): string {
  if (!requested) return "missing_stream_request_edge";
  if (!processed) {
    return isTerminal ? "missing_first_processed_segment_edge" : "awaiting_first_processed_segment_edge";
  }
  if (!playable) return isTerminal ? "missing_playable_edge" : "awaiting_playable_edge";
  return "";
}

const CATEGORIES: ReadonlySet<string> = new Set(["gateway", "orchestrator", "runner", "app"]);

function categoryOf(traceType: string): string {
  const word = traceType.slice(0, traceType.indexOf("_"));
  return CATEGORIES.has(word) ? word : "other";
}
