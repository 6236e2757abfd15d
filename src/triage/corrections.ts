/** What later evidence changed: versions that the tables still hold, and rows that rest on a snapshot that came later. */
import type { ClickHouse } from "../clickhouse/client.ts";
import { FACTS } from "../core/facts.ts";
import { inScope, paramsOf, type Scope } from "./scope.ts";

/** Median, 95th percentile and greatest, in milliseconds. */
export interface Spread {
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly mostMs: number;
}

/**
 * The versions of the rows of a fact. Merges of the database drop versions that were replaced, so older corrections are
 * in part no longer seen here.
 */
export interface Corrected {
  readonly fact: string;
  readonly rows: number;
  /** Rows with more than one amount of evidence. */
  readonly corrected: number;
  /** Of those, rows that were first written without a key that they ought to have, and have it now. */
  readonly healed: number;
  /** From the first version to the newest, by the database's clock, of the corrected rows. */
  readonly delay: Spread | undefined;
}

/** Samples and edges of a session whose snapshot was stored in the stream after them. */
export interface Healed {
  readonly source: string;
  readonly session: string;
  readonly rows: number;
  readonly orchestrator: string;
  readonly model: string;
  readonly gpu: string;
  /** The longest wait of its rows. */
  readonly waitedMs: number;
}

/** Samples and edges that rest on a snapshot that was stored after them; merges take nothing of it away. */
export interface LateEvidence {
  readonly rows: number;
  readonly sessions: number;
  /** From when the event was stored until its snapshot was, by the clock of NATS. */
  readonly wait: Spread | undefined;
  /** The sessions that waited longest. */
  readonly healed: readonly Healed[];
}

const MOST_HEALED = 20;

/** Evidence is the lower 116 bits of a version: a generation that was raised corrects nothing by itself. */
const GENERATION_UNIT = String(2n ** 116n);

/** Facts that snapshots decide; the rows of ingest samples claim nothing. */
const CORRECTABLE = FACTS.filter(({ snapshots }) => snapshots !== "[]");

export async function corrections(clickhouse: ClickHouse, scope: Scope): Promise<Corrected[]> {
  const done = [];
  for (const { table, key, time } of CORRECTABLE) {
    const columns = key.join(", ");
    const [found] = await clickhouse.rows<SpreadRow & Record<"rows" | "corrected" | "healed", string>>(
      `SELECT count() AS rows, countIf(evidences > 1) AS corrected, countIf(evidences > 1 AND is_healed) AS healed,
              ${spread("dateDiff('millisecond', first, last)", "evidences > 1")}
       FROM
       (
         SELECT ${columns}, uniqExact(version % {unit:UInt128}) AS evidences, min(written) AS first,
                argMax(written, version) AS last,
                argMin(reason, version) NOT IN {excused:Array(String)} AND argMax(reason, version) = '' AS is_healed
         FROM
         (
           SELECT ${columns}, version, any(unattributed_reason) AS reason, min(ingestion_timestamp) AS written
           FROM ${table} WHERE ${inScope(time)} AND is_deleted = 0 GROUP BY ${columns}, version
         )
         GROUP BY ${columns}
       )`,
      { ...paramsOf(scope), unit: GENERATION_UNIT },
    );
    const [rows, corrected, healed] = [Number(found!.rows), Number(found!.corrected), Number(found!.healed)];
    done.push({ fact: table, rows, corrected, healed, delay: readSpread(found!, corrected) });
  }
  return done;
}

/** What a fact claims by a snapshot of its own; an edge that borrows its run's claim waited for nothing itself. */
const claims = (fact: string, time: string) => `
    SELECT source, source_event_uid AS event_uid, selected_snapshot_uid AS snapshot_uid, workflow_session_id AS session,
           orchestrator_address AS orchestrator, ifNull(model_id, '') AS model, ifNull(gpu_id, '') AS gpu
    FROM ${fact}_current
    WHERE ${inScope(time)} AND is_attributed = 1 AND gpu_attribution_method != 'segment_window_join'`;

/** Samples and edges whose snapshot lies behind them in the stream, and how long they waited for it. */
const WAITED = `
  SELECT fact.source AS source, session, orchestrator, model, gpu,
         dateDiff('millisecond', event.stored, snapshot.stored) AS waited
  FROM
  (${claims("fact_stream_status_samples", "sample_ts")}
    UNION ALL${claims("fact_stream_trace_edges", "edge_ts")}
  ) AS fact
  INNER JOIN
  (
    SELECT source, uid AS snapshot_uid, min(stream_sequence) AS place, argMin(stream_ts, stream_sequence) AS stored
    FROM raw_streaming_events
    WHERE type = 'network_capabilities' AND (source = {source:String} OR {anySource:UInt8} = 1)
    GROUP BY source, uid
  ) AS snapshot USING (source, snapshot_uid)
  INNER JOIN
  (
    SELECT source, uid AS event_uid, min(stream_sequence) AS place, argMin(stream_ts, stream_sequence) AS stored
    FROM raw_streaming_events
    WHERE type IN ('ai_stream_status', 'stream_trace')
      AND ${inScope("event_timestamp")}
    GROUP BY source, uid
  ) AS event USING (source, event_uid)
  WHERE snapshot.place > event.place`;

export async function lateEvidence(clickhouse: ClickHouse, scope: Scope): Promise<LateEvidence> {
  const [total] = await clickhouse.rows<SpreadRow & Record<"rows" | "sessions", string>>(
    `SELECT count() AS rows, uniqExact(source, session) AS sessions, ${spread("waited", "1")} FROM (${WAITED})`,
    paramsOf(scope),
  );
  const healed = await clickhouse.rows<Omit<Healed, "rows" | "waitedMs"> & Record<"rows" | "waited_ms", string>>(
    `SELECT source, session, count() AS rows, any(orchestrator) AS orchestrator, any(model) AS model, any(gpu) AS gpu,
            max(waited) AS waited_ms
     FROM (${WAITED}) GROUP BY source, session ORDER BY waited_ms DESC, source, session LIMIT {most:UInt32}`,
    { ...paramsOf(scope), most: MOST_HEALED },
  );
  return {
    rows: Number(total!.rows),
    sessions: Number(total!.sessions),
    wait: readSpread(total!, Number(total!.rows)),
    healed: healed.map(({ waited_ms, rows, ...one }) => ({ ...one, rows: Number(rows), waitedMs: Number(waited_ms) })),
  };
}

type SpreadRow = Readonly<Record<"median_ms" | "p95_ms" | "most_ms", number | string | null>>;

function spread(ms: string, which: string): string {
  return `quantileExactIf(0.5)(${ms}, ${which}) AS median_ms, quantileExactIf(0.95)(${ms}, ${which}) AS p95_ms,
          maxIf(${ms}, ${which}) AS most_ms`;
}

function readSpread({ median_ms, p95_ms, most_ms }: SpreadRow, rows: number): Spread | undefined {
  if (rows === 0) return undefined;
  return { medianMs: Number(median_ms), p95Ms: Number(p95_ms), mostMs: Number(most_ms) };
}
