/**
 * Who runs a replay. The holder writes its entry again every second; one that does not change for some seconds belongs
 * to a process that is no more. So no clocks are compared, and the bucket needs no age limit.
 */
import { isRetryable, LatecomerError } from "../errors.ts";
import type { Bucket, Clock } from "../ports.ts";
import { writeAgain } from "../runtime/leases.ts";
import { leaseKey } from "./record.ts";

/** How often a lease is renewed, and how long a silent one is watched before it is taken, in milliseconds. */
const RENEW_MS = 1_000;
const SILENT_MS = 4_000;
const LOOK_MS = 200;

export class ReplayLease {
  readonly #bucket: Bucket;
  readonly #id: string;
  readonly #owner: string;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  readonly #lost = new AbortController();
  #revision: number;
  #renewing: Promise<void> | undefined;

  /** Takes the lease of a replay. Throws REPLAY_HELD (unavailable) when a living process has it. */
  static async take(bucket: Bucket, id: string, owner: string, clock: Clock): Promise<ReplayLease> {
    const present = await bucket.get(leaseKey(id));
    const held = (by: string) =>
      new LatecomerError("REPLAY_HELD", "unavailable", `replay ${id} runs elsewhere: ${by}; stop it first`);
    if (present !== undefined) {
      for (const since = clock.now(); clock.now() - since < SILENT_MS;) {
        const now = await bucket.get(leaseKey(id));
        if (now === undefined) break;
        if (now.revision !== present.revision) throw held(now.value);
        await clock.sleep(LOOK_MS);
      }
    }
    const left = await bucket.get(leaseKey(id));
    const revision = await bucket.put(leaseKey(id), owner, left?.revision ?? 0);
    if (revision === undefined) throw held("another process was first");
    return new ReplayLease(bucket, id, owner, clock, revision);
  }

  constructor(bucket: Bucket, id: string, owner: string, clock: Clock, revision: number) {
    this.#bucket = bucket;
    this.#id = id;
    this.#owner = owner;
    this.#clock = clock;
    this.#revision = revision;
    this.#renewing = this.#renew();
  }

  /** Aborted when another process has taken the lease. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Gives the lease up, unless it was lost. */
  async release(): Promise<void> {
    this.#ended.abort();
    await this.#renewing;
    if (!this.#lost.signal.aborted) await this.#bucket.remove(leaseKey(this.#id));
  }

  async #renew(): Promise<void> {
    for (;;) {
      await this.#clock.sleep(RENEW_MS, this.#ended.signal);
      if (this.#ended.signal.aborted) return;
      try {
        const entry = { key: leaseKey(this.#id), value: this.#owner, revision: this.#revision };
        const revision = await writeAgain(this.#bucket, entry, (present) => present?.value === this.#owner);
        if (revision === undefined) return this.#lost.abort();
        this.#revision = revision;
      } catch (error) {
        // Away for now: whoever is cut off too cannot take it either.
        if (!isRetryable(error)) return this.#lost.abort();
      }
    }
  }
}
