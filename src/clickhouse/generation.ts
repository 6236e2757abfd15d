/** The generation that the stored facts have: whoever makes a new one must be above it, or its rows would be hidden. */
import { FACTS } from "../core/facts.ts";
import type { ClickHouse } from "./client.ts";

/** The greatest generation of any stored fact, 0 when there is none, as before the facts have tables. */
export async function storedGeneration(clickhouse: ClickHouse, database: string): Promise<number> {
  const tables = await clickhouse.rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = {database:String}",
    { database },
  );
  const present = new Set(tables.map(({ name }) => name));
  let greatest = 0;
  for (const { table } of FACTS) {
    if (!present.has(table)) continue;
    // The upper 12 of the 128 bits, see core/evidence.ts.
    const [row] = await clickhouse.rows<{ generation: string }>(
      `SELECT max(bitShiftRight(version, 116)) AS generation FROM ${database}.${table}`,
    );
    greatest = Math.max(greatest, Number(row?.generation ?? 0));
  }
  return greatest;
}
