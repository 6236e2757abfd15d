/** The log: one JSON object a line on stderr when piped, readable lines on a terminal. */
import { destination, pino } from "pino";
import type { Config } from "../config.ts";
import type { Log } from "../ports.ts";
import { formatInstant } from "../core/time.ts";

/** Names that never reach the log, wherever they stand in its fields. */
const SECRET = ["password", "token", "creds", "*.password", "*.token", "*.creds"];

export function openLog(level: Config["logLevel"], terminal: boolean): Log {
  if (terminal) return terminalLog(level);
  // Synchronous writes: the last lines before a crash are the ones that matter.
  return pino(
    { level, base: null, redact: SECRET, timestamp: pino.stdTimeFunctions.isoTime },
    destination({ fd: 2, sync: true }),
  );
}

const LEVELS = ["debug", "info", "warn", "error"] as const;

function terminalLog(least: Config["logLevel"]): Log {
  const write = (level: (typeof LEVELS)[number]) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
    const shown = Object.entries(fields).map(([name, value]) =>
      `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`
    );
    process.stderr.write(`${formatInstant(Date.now())} ${level.padEnd(5)} ${[message, ...shown].join("  ")}\n`);
  };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}
