/**
 * The fact tables, written down once: whoever folds, digests, keeps, replays or compares facts asks here which there
 * are, what identifies a row of each, and where in time it lies.
 */
import type { Row } from "./emit.ts";

/**
 * A fact table. Its rows fold by key: the greatest `version` counts, and `is_deleted` marks a tombstone. Every one has a
 * column `selected_snapshot_uid` too, the capability message that the row rests on, empty for none.
 */
export interface Fact {
  readonly table: FactTable;
  /** The columns that identify a row, the source first. They never change while evidence comes. */
  readonly key: readonly [source: "source", ...rest: string[]];
  /** The key's column that names the event a row is of; its time and its place in the table never change. */
  readonly event: string;
  /** The column, an instant in milliseconds, that places a row in a window and that its retention counts from. */
  readonly time: string;
  /** Days that the warehouse's contract keeps a row. */
  readonly retentionDays: number;
}

export type FactTable = "fact_stream_status_samples";

export const FACTS: readonly Fact[] = [
  {
    table: "fact_stream_status_samples",
    key: ["source", "source_event_uid"],
    event: "source_event_uid",
    time: "sample_ts",
    retentionDays: 180,
  },
];

/** The fact that a table holds, undefined for a table of another kind. */
export function factOf(table: string): Fact | undefined {
  return FACTS.find((fact) => fact.table === table);
}

/** Whose fact a row is, as one text: the table's name and the values of the key, a line each. */
export function factKey(fact: Fact, row: Row): string {
  return [fact.table, ...fact.key.map((column) => row[column])].join("\n");
}
