/** `latecomer run`: process the stream until stopped, or until everything stored is processed. */
import { hostname } from "node:os";
import type { Command } from "commander";
import { type Config, describeConfig, type Role } from "../config.ts";
import type { ClickHouse } from "../clickhouse/client.ts";
import { openRollups } from "../clickhouse/rollup.ts";
import type { Counts } from "../core/effects.ts";
import { openSink } from "../clickhouse/sink.ts";
import { LatecomerError } from "../errors.ts";
import { connectNats } from "../nats/connection.ts";
import { openBroadcast } from "../nats/broadcast.ts";
import { openDeadLetters } from "../nats/deadletters.ts";
import { openDirtyMinuteQueue, openDirtyMinutes } from "../nats/dirty.ts";
import { openBuckets } from "../nats/bucket.ts";
import { contentHash, readGeneration } from "../nats/generation.ts";
import { openEventStream } from "../nats/stream.ts";
import type { Log } from "../ports.ts";
import { systemClock } from "../runtime/clock.ts";
import { Metrics } from "../runtime/metrics.ts";
import { Processor } from "../runtime/processor.ts";
import { RollupWorker } from "../runtime/rollup.ts";
import { State } from "../runtime/state.ts";
import { checkClickHouse, checkFolder, checkNats, requireSound } from "./checks.ts";
import { configOf, type Context, logOf, openWarehouse, PLACES, printJson, printLine, withSettings } from "./context.ts";
import { openStatus } from "./status.ts";
import { type NatsConnection, nuid } from "nats";

interface RunFlags {
  readonly untilDrained?: boolean;
  readonly json?: boolean;
}

/** What decides how `run` works, beside where things are. */
export const PROCESSING = [
  "name",
  "roles",
  "ttlBeforeMs",
  "ttlAfterMs",
  "allowedLatenessMs",
  "partitions",
  "batchRows",
  "lingerMs",
  "maxOpen",
  "maxSightings",
  "maxSessions",
  "maxSeen",
  "httpPort",
] as const;

/** What came within a minute is read again after a restart in a second, and most sessions are over within one. */
export const SESSION_LAG_MS = 60_000;

/**
 * How long a process may take to leave once it was told to, in milliseconds: longer than it waits for the batches in hand
 * (`DRAIN_DEADLINE_MS`), shorter than the grace of a pod (deploy/k8s).
 */
const LEAVE_DEADLINE_MS = 25_000;

export function registerRun(program: Command, context: Context): void {
  const command = program.command("run")
    .description(
      "attribute the stream: rows at once, corrections as evidence comes, and the rollup of what they change",
    )
    .option("--until-drained", "end when every stored event is processed and everything is written, the rollup too")
    .option("--json", "at the end one JSON document of what was counted on stdout");
  withSettings(command, [...PLACES, ...PROCESSING]).action((flags: RunFlags) => {
    const stopping = context.takeSignal();
    return inTime(run(flags, context, stopping), stopping);
  });
}

async function run(flags: RunFlags, context: Context, stopping: AbortSignal): Promise<void> {
  const config = configOf(context, flags);
  const log = logOf(config);
  log.info({ version: context.version, ...describeConfig(config) }, "starting");
  const metrics = new Metrics();
  const status = config.httpPort === 0 ? undefined : await openStatus(config.httpPort, metrics, stopping);
  const closing: (() => Promise<void>)[] = [async () => await status?.close()];
  try {
    requireSound([await checkFolder(config)]);
    const nc = await connectNats(config);
    closing.unshift(() => nc.close());
    const clickhouse = await openWarehouse(config, log);
    closing.unshift(() => clickhouse.close());
    requireSound([...await checkNats(config, nc), ...await checkClickHouse(config, clickhouse)]);
    const isIn = (role: Role) => config.roles.includes(role);
    const processor = isIn("attribute") ? await startProcessor(config, nc, clickhouse, log, metrics) : undefined;
    const rollup = isIn("rollup") ? await startRollup(nc, clickhouse, log, metrics) : undefined;
    await status?.watch({ nc, clickhouse, processor, rollup });
    const stopped = new Promise<void>((resolve) => {
      if (stopping.aborted) resolve(); // It came while all this was being started.
      stopping.addEventListener("abort", () => resolve());
    });
    const drained = async () => {
      await processor?.drained();
      await processor?.settle();
      await rollup?.drained();
    };
    const done = flags.untilDrained ? drained() : Promise.all([processor?.finished(), rollup?.run()]);
    await Promise.race([done, stopped]);
    if (stopping.aborted) log.info({}, "stopping: finishing the batches in hand");
    await Promise.all([processor?.stop(), rollup?.stop()]);
    summarise(processor, rollup, flags);
  } finally {
    for (const close of closing) await close();
  }
}

