/** Dead letters of a window: what was refused, and why. */
import type { ClickHouse } from "../clickhouse/client.ts";
import { inScope, paramsOf, type Scope } from "./scope.ts";

export interface Refused {
  readonly source: string;
  readonly reason: string;
  /** The type of the event, as far as it could be read. */
  readonly type: string;
  readonly letters: number;
  /** When the newest of them was stored, in Unix milliseconds, its stream sequence and what was wrong with it. */
  readonly newestMs: number;
  readonly newestSequence: number;
  readonly details: string;
}

const MOST = 50;

/** The window is that of the event's time, and where that cannot be read or believed, of when it was stored. */
export async function refused(clickhouse: ClickHouse, scope: Scope): Promise<Refused[]> {
  type Row = Pick<Refused, "source" | "reason" | "type" | "details"> & Record<"count" | "newest" | "sequence", string>;
  const rows = await clickhouse.rows<Row>(
    `SELECT source, failure_reason AS reason, event_type AS type, count() AS count,
            toUnixTimestamp64Milli(max(source_record_timestamp)) AS newest,
            argMax(source_offset, source_record_timestamp) AS sequence,
            argMax(failure_details, source_record_timestamp) AS details
     FROM raw_streaming_events_dlq FINAL
     WHERE (${inScope("event_timestamp")}) OR (${inScope("source_record_timestamp")})
     GROUP BY source, reason, type
     ORDER BY count DESC, source, reason, type
     LIMIT {most:UInt32}`,
    { ...paramsOf(scope), most: MOST },
  );
  return rows.map(({ count, newest, sequence, ...row }) => ({
    ...row,
    letters: Number(count),
    newestMs: Number(newest),
    newestSequence: Number(sequence),
  }));
}
