/** What `run` tells of itself on `LATECOMER_HTTP_PORT`. */
import { collectDefaultMetrics } from "prom-client";
import type { NatsConnection } from "nats";
import type { ClickHouse } from "../clickhouse/client.ts";
import { bucketSizes } from "../nats/bucket.ts";
import { openDirtyMinuteQueue } from "../nats/dirty.ts";
import { openEventStream } from "../nats/stream.ts";
import { systemClock } from "../runtime/clock.ts";
import { servePages } from "../runtime/http.ts";
import type { Metrics, Readings } from "../runtime/metrics.ts";
import { Probe } from "../runtime/probe.ts";
import type { Processor } from "../runtime/processor.ts";
import type { RollupWorker } from "../runtime/rollup.ts";

/** The parts of a process that has started. */
export interface Parts {
  readonly nc: NatsConnection;
  readonly clickhouse: ClickHouse;
  readonly processor: Processor | undefined;
  readonly rollup: RollupWorker | undefined;
}

export interface Status {
  /** Tells of these parts from now on. */
  watch(parts: Parts): Promise<void>;
  /** Tells nothing any more. */
  close(): Promise<void>;
}

/** Opens the pages. Not ready before `watch`, nor once `stopping` is aborted. */
export async function openStatus(port: number, metrics: Metrics, stopping: AbortSignal): Promise<Status> {
  let watched: Watched | undefined;
  const obstacles = () => stopping.aborted ? ["it is stopping"] : watched?.obstacles() ?? ["it is starting"];
  const closePages = await servePages(port, {
    obstacles,
    metrics: () => metrics.page({ ...NOTHING, ...watched?.readings(), isReady: obstacles().length === 0 }),
  });
  collectDefaultMetrics({ register: metrics.registry });
  return {
    watch: async (parts) => {
      watched = await watch(parts);
    },
    close: async () => {
      watched?.stop();
      await closePages();
    },
  };
}

/** Before anything has started. */
const NOTHING: Readings = {
  isReady: false,
  isUp: { nats: false, clickhouse: false },
  generation: 0,
  backlogs: undefined,
  feedTimes: new Map(),
  open: { stream: 0, bucket: 0 },
  sessions: 0,
  stalled: { partitions: 0, rollup: 0 },
  bucketEntries: undefined,
  dirtyMinutes: undefined,
  counts: new Map(),
};

interface Watched {
  obstacles(): readonly string[];
  readings(): Omit<Readings, "isReady">;
  stop(): void;
}

/** Asks from now on what the parts themselves do not know. */
async function watch({ nc, clickhouse, processor, rollup }: Parts): Promise<Watched> {
  const stream = await openEventStream(nc);
  const queue = await openDirtyMinuteQueue(nc);
  const nats = new Probe(() => stream.bounds(), systemClock);
  const engine = new Probe(() => clickhouse.ping().then(() => true), systemClock);
  const backlogs = processor && new Probe(() => processor.backlogs(), systemClock);
  const entries = processor && new Probe(() => bucketSizes(nc), systemClock);
  const dirty = rollup && new Probe(() => queue.backlog(), systemClock);
  const isUp = () => ({ nats: nats.answer !== undefined, clickhouse: engine.answer !== undefined });
  return {
    obstacles: () => [
      ...isUp().nats ? [] : ["NATS does not answer"],
      ...isUp().clickhouse ? [] : ["ClickHouse does not answer"],
      ...processor?.obstacles ?? [],
      ...rollup?.isAway ? ["the rollup waits for a dependency"] : [],
    ],
    readings: () => ({
      isUp: isUp(),
      generation: processor?.generation ?? 0,
      backlogs: backlogs?.answer,
      feedTimes: processor?.feedTimes ?? new Map(),
      open: openOf(processor),
      sessions: processor?.sessionCount ?? 0,
      stalled: { partitions: processor?.stalledCount ?? 0, rollup: rollup?.isAway ? 1 : 0 },
      bucketEntries: entries?.answer,
      dirtyMinutes: dirty?.answer,
      counts: sumOf(processor?.counts, rollup?.counts),
    }),
    stop: () => [nats, engine, backlogs, entries, dirty].forEach((probe) => probe?.stop()),
  };
}

function openOf(processor: Processor | undefined): Readings["open"] {
  const bucket = processor?.heldCount ?? 0;
  return { stream: (processor?.openCount ?? 0) - bucket, bucket };
}

function sumOf(...all: readonly (ReadonlyMap<string, number> | undefined)[]): Map<string, number> {
  const sum = new Map<string, number>();
  for (const counts of all) for (const [name, count] of counts ?? []) sum.set(name, (sum.get(name) ?? 0) + count);
  return sum;
}
