/**
 * What the tables know of single events and sessions: where they are stored, which bytes they had, and every version of
 * a row that was written and not yet merged away.
 */
import type { Outcome } from "../core/emit/archive.ts";
import type { StoredMessage } from "../core/event.ts";
import type { Fact } from "../core/facts.ts";
import type { Identity } from "../core/identity.ts";
import type { ClickHouse } from "./client.ts";
import { insertedColumns } from "./digest.ts";
import { bytesOfBase64, chunks, escaped, type SessionPlace } from "./records.ts";

/** An event by its names. */
export interface NamedEvent extends Identity {
  readonly id: string;
  readonly type: string;
}

/** A stored message of an event, as the archive notes it. */
export interface ArchivedCopy {
  readonly uid: string;
  readonly streamSequence: number;
  readonly streamTimeMs: number;
  readonly outcome: Outcome;
}

/** One row of a fact table as it was written, its values as the engine gives them. */
export interface WrittenRow {
  readonly version: string;
  /** When it was written, in Unix milliseconds. */
  readonly arrivedMs: number;
  readonly isDeleted: boolean;
  readonly columns: Readonly<Record<string, unknown>>;
}

/** An empty source stands for any, here as in all of these. */
const OF_SOURCE = "({source:String} = '' OR source = {source:String})";

/** The archived events that have this uid or this id; reads the names of the whole archive. */
export function eventsNamed(clickhouse: ClickHouse, name: string, source: string): Promise<NamedEvent[]> {
  return clickhouse.rows<NamedEvent>(
    `SELECT DISTINCT source, uid, id, type
     FROM raw_streaming_events
     WHERE (uid = {name:String} OR id = {name:String}) AND ${OF_SOURCE}
     ORDER BY source, uid`,
    { name, source },
  );
}

/** The sessions that have a row under this id. */
export function sessionsNamed(clickhouse: ClickHouse, sessionId: string, source: string): Promise<SessionPlace[]> {
  return clickhouse.rows<SessionPlace>(
    `SELECT DISTINCT source, workflow_session_id AS sessionId
     FROM fact_workflow_sessions
     WHERE workflow_session_id = {sessionId:String} AND ${OF_SOURCE}
     ORDER BY source`,
    { sessionId, source },
  );
}

/**
 * Uids of archived events that may belong to a session: those that have a fact of it, and the stream events whose ids
 * begin its id. The others, and those with odd blanks around their ids, are for the caller to tell apart.
 */
export async function uidsOfSession(clickhouse: ClickHouse, { source, sessionId }: SessionPlace): Promise<string[]> {
  const ofSession = "source = {source:String} AND workflow_session_id = {sessionId:String}";
  const rows = await clickhouse.rows<{ uid: string }>(
    `SELECT source_event_uid AS uid FROM fact_stream_status_samples WHERE ${ofSession}
     UNION DISTINCT
     SELECT source_event_uid AS uid FROM fact_stream_trace_edges WHERE ${ofSession}
     UNION DISTINCT
     SELECT source_event_uid AS uid FROM fact_lifecycle_edge_coverage WHERE ${ofSession}
     UNION DISTINCT
     SELECT raw_event_uid AS uid FROM raw_ai_stream_events
     WHERE source = {source:String} AND startsWith({sessionId:String}, concat(
       if(trimBoth(stream_id) = '', '_missing_stream', trimBoth(stream_id)), '|',
       if(trimBoth(request_id) = '', '_missing_request', trimBoth(request_id))))`,
    { source, sessionId },
  );
  return rows.map(({ uid }) => uid).sort();
}

/** Where these events of a source are stored, by stream sequence. */
export async function copiesOf(
  clickhouse: ClickHouse,
  source: string,
  uids: readonly string[],
): Promise<ArchivedCopy[]> {
  const found: ArchivedCopy[] = [];
  for (const some of chunks(uids, escaped)) {
    const rows = await clickhouse.rows<{ uid: string; sequence: string; time: string; outcome: Outcome }>(
      `SELECT uid, stream_sequence AS sequence, toUnixTimestamp64Milli(stream_ts) AS time, outcome
       FROM raw_streaming_events FINAL
       WHERE source = {source:String} AND uid IN {some:Array(String)}`,
      { source, some },
    );
    for (const { uid, sequence, time, outcome } of rows) {
      found.push({ uid, streamSequence: Number(sequence), streamTimeMs: Number(time), outcome });
    }
  }
  return found.sort((a, b) => a.streamSequence - b.streamSequence);
}

/** The archived messages of a source under these sequences, as the stream had them. */
export async function archivedBytes(
  clickhouse: ClickHouse,
  source: string,
  sequences: readonly number[],
): Promise<(StoredMessage & { readonly uid: string })[]> {
  const found: (StoredMessage & { readonly uid: string })[] = [];
  for (const some of chunks(sequences, String)) {
    const rows = await clickhouse.rows<ArchivedRow>(
      `SELECT uid, stream_sequence AS sequence, toUnixTimestamp64Milli(stream_ts) AS time, subject, payload,
              payload_encoding AS encoding
       FROM raw_streaming_events FINAL
       WHERE source = {source:String} AND stream_sequence IN {some:Array(UInt64)}`,
      { source, some },
    );
    for (const { uid, sequence, time, subject, payload, encoding } of rows) {
      const bytes = encoding === "base64" ? bytesOfBase64(payload) : new TextEncoder().encode(payload);
      found.push({ uid, subject, bytes, streamSequence: Number(sequence), streamTimeMs: Number(time) });
    }
  }
  return found;
}

interface ArchivedRow {
  readonly uid: string;
  readonly sequence: string;
  readonly time: string;
  readonly subject: string;
  readonly payload: string;
  readonly encoding: string;
}

/** Uids of the archived capability messages of a source with an envelope time in a span, both ends included. */
export async function snapshotsArchived(
  clickhouse: ClickHouse,
  source: string,
  fromMs: number,
  toMs: number,
): Promise<string[]> {
  const rows = await clickhouse.rows<{ uid: string }>(
    `SELECT DISTINCT uid
     FROM raw_streaming_events
     WHERE source = {source:String} AND type = 'network_capabilities' AND outcome != 'rejected'
       AND timestamp BETWEEN {from:UInt64} AND {to:UInt64}
     ORDER BY uid`,
    { source, from: String(Math.max(0, fromMs)), to: String(Math.max(0, toMs)) },
  );
  return rows.map(({ uid }) => uid);
}

/**
 * Every row of a key that was written and is not merged away yet, least version first, then in the order of arrival. A
 * fact of an event is looked up by its uid, that of a session by the session alone.
 */
export async function rowsWritten(
  clickhouse: ClickHouse,
  database: string,
  { table, key: [, own] }: Fact,
  { source, sessionId }: SessionPlace,
  uid: string,
): Promise<WrittenRow[]> {
  const columns = await insertedColumns(clickhouse, database, table);
  const ofEvent = own === "workflow_session_id" ? "" : `AND ${own} = {uid:String}`;
  const rows = await clickhouse.rows<Record<string, unknown>>(
    `SELECT ${columns.join(", ")}, toUnixTimestamp64Milli(ingestion_timestamp) AS arrived_ms
     FROM ${table}
     WHERE source = {source:String} AND workflow_session_id = {sessionId:String} ${ofEvent}
     ORDER BY version, ingestion_timestamp`,
    { source, sessionId, uid },
  );
  return rows.map(({ version, arrived_ms, is_deleted, ...rest }) => ({
    version: String(version),
    arrivedMs: Number(arrived_ms),
    isDeleted: Number(is_deleted) === 1,
    columns: rest,
  }));
}
