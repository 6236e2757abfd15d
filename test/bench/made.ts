/**
 * Load made in a process of its own, so that what the making takes does not count as memory of who reads it: that of
 * `simulate` has its thousands of sessions in the heap, which were 30 MiB of RSS (measured).
 *
 *     node made.js production|simulated COUNT PER_SECOND
 *
 * writes events to its output, each behind its length and its time.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { productionEvents, simulatedEvents } from "./load.ts";

export type LoadName = "production" | "simulated";

const TIME = 4;
const HEAD = TIME + 8;

/** So many bytes are written at once. */
const WRITTEN = 262_144;

/** The events of a load in their order; throws when not all of them were made. */
export async function* madeElsewhere(
  load: LoadName,
  count: number,
  perSecond: number,
): AsyncGenerator<{ bytes: Uint8Array; timeMs: number }> {
  const args = [fileURLToPath(import.meta.url), load, count, perSecond].map(String);
  const maker = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(maker, "exit");
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of maker.stdout as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= HEAD) {
      const end = at + HEAD + rest.readUInt32LE(at);
      if (end > rest.length) break;
      yield { bytes: rest.subarray(at + HEAD, end), timeMs: rest.readDoubleLE(at + TIME) };
      at = end;
    }
    rest = rest.subarray(at);
  }
  const [code] = await exited;
  if (code !== 0) throw new Error(`whoever made the load ended with ${code}`);
}

async function make(load: LoadName, count: number, perSecond: number): Promise<void> {
  const events = load === "simulated" ? simulatedEvents : productionEvents;
  let waiting: Uint8Array[] = [];
  let size = 0;
  const write = async (): Promise<void> => {
    if (!process.stdout.write(Buffer.concat(waiting))) await once(process.stdout, "drain");
    waiting = [];
    size = 0;
  };
  for (const { bytes, timeMs } of events(count, perSecond)) {
    const head = Buffer.alloc(HEAD);
    head.writeUInt32LE(bytes.length);
    head.writeDoubleLE(timeMs, TIME);
    waiting.push(head, bytes);
    size += HEAD + bytes.length;
    if (size >= WRITTEN) await write();
  }
  await write();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [load, count, perSecond] = process.argv.slice(2) as [LoadName, string, string];
  await make(load, Number(count), Number(perSecond));
}
