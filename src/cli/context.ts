/** What every command has in common: configuration from flags and environment, output, and the log. */
import { constants, existsSync, writeFileSync } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import Table from "cli-table3";
import { type Command, Option } from "commander";
import type { NatsConnection } from "nats";
import { type Config, resolveConfig, SETTINGS } from "../config.ts";
import type { ClickHouse } from "../clickhouse/client.ts";
import { embeddedFolder, openClickHouse } from "../clickhouse/client.ts";
import { LatecomerError } from "../errors.ts";
import { livingDev } from "../local/dev-file.ts";
import { connectNats } from "../nats/connection.ts";
import type { Log } from "../ports.ts";
import { printableLines } from "../printable.ts";
import { openLog } from "../runtime/log.ts";

/** What `main.ts` hands to a command of the process around it. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * What the first SIGINT or SIGTERM aborts from now on, for a command that comes to an end of its own by it. Until it
   * is taken, and in a command that never does, the first ends the process.
   */
  readonly takeSignal: () => AbortSignal;
  readonly version: string;
  /** Sets the exit code of a command that ended without an error. */
  readonly setExitCode: (code: number) => void;
}

/** The settings that say where things are; every command that connects has them. */
export const PLACES = ["natsUrl", "natsCreds", "clickhouseUrl", "database", "logLevel"] as const;

/** Adds a flag for each of these settings: `LATECOMER_TTL_BEFORE` is `--ttl-before`. */
export function withSettings(command: Command, keys: readonly (keyof Config)[]): Command {
  for (const key of keys) {
    const { env, fallback, help } = SETTINGS[key];
    const shown = fallback === "" ? "" : `, default ${fallback}`;
    command.addOption(new Option(`${flagOf(env)} <value>`, `${help} (${env}${shown})`));
  }
  return command;
}

/** The flag of a variable. */
export function flagOf(env: string): string {
  return `--${env.replace(/^LATECOMER_/, "").toLowerCase().replaceAll("_", "-")}`;
}

/** The configuration of a call; a living `dev` stands in for places that nobody named. */
export function configOf(context: Context, flags: object): Config {
  const overrides: Record<string, string> = {};
  for (const key of Object.keys(SETTINGS) as (keyof Config)[]) {
    const name = flagOf(SETTINGS[key].env).slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    const value = (flags as Readonly<Record<string, unknown>>)[name];
    if (typeof value === "string") overrides[key] = value;
  }
  const dev = livingDev();
  const places: Record<string, string> = {};
  if (dev !== undefined) {
    places.natsUrl = dev.natsUrl;
    places.clickhouseUrl = dev.clickhouseUrl;
    // Behind dev's URL is the embedded engine, which keeps everything; a server that was named keeps the contract.
    const named = overrides.clickhouseUrl ?? context.env[SETTINGS.clickhouseUrl.env];
    if (named === undefined || named === dev.clickhouseUrl) places.tableRetention = "none";
  }
  return resolveConfig(context.env, overrides, places);
}

/** The log of a command: on stderr, readable on a terminal. */
export function logOf(config: Config): Log {
  return openLog(config.logLevel, process.stderr.isTTY === true);
}

/**
 * Opens the database of a configuration. Throws CLICKHOUSE_FOLDER_MISSING (unavailable) for an embedded engine whose
 * folder is not there: to open it would make it, and most commands only read.
 */
export async function openWarehouse(config: Config, log?: Log): Promise<ClickHouse> {
  const folder = embeddedFolder(config.clickhouseUrl);
  if (folder !== undefined && !existsSync(folder)) {
    const message =
      `there is no ClickHouse folder ${folder}: \`latecomer init\` makes it; CLICKHOUSE_URL names another`;
    throw new LatecomerError("CLICKHOUSE_FOLDER_MISSING", "unavailable", message);
  }
  return await openClickHouse(config.clickhouseUrl, {
    database: config.database,
    ...(log === undefined ? {} : { log }),
  });
}

/** Works with the database of a configuration, and closes it; throws what `openWarehouse` and the work throw. */
export async function withWarehouse<Result>(
  config: Config,
  work: (clickhouse: ClickHouse) => Promise<Result>,
  log?: Log,
): Promise<Result> {
  const clickhouse = await openWarehouse(config, log);
  try {
    return await work(clickhouse);
  } finally {
    await clickhouse.close();
  }
}

/** Works with the NATS of a configuration, and closes the connection. */
export async function withNats<Result>(config: Config, work: (nc: NatsConnection) => Promise<Result>): Promise<Result> {
  const nc = await connectNats(config);
  try {
    return await work(nc);
  } finally {
    await nc.close();
  }
}

/** Works with both. */
export async function withServers<Result>(
  config: Config,
  work: (nc: NatsConnection, clickhouse: ClickHouse) => Promise<Result>,
  log?: Log,
): Promise<Result> {
  return await withNats(config, (nc) => withWarehouse(config, (clickhouse) => work(nc, clickhouse), log));
}

/** One JSON document on stdout: the whole output of a reporting command under `--json`. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** A line, or several, for people: names come from events, and what of them would steer a terminal is shown as a mark. */
export function printLine(line = ""): void {
  process.stdout.write(`${printableLines(line)}\n`);
}

/**
 * Whether a file that a flag names can be written, asked before what is to stand in it is computed; it stays as it is.
 * Throws FILE_UNWRITABLE (usage).
 */
export async function requireWritable(file: string): Promise<void> {
  try {
    const isThere = await isFile(file);
    await access(isThere ? file : dirname(file), constants.W_OK);
  } catch (cause) {
    throw unwritable(file, cause);
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    // Also a device or a pipe; a folder is refused as writing it would be.
    if (!(await stat(path)).isDirectory()) return true;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
  throw new Error("EISDIR: it is a folder");
}

/** Writes a file that a flag names. Throws FILE_UNWRITABLE (usage). */
export function writeNamed(file: string, text: string): void {
  try {
    // At once: a signal that ends the process comes before or after it.
    writeFileSync(file, text);
  } catch (cause) {
    throw unwritable(file, cause);
  }
}

function unwritable(file: string, cause: unknown): LatecomerError {
  const message = `cannot write ${file}: ${(cause as Error).message}`;
  return new LatecomerError("FILE_UNWRITABLE", "usage", message, { cause });
}

/** A table on stdout: with rules on a terminal, in bare columns when piped. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const plain = process.stdout.isTTY !== true;
  const table = new Table({
    head: [...head],
    style: plain
      ? { head: [], border: [], "padding-left": 0, "padding-right": 2 }
      : { head: ["bold"], border: ["grey"] },
    ...(plain ? { chars: BARE } : {}),
  });
  for (const row of rows) table.push(row.map((cell) => printableLines(String(cell))));
  process.stdout.write(`${table.toString().replace(/ +$/gm, "")}\n`);
}

const BARE = Object.fromEntries(
  [
    ...["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"],
    ...["left", "left-mid", "mid", "mid-mid", "right", "right-mid", "middle"],
  ].map((part) => [part, ""]),
);
