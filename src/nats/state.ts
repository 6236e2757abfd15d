/**
 * State in JetStream buckets. Every write is compare-and-set on the key's revision; who loses the race reads
 * what the other wrote, merges, and tries again. So two owners of one partition leave the same entries as one.
 */
import { type JetStreamClient, type JetStreamManager, type KV, type NatsConnection } from "nats";
import * as v from "valibot";
import type { UnmatchedEntry } from "../core/attribute.ts";
import type { StateChange } from "../core/effects.ts";
import { furtherCheckpoint, laterArrival } from "../core/merge.ts";
import type { Checkpoint, StateStore } from "../ports.ts";
import { LatecomerError } from "../errors.ts";
import { isConflict, isNotFound, natsError } from "./connection.ts";
import { bucketStream } from "./definitions.ts";

/** Writes under way at once; beyond some hundred the server only queues them. */
const CONCURRENCY = 256;

/** How often a compare-and-set is tried before the contention is called an error. */
const MOST_CONFLICTS = 20;

/** What a write leaves when the key already holds a value. */
type Merge = (present: string, wanted: string) => string;

const checkpointSchema = v.object({
  doneSeq: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  rewindSeq: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  generation: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

/** Opens the state buckets; they must have been provisioned. */
export async function openState(nc: NatsConnection): Promise<StateStore> {
  const jsm = await nc.jetstreamManager();
  const js = nc.jetstream();
  try {
    const unmatched = await js.views.kv("unmatched_status", { bindOnly: true });
    const checkpoints = await js.views.kv("checkpoints", { bindOnly: true });
    return new BucketState(js, jsm, unmatched, checkpoints);
  } catch (error) {
    throw natsError(error, "open the state buckets (`latecomer init` creates them)");
  }
}

class BucketState implements StateStore {
  readonly #js: JetStreamClient;
  readonly #jsm: JetStreamManager;
  readonly #unmatched: KV;
  readonly #checkpoints: KV;

  constructor(js: JetStreamClient, jsm: JetStreamManager, unmatched: KV, checkpoints: KV) {
    this.#js = js;
    this.#jsm = jsm;
    this.#unmatched = unmatched;
    this.#checkpoints = checkpoints;
  }

  async write(changes: readonly StateChange[]): Promise<void> {
    const queue = changes[Symbol.iterator]();
    const worker = async () => {
      for (const change of queue) await this.#write(change);
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, changes.length) }, worker));
  }

  async unmatched(): Promise<UnmatchedEntry[]> {
    const entries: UnmatchedEntry[] = [];
    try {
      // Of an empty bucket the watch yields nothing at all, not even an end.
      if ((await this.#unmatched.status()).values === 0) return entries;
      for await (const entry of await this.#unmatched.watch()) {
        if (entry.operation === "PUT") entries.push(entry.json<UnmatchedEntry>());
        if (entry.delta === 0) break;
      }
    } catch (error) {
      throw natsError(error, "restore unmatched_status");
    }
    return entries;
  }

  async loadCheckpoint(partition: string): Promise<Checkpoint | undefined> {
    try {
      const entry = await this.#checkpoints.get(partition);
      return entry === null ? undefined : readCheckpoint(partition, entry.string());
    } catch (error) {
      throw natsError(error, `read the checkpoint of partition ${partition}`);
    }
  }

  async saveCheckpoint(partition: string, checkpoint: Checkpoint): Promise<void> {
    await this.#compareAndSet(
      "checkpoints",
      partition,
      JSON.stringify(checkpoint),
      (present) => JSON.stringify(furtherCheckpoint(readCheckpoint(partition, present), checkpoint)),
    );
  }

  async #write({ bucket, key, value }: StateChange): Promise<void> {
    if (value === null) await this.#remove(bucket, key);
    // A snapshot's entry is a function of its message; of a waiting sample the later arrival waits longer.
    else {await this.#compareAndSet(
        bucket,
        key,
        value,
        bucket === "unmatched_status" ? laterArrival : (present) => present,
      );}
  }

  async #remove(bucket: string, key: string): Promise<void> {
    try {
      // A purge leaves no marker behind, so the bucket holds what is open and nothing else.
      await this.#jsm.streams.purge(bucketStream(bucket), { filter: subjectOf(bucket, key) });
    } catch (error) {
      throw natsError(error, `remove an entry of ${bucket}`);
    }
  }

  async #compareAndSet(bucket: string, key: string, wanted: string, merge: Merge): Promise<void> {
    let value = wanted;
    let revision = 0;
    for (let attempt = 0; attempt < MOST_CONFLICTS; attempt++) {
      try {
        await this.#js.publish(subjectOf(bucket, key), value, { expect: { lastSubjectSequence: revision } });
        return;
      } catch (error) {
        if (!isConflict(error)) throw natsError(error, `write an entry of ${bucket}`);
      }
      const present = await this.#last(bucket, key);
      revision = present?.revision ?? 0;
      value = present === undefined ? wanted : merge(present.value, wanted);
      if (value === present?.value) return;
    }
    throw new LatecomerError("STATE_CONTENTION", "retryable", `an entry of ${bucket} is written by too many at once`);
  }

  async #last(bucket: string, key: string): Promise<{ value: string; revision: number } | undefined> {
    try {
      const message = await this.#jsm.streams.getMessage(bucketStream(bucket), {
        last_by_subj: subjectOf(bucket, key),
      });
      return { value: message.string(), revision: message.seq };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw natsError(error, `read an entry of ${bucket}`);
    }
  }
}

function subjectOf(bucket: string, key: string): string {
  return `$KV.${bucket}.${key}`;
}

function readCheckpoint(partition: string, text: string): Checkpoint {
  try {
    return v.parse(checkpointSchema, JSON.parse(text));
  } catch (cause) {
    throw new LatecomerError(
      "CHECKPOINT_CORRUPT",
      "fatal",
      `the checkpoint of partition ${partition} cannot be read; delete the key ${partition} of the bucket checkpoints to start over`,
      { cause },
    );
  }
}
