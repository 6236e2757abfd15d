/**
 * A session as one reads it: its signals in the order K, one after the other, into runs and totals.
 *
 * The fold is the definition. It is always made from the beginning (or from the totals of signals that are too many to
 * keep apart, and that all lie before the others), never continued by what happens to come, so a session is the same
 * whatever order its events came in. Rejected: state that each arrival updates, which is what makes a late event of the
 * old orchestrator look like a swap back.
 */
import { MEANING, meaningOf, SHOWS, traceTypeOf } from "./signal.ts";
import type { Signals } from "./signals.ts";
import type { Ground, Supports } from "./support.ts";

/** A stretch of a session with one orchestrator: what becomes a segment. */
export interface Run {
  /** The canonical address; blank only in a session that never knew one. */
  canonical: string;
  readonly startMs: number;
  /** When its last close edge was, not counting the signal that opened it; null without one. */
  closedMs: number | null;
  /**
   * The identity of the run: the claim of its greatest signal in K that knows the orchestrator, one whose hinted model
   * was found before one that claims a model without a hint, and that before one that claims none. While none knows the
   * orchestrator, the most that is known of any signal. By its number among the supports of the session.
   */
  support: number;
  /** The url that the greatest signal with one named itself, for a run that nothing is known of. */
  url: string;
  /** The greatest signal of the run; once another run follows, the one that opened that. */
  uid: string;
  traceType: string;
}

/** What a session comes to, its events read up to some place in K. Instants are `Infinity` or `-Infinity` for "never". */
export interface Totals {
  events: number;
  firstUid: string;
  lastUid: string;
  streamId: string;
  requestId: string;
  gateway: string;
  /** The pipeline that the first signal claims. */
  firstPipeline: string;
  startMs: number;
  endMs: number;
  requestMs: number;
  processedMs: number;
  playableMs: number;
  noOrchestrator: boolean;
  completed: boolean;
  swaps: number;
  errors: number;
  excusableErrors: number;
  errorsAfterPlayable: number;
  excusableErrorsAfterPlayable: number;
  samples: number;
  errorSamples: number;
  /** Everything that any status showed. */
  seen: number;
  /** A status that was not LOADING. */
  sawPastLoading: boolean;
  runs: Run[];
}

export const NOTHING: Totals = {
  events: 0,
  firstUid: "",
  lastUid: "",
  streamId: "",
  requestId: "",
  gateway: "",
  firstPipeline: "",
  startMs: Infinity,
  endMs: -Infinity,
  requestMs: Infinity,
  processedMs: Infinity,
  playableMs: Infinity,
  noOrchestrator: false,
  completed: false,
  swaps: 0,
  errors: 0,
  excusableErrors: 0,
  errorsAfterPlayable: 0,
  excusableErrorsAfterPlayable: 0,
  samples: 0,
  errorSamples: 0,
  seen: 0,
  sawPastLoading: false,
  runs: [],
};

/** A copy that can be read on from without changing what it was made of. */
export function copyOf(totals: Totals): Totals {
  return { ...totals, runs: totals.runs.map((run) => ({ ...run })) };
}

/** The signals of a session, and what supports them. */
export interface Signalled {
  readonly signals: Signals;
  readonly supports: Supports;
}

/** Reads signals, the next ones in K, from one to before another; `each` is called when one is read. */
export function read(totals: Totals, of: Signalled, from: number, to: number, each?: (nth: number) => void): void {
  if (from === to) return;
  for (let nth = from; nth < to; nth++) {
    readNext(totals, of, nth);
    each?.(nth);
  }
  // Of the last alone, since a uid must be made of its bytes.
  totals.lastUid = presentRun(totals).uid = of.signals.uidOf(to - 1);
}

