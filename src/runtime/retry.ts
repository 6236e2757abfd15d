/** Trying again, in the one place where that happens. */
import { isRetryable } from "../errors.ts";
import type { Clock } from "../ports.ts";

/** The first pause and the longest one, in milliseconds; each pause is at most twice the one before. */
export const BACKOFF = { firstMs: 50, longestMs: 5_000 } as const;

/** Told of every failed attempt; `attempt` counts from 1. */
export type OnRetry = (error: Error, attempt: number, pauseMs: number) => void;

/**
 * Runs `work` until it succeeds, pausing with full jitter between attempts, so that many processes do not
 * come back in step. Errors that are not retryable, and any error once the signal has aborted, are thrown.
 * `random` yields numbers in [0, 1).
 */
export async function retrying<Result>(
  work: () => Promise<Result>,
  { clock, signal, random, onRetry }: { clock: Clock; signal: AbortSignal; random: () => number; onRetry: OnRetry },
): Promise<Result> {
  let ceilingMs: number = BACKOFF.firstMs;
  for (let attempt = 1;; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isRetryable(error) || signal.aborted) throw error;
      const pauseMs = Math.round(ceilingMs * (0.5 + random() / 2));
      onRetry(error as Error, attempt, pauseMs);
      await clock.sleep(pauseMs, signal);
      ceilingMs = Math.min(ceilingMs * 2, BACKOFF.longestMs);
    }
  }
}
