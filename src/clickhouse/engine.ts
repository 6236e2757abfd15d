/**
 * What lies below the interface of client.ts: the same calls on a server and on the embedded engine, with foreign
 * errors, and the settings that both send.
 */
import type { ClickHouseClient, ClickHouseSettings, ResponseHeaders } from "@clickhouse/client";
import type { Log } from "../ports.ts";

/** Values for `{name:Type}` placeholders. 64-bit integers and instants go as text or integers, never as `Date`. */
export type Params = Readonly<Record<string, unknown>>;

/** How to open an engine. */
export interface OpenOptions {
  /** The database that unqualified names mean; the server's default when absent. It must exist. */
  database?: string;
  /** Where it tells what it survived; silent when absent. */
  log?: Pick<Log, "warn">;
}

/** A server or the embedded engine. */
export interface Engine {
  /** True when a network lies between. */
  readonly remote: boolean;
  command(sql: string, params: Params | undefined): Promise<void>;
  rows<T>(sql: string, params: Params | undefined): Promise<T[]>;
  /** Stores one block of Native with these columns; reads it no more once that has succeeded. */
  insert(table: string, columns: readonly string[], block: Uint8Array): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** How long one statement may take. The engine stops at this bound itself: giving up on our side stops nothing. */
export const EXECUTION_MAX_SECONDS = 290;

/**
 * Every setting we depend on, sent with every call: defaults differ between versions and users, and the embedded
 * engine keeps a setting of one call for the next on the same connection. All are known to servers from 23.6 on.
 */
export const SETTINGS = {
  // Rows of one key are folded when they are read or merged; to look for them in each insert takes a sixth of its CPU.
  optimize_on_insert: 0,
  // Success must mean "stored", not "queued". The default became 1 in 26.x.
  async_insert: 0,
  // The same for a Distributed table: stored on the shards, not in a queue of the initiator.
  insert_distributed_sync: 1,
  // A server silently drops an insert that it takes for a repeat. Ours are made harmless by row key and version.
  // Servers from 26.x on go by `deduplicate_insert`, unknown to older ones, and still drop a byte-identical repeat,
  // which changes nothing; with a token they would drop a better row, so the token is always empty.
  insert_deduplicate: 0,
  insert_deduplication_token: "",
  // JSON numbers lose digits beyond 2⁵³; versions have 128 bits.
  output_format_json_quote_64bit_integers: 1,
  // NULL where none is allowed is a mistake of ours to be seen, not a value to be made up.
  input_format_null_as_default: 0,
  // Reads ISO 8601 as well as `2026-01-02 03:04:05.678`; integers are ticks of the column either way.
  date_time_input_format: "best_effort",
  date_time_output_format: "simple",
  session_timezone: "UTC",
  // FINAL has to fold rows of one key wherever they lie.
  do_not_merge_across_partitions_select_final: 0,
  // Event times decide partitions, and a sender may send any: an insert of many months must not fail for ever.
  max_partitions_per_insert_block: "0",
  // An abandoned query runs on, and in the embedded engine keeps the process alive.
  max_execution_time: EXECUTION_MAX_SECONDS,
} as const satisfies ClickHouseSettings;

/** Throws where an answer is none. */
export type RequireAnswer = (answer: { readonly response_headers: ResponseHeaders }) => void;

/** Runs a statement through the official client. */
export async function runCommand(
  client: ClickHouseClient,
  query: string,
  params: Params | undefined,
  clickhouse_settings: ClickHouseSettings = {},
  requireAnswer: RequireAnswer = () => {},
): Promise<void> {
  requireAnswer(await client.command({ query, query_params: { ...params }, clickhouse_settings }));
}

/** Reads all rows of a query through the official client. */
export async function fetchRows<T>(
  client: ClickHouseClient,
  query: string,
  params: Params | undefined,
  clickhouse_settings: ClickHouseSettings = {},
  requireAnswer: RequireAnswer = () => {},
): Promise<T[]> {
  const result = await client.query({ query, query_params: { ...params }, clickhouse_settings, format: "JSONEachRow" });
  try {
    requireAnswer(result);
  } catch (error) {
    result.close(); // Or the connection would be busy for ever.
    throw error;
  }
  return await result.json<T>();
}