function readNext(totals: Totals, of: Signalled, nth: number): void {
  const { signals } = of;
  readIds(totals, of, nth);
  readRun(totals.runs, of, nth);
  const timeMs = signals.timeOf(nth);
  const mark = signals.markOf(nth);
  const context = signals.contextOf(nth);
  totals.startMs = Math.min(totals.startMs, timeMs, context.startMs);
  totals.endMs = Math.max(totals.endMs, timeMs);
  switch (meaningOf(mark)) {
    case MEANING.gateway_receive_stream_request:
      totals.requestMs = Math.min(totals.requestMs, timeMs);
      break;
    case MEANING.gateway_receive_first_processed_segment:
      totals.processedMs = Math.min(totals.processedMs, timeMs);
      break;
    case MEANING.gateway_receive_few_processed_segments:
      totals.playableMs = Math.min(totals.playableMs, timeMs);
      break;
    case MEANING.gateway_no_orchestrators_available:
      totals.noOrchestrator = true;
      break;
    case MEANING.gateway_ingest_stream_closed:
      totals.completed = true;
      break;
    case MEANING.orchestrator_swap:
      totals.swaps++;
      break;
    case MEANING.error:
      readError(totals, false);
      break;
    case MEANING.excusableError:
      readError(totals, true);
      break;
    case MEANING.status:
      totals.samples++;
      totals.seen |= mark;
      if ((mark & SHOWS.error) !== 0) totals.errorSamples++;
      if ((mark & SHOWS.loading) === 0) totals.sawPastLoading = true;
      break;
  }
}

/** The run in which the session stands. */
export function presentRun({ runs }: Totals): Run {
  return runs[runs.length - 1]!;
}

function readIds(totals: Totals, { signals, supports }: Signalled, nth: number): void {
  const context = signals.contextOf(nth);
  if (totals.events === 0) {
    totals.firstUid = signals.uidOf(nth);
    totals.streamId = context.streamId.trim();
    totals.requestId = context.requestId.trim();
    totals.firstPipeline = supports.groundOf(signals.supportOf(nth)).claim.pipeline;
  }
  totals.events++;
  if (totals.gateway === "" && context.gateway.trim() !== "") totals.gateway = context.gateway;
}

/** All that was read before has a lesser K, so whether a playable edge was read tells before from after. */
function readError(totals: Totals, isExcusable: boolean): void {
  const isAfter = totals.playableMs !== Infinity;
  totals.errors++;
  if (isAfter) totals.errorsAfterPlayable++;
  if (!isExcusable) return;
  totals.excusableErrors++;
  if (isAfter) totals.excusableErrorsAfterPlayable++;
}

function readRun(runs: Run[], { signals, supports }: Signalled, nth: number): void {
  const mark = signals.markOf(nth);
  const support = signals.supportOf(nth);
  const ground = supports.groundOf(support);
  const { canonical, url } = ground.claim;
  const present = runs[runs.length - 1];
  const traceType = traceTypeOf(mark);
  if (present === undefined || (canonical !== "" && present.canonical !== "" && canonical !== present.canonical)) {
    const uid = signals.uidOf(nth);
    if (present !== undefined) {
      present.uid = uid;
      if (traceType !== "") present.traceType = traceType;
    }
    runs.push({ canonical, startMs: signals.timeOf(nth), closedMs: null, support, url, uid, traceType });
    return;
  }
  if (traceType !== "") present.traceType = traceType;
  if (url !== "") present.url = url;
  if (meaningOf(mark) === MEANING.gateway_ingest_stream_closed) present.closedMs = signals.timeOf(nth);
  if (identifies(present.canonical, supports.groundOf(present.support), ground)) present.support = support;
  if (canonical !== "") present.canonical = canonical;
}

/** Whether a later signal of a run of this orchestrator takes over its identity. */
function identifies(canonical: string, present: Ground, later: Ground): boolean {
  const { claim } = later;
  if (claim.canonical !== "") return canonical === "" || certainty(later) >= certainty(present);
  if (canonical !== "") return false;
  const { level, reason } = present.claim;
  // Of two that are known by nothing, one that names somebody says more than one that does not.
  return claim.level > level || (claim.level === level && reason === "no_orchestrator");
}

/** How sure a claim is of the model. */
function certainty({ claim, modelEqual }: Ground): number {
  return modelEqual ? 2 : claim.model !== null ? 1 : 0;
}
