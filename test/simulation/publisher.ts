/** Publishers: each message at its turn, some twice, and again what a server has lost. */
import type { StoredMessage } from "../../src/core/event.ts";
import { judge } from "../../src/core/judge.ts";
import type { Faults } from "./faults.ts";
import type { Servers } from "./installation.ts";
import { OUTSIDE, type Scheduler } from "./scheduler.ts";
import { BEGIN_MS } from "./stream.ts";
import { type Message, subjectOf, type World } from "./world.ts";

/** How long a publisher waits for the others, in milliseconds. */
const WAIT_MS = 20;

/** A lost message is published again after so many others at most. */
const MOST_BEFORE_LOST = 4;

export class Publisher {
  readonly #scheduler: Scheduler;
  readonly #world: World;
  readonly #faults: Faults;
  readonly #servers: Servers;
  readonly #snapshotKeys = new Map<Message, string>();
  readonly #unpublished: Message[] = [];

  constructor(scheduler: Scheduler, world: World, faults: Faults, servers: Servers) {
    this.#scheduler = scheduler;
    this.#world = world;
    this.#faults = faults;
    this.#servers = servers;
    for (const message of world.messages) {
      if (message.isSnapshot) this.#snapshotKeys.set(message, this.#snapshotKeyOf(message));
    }
  }

  /** Publishes messages and whatever was lost, at most so long after one another, until nothing is left. */
  async publish(messages: readonly Message[], mostMs: number): Promise<void> {
    this.#unpublished.push(...messages);
    while (this.#unpublished.length > 0) {
      await this.#scheduler.sleep(this.#faults.between(0, mostMs) + 0.01, OUTSIDE, "publish");
      const at = this.#unpublished.findIndex((message) => this.#isDue(message));
      if (at < 0) {
        await this.#scheduler.sleep(WAIT_MS, OUTSIDE, "wait");
        continue;
      }
      const [message] = this.#unpublished.splice(at, 1);
      const subject = subjectOf(message!, this.#world.partitions);
      this.#servers.stream.append(this.#scheduler.nowMs, subject, message!.bytes);
      // The answer did not come, and no message id tells the server that it has it.
      if (this.#faults.happens("lost")) this.#unpublished.unshift(message!);
    }
  }

  /** Takes back what was lost, to be published soon. */
  takeBack(lost: readonly StoredMessage[]): void {
    for (const { bytes } of lost) {
      const message = this.#world.messages.find((one) => one.bytes === bytes)!;
      const at = this.#faults.below(Math.min(MOST_BEFORE_LOST, this.#unpublished.length) + 1);
      this.#unpublished.splice(at, 0, message);
    }
  }

  /** False for a snapshot that would make one late that is not in its bucket yet. */
  #isDue(message: Message): boolean {
    if (!message.isSnapshot) return true;
    const bucket = this.#servers.bucket("capability_snapshots");
    return [...this.#snapshotKeys].every(([other, key]) =>
      other.source !== message.source || other.timeMs + this.#world.allowedLatenessMs >= message.timeMs ||
      bucket.get(key) !== undefined
    );
  }

  #snapshotKeyOf(message: Message): string {
    const subject = subjectOf(message, this.#world.partitions);
    return judge({ subject, bytes: message.bytes, streamSequence: 1, streamTimeMs: BEGIN_MS }).snapshot!.key;
  }
}
