/**
 * The tables of a replay, beside the live ones and never in their way:
 *
 *     <fact>__replay_<id>       the rows that the replay derives
 *     messages__replay_<id>     which message of the range is which event
 *     snapshots__replay_<id>    the snapshots that it knows
 *     left_out__replay_<id>     the sessions that the range does not hold whole, of which it derives nothing
 *
 * The last three tell the rows of the range from others, and the evidence that the stream has lost from what it holds.
 * Rows are compared and copied in slices by a hash of their key, so that no query holds more than one in memory.
 */
import { type Fact, factOf, FACTS } from "../core/facts.ts";
import type { Identity } from "../core/identity.ts";
import type { Minute } from "../core/minute.ts";
import type { IncompleteSession, RowBatch, SequenceRange, Sink } from "../ports.ts";
import { beginBatch } from "./batch.ts";
import type { ClickHouse } from "./client.ts";
import { requireSingleServer } from "./cluster.ts";
import { contentColumns, type Digest, digests, insertedColumns } from "./digest.ts";
import { requireLatecomer } from "./writer.ts";

/** Rows of one slice, and sequences looked at together: some hundred megabytes in the engine at most. */
const SLICE_ROWS = 200_000;
const SLICE_SEQUENCES = 200_000;

/** A column of a row in both places, as text; null is NULL, undefined that there is no row. */
export interface ColumnPair {
  readonly column: string;
  readonly replay: string | null | undefined;
  readonly live: string | null | undefined;
}

/** A row that the replay and the live table have otherwise. Versions are decimal text, null where there is no row. */
export interface RowPair {
  readonly table: string;
  readonly key: Readonly<Record<string, string>>;
  readonly replayVersion: string | null;
  readonly liveVersion: string | null;
  /** True when the live row rests on a snapshot that the replay does not know. */
  readonly isForeign: boolean;
  /** The columns that differ. */
  readonly columns: readonly ColumnPair[];
}

/** What a back-fill did to a live table. */
export interface Applied {
  readonly table: string;
  readonly written: number;
  readonly tombstones: number;
  /** Live rows that stay because they rest on snapshots that the replay does not know: expired ones, or later ones. */
  readonly kept: number;
}

export class ShadowTables implements Sink {
  readonly #clickhouse: ClickHouse;
  readonly #database: string;
  readonly #id: string;
  readonly #range: SequenceRange;

  /** The id is part of table names: lower-case letters and digits. */
  constructor(clickhouse: ClickHouse, database: string, id: string, range: SequenceRange) {
    this.#clickhouse = clickhouse;
    this.#database = database;
    this.#id = id;
    this.#range = range;
  }

