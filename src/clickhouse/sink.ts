/** Rows into tables. Every insert names its columns; a repeat is harmless, since rows fold by their keys. */
import type { Row, Table } from "../core/emit/row.ts";
import type { Sink } from "../ports.ts";
import type { ClickHouse } from "./client.ts";

export function openSink(clickhouse: ClickHouse): Sink {
  return {
    write: async (table: Table, rows: readonly Row[]) => {
      const [first] = rows;
      // The rows of one table come from one function of core/emit, so the first names the columns of all.
      if (first !== undefined) await clickhouse.insert(table, Object.keys(first), rows);
    },
  };
}
