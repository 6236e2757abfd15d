/**
 * Which partitions this process reads. Leases divide the work and decide no row: two owners of a partition write the
 * same rows and merge what they keep, so a lease that is lost a moment too late, or held twice, costs only work.
 *
 * A lease is an entry of the bucket `leases` that goes by itself, by the bucket's age limit, when its owner has stopped
 * renewing it. Every process also has an entry as a member, so that each can tell its fair share: who holds more gives
 * up the surplus, who holds less takes what is free.
 */
import { encodeToken } from "../core/subject.ts";
import type { Bucket, BucketEntry } from "../ports.ts";

/** How often leases are renewed, in milliseconds: several times within the age limit of `streams/leases.json`. */
export const RENEW_MS = 1_000;

const MEMBER = "member.";

/** So many rounds in a row find that another wrote the entry of this process: one alone may be a write without an answer. */
const ROUNDS_OF_A_NAMESAKE = 3;

/** What one round of renewal found. */
export interface Round {
  /** Taken now, each with the revision at which it was taken. */
  readonly taken: readonly { readonly partition: string; readonly revision: number }[];
  /** Taken by somebody else meanwhile. */
  readonly lost: readonly string[];
  /** Held beyond the fair share: to be released when their work in hand is done. */
  readonly surplus: readonly string[];
}

/** What the entry of a lease or of a member says. */
export interface Holder {
  readonly owner: string;
  /** The generation that the owner writes under. */
  readonly generation: number;
}

/** Reads an entry; one that is none of ours has an owner that nobody is. */
export function readHolder(text: string): Holder {
  try {
    const { owner, generation } = JSON.parse(text) as Partial<Holder>;
    return { owner: String(owner), generation: Number(generation) };
  } catch {
    return { owner: "", generation: 0 };
  }
}

export class Leases {
  readonly #name: string;
  readonly #partitions: readonly string[];
  readonly #bucket: Bucket;
  /** The revision of the last write of each lease that is held. */
  readonly #held = new Map<string, number>();
  /** Taken, and not told to whoever reads: a round can fail after it has taken some. */
  readonly #untold = new Map<string, number>();
  #memberRevision = 0;
  /** Rounds in a row in which somebody else had written the entry of this process. */
  #foreignRounds = 0;
  #generation = 0;

  /** `name` tells this process from every other; one that starts under the name of a dead one has its leases at once. */
  constructor(name: string, partitions: readonly string[], bucket: Bucket) {
    this.#name = name;
    this.#partitions = partitions;
    this.#bucket = bucket;
  }

  get held(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** True while another process runs under this one's name: both read everything that either has, to the same rows. */
  get hasNamesake(): boolean {
    return this.#foreignRounds >= ROUNDS_OF_A_NAMESAKE;
  }

  /** Renews what is held, notices what was lost, takes what is free and due; entries tell the generation. */
  async round(generation: number): Promise<Round> {
    this.#generation = generation;
    await this.#announce();
    const entries = await this.#bucket.entries();
    const share = this.#shareOf(entries);
    const lost = [];
    for (const [partition, revision] of this.#held) {
      if (!(await this.#renew(partition, revision))) lost.push(partition);
    }
    for (const partition of lost) this.#held.delete(partition);
    const owners = new Map(entries.map(({ key, value, revision }) => [key, { ...readHolder(value), revision }]));
    for (const partition of this.#partitions) {
      const present = owners.get(partition);
      if (this.#held.has(partition) || lost.includes(partition)) continue;
      const isOurs = present?.owner === this.#name;
      if (!isOurs && (present !== undefined || this.#held.size >= share)) continue;
      const revision = await this.#bucket.put(partition, this.#entry, present?.revision ?? 0);
      if (revision === undefined) continue;
      this.#held.set(partition, revision);
      this.#untold.set(partition, revision);
    }
    const taken = [...this.#untold]
      .filter(([partition]) => this.#held.has(partition))
      .map(([partition, revision]) => ({ partition, revision }));
    this.#untold.clear();
    return { taken, lost, surplus: [...this.#held.keys()].slice(share) };
  }

  /** Gives a lease up, so that another process can take it at once. */
  async release(partition: string): Promise<void> {
    if (this.#held.delete(partition)) await this.#bucket.remove(partition);
  }

  /** Gives everything up. */
  async leave(): Promise<void> {
    for (const partition of this.held) await this.release(partition);
    await this.#bucket.remove(this.#memberKey);
  }

  /**
   * How many partitions are this process's part: as many as everybody's, and of those left over one each for the first,
   * that is those that hold most already, so that few change hands.
   */
  #shareOf(entries: readonly BucketEntry[]): number {
    const holding = new Map([[this.#memberKey, 0]]);
    for (const { key } of entries) if (key.startsWith(MEMBER)) holding.set(key, 0);
    for (const { key, value } of entries) {
      const member = memberKeyOf(readHolder(value).owner);
      const count = holding.get(member);
      if (count !== undefined && this.#partitions.includes(key)) holding.set(member, count + 1);
    }
    const members = [...holding].sort(([a, more], [b, fewer]) => fewer - more || (a < b ? -1 : 1));
    const place = members.findIndex(([key]) => key === this.#memberKey);
    const left = this.#partitions.length % members.length;
    return Math.floor(this.#partitions.length / members.length) + (place < left ? 1 : 0);
  }

  get #entry(): string {
    return JSON.stringify({ owner: this.#name, generation: this.#generation } satisfies Holder);
  }

  get #memberKey(): string {
    return memberKeyOf(this.#name);
  }

  async #announce(): Promise<void> {
    let revision = await this.#bucket.put(this.#memberKey, this.#entry, this.#memberRevision);
    let present: BucketEntry | undefined;
    if (revision === undefined) {
      present = await this.#bucket.get(this.#memberKey);
      revision = await this.#bucket.put(this.#memberKey, this.#entry, present?.revision ?? 0);
    }
    // Where there is none it had expired.
    this.#foreignRounds = present === undefined ? 0 : this.#foreignRounds + 1;
    if (revision !== undefined) this.#memberRevision = revision;
  }

  /** Writes the entry of a lease again, also when it had expired; false when it is somebody else's now. */
  async #renew(partition: string, revision: number): Promise<boolean> {
    const isOurs = (present: BucketEntry | undefined) =>
      present === undefined || readHolder(present.value).owner === this.#name;
    const entry = { key: partition, value: this.#entry, revision };
    const renewed = await writeAgain(this.#bucket, entry, isOurs);
    // It may have been given up meanwhile; then nobody here reads it, and the next round takes it if it is still ours.
    if (renewed !== undefined && this.#held.has(partition)) this.#held.set(partition, renewed);
    return renewed !== undefined;
  }
}

/**
 * Writes an entry again, of which `revision` was the last that its writer knows: a write before may have gone unanswered.
 * Returns the new revision, undefined when what is there is not the writer's any more.
 */
export async function writeAgain(
  bucket: Bucket,
  { key, value, revision }: BucketEntry,
  isOurs: (present: BucketEntry | undefined) => boolean,
): Promise<number | undefined> {
  const written = await bucket.put(key, value, revision);
  if (written !== undefined) return written;
  const present = await bucket.get(key);
  return isOurs(present) ? await bucket.put(key, value, present?.revision ?? 0) : undefined;
}

function memberKeyOf(owner: string): string {
  return `${MEMBER}${encodeToken(owner)}`;
}
