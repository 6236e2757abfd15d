/** Runs assertion packs over a window, one query after the other: all of them, whatever fails. */
import type { ClickHouse } from "../clickhouse/client.ts";
import { wholeUnits, type Window } from "../core/time.ts";
import { EXIT, exitCodeOf } from "../errors.ts";
import type { Assertion, Pack } from "./pack.ts";

export interface Result {
  readonly name: string;
  readonly what: string;
  readonly state: "passed" | "warned" | "failed";
  readonly failedRows: number;
  /** The other columns of the answer. */
  readonly diagnostics: Readonly<Record<string, unknown>>;
  /** Why the query gave no answer that counts, else "". */
  readonly error: string;
  readonly ms: number;
}

export interface PackResult {
  readonly pack: string;
  readonly file: string;
  readonly results: readonly Result[];
}

const HOUR_MS = 3_600_000;

/** Views have rows of whole hours, so a window is widened to them: both sides of a comparison then see the same. */
export function wholeHours(window: Window): Window {
  return wholeUnits(window, HOUR_MS);
}

/** Runs the packs. Throws only when the warehouse cannot be asked; a query that it refuses is a failure of its own. */
export async function runPacks(
  clickhouse: ClickHouse,
  packs: readonly Pack[],
  { fromMs, toMs }: Window,
): Promise<PackResult[]> {
  const params = { from_ts: instant(fromMs), to_ts: instant(toMs) };
  const done = [];
  for (const { name, file, assertions } of packs) {
    const results = [];
    for (const assertion of assertions) results.push(await runOne(clickhouse, assertion, params));
    done.push({ pack: name, file, results });
  }
  return done;
}

async function runOne(
  clickhouse: ClickHouse,
  { name, what, severity, sql }: Assertion,
  params: Readonly<Record<string, unknown>>,
): Promise<Result> {
  const started = performance.now();
  const result = (failedRows: number, diagnostics: Result["diagnostics"], error = ""): Result => {
    const state = failedRows === 0 ? "passed" : severity === "warning" && error === "" ? "warned" : "failed";
    return { name, what, state, failedRows, diagnostics, error, ms: Math.round(performance.now() - started) };
  };
  try {
    const [row] = await clickhouse.rows(sql, params);
    const { failed_rows: failedRows, ...diagnostics } = row ?? {};
    // Number("") and Number(null) are 0, and no answer is not a good one.
    if (!/^\d+$/.test(String(failedRows))) return result(1, diagnostics, "the query gave no number of failed_rows");
    return result(Number(failedRows), diagnostics);
  } catch (error) {
    if (exitCodeOf(error) === EXIT.unavailable) throw error;
    return result(1, {}, (error as Error).message);
  }
}

function instant(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", "");
}
