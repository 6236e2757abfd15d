/** Files and folders that must not outlive the process: a signal may end it in the middle of what they are for. */
import { existsSync, rmSync } from "node:fs";

/** How long nothing may have come back, and how long that is waited for. */
const QUIET_MS = 200;
const PATIENCE_MS = 2_000;
const PAUSE_MS = 20;

/** Nobody wakes who waits on it. */
const clock = new Int32Array(new SharedArrayBuffer(4));

const paths = new Set<string>();

process.on("exit", () => {
  // What an engine of this process has begun it goes on to write meanwhile, folders that were removed among it.
  for (let quietMs = 0, ms = 0; paths.size > 0 && quietMs < QUIET_MS && ms < PATIENCE_MS; ms += PAUSE_MS) {
    quietMs = [...paths].some((path) => existsSync(path)) ? 0 : quietMs + PAUSE_MS;
    for (const path of paths) removeQuietly(path);
    Atomics.wait(clock, 0, 0, PAUSE_MS);
  }
});

/** Has a file, or a folder with all that is in it, removed when the process ends. */
export function removeAtExit(path: string): void {
  paths.add(path);
}

/** Removes it now. */
export function removeNow(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 10 });
  paths.delete(path);
}

/** Leaves it where it is. */
export function leaveAlone(path: string): void {
  paths.delete(path);
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // It is not empty, for somebody writes there; or it cannot be removed, and there is nobody to tell any more.
  }
}
