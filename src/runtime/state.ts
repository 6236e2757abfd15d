/**
 * State in buckets. Every write is compare-and-set on the key's revision; who loses the race reads what the other
 * wrote, merges, and tries again. So two owners of one partition leave the same entries as one.
 */
import { type Checkpoint, type Gap, mergeCheckpoints, readCheckpoint } from "../core/checkpoint.ts";
import { type Cost, isSameCost, joinedCost, type StateChange } from "../core/effects.ts";
import { mergeEntries, readEntry, type UnmatchedEntry } from "../core/entry.ts";
import { mergeSessions } from "../core/session/entry.ts";
import { readSnapshotEntry } from "../core/snapshot.ts";
import { LatecomerError } from "../errors.ts";
import type { Bucket, Buckets } from "../ports.ts";

/** Requests under way at once; beyond some hundred a server only queues them. */
const CONCURRENCY = 256;

/** Revisions of sessions remembered by a reader: a write that knows one takes one request, any other three. */
const MOST_REVISIONS = 50_000;

/** How often a compare-and-set is tried before the contention is called an error. */
const MOST_CONFLICTS = 20;

/** Gaps remembered per partition; the newest stay. */
const MOST_GAPS = 20;

/** Costs remembered per partition, each of a kind and a source; the newest stay. */
const MOST_COSTS = 20;

/** What stands in the place of a checkpoint that rests on state which is gone: nothing that can be read as one. */
const DROPPED = "{}";

/** What a write leaves when the key already holds a value. */
type Merge = (present: string) => string;

/** The entry of a session, as it is known to the bucket. */
export interface SessionEntry {
  readonly key: string;
  /** Undefined when there is none. */
  readonly value: string | undefined;
}

export class State {
  readonly #buckets: Buckets;
  /** Those of sessions of which this reader knows all that their entries hold. */
  readonly #revisions = new Map<string, number>();
  /** Checkpoints as this reader wrote them last. */
  readonly #checkpoints = new Map<string, Present>();

  constructor(buckets: Buckets) {
    this.#buckets = buckets;
  }

  /**
   * The same buckets for one reader of a partition. What one reader has seen of them is no reason for another to write
   * over it, not even in the same process, where an earlier reader of a partition may still come to its end.
   */
  forReader(): State {
    return new State(this.#buckets);
  }

  /**
   * Applies changes of a partition; each is compare-and-set, and merged with what another writer left. Removals come
   * last: what is removed is covered by what is written beside it. Returns the sessions that another writer knew more of.
   * Where an entry is lost the partition's checkpoint goes with it: whoever starts by that would not miss the entry.
   */
  async write(partition: string, changes: readonly StateChange[]): Promise<SessionEntry[]> {
    const merged: SessionEntry[] = [];
    await concurrently(changes.filter(({ value }) => value !== null), async ({ bucket, key, value }) => {
      const written = await this.#put(bucket, key, value!).catch(async (error) => {
        if (isEntryLost(error)) await this.#dropCheckpoint(partition);
        throw error;
      });
      if (bucket === "workflow_sessions" && written !== value) merged.push({ key, value: written });
    });
    await concurrently(
      changes.filter(({ value }) => value === null),
      ({ bucket, key }) => this.#buckets[bucket].remove(key),
    );
    return merged;
  }

  /** What the bucket holds of sessions. */
  async sessions(keys: readonly string[]): Promise<SessionEntry[]> {
    const entries: SessionEntry[] = [];
    await concurrently(keys, async (key) => {
      const entry = await this.#buckets.workflow_sessions.get(key);
      this.#remember(key, entry?.revision ?? 0);
      entries.push({ key, value: entry?.value });
    });
    return entries;
  }

  async has(bucket: StateChange["bucket"], key: string): Promise<boolean> {
    return await this.#buckets[bucket].get(key) !== undefined;
  }

  /** The open observations that earlier owners left under the same settings, in stream order. */
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
    const merge = (text: string) => {
      const present = readCheckpoint(text);
      return JSON.stringify(present === undefined ? checkpoint : mergeCheckpoints(present, checkpoint));
    };
    const known = this.#checkpoints.get(partition);
    this.#checkpoints.set(partition, await this.#update(partition, JSON.stringify(checkpoint), merge, known));
  }

  /** Puts a checkpoint in the place of the one that was found, forward or not; what another wrote since then stays. */
  async resetCheckpoint(partition: string, found: Checkpoint | "corrupt", checkpoint: Checkpoint): Promise<void> {
    const text = JSON.stringify(checkpoint);
    await this.#update(partition, text, (present) => {
      const isFound = JSON.stringify(readCheckpoint(present) ?? "corrupt") === JSON.stringify(found);
      return isFound ? text : present;
    });
  }

  /** Remembers messages that could not be read any more, for `doctor`. */
  async noteGap(partition: string, gap: Gap): Promise<void> {
    await this.#update(`gaps.${partition}`, JSON.stringify([gap]), (text) => {
      const known = readGaps(text);
      const isKnown = known.some((one) => JSON.stringify(one) === JSON.stringify(gap));
      return JSON.stringify(isKnown ? known : [...known, gap].slice(-MOST_GAPS));
    });
  }

  /**
   * Remembers what bounds have cost, for `doctor`: counts and spans of one kind and source are joined. A batch that is
   * repeated may count again.
   */
  async noteCosts(partition: string, costs: readonly Cost[]): Promise<void> {
    await this.#update(`costs.${partition}`, JSON.stringify(costs), (text) => {
      return JSON.stringify(costs.reduce(withCost, readCosts(text)).slice(-MOST_COSTS));
    });
  }

  /**
   * Writes a key of `checkpoints` over what is known to be there, else over what is found there. A write that says there
   * is nothing would be refused almost always, and over such refusals members of a cluster may come to disagree
   * (nats-server#5794).
   */
  async #update(key: string, wanted: string, merge: Merge, known?: Present): Promise<Present> {
    const { checkpoints } = this.#buckets;
    return await compareAndSet(checkpoints, key, wanted, merge, known ?? await checkpoints.get(key));
  }

  /** Puts something shorter in the place of a checkpoint: for that there is room, and if not it takes the old one away. */
  async #dropCheckpoint(partition: string): Promise<void> {
    const { checkpoints } = this.#buckets;
    this.#checkpoints.delete(partition);
    const present = await checkpoints.get(partition);
    if (present === undefined) return;
    try {
      await compareAndSet(checkpoints, partition, DROPPED, () => DROPPED, present);
    } catch (error) {
      if (!isEntryLost(error)) throw error;
    }
  }

  async #put(bucket: StateChange["bucket"], key: string, value: string): Promise<string> {
    const revision = bucket === "workflow_sessions" ? this.#revisions.get(key) ?? 0 : 0;
    const known = { value: undefined, revision };
    const written = await compareAndSet(this.#buckets[bucket], key, value, MERGE[bucket](key, value), known);
    // What another writer knew more is not known here before the whole write has come to its end.
    if (bucket === "workflow_sessions" && written.value === value) this.#remember(key, written.revision);
    else this.#revisions.delete(key);
    return written.value;
  }

  #remember(key: string, revision: number): void {
    if (this.#revisions.size >= MOST_REVISIONS) this.#revisions.clear();
    this.#revisions.set(key, revision);
  }
}

