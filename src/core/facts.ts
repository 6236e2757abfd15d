/**
 * The fact tables, written down once: whoever folds, digests, keeps, replays or compares facts asks here which there
 * are, what identifies a row of each, and where in time it lies.
 */
import type { Row } from "./emit/row.ts";

/** A fact table. Its rows fold by key: the greatest `version` counts, and `is_deleted` marks a tombstone. */
export interface Fact {
  readonly table: FactTable;
  /** The columns that identify a row, the source first. They never change while evidence comes. */
  readonly key: readonly [source: "source", ...rest: string[]];
  /** The column, an instant in milliseconds, that places a row in a window and that its retention counts from. */
  readonly time: string;
  /** Days that the warehouse's contract keeps a row. */
  readonly retentionDays: number;
}

export type FactTable =
  | "fact_stream_status_samples"
  | "fact_stream_trace_edges"
  | "fact_stream_ingest_samples"
  | "fact_workflow_sessions"
  | "fact_workflow_param_updates"
  | "fact_lifecycle_edge_coverage";

/** What identifies the row of an event. */
const EVENT_KEY = ["source", "source_event_uid"] as const;

export const FACTS: readonly Fact[] = [
  { table: "fact_stream_status_samples", key: EVENT_KEY, time: "sample_ts", retentionDays: 180 },
  { table: "fact_stream_trace_edges", key: EVENT_KEY, time: "edge_ts", retentionDays: 180 },
  { table: "fact_stream_ingest_samples", key: EVENT_KEY, time: "sample_ts", retentionDays: 90 },
  // Its end only grows, so that retention never counts from an instant that evidence takes back.
  {
    table: "fact_workflow_sessions",
    key: ["source", "workflow_session_id"],
    time: "session_end_ts",
    retentionDays: 180,
  },
  { table: "fact_workflow_param_updates", key: EVENT_KEY, time: "update_ts", retentionDays: 180 },
  { table: "fact_lifecycle_edge_coverage", key: EVENT_KEY, time: "signal_ts", retentionDays: 180 },
];

/** The fact that a table holds, undefined for a table of another kind. */
export function factOf(table: string): Fact | undefined {
  return FACTS.find((fact) => fact.table === table);
}

/** Whose fact a row is, as one text: the table's name and the values of the key, a line each. */
export function factKey(fact: Fact, row: Row): string {
  return [fact.table, ...fact.key.map((column) => row[column])].join("\n");
}
