/** Who has no key: the wallets, urls and models that the events name, and the sessions they belong to. */
import type { ClickHouse } from "../clickhouse/client.ts";
import { inScope, paramsOf, type Scope } from "./scope.ts";

interface Unattributed {
  readonly source: string;
  /** Rows without a key. */
  readonly samples: number;
  readonly edges: number;
  /** Why they have none: how many of them for each reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** The first and the last of them, in Unix milliseconds. */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** A name that events give, under which rows have no key. */
export interface Offender extends Unattributed {
  /** `model` is the hint of a sample, as it was sent. */
  readonly kind: "wallet" | "url" | "model";
  readonly name: string;
  readonly sessions: number;
  /** The session of the last of the rows. */
  readonly exampleSession: string;
}

export interface OffendingSession extends Unattributed {
  readonly session: string;
  /** What else is wrong with it, by its row: `startup_unexcused`, `no_output`, `loading_only`, `swapped`. */
  readonly outcomes: readonly string[];
  readonly wallets: readonly string[];
}

/** As many of each as one can look into. */
const MOST = 20;

/** Samples and edges without a key, with what their events name. */
const UNATTRIBUTED = `
  SELECT fact.source AS source, kind, at, session, reason,
         ifNull(typed.wallet, '') AS wallet, ifNull(typed.url, '') AS url, ifNull(typed.model, '') AS model
  FROM
  (
    SELECT 'sample' AS kind, source, source_event_uid AS uid, sample_ts AS at, workflow_session_id AS session,
           toString(unattributed_reason) AS reason
    FROM fact_stream_status_samples_current
    WHERE ${inScope("sample_ts")} AND unattributed_reason NOT IN {excused:Array(String)}
    UNION ALL
    SELECT 'edge', source, source_event_uid, edge_ts, workflow_session_id, toString(unattributed_reason)
    FROM fact_stream_trace_edges_current
    WHERE ${inScope("edge_ts")} AND unattributed_reason NOT IN {excused:Array(String)}
  ) AS fact
  LEFT JOIN
  (
    SELECT source, raw_event_uid AS uid, any(orchestrator_address) AS wallet, any(orchestrator_url) AS url,
           any(pipeline) AS model
    FROM
    (
      SELECT source, raw_event_uid, orchestrator_address, orchestrator_url, toString(pipeline) AS pipeline
      FROM raw_ai_stream_status
      WHERE ${inScope("event_timestamp")}
      UNION ALL
      SELECT source, raw_event_uid, orchestrator_address, orchestrator_url, ''
      FROM raw_stream_trace_events
      WHERE ${inScope("data_timestamp")}
    )
    GROUP BY source, uid
  ) AS typed USING (source, uid)`;

const COUNTS = `
  countIf(kind = 'sample') AS samples, countIf(kind = 'edge') AS edges, sumMap(map(reason, toUInt64(1))) AS reasons,
  toUnixTimestamp64Milli(min(at)) AS first_ms, toUnixTimestamp64Milli(max(at)) AS last_ms`;

type Counted = Record<"samples" | "edges" | "first_ms" | "last_ms", string> & {
  readonly source: string;
  readonly reasons: Readonly<Record<string, string>>;
};

/** The names with the most rows, of each kind; a name that nobody gave is left out. */
export async function offenders(clickhouse: ClickHouse, scope: Scope): Promise<Offender[]> {
  type Row = Counted & Pick<Offender, "name"> & { named: Offender["kind"]; sessions: string; example: string };
  const rows = await clickhouse.rows<Row>(
    `SELECT source, names.1 AS named, names.2 AS name, ${COUNTS}, uniqExact(session) AS sessions,
            argMax(session, at) AS example
     FROM
     (
       SELECT source, kind, at, session, reason,
              arrayJoin([('wallet', wallet), ('url', url), ('model', model)]) AS names
       FROM (${UNATTRIBUTED})
     )
     WHERE name != ''
     GROUP BY source, named, name
     ORDER BY named, samples + edges DESC, source, name
     LIMIT {most:UInt32} BY named`,
    { ...paramsOf(scope), most: MOST },
  );
  return rows.map((row) => ({
    kind: row.named,
    name: row.name,
    sessions: Number(row.sessions),
    exampleSession: row.example,
    ...readCounts(row),
  }));
}

/** The sessions with the most rows. */
export async function offendingSessions(clickhouse: ClickHouse, scope: Scope): Promise<OffendingSession[]> {
  type Row = Counted & Pick<OffendingSession, "session" | "outcomes" | "wallets">;
  const rows = await clickhouse.rows<Row>(
    `SELECT source, session, samples, edges, reasons, first_ms, last_ms, wallets, ifNull(fact.outcomes, []) AS outcomes
     FROM
     (
       SELECT source, session, ${COUNTS}, arraySort(groupUniqArrayIf(5)(wallet, wallet != '')) AS wallets
       FROM (${UNATTRIBUTED})
       GROUP BY source, session
       ORDER BY samples + edges DESC, source, session
       LIMIT {most:UInt32}
     ) AS worst
     LEFT JOIN
     (
       SELECT source, workflow_session_id AS session,
              arrayFilter(outcome -> outcome != '', [
                if(startup_unexcused = 1, 'startup_unexcused', ''), if(zero_output_fps_session = 1, 'no_output', ''),
                if(loading_only_session = 1, 'loading_only', ''), if(swap_count > 0, 'swapped', '')
              ]) AS outcomes
       FROM fact_workflow_sessions_current
     ) AS fact USING (source, session)
     ORDER BY samples + edges DESC, source, session`,
    { ...paramsOf(scope), most: MOST },
  );
  return rows.map((row) => ({
    session: row.session,
    outcomes: row.outcomes,
    wallets: row.wallets,
    ...readCounts(row),
  }));
}

function readCounts({ source, samples, edges, reasons, first_ms, last_ms }: Counted): Unattributed {
  const counted = Object.entries(reasons).map(([reason, rows]) => [reason, Number(rows)] as const);
  return {
    source,
    samples: Number(samples),
    edges: Number(edges),
    reasons: Object.fromEntries(counted),
    firstMs: Number(first_ms),
    lastMs: Number(last_ms),
  };
}
