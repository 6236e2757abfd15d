/**
 * The processor: one snapshot feed, and a pipeline for each partition that this process holds the lease of.
 *
 * Snapshots take one way in, the broadcast, also those that this very process decoded. So every partition,
 * here and elsewhere, knows the same, and what a partition was told before a crash is what it is told after.
 */
import { isRewritten } from "../core/checkpoint.ts";
import { count, type Counts } from "../core/effects.ts";
import { SnapshotFeed } from "../core/feed.ts";
import type { Snapshot } from "../core/snapshot.ts";
import type { PartitionState, StepSettings } from "../core/step.ts";
import { PARTITION_ALL, partitionNames } from "../core/subject.ts";
import { formatInstant } from "../core/time.ts";
import { isRetryable, LatecomerError } from "../errors.ts";
import type { Backlog, Bucket, LiveSource, SnapshotBroadcast, SnapshotWatch } from "../ports.ts";
import { hasItsState } from "./its-state.ts";
import { Leases, RENEW_MS } from "./leases.ts";
import { PartitionPipeline, type PipelinePorts } from "./pipeline.ts";
import { type Started, startOf } from "./start.ts";
import type { State } from "./state.ts";

export interface ProcessorSettings extends Omit<StepSettings, "generation"> {
  /** Tells this process from every other that shares its partitions. */
  readonly name: string;
  readonly partitions: number;
  /** What ends the batches of all partitions that it reads, in messages or facts, each its share. */
  readonly batchRows: number;
  readonly lingerMs: number;
  readonly mostSightings: number;
}

export interface ProcessorPorts extends Omit<PipelinePorts, "source" | "isAhead"> {
  readonly state: State;
  readonly broadcast: SnapshotBroadcast;
  readonly leases: Bucket;
  /** The generation of the installation, with the hash of what decides content; undefined when there is none. */
  readonly generation: () => Promise<{ readonly generation: number; readonly hash: string } | undefined>;
}

/** How long `stop` waits for the batches in hand, in milliseconds; Kubernetes kills after 30 s. */
export const DRAIN_DEADLINE_MS = 20_000;

const DRAIN_POLL_MS = 20;

/** How often it is looked whether buckets still hold the state of the partitions that are read, in milliseconds. */
const LOOK_MS = 5_000;

const TO_ANOTHER = "partition left to another process";

/** A partition that this process reads. */
interface Owned {
  readonly revision: number;
  readonly state: PartitionState;
  readonly source: LiveSource;
  readonly pipeline: PartitionPipeline;
  leaving: boolean;
}

export class Processor {
  readonly #settings: ProcessorSettings;
  readonly #ports: ProcessorPorts;
  readonly #feed: SnapshotFeed;
  readonly #leases: Leases;
  readonly #owned = new Map<string, Owned>();
  /** States that must be told of snapshots: from when they are restored until their partition is closed. */
  readonly #states = new Set<PartitionState>();
  readonly #counts: Counts;
  readonly #stopping = new AbortController();
  readonly #finished: Promise<void>;
  #ending!: { resolve: () => void; reject: (error: unknown) => void };
  #watch: SnapshotWatch | undefined;
  #tending: Promise<unknown> | undefined;
  #generation = 0;
  #isRoundFailing = false;
  #hasNamesake = false;
  /** Sources opened so far; part of their consumers' names, for a partition may be opened again under one lease. */
  #opened = 0;

  /** `counts` is where it adds up what its batches count; others may count there too. */
  constructor(settings: ProcessorSettings, ports: ProcessorPorts, counts: Counts = new Map()) {
    this.#settings = settings;
    this.#ports = ports;
    this.#counts = counts;
    this.#feed = new SnapshotFeed(settings);
    this.#leases = new Leases(settings.name, this.#partitions, ports.leases);
    this.#finished = new Promise((resolve, reject) => this.#ending = { resolve, reject });
    this.#finished.catch(() => {}); // `finished` hands it on.
  }

  /** What was counted in committed batches, by name. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Observations that better evidence may still correct, over the partitions that this process reads. */
  get openCount(): number {
    return this.#sum(({ openCount }) => openCount);
  }

  /** How many of these have an entry in `unmatched_status`; the others are read again from the stream. */
  get heldCount(): number {
    return this.#sum(({ heldCount }) => heldCount);
  }

  /** Sessions in memory, at rest or not. */
  get sessionCount(): number {
    return this.#sum(({ sessionCount }) => sessionCount);
  }

