/** How many rows have no key, why, and when. */
import type { ClickHouse } from "../clickhouse/client.ts";
import { EXCUSED, inScope, paramsOf, type Scope } from "./scope.ts";

/** Rows of a fact in one state. */
export interface ReasonCount {
  readonly fact: string;
  /** Why they are not attributed; "" for those that are. */
  readonly reason: string;
  readonly rows: number;
}

/** The rows of a fact that name somebody, and those of them without a key. */
export interface Rate {
  readonly fact: string;
  readonly attributable: number;
  readonly unattributed: number;
}

/** The samples of a stretch of time. */
export interface Bucket {
  /** Where it begins, in Unix milliseconds. */
  readonly atMs: number;
  readonly attributed: number;
  /** Those without a key, by reason. */
  readonly unattributed: Readonly<Record<string, number>>;
}

export interface History {
  readonly stepMs: number;
  /** By time; stretches without samples that name somebody are left out. */
  readonly buckets: readonly Bucket[];
}

const MINUTE_MS = 60_000;
const STEPS_MS = [1, 5, 15, 60, 360, 1_440, 10_080].map((minutes) => minutes * MINUTE_MS);

/** As many stretches as a picture can show. */
const MOST_BUCKETS = 96;

const FACTS = [
  ["fact_stream_status_samples", "sample_ts"],
  ["fact_stream_trace_edges", "edge_ts"],
  ["fact_workflow_sessions", "session_start_ts"],
] as const;

export async function reasonCounts(clickhouse: ClickHouse, scope: Scope): Promise<ReasonCount[]> {
  const each = FACTS.map(([fact, time]) =>
    `SELECT '${fact}' AS fact, unattributed_reason AS reason, count() AS rows FROM ${fact}_current
     WHERE ${inScope(time)} GROUP BY reason`
  );
  const found = await clickhouse.rows<{ fact: string; reason: string; rows: string }>(
    `SELECT fact, reason, rows FROM (${each.join(" UNION ALL ")}) ORDER BY fact, rows DESC, reason`,
    paramsOf(scope),
  );
  return found.map(({ fact, reason, rows }) => ({ fact, reason, rows: Number(rows) }));
}

/** The rates that the counts come to, of every fact that has rows. */
export function ratesOf(counts: readonly ReasonCount[]): Rate[] {
  return FACTS.flatMap(([fact]) => {
    const own = counts.filter((count) => count.fact === fact);
    if (own.length === 0) return [];
    const sum = (some: readonly ReasonCount[]) => some.reduce((total, { rows }) => total + rows, 0);
    const unattributed = sum(own.filter(({ reason }) => !EXCUSED.includes(reason)));
    return [{ fact, attributable: sum(own.filter(({ reason }) => reason === "")) + unattributed, unattributed }];
  });
}

/** The samples that name somebody, over time. */
export async function sampleHistory(clickhouse: ClickHouse, scope: Scope): Promise<History> {
  const span = scope.toMs - scope.fromMs;
  const stepMs = STEPS_MS.find((step) => span / step <= MOST_BUCKETS) ?? STEPS_MS.at(-1)!;
  const found = await clickhouse.rows<{ at: string; reason: string; rows: string }>(
    `SELECT intDiv(toUnixTimestamp64Milli(sample_ts), {step:Int64}) * {step:Int64} AS at, unattributed_reason AS reason,
            count() AS rows
     FROM fact_stream_status_samples_current
     WHERE ${inScope("sample_ts")} AND unattributed_reason != 'no_orchestrator'
     GROUP BY at, reason ORDER BY at, reason`,
    { ...paramsOf(scope), step: String(stepMs) },
  );
  const buckets = new Map<number, { attributed: number; unattributed: Record<string, number> }>();
  for (const { at, reason, rows } of found) {
    const bucket = buckets.get(Number(at)) ?? { attributed: 0, unattributed: {} };
    if (reason === "") bucket.attributed = Number(rows);
    else bucket.unattributed[reason] = Number(rows);
    buckets.set(Number(at), bucket);
  }
  return { stepMs, buckets: [...buckets].map(([atMs, bucket]) => ({ atMs, ...bucket })) };
}
