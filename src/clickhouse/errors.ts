/**
 * Turns what the ClickHouse client and the engine throw into our errors. Decides on codes, never on sentences.
 *
 * A server quotes the rows it could not read, so the sentence of a failed insert is kept only for codes that speak
 * about the schema or the server; for the others the code, its name and the number of the row must do. Whoever
 * needs more has the rows.
 */
import { type ErrorKind, LatecomerError } from "../errors.ts";

/** An error that a ClickHouse server or engine reported, with its number (0 when it gave none). */
export class ClickHouseError extends LatecomerError {
  override readonly name = "ClickHouseError";
  readonly serverCode: number;

  constructor(serverCode: number, kind: ErrorKind, message: string, cause?: unknown) {
    super(kind === "retryable" ? "CLICKHOUSE_UNAVAILABLE" : "CLICKHOUSE_REFUSED", kind, message, { cause });
    this.serverCode = serverCode;
  }
}

/** Server codes that say "not now": load, memory, its disk, a replica or Keeper away, a table that is being moved. */
const RETRYABLE = new Set([
  75, // CANNOT_WRITE_TO_FILE_DESCRIPTOR
  76, // CANNOT_OPEN_FILE
  159, // TIMEOUT_EXCEEDED
  173, // CANNOT_ALLOCATE_MEMORY
  198, // DNS_ERROR, between the servers of a cluster
  201, // QUOTA_EXCEEDED, until its interval ends
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  203, // NO_FREE_CONNECTION
  209, // SOCKET_TIMEOUT
  210, // NETWORK_ERROR
  225, // NO_ZOOKEEPER
  236, // ABORTED, the server shuts down
  241, // MEMORY_LIMIT_EXCEEDED
  242, // TABLE_IS_READ_ONLY, a replica without Keeper
  243, // NOT_ENOUGH_SPACE
  252, // TOO_MANY_PARTS
  254, // NO_ACTIVE_REPLICAS
  265, // NO_AVAILABLE_REPLICA
  279, // ALL_CONNECTION_TRIES_FAILED
  285, // TOO_FEW_LIVE_REPLICAS
  286, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
  289, // REPLICA_IS_NOT_IN_QUORUM
  319, // UNKNOWN_STATUS_OF_INSERT; a repeat is harmless, by row key and version
  341, // UNFINISHED
  364, // RECEIVED_ERROR_TOO_MANY_REQUESTS
  369, // ALL_REPLICAS_ARE_STALE
  394, // QUERY_WAS_CANCELLED
  416, // REPLICA_STATUS_CHANGED
  425, // SYSTEM_ERROR
  439, // CANNOT_SCHEDULE_TASK
  473, // DEADLOCK_AVOIDED
  499, // S3_ERROR
  519, // NO_REMOTE_SHARD_AVAILABLE
  574, // DISTRIBUTED_TOO_MANY_PENDING_BYTES
  700, // USER_SESSION_LIMIT_EXCEEDED
  733, // TABLE_IS_BEING_RESTARTED
  745, // SERVER_OVERLOADED
  762, // HTTP_CONNECTION_LIMIT_REACHED
  904, // TOO_MANY_UNAVAILABLE_SHARDS
  999, // KEEPER_EXCEPTION
  1001, // STD_EXCEPTION: what its file system or its memory refused
]);

const NO_CREDENTIALS = "it refuses these credentials: check CLICKHOUSE_URL";

const ELSEWHERE = "CLICKHOUSE_URL names another";

/** Codes of what is not there for us, however often we ask, with what to do about it. */
const UNAVAILABLE: ReadonlyMap<number, string> = new Map([
  [60, "`latecomer init` makes it"], // UNKNOWN_TABLE
  [81, "`latecomer init` makes it"], // UNKNOWN_DATABASE
  [192, NO_CREDENTIALS], // UNKNOWN_USER
  [193, NO_CREDENTIALS], // WRONG_PASSWORD
  [194, NO_CREDENTIALS], // REQUIRED_PASSWORD
  [516, NO_CREDENTIALS], // AUTHENTICATION_FAILED
]);

/** Codes whose sentence names tables, columns, rights or limits, and never a value of a row. */
const SPEAKS_OF_SCHEMA = new Set([
  16,
  36,
  46,
  47,
  48,
  50,
  60,
  62,
  73,
  81,
  115,
  164,
  192,
  193,
  194,
  497,
  516,
  ...RETRYABLE,
]);

