/**
 * Loads the embedded engine (the optional package chdb) and opens connections to one folder with it.
 * One process at a time can hold a folder, and one process only one folder; any number of connections may share it.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ChdbConnection } from "chdb/connection";
import { LatecomerError } from "../errors.ts";

export type { ChdbConnection } from "chdb/connection";

/**
 * Loads the engine, makes the folder when it is missing, and returns what opens a connection to it.
 * Throws `CONFIG_INVALID` (usage) for a file. All other failures, here and there, are `unavailable`: `ENGINE_MISSING`
 * when the package or this platform lacks the engine, `CLICKHOUSE_FOLDER_LOCKED` when another process holds the folder,
 * `CLICKHOUSE_FOLDER_UNUSABLE` else.
 */
export async function loadChdb(folder: string): Promise<() => ChdbConnection> {
  const { createChdbConnection } = await loadEngine();
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw isFileInTheWay(error) ? noFolder(folder, error) : unusable(folder, error);
  }
  return () => {
    try {
      return createChdbConnection({ path: folder });
    } catch (error) {
      // The engine says only that it could not open the folder; the file that it locks names the holder.
      const holder = holderOf(folder);
      throw holder === undefined ? unusable(folder, error) : locked(folder, holder, error);
    }
  };
}

async function loadEngine(): Promise<typeof import("chdb/connection")> {
  try {
    return await import("chdb/connection");
  } catch (error) {
    throw new LatecomerError(
      "ENGINE_MISSING",
      "unavailable",
      `the embedded ClickHouse engine is not usable on ${process.platform}-${process.arch}. It exists for Linux with ` +
        "glibc and for macOS. Run `npm ci` without `--omit=optional`, or set CLICKHOUSE_URL to the http(s) address " +
        "of a server",
      { cause: error },
    );
  }
}

function locked(folder: string, holder: number, cause: unknown): LatecomerError {
  return new LatecomerError(
    "CLICKHOUSE_FOLDER_LOCKED",
    "unavailable",
    `the ClickHouse folder ${folder} is held by process ${holder}; stop it, or use the server that it offers`,
    { cause },
  );
}

/** A folder that is made can only be there already as something else, or below something else. */
function isFileInTheWay(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "EEXIST" || code === "ENOTDIR";
}

function noFolder(folder: string, cause: unknown): LatecomerError {
  const message = `CLICKHOUSE_URL is "chdb:${folder}", expected chdb:<folder>: there is a file`;
  return new LatecomerError("CONFIG_INVALID", "usage", message, { cause });
}

function unusable(folder: string, cause: unknown): LatecomerError {
  const reason = cause instanceof Error ? `: ${cause.message}` : "";
  return new LatecomerError(
    "CLICKHOUSE_FOLDER_UNUSABLE",
    "unavailable",
    `the ClickHouse folder ${folder} cannot be opened${reason}`,
    { cause },
  );
}

/** The id of another living process that wrote the lock file of the folder. */
function holderOf(folder: string): number | undefined {
  let pid: number;
  try {
    pid = Number(/^PID: (\d+)/m.exec(readFileSync(join(folder, "status"), "utf8"))?.[1]);
  } catch {
    return undefined; // No lock file: nobody holds the folder.
  }
  return Number.isInteger(pid) && pid !== process.pid && isAlive(pid) ? pid : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: alive, but another user's.
    return (error as { code?: string }).code === "EPERM";
  }
}
