/** What a change would do: the rows that would differ, and what that comes to in rates and counts. Pure. */
import { differingColumns, type Row } from "../core/emit/row.ts";
import { type Fact, FACTS, type FactTable } from "../core/facts.ts";
import { formatInstant } from "../core/time.ts";
import type { Trial } from "./derive.ts";
import { type Cause, causeOf } from "./cause.ts";
import type { WindowSnapshot } from "./window.ts";

/** A row that would have another content; a value is null where there is no row, or where it is null. */
export interface RowChange {
  readonly table: FactTable;
  readonly source: string;
  readonly sessionId: string;
  /** Blank for the row of a session. */
  readonly uid: string;
  readonly time: string;
  readonly columns: readonly { readonly column: string; readonly before: unknown; readonly after: unknown }[];
  readonly cause: Cause["code"];
  readonly why: string;
}

/** How many samples name nobody, and why. */
export interface Rates {
  readonly samples: number;
  readonly unattributed: number;
  /** 0 to 1; 0 without samples. */
  readonly emptyKeyRate: number;
  readonly reasons: Readonly<Record<string, number>>;
}

/** Samples of one key before and after. */
export interface KeyCount {
  readonly orchestrator: string;
  readonly model: string | null;
  readonly gpu: string | null;
  readonly before: number;
  readonly after: number;
}

export interface Effect {
  /** Rows that were compared. */
  readonly rows: number;
  /** By fact, samples first, then by key. */
  readonly changes: readonly RowChange[];
  /** Rows of the same content whose evidence, and with it the version, would differ. */
  readonly reranked: number;
  readonly before: Rates;
  readonly after: Rates;
  /** Keys of samples, those that change first, then by number. */
  readonly keys: readonly KeyCount[];
}

type Rows = ReadonlyMap<string, Row>;

/** Compares two derivations of one window: under the present settings and under the changed ones. */
export function effectOf(
  before: Rows,
  after: Rows,
  present: Trial,
  changed: Trial,
  snapshots: readonly WindowSnapshot[],
): Effect {
  const changes: RowChange[] = [];
  let reranked = 0;
  const keys = [...new Set([...before.keys(), ...after.keys()])].sort();
  const rank = (key: string) => FACTS.findIndex(({ table }) => key.startsWith(`${table}\n`));
  for (const key of keys.toSorted((a, b) => rank(a) - rank(b))) {
    const [old, young] = [before.get(key), after.get(key)];
    const differing = differingColumns(old, young);
    const columns = differing.filter((column) => column !== "version");
    if (columns.length === 0) {
      if (differing.length > 0) reranked++;
      continue;
    }
    const fact = FACTS[rank(key)]!;
    const cause = causeOf({ fact, before: old, after: young }, present, changed, snapshots);
    changes.push(changeOf(fact, old, young, columns, cause));
  }
  const [oldSamples, youngSamples] = [samplesOf(before), samplesOf(after)];
  return {
    rows: keys.length,
    changes,
    reranked,
    before: ratesOf(oldSamples),
    after: ratesOf(youngSamples),
    keys: keyCounts(oldSamples, youngSamples),
  };
}

function changeOf(
  { table, time }: Fact,
  before: Row | undefined,
  after: Row | undefined,
  columns: readonly string[],
  { code, why }: Cause,
): RowChange {
  const row = (before ?? after)!;
  return {
    table,
    source: String(row.source),
    sessionId: String(row.workflow_session_id),
    uid: String(row.source_event_uid ?? ""),
    time: formatInstant(row[time] as number),
    columns: columns.map((column) => ({
      column,
      before: before?.[column] ?? null,
      after: after?.[column] ?? null,
    })),
    cause: code,
    why,
  };
}

function samplesOf(rows: Rows): Row[] {
  return [...rows].filter(([key]) => key.startsWith("fact_stream_status_samples\n")).map(([, row]) => row);
}

function ratesOf(samples: readonly Row[]): Rates {
  const reasons: Record<string, number> = {};
  for (const { unattributed_reason } of samples) {
    if (unattributed_reason !== "") {
      reasons[String(unattributed_reason)] = (reasons[String(unattributed_reason)] ?? 0) + 1;
    }
  }
  const unattributed = samples.filter((row) => row.is_attributed === 0).length;
  const emptyKeyRate = samples.length === 0 ? 0 : unattributed / samples.length;
  return { samples: samples.length, unattributed, emptyKeyRate, reasons };
}

function keyCounts(before: readonly Row[], after: readonly Row[]): KeyCount[] {
  const counts = new Map<string, { -readonly [Field in keyof KeyCount]: KeyCount[Field] }>();
  const add = (rows: readonly Row[], when: "before" | "after") => {
    for (const { is_attributed, orchestrator_address, model_id: model, gpu_id: gpu } of rows) {
      if (is_attributed === 0) continue;
      const named = {
        orchestrator: String(orchestrator_address),
        model: model as string | null,
        gpu: gpu as string | null,
      };
      const key = JSON.stringify(named);
      const count = counts.get(key) ?? { ...named, before: 0, after: 0 };
      count[when]++;
      counts.set(key, count);
    }
  };
  add(before, "before");
  add(after, "after");
  const shift = (count: KeyCount) => Math.abs(count.after - count.before);
  return [...counts.values()].sort((a, b) =>
    shift(b) - shift(a) || b.before - a.before || (a.orchestrator < b.orchestrator ? -1 : 1)
  );
}
