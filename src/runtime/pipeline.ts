/**
 * One partition from stream to ack: read, take, seal, then commit in the order that loses nothing:
 *
 *     dead letters → rows → state → checkpoint → ack
 *
 * A crash between any two of these leads to a repeat, and the repeat adds the same rows again. While a batch
 * is being committed the next one is read and decoded; it is sealed only when the commit is through, so
 * there is at most one batch in flight and one in the making. When ClickHouse or NATS is away, the commit
 * is retried with the batch kept, the batch in the making fills up to its bound, and reading pauses.
 */
import type { Counts, Effects } from "../core/effects.ts";
import type { PartitionState } from "../core/step.ts";
import type { Clock, DeadLetterQueue, Log, MessageSource, Sink, StateStore } from "../ports.ts";
import { retrying } from "./retry.ts";

export interface PipelineSettings {
  readonly partition: string;
  readonly generation: number;
  /** Messages or rows that end a batch. */
  readonly batchRows: number;
  /** How long a batch that is not full waits for more. */
  readonly lingerMs: number;
}

export interface PipelinePorts {
  readonly source: MessageSource;
  readonly sink: Sink;
  readonly store: StateStore;
  readonly deadLetters: DeadLetterQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** Bytes of messages that end a batch, however few they are. */
const MOST_BATCH_BYTES = 16 * 1_048_576;

export class PartitionPipeline {
  readonly #settings: PipelineSettings;
  readonly #state: PartitionState;
  readonly #ports: PipelinePorts;
  readonly #counts: Counts;
  /** Aborted when the pipeline is to leave at once, without waiting for what is away. */
  readonly #abandon = new AbortController();
  #stopping = false;
  #commit: Promise<void> | undefined;
  #firstPendingAt: number | undefined;
  #failure: unknown;
  /** Attempts that have failed and are being repeated. */
  #failing = 0;
  #finished: Promise<void> | undefined;

  /** `counts` is where the pipeline adds up what its batches count. */
  constructor(settings: PipelineSettings, state: PartitionState, ports: PipelinePorts, counts: Counts) {
    this.#settings = settings;
    this.#state = state;
    this.#ports = ports;
    this.#counts = counts;
  }

  /** True while a dependency is away and a commit is being retried. */
  get isAway(): boolean {
    return this.#failing > 0;
  }

  /** Processes until `stop`; rejects when something failed that trying again does not mend. */
  run(): Promise<void> {
    this.#finished ??= this.#run();
    return this.#finished;
  }

  /** Takes no more messages, commits what was taken and leaves; after `deadlineMs` leaves without that. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const timer = setTimeout(() => this.#abandon.abort(), deadlineMs);
    try {
      await this.#finished;
    } finally {
      clearTimeout(timer);
    }
  }

  /** True when the stream has nothing more for this partition and everything taken is committed. */
  async isDrained(): Promise<boolean> {
    if (!this.#isIdle() || !(await this.#ports.source.isDrained())) return false;
    return this.#isIdle();
  }

  #isIdle(): boolean {
    return this.#state.pending === 0 && this.#commit === undefined;
  }

  async #run(): Promise<void> {
    const { source, clock } = this.#ports;
    const { batchRows, lingerMs } = this.#settings;
    try {
      while (!this.#stopping) {
        const room = Math.max(1, batchRows - this.#state.pending);
        const messages = await this.#retry(() => source.read(room, lingerMs));
        for (const message of messages) this.#state.take(message);
        if (this.#state.pending === 0) continue;
        this.#firstPendingAt ??= clock.now();
        const isFull = this.#state.pending >= batchRows || this.#state.pendingBytes >= MOST_BATCH_BYTES;
        const isDue = clock.now() - this.#firstPendingAt >= lingerMs;
        if (isFull) await this.#commit;
        if (this.#failure !== undefined) break;
        if (isFull || (isDue && this.#commit === undefined)) this.#startCommit();
      }
      await this.#commit;
      if (this.#failure === undefined) this.#startCommit();
      await this.#commit;
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      await source.close();
    }
  }

  #startCommit(): void {
    const effects = this.#state.seal();
    this.#firstPendingAt = undefined;
    this.#commit = this.#commitBatch(effects).catch((error) => {
      // Nothing may be committed after a batch that failed: its messages would count as done.
      this.#failure = error;
      this.#stopping = true;
    }).finally(() => this.#commit = undefined);
  }

  async #commitBatch({ deadLetters, rows, state, costs, counts, progress }: Effects): Promise<void> {
    const { deadLetters: queue, sink, store, source, log } = this.#ports;
    const { partition, generation } = this.#settings;
    if (deadLetters.length > 0) await this.#retry(() => queue.publish(deadLetters));
    for (const [table, list] of rows) {
      if (list.length > 0) await this.#retry(() => sink.write(table, list));
    }
    if (state.length > 0) await this.#retry(() => store.write(state));
    const { doneSeq, rewindSeq, takenSeq } = progress;
    await this.#retry(() => store.saveCheckpoint(partition, { doneSeq, rewindSeq, generation }));
    await this.#retry(() => source.ack(takenSeq));
    for (const [name, by] of counts) this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
    for (const cost of costs) {
      log.warn({ partition, ...cost }, "a bound cost evidence; replay this window to repair it");
    }
  }

  async #retry<Result>(work: () => Promise<Result>): Promise<Result> {
    const { clock, log, random } = this.#ports;
    let failing = false;
    try {
      return await retrying(work, {
        clock,
        random,
        signal: this.#abandon.signal,
        onRetry: (error, attempt, pauseMs) => {
          if (!failing) this.#failing++;
          failing = true;
          // The first and then every tenth: an outage of an hour must not fill a disk.
          if (attempt % 10 !== 1) return;
          log.warn(
            { partition: this.#settings.partition, attempt, pauseMs, error: error.message },
            "a dependency is away",
          );
        },
      });
    } finally {
      if (failing) this.#failing--;
    }
  }
}
