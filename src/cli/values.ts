/** How values of options are read, and what is said of wrong ones. */
import { parseDuration } from "../core/time.ts";
import { LatecomerError } from "../errors.ts";

/** What a command throws that was called wrongly. */
export function usage(why: string): LatecomerError {
  return new LatecomerError("USAGE", "usage", why);
}

export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw usage(`"${text}" is no whole number`);
  const number = Number(text);
  // Beyond it another number would be meant than the one that was written.
  if (Number.isSafeInteger(number)) return number;
  throw usage(`"${text}" is too large: ${Number.MAX_SAFE_INTEGER} at most`);
}

/** A whole number that is not 0. */
export function positive(text: string): number {
  const number = wholeNumber(text);
  if (number === 0) throw usage(`"${text}" is too few: 1 at least`);
  return number;
}

export function probability(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1)) throw usage(`"${text}" is no probability from 0 to 1`);
  return value;
}

/** A duration in milliseconds. */
export function span(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || !Number.isSafeInteger(ms)) throw usage(`"${text}" is no duration such as 90s or 10m`);
  return ms;
}

/** Reads an option that may be given several times. */
export function appended<Value>(read: (text: string) => Value) {
  return (text: string, before: readonly Value[] = []): Value[] => [...before, read(text)];
}
