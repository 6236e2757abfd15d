/** What is wrong in a window, each with the assertion that is the authority for it and the commands to go on with. */
import type { PackResult, Result } from "../assert/run.ts";
import { explainCommand, windowCommand } from "./commands.ts";
import type { OffendingSession } from "./offenders.ts";
import type { Scope } from "./scope.ts";

/** A check of the processors, as `doctor` makes it. */
export interface Check {
  readonly check: string;
  readonly state: "ok" | "unknown" | "warning" | "failed";
  readonly detail: string;
  readonly fix: string;
}

/** An assertion by which it is judged whether a section is right. */
export interface Authority {
  readonly pack: string;
  readonly name: string;
}

export interface Finding {
  /** What failed is wrong; a warning only wants a look. */
  readonly state: "failed" | "warned";
  /** The assertion, or the check of a processor. */
  readonly name: string;
  /** Where the assertion stands, within the project; "" for a check. */
  readonly file: string;
  /** What was promised and does not hold; "" for a check. */
  readonly promise: string;
  /** What was found instead, a part to a line. */
  readonly details: readonly string[];
  readonly commands: readonly string[];
}

/** Who judges what a section shows. */
export const AUTHORITIES = {
  keys: [
    { pack: "pipeline", name: "silver_empty_key_rate" },
    { pack: "pipeline", name: "session_attribution_proportions" },
  ],
  corrections: [{ pack: "pipeline", name: "unresolved_late_corrections" }],
  letters: [{ pack: "raw_typed", name: "raw_typed_no_dlq_or_quarantine_for_core_types" }],
  parity: [
    { pack: "pipeline", name: "parity_overlap_health" },
    { pack: "pipeline", name: "agg_stream_performance_1m_matches_status_samples" },
    { pack: "pipeline", name: "gpu_view_matches_status_samples" },
  ],
  rollup: [{ pack: "pipeline", name: "rollup_minutes_have_all_evidence" }],
} as const satisfies Record<string, readonly Authority[]>;

/** Sessions that a finding tells how to look into. */
const MOST_EXPLAINED = 3;

/** A gap in what could be read is past and stays listed; a partition or a rollup that is behind is behind now. */
const PAST_CHECKS: ReadonlySet<string> = new Set(["gap", "bound"]);

/** What is wrong comes first; then in the order of the packs. */
export function findingsOf(
  scope: Scope,
  packs: readonly PackResult[],
  checks: readonly Check[],
  sessions: readonly OffendingSession[],
): Finding[] {
  const found: Finding[] = [];
  for (const { check, state, detail, fix } of checks) {
    if (state === "ok" || state === "unknown") continue;
    const graded = state === "failed" || !PAST_CHECKS.has(check) ? "failed" : "warned";
    found.push({ state: graded, name: check, file: "", promise: "", details: [detail], commands: [fix] });
  }
  for (const { pack, file, results } of packs) {
    for (const result of results) {
      if (result.state === "passed") continue;
      const { name, what, state } = result;
      const commands = nextCommands(scope, pack, name, sessions);
      found.push({ state, name, file, promise: what, details: detailsOf(result), commands });
    }
  }
  return found.sort((a, b) => Number(a.state === "warned") - Number(b.state === "warned"));
}

/** The findings in one sentence. */
export function verdictOf(findings: readonly Finding[]): string {
  const failed = findings.filter(({ state }) => state === "failed").length;
  const warned = findings.length - failed;
  return `${failed === 0 ? "Nothing" : failed} wrong${warned === 0 ? "" : `, ${warned} to be looked at`}.`;
}

function detailsOf({ failedRows, diagnostics, error }: Result): string[] {
  if (error !== "") return [error];
  const shown = Object.entries(diagnostics).map(([column, value]) =>
    `${column}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`
  );
  return [`${failedRows} rows`, ...shown];
}

function nextCommands(scope: Scope, pack: string, name: string, sessions: readonly OffendingSession[]): string[] {
  const isOneOf = (authorities: readonly Authority[]) => authorities.some((one) => one.name === name);
  if (isOneOf([...AUTHORITIES.keys, ...AUTHORITIES.corrections]) && sessions.length > 0) {
    return sessions.slice(0, MOST_EXPLAINED).map(({ source, session }) => explainCommand(source, session));
  }
  if (isOneOf([...AUTHORITIES.rollup, ...AUTHORITIES.parity])) return [windowCommand("rollup", scope)];
  if (isOneOf(AUTHORITIES.letters)) return [windowCommand("dlq list", scope)];
  return [windowCommand(`assert ${pack}`, scope)];
}
