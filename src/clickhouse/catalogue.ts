/** The capability catalogue as a table, so that queries need no copy of it: the code's own, written at each `init`. */
import { catalogueRows } from "../core/emit/capabilities.ts";
import type { ClickHouse } from "./client.ts";

/** Writes the catalogue of this version of Latecomer; written again it folds into the same rows. */
export async function writeCatalogue(clickhouse: ClickHouse): Promise<void> {
  const rows = catalogueRows();
  await clickhouse.insert("dim_capability_catalogue", Object.keys(rows[0]!), rows);
}
