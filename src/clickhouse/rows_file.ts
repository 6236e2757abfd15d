/**
 * Hands rows to the embedded engine as a file. It reads a file (`FROM INFILE`) in parallel and without copying:
 * 100 000 rows of 18 columns cost 0.4 s of CPU, against 0.6 s as text of the statement or as bytes in memory. And a
 * file takes any bytes, where the text of a statement takes only UTF-8.
 */
import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Writes the bytes to a file of their own, readable by this user only, and removes it when `run` has ended.
 * `run` gets the clause that goes before SETTINGS and FORMAT of an INSERT.
 */
export async function withRowsFile<T>(bytes: Uint8Array, run: (fromInfile: string) => Promise<T>): Promise<T> {
  const path = join(tmpdir(), `latecomer-${process.pid}-${randomUUID()}.rows`);
  try {
    await writeFile(path, bytes, { mode: 0o600 });
    // Without the last part the engine would guess a compression by the name.
    return await run(`FROM INFILE '${path.replace(/[\\']/g, "\\$&")}' COMPRESSION 'none'`);
  } finally {
    await rm(path, { force: true });
  }
}
