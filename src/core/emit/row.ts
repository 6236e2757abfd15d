/**
 * EMIT: events and claims become rows. A row is a function of its arguments: no clock, no counter.
 *
 * Each table has its columns spelled out once, in the order of its migration; inserts name them all.
 * Instants are whole milliseconds, which ClickHouse reads into `DateTime64(3)`; 128-bit versions are decimal
 * text, for a JSON number would lose digits.
 */
import type { FactTable } from "../facts.ts";

/** Bytes stand for text that is kept as it came; a list is the value of an array column. */
export type Cell = string | number | null | Uint8Array | readonly Cell[];
export type Row = Readonly<Record<string, Cell>>;

/** The tables that the processor writes. */
export type Table =
  | "raw_streaming_events"
  | "raw_streaming_events_dlq"
  | "raw_unknown_events"
  | "raw_ai_stream_status"
  | "raw_stream_trace_events"
  | "raw_ai_stream_events"
  | "raw_stream_ingest_metrics"
  | "raw_discovery_results"
  | "raw_payment_events"
  | "raw_network_capabilities"
  | "raw_network_capabilities_advertised"
  | "raw_network_capabilities_model_constraints"
  | "raw_network_capabilities_prices"
  | "dim_orchestrator_capability_snapshots"
  | FactTable;

/** Where the rows of a table are collected. */
export type RowsOf = (table: Table) => Row[];

/** True when two cells hold the same value. */
function isSameCell(a: Cell | undefined, b: Cell | undefined): boolean {
  return a === b || (Array.isArray(a) && Array.isArray(b) && a.length === b.length &&
    a.every((cell, at) => isSameCell(cell, b[at])));
}

/** The columns in which two rows differ; all of them where one is not there. */
export function differingColumns(a: Row | undefined, b: Row | undefined): string[] {
  return a === b ? [] : Object.keys((a ?? b)!).filter((column) => !isSameCell(a?.[column], b?.[column]));
}

/** True when the version `a` is greater than `b`: decimal numbers without leading zeros. */
export function isGreater(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}
