/** Trying again, in the one place where that happens. */
import { isRetryable } from "../errors.ts";
import type { Clock } from "../ports.ts";

/** The first pause and the longest one, in milliseconds; each pause is at most twice the one before. */
export const BACKOFF = { firstMs: 50, longestMs: 5_000 } as const;

/** Told of every failed attempt; `attempt` counts from 1. */
export type OnRetry = (error: Error, attempt: number, pauseMs: number) => void;

interface RetryPorts {
  readonly clock: Clock;
  /** Yields numbers in [0, 1). */
  readonly random: () => number;
  /** Once it is aborted nothing is tried again. */
  readonly signal: AbortSignal;
  readonly onRetry: OnRetry;
}

/** Work that is tried again until it succeeds, any number of it at once. */
export class Retries {
  readonly #ports: RetryPorts;
  #failing = 0;

  constructor(ports: RetryPorts) {
    this.#ports = ports;
  }

  /** True while an attempt has failed and is being repeated. */
  get areFailing(): boolean {
    return this.#failing > 0;
  }

  /**
   * Runs `work` until it succeeds, pausing with full jitter between attempts, so that many processes do not
   * come back in step. Errors that are not retryable, and any error once the signal has aborted, are thrown.
   */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    const { clock, random, signal, onRetry } = this.#ports;
    let ceilingMs: number = BACKOFF.firstMs;
    let failed = 0;
    try {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          if (!isRetryable(error) || signal.aborted) throw error;
          if (failed++ === 0) this.#failing++;
          const pauseMs = Math.round(ceilingMs * (0.5 + random() / 2));
          onRetry(error as Error, failed, pauseMs);
          await clock.sleep(pauseMs, signal);
          ceilingMs = Math.min(ceilingMs * 2, BACKOFF.longestMs);
        }
      }
    } finally {
      if (failed > 0) this.#failing--;
    }
  }
}
