/**
 * A process of the installation. Whatever it waits for is a step of its own, so it can stop at any of them: for ever,
 * or until others have taken its place. What it sent before that may still arrive.
 */
import { LatecomerError } from "../../src/errors.ts";
import type { Clock } from "../../src/ports.ts";
import type { Faults } from "./faults.ts";
import type { Owner, Scheduler } from "./scheduler.ts";

/** Long enough to lose every lease. */
const PAUSE_MS = { least: 500, most: 15_000 } as const;

/** Requests under way; they outlive their sender. */
const NETWORK: Owner = { name: "network", isAlive: true, pausedUntilMs: 0 };

/** Tells a lost request or answer, as an adapter does. */
export function away(what: string): LatecomerError {
  return new LatecomerError("AWAY", "retryable", `${what}: no answer`);
}

export class Process implements Owner {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly clock: Clock;
  readonly #onStop: () => void;
  #isAlive = true;
  #pausedUntilMs = 0;

  /** `onStop` is called when a fault ends or pauses the process. */
  constructor(name: string, scheduler: Scheduler, faults: Faults, onStop: () => void) {
    this.name = name;
    this.scheduler = scheduler;
    this.faults = faults;
    this.#onStop = onStop;
    this.clock = { now: () => scheduler.nowMs, sleep: (ms, signal) => this.#sleep(ms, signal) };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get pausedUntilMs(): number {
    return this.#pausedUntilMs;
  }

  /** Ends the process where it stands. */
  kill(): void {
    this.#isAlive = false;
  }

  /** Runs something in this process after a delay, unless it has stopped by then. */
  later(delayMs: number, label: string, run: () => void): void {
    this.scheduler.schedule(delayMs, this, label, () => {
      if (this.faults.happens("crash")) {
        this.kill();
        this.#onStop();
      } else if (this.faults.happens("pause")) {
        this.#pausedUntilMs = this.scheduler.nowMs + this.faults.between(PAUSE_MS.least, PAUSE_MS.most);
        this.later(0, label, run);
        this.#onStop();
      } else {
        run();
      }
    });
  }

  /**
   * Asks a server for something: the request travels, `effect` happens there, the answer travels back. Rejects with a
   * retryable error when one of them is lost, with what `effect` throws when it does.
   */
  call<Result>(label: string, effect: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.arrive(label, () => {
        if (this.faults.happens("lost")) return this.#answer(label, () => reject(away(label)));
        let answer: () => void;
        try {
          const result = effect();
          answer = () => resolve(result);
        } catch (error) {
          answer = () => reject(error);
        }
        this.#answer(label, this.faults.happens("lost") ? () => reject(away(label)) : answer);
      });
    });
  }

  /** Sends a request; what its sender has sent before it died arrives or not. */
  arrive(label: string, effect: () => void, delayMs = this.faults.latencyMs()): void {
    this.scheduler.schedule(delayMs, NETWORK, `${this.name} ${label}`, () => {
      if (this.#isAlive || this.faults.below(2) === 0) effect();
    });
  }

  #answer(label: string, run: () => void): void {
    this.later(this.faults.latencyMs(), label, run);
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      signal?.addEventListener("abort", () => resolve());
      this.later(ms, "sleep", resolve);
    });
  }
}
