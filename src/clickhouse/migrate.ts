/**
 * The schema: numbered migrations of `sql/`, applied in order and remembered with their checksums. A file that was
 * applied must not change; the schema of a database is then what its migrations say, and nothing else.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { Config } from "../config.ts";
import { FACTS } from "../core/facts.ts";
import { LatecomerError } from "../errors.ts";
import { type ClickHouse, embeddedFolder, openClickHouse } from "./client.ts";
import { inProfile, isOnCluster, type Profile } from "./cluster.ts";

const FOLDER = new URL("../../sql/", import.meta.url);

export interface Migration {
  readonly name: string;
  readonly checksum: string;
  readonly statements: readonly string[];
}

export interface MigrationStatus extends Migration {
  readonly state: "applied" | "pending" | "changed";
}

/** The migrations that this version of Latecomer has, in order. */
export function migrations(): Migration[] {
  return readdirSync(FOLDER)
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .sort()
    .map((file) => {
      const text = readFileSync(new URL(file, FOLDER), "utf8");
      const checksum = createHash("sha256").update(text).digest("hex");
      return { name: file.replace(/\.sql$/, ""), checksum, statements: statementsOf(text) };
    });
}

/** Statements end with a semicolon at the end of a line; comments stay with what they explain. */
function statementsOf(text: string): string[] {
  return text.split(/;\s*$/m).map((one) => one.trim()).filter((one) => one.replace(/^--.*$/gm, "").trim() !== "");
}

/** Which migrations the database has. Creates nothing; a database that is not there has none. */
export async function migrationStatus(clickhouse: ClickHouse, database: string): Promise<MigrationStatus[]> {
  const [found] = await clickhouse.rows<{ n: string }>(
    "SELECT count() AS n FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'",
    { database },
  );
  const applied = new Map<string, string>();
  if (Number(found?.n) > 0) {
    const rows = await clickhouse.rows<{ name: string; checksum: string }>(
      // By its whole name: whoever asks before `init` cannot be in a database that may not be there.
      `SELECT name, checksum FROM ${database}.schema_migrations FINAL ORDER BY name`,
    );
    for (const { name, checksum } of rows) applied.set(name, checksum);
  }
  return migrations().map((migration) => {
    const checksum = applied.get(migration.name);
    const state = checksum === undefined ? "pending" : checksum === migration.checksum ? "applied" : "changed";
    return { ...migration, state };
  });
}

/** Creates the database; a client can be opened on it only then. */
export async function ensureDatabase(url: string, profile: Profile): Promise<void> {
  const clickhouse = await openClickHouse(url);
  try {
    for (const statement of databaseStatements(profile)) await clickhouse.command(statement);
  } finally {
    await clickhouse.close();
  }
}

