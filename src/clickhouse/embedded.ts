/**
 * The ClickHouse engine inside this process (chDB), behind the same calls as a server.
 *
 * Three habits of chDB 3.4 shape this file:
 * - settings stay on a connection, so each call carries all of them;
 * - output that a failed query had already produced is put in front of the next result on that connection, so a
 *   connection that has failed is not used again;
 * - a connection runs one statement at a time anyway, so calls take turns here, where the order is plain.
 */
import {
  type ClickHouseClient,
  type ClickHouseClientConfigOptions,
  ClickHouseLogLevel,
  createClient,
} from "@clickhouse/client";
import { LatecomerError } from "../errors.ts";
import { loadChdb } from "./chdb.ts";
import { type Engine, fetchRows, type OpenOptions, type Params, runCommand, SETTINGS } from "./engine.ts";
import { withRowsFile } from "./rows-file.ts";

type ClientConnection = NonNullable<ClickHouseClientConfigOptions["connection"]>;

/** The client's own logger prints statements; errors are thrown to us anyway. */
const SILENT = ClickHouseLogLevel.OFF;

/** `insert_deduplicate = 0` does nothing in this engine unless this newer setting agrees; older servers do not know it. */
const EMBEDDED_SETTINGS = { ...SETTINGS, deduplicate_insert: "disable" };

/** All settings in one statement before each query: through the client they would be a statement each, 2 ms in sum. */
const SET_ALL = `SET ${Object.entries(EMBEDDED_SETTINGS).map(([name, value]) => `${name} = '${value}'`).join(", ")};\n`;

interface Link {
  client: ClickHouseClient;
  /** Whether the database of the options has been chosen on this connection. */
  inDatabase: boolean;
}

/** Opens the engine on a folder, which is made when it is missing. Throws what `loadChdb` does. */
export async function openEmbedded(folder: string, options: OpenOptions): Promise<Engine> {
  const open = await loadChdb(folder);
  const connect = (): Link => {
    // The package and the client each bring their own declaration of this type, alike but for a private field.
    const connection = open() as unknown as ClientConnection;
    const client = createClient({ connection, log: { level: SILENT } });
    return { client, inDatabase: options.database === undefined };
  };
  let link: Link | undefined = connect();
  let turn: Promise<unknown> = Promise.resolve();
  let closed = false;

  /** Puts a fresh connection in the place of one that failed; when that fails too, the next call tries again. */
  const replaceLink = async (failed: Link): Promise<void> => {
    // The new one opens first, for the engine stops when its last connection closes.
    try {
      link = connect();
    } catch {
      link = undefined; // What the caller gets is the error that brought us here.
    }
    await failed.client.close();
    options.log?.warn({ folder }, "the embedded ClickHouse connection was replaced after an error");
  };
  const inTurn = <T>(run: (link: Link) => Promise<T>): Promise<T> => {
    const result = turn.then(async () => {
      if (closed) throw new LatecomerError("CLICKHOUSE_CLOSED", "fatal", "the embedded ClickHouse is closed");
      const current = link ??= connect();
      try {
        // Only now, so that a missing database fails the call, as with a server, and not the opening.
        if (!current.inDatabase) await current.client.command({ query: `USE ${quoteName(options.database!)}` });
        current.inDatabase = true;
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
    command: (sql, params) => inTurn(({ client }) => runCommand(client, SET_ALL + sql, params)),
    rows: <T>(sql: string, params: Params | undefined) =>
      inTurn(({ client }) => fetchRows<T>(client, SET_ALL + sql, params)),
    insert: async (table, columns, block) => {
      await withRowsFile(block, (fromInfile) =>
        inTurn(({ client }) => {
          const sql = `INSERT INTO ${table} (${columns.join(", ")}) ${fromInfile} FORMAT Native`;
          return runCommand(client, SET_ALL + sql, undefined);
        }));
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

function quoteName(name: string): string {
  return `\`${name.replace(/[\\`]/g, "\\$&")}\``;
}
