/**
 * Instants and spans. An instant is an event time in whole milliseconds since 1970 (UTC); a span is in
 * milliseconds too. Names carry the unit (`…Ms`), so that neither needs a wrapper.
 */

const UNIT_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The last instant that a ClickHouse `DateTime64(3)` holds: the end of the year 2299. */
export const LAST_INSTANT_MS = 10_413_791_999_999;

/** Instants in Unix milliseconds; the end is excluded. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The whole units of time that a window touches, as a window. */
export function wholeUnits({ fromMs, toMs }: Window, unitMs: number): Window {
  return { fromMs: Math.floor(fromMs / unitMs) * unitMs, toMs: Math.ceil(toMs / unitMs) * unitMs };
}

/**
 * Reads a duration such as `250ms`, `90s`, `10m`, `24h`, `7d` or `1h30m` as milliseconds.
 * Returns `undefined` for anything else, a bare number and a negative duration included.
 */
export function parseDuration(text: string): number | undefined {
  const parts = [...text.trim().matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join("") !== text.trim()) return undefined;
  return parts.reduce((sum, [, amount, unit]) => sum + Math.round(Number(amount) * UNIT_MS[unit!]!), 0);
}

/** Writes a duration the way `parseDuration` reads it: `90000` is `1m30s`, `0` is `0s`. */
export function formatDuration(durationMs: number): string {
  let rest = Math.round(durationMs);
  let text = "";
  for (const unit of ["d", "h", "m", "s", "ms"]) {
    const amount = Math.floor(rest / UNIT_MS[unit]!);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * UNIT_MS[unit]!;
  }
  return text === "" ? "0s" : text;
}

/** Where an instant lies that is so far from another, for people: `1m30s before`, `at the same instant`. */
export function formatOffset(deltaMs: number): string {
  if (deltaMs === 0) return "at the same instant";
  return `${formatDuration(Math.abs(deltaMs))} ${deltaMs < 0 ? "before" : "after"}`;
}

/** An instant as ISO 8601 text in UTC with milliseconds, for people: logs, tables, messages. */
export function formatInstant(instantMs: number): string {
  return Number.isFinite(instantMs) && Math.abs(instantMs) <= 8.64e15
    ? new Date(instantMs).toISOString()
    : String(instantMs);
}
