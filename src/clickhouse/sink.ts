/**
 * Rows into tables. Every insert names its columns; a repeat is harmless, since rows fold by their keys.
 *
 * Rows of a fact that somebody else writes are withheld (see writer.ts). Who writes it is asked at most once a second and
 * never for a batch alone; so a sink that is told to stop has decided its last insert after a second.
 */
import { count, type Counts } from "../core/effects.ts";
import type { Table } from "../core/emit/row.ts";
import { factOf } from "../core/facts.ts";
import type { Clock, Log, Sink } from "../ports.ts";
import { beginBatch } from "./batch.ts";
import type { ClickHouse, Insert } from "./client.ts";

/** How old what a sink knows of the writers may be. */
const WRITERS_MAX_AGE_MS = 1_000;

/**
 * When a change of writer has reached every processor: they know it after a second, and the insert that they decided on
 * just before takes milliseconds. One that hangs for longer lands late, with rows that are right all the same.
 */
export const HANDED_OVER_MS = 3_000;

export interface SinkPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** Where withheld rows are counted, as `rows_withheld`. */
  readonly counts: Counts;
  /** Told of every insert; one that failed has stored no row. */
  readonly onInserted?: (table: Table, rowCount: number, tookMs: number) => void;
}

export function openSink(clickhouse: ClickHouse, { clock, log, counts, onInserted }: SinkPorts): Sink {
  clickhouse.learn().catch(() => {}); // Inserts ask again.
  const writerOf = knownWriters(clickhouse, clock);
  /** Rows withheld since the fact was last ours. */
  const withheld = new Map<Table, number>();
  const run = async (table: Table, insert: Insert) => {
    const { rowCount } = insert;
    if (factOf(table) !== undefined) {
      const writer = await writerOf(table);
      const before = withheld.get(table);
      if (writer !== "latecomer") {
        if (before === undefined) log.warn({ fact: table, writer }, "another writes this fact: its rows are withheld");
        withheld.set(table, (before ?? 0) + rowCount);
        count(counts, "rows_withheld", rowCount);
        return;
      }
      if (before !== undefined) log.info({ fact: table, withheld: before }, "this fact is written again");
      withheld.delete(table);
    }
    const startedAt = clock.now();
    let stored = 0;
    try {
      await insert.run();
      stored = rowCount;
    } finally {
      onInserted?.(table, stored, clock.now() - startedAt);
    }
  };
  return { begin: () => beginBatch({ prepare: (table, columns) => clickhouse.prepare(table, columns), run }) };
}

/** Answers who writes a fact, `""` when nobody does, from what was asked within the last second. */
function knownWriters(clickhouse: ClickHouse, clock: Clock): (fact: string) => Promise<string> {
  let askedAt = -Infinity;
  let answer: Promise<ReadonlyMap<string, string>> | undefined;
  const ask = async () => {
    const rows = await clickhouse.rows<{ fact: string; writer: string }>(
      "SELECT fact, writer FROM attribution_writer FINAL",
    );
    return new Map(rows.map(({ fact, writer }) => [fact, writer]));
  };
  return async (fact) => {
    if (answer === undefined || clock.now() - askedAt >= WRITERS_MAX_AGE_MS) {
      askedAt = clock.now();
      answer = ask();
    }
    const asked = answer;
    try {
      return (await asked).get(fact) ?? "";
    } catch (error) {
      // Whoever tries again asks again.
      if (answer === asked) answer = undefined;
      throw error;
    }
  };
}
