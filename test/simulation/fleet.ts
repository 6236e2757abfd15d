/** The processes of an installation: they start, stop for good or for a while, are replaced, and come to an end. */
import { partitionNames } from "../../src/core/subject.ts";
import { isRetryable } from "../../src/errors.ts";
import { Processor } from "../../src/runtime/processor.ts";
import type { Faults } from "./faults.ts";
import { GENERATION, type OpenPorts, type Servers } from "./installation.ts";
import { Process } from "./process.ts";
import { OUTSIDE, type Scheduler } from "./scheduler.ts";
import type { World } from "./world.ts";

/** How often it is looked whether the processes have settled, and how long that may take, in milliseconds. */
const LOOK_MS = 500;
const PATIENCE_MS = 200_000;

/** For so many looks nothing may have changed. */
const STABLE_LOOKS = 4;

/** A process with what runs in it. */
interface Pod {
  readonly name: string;
  readonly process: Process;
  readonly processor: Processor;
  isStarted: boolean;
}

export class Fleet {
  /** Errors that ended a process and that trying again would not mend: there must be none. */
  readonly failures: string[] = [];
  readonly #scheduler: Scheduler;
  readonly #world: World;
  readonly #faults: Faults;
  readonly #servers: Servers;
  readonly #openPorts: OpenPorts;
  readonly #pods: Pod[] = [];
  /** The names of those that are on their way. */
  readonly #coming: string[] = [];
  #serial = 0;
  #spares = 0;
  #isLeaving = false;

  constructor(scheduler: Scheduler, world: World, faults: Faults, servers: Servers, openPorts: OpenPorts) {
    this.#scheduler = scheduler;
    this.#world = world;
    this.#faults = faults;
    this.#servers = servers;
    this.#openPorts = openPorts;
  }

  /** The partitions that the processes share. */
  get partitions(): string[] {
    return partitionNames(this.#world.partitions);
  }

  /** Starts a process after a delay. */
  start(delayMs: number, name: string): void {
    this.#coming.push(name);
    this.#scheduler.schedule(delayMs, OUTSIDE, `start ${name}`, () => {
      this.#coming.splice(this.#coming.indexOf(name), 1);
      this.#run(name);
    });
  }

  /** Waits until the partitions are shared out and everything is processed and settled by whoever has them. */
  async drain(): Promise<void> {
    if (this.#living.length === 0 && this.#coming.length === 0) this.start(0, "last");
    const until = this.#scheduler.nowMs + PATIENCE_MS;
    for (let isShared = false; !isShared;) {
      const held = await this.#sharedOut(until);
      isShared = true;
      // A lease can still be lost whose renewal was late, and whoever takes it then has not settled.
      const look = () => isShared &&= held === this.#held;
      for (const { processor } of this.#living) await processor.drained().then(look);
      for (const { processor } of this.#living) await processor.settle().then(look);
    }
  }

  /**
   * Waits until every partition is held by somebody, who has a fair share (two processes of one name never notice each
   * other) and nobody is paused or on the way; returns who holds what.
   */
  async #sharedOut(until: number): Promise<string> {
    let [stable, before] = [0, ""];
    while (stable < STABLE_LOOKS) {
      await this.#scheduler.sleep(LOOK_MS, OUTSIDE, "look");
      // Who holds more than its share gives something up soon, for whoever holds less; two of one name share as one.
      const share = this.partitions.length / new Set(this.#living.map(({ name }) => name)).size;
      const isUp = this.#living.every(({ process, processor: { held }, isStarted }) =>
        isStarted && held.length >= Math.floor(share) && held.length <= Math.ceil(share) &&
        process.pausedUntilMs <= this.#scheduler.nowMs
      );
      const held = this.#held;
      const owned = new Set(this.#living.flatMap(({ processor }) => processor.held));
      const isSettled = isUp && this.#coming.length === 0 && owned.size === this.partitions.length && held === before;
      [stable, before] = [isSettled ? stable + 1 : 0, held];
      if (this.#scheduler.nowMs > until) throw new Error(`the partitions do not settle: ${held}`);
    }
    return before;
  }

  /** Everybody stops in good order, and nobody comes any more. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.stop();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#living.map(({ processor }) => processor.stop()));
  }

  /** Everybody is gone at once. */
  kill(): void {
    for (const { process } of this.#living) process.kill();
  }

  get #held(): string {
    return this.#living.map(({ processor }) => processor.held.join()).join(" ");
  }

  get #living(): Pod[] {
    return this.#pods.filter(({ process }) => process.isAlive);
  }

  #run(name: string): void {
    const { messages: _, processes: __, ...settings } = this.#world;
    const process: Process = new Process(`${name}#${++this.#serial}`, this.#scheduler, this.#faults, () => {
      // One that is paused is taken for dead as often as not.
      if (!process.isAlive || this.#faults.below(2) === 0) this.#replace(name);
    });
    const processor = new Processor({
      ...settings,
      name,
      contentHash: GENERATION.hash,
      mostOpen: Infinity,
      mostSightings: Infinity,
      leftOut: new Set(),
    }, this.#openPorts(this.#servers, process));
    const pod: Pod = { name, process, processor, isStarted: false };
    this.#pods.push(pod);
    processor.start().then(() => {
      pod.isStarted = true;
      return processor.finished();
    }).catch((error) => {
      if (!isRetryable(error)) this.failures.push(`${process.name} failed: ${error.stack}`);
      process.kill();
      this.#replace(name);
    });
  }

  /** Under the same name or another; of more than two of one name each takes the others' leases for its own, for ever. */
  #replace(name: string): void {
    if (this.#isLeaving) return;
    const names = [...this.#living.map((pod) => pod.name), ...this.#coming];
    const isRare = names.filter((one) => one === name).length < 2;
    const successor = this.#faults.below(2) === 0 && isRare ? name : `spare-${++this.#spares}`;
    this.start(this.#faults.between(20, 4_000), successor);
  }
}
