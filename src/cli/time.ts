/** Times and windows of time on the command line. */
import type { Command } from "commander";
import { wholeHours } from "../assert/run.ts";
import { formatInstant, LAST_INSTANT_MS, type Window } from "../core/time.ts";
import { usage } from "./values.ts";

/** How a time is written, for the help of a flag that takes one. */
export const TIME_FORMS = "ISO 8601, UTC unless it names a zone, or Unix milliseconds";

/**
 * A date, or a date and a time of day to the minute or finer, perhaps with its distance from UTC. A blank may stand between
 * them, as ClickHouse prints it.
 */
const ISO_8601 =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-](?:[01]\d|2[0-3])(?::[0-5]\d)?)?)?$/;

/** Numbers below are Unix seconds, of any time until the year 5138: as milliseconds they lie before April 1973. */
const LEAST_MS = 100_000_000_000;

/**
 * An instant in Unix milliseconds, from ISO 8601 (UTC where it names no zone) or from Unix milliseconds; 0 is the
 * beginning. Throws USAGE for anything else, for dates that are in no calendar, and for what tables cannot hold.
 */
export function instant(text: string): number {
  const ms = /^\d+$/.test(text) ? ofDigits(text) : ofIso8601(text);
  if (ms >= 0 && ms <= LAST_INSTANT_MS) return ms;
  throw usage(`"${text}" is not within the years 1970 to 2299`);
}

/** Throws USAGE unless there is time between the bounds; one that is missing bounds nothing. */
export function requireWindow({ from, to }: { readonly from?: number; readonly to?: number }): void {
  if (from === undefined || to === undefined || from < to) return;
  throw usage(`--from must be before --to: ${formatInstant(from)} is not before ${formatInstant(to)}`);
}

const LOOKBACK_MS = 24 * 3_600_000;

/** Adds the flags that `hoursOf` reads. */
export function withHours(command: Command): Command {
  return command
    .option("--from <time>", `event time from which on: ${TIME_FORMS}; by default 24 h before --to`, instant)
    .option(
      "--to <time>",
      `event time before which: ${TIME_FORMS}; by default now. The window is widened to whole hours`,
      instant,
    );
}

/** The window of these flags, of whole hours. Throws as `requireWindow` does. */
export function hoursOf(
  { to = Date.now(), from = to - LOOKBACK_MS }: { readonly from?: number; readonly to?: number },
): Window {
  requireWindow({ from, to });
  return wholeHours({ fromMs: from, toMs: to });
}

function ofDigits(text: string): number {
  const ms = Number(text);
  if (ms > 0 && ms < LEAST_MS) throw usage(`"${text}" is no time: Unix milliseconds are wanted, not seconds`);
  return ms;
}

function ofIso8601(text: string): number {
  const [, date, minute = "00:00", second = "00", fraction = "0", zone = "Z"] = ISO_8601.exec(text) ?? [];
  if (date === undefined) {
    throw usage(
      `"${text}" is no time: ISO 8601 such as 2026-02-25, 2026-02-25T19:00:00Z or 2026-02-25T20:00+01:00, or ` +
        "Unix milliseconds",
    );
  }
  const written = `${date}T${minute}:${second}`;
  const utcMs = Date.parse(`${written}.${fraction}Z`);
  // Of a day or an hour that there is not another one is made, which reads differently.
  if (!formatInstant(utcMs).startsWith(written)) throw usage(`"${text}" is no time: there is no ${written}`);
  return utcMs - offsetOf(zone);
}

function offsetOf(zone: string): number {
  const [hours, minutes = "0"] = zone === "Z" ? ["0"] : zone.slice(1).split(":");
  return (zone.startsWith("-") ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}
