/**
 * What the tables say of a range of the event stream, for whoever checks them against it. Ranges of sequences have
 * both ends included, and are read whole into memory: ask for some thousands at a time.
 */
import type { Outcome } from "../core/emit/archive.ts";
import type { Fact } from "../core/facts.ts";
import { grouped } from "../core/grouped.ts";
import { type Identity, identityKey } from "../core/identity.ts";
import type { ClickHouse } from "./client.ts";

/** One folded row of `raw_streaming_events`. */
export interface ArchivedMessage extends Identity {
  readonly streamSequence: number;
  readonly streamTimeMs: number;
  readonly type: string;
  readonly outcome: Outcome;
}

export interface SessionPlace {
  readonly source: string;
  readonly sessionId: string;
}

/** Where the row of an event lies in the order of a fact. */
export interface FactPlace extends Identity, SessionPlace {
  readonly eventTimeMs: number;
}

/** Bytes of the values of one query: parameters travel in the URL, and some servers take 16 KiB of it. */
const MOST_BYTES = 6_000;

const ARCHIVED = `
  SELECT source, uid, stream_sequence AS sequence, toUnixTimestamp64Milli(stream_ts) AS time, type, outcome
  FROM raw_streaming_events FINAL`;

export async function archivedMessages(
  clickhouse: ClickHouse,
  fromSeq: number,
  toSeq: number,
): Promise<ArchivedMessage[]> {
  const rows = await clickhouse.rows<ArchiveRow>(
    `${ARCHIVED} WHERE stream_sequence BETWEEN {from:UInt64} AND {to:UInt64} ORDER BY sequence`,
    { from: fromSeq, to: toSeq },
  );
  return rows.map(readArchived);
}

/** Archived messages behind a sequence, the first `most` of them. */
export async function archivedBeyond(
  clickhouse: ClickHouse,
  lastSeq: number,
  most: number,
): Promise<ArchivedMessage[]> {
  const rows = await clickhouse.rows<ArchiveRow>(
    `${ARCHIVED} WHERE stream_sequence > {last:UInt64} ORDER BY sequence LIMIT {most:UInt32}`,
    { last: lastSeq, most },
  );
  return rows.map(readArchived);
}

/** Of the events archived under these sequences, the keys of those that are archived as accepted anywhere. */
export async function acceptedElsewhere(clickhouse: ClickHouse, sequences: readonly number[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const some of chunks(sequences, String)) {
    const rows = await clickhouse.rows<Identity>(
      `SELECT source, uid
       FROM raw_streaming_events FINAL
       WHERE outcome = 'accepted'
         AND (source, uid) IN (SELECT source, uid FROM raw_streaming_events WHERE stream_sequence IN {some:Array(UInt64)})
       GROUP BY source, uid`,
      { some },
    );
    for (const row of rows) found.add(identityKey(row));
  }
  return found;
}

/** An event that is archived as accepted. */
export interface AcceptedEvent {
  readonly uid: string;
  readonly id: string;
  readonly type: string;
  /** Where it was accepted last. */
  readonly streamSequence: number;
}

/** The accepted events of a source that have one of these uids, or one of these ids behind a sequence. */
export async function acceptedEvents(
  clickhouse: ClickHouse,
  source: string,
  uids: readonly string[],
  ids: readonly string[],
  afterSeq: number,
): Promise<AcceptedEvent[]> {
  const events: AcceptedEvent[] = [];
  const find = async (condition: string, values: readonly string[], after: number) => {
    for (const some of chunks(values, escaped)) {
      const rows = await clickhouse.rows<Omit<AcceptedEvent, "streamSequence"> & { sequence: string }>(
        `SELECT uid, id, type, max(stream_sequence) AS sequence FROM raw_streaming_events FINAL
         WHERE source = {source:String} AND stream_sequence > {after:UInt64} AND ${condition} AND outcome = 'accepted'
         GROUP BY uid, id, type`,
        { source, after, some },
      );
      events.push(...rows.map(({ uid, id, type, sequence }) => ({ uid, id, type, streamSequence: Number(sequence) })));
    }
  };
  await find("uid IN {some:Array(String)}", uids, 0);
  await find("id IN {some:Array(String)}", ids, afterSeq);
  return events;
}

/** The bytes of a refused message as its row keeps them; undefined where there is no such row. */
export async function refusedBytes(
  clickhouse: ClickHouse,
  { source, uid }: Identity,
  streamSequence: number,
): Promise<Uint8Array | undefined> {
  const [row] = await clickhouse.rows<{ body: string }>(
    `SELECT if(payload_encoding = 'base64', payload_body, base64Encode(payload_body)) AS body
     FROM raw_streaming_events_dlq FINAL
     WHERE source = {source:String} AND source_offset = {sequence:UInt64} AND event_uid = {uid:String}`,
    { source, uid, sequence: streamSequence },
  );
  return row === undefined ? undefined : bytesOfBase64(row.body);
}

