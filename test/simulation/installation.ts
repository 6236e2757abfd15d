/** The servers of one run, and the ports through which a process reaches them. */
import type { Log } from "../../src/ports.ts";
import type { ProcessorPorts } from "../../src/runtime/processor.ts";
import { State } from "../../src/runtime/state.ts";
import { openBroadcast } from "./broadcast.ts";
import { BucketServer, openBucket } from "./bucket.ts";
import { DeadLetterServer, openDeadLetters } from "./deadletters.ts";
import { DirtyMinuteServer, openDirtyMinutes } from "./dirty.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";
import { openEventStream } from "./source.ts";
import { Stream } from "./stream.ts";
import { openSink, Warehouse } from "./warehouse.ts";

/** The age limit of `streams/leases.json`. */
const LEASE_TTL_MS = 5_000;

/** The generation and hash that everything is processed under. */
export const GENERATION = { generation: 1, hash: "rules" } as const;

/** Makes the ports of a process; a defect makes others. */
export type OpenPorts = (servers: Servers, process: Process) => ProcessorPorts;

export class Servers {
  readonly stream = new Stream();
  readonly deadLetters = new DeadLetterServer();
  readonly dirtyMinutes = new DirtyMinuteServer();
  readonly warehouse = new Warehouse((row) => this.dirtyMinutes.changed(row));
  readonly #scheduler: Scheduler;
  readonly #buckets = new Map<string, BucketServer>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** The bucket of a name, made when it is first asked for. */
  bucket(name: string): BucketServer {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new BucketServer(name, this.#scheduler, name === "leases" ? LEASE_TTL_MS : Infinity);
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }
}

const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The sound ports; a defect reaches the buckets of the state in its own way. */
export function openPorts(servers: Servers, process: Process, open = openBucket): ProcessorPorts {
  // Whatever buckets the processor knows of; asking for one is all it takes.
  const buckets = new Proxy({}, { get: (_, name) => open(servers.bucket(String(name)), process) });
  return {
    stream: openEventStream(servers.stream, process),
    broadcast: openBroadcast(servers.bucket("capability_snapshots"), process),
    sink: openSink(servers.warehouse, process),
    state: new State(buckets as ConstructorParameters<typeof State>[0]),
    leases: openBucket(servers.bucket("leases"), process),
    generation: () => process.call("generation", () => GENERATION),
    deadLetters: openDeadLetters(servers.deadLetters, process),
    dirtyMinutes: openDirtyMinutes(servers.dirtyMinutes, process),
    clock: process.clock,
    log: SILENT,
    random: () => process.faults.between(0, 1),
  };
}
