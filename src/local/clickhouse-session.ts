/**
 * Runs the statements of HTTP requests on the embedded engine.
 *
 * chDB keeps settings, the database, parameters and the output of a failed query on a connection. So that nothing of one
 * request can reach the next, each gets a connection of its own (2 ms); only inserts that ask for the same state follow
 * each other on one. Settings that stand in a statement are not kept.
 */
import type { ChdbConnection } from "../clickhouse/chdb.ts";
import { withRowsFile } from "../clickhouse/rows-file.ts";
import { type InsertWithRows, namedFormat, splitInsert } from "./clickhouse-statement.ts";

/** What a request asks for. */
export interface Statement {
  /** The `query` parameter and the body, one after the other. */
  bytes: Uint8Array;
  /** The default one when absent. */
  database: string | undefined;
  settings: ReadonlyMap<string, string>;
  /** Values of `{name:Type}` placeholders, escaped as they came. */
  params: ReadonlyMap<string, string>;
  /** For statements that name no format. */
  defaultFormat: string;
  /** True refuses everything that changes something. */
  readOnly: boolean;
}

/** What the engine answered. */
export interface Answer {
  bytes: Uint8Array;
  format: string;
  /** Rows and bytes (in memory) that an INSERT stored, or that a query returned. */
  rowCount: number;
  byteCount: number;
  isInsert: boolean;
  elapsedSeconds: number;
}

/** An error as ClickHouse words it: `Code: N. DB::Exception: … (TYPE)`. */
export class StatementError extends Error {
  override readonly name = "StatementError";
  readonly serverCode: number;

  constructor(serverCode: number, text: string, type?: string) {
    super(type === undefined ? text : `Code: ${serverCode}. DB::Exception: ${text} (${type})`);
    this.serverCode = serverCode;
  }
}

/** Largest result in bytes: it is held in memory as a whole, by the engine and once more here. */
const RESULT_MAX_BYTES = 128 << 20;

/** What holds unless a request says otherwise. */
const DEFAULTS: ReadonlyMap<string, string> = new Map([
  // An answer must mean "stored"; the engine's default is to queue.
  ["async_insert", "0"],
  // The engine drops an insert that it takes for a repeat, and reports success.
  ["deduplicate_insert", "disable"],
  // The engine cannot be told that a client has gone, so every statement ends by itself.
  ["max_execution_time", "300"],
]);

/** The engine works in libuv's four threads: two are left for files and compression. */
const STATEMENTS_MAX = 2;

/** They share one connection; and two at once take a third more CPU than one after the other (measured on two cores). */
const INSERTS_MAX = 1;

/** The statements of one folder. */
export class Statements {
  readonly #open: () => ChdbConnection;
  readonly #inSlot = slots(STATEMENTS_MAX);
  readonly #inInsertSlot = slots(INSERTS_MAX);
  /** The connection of the last insert, and what brought it into its state. */
  #kept: { readonly connection: ChdbConnection; readonly preamble: string } | undefined;

  /** `open` makes a connection. */
  constructor(open: () => ChdbConnection) {
    this.#open = open;
  }

  /** Runs a statement once it is its turn. Throws a `StatementError` for what the engine refuses. */
  async run(statement: Statement): Promise<Answer> {
    try {
      const insert = splitInsert(statement.bytes);
      if (insert === undefined) return await this.#inSlot(() => this.#runText(statement));
      return await this.#inInsertSlot(() => this.#inSlot(() => this.#runInsert(statement, insert)));
    } catch (error) {
      throw toStatementError(error);
    }
  }

  /** Lets the folder go, once nothing runs any more. */
  async close(): Promise<void> {
    await this.#kept?.connection.close();
    this.#kept = undefined;
  }

