/**
 * The log: one JSON object a line on stderr when piped, readable lines on a terminal. Whatever is written passes here:
 * lines below the level are dropped, secrets are masked, and what is said too often is summed up.
 */
import { destination, pino } from "pino";
import type { Config } from "../config.ts";
import type { Log, LogFields } from "../ports.ts";
import { formatInstant } from "../core/time.ts";
import { printable } from "../printable.ts";
import { maskFields, maskText } from "../secrets.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

/** Where lines go; also a pino logger, seen from one side. */
export type Write = (level: Level, fields: LogFields, message: string) => void;

/**
 * How often the same is said within a minute: the same message of the same partition, source and kind. The rest is
 * counted, and at the end of the minute said once, with the least and the greatest value of each field: of windows to
 * replay that is one window that covers all.
 */
export const MOST_REPEATS = 30;
const WINDOW_MS = 60_000;

export function openLog(level: Config["logLevel"], terminal: boolean): Log {
  return logOver(terminal ? writeLine : openJson(), level);
}

/** A log that writes here what is left when levels, masks and limits are applied. */
export function logOver(write: Write, least: Level, windowMs = WINDOW_MS): Log {
  const repeats = new Repeats(write, windowMs);
  const at = (level: Level) => (fields: LogFields, message: string) => {
    if (LEVELS.indexOf(level) >= LEVELS.indexOf(least)) repeats.say(level, maskFields(fields), maskText(message));
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function openJson(): Write {
  // Synchronous writes: the last lines before a crash are the ones that matter.
  const log = pino(
    { level: "debug", base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination({ fd: 2, sync: true }),
  );
  return (level, fields, message) => log[level](fields, message);
}

const writeLine: Write = (level, fields, message) => {
  const shown = Object.entries(fields).map(([name, value]) =>
    printable(`${name}=${typeof value === "object" ? JSON.stringify(value) : value}`)
  );
  process.stderr.write(`${formatInstant(Date.now())} ${level.padEnd(5)} ${[message, ...shown].join("  ")}\n`);
};

interface Repeated {
  readonly level: Level;
  readonly message: string;
  /** What tells it from the same message about something else. */
  readonly about: LogFields;
  said: number;
  withheld: number;
  readonly least: Record<string, string | number>;
  readonly greatest: Record<string, string | number>;
}

/** What was said in the present minute, and how often. */
class Repeats {
  readonly #write: Write;
  readonly #windowMs: number;
  readonly #said = new Map<string, Repeated>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(write: Write, windowMs: number) {
    this.#write = write;
    this.#windowMs = windowMs;
  }

  say(level: Level, fields: LogFields, message: string): void {
    this.#begin();
    const about = Object.fromEntries(
      ["partition", "source", "kind"].filter((name) => name in fields).map((name) => [name, fields[name]]),
    );
    const key = JSON.stringify([level, message, about]);
    let repeated = this.#said.get(key);
    if (repeated === undefined) {
      repeated = { level, message, about, said: 0, withheld: 0, least: {}, greatest: {} };
      this.#said.set(key, repeated);
    }
    if (repeated.said < MOST_REPEATS) {
      repeated.said++;
      this.#write(level, fields, message);
      return;
    }
    repeated.withheld++;
    for (const [name, value] of Object.entries(fields)) {
      if (name in about || (typeof value !== "string" && typeof value !== "number")) continue;
      if (!(repeated.least[name]! <= value)) repeated.least[name] = value;
      if (!(repeated.greatest[name]! >= value)) repeated.greatest[name] = value;
    }
  }

  #begin(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(this.#end, this.#windowMs);
    // A minute of the log keeps no process alive; one that ends before it says what it has withheld.
    this.#timer.unref();
    process.once("exit", this.#end);
  }

  readonly #end = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    process.removeListener("exit", this.#end);
    for (const { level, message, about, withheld, least, greatest } of this.#said.values()) {
      if (withheld > 0) this.#write(level, { ...about, withheld, least, greatest }, message);
    }
    this.#said.clear();
  };
}
