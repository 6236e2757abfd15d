/** Files and folders that must not outlive the process: a signal may end it in the middle of what they are for. */
import { rmSync } from "node:fs";

const paths = new Set<string>();
process.on("exit", () => paths.forEach(removeNow));

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