export function bytesOfBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** The rows of `raw_streaming_events_dlq`, by stream sequence. */
export async function deadLetterRows(
  clickhouse: ClickHouse,
  fromSeq: number,
  toSeq: number,
): Promise<(Identity & { readonly streamSequence: number })[]> {
  const rows = await clickhouse.rows<{ source: string; uid: string; sequence: string }>(
    `SELECT source, event_uid AS uid, source_offset AS sequence
     FROM raw_streaming_events_dlq FINAL
     WHERE source_offset BETWEEN {from:UInt64} AND {to:UInt64}`,
    { from: fromSeq, to: toSeq },
  );
  return rows.map(({ source, uid, sequence }) => ({ source, uid, streamSequence: Number(sequence) }));
}

/** The keys of those events that have a row in `raw_unknown_events`. */
export async function unknownEvents(clickhouse: ClickHouse, events: readonly Identity[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const [source, some] of bySource(events)) {
    for (const uids of chunks(some.map((event) => event.uid), escaped)) {
      const rows = await clickhouse.rows<{ uid: string }>(
        `SELECT DISTINCT raw_event_uid AS uid FROM raw_unknown_events
         WHERE source = {source:String} AND raw_event_uid IN {uids:Array(String)}`,
        { source, uids },
      );
      for (const { uid } of rows) found.add(identityKey({ source, uid }));
    }
  }
  return found;
}

/**
 * The keys of those events that have a row in a fact whose rows are those of events. They are looked up by session and
 * time, the order of every such table.
 */
export async function eventFacts(
  clickhouse: ClickHouse,
  { table, key: [, uid], time }: Fact,
  events: readonly FactPlace[],
): Promise<Set<string>> {
  const found = new Set<string>();
  for (const [source, some] of bySource(events)) {
    const times = some.map((event) => event.eventTimeMs);
    const from = String(times.reduce((least, time) => Math.min(least, time)));
    const to = String(times.reduce((greatest, time) => Math.max(greatest, time)));
    for (const sessions of chunks([...new Set(some.map((event) => event.sessionId))], escaped)) {
      const rows = await clickhouse.rows<{ uid: string }>(
        `SELECT ${uid} AS uid FROM ${table} FINAL
         WHERE source = {source:String} AND workflow_session_id IN {sessions:Array(String)}
           AND ${time} >= fromUnixTimestamp64Milli({from:Int64}) AND ${time} <= fromUnixTimestamp64Milli({to:Int64})`,
        { source, sessions, from, to },
      );
      for (const { uid } of rows) found.add(identityKey({ source, uid }));
    }
  }
  return found;
}

/** How many events the rows of these sessions count, in their order; 0 for a session without a row. */
export async function sessionEventCounts(
  clickhouse: ClickHouse,
  sessions: readonly SessionPlace[],
): Promise<number[]> {
  const counts = new Map<string, number>();
  const keyOf = ({ source, sessionId }: SessionPlace) => `${source}\n${sessionId}`;
  for (const [source, some] of bySource(sessions)) {
    for (const ids of chunks(some.map((session) => session.sessionId), escaped)) {
      const rows = await clickhouse.rows<{ sessionId: string; events: number | string }>(
        `SELECT workflow_session_id AS sessionId, event_count AS events FROM fact_workflow_sessions FINAL
         WHERE source = {source:String} AND workflow_session_id IN {ids:Array(String)}`,
        { source, ids },
      );
      for (const { sessionId, events } of rows) counts.set(keyOf({ source, sessionId }), Number(events));
    }
  }
  return sessions.map((session) => counts.get(keyOf(session)) ?? 0);
}

interface ArchiveRow {
  readonly source: string;
  readonly uid: string;
  readonly sequence: string;
  readonly time: string;
  readonly type: string;
  readonly outcome: Outcome;
}

function readArchived({ source, uid, sequence, time, type, outcome }: ArchiveRow): ArchivedMessage {
  return { source, uid, streamSequence: Number(sequence), streamTimeMs: Number(time), type, outcome };
}

/** Items in groups of one source each. */
export function bySource<Event extends { readonly source: string }>(events: readonly Event[]): Map<string, Event[]> {
  return grouped(events, ({ source }) => source);
}

/** A text as it stands in the values of a query. */
export const escaped = (text: string): string => encodeURIComponent(text);

/** Values in groups that fit one query each; `written` is a value as the query carries it. */
export function* chunks<Value>(values: readonly Value[], written: (value: Value) => string): Generator<Value[]> {
  let chunk: Value[] = [];
  let bytes = 0;
  for (const value of values) {
    const size = written(value).length + 9; // Quotes and comma, escaped.
    if (chunk.length > 0 && bytes + size > MOST_BYTES) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(value);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
