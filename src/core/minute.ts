/**
 * The minutes of the rollup. A minute is recomputed whole, so whoever writes a row of a sample marks its minute as dirty;
 * which one it is depends on the sample's time alone, and never changes.
 */
import { decodeToken, encodeToken } from "./subject.ts";
import { wholeUnits, type Window } from "./time.ts";

/** A minute of a source. */
export interface Minute {
  readonly source: string;
  /** When it starts, in Unix milliseconds; a multiple of 60,000. */
  readonly startMs: number;
}

const MINUTE_MS = 60_000;

/** The minutes that a window touches, as a window: a minute is recomputed whole or not at all. */
export function wholeMinutes(window: Window): Window {
  return wholeUnits(window, MINUTE_MS);
}

/** The minutes in which samples lie, each once. */
export class Minutes {
  readonly #starts = new Map<string, Set<number>>();

  /** Adds the minute of a sample of that time. */
  add(source: string, sampleMs: number): void {
    let of = this.#starts.get(source);
    if (of === undefined) this.#starts.set(source, of = new Set());
    of.add(Math.floor(sampleMs / MINUTE_MS) * MINUTE_MS);
  }

  /** By source and time. */
  all(): Minute[] {
    return [...this.#starts].sort(([a], [b]) => a < b ? -1 : 1)
      .flatMap(([source, of]) => [...of].sort((a, b) => a - b).map((startMs) => ({ source, startMs })));
  }
}

/** The subject of a mark: `dirty.<source>.<minute>`, the minute as the Unix seconds at which it starts. */
export function minuteSubject({ source, startMs }: Minute): string {
  return `dirty.${encodeToken(source)}.${startMs / 1_000}`;
}

/** The minute that a subject marks, undefined when it is none that `minuteSubject` makes. */
export function readMinuteSubject(subject: string): Minute | undefined {
  const [, source, seconds] = /^dirty\.([^.]+)\.(\d{1,11})$/.exec(subject) ?? [];
  const startMs = Number(seconds) * 1_000;
  return source === undefined || startMs % MINUTE_MS !== 0 ? undefined : { source: decodeToken(source), startMs };
}
