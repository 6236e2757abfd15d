/** Folded rows of a world held against what the oracle expects, and the world in words where they differ. */
import type { OracleEvent } from "./oracle.ts";
import { expectedFacts, type Fact, FACTS, keyOf, type OracleSettings } from "./fact-oracle.ts";
import type { FactRow } from "./session-row-oracle.ts";

/** A column that only one of the facts has. */
const TOLD_BY: Readonly<Record<string, Fact>> = {
  session_start_ts: "fact_workflow_sessions",
  edge_ts: "fact_stream_trace_edges",
  update_ts: "fact_workflow_param_updates",
  signal_ts: "fact_lifecycle_edge_coverage",
  connection_quality: "fact_stream_ingest_samples",
  output_fps: "fact_stream_status_samples",
};

/** The folded facts in one order: table, then key. */
function sorted(rows: Iterable<FactRow>): Map<string, FactRow> {
  const keyed = [...rows].map((row) => {
    const fact = Object.keys(TOLD_BY).find((column) => column in row);
    return [`${fact === undefined ? "unknown table" : TOLD_BY[fact]} ${keyOf(row)}`, row] as const;
  });
  return new Map(keyed.sort(([a], [b]) => a < b ? -1 : 1));
}

/** Where folded rows first differ from what these events must leave, with the events; undefined when nowhere. */
export function difference(
  rows: Iterable<FactRow>,
  events: readonly OracleEvent[],
  settings: OracleSettings,
): string | undefined {
  const facts = expectedFacts(events, settings);
  const where = firstDifference(sorted(rows), sorted(FACTS.flatMap((fact) => facts[fact])));
  if (where === undefined) return undefined;
  const { beforeMs, afterMs } = settings.ttl;
  return [where, `TTL ${beforeMs} ms before, ${afterMs} ms after; the events by their times:`, ...told(events)].join(
    "\n",
  );
}

function firstDifference(actual: Map<string, FactRow>, expected: Map<string, FactRow>): string | undefined {
  for (const key of new Set([...expected.keys(), ...actual.keys()])) {
    const [is, should] = [actual.get(key), expected.get(key)];
    if (is === undefined) return `${key}: no such row`;
    if (should === undefined) return `${key}: a row too many: ${JSON.stringify(is)}`;
    const columns = [...new Set([...Object.keys(should), ...Object.keys(is)])];
    // The version follows from everything else, so it is the last to be told.
    const last = columns.filter((column) => column !== "version");
    for (const column of [...last, "version"]) {
      const [a, b] = [JSON.stringify(is[column]), JSON.stringify(should[column])];
      if (a !== b) return `${key}: ${column} is ${a}, expected ${b}`;
    }
  }
  return undefined;
}

/** Each event in one line, by time. */
function told(events: readonly OracleEvent[]): string[] {
  return [...events]
    .sort((a, b) => a.event.head.eventTimeMs - b.event.head.eventTimeMs)
    .map(({ source, uid, event: { head, type, payload } }) =>
      `  ${new Date(head.eventTimeMs).toISOString()} ${source} ${uid} ${type} ${JSON.stringify(payload)}`
    );
}
