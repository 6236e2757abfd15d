/** The fact row of a session: one row, with its segments and latencies as columns. */
import { versionOf } from "../evidence.ts";
import { modelKey } from "../normalise.ts";
import type { Claim } from "../select.ts";
import type { Derived } from "../session/derive.ts";
import { presentRun, type Run, type Totals } from "../session/fold.ts";
import type { Session } from "../session/session.ts";
import { SHOWS } from "../session/signal.ts";
import type { Cell, Row } from "./row.ts";

/** Every session is one of this type; upstream also names the workflow so where no pipeline is known. */
const WORKFLOW = "ai_live_video_stream";

/** Signals of a healthy session: a sample, a first processed segment, a playable one. */
const HEALTH_SIGNALS = 3;

export function sessionRow(session: Session, { totals, claimOf }: Derived, generation: number): Row {
  const { runs } = totals;
  const claims = runs.map(({ support }) => claimOf(support));
  const claim = claims[claims.length - 1]!;
  const isKnown = presentRun(totals).canonical !== "";
  const isRequested = totals.requestMs !== Infinity;
  const isPlayable = totals.playableMs !== Infinity;
  const isExcused = totals.noOrchestrator || (totals.errors > 0 && totals.errors === totals.excusableErrors);
  const expected = isRequested ? HEALTH_SIGNALS : 0;
  const healthy = (totals.samples > 0 ? 1 : 0) + (totals.processedMs !== Infinity ? 1 : 0) + (isPlayable ? 1 : 0);
  const changes = new Set(runs.map((run) => run.canonical)).size - 1;
  return {
    source: session.source,
    workflow_session_id: session.key,
    workflow_type: WORKFLOW,
    workflow_id: totals.firstPipeline || WORKFLOW,
    stream_id: totals.streamId,
    request_id: totals.requestId,
    session_id: "",
    pipeline: claim.pipeline,
    gateway: totals.gateway,
    orchestrator_address: claim.canonical,
    orchestrator_url: urlOf(presentRun(totals), claim),
    model_id: claim.model,
    gpu_id: claim.gpu,
    gpu_count: claim.gpuCount,
    region: null,
    is_attributed: isKnown ? 1 : 0,
    unattributed_reason: claim.reason,
    gpu_attribution_method: claim.method,
    gpu_attribution_confidence: claim.confidence,
    evidence_level: claim.level,
    selected_snapshot_uid: claim.snapshotUid,
    selected_snapshot_ts: claim.snapshotTimeMs,
    has_model_change: differ(claims, ({ model }) => modelKey(model ?? "")),
    has_pipeline_change: differ(claims, ({ pipeline }) => pipeline),
    session_start_ts: totals.startMs,
    session_end_ts: totals.endMs,
    known_stream: isRequested ? 1 : 0,
    startup_success: isPlayable ? 1 : 0,
    startup_excused: isRequested && !isPlayable && isExcused ? 1 : 0,
    startup_unexcused: isRequested && !isPlayable && !isExcused ? 1 : 0,
    confirmed_swap_count: totals.swaps,
    inferred_orchestrator_change_count: changes,
    swap_count: totals.swaps,
    error_count: totals.errors,
    excusable_error_count: totals.excusableErrors,
    error_count_before_playable: totals.errors - totals.errorsAfterPlayable,
    error_count_after_playable: totals.errorsAfterPlayable,
    excusable_error_count_before_playable: totals.excusableErrors - totals.excusableErrorsAfterPlayable,
    excusable_error_count_after_playable: totals.excusableErrorsAfterPlayable,
    last_error_occurred: totals.errorSamples > 0 ? 1 : 0,
    loading_only_session: totals.samples > 0 && !totals.sawPastLoading ? 1 : 0,
    zero_output_fps_session: totals.samples > 0 && (totals.seen & SHOWS.output) === 0 ? 1 : 0,
    status_sample_count: totals.samples,
    status_error_sample_count: totals.errorSamples,
    health_signal_count: healthy,
    health_expected_signal_count: expected,
    health_completeness_ratio: expected === 0 ? 1 : healthy / expected,
    first_stream_request_ts: instant(totals.requestMs),
    first_processed_ts: instant(totals.processedMs),
    first_playable_ts: instant(totals.playableMs),
    completed: totals.completed ? 1 : 0,
    restart_seen: (totals.seen & SHOWS.restart) !== 0 ? 1 : 0,
    degraded_input_seen: (totals.seen & SHOWS.degradedInput) !== 0 ? 1 : 0,
    degraded_inference_seen: (totals.seen & SHOWS.degradedInference) !== 0 ? 1 : 0,
    prompt_to_first_frame_ms: span(totals.requestMs, totals.processedMs),
    startup_time_ms: span(totals.processedMs, totals.playableMs),
    e2e_latency_ms: span(totals.requestMs, totals.playableMs),
    event_count: totals.events,
    source_first_event_uid: totals.firstUid,
    source_last_event_uid: totals.lastUid,
    ...segmentColumns(totals, claims),
    version: versionOf(generation, session.evidence).toString(),
    is_deleted: 0,
  };
}

