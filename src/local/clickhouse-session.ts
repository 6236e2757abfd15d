/**
 * Runs one HTTP request's statement on the embedded engine.
 *
 * Each request gets a connection of its own (2 ms), because chDB keeps settings, the database, parameters and the
 * output of a failed query on a connection: so nothing of one request can reach the next.
 */
import type { ChdbConnection } from "../clickhouse/chdb.ts";
import { withRowsFile } from "../clickhouse/rows-file.ts";
import { namedFormat, splitInsert } from "./clickhouse-statement.ts";

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
export const RESULT_MAX_BYTES = 128 << 20;

/** What holds unless a request says otherwise. */
const DEFAULTS: ReadonlyMap<string, string> = new Map([
  // An answer must mean "stored"; the engine's default is to queue.
  ["async_insert", "0"],
  // The engine drops an insert that it takes for a repeat, and reports success.
  ["deduplicate_insert", "disable"],
  // The engine cannot be told that a client has gone, so every statement ends by itself.
  ["max_execution_time", "300"],
]);

/** Runs the statement on a connection that `open` makes. Throws a `StatementError` for what the engine refuses. */
export async function runStatement(open: () => ChdbConnection, statement: Statement): Promise<Answer> {
  const connection = open();
  try {
    for (const set of preamble(statement)) await connection.chdb.queryAsync(set);
    const insert = splitInsert(statement.bytes);
    const sql = Buffer.from(insert === undefined ? statement.bytes : []).toString("utf8");
    const run = (text: string) => connection.chdb.queryAsync(text, { format: statement.defaultFormat });
    const result = insert === undefined
      ? await run(sql)
      : await withRowsFile(insert.rows, (fromInfile) => run(`${insert.head}\n${fromInfile} ${insert.tail}`));
    const bytes = result.bytes();
    if (bytes.length > RESULT_MAX_BYTES) throw tooLarge(bytes.length);
    return {
      bytes,
      format: namedFormat(sql) ?? statement.defaultFormat,
      rowCount: result.rowsRead,
      byteCount: result.bytesRead,
      isInsert: insert !== undefined || /^\s*INSERT\b/i.test(sql),
      elapsedSeconds: result.elapsed,
    };
  } catch (error) {
    throw toStatementError(error);
  } finally {
    await connection.close();
  }
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
