/** What dashboards, alert rules and the notebook may read: rollups, views and facts as they stand. */
import { contractLines, contractText } from "./schema.ts";

const READABLE = new Set(
  contractLines(contractText())
    .filter(({ kind, name }) => kind === "view" && /^(v_|agg_|fact_.+_current$)/.test(name))
    .map(({ name }) => name),
);

/** The objects that a query reads. */
export function readsOf(sql: string): string[] {
  return [...sql.matchAll(/\b(?:FROM|JOIN)\s+(\w+)/gi)].map(([, name]) => name!);
}

/** Those of them that it may not read. */
export function refusedReads(sql: string): string[] {
  return readsOf(sql).filter((name) => !READABLE.has(name));
}

/** Some of each kind that nobody but the views may read. */
export const UNREADABLE: readonly string[] = [
  ...["raw_streaming_events", "raw_ai_stream_status", "fact_stream_status_samples", "fact_workflow_sessions"],
  ...["serving_hours", "agg_stream_performance_1m"],
];
