/**
 * State in buckets. Every write is compare-and-set on the key's revision; who loses the race reads what the other
 * wrote, merges, and tries again. So two owners of one partition leave the same entries as one.
 */
import { type Checkpoint, type Gap, mergeCheckpoints, readCheckpoint } from "../core/checkpoint.ts";
import type { StateChange } from "../core/effects.ts";
import { mergeEntries, readEntry, type UnmatchedEntry } from "../core/entry.ts";
import { readSnapshotEntry } from "../core/snapshot.ts";
import { LatecomerError } from "../errors.ts";
import type { Bucket, Buckets } from "../ports.ts";

/** Writes under way at once; beyond some hundred a server only queues them. */
const CONCURRENCY = 256;

/** How often a compare-and-set is tried before the contention is called an error. */
const MOST_CONFLICTS = 20;

/** Gaps remembered per partition; the newest stay. */
const MOST_GAPS = 20;

/** What a write leaves when the key already holds a value. */
type Merge = (present: string) => string;

export class State {
  readonly #buckets: Buckets;

  constructor(buckets: Buckets) {
    this.#buckets = buckets;
  }

  /** Applies changes; each is compare-and-set, and merged with what another writer left. */
  async write(changes: readonly StateChange[]): Promise<void> {
    const queue = changes[Symbol.iterator]();
    const worker = async () => {
      for (const change of queue) await this.#write(change);
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, changes.length) }, worker));
  }

  /** The open samples that earlier owners left under the same settings, in stream order. */
  async unmatched(hash: string): Promise<UnmatchedEntry[]> {
    const entries = await this.#buckets.unmatched_status.entries();
    return entries
      .map(({ value }) => readEntry(value))
      .filter((entry) => entry !== undefined && entry.hash === hash)
      .sort((a, b) => a!.streamSequence - b!.streamSequence) as UnmatchedEntry[];
  }

  async loadCheckpoint(partition: string): Promise<Checkpoint | "corrupt" | undefined> {
    const entry = await this.#buckets.checkpoints.get(partition);
    return entry === undefined ? undefined : readCheckpoint(entry.value) ?? "corrupt";
  }

  /** Moves a checkpoint forward; one that another writer has moved further stays. */
  async saveCheckpoint(partition: string, checkpoint: Checkpoint): Promise<void> {
    await compareAndSet(this.#buckets.checkpoints, partition, JSON.stringify(checkpoint), (text) => {
      const present = readCheckpoint(text);
      return JSON.stringify(present === undefined ? checkpoint : mergeCheckpoints(present, checkpoint));
    });
  }

  /** Puts a checkpoint in the place of the one that was found, forward or not; what another wrote since then stays. */
  async resetCheckpoint(partition: string, found: Checkpoint | "corrupt", checkpoint: Checkpoint): Promise<void> {
    const text = JSON.stringify(checkpoint);
    await compareAndSet(this.#buckets.checkpoints, partition, text, (present) => {
      const isFound = JSON.stringify(readCheckpoint(present) ?? "corrupt") === JSON.stringify(found);
      return isFound ? text : present;
    });
  }

  /** Remembers messages that could not be read any more, for `doctor`. */
  async noteGap(partition: string, gap: Gap): Promise<void> {
    await compareAndSet(this.#buckets.checkpoints, `gaps.${partition}`, JSON.stringify([gap]), (text) => {
      const known = readGaps(text);
      const isKnown = known.some((one) => JSON.stringify(one) === JSON.stringify(gap));
      return JSON.stringify(isKnown ? known : [...known, gap].slice(-MOST_GAPS));
    });
  }

  async #write({ bucket, key, value }: StateChange): Promise<void> {
    if (value === null) return await this.#buckets[bucket].remove(key);
    await compareAndSet(this.#buckets[bucket], key, value, (present) => MERGE[bucket](present, value));
  }
}

/** The gaps of an entry of `checkpoints` whose key is `gaps.<partition>`. */
export function readGaps(text: string): Gap[] {
  try {
    const gaps = JSON.parse(text) as Gap[];
    return Array.isArray(gaps) ? gaps : [];
  } catch {
    return [];
  }
}

const MERGE: Readonly<Record<StateChange["bucket"], (present: string, wanted: string) => string>> = {
  // An entry is a function of its message, and so is the same whoever wrote it; unless another version did.
  capability_snapshots: (present, wanted) => readSnapshotEntry(present) === undefined ? wanted : present,
  unmatched_status: mergeEntries,
};

/**
 * Writes a value, or what `merge` makes of the one that is there. Throws STATE_CONTENTION (retryable) when others
 * were first too many times.
 */
async function compareAndSet(bucket: Bucket, key: string, wanted: string, merge: Merge): Promise<void> {
  let value = wanted;
  let revision = 0;
  for (let attempt = 0; attempt < MOST_CONFLICTS; attempt++) {
    if (await bucket.put(key, value, revision) !== undefined) return;
    const present = await bucket.get(key);
    revision = present?.revision ?? 0;
    value = present === undefined ? wanted : merge(present.value);
    if (value === present?.value) return;
  }
  throw new LatecomerError("STATE_CONTENTION", "retryable", "a state entry is written by too many at once");
}
