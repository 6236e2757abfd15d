/** The servers of a run, and processors beside them: a nats-server, the engine over HTTP, each a process of its own. */
import { type ChildProcess, execFile, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { NatsConnection } from "nats";
import { initialise } from "../../src/cli/init.ts";
import { openClickHouse } from "../../src/clickhouse/client.ts";
import { type Config, resolveConfig } from "../../src/config.ts";
import { ensureNatsServer } from "../../src/local/nats-install.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { publishMessages } from "../../src/nats/publish.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import type { Ready, WorkerCost } from "./worker.ts";

/** How a process is run: flags of Node and variables beside those of this one. */
export interface Setup {
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const PLAIN: Setup = { flags: [], env: {} };

/** What `deploy/k8s` and the image give a processor in a pod. */
export const POD: Setup = {
  flags: ["--max-old-space-size=160", "--max-semi-space-size=4"],
  env: { MALLOC_MMAP_THRESHOLD_: "65536" },
};

export interface Rig {
  /** Removed when the rig stops. */
  readonly folder: string;
  readonly nc: NatsConnection;
  /** On the embedded engine in this process. */
  readonly config: Config;
  readonly httpUrl: string;
  /** CPU of the nats-server and of the engine's process so far, in microseconds. */
  serversCpu(): Promise<{ readonly nats: number; readonly engine: number }>;
  stop(): Promise<void>;
}

export async function startRig(): Promise<Rig> {
  const folder = mkdtempSync(join(temporaryFolder(), "latecomer-bench-"));
  // For the rows that the embedded engine is given as files, here and in the processes of the bench.
  process.env.TMPDIR = folder;
  await ensureNatsServer();
  const nats = await startNatsServer({ folder: join(folder, "nats") });
  const engine = forked("engine.js", [join(folder, "engine")]);
  const { url: httpUrl } = await answer<{ url: string }>(engine);
  const config = resolveConfig({}, {
    natsUrl: nats.url,
    clickhouseUrl: `chdb:${join(folder, "clickhouse")}`,
    logLevel: "error",
  });
  const nc = await connectNats(config);
  return {
    folder,
    nc,
    config,
    httpUrl,
    async serversCpu() {
      engine.send("cpu");
      const { cpuMicros } = await answer<{ cpuMicros: number }>(engine);
      return { nats: cpuOf(nats.pid), engine: cpuMicros };
    },
    async stop() {
      await nc.close();
      engine.disconnect();
      await nats.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Streams, tables and no state, as if nothing had ever been processed; what the stream holds stays. */
export async function begin({ nc }: Rig, config: Config): Promise<void> {
  const jsm = await nc.jetstreamManager();
  await initialise(config, nc, await planStreams(jsm, config), {});
  const buckets = ["checkpoints", "unmatched_status", "workflow_sessions", "capability_snapshots", "leases"];
  for (const bucket of buckets) await jsm.streams.purge(`KV_${bucket}`);
}

/** The same with an empty stream. */
export async function beginEmpty(rig: Rig, config: Config): Promise<void> {
  await begin(rig, config);
  await (await rig.nc.jetstreamManager()).streams.purge("LIVEPEER_EVENTS");
}

export async function publish({ nc }: Rig, load: Iterable<Uint8Array>, partitions = 1, rate = 0): Promise<void> {
  await publishMessages(nc, load, { source: "bench", partitions, messageIds: false, rate });
}

/** Throws unless so many messages are in the archive: that an insert succeeds proves nothing, rows do. */
export async function requireStored(config: Config, count: number): Promise<void> {
  const clickhouse = await openClickHouse(config.clickhouseUrl, { database: config.database });
  const [stored] = await clickhouse.rows<{ n: string }>("SELECT count() AS n FROM raw_streaming_events FINAL");
  await clickhouse.close();
  if (Number(stored?.n) !== count) throw new Error(`${stored?.n} of ${count} messages are in the archive`);
}

/** A processor in a process of its own. */
export class Worker {
  readonly #child: ChildProcess;
  readonly ready: Promise<Ready>;

  constructor(config: Config, setup = PLAIN, isTimed = false) {
    this.#child = forked("worker.js", [JSON.stringify(config), isTimed ? "timed" : ""], setup);
    this.ready = answer(this.#child);
  }

  async ask(what: "cost" | "drained" | "stop"): Promise<WorkerCost> {
    this.#child.send(what);
    return await answer(this.#child);
  }

  /** Stops it where it is; a lease that it holds expires after a while. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Resolves when the process has ended, and with it the engine that it may hold. */
  async stop(): Promise<void> {
    await this.ask("stop");
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }
}

type Args = readonly (string | number)[];

/** What a script beside this one prints, in a process of its own, so that nothing else is counted. */
export function printedBy(script: string, args: Args, setup = PLAIN): string {
  return execFileSync(process.execPath, callOf(script, args, setup), { encoding: "utf8", env: envOf(setup) });
}

/** The same while this process goes on. */
export async function printing(script: string, args: Args, setup = PLAIN): Promise<string> {
  return (await promisify(execFile)(process.execPath, callOf(script, args, setup), { env: envOf(setup) })).stdout;
}

function envOf({ env }: Setup): NodeJS.ProcessEnv {
  return { ...process.env, ...env };
}

function callOf(script: string, args: Args, { flags }: Setup): string[] {
  return ["--expose-gc", ...flags, fileURLToPath(new URL(script, import.meta.url)), ...args.map(String)];
}

function forked(script: string, args: string[], setup = PLAIN): ChildProcess {
  const options = { execArgv: [...setup.flags], env: envOf(setup) };
  return fork(fileURLToPath(new URL(script, import.meta.url)), args, options);
}

function answer<Answer>(child: ChildProcess): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const gone = (code: number | null) => reject(new Error(`a process of the bench ended with ${code}`));
    child.once("exit", gone);
    child.once("message", (message) => {
      child.off("exit", gone);
      resolve(message as Answer);
    });
  });
}

/** User and system time of a process in microseconds; Linux tells it in hundredths of a second, others not at all. */
function cpuOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch {
    return NaN;
  }
}
