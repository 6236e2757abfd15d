/**
 * One partition from stream to ack: read, take, seal, then commit in the order that loses nothing:
 *
 *     dead letters → rows → dirty minutes → state → checkpoint → ack
 *
 * A crash between any two of these leads to a repeat, and the repeat adds the same rows again. While a batch
 * is being committed the next one is read and decoded; it is sealed only when the commit is through, so
 * there is at most one batch in flight and one in the making. When ClickHouse or NATS is away, the commit
 * is retried with the batch kept, the batch in the making fills up to its bound, and reading pauses.
 * Snapshots alone are written as soon as they are read: whoever knows one sooner has less to correct.
 */
import type { Gap } from "../core/checkpoint.ts";
import { count, type Counts, type Effects } from "../core/effects.ts";
import type { Row, Table } from "../core/emit/row.ts";
import type { StoredMessage } from "../core/event.ts";
import { judge } from "../core/judge.ts";
import type { PartitionState } from "../core/step.ts";
import { formatInstant } from "../core/time.ts";
import type {
  Clock,
  DeadLetterQueue,
  DirtyMinutes,
  EventStream,
  Log,
  MessageSource,
  RowBatch,
  Sink,
} from "../ports.ts";
import { type OnRetry, Retries } from "./retry.ts";
import type { State } from "./state.ts";

export interface PipelineSettings {
  readonly partition: string;
  readonly generation: number;
  /** The hash of what decides content; checkpoints tell it. */
  readonly contentHash: string;
  /** What ends a batch at this moment, in messages or facts, as the partition counts what is pending. */
  readonly batchRows: () => number;
  /** How long a batch that is not full waits for more. */
  readonly lingerMs: number;
}

export interface PipelinePorts {
  readonly source: MessageSource;
  readonly stream: EventStream;
  readonly sink: Sink;
  readonly state: Pick<State, "write" | "sessions" | "saveCheckpoint" | "noteGap" | "noteCosts">;
  readonly deadLetters: DeadLetterQueue;
  readonly dirtyMinutes: DirtyMinutes;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /**
   * True while messages that come before this sequence, and that this partition leans on, are at hand elsewhere; without it
   * none are.
   */
  readonly isAhead?: (takenSeq: number) => boolean;
  /** Told of every batch once it is committed; must not throw. */
  readonly onCommitted?: (effects: Effects) => void;
}

/** Bytes of messages that end a batch, however few they are. */
const MOST_BATCH_BYTES = 16 * 1_048_576;

/** A batch ends with as many bytes as its messages have in the mean: large ones must not take what partitions share again. */
const MEAN_BYTES = 1_024;

/** How often a partition that is ahead of the snapshots looks whether it still is. */
const AHEAD_MS = 5;

/** A step of a commit that takes longer than this hangs: an insert takes milliseconds. */
const HANGING_MS = 5_000;

/** How often a partition looks whether the stream has passed it: with nothing new for it, or by its expiring head. */
const LOOK_MS = 5_000;

export class PartitionPipeline {
  readonly #settings: PipelineSettings;
  readonly #state: PartitionState;
  readonly #ports: PipelinePorts;
  readonly #counts: Counts;
  readonly #retries: Retries;
  /** Aborted when the pipeline is to leave at once, without waiting for what is away. */
  readonly #abandon = new AbortController();
  #rows: RowBatch;
  #stopping = false;
  #commit: Promise<void> | undefined;
  #firstPendingAt: number | undefined;
  /** When the step of the commit began that is under way. */
  #committingSince: number | undefined;
  #lookedAt = 0;
  /** Since when it waits for snapshots. */
  #aheadSince: number | undefined;
  /** Up to here a gap has been noted. */
  #gapSeenTo = 0;
  #failure: unknown;
  #finished: Promise<void> | undefined;

