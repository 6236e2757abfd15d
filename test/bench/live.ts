/**
 * Live traffic at a rate: latencies, memory, garbage and the event loop of a processor in a process of its own, and the
 * memory of a consumer that does nothing.
 */
import { LATENESS_MS } from "./core.ts";
import type { Empty } from "./empty.ts";
import { beginEmpty, POD, printing, publish, requireStored, type Rig, Worker } from "./rig.ts";
import type { WorkerCost } from "./worker.ts";

export interface Live extends WorkerCost {
  readonly rate: number;
  /** What publisher and processor together kept up with, events a second. */
  readonly reached: number;
  readonly secondsToReady: number;
}

export async function live(rig: Rig, load: readonly Uint8Array[], rate: number, database: string): Promise<Live> {
  const own = { ...rig.config, clickhouseUrl: rig.httpUrl, database, allowedLatenessMs: LATENESS_MS };
  await beginEmpty(rig, own);
  const worker = new Worker(own, POD, true);
  const { secondsToReady } = await worker.ready;
  const started = performance.now();
  await publish(rig, load, 1, rate);
  const cost = await worker.ask("drained");
  const reached = Math.round(load.length / (performance.now() - started) * 1_000);
  await worker.stop();
  await requireStored(own, load.length);
  return { ...cost, rate, reached, secondsToReady };
}

/** The most memory, in MiB, of a consumer in a process of its own that does nothing with the same traffic. */
export async function emptyRssMb(rig: Rig, load: readonly Uint8Array[], rate: number): Promise<number> {
  await beginEmpty(rig, rig.config);
  const printed = printing("empty.js", [rig.config.natsUrl, load.length, 1_024], POD);
  await publish(rig, load, 1, rate);
  return (JSON.parse(await printed) as Empty).rssMb;
}