/** Longer sentences are cut here: a server repeats the whole statement in some. */
const SENTENCE_MAX_LENGTH = 600;

/** What was attempted, for the message, and what is known about how. */
export interface Attempt {
  /** E.g. `insert 512 rows into fact_x`; holds no values. */
  what: string;
  /** True when the statement carried rows, whose content must not reach a message. */
  carriesRows: boolean;
  /** True when a network lies between, so that an error without a server's code means "not reached". */
  remote: boolean;
}

/** Translates whatever an attempt threw; an error of ours is returned as it is. */
export function translateError(error: unknown, attempt: Attempt): LatecomerError {
  if (error instanceof LatecomerError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const serverCode = serverCodeOf(error);
  if (serverCode !== undefined) return translateServerError(error, serverCode, text, attempt);
  // A TypeError or RangeError never comes from a network: it is our own rows or arguments.
  const ours = error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
  if (!attempt.remote || ours) {
    const detail = attempt.carriesRows && !ours ? "" : `: ${text.slice(0, SENTENCE_MAX_LENGTH)}`;
    return new LatecomerError("CLICKHOUSE_FAILED", "fatal", `could not ${attempt.what}${detail}`, { cause: error });
  }
  const systemCode = systemCodeOf(error);
  // Without either code the answer was not ClickHouse's (a proxy's page with a 5xx); its text is not ours to repeat.
  const detail = systemCode === undefined
    ? text === "Timeout error." ? "no answer in time" : `the answer is not ClickHouse's; ${ELSEWHERE}`
    : `${systemCode}; is a server running there? ${ELSEWHERE}`;
  return new ClickHouseError(
    0,
    "retryable",
    `could not ${attempt.what}: ${detail}`,
    systemCode === undefined ? undefined : error,
  );
}

function translateServerError(error: unknown, serverCode: number, text: string, attempt: Attempt): ClickHouseError {
  const type = typeNameOf(error, text);
  const tells = !attempt.carriesRows || SPEAKS_OF_SCHEMA.has(serverCode);
  const sentence = text.replace(/^Code: \d+\. DB::Exception: /, "").replace(/\s*\([A-Z0-9_]{3,}\)\s*$/, "").trim();
  const detail = tells ? `: ${sentence.slice(0, SENTENCE_MAX_LENGTH)}` : placeOf(error);
  const advice = UNAVAILABLE.get(serverCode);
  const what = `could not ${attempt.what}: ClickHouse code ${serverCode}${type === undefined ? "" : ` (${type})`}`;
  return new ClickHouseError(
    serverCode,
    RETRYABLE.has(serverCode) ? "retryable" : advice === undefined ? "fatal" : "unavailable",
    `${what}${detail}${advice === undefined ? "" : `; ${advice}`}`,
    // The original sentence travels with the cause, and loggers print causes.
    tells ? error : undefined,
  );
}

/** Which row and column a failed insert stumbled over, as far as the server says. */
function placeOf(error: unknown): string {
  // chDB wraps its error in the client's, which keeps only the innermost sentence; the row is in the whole.
  const { message = "", cause } = error as { message?: string; cause?: unknown };
  const whole = cause instanceof Error ? cause.message : message;
  const row = /\(at row (\d+)\)/.exec(whole)?.[1];
  const column = /\(while reading the value of key (\w+)\)/.exec(whole)?.[1];
  return (column === undefined ? "" : `, column ${column}`) + (row === undefined ? "" : `, row ${row}`);
}

/** The server's number: the HTTP client gives it as text in `code`, chDB as a number in `clickhouseCode`. */
function serverCodeOf(error: unknown): number | undefined {
  const { code, clickhouseCode } = (error ?? {}) as { code?: unknown; clickhouseCode?: unknown };
  if (typeof clickhouseCode === "number") return clickhouseCode;
  return typeof code === "string" && /^\d+$/.test(code) ? Number(code) : undefined;
}

function typeNameOf(error: unknown, text: string): string | undefined {
  const { type } = error as { type?: unknown };
  return typeof type === "string" ? type : /\(([A-Z0-9_]{3,})\)\s*$/.exec(text)?.[1];
}

/** The operating system's or the HTTP parser's code (`ECONNREFUSED`, `HPE_…`), looked for in the causes too. */
function systemCodeOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++) {
    const { code } = at as { code?: unknown };
    if (typeof code === "string" && /^[A-Z][A-Z0-9_]+$/.test(code)) return code;
  }
  return undefined;
}
