/**
 * Hands rows to the embedded engine as a file: `FROM INFILE` takes any bytes, where the text of a statement takes
 * only UTF-8, and cost a third less CPU than bytes in memory (0.4 s against 0.6 s per 100 000 rows of 18 columns).
 */
import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { leaveAlone, removeAtExit } from "../leftovers.ts";

/**
 * Writes the bytes to a file of their own, readable by this user only, and removes it when `run` has ended.
 * `run` gets the clause that goes before SETTINGS and FORMAT of an INSERT.
 */
export async function withRowsFile<T>(bytes: Uint8Array, run: (fromInfile: string) => Promise<T>): Promise<T> {
  const path = join(tmpdir(), `latecomer-${process.pid}-${randomUUID()}.rows`);
  removeAtExit(path);
  try {
    await writeFile(path, bytes, { mode: 0o600 });
    // Without the last part the engine would guess a compression by the name.
    return await run(`FROM INFILE '${path.replace(/[\\']/g, "\\$&")}' COMPRESSION 'none'`);
  } finally {
    await rm(path, { force: true });
    leaveAlone(path);
  }
}
