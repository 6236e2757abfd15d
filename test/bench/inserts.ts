/**
 * What the engine's side of inserts costs, in a process that does nothing else; prints one line of JSON.
 *
 *     node inserts.js FOLDER
 *
 * FOLDER holds `blocks.json`, a list of `BlockFile`, and their files. Each goes into a table that keeps nothing and into its
 * own, in the order of the list, with the merges until none is left. Then what came of them is read by the engine once
 * more, in each format that it could be sent in.
 */
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { openClickHouse } from "../../src/clickhouse/client.ts";
import { openEmbedded } from "../../src/clickhouse/embedded.ts";
import { ensureDatabase, migrate } from "../../src/clickhouse/migrate.ts";
import { resolveConfig } from "../../src/config.ts";
import { cpu } from "./used.ts";

/** Encoded rows of one table. */
export interface BlockFile {
  readonly file: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: number;
}

/** CPU in microseconds, of all blocks. */
export interface InsertCost {
  readonly insert: number;
  /** Where nothing is kept: the engine reads its bytes and no more. */
  readonly floor: number;
  /** On disk, compressed. */
  readonly bytes: number;
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly micros: number }[];
  readonly formats: readonly FormatCost[];
}

/** What it takes the engine to read the rows of all tables in a format, and their size. */
export interface FormatCost {
  readonly format: string;
  readonly micros: number;
  readonly bytes: number;
}

const FORMATS = ["Native", "RowBinary", "JSONCompactEachRow", "JSONEachRow"];

const folder = process.argv[2]!;
const blocks = JSON.parse(readFileSync(join(folder, "blocks.json"), "utf8")) as BlockFile[];
const place = join(folder, "engine");
const config = resolveConfig({}, { clickhouseUrl: `chdb:${place}` });
const { clickhouseUrl, database } = config;
await ensureDatabase(clickhouseUrl, config);
const clickhouse = await openClickHouse(clickhouseUrl, { database });
await migrate(clickhouse, config);
const engine = await openEmbedded(place, { database });
for (const table of new Set(blocks.map(({ table }) => table))) {
  const columns = await engine.rows<{ name: string; type: string }>(
    "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}",
    { table },
  );
  const declared = columns.map(({ name, type }) => `\`${name}\` ${type}`);
  await engine.command(`CREATE TABLE null_${table} (${declared.join(", ")}) ENGINE = Null`, undefined);
}
let floor = 0;
for (const { file, table, columns } of blocks) {
  const block = readFileSync(join(folder, file));
  floor += await cpu(() => engine.insert(`null_${table}`, columns, block));
}
const tables = new Map<string, { rows: number; micros: number }>();
let insert = 0;
for (const { file, table, columns, rows } of blocks) {
  const block = readFileSync(join(folder, file));
  const micros = await cpu(() => engine.insert(table, columns, block));
  insert += micros;
  const of = tables.get(table) ?? { rows: 0, micros: 0 };
  tables.set(table, { rows: of.rows + rows, micros: of.micros + micros });
}
insert += await cpu(allMerged);
const [stored] = await engine.rows<{ bytes: string }>(
  "SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = currentDatabase()",
  undefined,
);
const formats: FormatCost[] = [];
for (const format of FORMATS) {
  let micros = 0;
  let bytes = 0;
  for (const [table, { columns }] of new Map(blocks.map((block) => [block.table, block]))) {
    const names = columns.join(", ");
    const file = join(folder, `${table}.${format}`);
    await engine.command(
      `SELECT ${names} FROM ${table} INTO OUTFILE '${file}' COMPRESSION 'none' FORMAT ${format}`,
      undefined,
    );
    const from = `FROM INFILE '${file}' COMPRESSION 'none' FORMAT ${format}`;
    micros += await cpu(() => engine.command(`INSERT INTO null_${table} (${names}) ${from}`, undefined));
    bytes += statSync(file).size;
    rmSync(file);
  }
  formats.push({ format, micros, bytes });
}
await engine.close();
await clickhouse.close();
const cost: InsertCost = {
  insert,
  floor,
  bytes: Number(stored?.bytes),
  tables: [...tables].map(([table, of]) => ({ table, ...of })),
  formats,
};
console.log(JSON.stringify(cost));
process.exit(0);

/** Resolves when no merge runs, and none begins for a second. */
async function allMerged(): Promise<void> {
  for (let quiet = 0; quiet < 5; quiet++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const [running] = await engine.rows<{ n: string }>("SELECT count() AS n FROM system.merges", undefined);
    if (running?.n !== "0") quiet = 0;
  }
}
