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
  /** The column that names the event a row is of, or of a session the first one. */
  readonly event: "source_event_uid" | "source_first_event_uid";
  /** An expression for the capability messages that a row rests on, as a list of their uids. */
  readonly snapshots: string;
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

/** What facts of one event have in common. */
const OF_EVENT = { key: ["source", "source_event_uid"], event: "source_event_uid" } as const;
const ATTRIBUTED = { ...OF_EVENT, snapshots: "[selected_snapshot_uid]" } as const;

export const FACTS: readonly Fact[] = [
  { ...ATTRIBUTED, table: "fact_stream_status_samples", time: "sample_ts", retentionDays: 180 },
  { ...ATTRIBUTED, table: "fact_stream_trace_edges", time: "edge_ts", retentionDays: 180 },
  { ...OF_EVENT, snapshots: "[]", table: "fact_stream_ingest_samples", time: "sample_ts", retentionDays: 90 },
  {
    table: "fact_workflow_sessions",
    key: ["source", "workflow_session_id"],
    event: "source_first_event_uid",
    snapshots: "segments.selected_snapshot_uid",
    // It only grows, so that retention never counts from an instant that evidence takes back.
    time: "session_end_ts",
    retentionDays: 180,
  },
  { ...ATTRIBUTED, table: "fact_workflow_param_updates", time: "update_ts", retentionDays: 180 },
  { ...ATTRIBUTED, table: "fact_lifecycle_edge_coverage", time: "signal_ts", retentionDays: 180 },
];

const BY_TABLE: ReadonlyMap<string, Fact> = new Map(FACTS.map((fact) => [fact.table, fact]));

/** The fact that a table holds, undefined for a table of another kind. */
export function factOf(table: string): Fact | undefined {
  return BY_TABLE.get(table);
}

/** Whose fact a row is, as one text: the table's name and the values of the key, a line each. */
export function factKey(fact: Fact, row: Row): string {
  return [fact.table, ...fact.key.map((column) => row[column])].join("\n");
}