  /** How many of these partitions have a batch that is held up. */
  get stalledCount(): number {
    return [...this.#owned.values()].filter(({ pipeline }) => pipeline.isAway).length;
  }

  /** How far each source's snapshot feed has come, as the event time of its newest snapshot. */
  get feedTimes(): ReadonlyMap<string, number> {
    return this.#feed.times();
  }

  get generation(): number {
    return this.#generation;
  }

  /** What waits in the stream for each partition that this process reads; one that cannot tell now is left out. */
  async backlogs(): Promise<ReadonlyMap<string, Backlog>> {
    const found = new Map<string, Backlog>();
    await Promise.all([...this.#owned].map(async ([partition, { source }]) => {
      // Away, or about to make itself another consumer.
      const backlog = await source.backlog().catch(() => undefined);
      if (backlog !== undefined) found.set(partition, backlog);
    }));
    return found;
  }

  /** The partitions that this process reads. */
  get held(): readonly string[] {
    return [...this.#owned.keys()];
  }

  /** Why it is not processing what comes, for people; nothing when it is. */
  get obstacles(): readonly string[] {
    if (this.#stopping.signal.aborted) return ["it is stopping"];
    if (this.#tending === undefined) return ["it is starting"];
    const found = this.#isRoundFailing ? ["leases cannot be renewed"] : [];
    if (this.#watch!.isAway) found.push("snapshots cannot be read");
    for (const [partition, { pipeline }] of this.#owned) {
      if (pipeline.isAway) found.push(`partition ${partition} waits for a dependency`);
      if (pipeline.isWarmingUp) found.push(`partition ${partition} reads again what was open`);
    }
    return found;
  }

  /** True when every partition that it holds is restored and every dependency answers. */
  get isReady(): boolean {
    return this.obstacles.length === 0;
  }

  /** Restores state and starts the partitions that are due to this process; resolves when all of them read. */
  async start(): Promise<void> {
    const { broadcast, log } = this.#ports;
    this.#watch = await broadcast.watch((snapshot, live) => this.#onSnapshot(snapshot, live));
    await this.#watch.restored;
    this.#watch.finished.catch((error) => this.#fail(error));
    await this.#round();
    this.#tending = Promise.all([this.#tend(), this.#guardState()]);
    log.info({ partitions: this.held, open: this.openCount, generation: this.#generation }, "processing");
  }

  /** Resolves when the processor was stopped, rejects when a partition failed for good. */
  finished(): Promise<void> {
    return this.#finished;
  }

  /**
   * Resolves when every stored event is processed, by this process or by the others, with every snapshot applied, and
   * all of it is durable.
   */
  async drained(): Promise<void> {
    const failed = this.finished().then(() => true);
    failed.catch(() => {}); // It may fail once nobody waits here any more.
    const isDrained = () =>
      this.#isDrained().catch((error) => {
        if (isRetryable(error)) return false; // Away for now: not known to be drained.
        throw error;
      });
    while (!(await isDrained())) {
      const pause = this.#ports.clock.sleep(DRAIN_POLL_MS).then(() => false);
      if (await Promise.race([failed, pause])) return;
    }
  }

  /** Writes the sessions in memory once more with the evidence that there is; resolves when all of it is durable. */
  async settle(): Promise<void> {
    const settled = new Set<PartitionPipeline>();
    const unsettled = () => [...this.#owned.values()].filter(({ pipeline }) => !settled.has(pipeline));
    // A partition that is taken meanwhile was perhaps not settled by whoever had it.
    do {
      for (const { pipeline } of unsettled()) {
        pipeline.settle();
        settled.add(pipeline);
      }
      await this.drained();
    } while (unsettled().length > 0);
  }

  /** Finishes the batches in hand, commits them, gives up the leases and leaves. May be called twice. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#tending;
    const stopped = await Promise.allSettled(
      [...this.#owned].map(([partition, owned]) => this.#close(partition, owned)),
    );
    await this.#watch?.close();
    // Where that fails, they expire.
    await this.#leases.leave().catch(() => {});
    this.#ending.resolve();
    const failure = stopped.find((one) => one.status === "rejected");
    if (failure !== undefined) throw failure.reason;
    await this.#finished;
  }

  #sum(of: (state: PartitionState) => number): number {
    return [...this.#owned.values()].reduce((sum, { state }) => sum + of(state), 0);
  }

  get #partitions(): string[] {
    return partitionNames(this.#settings.partitions);
  }

  async #isDrained(): Promise<boolean> {
    // In this order: the capability partition feeds the broadcast, and the broadcast feeds the others.
    const [all, ...others] = this.#partitions;
    const isFed = async () => await this.#isDrainedIn(all!) && await this.#watch!.isCaughtUp();
    if (!(await isFed())) return false;
    for (const partition of others) if (!(await this.#isDrainedIn(partition))) return false;
    return await isFed();
  }

  async #isDrainedIn(partition: string): Promise<boolean> {
    const owned = this.#owned.get(partition);
    if (owned !== undefined) return await owned.pipeline.isDrained();
    // Ours in a moment; what is done of it is not settled here.
    if (this.#leases.held.includes(partition)) return false;
    const { state, stream } = this.#ports;
    const lastSeq = await stream.lastSeqOf(partition);
    if (lastSeq === 0) return true;
    const checkpoint = await state.loadCheckpoint(partition);
    if (typeof checkpoint !== "object" || checkpoint.doneSeq < lastSeq) return false;
    return !isRewritten(
      checkpoint,
      await stream.bounds(checkpoint.doneSeq),
      await stream.storedAtMs(checkpoint.doneSeq),
    );
  }

  /** Keeps the leases, and with them the set of partitions, until the processor stops. */
  async #tend(): Promise<void> {
    const { clock, log } = this.#ports;
    for (;;) {
      await clock.sleep(RENEW_MS, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      try {
        await this.#round();
        this.#isRoundFailing = false;
      } catch (error) {
        if (!isRetryable(error)) return this.#fail(error);
        if (!this.#isRoundFailing) log.warn({ error: (error as Error).message }, "leases cannot be renewed");
        this.#isRoundFailing = true;
      }
    }
  }

  async #round(): Promise<void> {
    await this.#adoptGeneration();
    const { taken, lost, surplus } = await this.#leases.round(this.#generation);
    if (lost.length > 0) count(this.#counts, "leases_lost", lost.length);
    this.#tellNamesake();
    // Lost ones, and those that were given up while they were being opened.
    const held = new Set(this.#leases.held);
    for (const partition of this.#owned.keys()) if (!held.has(partition)) this.#leave(partition, TO_ANOTHER);
    for (const partition of surplus) this.#leave(partition, TO_ANOTHER, () => this.#release(partition));
    await this.#openAll(taken);
  }

  /** Looks after the state until the processor stops, beside the leases: their renewal must not wait for it. */
  async #guardState(): Promise<void> {
    for (;;) {
      await this.#ports.clock.sleep(LOOK_MS, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      await this.#lookAfterState().catch((error) => {
        if (!isRetryable(error)) this.#fail(error);
      });
    }
  }

  /** Partitions whose state is gone from its bucket start again, which derives it anew. */
  async #lookAfterState(): Promise<void> {
    const { state, stream } = this.#ports;
    for (const [partition, owned] of this.#owned) {
      const checkpoint = await state.loadCheckpoint(partition);
      if (owned.leaving || typeof checkpoint !== "object") continue;
      if (await hasItsState(partition, checkpoint, stream, state)) continue;
      // Its start says what is missing.
      this.#leave(partition, "partition starts again", () => this.#release(partition));
    }
  }

  /** Says once that another process has the name of this one, which nobody would see in the rows. */
  #tellNamesake(): void {
    const { hasNamesake } = this.#leases;
    if (hasNamesake && !this.#hasNamesake) {
      const { name } = this.#settings;
      this.#ports.log.warn({ name }, "another process runs under this name, and both read the same partitions");
    }
    this.#hasNamesake = hasNamesake;
  }

  /** Stops reading a partition, then does what is to be done; the round need not wait for it. */
  #leave(partition: string, saying: string, then: () => Promise<void> = () => Promise.resolve()): void {
    const owned = this.#owned.get(partition);
    if (owned === undefined || owned.leaving) return;
    this.#ports.log.info({ partition }, saying);
    // A failure of the pipeline is told by its run; a lease that cannot be given up expires.
    this.#handOver(partition, owned).then(then).catch(() => {});
  }

  /** Stops reading a partition that another reader goes on with: what cannot be written now is read again by that one. */
  async #handOver(partition: string, owned: Owned): Promise<void> {
    owned.leaving = true;
    await this.#close(partition, owned).catch((error) => {
      if (!isRetryable(error)) throw error;
    });
  }

  /** Gives up the lease of a partition that is not read here, or no longer; where that fails, it expires. */
  async #release(partition: string): Promise<void> {
    // It may have been lost, taken and opened again while its earlier reader came to an end.
    if (!this.#owned.has(partition)) await this.#leases.release(partition).catch(() => {});
  }

  async #close(partition: string, owned: Owned): Promise<void> {
    try {
      await owned.pipeline.stop(DRAIN_DEADLINE_MS);
    } catch (error) {
      // Whoever reads the partition next starts it again.
      if (!mustStartAgain(error)) throw error;
    } finally {
      this.#forget(partition, owned);
    }
  }

  #forget(partition: string, owned: Owned): void {
    this.#states.delete(owned.state);
    if (this.#owned.get(partition) === owned) this.#owned.delete(partition);
  }

  /**
   * True while the capability partition has a message at hand that comes before what another has taken. Only of this process:
   * how far another's has come nobody tells in time.
   */
  #isAhead(takenSeq: number): boolean {
    const all = this.#owned.get(PARTITION_ALL);
    if (all === undefined || all.leaving || all.pipeline.isAway) return false;
    return (all.source.nextSequence() ?? Infinity) < takenSeq;
  }

  /** Opens partitions whose leases were taken; those that cannot be opened now are given up again. */
  async #openAll(taken: readonly { readonly partition: string; readonly revision: number }[]): Promise<void> {
    if (taken.length === 0) return;
    const { log } = this.#ports;
    const started = new Map<string, Started>();
    const opened = new Set<string>();
    try {
      const names = taken.map(({ partition }) => partition);
      await startOf(names, this.#ports, { ...this.#settings, generation: this.#generation }, {
        feed: this.#feed,
        counts: this.#counts,
        onState: (partition, ready) => {
          this.#states.add(ready.state);
          started.set(partition, ready);
        },
      });
      for (const { partition, revision } of taken) {
        const { state, at: { rewindSeq: fromSequence, doneSeq, doneAtMs }, stored } = started.get(partition)!;
        const source = await this.#ports.stream.open(
          partition,
          { fromSequence, known: { streamSequence: doneSeq, storedAtMs: doneAtMs } },
          `${revision}-${++this.#opened}`,
          (why) => {
            count(this.#counts, "consumers_rebound");
            log.warn({ partition, why }, "another consumer took the place of one that fell silent");
          },
        );
        const { batchRows: all, lingerMs, contentHash } = this.#settings;
        // By leases, for those that are taken with this one are not opened yet.
        const batchRows = () => Math.ceil(all / Math.max(1, this.#leases.held.length));
        const settings = { partition, generation: this.#generation, contentHash, batchRows, lingerMs };
        const pipeline = new PartitionPipeline(
          settings,
          state,
          { ...this.#ports, state: stored, source, isAhead: (takenSeq) => this.#isAhead(takenSeq) },
          this.#counts,
        );
        const owned = { revision, state, source, pipeline, leaving: false };
        // An earlier reader whose lease was lost meanwhile may not have come to its end.
        this.#leave(partition, TO_ANOTHER);
        this.#owned.set(partition, owned);
        opened.add(partition);
        pipeline.run().catch((error) => this.#onFailure(partition, owned, error));
      }
    } catch (error) {
      for (const { partition } of taken) {
        if (opened.has(partition)) continue;
        this.#states.delete(started.get(partition)?.state as PartitionState);
        this.#leases.release(partition).catch(() => {});
      }
      throw error;
    }
  }

  /**
   * A partition whose stream was rewritten under it starts again, and one that is handed over may leave what it had in hand
   * to its next reader; any other failure is the processor's.
   */
  #onFailure(partition: string, owned: Owned, error: unknown): void {
    if (owned.leaving && isRetryable(error)) {
      const { message } = error as Error;
      return this.#ports.log.warn({ partition, error: message }, "left what was in hand to the next reader");
    }
    if (!mustStartAgain(error)) return this.#fail(error);
    this.#ports.log.warn({ partition, error: error.message }, "partition starts again");
    this.#forget(partition, owned);
    // The next round takes it again.
    this.#release(partition);
  }

  #fail(error: unknown): void {
    this.#ending.reject(error);
    this.#stopping.abort();
  }

  /** Goes on under the installation's generation; when it was raised, everything that is open is written under it. */
  async #adoptGeneration(): Promise<void> {
    const found = await this.#ports.generation();
    if (found === undefined || found.generation === this.#generation) return;
    if (found.hash !== this.#settings.contentHash) {
      throw new LatecomerError(
        "GENERATION_OF_OTHERS",
        "unavailable",
        `generation ${found.generation} was made for other TTLs or another version; restore the settings, or ` +
          "`latecomer init --raise-generation`",
      );
    }
    const reopened = [...this.#owned].map(([partition, { revision }]) => ({ partition, revision }));
    await Promise.all([...this.#owned].map(([partition, owned]) => this.#handOver(partition, owned)));
    this.#generation = found.generation;
    if (reopened.length > 0) this.#ports.log.info({ generation: this.#generation }, "generation raised");
    await this.#openAll(reopened);
  }

  #onSnapshot(snapshot: Snapshot, live: boolean): void {
    const applied = this.#feed.apply(snapshot);
    // What was stored before this process started was judged by whoever ran then.
    if (applied.isLate && live) this.#noteLate(snapshot);
    if (applied.dropped > 0) {
      count(this.#counts, "snapshots_dropped", applied.dropped);
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
    count(this.#counts, "late_snapshot");
    this.#ports.log.warn(
      { source, uid, from: formatInstant(timeMs - afterMs), to: formatInstant(timeMs + beforeMs) },
      "a snapshot came later than the allowed lateness; replay this window to repair what it could not correct",
    );
  }
}

/** True when a partition has to start again, since the server lost what was read of it. */
function mustStartAgain(error: unknown): error is LatecomerError {
  return error instanceof LatecomerError && error.code === "STREAM_REWRITTEN";
}
