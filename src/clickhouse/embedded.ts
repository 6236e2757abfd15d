/**
 * The ClickHouse engine inside this process (chDB), behind the same calls as a server.
 *
 * Three habits of chDB 3.4 shape this file:
 * - settings stay on a connection, so each call carries all of them;
 * - output that a failed query had already produced is put in front of the next result on that connection, so a
 *   connection that has failed is not used again;
 * - a connection runs one statement at a time anyway, so calls take turns here, where the order is plain.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ClickHouseClient,
  type ClickHouseClientConfigOptions,
  ClickHouseLogLevel,
  createClient,
} from "@clickhouse/client";
import type { ChdbConnection } from "chdb/connection";
import { LatecomerError } from "../errors.ts";
import { encodeRow, type Engine, fetchRows, type OpenOptions, type Params, runCommand, SETTINGS } from "./engine.ts";

type ClientConnection = NonNullable<ClickHouseClientConfigOptions["connection"]>;

/** The client's own logger prints statements; errors are thrown to us anyway. */
const SILENT = ClickHouseLogLevel.OFF;

interface Link {
  connection: ChdbConnection;
  client: ClickHouseClient;
}

/**
 * Opens the engine on a folder, which is made when it is missing. One process at a time can hold a folder, and one
 * process only one folder. All failures are `unavailable`: `ENGINE_MISSING` when the package or this platform lacks
 * the engine, `CLICKHOUSE_FOLDER_LOCKED` when another process holds the folder, `CLICKHOUSE_FOLDER_UNUSABLE` else.
 */
export async function openEmbedded(folder: string, options: OpenOptions): Promise<Engine> {
  const { createChdbConnection } = await loadEngine();
  makeFolder(folder);
  const connect = async (): Promise<Link> => {
    const connection = open(folder, createChdbConnection);
    // The package and the client each bring their own declaration of this type, alike but for a private field.
    const client = createClient({ connection: connection as unknown as ClientConnection, log: { level: SILENT } });
    try {
      if (options.database !== undefined) await client.command({ query: `USE ${quoteName(options.database)}` });
    } catch (error) {
      await client.close();
      throw error;
    }
    return { connection, client };
  };
  let link: Link | undefined = await connect();
  let turn: Promise<unknown> = Promise.resolve();
  let closed = false;

  /** Puts a fresh connection in the place of one that failed; when that fails too, the next call tries again. */
  const replaceLink = async (failed: Link): Promise<void> => {
    // The new one opens first, for the engine stops when its last connection closes.
    link = await connect().catch(() => undefined);
    await failed.client.close();
    options.log?.warn({ folder }, "the embedded ClickHouse connection was replaced after an error");
  };
  const inTurn = <T>(run: (link: Link) => Promise<T>): Promise<T> => {
    const result = turn.then(async () => {
      if (closed) throw new LatecomerError("CLICKHOUSE_CLOSED", "fatal", "the embedded ClickHouse is closed");
      const current = link ??= await connect();
      try {
        return await run(current);
      } catch (error) {
        await replaceLink(current);
        throw error;
      }
    });
    turn = result.catch(() => {});
    return result;
  };

  return {
    remote: false,
    command: (sql, params) => inTurn(({ client }) => runCommand(client, sql, params, SETTINGS)),
    rows: <T>(sql: string, params: Params | undefined) =>
      inTurn(({ client }) => fetchRows<T>(client, sql, params, SETTINGS)),
    insert: (table, columns, rows) => {
      // Bytes handed to the engine skip the client's copy of the statement as one string: a quarter faster.
      const values = Buffer.from(rows.map(encodeRow).join("\n"));
      return inTurn(async ({ connection }) => {
        const format = "JSONCompactEachRow";
        await connection.chdb.rawInsert({ table, columns, values, format, settings: SETTINGS });
      });
    },
    ping: () =>
      inTurn(async ({ client }) => {
        const answer = await client.ping({ select: true });
        if (!answer.success) throw answer.error;
      }),
    async close() {
      await turn;
      if (closed) return;
      closed = true;
      await link?.client.close();
    },
  };
}

async function loadEngine(): Promise<typeof import("chdb/connection")> {
  try {
    return await import("chdb/connection");
  } catch (error) {
    throw new LatecomerError(
      "ENGINE_MISSING",
      "unavailable",
      `the embedded ClickHouse engine is not usable on ${process.platform}-${process.arch}. It exists for Linux with ` +
        "glibc and for macOS. Run `npm ci` without `--omit=optional`, or set CLICKHOUSE_URL to the http(s) address of a server",
      { cause: error },
    );
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw unusable(folder, error);
  }
}

function open(folder: string, create: (options: { path: string }) => ChdbConnection): ChdbConnection {
  try {
    return create({ path: folder });
  } catch (error) {
    // The engine says only that it could not open the folder; the file that it locks names the holder.
    const holder = holderOf(folder);
    if (holder === undefined) throw unusable(folder, error);
    throw new LatecomerError(
      "CLICKHOUSE_FOLDER_LOCKED",
      "unavailable",
      `the ClickHouse folder ${folder} is held by process ${holder}; stop it, or use the server that it offers`,
      { cause: error },
    );
  }
}

function unusable(folder: string, cause: unknown): LatecomerError {
  const reason = cause instanceof Error ? `: ${cause.message}` : "";
  return new LatecomerError(
    "CLICKHOUSE_FOLDER_UNUSABLE",
    "unavailable",
    `the ClickHouse folder ${folder} cannot be opened${reason}`,
    { cause },
  );
}

/** The id of another living process that wrote the lock file of the folder. */
function holderOf(folder: string): number | undefined {
  let pid: number;
  try {
    pid = Number(/^PID: (\d+)/m.exec(readFileSync(join(folder, "status"), "utf8"))?.[1]);
  } catch {
    return undefined; // No lock file: nobody holds the folder.
  }
  return Number.isInteger(pid) && pid !== process.pid && isAlive(pid) ? pid : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: alive, but another user's.
    return (error as { code?: string }).code === "EPERM";
  }
}

function quoteName(name: string): string {
  return `\`${name.replace(/[\\`]/g, "\\$&")}\``;
}