  /** `counts` is where the pipeline adds up what its batches count. */
  constructor(settings: PipelineSettings, state: PartitionState, ports: PipelinePorts, counts: Counts) {
    this.#settings = settings;
    this.#state = state;
    this.#ports = ports;
    this.#counts = counts;
    this.#rows = ports.sink.begin();
    const { clock, random, log } = ports;
    const onRetry: OnRetry = (error, attempt, pauseMs) => {
      count(this.#counts, "attempts_failed", 1);
      // The first and then every tenth: an outage of an hour must not fill a disk.
      if (attempt % 10 !== 1) return;
      log.warn({ partition: settings.partition, attempt, pauseMs, error: error.message }, "a dependency is away");
    };
    this.#retries = new Retries({ clock, random, signal: this.#abandon.signal, onRetry });
  }

  /** True while a dependency is away: an attempt failed and is being repeated, or one does not come to an end. */
  get isAway(): boolean {
    const since = this.#committingSince;
    return this.#retries.areFailing || (since !== undefined && this.#ports.clock.now() - since > HANGING_MS);
  }

  /** True until everything is read again that earlier owners had processed. */
  get isWarmingUp(): boolean {
    return this.#state.isWarmingUp;
  }

  /** Processes until `stop`; rejects when something failed that trying again does not mend. */
  run(): Promise<void> {
    this.#finished ??= this.#run();
    return this.#finished;
  }

  /** Takes no more messages, commits what was taken and leaves; after `deadlineMs` leaves without that. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const left = new AbortController();
    this.#ports.clock.sleep(deadlineMs, left.signal).then(() => {
      if (!left.signal.aborted) this.#abandon.abort();
    });
    try {
      await this.#finished;
    } finally {
      left.abort();
    }
  }

  /** Writes the sessions in memory once more with the evidence that there is. */
  settle(): void {
    this.#state.settle();
  }

  /** True when the stream has nothing more for this partition and everything taken is committed. */
  async isDrained(): Promise<boolean> {
    if (!this.#isIdle() || await this.#ports.source.drainedUpTo() === undefined) return false;
    return this.#isIdle();
  }

  #isIdle(): boolean {
    return this.#state.pending === 0 && this.#commit === undefined;
  }

  async #run(): Promise<void> {
    const { source, clock } = this.#ports;
    const { lingerMs } = this.#settings;
    this.#lookedAt = clock.now();
    try {
      while (!this.#stopping) {
        if (clock.now() - this.#lookedAt >= LOOK_MS) await this.#retries.run(() => this.#look());
        const batchRows = this.#settings.batchRows();
        const room = Math.max(1, batchRows - this.#state.pending);
        const waits = this.#waitsForSnapshots();
        if (waits) await clock.sleep(AHEAD_MS);
        else await this.#take(await this.#retries.run(() => source.read(room, lingerMs)));
        if (this.#state.pending === 0) continue;
        this.#firstPendingAt ??= clock.now();
        const batchBytes = Math.min(MOST_BATCH_BYTES, batchRows * MEAN_BYTES);
        const isFull = this.#state.pending >= batchRows || this.#state.pendingBytes >= batchBytes;
        // What is at hand comes along: it waits no longer for that, and few large inserts cost less than many small ones.
        // But where that waits for snapshots, only until these hang.
        const pendingMs = clock.now() - this.#firstPendingAt;
        const isMore = source.nextSequence() !== undefined;
        const isDue = isMore ? waits && pendingMs >= HANGING_MS : pendingMs >= lingerMs;
        if (isFull) await this.#commit;
        if (this.#failure !== undefined) break;
        if (isFull || (isDue && this.#commit === undefined)) this.#startCommit();
      }
      await this.#commit;
      if (this.#failure === undefined) this.#startCommit();
      await this.#commit;
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      // Whoever opens the partition again must not find that this batch comes to its checkpoint afterwards.
      await this.#commit;
      await source.close();
    }
  }

  /**
   * True while it is ahead of the snapshots. With a backlog partitions are read at speeds of their own, and whoever is ahead
   * writes rows that are corrected at once: four of five of them twice (measured, 30 s of the real mix). No read waits for
   * longer than what hangs, so that nothing hangs on another partition.
   */
  #waitsForSnapshots(): boolean {
    const { clock, isAhead } = this.#ports;
    if (isAhead?.(this.#state.takenSeq)) {
      this.#aheadSince ??= clock.now();
      if (clock.now() - this.#aheadSince < HANGING_MS) return true;
    }
    this.#aheadSince = undefined;
    return false;
  }

  /** Takes messages, once their snapshots are told and the sessions that they belong to are in memory. */
  async #take(messages: readonly StoredMessage[]): Promise<void> {
    const judged = messages.map((message) => judge(message));
    const snapshots = judged.flatMap(({ snapshot }) => snapshot ?? []);
    const { partition } = this.#settings;
    if (snapshots.length > 0) await this.#retries.run(() => this.#ports.state.write(partition, snapshots));
    const unknown = new Set<string>();
    for (const { sessionKey } of judged) {
      if (sessionKey !== undefined && !this.#state.knows(sessionKey)) unknown.add(sessionKey);
    }
    if (unknown.size > 0) {
      const entries = await this.#retries.run(() => this.#ports.state.sessions([...unknown]));
      for (const { key, value } of entries) this.#state.admit(key, value);
    }
    for (const [at, message] of messages.entries()) this.#state.take(message, judged[at]!);
    this.#add(this.#state.takeRows());
  }

  #add(rows: ReadonlyMap<Table, readonly Row[]>): void {
    for (const [table, list] of rows) this.#rows.add(table, list);
  }

  /**
   * Moves the checkpoint of a partition that nothing comes for along with the stream, so that the expiring head never
   * looks like a loss; and notes a head that has overtaken a partition with more to read, which is one.
   */
  async #look(): Promise<void> {
    const { clock, source, state, stream, log } = this.#ports;
    this.#lookedAt = clock.now();
    const { takenSeq } = this.#state;
    const last = this.#isIdle() ? await source.drainedUpTo() : undefined;
    if (last !== undefined) {
      if (last.streamSequence <= takenSeq || !this.#isIdle()) return;
      this.#state.passTo(last.streamSequence, last.storedAtMs);
      this.#startCommit();
      return;
    }
    const { firstSeq } = await stream.bounds();
    const fromSeq = Math.max(takenSeq, this.#gapSeenTo) + 1;
    if (firstSeq <= fromSeq) return;
    const gap: Gap = { fromSeq, toSeq: firstSeq - 1, processed: false };
    this.#gapSeenTo = gap.toSeq;
    count(this.#counts, "stream_gap_messages", gap.toSeq - gap.fromSeq + 1);
    log.error({ partition: this.#settings.partition, ...gap }, "the stream dropped messages before they were read");
    await state.noteGap(this.#settings.partition, gap);
  }

  #startCommit(): void {
    const effects = this.#state.seal();
    this.#add(effects.rows);
    const rows = this.#rows;
    this.#rows = this.#ports.sink.begin();
    this.#firstPendingAt = undefined;
    this.#commit = this.#commitBatch(effects, rows).catch((error) => {
      // Nothing may be committed after a batch that failed: its messages would count as done.
      this.#failure = error;
      this.#stopping = true;
    }).finally(() => this.#commit = undefined);
  }

  async #commitBatch(effects: Effects, rows: RowBatch): Promise<void> {
    const { deadLetters, dirtyMinutes, state: changes, costs, counts, progress } = effects;
    const { deadLetters: queue, dirtyMinutes: marks, state, source, log } = this.#ports;
    const { partition, generation, contentHash: hash } = this.#settings;
    if (deadLetters.length > 0) await this.#step(() => queue.publish(deadLetters));
    await this.#step(() => rows.store());
    // Only now: whoever recomputes a minute before its rows are there would finish the mark without them.
    if (dirtyMinutes.length > 0) await this.#step(() => marks.mark(dirtyMinutes));
    const untold = changes.filter(({ bucket }) => bucket !== "capability_snapshots");
    if (untold.length > 0) {
      const merged = await this.#step(() => state.write(partition, untold));
      for (const { key, value } of merged) this.#state.adopt(key, value!);
    }
    const { takenSeq, ...reached } = progress;
    await this.#step(() => state.saveCheckpoint(partition, { ...reached, generation, hash }));
    await this.#step(() => source.ack(takenSeq));
    for (const [name, by] of counts) count(this.#counts, name, by);
    for (const cost of costs) {
      const { span: { fromMs, toMs }, ...what } = cost;
      const window = { from: formatInstant(fromMs), to: formatInstant(toMs) };
      log.warn({ partition, ...what, ...window }, "a bound cost evidence; replay this window to repair it");
    }
    if (costs.length > 0) await this.#step(() => state.noteCosts(partition, costs));
    this.#ports.onCommitted?.(effects);
  }

  /** A step of a commit. */
  async #step<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#committingSince = this.#ports.clock.now();
    try {
      return await this.#retries.run(work);
    } finally {
      this.#committingSince = undefined;
    }
  }
}