  async #runText(statement: Statement): Promise<Answer> {
    const sql = Buffer.from(statement.bytes).toString("utf8");
    const set = preamble(statement);
    const connection = this.#open();
    try {
      for (const one of set) await connection.chdb.queryAsync(one);
      const result = await connection.chdb.queryAsync(sql, { format: statement.defaultFormat });
      const bytes = result.bytes();
      if (bytes.length > RESULT_MAX_BYTES) throw tooLarge(bytes.length);
      return answerOf(result, bytes, namedFormat(sql) ?? statement.defaultFormat, /^\s*INSERT\b/i.test(sql));
    } finally {
      await connection.close();
    }
  }

  async #runInsert(statement: Statement, { head, tail, rows }: InsertWithRows): Promise<Answer> {
    const connection = await this.#connectionFor(preamble(statement));
    try {
      const result = await withRowsFile(
        rows,
        (fromInfile) =>
          connection.chdb.queryAsync(`${head}\n${fromInfile} ${tail}`, { format: statement.defaultFormat }),
      );
      return answerOf(result, result.bytes(), statement.defaultFormat, true);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The kept connection where it is in the wanted state, else a new one in its place. */
  async #connectionFor(wanted: readonly string[]): Promise<ChdbConnection> {
    const preamble = wanted.join(";\n");
    if (this.#kept?.preamble !== preamble) {
      await this.close();
      this.#kept = { connection: this.#open(), preamble };
      try {
        for (const one of wanted) await this.#kept.connection.chdb.queryAsync(one);
      } catch (error) {
        await this.close();
        throw error;
      }
    }
    return this.#kept.connection;
  }
}

type Result = Awaited<ReturnType<ChdbConnection["chdb"]["queryAsync"]>>;

function answerOf(
  { rowsRead, bytesRead, elapsed }: Result,
  bytes: Uint8Array,
  format: string,
  isInsert: boolean,
): Answer {
  return { bytes, format, rowCount: rowsRead, byteCount: bytesRead, isInsert, elapsedSeconds: elapsed };
}

/** Lets at most so many run at a time; the others wait in order. */
function slots(limit: number): <T>(run: () => Promise<T>) => Promise<T> {
  let free = limit;
  const waiting: (() => void)[] = [];
  return async (run) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}

/** The statements that bring a fresh connection into the state that the request asks for. */
function preamble({ database, settings, params, readOnly }: Statement): string[] {
  const assignments = new Map([...DEFAULTS, ...settings]);
  // A client may lower the bound; a result beyond it would end the process instead of the query.
  const wanted = Number(settings.get("max_result_bytes") ?? 0);
  assignments.set("max_result_bytes", String(wanted > 0 ? Math.min(wanted, RESULT_MAX_BYTES) : RESULT_MAX_BYTES));
  assignments.set("result_overflow_mode", settings.get("result_overflow_mode") ?? "throw");
  // A parameter keeps its escapes: the engine removes them once, after it has read this literal.
  for (const [name, value] of params) assignments.set(`param_${name}`, value);
  if (readOnly) assignments.set("readonly", "2");
  for (const name of assignments.keys()) {
    if (!/^\w+$/.test(name)) throw new StatementError(115, `Unknown setting '${name}'.`, "UNKNOWN_SETTING");
  }
  const use = database === undefined ? [] : [`USE \`${database.replace(/[\\`]/g, "\\$&")}\``];
  const set = [...assignments].map(([name, value]) => `${name} = '${value.replace(/[\\']/g, "\\$&")}'`).join(", ");
  return [...use, `SET ${set}`];
}

function tooLarge(size: number): StatementError {
  const text = `Limit for result exceeded, max bytes: ${RESULT_MAX_BYTES}, current bytes: ${size}. ` +
    "Select less, or page by key.";
  return new StatementError(396, text, "TOO_MANY_ROWS_OR_BYTES");
}

function toStatementError(error: unknown): StatementError {
  if (error instanceof StatementError) return error;
  const { message = String(error), clickhouseCode } = (error ?? {}) as { message?: string; clickhouseCode?: number };
  if (clickhouseCode !== undefined) return new StatementError(clickhouseCode, message);
  return new StatementError(1002, message, "UNKNOWN_EXCEPTION");
}
