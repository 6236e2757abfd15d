/** What happens to the servers' memory: a tail that was not synced, entries and heads that expire, a purge. */
import { readCheckpoint } from "../../src/core/checkpoint.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import type { Faults } from "./faults.ts";
import type { Servers } from "./installation.ts";
import { OUTSIDE, type Scheduler } from "./scheduler.ts";

/** Occasions for accidents in one act, so that publishers do not publish for ever what is lost again and again. */
const MOST_OCCASIONS = 20;

export class Accidents {
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #servers: Servers;
  #hasLostSamples = false;
  #isOn = false;

  constructor(scheduler: Scheduler, faults: Faults, servers: Servers) {
    this.#scheduler = scheduler;
    this.#faults = faults;
    this.#servers = servers;
  }

  /** Has accidents of the kinds of this act until they end; `onLost` is told what the stream has lost. */
  async begin(onLost: (lost: readonly StoredMessage[]) => void): Promise<void> {
    const faults = this.#faults;
    const losesTail = faults.below(10) < 3;
    // A sample that is gone from its bucket and from the stream is a gap, which is named and not repaired.
    const buckets = this.#servers.stream.bounds.firstSeq > 1 ? ["leases"] : ["leases", "unmatched_status"];
    const losing = buckets.filter(() => faults.below(10) < 4);
    this.#isOn = true;
    for (let left = MOST_OCCASIONS; left > 0; left--) {
      await this.#scheduler.sleep(faults.between(100, 3_000), OUTSIDE, "accident");
      if (!this.#isOn) return;
      if (losesTail && faults.below(3) === 0) onLost(this.#loseTail());
      for (const bucket of losing) if (faults.below(3) === 0) this.#loseEntry(bucket);
    }
  }

  end(): void {
    this.#isOn = false;
  }

  /** Drops from the stream what no partition has to read again. */
  expire(partitions: readonly string[]): void {
    // Entries that are gone have to be read again.
    if (this.#hasLostSamples) return;
    const { stream } = this.#servers;
    const rewinds = partitions.map((partition) => {
      const entry = this.#servers.bucket("checkpoints").get(partition);
      return entry === undefined ? 1 : readCheckpoint(entry.value)!.rewindSeq;
    });
    const upTo = rewinds.reduce((least, seq) => Math.min(least, seq), stream.bounds.lastSeq + 1) - 1;
    this.#tell(`the stream expires up to ${upTo}`);
    stream.expire(upTo);
  }

  purge(bucket: string): void {
    this.#tell(`${bucket} is purged`);
    this.#servers.bucket(bucket).purge();
  }

  #loseTail(): StoredMessage[] {
    const lost = this.#servers.stream.loseTail(1 + this.#faults.below(5));
    this.#tell(`the stream loses ${lost.map(({ streamSequence }) => streamSequence).join()}`);
    return lost;
  }

  /** An entry goes before its time: a lease though its owner is well, a sample that is waiting. */
  #loseEntry(name: string): void {
    const bucket = this.#servers.bucket(name);
    const entries = bucket.list();
    if (entries.length === 0) return;
    const { key } = entries[this.#faults.below(entries.length)]!;
    this.#tell(`${name} loses ${key}`);
    bucket.remove(key);
    if (name !== "leases") this.#hasLostSamples = true;
  }

  /** Shows an accident among the steps. */
  #tell(what: string): void {
    this.#scheduler.schedule(0, OUTSIDE, what, () => {});
  }
}