/** The segments as columns: a list each, the runs in their order. */
function segmentColumns({ runs }: Totals, claims: readonly Claim[]): Record<string, Cell> {
  const list = (valueOf: (run: Run, at: number) => Cell) => runs.map(valueOf);
  const claimed = (valueOf: (claim: Claim) => Cell) => claims.map(valueOf);
  return {
    "segments.start_ts": list((run) => run.startMs),
    "segments.end_ts": list((run, at) => runs[at + 1]?.startMs ?? run.closedMs),
    "segments.pipeline": claimed(({ pipeline }) => pipeline),
    "segments.orchestrator_address": claimed(({ canonical }) => canonical),
    "segments.orchestrator_url": list((run, at) => urlOf(run, claims[at]!)),
    "segments.model_id": claimed(({ model }) => model),
    "segments.gpu_id": claimed(({ gpu }) => gpu),
    "segments.gpu_count": claimed(({ gpuCount }) => gpuCount),
    "segments.is_attributed": list(({ canonical }) => canonical === "" ? 0 : 1),
    "segments.unattributed_reason": claimed(({ reason }) => reason),
    "segments.gpu_attribution_method": claimed(({ method }) => method),
    "segments.gpu_attribution_confidence": claimed(({ confidence }) => confidence),
    "segments.evidence_level": claimed(({ level }) => level),
    "segments.selected_snapshot_uid": claimed(({ snapshotUid }) => snapshotUid),
    "segments.selected_snapshot_ts": claimed(({ snapshotTimeMs }) => snapshotTimeMs),
    "segments.reason": list((run, at) => reasonOf(run, at, runs.length)),
    "segments.source_trace_type": list(({ traceType }) => traceType),
    "segments.source_event_uid": list(({ uid }) => uid),
  };
}

/** A segment ends with the next one; only the last can end by a close. */
function reasonOf({ closedMs }: Run, at: number, count: number): string {
  if (at < count - 1) return "orchestrator_change";
  if (closedMs !== null) return "stream_closed";
  return at === 0 ? "initial" : "orchestrator_change";
}

/** The claimed node; of a run that nothing is known of, the url that its events name, as raw context. */
function urlOf({ canonical, url }: Run, claim: Claim): string {
  return canonical === "" ? url : claim.url;
}

function differ(claims: readonly Claim[], valueOf: (claim: Claim) => string): number {
  return new Set(claims.map(valueOf).filter((value) => value !== "")).size > 1 ? 1 : 0;
}

function instant(ms: number): number | null {
  return ms === Infinity ? null : ms;
}

/** The time between two edges; null when one is missing or they are the wrong way round. */
function span(fromMs: number, toMs: number): number | null {
  return toMs !== Infinity && toMs >= fromMs ? toMs - fromMs : null;
}
