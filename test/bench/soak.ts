/**
 * Live traffic for a long time, over HTTP, under five minutes of allowed lateness and with a bounded heap, as a pod runs:
 * memory must be flat once as many observations close as come.
 *
 *     npm run bench:soak -- [--rate 1000] [--minutes 20]
 *
 * Prints a line every half minute, and at the end how RSS moved from the eighth minute on.
 */
import { parseArgs } from "node:util";
import { LATENESS_MS } from "./core.ts";
import { simulatedEvents } from "./load.ts";
import { beginEmpty, POD, publish, requireStored, startRig, Worker } from "./rig.ts";

const { values } = parseArgs({
  options: { rate: { type: "string", default: "1000" }, minutes: { type: "string", default: "20" } },
});
const rate = Number(values.rate);
const minutes = Number(values.minutes);

const EVERY_MS = 30_000;
/** By then the lateness has passed and the heap has its size. */
const SETTLED_MINUTES = 8;

interface Point {
  readonly minute: number;
  readonly rssMb: number;
}

const rig = await startRig();
const own = { ...rig.config, clickhouseUrl: rig.httpUrl, database: "bench_soak", allowedLatenessMs: LATENESS_MS };
await beginEmpty(rig, own);
const worker = new Worker(own, POD, true);
await worker.ready;
const points: Point[] = [];
const started = performance.now();
const count = rate * minutes * 60;
let isPublishing = true;
const publishing = publish(rig, bytesOf(count), 1, rate).finally(() => isPublishing = false);
while (isPublishing) {
  await Promise.race([publishing, new Promise((resolve) => setTimeout(resolve, EVERY_MS))]);
  const { rssNowMb, heapMb, externalMb, messages, open, latencyMs } = await worker.ask("cost");
  const minute = (performance.now() - started) / 60_000;
  points.push({ minute, rssMb: rssNowMb });
  const waits = `p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`;
  const memory = `RSS ${rssNowMb} MiB (heap ${heapMb}, buffers ${externalMb})`;
  console.log(`${minute.toFixed(1).padStart(5)} min  ${messages} events, ${open} open; ${memory}; ${waits}`);
}
await publishing;
const { rssMb: most } = await worker.ask("drained");
await worker.stop();
await requireStored(own, count);
const settled = points.filter(({ minute }) => minute >= SETTLED_MINUTES);
console.log(`most ${most} MiB; from minute ${SETTLED_MINUTES} on ${slopeOf(settled).toFixed(1)} MiB an hour`);
await rig.stop();
process.exit(0);

function* bytesOf(events: number): Generator<Uint8Array> {
  for (const { bytes } of simulatedEvents(events, rate)) yield bytes;
}

/** How fast RSS grows, in MiB an hour: the line with the least squares. */
function slopeOf(of: readonly Point[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;
  const [atMinute, atRss] = [mean(of.map(({ minute }) => minute)), mean(of.map(({ rssMb }) => rssMb))];
  const over = of.map(({ minute, rssMb }) => (minute - atMinute) * (rssMb - atRss));
  return 60 * mean(over) / mean(of.map(({ minute }) => (minute - atMinute) ** 2));
}
