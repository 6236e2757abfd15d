/** `latecomer dev`: a NATS server and ClickHouse over HTTP on this machine, until stopped. */
import { join } from "node:path";
import type { Command } from "commander";
import { embeddedFolder } from "../clickhouse/client.ts";
import type { Config } from "../config.ts";
import { LatecomerError } from "../errors.ts";
import { planStreams } from "../nats/provision.ts";
import { serveClickHouse } from "../local/clickhouse-http.ts";
import { announceDev, livingDev, LOCAL_FOLDER, withdrawDev } from "../local/dev-file.ts";
import { isFree, type NatsProcess, startNatsServer } from "../local/nats-server.ts";
import { openManager } from "../nats/connection.ts";
import { configOf, type Context, printJson, printLine, withNats, withSettings } from "./context.ts";
import { initialise } from "./init.ts";

/** Where the two are usually found; a port that is taken is replaced by a free one. */
const NATS_PORT = 4222;
const CLICKHOUSE_PORT = 8123;

export function registerDev(program: Command, context: Context): void {
  const command = program.command("dev")
    .description("start nats-server and the embedded ClickHouse (over HTTP) here, and run until stopped")
    .option("--json", "one JSON document with the URLs on stdout");
  const keys = ["clickhouseUrl", "database", "streamRetentionMs", "ttlBeforeMs", "ttlAfterMs", "logLevel"] as const;
  withSettings(command, keys).action(async (flags: { json?: boolean }) => {
    const running = livingDev();
    if (running !== undefined) {
      throw new LatecomerError("DEV_RUNNING", "unavailable", `latecomer dev runs already, as process ${running.pid}`);
    }
    const wanted = configOf(context, flags);
    const folder = embeddedFolder(wanted.clickhouseUrl);
    if (folder === undefined) {
      throw new LatecomerError(
        "CONFIG_INVALID",
        "usage",
        "dev serves the embedded engine: CLICKHOUSE_URL must be chdb:<folder>",
      );
    }
    const stopping = context.takeSignal();
    const nats = await startNatsServer({ folder: join(LOCAL_FOLDER, "nats"), port: await freePort(NATS_PORT) });
    try {
      const clickhouse = await serveClickHouse(folder, { host: "127.0.0.1", port: await freePort(CLICKHOUSE_PORT) });
      try {
        const config: Config = {
          ...wanted,
          natsUrl: nats.url,
          clickhouseUrl: clickhouse.url,
          cluster: "",
          replicas: 1,
          // The embedded engine keeps what it has: what is replayed here is often older than the retention of a server.
          tableRetention: "none",
        };
        await withNats(config, async (nc) => {
          await initialise(config, nc, await planStreams(await openManager(nc), config), {});
        });
        announceDev({ pid: process.pid, natsUrl: nats.url, clickhouseUrl: clickhouse.url });
        try {
          if (flags.json) printJson({ natsUrl: nats.url, clickhouseUrl: clickhouse.url, database: config.database });
          else {
            printLine(`NATS        ${nats.url}`);
            printLine(`ClickHouse  ${clickhouse.url}  database ${config.database}`);
            printLine("Commands in this folder use both; stop with Ctrl-C.");
          }
          await untilStopped(stopping, nats);
        } finally {
          withdrawDev();
        }
      } finally {
        await clickhouse.close();
      }
    } finally {
      await nats.stop();
    }
  });
}

/** Resolves when it is asked to stop. Throws NATS_SERVER_ENDED (unavailable) when the server ends before. */
async function untilStopped(signal: AbortSignal, nats: NatsProcess): Promise<void> {
  const asked = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
  await Promise.race([asked, nats.ended]);
  // A Ctrl-C is sent to both.
  if (signal.aborted) return;
  throw new LatecomerError(
    "NATS_SERVER_ENDED",
    "unavailable",
    `nats-server on ${nats.url} has ended. The last lines of its log:\n${nats.lastLines()}`,
  );
}

/** The port asked for when nobody listens there, else 0: a free one is chosen. */
async function freePort(wanted: number): Promise<number> {
  return await isFree(wanted) ? wanted : 0;
}
