/**
 * What the tables and views of a database are, against what the migrations say. Both are written by the same formatter,
 * the engine's own, so that no definition is kept twice; what the engine adds by itself is left aside.
 */
import type { ClickHouse } from "./client.ts";
import { isOnCluster } from "./cluster.ts";
import { madeBy, migrations } from "./migrate.ts";

export interface Drift {
  readonly name: string;
  readonly kind: "table" | "view";
  readonly problem: "missing" | "differs";
}

/** What drifted. On a cluster definitions have other engines and are not compared: only whether they are there. */
export async function schemaDrift(clickhouse: ClickHouse, database: string): Promise<Drift[]> {
  const rows = await clickhouse.rows<{ name: string; made: string }>(
    `SELECT name, formatQuerySingleLine(create_table_query) AS made FROM system.tables
     WHERE database = {database:String} AND engine != '' AND create_table_query != ''`,
    { database },
  );
  const present = new Map(rows.map(({ name, made }) => [name, made]));
  const compares = await isOnCluster(clickhouse, database) !== true;
  const drift: Drift[] = [];
  for (const statement of migrations().flatMap(({ statements }) => statements)) {
    const object = madeBy(statement);
    if (object === undefined) continue;
    const made = present.get(object.name);
    if (made === undefined) drift.push({ ...object, problem: "missing" });
    else if (compares && essence(made, database) !== essence(await formatted(clickhouse, statement), database)) {
      drift.push({ ...object, problem: "differs" });
    }
  }
  return drift;
}

async function formatted(clickhouse: ClickHouse, statement: string): Promise<string> {
  // Parameters travel in the URL: no byte more than needed.
  const bare = statement.replace(/--[^\n]*/g, "").replace(/\s+/g, " ").trim();
  const [row] = await clickhouse.rows<{ text: string }>("SELECT formatQuerySingleLine({bare:String}) AS text", {
    bare,
  });
  return row!.text;
}

/** A formatted definition without what the engine adds, and without the retention, which is a setting. */
function essence(definition: string, database: string): string {
  const text = definition
    .replaceAll(`${database}.`, "")
    .replace(/^CREATE (TABLE|VIEW) (IF NOT EXISTS )?/, "CREATE $1 ")
    .replace(/^(CREATE VIEW \w+) \(.*?\)( DEFINER = \w+)?( SQL SECURITY \w+)? AS /, "$1 AS ")
    .replace(/ TTL toDateTime\(\w+\) \+ toIntervalDay\(\d+\)/, "")
    .replace(/ SETTINGS index_granularity = 8192$/, "");
  return unnested(text);
}

/** Nested columns as the engine keeps them: an array for each member. */
function unnested(text: string): string {
  const found = /`(\w+)` Nested\(/.exec(text);
  if (found === null) return text;
  const [members, rest] = membersOf(text.slice(found.index + found[0].length));
  const arrays = members.map((one) => one.replace(/^`?(\w+)`? (.*)$/, `\`${found[1]}.$1\` Array($2)`));
  return text.slice(0, found.index) + arrays.join(", ") + unnested(rest);
}

/** What stands before the parenthesis that closes, by its commas, and what stands behind it. */
function membersOf(text: string): [members: string[], rest: string] {
  const members: string[] = [];
  let [depth, from, at] = [0, 0, 0];
  for (; depth >= 0; at++) {
    const char = text[at];
    if (char === "(") depth++;
    if (char === ")" || char === undefined) depth--;
    if (depth < 0 || (char === "," && depth === 0)) {
      members.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  return [members, text.slice(at)];
}
