/** How far the tables and the rollup have come, whatever the window. */
import type { ClickHouse } from "../clickhouse/client.ts";

export interface Fresh {
  readonly source: string;
  readonly table: string;
  /** The newest instant that it knows, in Unix milliseconds, and how many minutes ago that was. */
  readonly newestMs: number;
  readonly lagMinutes: number;
}

export async function freshness(clickhouse: ClickHouse, source: string | undefined): Promise<Fresh[]> {
  type Row = Pick<Fresh, "source" | "table"> & Record<"newest" | "lag", string>;
  const rows = await clickhouse.rows<Row>(
    `SELECT source, table_name AS table, toUnixTimestamp64Milli(max_event_ts) AS newest, lag_minutes AS lag
     FROM v_health_rollup_freshness
     WHERE source = {source:String} OR {anySource:UInt8} = 1
     ORDER BY source, table`,
    { source: source ?? "", anySource: source === undefined ? 1 : 0 },
  );
  return rows.map(({ newest, lag, ...row }) => ({ ...row, newestMs: Number(newest), lagMinutes: Number(lag) }));
}
