/**
 * The state of attribution over a window. Everything is read: counts from the folds and what arrived, verdicts from the
 * assertion packs, which alone say what is wrong.
 */
import { loadPack, USUAL_PACKS } from "../assert/pack.ts";
import { type PackResult, runPacks } from "../assert/run.ts";
import type { ClickHouse } from "../clickhouse/client.ts";
import { type Corrected, corrections, type LateEvidence, lateEvidence } from "./corrections.ts";
import { type Check, type Finding, findingsOf } from "./findings.ts";
import { type Fresh, freshness } from "./freshness.ts";
import { type Refused, refused } from "./letters.ts";
import { type Offender, offenders, type OffendingSession, offendingSessions } from "./offenders.ts";
import { type History, type Rate, ratesOf, type ReasonCount, reasonCounts, sampleHistory } from "./rates.ts";
import type { Scope } from "./scope.ts";

/** What the processors say of themselves: how far each partition and the rollup have come. */
export interface Lag {
  readonly checks: readonly Check[];
  /** Why NATS could not be asked, else "". */
  readonly unknown: string;
}

export interface Triage {
  readonly scope: Scope;
  /** False when anything failed. */
  readonly sound: boolean;
  readonly findings: readonly Finding[];
  readonly rates: readonly Rate[];
  readonly reasons: readonly ReasonCount[];
  readonly history: History;
  readonly offenders: readonly Offender[];
  readonly sessions: readonly OffendingSession[];
  readonly corrections: readonly Corrected[];
  readonly late: LateEvidence;
  readonly refused: readonly Refused[];
  readonly lag: Lag;
  readonly freshness: readonly Fresh[];
  /** Of all sources, whatever the scope: packs compare whole tables. */
  readonly packs: readonly PackResult[];
}

/** The window must be of whole hours, as the packs want it. */
export async function triage(clickhouse: ClickHouse, scope: Scope, lag: Lag): Promise<Triage> {
  const packs = await runPacks(clickhouse, USUAL_PACKS.map(loadPack), scope);
  const reasons = await reasonCounts(clickhouse, scope);
  const sessions = await offendingSessions(clickhouse, scope);
  const findings = findingsOf(scope, packs, lag.checks, sessions);
  return {
    scope,
    sound: findings.every(({ state }) => state === "warned"),
    findings,
    rates: ratesOf(reasons),
    reasons,
    history: await sampleHistory(clickhouse, scope),
    offenders: await offenders(clickhouse, scope),
    sessions,
    corrections: await corrections(clickhouse, scope),
    late: await lateEvidence(clickhouse, scope),
    refused: await refused(clickhouse, scope),
    lag,
    freshness: await freshness(clickhouse, scope.source),
    packs,
  };
}
