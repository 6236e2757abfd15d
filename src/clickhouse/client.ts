/**
 * The one place that makes a ClickHouse client. Everything else talks to the small interface below, which behaves
 * the same in front of a server and of the engine embedded in this process.
 */
import { maskUrl } from "../secrets.ts";
import { openEmbedded } from "./embedded.ts";
import type { Engine, OpenOptions, Params } from "./engine.ts";
import { type Attempt, translateError } from "./errors.ts";
import { ColumnTypes, PreparedInsert } from "./insert.ts";
import type { InsertRow } from "./native.ts";
import { openServer } from "./server.ts";

export type { OpenOptions, Params } from "./engine.ts";

/**
 * A ClickHouse server, or the embedded engine. Every failure is a `LatecomerError`: `retryable` when the server
 * could not be reached or said "not now", else `fatal`. Messages hold neither row contents nor passwords.
 * SQL comes from our code alone; values are always bound as parameters.
 */
export interface ClickHouse {
  /** The URL it was opened with, without user and password. */
  readonly description: string;
  /** Runs one statement that returns no rows, and resolves when the server has finished it. */
  command(sql: string, params?: Params): Promise<void>;
  /**
   * Runs one query without a FORMAT clause. 64-bit and wider integers come as decimal text. The whole result is
   * held in memory, so page by key what may be large.
   */
  rows<T = Record<string, unknown>>(sql: string, params?: Params): Promise<T[]>;
  /** Stores the rows in one insert into a table of the database, and resolves when they are stored; no rows is nothing to do. */
  insert(table: string, columns: readonly string[], rows: readonly InsertRow[]): Promise<void>;
  /** Begins an insert whose rows come a few at a time. */
  prepare(table: string, columns: readonly string[]): Insert;
  /** Asks how the tables' rows are written, which inserts otherwise ask when they run, and keep their rows until then. */
  learn(): Promise<void>;
  /** Resolves when the server answers, rejects when it does not. */
  ping(): Promise<void>;
  /** Waits for what runs and releases everything; may be called twice. */
  close(): Promise<void>;
}

/** Rows on their way into a table. Nothing is sent before `run`. */
export interface Insert {
  /** How many were added. */
  readonly rowCount: number;
  /**
   * Adds rows. Integers beyond 2⁵³ go as decimal text. NULL for a column that is not Nullable is an error, not a
   * default; what is wrong with a row is thrown here or by `run`, and is final.
   */
  add(rows: readonly InsertRow[]): void;
  /**
   * Stores all of them in one insert, and resolves when they are stored. May be called again when it failed; no rows can
   * be added from the first call on.
   */
  run(): Promise<void>;
}

/**
 * Opens `http(s)://user:password@host:port[/database]` or `chdb:<folder>`.
 * A server is not contacted here; the folder is opened, and made when it is missing.
 * Throws `CONFIG_INVALID` for another URL, and for a folder what `openEmbedded` throws.
 */
export async function openClickHouse(url: string, options: OpenOptions = {}): Promise<ClickHouse> {
  const folder = embeddedFolder(url);
  if (folder !== undefined) return facade(url, await openEmbedded(folder, options));
  return facade(maskUrl(url), openServer(url, options));
}

/** The folder of `chdb:<folder>`, undefined for the URL of a server. */
export function embeddedFolder(url: string): string | undefined {
  return url.startsWith("chdb:") ? url.slice("chdb:".length).replace(/^\/\/(?=\/)/, "") : undefined;
}

/** The interface over an engine: rows brought into one shape, every error translated. */
function facade(description: string, engine: Engine): ClickHouse {
  const attempt = async <T>(what: string, carriesRows: boolean, run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      const facts: Attempt = { what: `${what} (${description})`, carriesRows, remote: engine.remote };
      throw translateError(error, facts);
    }
  };
  const types = new ColumnTypes(engine);
  const prepare = (table: string, columns: readonly string[]): Insert => {
    const insert = new PreparedInsert(engine, types, table, columns);
    return {
      get rowCount() {
        return insert.rowCount;
      },
      add: (rows) => insert.add(rows),
      run: () => attempt(`insert ${insert.rowCount} rows into ${table}`, true, () => insert.run()),
    };
  };
  return {
    description,
    command: (sql, params) => attempt(`run ${headOf(sql)}`, false, () => engine.command(sql, params)),
    rows: <T>(sql: string, params?: Params) => attempt(`run ${headOf(sql)}`, false, () => engine.rows<T>(sql, params)),
    insert: async (table, columns, rows) => {
      const one = prepare(table, columns);
      one.add(rows);
      await one.run();
    },
    prepare,
    learn: () => attempt("read the types of columns", false, () => types.learn()),
    ping: () => attempt("reach ClickHouse", false, () => engine.ping()),
    close: () => attempt("close ClickHouse", false, () => engine.close()),
  };
}

/** Enough of a statement to recognise it in a message. */
function headOf(sql: string): string {
  const line = sql.replace(/^(\s|--[^\n]*\n)+/, "").replace(/\s+/g, " ").trim();
  return line.length > 60 ? `"${line.slice(0, 60)}…"` : `"${line}"`;
}
