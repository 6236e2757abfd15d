/**
 * The processor: one snapshot feed, and a pipeline for each partition this process reads.
 *
 * Snapshots take one way in, the broadcast, also those that this very process decoded. So every partition,
 * here and elsewhere, knows the same, and what a partition was told before a crash is what it is told after.
 */
import type { UnmatchedEntry } from "../core/attribute.ts";
import type { Counts } from "../core/effects.ts";
import { SnapshotFeed } from "../core/feed.ts";
import { sessionKeyOf } from "../core/identity.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { FROM_THE_START, PartitionState, type StepSettings } from "../core/step.ts";
import { PARTITION_ALL, partitionOf } from "../core/subject.ts";
import { formatInstant } from "../core/time.ts";
import type { MessageSource, SnapshotBroadcast, SnapshotWatch } from "../ports.ts";
import { PartitionPipeline, type PipelinePorts } from "./pipeline.ts";

export interface ProcessorSettings extends StepSettings {
  readonly partitions: number;
  readonly batchRows: number;
  readonly lingerMs: number;
  readonly mostSightings: number;
}

export interface ProcessorPorts extends Omit<PipelinePorts, "source"> {
  /** Opens the messages of a partition from a stream sequence on. */
  readonly openSource: (partition: string, fromSequence: number) => Promise<MessageSource>;
  readonly broadcast: SnapshotBroadcast;
}

/** How long `stop` waits for the batches in hand, in milliseconds; Kubernetes kills after 30 s. */
export const DRAIN_DEADLINE_MS = 20_000;

const DRAIN_POLL_MS = 20;

export class Processor {
  readonly #settings: ProcessorSettings;
  readonly #ports: ProcessorPorts;
  readonly #feed: SnapshotFeed;
  readonly #states: PartitionState[] = [];
  readonly #pipelines: PartitionPipeline[] = [];
  readonly #counts: Counts = new Map();
  #watch: SnapshotWatch | undefined;
  #running: Promise<void> | undefined;

  constructor(settings: ProcessorSettings, ports: ProcessorPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#feed = new SnapshotFeed(settings);
  }

  /** What was counted in committed batches, by name. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Observations that better evidence may still correct, over all partitions. */
  get openCount(): number {
    return this.#states.reduce((sum, state) => sum + state.openCount, 0);
  }

  /** True when every dependency answers. */
  get isReady(): boolean {
    return this.#running !== undefined && !this.#pipelines.some((pipeline) => pipeline.isAway);
  }

  /** Restores state and starts every partition; resolves when all of them read. */
  async start(): Promise<void> {
    const { broadcast, log } = this.#ports;
    this.#watch = await broadcast.watch((snapshot, live) => this.#onSnapshot(snapshot, live));
    await this.#watch.restored;
    const partitions = [PARTITION_ALL, ...Array.from({ length: this.#settings.partitions }, (_, k) => String(k))];
    for (const partition of partitions) this.#pipelines.push(await this.#open(partition));
    this.#running = Promise.all(this.#pipelines.map((pipeline) => pipeline.run())).then(() => {});
    this.#running.catch(() => {}); // `finished` hands it on.
    log.info({ partitions, open: this.openCount }, "processing");
  }

  /** Resolves when the processor was stopped, rejects when a partition failed for good. */
  async finished(): Promise<void> {
    await this.#running;
  }

  /** Resolves when every stored event is processed, with every snapshot applied, and all of it is durable. */
  async drained(): Promise<void> {
    const failed = this.finished().then(() => true);
    const [all, ...others] = this.#pipelines;
    const isDrained = async (): Promise<boolean> => {
      // In this order: the capability partition feeds the broadcast, and the broadcast feeds the others.
      if (!(await all!.isDrained()) || !(await this.#watch!.isCaughtUp())) return false;
      for (const pipeline of others) if (!(await pipeline.isDrained())) return false;
      return await all!.isDrained() && await this.#watch!.isCaughtUp();
    };
    while (!(await isDrained())) {
      const pause = this.#ports.clock.sleep(DRAIN_POLL_MS).then(() => false);
      if (await Promise.race([failed, pause])) return;
    }
  }

  /** Finishes the batches in hand, commits them and leaves. May be called twice. */
  async stop(): Promise<void> {
    const stopped = await Promise.allSettled(this.#pipelines.map((pipeline) => pipeline.stop(DRAIN_DEADLINE_MS)));
    await this.#watch?.close();
    const failure = stopped.find((one) => one.status === "rejected");
    if (failure !== undefined) throw failure.reason;
  }

  async #open(partition: string): Promise<PartitionPipeline> {
    const { openSource, store, log } = this.#ports;
    const checkpoint = await store.loadCheckpoint(partition) ?? FROM_THE_START;
    const state = new PartitionState(this.#settings, this.#feed, checkpoint);
    const entries = (await store.unmatched()).filter((entry) => this.#partitionOf(entry) === partition);
    // Without a pause between the two: a snapshot that comes from here on finds the restored samples.
    for (const entry of entries) state.restore(entry);
    this.#states.push(state);
    const source = await openSource(partition, checkpoint.rewindSeq);
    log.debug({ partition, ...checkpoint, restored: entries.length }, "partition opened");
    const { generation, batchRows, lingerMs } = this.#settings;
    return new PartitionPipeline(
      { partition, generation, batchRows, lingerMs },
      state,
      { ...this.#ports, source },
      this.#counts,
    );
  }

  /** Which partition restores a sample: the one of its session, whoever held it before. */
  #partitionOf({ sample }: UnmatchedEntry): string {
    return partitionOf(sessionKeyOf(sample.streamId, sample.requestId, sample.id), this.#settings.partitions);
  }

  #onSnapshot(snapshot: Snapshot, live: boolean): void {
    const applied = this.#feed.apply(snapshot);
    // What was stored before this process started was judged by whoever ran then.
    if (applied.isLate && live) this.#noteLate(snapshot);
    if (applied.dropped > 0) {
      this.#count("snapshots_dropped", applied.dropped);
      const upTo = formatInstant(this.#feed.candidatesOf(snapshot.source).forgottenUpToMs);
      this.#ports.log.warn(
        { source: snapshot.source, count: applied.dropped, upTo },
        "snapshots dropped by their bound",
      );
    }
    for (const state of this.#states) state.correct(snapshot, applied);
  }

  #noteLate({ source, uid, timeMs }: Snapshot): void {
    const { beforeMs, afterMs } = this.#settings.ttl;
    this.#count("late_snapshot");
    this.#ports.log.warn(
      { source, uid, from: formatInstant(timeMs - afterMs), to: formatInstant(timeMs + beforeMs) },
      "a snapshot came later than the allowed lateness; replay this window to repair what it could not correct",
    );
  }

  #count(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }
}
