/**
 * The schema on a cluster: the statements of the migrations, each made into what a cluster needs in its place. There is
 * no second copy of the schema.
 *
 * A table becomes two: `<name>_local`, replicated, on every server, and `<name>`, a `Distributed` table over them that
 * everything else reads and writes; so views and inserts are the same in both profiles. A row is sent to a shard by a hash
 * of what its whole key depends on: of its session where the key has one, else of its event, else of its minute, whose
 * rows replace each other together, else of the whole sorting key. All versions of a row therefore lie on one shard, and
 * `FINAL`, which each shard applies to what it holds, folds them all; a view that reads `FINAL` of a Distributed table is
 * right because of that, and only because of that.
 *
 * Every name is qualified: a server that runs a statement for the cluster does not know our database.
 */
import { LatecomerError } from "../errors.ts";
import type { ClickHouse } from "./client.ts";

/** Where the statements go. */
export interface Profile {
  readonly database: string;
  /** The cluster's name in the servers' configuration, `""` for a single server. */
  readonly cluster: string;
}

/** What a row's whole key is a function of, the first that the sorting key has. */
const SHARDED_BY = ["workflow_session_id", "raw_event_uid", "source_event_uid", "event_uid", "uid", "window_start"];

/**
 * The statements to run in the place of one of the schema's: itself on a single server. `names` are the tables and views
 * of the schema. Throws NO_CLUSTER_FORM (fatal) for a kind of statement that was never met.
 */
export function inProfile(statement: string, { database, cluster }: Profile, names: ReadonlySet<string>): string[] {
  if (cluster === "") return [statement];
  const text = statement.replace(/^(--[^\n]*\n|\s+)+/, "");
  const [, verb, name, rest] =
    /^(CREATE DATABASE|CREATE TABLE|CREATE VIEW|ALTER TABLE)(?: IF NOT EXISTS)? (\w+)(.*)$/s.exec(text) ?? [];
  if (name === undefined || rest === undefined) throw noForm(text);
  const onCluster = `ON CLUSTER ${cluster}`;
  switch (verb) {
    case "CREATE DATABASE":
      return [`CREATE DATABASE IF NOT EXISTS ${name} ${onCluster}`];
    case "CREATE VIEW":
      return [`CREATE VIEW IF NOT EXISTS ${database}.${name} ${onCluster}${qualified(rest, database, names)}`];
    case "ALTER TABLE":
      // Rows lie in the local tables, and so does their retention; nothing else changes a table yet.
      if (!/^ ((MODIFY|REMOVE) TTL|DELETE)\b/.test(rest)) throw noForm(text);
      return [`ALTER TABLE ${database}.${name}_local ${onCluster}${rest}`];
    default: {
      const sorting = /^\s*ORDER BY (.+)$/ms.exec(rest)?.[1];
      const engine = /^(\s*ENGINE = )(\w*MergeTree)(?:\((.*?)\))?(\s)/m;
      if (sorting === undefined || !engine.test(rest)) throw noForm(text);
      const replicated = rest.replace(engine, (_, before: string, kind: string, columns: string | undefined, after) => {
        const path = `'/clickhouse/tables/{shard}/${database}/${name}_local', '{replica}'`;
        return `${before}Replicated${kind}(${columns === undefined ? path : `${path}, ${columns}`})${after}`;
      });
      const local = `${database}.${name}_local`;
      const hashed = `Distributed('${cluster}', '${database}', '${name}_local', ${shardingKey(sorting)})`;
      return [
        `CREATE TABLE IF NOT EXISTS ${local} ${onCluster}${replicated}`,
        `CREATE TABLE IF NOT EXISTS ${database}.${name} ${onCluster} AS ${local}\nENGINE = ${hashed}`,
      ];
    }
  }
}

/** Throws CLUSTER_UNKNOWN (usage) for the name of a cluster that the server's configuration does not have. */
export async function requireCluster(clickhouse: ClickHouse, cluster: string): Promise<void> {
  if (cluster === "") return;
  const rows = await clickhouse.rows<{ name: string }>(
    "SELECT DISTINCT cluster AS name FROM system.clusters ORDER BY name",
  );
  const names = rows.map(({ name }) => name);
  if (names.includes(cluster)) return;
  const known = names.length === 0 ? "none" : names.join(", ");
  throw new LatecomerError(
    "CLUSTER_UNKNOWN",
    "usage",
    `${clickhouse.description} knows no cluster "${cluster}": LATECOMER_CLUSTER is to name one of its configuration (${known})`,
  );
}

/** Whether a database was made on a cluster; undefined when there is no schema yet. */
export async function isOnCluster(clickhouse: ClickHouse, database: string): Promise<boolean | undefined> {
  const [memory] = await clickhouse.rows<{ engine: string }>(
    "SELECT engine FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'",
    { database },
  );
  return memory === undefined ? undefined : memory.engine === "Distributed";
}

/**
 * Throws ON_A_CLUSTER (usage) when a database was made on one. For what makes objects of its own beside the schema's:
 * a table made like a Distributed one would be a second door to the same rows.
 */
export async function requireSingleServer(clickhouse: ClickHouse, database: string, what: string): Promise<void> {
  if (await isOnCluster(clickhouse, database) !== true) return;
  throw new LatecomerError(
    "ON_A_CLUSTER",
    "usage",
    `${what} works on a single server only, and ${database} is on a cluster`,
  );
}

/** The hash by which rows of a table go to shards, from what follows `ORDER BY`. */
export function shardingKey(sorting: string): string {
  const columns = sorting.trim().replace(/^\(([\s\S]*)\)$/, "$1").replace(/\s+/g, " ");
  const unit = SHARDED_BY.find((column) => new RegExp(`\\b${column}\\b`).test(columns));
  return `cityHash64(${unit === undefined ? columns : `source, ${unit}`})`;
}

function qualified(select: string, database: string, names: ReadonlySet<string>): string {
  return select.replace(
    /\b(FROM|JOIN)(\s+)(\w+)\b/g,
    (whole, word: string, space: string, name: string) =>
      names.has(name) ? `${word}${space}${database}.${name}` : whole,
  );
}

function noForm(text: string): LatecomerError {
  return new LatecomerError(
    "NO_CLUSTER_FORM",
    "fatal",
    `this statement has no form for a cluster: ${text.slice(0, 80)}`,
  );
}
