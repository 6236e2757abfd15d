/**
 * The schema as the engine has it, and what the contract says of it: the table of objects in `sql/CONTRACT.md`, written by
 * hand, and `sql/SCHEMA.md` with every column, written by `npm run -s schema`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ClickHouse, openClickHouse } from "../../src/clickhouse/client.ts";
import { ensureDatabase, migrate } from "../../src/clickhouse/migrate.ts";

const SQL = new URL("../../sql/", import.meta.url);
const TESTS = fileURLToPath(new URL("../", import.meta.url));

/** The database's name stands in the definitions of views, so it is always the same. */
const DATABASE = "livepeer_analytics";

export interface Column {
  readonly name: string;
  readonly type: string;
  /** Such as `MATERIALIZED toDate(sample_ts)`, `""` for none. */
  readonly byDefault: string;
}

export interface SchemaObject {
  readonly name: string;
  readonly kind: "table" | "view";
  /** Of a table the engine with its columns, `""` for a view. */
  readonly made: string;
  readonly partition: string;
  readonly sorting: string;
  /** A hash of what a view selects, `""` for a table. */
  readonly selects: string;
  readonly columns: readonly Column[];
}

/** A line of the contract's table of objects. */
export interface ContractLine {
  readonly name: string;
  readonly kind: string;
  readonly row: string;
  readonly key: readonly string[];
  readonly version: readonly string[];
  readonly writer: string;
  readonly readers: string;
}

/** Runs with a database of its own that has all migrations. */
export async function withSchema<Result>(
  use: (clickhouse: ClickHouse, url: string) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "latecomer-schema-"));
  try {
    const url = `chdb:${folder}`;
    const profile = { database: DATABASE, cluster: "" };
    await ensureDatabase(url, profile);
    const clickhouse = await openClickHouse(url, { database: DATABASE });
    try {
      await migrate(clickhouse, profile);
      return await use(clickhouse, url);
    } finally {
      await clickhouse.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Every table and view, by name. */
export async function readSchema(clickhouse: ClickHouse): Promise<SchemaObject[]> {
  const objects = await clickhouse.rows<Omit<SchemaObject, "columns" | "kind"> & { isView: number }>(
    `SELECT
         name,
         engine = 'View' AS isView,
         extract(engine_full, '^[A-Za-z]+(?:[(][^)]*[)])?') AS made,
         partition_key AS partition,
         sorting_key AS sorting,
         if(as_select = '', '', lower(hex(sipHash64(as_select)))) AS selects
     FROM system.tables WHERE database = currentDatabase() ORDER BY name`,
  );
  const columns = await clickhouse.rows<Column & { table: string }>(
    `SELECT table, name, type, trim(concat(default_kind, ' ', default_expression)) AS byDefault
     FROM system.columns WHERE database = currentDatabase() ORDER BY table, position`,
  );
  return objects.map(({ isView, ...object }) => ({
    ...object,
    kind: isView === 1 ? "view" : "table",
    columns: columns.filter(({ table }) => table === object.name),
  }));
}

/** What `sql/SCHEMA.md` must say. */
export function schemaText(objects: readonly SchemaObject[]): string {
  const shown = objects.map(({ name, made, partition, sorting, selects, columns }) => {
    const how = selects === ""
      ? `${made}, ${partition === "" ? "" : `partitioned by \`${partition}\`, `}sorted by \`${sorting}\``
      : `view ${selects}`;
    const list = wrapped(columns.map((one) => `${one.name} ${one.type} ${one.byDefault}`.trim()));
    return `## ${name}\n\n${how}\n\n\`\`\`\n${list}\n\`\`\`\n`;
  });
  return `# Every column\n\nWritten by \`npm run -s schema\` from the migrated schema; what the objects are for is in CONTRACT.md.\n\n${
    shown.join("\n")
  }`;
}

/** As many on a line as fit. */
function wrapped(columns: readonly string[]): string {
  const lines = [""];
  for (const [at, column] of columns.entries()) {
    const next = at < columns.length - 1 ? `${column},` : column;
    const last = lines.at(-1)!;
    if (last !== "" && last.length + next.length < 120) lines[lines.length - 1] = `${last} ${next}`;
    else lines.push(next);
  }
  return lines.slice(1).join("\n");
}

export function storedSchemaText(): string {
  return readFileSync(new URL("SCHEMA.md", SQL), "utf8");
}

export function contractText(): string {
  return readFileSync(new URL("CONTRACT.md", SQL), "utf8");
}

/** The lines of the table under `## Objects`. */
export function contractLines(text: string): ContractLine[] {
  const [, section = ""] = text.split(/^## Objects$/m);
  const names = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
  return section.split(/^## /m)[0]!.split("\n").filter((line) => line.startsWith("| `")).map((line) => {
    const [name, kind, row, key, version, writer, readers] = line.split("|").slice(1, -1).map((cell) => cell.trim());
    return {
      name: names(name!)[0]!,
      kind: kind!,
      row: row!,
      key: names(key!),
      version: names(version ?? ""),
      writer: writer ?? "",
      readers: readers ?? "",
    };
  });
}

/** The text of all tests that may mention an object, those of the schema itself left out. */
export function testsText(folder = TESTS): string {
  return readdirSync(folder, { withFileTypes: true }).map((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "fixtures" ? "" : testsText(path);
    return /\.(ts|sql)$/.test(entry.name) && !entry.name.startsWith("schema") ? readFileSync(path, "utf8") : "";
  }).join("\n");
}

/** Where schema, contract, column list and tests disagree, a sentence each. */
export function schemaProblems(
  objects: readonly SchemaObject[],
  contract: readonly ContractLine[],
  columnList: string,
  tests: string,
): string[] {
  const problems: string[] = [];
  const names = new Set(objects.map(({ name }) => name));
  for (const { name } of contract) if (!names.has(name)) problems.push(`CONTRACT.md names ${name}, which is not there`);
  for (const object of objects) {
    const lines = contract.filter(({ name }) => name === object.name);
    if (lines.length !== 1) problems.push(`CONTRACT.md has ${lines.length} lines of ${object.name}, not one`);
    if (!new RegExp(`\\b${object.name}\\b`).test(tests)) problems.push(`no test mentions ${object.name}`);
    for (const line of lines) problems.push(...lineProblems(object, line));
  }
  const isStale = columnList !== schemaText(objects);
  if (isStale) {
    problems.push("SCHEMA.md is not what the schema is: npm run -s schema, and say in CONTRACT.md what changed");
  }
  return problems;
}

function lineProblems(object: SchemaObject, line: ContractLine): string[] {
  const problems: string[] = [];
  const says = (what: string) => problems.push(`CONTRACT.md on ${object.name}: ${what}`);
  if (line.kind !== object.kind) says(`it is a ${object.kind}, not a ${line.kind}`);
  if ([line.row, line.writer, line.readers].includes("") || line.key.length === 0) says("an empty cell");
  const columns = new Set(object.columns.map(({ name }) => name));
  for (const name of line.key) if (!columns.has(name)) says(`its key names ${name}, which is no column`);
  if (object.kind === "view") {
    if (line.version.length > 0) says("a view has no version");
    return problems;
  }
  // The key decides which rows fold, so all of it sorts the table.
  const sorting = new Set(object.sorting.match(/\w+/g));
  for (const name of line.key) if (!sorting.has(name)) says(`its key names ${name}, which does not sort it`);
  const version = /\((.*)\)$/.exec(object.made)?.[1]?.split(", ") ?? [];
  if (line.version.join() !== version.join()) says(`its version is ${version.join(", ") || "none"}`);
  return problems;
}
