/** A batch of rows as one insert for each table. */
import type { Table } from "../core/emit/row.ts";
import { factOf } from "../core/facts.ts";
import type { RowBatch } from "../ports.ts";
import type { Insert } from "./client.ts";

/** What a batch needs to know of where its rows go. */
export interface Inserting {
  /** Begins the insert for the rows of a table; undefined for rows that nobody wants. */
  prepare(table: Table, columns: readonly string[]): Insert | undefined;
  /** Stores what was gathered for a table. */
  run(table: Table, insert: Insert): Promise<void>;
}

export function beginBatch({ prepare, run }: Inserting): RowBatch {
  /** Those that are not stored yet. */
  const inserts = new Map<Table, Insert | undefined>();
  return {
    add: (table, rows) => {
      const [first] = rows;
      if (first === undefined) return;
      // The rows of one table come from one function of core/emit, so the first names the columns of all.
      if (!inserts.has(table)) inserts.set(table, prepare(table, Object.keys(first)));
      inserts.get(table)?.add(rows);
    },
    // In any order, for rows of different tables do not lean on each other, but facts first, for they are waited for. Each
    // again until it is there: where every second insert fails ten of them never succeed together.
    store: async () => {
      const facts = [...inserts].filter(([table]) => factOf(table) !== undefined);
      const others = [...inserts].filter(([table]) => factOf(table) === undefined);
      await Promise.all([...facts, ...others].map(async ([table, insert]) => {
        if (insert !== undefined) await run(table, insert);
        inserts.delete(table);
      }));
    },
  };
}
