/** Sinks over a function that stores all rows of a table in a batch, and the other way round. */
import type { Row, Table } from "../../src/core/emit/row.ts";
import type { Sink } from "../../src/ports.ts";

/** Returns when the rows are durable; of a batch that is stored again it is given the same list. */
export type Write = (table: Table, rows: readonly Row[]) => Promise<void>;

export function sinkOf(write: Write): Sink {
  return {
    begin: () => {
      const unwritten = new Map<Table, Row[]>();
      return {
        add: (table, rows) => {
          unwritten.set(table, unwritten.get(table) ?? []);
          unwritten.get(table)!.push(...rows);
        },
        store: async () => {
          await Promise.all([...unwritten].map(async ([table, rows]) => {
            await write(table, rows);
            unwritten.delete(table);
          }));
        },
      };
    },
  };
}

export function writeOf(sink: Sink): Write {
  return (table, rows) => {
    const batch = sink.begin();
    batch.add(table, rows);
    return batch.store();
  };
}