/**
 * What comes of work that must come to its end soon after the signal. Throws LEFT_LATE where it does not: a request that
 * nobody answers would hold a process for minutes, and what hangs ends with the process.
 */
function inTime(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const begin = () => {
      const message = "left without writing what was in hand, since something did not answer; it will be read again";
      timer = setTimeout(() => reject(new LatecomerError("LEFT_LATE", "unavailable", message)), LEAVE_DEADLINE_MS);
    };
    signal.aborted ? begin() : signal.addEventListener("abort", begin, { once: true });
    work.finally(() => {
      signal.removeEventListener("abort", begin);
      clearTimeout(timer);
    }).then(resolve, reject);
  });
}

/** How messages are processed under a configuration, by `run` and by a replay alike. */
export function processingOf(config: Config) {
  return {
    ttl: { beforeMs: config.ttlBeforeMs, afterMs: config.ttlAfterMs },
    allowedLatenessMs: config.allowedLatenessMs,
    contentHash: contentHash(config),
    mostOpen: config.maxOpen,
    mostSightings: config.maxSightings,
    mostSessions: config.maxSessions,
    sessionLagMs: SESSION_LAG_MS,
    mostSeen: config.maxSeen,
    batchRows: config.batchRows,
    lingerMs: config.lingerMs,
  };
}

/** Wires the processor to NATS and ClickHouse, and starts it. */
export async function startProcessor(
  config: Config,
  nc: NatsConnection,
  clickhouse: ClickHouse,
  log: Log,
  metrics = new Metrics(),
): Promise<Processor> {
  const buckets = metrics.buckets(await openBuckets(nc));
  const counts: Counts = new Map();
  const processor = new Processor({
    name: config.name || `${hostname()}-${nuid.next()}`,
    ...processingOf(config),
    leftOut: new Set(),
    partitions: config.partitions,
  }, {
    stream: await openEventStream(nc),
    broadcast: await openBroadcast(nc),
    sink: openSink(clickhouse, { clock: systemClock, log, counts, onInserted: metrics.inserted }),
    state: new State(buckets),
    leases: buckets.leases,
    generation: () => readGeneration(nc),
    deadLetters: openDeadLetters(nc),
    dirtyMinutes: openDirtyMinutes(nc),
    clock: systemClock,
    log,
    random: Math.random,
    onCommitted: metrics.committed,
  }, counts);
  await processor.start();
  return processor;
}

/** Starts a worker that recomputes minutes. */
export async function startRollup(
  nc: NatsConnection,
  clickhouse: ClickHouse,
  log: Log,
  metrics = new Metrics(),
): Promise<RollupWorker> {
  const worker = new RollupWorker({
    queue: await openDirtyMinuteQueue(nc),
    store: metrics.rollups(openRollups(clickhouse)),
    clock: systemClock,
    log,
    random: Math.random,
  });
  worker.run().catch(() => {}); // `run` and `drained` hand it on.
  return worker;
}

function summarise(processor: Processor | undefined, rollup: RollupWorker | undefined, flags: RunFlags): void {
  const counted = [...processor?.counts ?? [], ...rollup?.counts ?? []];
  const counts = Object.fromEntries(counted.sort(([a], [b]) => a < b ? -1 : 1));
  const open = processor?.openCount ?? 0;
  if (flags.json) return printJson({ counts, open });
  const shown = Object.entries(counts).map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`);
  printLine(`${shown.join(", ") || "nothing to do"}; ${open} observations open`);
}