  /** Makes the tables that are not there yet. */
  async create(): Promise<void> {
    await requireSingleServer(this.#clickhouse, this.#database, "a replay");
    for (const { table } of FACTS) {
      await this.#clickhouse.command(`CREATE TABLE IF NOT EXISTS ${this.#name(table)} AS ${table}`);
    }
    await this.#clickhouse.command(
      `CREATE TABLE IF NOT EXISTS ${this.#name("messages")}
       (stream_sequence UInt64, stream_ts DateTime64(3, 'UTC'), source LowCardinality(String), uid String)
       ENGINE = ReplacingMergeTree ORDER BY (stream_sequence, source, uid)`,
    );
    await this.#clickhouse.command(
      `CREATE TABLE IF NOT EXISTS ${this.#name("snapshots")} (source LowCardinality(String), uid String)
       ENGINE = ReplacingMergeTree ORDER BY (source, uid)`,
    );
    await this.#clickhouse.command(
      `CREATE TABLE IF NOT EXISTS ${this.#name("left_out")}
       (source LowCardinality(String), session String, why LowCardinality(String), stream_sequence UInt64)
       ENGINE = ReplacingMergeTree ORDER BY (source, session)`,
    );
    await this.#clickhouse.learn();
  }

  async drop(): Promise<void> {
    for (const table of [...FACTS.map((fact) => fact.table), "messages", "snapshots", "left_out"]) {
      await this.#clickhouse.command(`DROP TABLE IF EXISTS ${this.#name(table)}`);
    }
  }

  /** Takes the rows of facts, and of the archive who is who; everything else a replay has no use for. */
  begin(): RowBatch {
    return beginBatch({
      prepare: (table, columns) => {
        if (table === "raw_streaming_events") {
          return this.#clickhouse.prepare(this.#name("messages"), ["stream_sequence", "stream_ts", "source", "uid"]);
        }
        return factOf(table) === undefined ? undefined : this.#clickhouse.prepare(this.#name(table), columns);
      },
      run: (_, insert) => insert.run(),
    });
  }

  async noteSnapshots(snapshots: readonly Identity[]): Promise<void> {
    const rows = snapshots.map(({ source, uid }) => ({ source, uid }));
    await this.#clickhouse.insert(this.#name("snapshots"), ["source", "uid"], rows);
  }

  async noteLeftOut(sessions: readonly IncompleteSession[]): Promise<void> {
    const rows = sessions.map((one) => [one.source, one.sessionKey, one.why, one.streamSequence]);
    await this.#clickhouse.insert(this.#name("left_out"), ["source", "session", "why", "stream_sequence"], rows);
  }

  /** The sessions that were noted, by source and key. */
  async leftOut(): Promise<IncompleteSession[]> {
    const rows = await this.#clickhouse.rows<IncompleteSession & { readonly sequence: string }>(
      `SELECT source, session AS sessionKey, why, stream_sequence AS sequence FROM ${this.#name("left_out")} FINAL
       ORDER BY source, session`,
    );
    return rows.map(({ sequence, ...one }) => ({ ...one, streamSequence: Number(sequence) }));
  }

  /** The digest of the derived rows of every fact. */
  digests(): Promise<Digest[]> {
    return digests(this.#clickhouse, this.#database, {}, (table) => this.#name(table));
  }

  /** Every row that differs from the live one, fact by fact, slice by slice. */
  async *differences(): AsyncGenerator<RowPair[]> {
    for (const fact of FACTS) {
      const content = await contentColumns(this.#clickhouse, this.#database, fact.table);
      const values = `[${content.map((column) => `toString(${column})`).join(", ")}]`;
      for await (const pairs of this.#differing(fact, content, values)) yield pairs;
      for (const chunk of this.#chunks()) {
        const rows = await this.#clickhouse.rows<{ keys: string[]; version: string; live: (string | null)[] }>(
          `SELECT [${asTexts(fact.key)}] AS keys, version, ${values} AS live
           FROM ${fact.table} FINAL WHERE ${this.#isUnfounded(fact)} ORDER BY keys`,
          chunk,
        );
        yield rows.map(({ keys, version, live }) => ({
          table: fact.table,
          key: named(fact.key, keys),
          replayVersion: null,
          liveVersion: version,
          isForeign: false,
          columns: content.map((column, at) => ({ column, replay: undefined, live: live[at]! })),
        }));
      }
    }
  }

  /**
   * Puts the derived rows into the live tables, and a tombstone under this generation in the place of every row of the
   * range that none of its events yields. Live rows on greater evidence that the replay does not know stay. Repeating
   * it changes nothing. Throws NOT_THE_WRITER (usage) unless Latecomer is the writer of every fact.
   */
  async apply(generation: number): Promise<Applied[]> {
    await requireLatecomer(this.#clickhouse, this.#database);
    const results: Applied[] = [];
    for (const fact of FACTS) {
      const columns = await insertedColumns(this.#clickhouse, this.#database, fact.table);
      const list = columns.join(", ");
      let [written, kept, tombstones] = [0, 0, 0];
      for (const slice of await this.#slices(fact)) {
        const joined = this.#joined(fact, "*", "version");
        const isKept = `live.version > 0 AND ${this.#isForeign} AND
          ${evidenceIn("live.version")} > ${evidenceIn("replay.version")}`;
        const [counts] = await this.#clickhouse.rows<{ written: string; kept: string }>(
          `SELECT countIf(NOT (${isKept})) AS written, countIf(${isKept}) AS kept FROM ${joined}`,
          slice,
        );
        written += Number(counts?.written);
        kept += Number(counts?.kept);
        const chosen = columns.map((column) => `replay.${column}`).join(", ");
        await this.#clickhouse.command(
          `INSERT INTO ${fact.table} (${list}) SELECT ${chosen} FROM ${joined} WHERE NOT (${isKept})`,
          slice,
        );
      }
      const buried = columns.map((column) => {
        if (column === "version") return "bitShiftLeft(toUInt128({generation:UInt16}), 116)";
        return column === "is_deleted" ? "1" : column;
      }).join(", ");
      for (const chunk of this.#chunks()) {
        const from = `FROM ${fact.table} FINAL WHERE ${this.#isUnfounded(fact)}`;
        const [counted] = await this.#clickhouse.rows<{ n: string }>(`SELECT count() AS n ${from}`, chunk);
        if (Number(counted?.n) === 0) continue;
        tombstones += Number(counted?.n);
        const params = { ...chunk, generation };
        await this.#clickhouse.command(`INSERT INTO ${fact.table} (${list}) SELECT ${buried} ${from}`, params);
      }
      results.push({ table: fact.table, written, tombstones, kept });
    }
    return results;
  }

  /**
   * The minutes of the rollup in which rows of this generation lie: what a back-fill copied or buried, and what live
   * processors wrote since, which does no harm.
   */
  async changedMinutes(generation: number): Promise<Minute[]> {
    const rows = await this.#clickhouse.rows<{ source: string; minute: string }>(
      `SELECT DISTINCT source, toUnixTimestamp(toStartOfMinute(sample_ts)) AS minute
       FROM fact_stream_status_samples
       WHERE bitShiftRight(version, 116) = {generation:UInt16}
       ORDER BY source, minute`,
      { generation },
    );
    return rows.map(({ source, minute }) => ({ source, startMs: Number(minute) * 1_000 }));
  }

  #name(table: string): string {
    return `${table}__replay_${this.#id}`;
  }

  async *#differing(fact: Fact, content: readonly string[], values: string): AsyncGenerator<RowPair[]> {
    const compared = `${values} AS texts, sipHash128(tuple(${content.join(", ")})) AS hash, version`;
    const joined = this.#joined(fact, compared, compared);
    for (const slice of await this.#slices(fact)) {
      const rows = await this.#clickhouse.rows<DifferingRow>(
        `SELECT replay.keys AS keys, replay.texts AS replay, live.texts AS live, replay.version AS replayVersion,
                live.version AS liveVersion, ${this.#isForeign} AS isForeign
         FROM ${joined} WHERE replay.hash != live.hash ORDER BY keys`,
        slice,
      );
      yield rows.map(({ keys, replay, live, replayVersion, liveVersion, isForeign }) => {
        // No row that was ever written has the version 0: its generation is 1 at least.
        const isMissing = liveVersion === "0";
        const columns = content
          .map((column, at) => ({ column, replay: replay[at]!, live: isMissing ? undefined : live[at]! }))
          .filter((pair) => pair.replay !== pair.live);
        return {
          table: fact.table,
          key: named(fact.key, keys),
          replayVersion,
          liveVersion: isMissing ? null : liveVersion,
          isForeign: isForeign === 1,
          columns,
        };
      });
    }
  }

  /** The derived rows of a slice, each with the live row of its key. */
  #joined(fact: Fact, ofReplay: string, ofLive: string): string {
    const inSlice = `cityHash64(${fact.key.join(", ")}) % {slices:UInt32} = {slice:UInt32}`;
    const keys = `[${asTexts(fact.key)}] AS keys`;
    // The time of an event never changes, that of a session may.
    const within = fact.event === "source_event_uid"
      ? `${fact.time} BETWEEN fromUnixTimestamp64Milli({from:Int64}) AND fromUnixTimestamp64Milli({to:Int64})`
      : "1";
    const rests = `${fact.snapshots}::Array(String) AS snapshots`;
    return `(SELECT ${ofReplay}, ${keys}, source AS of FROM ${this.#name(fact.table)} FINAL WHERE ${inSlice}) AS replay
      LEFT JOIN (SELECT ${ofLive}, ${rests}, ${keys} FROM ${fact.table} FINAL WHERE ${within} AND ${inSlice}) AS live
      ON replay.keys = live.keys`;
  }

  /** Of a joined row: whether the live one rests on a snapshot that the replay does not know. */
  get #isForeign(): string {
    const known = `SELECT source, uid FROM ${this.#name("snapshots")}`;
    return `arrayExists(uid -> uid != '' AND (replay.of, uid) NOT IN (${known}), live.snapshots)`;
  }

  /** Of a live row: whether its event is one of the range's messages, by the archive, and none of them yields it. */
  #isUnfounded({ table, key, event }: Fact): string {
    const within = "stream_sequence BETWEEN {fromSeq:UInt64} AND {toSeq:UInt64}";
    return `(source, ${event}) IN (
        SELECT source, uid FROM raw_streaming_events
        WHERE ${within} AND (stream_sequence, stream_ts) IN (
          SELECT stream_sequence, stream_ts FROM ${this.#name("messages")} WHERE ${within}))
      AND (source, workflow_session_id) NOT IN (SELECT source, session FROM ${this.#name("left_out")})
      AND (${key.join(", ")}) NOT IN (SELECT ${key.join(", ")} FROM ${this.#name(table)})`;
  }

  /** The slices of the derived rows, with the event times between which all of them lie. */
  async #slices({ table, time }: Fact): Promise<Readonly<Record<string, string | number>>[]> {
    const [row] = await this.#clickhouse.rows<{ n: string; from: string; to: string }>(
      `SELECT count() AS n, toUnixTimestamp64Milli(min(${time})) AS from, toUnixTimestamp64Milli(max(${time})) AS to
       FROM ${this.#name(table)}`,
    );
    const slices = Math.ceil(Number(row?.n ?? 0) / SLICE_ROWS);
    return Array.from({ length: slices }, (_, slice) => ({ slice, slices, from: row!.from, to: row!.to }));
  }

  *#chunks(): Generator<{ readonly fromSeq: number; readonly toSeq: number }> {
    for (let fromSeq = this.#range.fromSeq; fromSeq <= this.#range.toSeq; fromSeq += SLICE_SEQUENCES) {
      yield { fromSeq, toSeq: Math.min(fromSeq + SLICE_SEQUENCES - 1, this.#range.toSeq) };
    }
  }
}

interface DifferingRow {
  readonly keys: string[];
  readonly replay: (string | null)[];
  readonly live: (string | null)[];
  readonly replayVersion: string;
  readonly liveVersion: string;
  readonly isForeign: number;
}

function asTexts(columns: readonly string[]): string {
  return columns.map((column) => `toString(${column})`).join(", ");
}

/** The evidence in a version: all but its upper 12 bits. */
function evidenceIn(version: string): string {
  return `(${version} - bitShiftLeft(bitShiftRight(${version}, 116), 116))`;
}

function named(columns: readonly string[], values: readonly string[]): Record<string, string> {
  return Object.fromEntries(columns.map((column, at) => [column, values[at]!]));
}
