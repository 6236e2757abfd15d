/**
 * ClickHouse as far as the sink needs it: tables that fold, by the keys and versions that `sql/` gives them, and
 * inserts that are slow, fail, and are applied by half, wholly or much later all the same.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Row, Table } from "../../src/core/emit/row.ts";
import type { Sink } from "../../src/ports.ts";
import { sinkOf } from "../helpers/sinks.ts";
import { away, type Process } from "./process.ts";

/** How the rows of a table fold. */
interface Fold {
  readonly key: readonly string[];
  /** The greatest stays; of equal ones, and without one, the later. */
  readonly version: string | undefined;
  readonly isDeleted: string | undefined;
}

const SQL = new URL("../../sql/", import.meta.url);
const TABLE = /CREATE TABLE IF NOT EXISTS (\w+)\s*\(.*?ENGINE = ReplacingMergeTree(?:\((\w+)(?:, *(\w+))?\))?.*?;/gs;

const FOLDS: ReadonlyMap<string, Fold> = new Map(
  readdirSync(SQL).filter((file) => file.endsWith(".sql")).sort().flatMap((file) =>
    [...readFileSync(new URL(file, SQL), "utf8").matchAll(TABLE)].map(([text, table, version, isDeleted]) => {
      const order = /\bORDER BY \((.*?)\);/s.exec(text)![1]!;
      const key = order.replaceAll(/ifNull\((\w+), ''\)/g, "$1").split(",").map((column) => column.trim());
      return [table!, { key, version, isDeleted }] as const;
    })
  ),
);

/** The tables that are known here. */
export function foldedTables(): string[] {
  return [...FOLDS.keys()];
}

/** Facts whose version is the evidence of a session, or can be. */
const RESTS_ON_SESSIONS: ReadonlySet<string> = new Set([
  "fact_workflow_sessions",
  "fact_stream_trace_edges",
  "fact_workflow_param_updates",
  "fact_lifecycle_edge_coverage",
]);

/** How long after it was called failed an insert may still be applied. */
export const LATEST_INSERT_MS = 15_000;

export class Warehouse {
  readonly #onSample: (row: Row) => void;
  readonly #tables = new Map<string, Map<string, Row>>();
  readonly #contradictions: { readonly table: Table; readonly name: string; readonly version: unknown }[] = [];

  /** `onSample` is told of every sample whose folded row has become this one. */
  constructor(onSample: (row: Row) => void) {
    this.#onSample = onSample;
  }

  /**
   * Facts with rows that differ though their versions are equal. Two parts of a session can weigh the same, where a
   * stream was rewritten and one owner has read the other; what is heavier than both takes their place, so of what
   * rests on sessions only the greatest version counts.
   */
  get contradictions(): string[] {
    return this.#contradictions.filter(({ table, name, version: of }) => {
      const { version } = foldOf(table);
      return !RESTS_ON_SESSIONS.has(table) || this.#tables.get(table)!.get(name)![version!] === of;
    }).map(({ table, name }) => `${table} ${name}`);
  }

  insert(table: Table, rows: readonly Row[]): void {
    const { key, version, isDeleted } = foldOf(table);
    const stored = this.#tables.get(table) ?? new Map<string, Row>();
    this.#tables.set(table, stored);
    for (const row of rows) {
      const name = key.map((column) => row[column]).join("\n");
      const before = stored.get(name);
      if (before !== undefined && version !== undefined) {
        const order = compare(before[version], row[version]);
        if (order > 0) continue;
        const isFact = isDeleted !== undefined;
        if (isFact && order === 0 && textOf(before) !== textOf(row)) {
          this.#contradictions.push({ table, name, version: row[version] });
        }
      }
      stored.set(name, row);
      if (table !== "fact_stream_status_samples") continue;
      if (before === undefined || textOf(before) !== textOf(row)) this.#onSample(row);
    }
  }

  /** The tables that hold rows. */
  get tables(): string[] {
    return [...this.#tables.keys()].sort();
  }

  /** The folded rows of a table, each as text, by key. */
  folded(table: string): Map<string, string> {
    return new Map(this.rows(table).map(([key, row]) => [key, textOf(row)]));
  }

  /** The folded rows of a table with their keys, sorted by these. */
  rows(table: string): [key: string, row: Row][] {
    const { isDeleted } = foldOf(table);
    return [...this.#tables.get(table) ?? []]
      .filter(([, row]) => isDeleted === undefined || row[isDeleted] !== 1)
      .sort(([a], [b]) => a < b ? -1 : 1);
  }
}

/** The sink of a process. */
export function openSink(warehouse: Warehouse, process: Process): Sink {
  const { faults } = process;
  return sinkOf((table, rows) => {
    const insert = (some: readonly Row[]) => warehouse.insert(table, some);
    return process.call(`insert ${table}`, () => {
      if (!faults.happens("insert")) return insert(rows);
      const how = faults.below(4);
      if (how === 1) insert(rows.slice(faults.below(rows.length)));
      if (how === 2) insert(rows);
      if (how === 3) {
        process.arrive(`late insert ${table}`, () => insert(rows), faults.between(100, LATEST_INSERT_MS));
      }
      throw away(`insert ${table}`);
    });
  });
}

function foldOf(table: string): Fold {
  const fold = FOLDS.get(table);
  if (fold === undefined) throw new Error(`sql/ has no table ${table}`);
  return fold;
}

/** Versions are numbers, or decimal text without leading zeros. */
function compare(a: unknown, b: unknown): number {
  const [one, other] = [String(a), String(b)];
  if (one.length !== other.length) return one.length - other.length;
  return one < other ? -1 : one > other ? 1 : 0;
}

const decoder = new TextDecoder();

/** A row as text, byte for byte. */
function textOf(row: Row): string {
  return JSON.stringify(row, (_, value) => value instanceof Uint8Array ? decoder.decode(value) : value);
}
