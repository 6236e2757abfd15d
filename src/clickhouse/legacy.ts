/**
 * The views of `sql/legacy`, which write facts at insert time, as it was before Latecomer. They are there during a
 * migration only, so no migration of the schema makes them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { factOf, type FactTable } from "../core/facts.ts";
import type { ClickHouse } from "./client.ts";
import { insertedColumns } from "./digest.ts";

const FOLDER = new URL("../../sql/legacy/", import.meta.url);

export interface LegacyView {
  readonly fact: FactTable;
  readonly name: string;
  readonly create: string;
  /** What it selects; it ends with its last join, so that a condition may follow. */
  readonly select: string;
}

/** One file per fact, and named after it. */
export const LEGACY_VIEWS: readonly LegacyView[] = readdirSync(FOLDER).sort().map((file) => {
  const fact = factOf(file.replace(/\.sql$/, ""))!.table;
  const create = readFileSync(new URL(file, FOLDER), "utf8").trim();
  return { fact, name: `mv_${fact}`, create, select: create.slice(create.indexOf("\nWITH\n")) };
});

/** What may have been archived before its writer changed, while its fact was still waiting for its turn. */
const LATE_MS = 3_600_000;

/**
 * Creates a view, and writes by its select what it missed since an instant of the database's clock. Rows of Latecomer
 * that are there already stay, for theirs is the greater version.
 */
export async function createLegacyView(
  clickhouse: ClickHouse,
  database: string,
  { fact, create, select }: LegacyView,
  sinceMs: number,
): Promise<void> {
  await clickhouse.command(create);
  const columns = (await insertedColumns(clickhouse, database, fact)).join(", ");
  await clickhouse.command(
    `INSERT INTO ${fact} (${columns})
     SELECT ${columns} FROM (${select}
     WHERE status.ingestion_timestamp >= fromUnixTimestamp64Milli({since:Int64}))`,
    { since: String(sinceMs - LATE_MS) },
  );
}
