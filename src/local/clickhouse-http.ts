/**
 * ClickHouse's HTTP interface in front of the embedded engine, on loopback, for `latecomer dev`: the official
 * client, curl, notebooks and Grafana can read and write while one process holds the folder.
 *
 * Left out, and refused with a clear error: HTTP sessions, multipart forms, ClickHouse's own block compression
 * (`compress`, `decompress`), and results larger than `RESULT_MAX_BYTES`. User and password are taken and ignored:
 * who may open a socket on loopback may read the folder, too.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { loadChdb } from "../clickhouse/chdb.ts";
import { LatecomerError } from "../errors.ts";
import { readBody, writeBody } from "./clickhouse-body.ts";
import { type Answer, type Statement, StatementError, Statements } from "./clickhouse-session.ts";

/** A running façade. */
export interface ClickHouseHttp {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** Ends open sockets, waits a while for running statements, and lets the folder go; may be called twice. */
  close(): Promise<void>;
}

export interface ListenOptions {
  /** A loopback address. Default: 127.0.0.1. */
  host?: string;
  /** 0 or absent: a free one. */
  port?: number;
}

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/** A statement that still runs then is left behind; the engine bounds it. */
const CLOSE_TIMEOUT_MS = 5_000;

/** URL parameters that are no settings. The later ones are settings of a server's HTTP layer, moot here. */
const NO_SETTINGS = new Set([
  ...["query", "database", "default_format", "query_id", "user", "password", "quota_key", "role", "stacktrace"],
  ...["client_protocol_version", "buffer_size", "wait_end_of_query", "http_wait_end_of_query"],
  ...["enable_http_compression", "http_zlib_compression_level", "http_response_buffer_size"],
  ...["send_progress_in_http_headers", "http_headers_progress_interval_ms", "add_http_cors_header"],
]);

/** URL parameters that would change the meaning of the answer if they were ignored. */
const NOT_HERE = ["session_id", "compress", "decompress"];

/**
 * Serves the folder, which is made when it is missing.
 * Throws `CONFIG_INVALID` (usage) for a host that is not loopback, `PORT_UNAVAILABLE` (unavailable) when it cannot
 * listen, and what `loadChdb` throws.
 */
