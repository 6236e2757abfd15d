/**
 * What an export of fixtures asks of the tables: which sessions show a scenario, which stored messages belong to them,
 * and the bytes of those.
 */
import { readFileSync } from "node:fs";
import { FACTS } from "../core/facts.ts";
import { grouped } from "../core/grouped.ts";
import type { ClickHouse } from "./client.ts";
import { chunks, escaped } from "./records.ts";

const CANDIDATES = new URL("../../sql/fixtures/scenario_candidates.sql", import.meta.url);

/** The types whose events belong to a session, each with the table that its accepted events are in. */
const SESSION_TABLES = [
  "raw_ai_stream_status",
  "raw_stream_trace_events",
  "raw_ai_stream_events",
  "raw_stream_ingest_metrics",
] as const;

/** Messages whose bytes are fetched at once; a capability message has some 50 KB. */
const SLICE = 100;

/** Instants in Unix milliseconds. */
export interface Candidate {
  readonly scenario: string;
  /** Sessions that show the scenario, those beyond the limit too. */
  readonly candidates: number;
  readonly sessionId: string;
  readonly streamId: string;
  readonly requestId: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** A stored message of the event stream; `(streamSequence, uid)` tells it from others of its source. */
export interface ArchivedEvent {
  readonly streamSequence: number;
  readonly uid: string;
  readonly type: string;
  /** The envelope's time. */
  readonly timestampMs: number;
}

/** The sources that have sessions which overlap [from, to), in order. */
export async function sourcesWithin(clickhouse: ClickHouse, fromMs: number, toMs: number): Promise<string[]> {
  const rows = await clickhouse.rows<{ source: string }>(
    `SELECT DISTINCT source FROM fact_workflow_sessions_current
     WHERE session_start_ts < fromUnixTimestamp64Milli({to:Int64})
       AND session_end_ts >= fromUnixTimestamp64Milli({from:Int64})
     ORDER BY source`,
    { from: String(fromMs), to: String(toMs) },
  );
  return rows.map((row) => row.source);
}

/** The sessions that show a scenario in [from, to), by scenario and newest first, at most `limit` of each. */
export async function scenarioCandidates(
  clickhouse: ClickHouse,
  { source, fromMs, toMs, limit }: { source: string; fromMs: number; toMs: number; limit: number },
): Promise<Candidate[]> {
  const rows = await clickhouse.rows<Record<string, string>>(
    readFileSync(CANDIDATES, "utf8"),
    { source, from: String(fromMs), to: String(toMs), limit },
  );
  return rows.map((row) => ({
    scenario: row.scenario!,
    candidates: Number(row.candidates),
    sessionId: row.workflow_session_id!,
    streamId: row.stream_id!,
    requestId: row.request_id!,
    startMs: Number(row.start_ms),
    endMs: Number(row.end_ms),
  }));
}

/**
 * The stored messages of each session, in stream order: its accepted events with every copy that the stream delivered.
 * What was refused or ignored belongs to no session.
 */
export async function sessionMessages(
  clickhouse: ClickHouse,
  source: string,
  sessions: readonly Pick<Candidate, "streamId" | "requestId">[],
): Promise<Map<string, ArchivedEvent[]>> {
  const found = new Map<string, ArchivedEvent[]>();
  const events = SESSION_TABLES.map((table) =>
    `SELECT raw_event_uid, ${IDS} AS ids FROM ${table}
     WHERE source = {source:String} AND ids IN {some:Array(String)}`
  );
  // One that shows several scenarios is among them several times.
  for (const some of chunks([...new Set(sessions.map(idsOf))], escaped)) {
    const rows = await clickhouse.rows<ArchiveRow & { ids: string }>(
      `SELECT stream_sequence AS sequence, uid, type, timestamp, ids
       FROM raw_streaming_events AS archive FINAL
       INNER JOIN (SELECT DISTINCT raw_event_uid, ids FROM (${events.join(" UNION ALL ")})) AS event
         ON event.raw_event_uid = archive.uid
       WHERE source = {source:String}
       ORDER BY sequence, uid`,
      { source, some },
    );
    for (const [ids, own] of grouped(rows, (row) => row.ids)) found.set(ids, own.map(readEvent));
  }
  return found;
}

/** Names a session among those of its source by the ids that its events carry. */
export function idsOf({ streamId, requestId }: Pick<Candidate, "streamId" | "requestId">): string {
  return `${streamId}\n${requestId}`;
}
/** The same of a typed row. Events carry their ids as they were sent, sessions trimmed. */
const IDS = "concat(trimBoth(stream_id), '\\n', trimBoth(request_id))";

/** The capability messages that the rows of these sessions rest on, by uid. */
export async function selectedSnapshots(
  clickhouse: ClickHouse,
  source: string,
  sessions: readonly Pick<Candidate, "sessionId">[],
): Promise<string[]> {
  const found = new Set<string>();
  for (const some of chunks(sessions.map((session) => session.sessionId), escaped)) {
    for (const { table, snapshots } of FACTS) {
      const rows = await clickhouse.rows<{ snapshot: string }>(
        `SELECT DISTINCT arrayJoin(CAST(${snapshots}, 'Array(String)')) AS snapshot FROM ${table} FINAL
         WHERE source = {source:String} AND workflow_session_id IN {some:Array(String)}`,
        { source, some },
      );
      for (const { snapshot } of rows) if (snapshot !== "") found.add(snapshot);
    }
  }
  return [...found];
}

/** The capability messages of these uids, every stored copy of each. */
export async function snapshotsNamed(
  clickhouse: ClickHouse,
  source: string,
  uids: readonly string[],
): Promise<ArchivedEvent[]> {
  const found: ArchivedEvent[] = [];
  for (const some of chunks(uids, escaped)) {
    const rows = await clickhouse.rows<ArchiveRow>(`${SNAPSHOTS} AND uid IN {some:Array(String)}`, { source, some });
    found.push(...rows.map(readEvent));
  }
  return found;
}

/** The capability messages of an event time in [from, to], every stored copy of each. */
export async function snapshotsWithin(
  clickhouse: ClickHouse,
  source: string,
  fromMs: number,
  toMs: number,
): Promise<ArchivedEvent[]> {
  const rows = await clickhouse.rows<ArchiveRow>(
    `${SNAPSHOTS} AND timestamp BETWEEN {from:UInt64} AND {to:UInt64}`,
    { source, from: Math.max(0, fromMs), to: toMs },
  );
  return rows.map(readEvent);
}

const SNAPSHOTS = `
  SELECT stream_sequence AS sequence, uid, type, timestamp
  FROM raw_streaming_events FINAL
  WHERE source = {source:String} AND type = 'network_capabilities' AND outcome IN ('accepted', 'duplicate')`;

/** The bytes of these messages as text, in their order. Accepted messages are UTF-8, so no byte is lost. */
export async function* payloads(
  clickhouse: ClickHouse,
  source: string,
  events: readonly ArchivedEvent[],
): AsyncGenerator<string> {
  for (let at = 0; at < events.length; at += SLICE) {
    const slice = events.slice(at, at + SLICE);
    const rows = await clickhouse.rows<{ sequence: string; uid: string; payload: string }>(
      `SELECT stream_sequence AS sequence, uid, payload FROM raw_streaming_events FINAL
       WHERE source = {source:String} AND stream_sequence IN {sequences:Array(UInt64)}`,
      { source, sequences: slice.map((event) => event.streamSequence) },
    );
    const payloadOf = new Map(rows.map((row) => [`${row.sequence} ${row.uid}`, row.payload]));
    for (const { streamSequence, uid } of slice) yield payloadOf.get(`${streamSequence} ${uid}`)!;
  }
}

interface ArchiveRow {
  readonly sequence: string;
  readonly uid: string;
  readonly type: string;
  readonly timestamp: string;
}

function readEvent({ sequence, uid, type, timestamp }: ArchiveRow): ArchivedEvent {
  return { streamSequence: Number(sequence), uid, type, timestampMs: Number(timestamp) };
}
