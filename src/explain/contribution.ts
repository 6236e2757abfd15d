/** What one event adds to its session: the difference that reading it in the order K makes to the totals. */
import { copyOf, read, type Signalled, type Totals } from "../core/session/fold.ts";
import type { Supports } from "../core/session/support.ts";

export interface Contribution {
  /** Stable, for programs. */
  readonly code:
    | "opens_session"
    | "earlier_start"
    | "opens_segment"
    | "identifies_segment"
    | "closes_segment"
    | "requested"
    | "first_processed"
    | "playable"
    | "no_orchestrator"
    | "completed"
    | "swap"
    | "error"
    | "excused_error"
    | "sample"
    | "error_sample";
  readonly text: string;
}

/** Reads the next signal into the totals, and tells what that changed. */
export function readAndTell(totals: Totals, session: Signalled, nth: number): Contribution[] {
  const before = copyOf(totals);
  read(totals, session, nth, nth + 1);
  const { context, timeMs } = session.signals.at(nth);
  const told: Contribution[] = [];
  const tell = (holds: boolean, code: Contribution["code"], text: string) => {
    if (holds) told.push({ code, text });
  };
  tell(before.events === 0, "opens_session", "the first event of the session");
  tell(
    context.startMs < before.startMs && context.startMs < timeMs,
    "earlier_start",
    "its runner reports an earlier start",
  );
  tellOfRun(before, totals, session.supports, tell);
  tell(totals.requestMs < before.requestMs, "requested", "the stream is requested");
  tell(totals.processedMs < before.processedMs, "first_processed", "the first processed segment");
  tell(totals.playableMs < before.playableMs, "playable", "the stream is playable: the start succeeded");
  tell(
    totals.noOrchestrator && !before.noOrchestrator,
    "no_orchestrator",
    "no orchestrator was available: excuses a failed start",
  );
  tell(totals.completed && !before.completed, "completed", "the stream is closed");
  tell(totals.swaps > before.swaps, "swap", `confirmed swap ${totals.swaps}`);
  const isExcused = totals.excusableErrors > before.excusableErrors;
  const when = totals.playableMs === Infinity ? "before" : "after";
  tell(totals.errors > before.errors && !isExcused, "error", `error ${totals.errors}, ${when} playable, not excusable`);
  tell(isExcused, "excused_error", `error ${totals.errors}, ${when} playable, excusable`);
  tell(totals.samples > before.samples, "sample", `sample ${totals.samples}`);
  tell(totals.errorSamples > before.errorSamples, "error_sample", "the sample shows an error of this session");
  return told;
}

function tellOfRun(
  before: Totals,
  after: Totals,
  supports: Supports,
  tell: (holds: boolean, code: Contribution["code"], text: string) => void,
): void {
  const number = after.runs.length;
  const run = after.runs.at(-1)!;
  const was = before.runs.at(-1);
  const isNew = number > before.runs.length;
  const who = run.canonical === "" ? "nobody known yet" : run.canonical;
  tell(isNew, "opens_segment", `opens segment ${number}: ${who}`);
  const identifies = !isNew && run.support !== was?.support;
  const model = supports.groundOf(run.support).claim.model ?? "no model claimed";
  tell(identifies, "identifies_segment", `identifies segment ${number}: ${who}, ${model}`);
  tell(!isNew && run.closedMs !== was?.closedMs, "closes_segment", `closes segment ${number}`);
}
