/** The rows of one source, and their removal from the disk. */
import type { ClickHouse } from "./client.ts";
import { inProfile, type Profile } from "./cluster.ts";
import { migratedTables } from "./migrate.ts";

/** How many rows of a source the tables hold, replaced versions too; tables without any are left out. */
export async function rowsOfSource(
  clickhouse: ClickHouse,
  database: string,
  source: string,
): Promise<{ readonly table: string; readonly count: number }[]> {
  const columns = await clickhouse.rows<{ table: string }>(
    "SELECT table FROM system.columns WHERE database = {database:String} AND name = 'source'",
    { database },
  );
  const withSource = new Set(columns.map(({ table }) => table));
  const found = [];
  for (const table of migratedTables().filter((one) => withSource.has(one))) {
    const [row] = await clickhouse.rows<{ n: string }>(
      `SELECT count() AS n FROM ${table} WHERE source = {source:String}`,
      { source },
    );
    if (Number(row?.n) > 0) found.push({ table, count: Number(row?.n) });
  }
  return found;
}

/** Removes them under the profile that they were made with; resolves when they are gone from every replica. */
export async function deleteRowsOfSource(
  clickhouse: ClickHouse,
  profile: Profile,
  tables: readonly string[],
  source: string,
): Promise<void> {
  for (const table of tables) {
    const sql = `ALTER TABLE ${table} DELETE WHERE source = {source:String} SETTINGS mutations_sync = 2`;
    for (const statement of inProfile(sql, profile, new Set())) await clickhouse.command(statement, { source });
  }
}
