/**
 * The single authoritative writer of each fact, as the table `attribution_writer` says and as the views show that are
 * there. A fact of which these two do not agree is in doubt: nothing hands it over until somebody says how to mend it.
 */
import { FACTS, type FactTable } from "../core/facts.ts";
import { LatecomerError } from "../errors.ts";
import type { ClickHouse } from "./client.ts";
import { LEGACY_VIEWS } from "./legacy.ts";

/** Who can write a fact: our processors, or the view of `sql/legacy` that enriches at insert time. */
export type Writer = "latecomer" | "mv";

/** What is known of who writes a fact. */
export interface FactWriter {
  readonly fact: FactTable;
  /** As its row says, undefined when it has none. */
  readonly writer: string | undefined;
  /** Since when, in Unix milliseconds by the clock of the database; 0 without a row. */
  readonly sinceMs: number;
  /** The materialized views that write into it, as `database.name`, quoted where SQL needs it. */
  readonly views: readonly string[];
  /** Why it is not certain who writes it, and the command that mends it; undefined when it is. */
  readonly doubt: { readonly why: string; readonly fix: string } | undefined;
}

/** The writer of every fact. Throws when the table is not there. */
export async function factWriters(clickhouse: ClickHouse, database: string): Promise<FactWriter[]> {
  const rows = await clickhouse.rows<{ fact: string; writer: string; since: string }>(
    "SELECT fact, writer, toUnixTimestamp64Milli(since) AS since FROM attribution_writer FINAL",
  );
  const statements = await clickhouse.rows<{ statement: string }>(
    `SELECT create_table_query AS statement FROM system.tables WHERE engine = 'MaterializedView'
     ORDER BY database, name`,
  );
  const views = statements.map(({ statement }) => ({
    view: /^CREATE MATERIALIZED VIEW (\S+)/.exec(statement)![1]!,
    target: / TO (\S+)/.exec(statement)?.[1],
  }));
  return FACTS.map(({ table }) => {
    const row = rows.find(({ fact }) => fact === table);
    const found = {
      fact: table,
      writer: row?.writer,
      sinceMs: Number(row?.since ?? 0),
      views: views.filter(({ target }) => target === `${database}.${table}`).map(({ view }) => view),
    };
    return { ...found, doubt: doubtOf(found, database) };
  });
}

function doubtOf({ fact, writer, views }: Omit<FactWriter, "doubt">, database: string): FactWriter["doubt"] {
  const own = LEGACY_VIEWS.find((view) => view.fact === fact);
  const shown = views.join(", ");
  const toLatecomer = "latecomer cutover to latecomer --force";
  if (writer === undefined) return { why: "attribution_writer has no row of it", fix: "latecomer init" };
  if (writer === "latecomer") {
    return views.length === 0 ? undefined : { why: `it is latecomer's, and ${shown} writes it too`, fix: toLatecomer };
  }
  if (writer !== "mv") return { why: `its writer is "${writer}", and nobody knows who that is`, fix: toLatecomer };
  if (own === undefined) {
    return { why: "it is said to be written by a view, and there is none for it", fix: toLatecomer };
  }
  if (views.length === 0) {
    return { why: `it is said to be written by a view that is not there`, fix: "latecomer cutover to mv --force" };
  }
  if (shown === `${database}.${own.name}`) return undefined;
  return { why: `it is written by ${shown}, expected ${database}.${own.name} alone`, fix: toLatecomer };
}

/** Makes somebody the writer of facts, from now on by the clock of the database; the newest row counts. */
export async function setWriter(clickhouse: ClickHouse, facts: readonly FactTable[], writer: Writer): Promise<void> {
  await clickhouse.command(
    `INSERT INTO attribution_writer (fact, writer, since)
     SELECT
         arrayJoin({facts:Array(String)}),
         {writer:String},
         greatest(now64(3, 'UTC'), (SELECT max(since) FROM attribution_writer) + toIntervalMillisecond(1))`,
    { facts, writer },
  );
}

/** Gives the facts that nobody has yet to Latecomer. */
export async function ensureWriters(clickhouse: ClickHouse, database: string): Promise<void> {
  const without = (await factWriters(clickhouse, database)).filter(({ writer }) => writer === undefined);
  if (without.length > 0) await setWriter(clickhouse, without.map(({ fact }) => fact), "latecomer");
}

/** Throws NOT_THE_WRITER (usage) unless Latecomer, and certainly nobody else, writes every fact. */
export async function requireLatecomer(clickhouse: ClickHouse, database: string): Promise<void> {
  for (const { fact, writer, doubt } of await factWriters(clickhouse, database)) {
    if (doubt === undefined && writer === "latecomer") continue;
    const [why, fix] = doubt === undefined
      ? [`it is written by ${writer}`, "latecomer cutover to latecomer"]
      : [doubt.why, doubt.fix];
    throw new LatecomerError("NOT_THE_WRITER", "usage", `Latecomer may not write ${fact}: ${why}; ${fix}`);
  }
}