function isEntryLost(error: unknown): boolean {
  return error instanceof LatecomerError && error.code === "STATE_ENTRY_LOST";
}

/** Does the same with each item, some hundred at once. */
async function concurrently<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, worker));
}

/** Costs with one more, which joins that of its kind and source. */
function withCost(costs: readonly Cost[], cost: Cost): Cost[] {
  const known = costs.find((one) => isSameCost(one, cost));
  if (known === undefined) return [...costs, cost];
  return [...costs.filter((one) => one !== known), joinedCost(known, cost)];
}

/** The costs of an entry of `checkpoints` whose key is `costs.<partition>`. */
export function readCosts(text: string): Cost[] {
  return readList<Cost>(text);
}

/** The gaps of an entry of `checkpoints` whose key is `gaps.<partition>`. */
export function readGaps(text: string): Gap[] {
  return readList<Gap>(text);
}

function readList<One>(text: string): One[] {
  try {
    const list = JSON.parse(text) as One[];
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

const MERGE: Readonly<Record<StateChange["bucket"], (key: string, wanted: string) => Merge>> = {
  // An entry is a function of its message, and so is the same whoever wrote it; unless another version did.
  capability_snapshots: (_, wanted) => (present) => readSnapshotEntry(present) === undefined ? wanted : present,
  unmatched_status: (_, wanted) => (present) => mergeEntries(present, wanted),
  workflow_sessions: (key, wanted) => (present) => mergeSessions(key, present, wanted),
};

/** What a key is taken to hold; revision 0 where it holds nothing. */
interface Present {
  /** Undefined where there is none, or where what is to be written knows all that it holds. */
  readonly value: string | undefined;
  readonly revision: number;
}

/** What is written first, and refused by the server where the key holds something. */
const NOTHING: Present = { value: undefined, revision: 0 };

/**
 * Writes a value, or what `merge` makes of it and of the one that is there. Returns what is there then. Throws
 * STATE_CONTENTION (retryable) when others were first too many times.
 */
async function compareAndSet(
  bucket: Bucket,
  key: string,
  wanted: string,
  merge: Merge,
  known: Present = NOTHING,
): Promise<{ readonly value: string; readonly revision: number }> {
  let present = known;
  for (let attempt = 0; attempt < MOST_CONFLICTS; attempt++) {
    const value = present.value === undefined ? wanted : merge(present.value);
    if (value === present.value) return { value, revision: present.revision };
    const written = await bucket.put(key, value, present.revision);
    if (written !== undefined) return { value, revision: written };
    present = await bucket.get(key) ?? NOTHING;
  }
  throw new LatecomerError("STATE_CONTENTION", "retryable", "a state entry is written by too many at once");
}