export async function serveClickHouse(folder: string, options: ListenOptions = {}): Promise<ClickHouseHttp> {
  const { host = "127.0.0.1", port = 0 } = options;
  if (!LOOPBACK.has(host)) {
    throw new LatecomerError("CONFIG_INVALID", "usage", `"${host}" is not loopback; this server asks for no password`);
  }
  const open = await loadChdb(folder);
  // The engine stops when its last connection closes, and starts in 150 ms: this one keeps it up between requests.
  const keeper = open();
  const statements = new Statements(open);
  const running = new Set<Promise<void>>();
  const server = createServer((request, response) => {
    const handled = handle(request, response, statements);
    running.add(handled);
    handled.finally(() => running.delete(handled));
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // The client hangs up after 2.5 s of silence; hanging up first would cut a request that is just on its way.
  server.keepAliveTimeout = 10_000;
  let closed: Promise<void> | undefined;
  const close = () =>
    closed ??= (async () => {
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await within(CLOSE_TIMEOUT_MS, Promise.all([ended, ...running]));
      await statements.close();
      await keeper.close();
    })();
  try {
    await listen(server, host, port);
  } catch (error) {
    await keeper.close();
    const reason = (error as { code?: string }).code ?? String(error);
    throw new LatecomerError("PORT_UNAVAILABLE", "unavailable", `cannot listen on ${host}:${port}: ${reason}`);
  }
  const address = server.address() as AddressInfo;
  return { url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`, close };
}

/** Answers one request; never rejects. */
async function handle(request: IncomingMessage, response: ServerResponse, statements: Statements): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const asked = (name: string) => url.searchParams.get(name) ?? undefined;
  try {
    response.setHeader("X-ClickHouse-Server-Display-Name", "latecomer");
    if (!admit(request, response)) return;
    if (isHealthCheck(request, url)) return plain(response, 200, "Ok.\n");
    if (url.pathname !== "/") return plain(response, 404, `There is no handle ${url.pathname}\nUse / or /ping.\n`);
    const queryId = asked("query_id") ?? randomUUID();
    response.setHeader("X-ClickHouse-Query-Id", queryId);
    const answer = await statements.run(await readStatement(request, url));
    response.setHeader("X-ClickHouse-Format", answer.format);
    response.setHeader("X-ClickHouse-Timezone", Intl.DateTimeFormat().resolvedOptions().timeZone);
    response.setHeader("X-ClickHouse-Summary", JSON.stringify(summaryOf(answer)));
    response.setHeader("Content-Type", contentTypeOf(answer.format));
    await writeBody(request, response, answer.bytes, asked("enable_http_compression") === "1");
  } catch (error) {
    refuse(response, error);
  }
}

/** A page in a browser must not reach the data by a name that it controls, nor from a foreign origin. */
function admit(request: IncomingMessage, response: ServerResponse): boolean {
  const { origin, host } = request.headers;
  const foreign = (address: string) => {
    return !URL.canParse(address) || !LOOPBACK.has(new URL(address).hostname.replace(/^\[|\]$/g, ""));
  };
  if (foreign(`http://${host}`) || (origin !== undefined && foreign(origin))) {
    plain(response, 403, "Code: 497. DB::Exception: Only this machine may ask here. (ACCESS_DENIED)\n");
    return false;
  }
  if (origin !== undefined) {
    response.setHeader("Access-Control-Allow-Origin", origin);
    response.setHeader("Access-Control-Expose-Headers", "*");
  }
  if (request.method !== "OPTIONS") return true;
  response.setHeader("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  response.setHeader("Access-Control-Allow-Headers", request.headers["access-control-request-headers"] ?? "*");
  plain(response, 204, "");
  return false;
}

function isHealthCheck(request: IncomingMessage, url: URL): boolean {
  if (url.pathname === "/ping" || url.pathname === "/replicas_status") return true;
  return request.method === "GET" && url.pathname === "/" && !url.searchParams.has("query");
}

async function readStatement(request: IncomingMessage, url: URL): Promise<Statement> {
  const settings = new Map<string, string>();
  const params = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (NOT_HERE.includes(name) && value !== "" && value !== "0") throw notHere(`The parameter ${name}`);
    if (name.startsWith("param_")) params.set(name.slice("param_".length), value);
    else if (!NO_SETTINGS.has(name) && !NOT_HERE.includes(name)) settings.set(name, value);
  }
  if (request.headers["content-type"]?.startsWith("multipart/")) throw notHere("A multipart form");
  const query = url.searchParams.get("query") ?? "";
  const body = await readBody(request);
  const bytes = query === "" ? body : Buffer.concat([Buffer.from(`${query}\n`), body]);
  if (bytes.toString("latin1", 0, 1_024).trim() === "") throw new StatementError(62, "Empty query.", "SYNTAX_ERROR");
  const header = (name: string) => request.headers[name]?.toString();
  return {
    bytes,
    settings,
    params,
    database: url.searchParams.get("database") ?? header("x-clickhouse-database"),
    defaultFormat: url.searchParams.get("default_format") ?? header("x-clickhouse-format") ?? "TabSeparated",
    // As with a server: a link that somebody follows changes nothing.
    readOnly: request.method !== "POST",
  };
}

function notHere(what: string): StatementError {
  return new StatementError(48, `${what} is not supported by this local server.`, "NOT_IMPLEMENTED");
}

function summaryOf({ isInsert, rowCount, byteCount, elapsedSeconds }: Answer): Record<string, string> {
  const rows = String(rowCount);
  const bytes = String(byteCount);
  return {
    read_rows: rows,
    read_bytes: bytes,
    written_rows: isInsert ? rows : "0",
    written_bytes: isInsert ? bytes : "0",
    total_rows_to_read: "0",
    result_rows: isInsert ? "0" : rows,
    result_bytes: isInsert ? "0" : bytes,
    elapsed_ns: String(Math.round(elapsedSeconds * 1e9)),
  };
}

function contentTypeOf(format: string): string {
  if (/^JSON.*EachRow/.test(format)) return "application/x-ndjson; charset=UTF-8";
  if (format.startsWith("JSON")) return "application/json; charset=UTF-8";
  if (/^(TSV|TabSeparated)/.test(format)) return "text/tab-separated-values; charset=UTF-8";
  if (format.startsWith("CSV")) return "text/csv; charset=UTF-8";
  if (/^(Native|RowBinary|Parquet|Arrow|ORC|Avro|MsgPack)/.test(format)) return "application/octet-stream";
  return "text/plain; charset=UTF-8";
}

/** The status that a server gives for its code: what the statement got wrong is 4xx, the rest 500. */
function statusOf(serverCode: number): number {
  if ([46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511].includes(serverCode)) return 404; // UNKNOWN_…
  if ([6, 25, 26, 27, 38, 41, 43, 44, 53, 62, 72, 117, 321, 376, 441, 675, 676].includes(serverCode)) return 400;
  if (serverCode === 48) return 501; // NOT_IMPLEMENTED
  if (serverCode === 307) return 413; // TOO_MANY_BYTES
  return 500;
}

function refuse(response: ServerResponse, error: unknown): void {
  // The client has gone, or half of an answer is out: only the line can be cut.
  if (response.headersSent || response.destroyed) return void response.destroy();
  const text = error instanceof Error ? error.message : String(error);
  const known = error instanceof StatementError
    ? error
    : new StatementError(1002, text.replace(/\s+/g, " "), "UNKNOWN_EXCEPTION");
  response.setHeader("X-ClickHouse-Exception-Code", String(known.serverCode));
  plain(response, statusOf(known.serverCode), `${known.message}\n`);
}

function plain(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader("Content-Type", "text/plain; charset=UTF-8");
  response.end(text);
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([work, new Promise((resolve) => timer = setTimeout(resolve, ms))]);
  clearTimeout(timer);
}

function listen(server: ReturnType<typeof createServer>, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
