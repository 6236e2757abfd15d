/**
 * The role `rollup`: takes marks, recomputes their minutes, and finishes the marks once the rows are durable. A mark that
 * is taken twice, by a crash or by two workers, is a minute that is recomputed twice, to the same rows; one that is made
 * while its minute is in hand stands on and is taken later.
 */
import { count } from "../core/effects.ts";
import type { Minute } from "../core/minute.ts";
import { isRetryable } from "../errors.ts";
import type { Clock, DirtyMinuteQueue, Log, RollupStore } from "../ports.ts";
import { type OnRetry, Retries } from "./retry.ts";

export interface RollupPorts {
  readonly queue: DirtyMinuteQueue;
  readonly store: RollupStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** Marks in hand at once. */
const MOST_MARKS = 400;

/**
 * How long a worker that has emptied the queue leaves it alone. A partition marks the minute that it is in with every
 * batch; in a second these marks have become one.
 */
const PAUSE_MS = 1_000;

/** How often the queue is told that marks are being worked on; well within its patience of half a minute. */
const WORKING_MS = 10_000;

const DRAIN_POLL_MS = 50;

export class RollupWorker {
  readonly #ports: RollupPorts;
  readonly #counts = new Map<string, number>();
  readonly #stopping = new AbortController();
  readonly #retries: Retries;
  /** Aborted to have a pause end early. */
  #pause = new AbortController();
  #isDraining = false;
  #finished: Promise<void> | undefined;

  constructor(ports: RollupPorts) {
    this.#ports = ports;
    const { clock, random, log } = ports;
    const onRetry: OnRetry = (error, attempt, pauseMs) => {
      count(this.#counts, "attempts_failed", 1);
      if (attempt % 10 === 1) log.warn({ attempt, pauseMs, error: error.message }, "the rollup waits");
    };
    this.#retries = new Retries({ clock, random, signal: this.#stopping.signal, onRetry });
  }

  /** What was counted, by name. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** True while an attempt has failed and is being repeated. */
  get isAway(): boolean {
    return this.#retries.areFailing;
  }

  /** Recomputes until `stop`; rejects when something failed that trying again does not mend. */
  run(): Promise<void> {
    this.#finished ??= this.#run();
    return this.#finished;
  }

  /** Resolves when no mark is left, in any worker's hand or none; rejects with what ended `run`. */
  async drained(): Promise<void> {
    const { clock } = this.#ports;
    this.#isDraining = true;
    this.#pause.abort();
    const ended = this.run().then(() => true);
    ended.catch(() => {}); // It may fail once nobody waits here any more.
    while (!(await this.#isEmpty())) {
      if (await Promise.race([ended, clock.sleep(DRAIN_POLL_MS).then(() => false)])) return;
    }
  }

  /** Finishes the marks in hand and leaves. May be called twice. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#pause.abort();
    await this.#finished;
  }

  async #isEmpty(): Promise<boolean> {
    try {
      return (await this.#ports.queue.backlog()).pending === 0;
    } catch (error) {
      if (isRetryable(error)) return false; // Away for now: not known to be empty.
      throw error;
    }
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopping.signal.aborted) {
        if (await this.#round()) continue;
        this.#pause = new AbortController();
        if (this.#stopping.signal.aborted) return;
        await this.#ports.clock.sleep(this.#isDraining ? DRAIN_POLL_MS : PAUSE_MS, this.#pause.signal);
      }
    } catch (error) {
      // Who leaves while a dependency is away leaves its marks to others.
      if (!this.#stopping.signal.aborted || !isRetryable(error)) throw error;
    }
  }

  /** Recomputes the minutes of the marks that are there; true when there may be more. */
  async #round(): Promise<boolean> {
    const { queue, store, clock, log } = this.#ports;
    const marks = await this.#retries.run(() => queue.take(MOST_MARKS));
    if (marks.length === 0) return false;
    const minutes = marks.map(({ minute }) => minute).filter((minute): minute is Minute => minute !== undefined);
    if (minutes.length < marks.length) log.warn({ count: marks.length - minutes.length }, "marks of no minute dropped");
    const done = new AbortController();
    const told = this.#tellWorking(() => marks.forEach((mark) => mark.working()), done.signal);
    const started = clock.now();
    try {
      count(this.#counts, "minutes_recomputed", await this.#retries.run(() => store.recompute(minutes)));
    } finally {
      done.abort();
      await told;
    }
    for (const mark of marks) mark.finish();
    count(this.#counts, "marks_finished", marks.length);
    log.debug({ minutes: minutes.length, ms: Math.round(clock.now() - started) }, "minutes recomputed");
    return marks.length === MOST_MARKS;
  }

  async #tellWorking(tell: () => void, done: AbortSignal): Promise<void> {
    for (;;) {
      await this.#ports.clock.sleep(WORKING_MS, done);
      if (done.aborted) return;
      tell();
    }
  }
}
