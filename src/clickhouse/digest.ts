/**
 * The digest of a table: one number for its folded content over a window, the same whatever order the rows were
 * stored in. Two sources that were sent the same events have the same digests, so the source's name is no part of it;
 * nor are versions, which hold the generation, and the time of insertion.
 */
import { FACTS } from "../core/facts.ts";
import { LAST_INSTANT_MS } from "../core/time.ts";
import type { ClickHouse } from "./client.ts";

const LEFT_OUT: ReadonlySet<string> = new Set(["source", "version", "is_deleted", "ingestion_timestamp"]);

export interface Digest {
  readonly table: string;
  readonly rows: number;
  /** Hexadecimal; equal digests mean equal content. */
  readonly digest: string;
}

export interface DigestWindow {
  /** Every source when undefined. */
  readonly source?: string | undefined;
  /** Event times in milliseconds, [from, to). */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** The columns of a table that an insert names, sorted: those that the engine does not fill by itself. */
export async function insertedColumns(clickhouse: ClickHouse, database: string, table: string): Promise<string[]> {
  const columns = await clickhouse.rows<{ name: string }>(
    `SELECT name FROM system.columns
     WHERE database = {database:String} AND table = {table:String} AND default_kind = ''
     ORDER BY name`,
    { database, table },
  );
  return columns.map((column) => column.name);
}

/** The columns of a fact table or the rollup that are its content. */
export async function contentColumns(clickhouse: ClickHouse, database: string, table: string): Promise<string[]> {
  return (await insertedColumns(clickhouse, database, table)).filter((name) => !LEFT_OUT.has(name));
}

/** The digest of every fact over a window; `tableOf` names the table that holds a fact, by default its own. */
export async function digests(
  clickhouse: ClickHouse,
  database: string,
  window: DigestWindow,
  tableOf = (fact: string) => fact,
): Promise<Digest[]> {
  const results: Digest[] = [];
  for (const { table, time } of FACTS) {
    const content = await contentColumns(clickhouse, database, table);
    results.push({ table, ...await digestOf(clickhouse, `${tableOf(table)} FINAL`, content, time, window) });
  }
  return results;
}

/** The digest of the rollup's minutes as they stand, states and all. */
export async function rollupDigest(clickhouse: ClickHouse, database: string, window: DigestWindow): Promise<Digest> {
  const table = "agg_stream_performance_1m";
  const columns = await contentColumns(clickhouse, database, table);
  const content = columns.map((column) => {
    // A set of one content has several forms in bytes (measured: it depends on how it was aggregated).
    if (column.endsWith("_uniq_state")) return `finalizeAggregation(${column})`;
    return column.endsWith("_state") ? `CAST(${column} AS String)` : column;
  });
  return { table, ...await digestOf(clickhouse, `${table}_current`, content, "window_start", window) };
}

async function digestOf(
  clickhouse: ClickHouse,
  from: string,
  content: readonly string[],
  time: string,
  window: DigestWindow,
): Promise<Omit<Digest, "table">> {
  // A sum over 128-bit hashes is order-insensitive and, unlike XOR, does not cancel a row that stands twice.
  const [row] = await clickhouse.rows<{ rows: string; digest: string }>(
    `SELECT count() AS rows,
            lower(hex(sum(toUInt256(reinterpretAsUInt128(sipHash128(tuple(${content.join(", ")}))))))) AS digest
     FROM ${from}
     WHERE ${time} >= fromUnixTimestamp64Milli({from:Int64}) AND ${time} < fromUnixTimestamp64Milli({to:Int64})
       AND (source = {source:String} OR {anySource:UInt8} = 1)`,
    {
      from: String(window.fromMs ?? 0),
      to: String(window.toMs ?? LAST_INSTANT_MS + 1),
      source: window.source ?? "",
      anySource: window.source === undefined ? 1 : 0,
    },
  );
  return { rows: Number(row?.rows ?? 0), digest: row?.digest ?? "" };
}
