/**
 * What happens in a run: publishers publish, processes come, stop, are replaced and share the work, and the servers
 * have their accidents, for one act or two with a quiet time between them. At the end nothing goes wrong any more,
 * and whoever is left finishes.
 */
import { Accidents } from "./accidents.ts";
import { Faults } from "./faults.ts";
import { Fleet } from "./fleet.ts";
import { type OpenPorts, Servers } from "./installation.ts";
import { Publisher } from "./publisher.ts";
import { OUTSIDE, type Scheduler } from "./scheduler.ts";
import { LATEST_INSERT_MS } from "./warehouse.ts";
import type { Message, World } from "./world.ts";

export class Scenario {
  readonly servers: Servers;
  readonly #scheduler: Scheduler;
  readonly #world: World;
  readonly #faults: Faults;
  readonly #fleet: Fleet;
  readonly #publisher: Publisher;
  readonly #accidents: Accidents;

  constructor(scheduler: Scheduler, world: World, random: () => number, openPorts: OpenPorts) {
    this.servers = new Servers(scheduler);
    this.#scheduler = scheduler;
    this.#world = world;
    this.#faults = new Faults(random);
    this.#fleet = new Fleet(scheduler, world, this.#faults, this.servers, openPorts);
    this.#publisher = new Publisher(scheduler, world, this.#faults, this.servers);
    this.#accidents = new Accidents(scheduler, this.#faults, this.servers);
  }

  /** What should never happen, as it was met. */
  get failures(): readonly string[] {
    return this.#fleet.failures;
  }

  /** One process, one message after the other in the order of their times, and no fault. */
  async undisturbed(): Promise<void> {
    this.#fleet.start(0, "calm");
    await this.#publisher.publish([...this.#world.messages].sort((a, b) => a.timeMs - b.timeMs), 0);
    await this.#finish();
  }

  /** Everything that the faults can make of it. */
  async disturbed(): Promise<void> {
    const { processes, messages } = this.#world;
    const faults = this.#faults;
    const hasInterlude = faults.below(5) < 2;
    const first = hasInterlude ? Math.ceil(messages.length * faults.between(0.4, 1)) : messages.length;
    faults.begin();
    for (let k = 0; k < processes; k++) this.#fleet.start(faults.between(0, k === 0 ? 300 : 3_000), `pod-${k}`);
    await this.#act(messages.slice(0, first));
    if (hasInterlude) {
      await this.#interlude();
      if (faults.below(2) === 0) faults.begin();
      await this.#act(messages.slice(first));
    }
    await this.#finish();
  }

  async #act(messages: readonly Message[]): Promise<void> {
    const happening = this.#accidents.begin((lost) => this.#publisher.takeBack(lost));
    await this.#publisher.publish(messages, this.#faults.between(5, 500));
    await this.#scheduler.sleep(this.#faults.between(0, 4_000), OUTSIDE, "act");
    this.#accidents.end();
    await happening;
    this.#faults.end();
    // What the last accident took.
    await this.#publisher.publish([], 50);
  }

  /** All is done and everybody is down: the stream expires as far as it is not needed, or state is lost. */
  async #interlude(): Promise<void> {
    await this.#fleet.drain();
    if (this.#faults.below(2) === 0) await this.#fleet.stop();
    this.#fleet.kill();
    const isRoomy = this.#world.messages.every(({ timeMs }) => timeMs <= this.#world.allowedLatenessMs);
    const what = this.#faults.below(5);
    if (what === 0) this.#accidents.expire(this.#fleet.partitions);
    if (what === 1) this.#accidents.purge("unmatched_status");
    // Snapshots that are derived again come in any order.
    if (what === 2 && isRoomy) this.#accidents.purge("capability_snapshots");
    if (what === 3) this.#accidents.purge("workflow_sessions");
    const count = 1 + this.#faults.below(2);
    for (let k = 0; k < count; k++) this.#fleet.start(this.#faults.between(0, 500), `pod-${k}`);
  }

  /** Everybody finishes and leaves, and what is still under way arrives. */
  async #finish(): Promise<void> {
    await this.#fleet.drain();
    await this.#fleet.leave();
    await this.#scheduler.sleep(LATEST_INSERT_MS + 1_000, OUTSIDE, "end");
  }
}
