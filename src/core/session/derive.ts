/**
 * What a session comes to: its totals, and for each of its events that has rows of its own in which run it fell and
 * what was known when it happened.
 */
import type { Claim } from "../select.ts";
import { copyOf, NOTHING, presentRun, read, type Run, type Totals } from "./fold.ts";
import type { Session } from "./session.ts";
import { isTrace, MEANING, meaningOf, SHOWS } from "./signal.ts";

/** An event with rows of its own. */
export interface Dependent {
  /** Which of the session's signals it is, and its mark. */
  readonly nth: number;
  readonly mark: number;
  /** The run that it joined. */
  readonly run: Run;
  /** What identified that run up to the event, by its number; undefined while nothing did. */
  readonly supportThen: number | undefined;
  /** Which edges there were up to the event. */
  readonly requested: boolean;
  readonly processed: boolean;
  readonly playable: boolean;
}

export interface Derived {
  readonly totals: Totals;
  /**
   * What a support lets its event claim, until the session changes: one object for each, as the rows of a session mostly
   * claim the same.
   */
  readonly claimOf: (support: number) => Claim;
  readonly dependents: readonly Dependent[];
  /** True when the session knows its orchestrator. */
  readonly isKnown: boolean;
}

/** Reads a session that has signals. */
export function derive(session: Session): Derived {
  const totals = copyOf(session.base?.totals ?? NOTHING);
  const dependents: Dependent[] = [];
  const { signals } = session;
  read(totals, session, 0, signals.length, (nth) => {
    const mark = signals.markOf(nth);
    if (!isTrace(mark) && meaningOf(mark) !== MEANING.paramsUpdate) return;
    const run = presentRun(totals);
    dependents.push({
      nth,
      mark,
      run,
      supportThen: run.canonical === "" ? undefined : run.support,
      requested: totals.requestMs !== Infinity,
      processed: totals.processedMs !== Infinity,
      playable: totals.playableMs !== Infinity,
    });
  });
  const claims = new Map<number, Claim>();
  const claimOf = (support: number): Claim => {
    const claim = claims.get(support) ?? session.supports.at(support).claim;
    claims.set(support, claim);
    return claim;
  };
  return { totals, claimOf, dependents, isKnown: presentRun(totals).canonical !== "" };
}

/** Notes the rows of a session's events as written from what is known now. */
export function markWritten(session: Session): void {
  const { dependents, isKnown } = derive(session);
  for (const dependent of dependents) session.signals.setWritten(dependent.nth, writtenFrom(dependent, isKnown));
}

/** True for an edge that names no orchestrator, whose row takes its identity from its run. */
export function borrows({ mark }: Dependent): boolean {
  return isTrace(mark) && (mark & SHOWS.named) === 0;
}

/**
 * A number that differs whenever the rows of an event would: which supports they rest on, which edges there were, and
 * whether the session knows its orchestrator at all. Never 0.
 */
export function writtenFrom(dependent: Dependent, isKnown: boolean): number {
  const { run, supportThen, requested, processed, playable } = dependent;
  const edges = (requested ? 1 : 0) | (processed ? 2 : 0) | (playable ? 4 : 0) | (isKnown ? 8 : 0);
  const lent = supportThen !== undefined && borrows(dependent) ? run.support : 0;
  return 1 + edges + 16 * ((supportThen ?? 0) + 2_097_152 * lent);
}
