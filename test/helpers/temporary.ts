import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";

/** What folders made at once may come to, in bytes. */
const ROOM = 2 * 1_073_741_824;

/**
 * Where tests and benchmarks make their folders: in memory where there is room, unless TMPDIR says otherwise. An insert
 * makes dozens of small files, which cost several times the insert itself on a disk.
 */
export function temporaryFolder(): string {
  if (process.env.TMPDIR !== undefined) return tmpdir();
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    return bavail * bsize >= ROOM ? "/dev/shm" : tmpdir();
  } catch {
    return tmpdir();
  }
}
