/**
 * A ClickHouse server over HTTP, through the official client with every option written out.
 */
import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { type ClickHouseClient, ClickHouseLogLevel, type ClickHouseSettings, createClient } from "@clickhouse/client";
import { LatecomerError } from "../errors.ts";
import { maskText } from "../secrets.ts";
import {
  type Engine,
  EXECUTION_MAX_SECONDS,
  fetchRows,
  type OpenOptions,
  type Params,
  type RequireAnswer,
  runCommand,
  SETTINGS,
} from "./engine.ts";

/** A little above the engine's own bound, so that the engine's error, which says more, comes first. */
const REQUEST_TIMEOUT_MS = (EXECUTION_MAX_SECONDS + 10) * 1_000;

/**
 * A client for the server at `http(s)://user:password@host:port[/database]`, which is not contacted yet.
 * Throws `CONFIG_INVALID` (usage) for a URL that is none.
 */
export function openServer(text: string, options: OpenOptions): Engine {
  const url = parseServerUrl(text, options.database);
  let client: ClickHouseClient;
  try {
    client = createClient({
      url,
      ...(options.database !== undefined && { database: options.database }),
      application: "latecomer",
      request_timeout: REQUEST_TIMEOUT_MS,
      // One insert in flight, a rollup, and a few reads; more would only queue in the server.
      max_open_connections: 8,
      // Below the shortest keep-alive of a server (3 s before 23.11), so that the client hangs up first.
      keep_alive: { enabled: true, idle_socket_ttl: 2_500 },
      // The processor's own CPU is the scarcer thing: gzip costs more than the JSON it would shrink.
      compression: { request: false, response: false },
      // The client's own logger prints statements; errors are thrown to us anyway.
      log: { level: ClickHouseLogLevel.OFF },
    });
  } catch (error) {
    const reason = error instanceof Error ? maskText(error.message) : "unknown reason";
    throw new LatecomerError("CONFIG_INVALID", "usage", `the ClickHouse URL is refused: ${reason}`);
  }
  // With the answer held back until the end, a query that fails half-way has an error status instead of half a result.
  const clickhouse_settings: ClickHouseSettings = { ...SETTINGS, wait_end_of_query: 1 };
  return {
    remote: true,
    command: (sql, params) => runCommand(client, sql, params, clickhouse_settings, requireClickHouse),
    rows: <T>(sql: string, params: Params | undefined) =>
      fetchRows<T>(client, sql, params, clickhouse_settings, requireClickHouse),
    async insert(table, columns, block) {
      const query = `INSERT INTO ${table} (${columns.join(", ")}) FORMAT Native`;
      const values = Readable.from([block], { objectMode: false });
      const { stream, ...answer } = await client.exec({ query, values, clickhouse_settings });
      // The connection is free for the next request only when the answer, which is empty, was read.
      stream.resume();
      await finished(stream);
      requireClickHouse(answer);
    },
    async ping() {
      // A select, because /ping answers without looking at user, password and database.
      await runCommand(client, "SELECT 1", undefined, clickhouse_settings, requireClickHouse);
    },
    close: () => client.close(),
  };
}

/**
 * Throws where an answer is not ClickHouse's, which tells of itself in every one. A proxy in front of it may answer with a
 * page of its own and 200, and what it was sent is nowhere.
 */
function requireClickHouse({ response_headers }: Parameters<RequireAnswer>[0]): void {
  if (Object.keys(response_headers).some((name) => name.startsWith("x-clickhouse-"))) return;
  throw new Error("no header of ClickHouse");
}

function parseServerUrl(url: string, database: string | undefined): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !["http:", "https:"].includes(parsed.protocol)) {
    throw new LatecomerError(
      "CONFIG_INVALID",
      "usage",
      // Only the scheme is repeated: where the password is in something that is no URL, nobody knows.
      `"${url.split(":")[0]}:…" is no ClickHouse URL; expected http(s)://user:password@host:port or chdb:<folder>`,
    );
  }
  // The client reads the path as the database, and lets it win over its own option.
  if (database !== undefined) parsed.pathname = "/";
  return parsed;
}