/** The table that remembers the migrations. Row key: name. Repeats are equal but for their time. */
const MEMORY = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    name       String,
    checksum   String,
    applied_at DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY name`;

function databaseStatements(profile: Profile): string[] {
  return inProfile(`CREATE DATABASE IF NOT EXISTS ${profile.database}`, profile, new Set());
}

/** The table or view that a statement of a migration makes, undefined where it makes none. */
export function madeBy(statement: string): { readonly kind: "table" | "view"; readonly name: string } | undefined {
  const [, what, name] = /^CREATE (TABLE|VIEW) IF NOT EXISTS (\w+)/m.exec(statement) ?? [];
  return name === undefined ? undefined : { kind: what === "VIEW" ? "view" : "table", name };
}

/** The tables that a database has by its migrations. */
export function migratedTables(): string[] {
  const made = migrations().flatMap(({ statements }) => statements).flatMap((one) => madeBy(one) ?? []);
  return made.filter(({ kind }) => kind === "table").map(({ name }) => name);
}

/** The tables and views that these statements make. */
function namesIn(statements: readonly string[]): Set<string> {
  return new Set(statements.flatMap((one) => madeBy(one)?.name ?? []));
}

function allStatements(): string[] {
  return [MEMORY, ...migrations().flatMap(({ statements }) => statements)];
}

/** Every statement that makes a new database, in order. */
export function schemaStatements(profile: Profile): string[] {
  const made = allStatements();
  const names = namesIn(made);
  return [...databaseStatements(profile), ...made.flatMap((one) => inProfile(one, profile, names))];
}

/**
 * The migrations that `migrate` would apply: those that never were, and those of which a table or view is gone. Changes
 * nothing; the client may be in no database. Refuses a database whose applied migrations differ from ours, and one that
 * was made in another profile (usage).
 */
export async function pendingMigrations(clickhouse: ClickHouse, profile: Profile): Promise<Migration[]> {
  const { database } = profile;
  await requireProfile(clickhouse, profile);
  const status = await migrationStatus(clickhouse, database);
  const changed = status.filter((one) => one.state === "changed").map((one) => one.name);
  if (changed.length > 0) {
    throw new LatecomerError(
      "SCHEMA_CHANGED",
      "usage",
      `the database ${database} was made by other versions of ${
        changed.join(", ")
      }: use the Latecomer that made it, or another database`,
    );
  }
  const rows = await clickhouse.rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = {database:String}",
    { database },
  );
  const present = new Set(rows.map(({ name }) => name));
  const isWhole = ({ statements }: Migration) => [...namesIn(statements)].every((name) => present.has(name));
  return status.filter((one) => one.state === "pending" || !isWhole(one));
}

/**
 * Applies what is pending and returns the names applied. Statements are safe to repeat, so a run that died
 * half-way is taken up by the next. Refuses what `pendingMigrations` refuses, before the first change.
 */
export async function migrate(clickhouse: ClickHouse, profile: Profile): Promise<string[]> {
  const pending = await pendingMigrations(clickhouse, profile);
  const names = namesIn(allStatements());
  for (const statement of inProfile(MEMORY, profile, names)) await clickhouse.command(statement);
  for (const { name, checksum, statements } of pending) {
    for (const statement of statements.flatMap((one) => inProfile(one, profile, names))) {
      await clickhouse.command(statement);
    }
    await clickhouse.insert("schema_migrations", ["name", "checksum"], [{ name, checksum }]);
  }
  return pending.map((one) => one.name);
}

/** Throws OTHER_PROFILE (usage) where the tables that there are were made in another profile. */
export async function requireProfile(clickhouse: ClickHouse, { database, cluster }: Profile): Promise<void> {
  const isMadeOnCluster = await isOnCluster(clickhouse, database);
  if (isMadeOnCluster === undefined || isMadeOnCluster === (cluster !== "")) return;
  const why = cluster === "" ? "on a cluster: name it (--cluster)" : "on a single server: leave out --cluster";
  throw new LatecomerError("OTHER_PROFILE", "usage", `the database ${database} was made ${why}`);
}

/** The warehouse's retention in days, by the column that it counts from. */
const RETENTION_DAYS: readonly { readonly table: string; readonly column: string; readonly days: number }[] = [
  { table: "raw_streaming_events", column: "stream_ts", days: 90 },
  { table: "raw_streaming_events_dlq", column: "source_record_timestamp", days: 30 },
  { table: "raw_unknown_events", column: "ingest_timestamp", days: 90 },
  { table: "raw_ai_stream_status", column: "event_timestamp", days: 90 },
  { table: "raw_stream_trace_events", column: "event_timestamp", days: 90 },
  { table: "raw_ai_stream_events", column: "event_timestamp", days: 90 },
  { table: "raw_stream_ingest_metrics", column: "event_timestamp", days: 90 },
  { table: "raw_discovery_results", column: "event_timestamp", days: 30 },
  { table: "raw_payment_events", column: "event_timestamp", days: 90 },
  { table: "raw_network_capabilities", column: "event_timestamp", days: 90 },
  { table: "raw_network_capabilities_advertised", column: "event_timestamp", days: 365 },
  { table: "raw_network_capabilities_model_constraints", column: "event_timestamp", days: 365 },
  { table: "raw_network_capabilities_prices", column: "event_timestamp", days: 365 },
  { table: "dim_orchestrator_capability_snapshots", column: "snapshot_ts", days: 365 },
  { table: "agg_stream_performance_1m", column: "window_start", days: 365 },
  ...FACTS.map(({ table, time, retentionDays }) => ({ table, column: time, days: retentionDays })),
];

/**
 * Sets or removes the retention of every table. `auto` follows the engine: a server keeps the contract, the
 * embedded engine keeps everything, for what is replayed there is often older than the contract's days.
 */
export async function applyRetention(clickhouse: ClickHouse, config: Config): Promise<void> {
  const isEmbedded = embeddedFolder(config.clickhouseUrl) !== undefined;
  const keep = config.tableRetention === "none" || (config.tableRetention === "auto" && isEmbedded);
  for (const { table, column, days } of RETENTION_DAYS) {
    const hasTtl = await expires(clickhouse, config.database, table);
    if (keep && !hasTtl) continue;
    const change = keep ? "REMOVE TTL" : `MODIFY TTL toDateTime(${column}) + INTERVAL ${days} DAY`;
    const statements = inProfile(`ALTER TABLE ${table} ${change}`, config, new Set());
    for (const statement of statements) await clickhouse.command(statement);
  }
}

/** The instant, by the clock of the database, before which a table's retention may have dropped rows; 0 for never. */
export async function retainedSince(clickhouse: ClickHouse, database: string, table: string): Promise<number> {
  const retention = RETENTION_DAYS.find((one) => one.table === table);
  if (retention === undefined || !(await expires(clickhouse, database, table))) return 0;
  const [row] = await clickhouse.rows<{ since: string }>(
    "SELECT toUnixTimestamp64Milli(now64(3) - toIntervalDay({days:UInt16})) AS since",
    { days: retention.days },
  );
  return Number(row?.since);
}

async function expires(clickhouse: ClickHouse, database: string, table: string): Promise<boolean> {
  const [row] = await clickhouse.rows<{ hasTtl: number | string }>(
    // On a cluster the rows are in the local table.
    `SELECT max(position(create_table_query, ' TTL ') > 0) AS hasTtl FROM system.tables
     WHERE database = {database:String} AND name IN ({table:String}, {local:String})`,
    { database, table, local: `${table}_local` },
  );
  return Number(row?.hasTtl) > 0;
}
