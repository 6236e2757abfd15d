/** The `capability_snapshots` bucket as a broadcast: all that is stored, then all that comes. */
import { AckPolicy, DeliverPolicy, type JetStreamManager, nanos, type NatsConnection, nuid, ReplayPolicy } from "nats";
import { readSnapshotEntry, type Snapshot } from "../core/snapshot.ts";
import type { SnapshotBroadcast, SnapshotWatch } from "../ports.ts";
import { encodeToken } from "../core/subject.ts";
import { isRetryable } from "../errors.ts";
import { natsError, openManager } from "./connection.ts";
import { bucketStream } from "./definitions.ts";
import { Pull, type PulledMessage } from "./pull.ts";
import { firstMessageFrom, readBucket, storedAtMs, streamState } from "./range.ts";

const BUCKET = "capability_snapshots";
const STREAM = bucketStream(BUCKET);
const SUBJECT = `$KV.${BUCKET}.>`;

/** Entries handed over between two turns of the event loop. */
const SLICE = 128;
const SLICE_BYTES = 1_048_576;

/** How long a watch waits for an entry before it looks around, and before it tries again what failed. */
const PATIENCE_MS = 500;

/** The consumer goes by itself this long after its watch has. */
const INACTIVE_MS = 60_000;

/** Opens the broadcast. A bucket that was not provisioned makes a watch fail, saying so. */
export async function openBroadcast(nc: NatsConnection): Promise<SnapshotBroadcast> {
  const jsm = await openManager(nc);
  return { watch: (onSnapshot) => Promise.resolve(new BucketWatch(nc, jsm, onSnapshot)) };
}

/** The snapshots of a source that the bucket holds now, one after the other. */
export async function* storedSnapshots(nc: NatsConnection, source: string): AsyncGenerator<Snapshot> {
  const subject = `$KV.${BUCKET}.${encodeToken(source)}.*`;
  for await (const slice of readBucket(nc, STREAM, subject)) {
    for (const { bytes } of slice) {
      const snapshot = readSnapshotEntry(decoder.decode(bytes));
      if (snapshot !== undefined) yield snapshot;
    }
  }
}

const decoder = new TextDecoder();

type OnSnapshot = (snapshot: Snapshot, live: boolean) => void;

/** Where a watch has come, by the newest entry that it has handed over. */
interface Position {
  readonly revision: number;
  readonly storedAtMs: number;
}

const BEFORE_ALL: Position = { revision: 0, storedAtMs: 0 };

/**
 * A watch through a consumer of its own. Where that breaks another takes its place, behind what was handed over while the
 * bucket still holds that, else at the beginning: a bucket that was made anew, or lost its end with its server, gives its
 * revisions again, and whatever has them now would be passed over.
 */
class BucketWatch implements SnapshotWatch {
  readonly restored: Promise<void>;
  readonly finished: Promise<void>;
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;
  readonly #onSnapshot: OnSnapshot;
  #pull: Pull | undefined;
  #at = BEFORE_ALL;
  #isRestored = false;
  #isAway = false;
  #isClosed = false;

  constructor(nc: NatsConnection, jsm: JetStreamManager, onSnapshot: OnSnapshot) {
    this.#nc = nc;
    this.#jsm = jsm;
    this.#onSnapshot = onSnapshot;
    let restored = () => {};
    const isRestored = new Promise<void>((resolve) => restored = resolve);
    this.finished = this.#run(restored);
    this.restored = Promise.race([isRestored, this.finished]);
    // Told to whoever waits for one of them.
    for (const told of [this.finished, this.restored]) told.catch(() => {});
  }

  get isAway(): boolean {
    return this.#isAway;
  }

  async isCaughtUp(): Promise<boolean> {
    const isBroken = () => this.#pull === undefined || this.#pull.broken !== "";
    if (isBroken()) return false;
    const { last_seq } = await streamState(this.#jsm, STREAM);
    // Where it ends before what was handed over it is not what it was, and the watch begins again.
    if (isBroken() || last_seq < this.#at.revision) return false;
    // The newest may have been removed.
    return await firstMessageFrom(this.#jsm, STREAM, SUBJECT, this.#at.revision + 1) === undefined;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pull?.break("it was closed");
    await this.finished.catch(() => {});
  }

  async #run(restored: () => void): Promise<void> {
    while (!this.#isClosed) {
      try {
        if (this.#pull === undefined || (this.#pull.broken !== "" && this.#pull.isEmpty)) await this.#bind();
        this.#isAway = false;
        for (const message of this.#pull!.take(SLICE, SLICE_BYTES)) this.#take(message);
        if (!this.#isRestored && this.#pull!.isEmpty && await this.isCaughtUp()) {
          this.#isRestored = true;
          restored();
        }
        await this.#pull!.wait(PATIENCE_MS);
        // A turn of the event loop between slices, as in source.ts.
        await new Promise(setImmediate);
      } catch (error) {
        if (!isRetryable(error)) throw error;
        this.#isAway = true;
        await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
      }
    }
    this.#pull?.close();
  }

  /** Makes a consumer that begins behind what was handed over, where that is still there. */
  async #bind(): Promise<void> {
    this.#pull?.close();
    this.#pull = undefined;
    while (this.#pull === undefined) {
      const { revision, storedAtMs: knownMs } = this.#at;
      const pull = await this.#open(revision);
      try {
        // Only now: what happens to the bucket after this breaks the pull.
        const isThere = revision === 0 || await storedAtMs(this.#jsm, STREAM, revision) === knownMs;
        if (isThere) this.#pull = pull;
        else this.#at = BEFORE_ALL;
      } finally {
        if (this.#pull === undefined) pull.close();
      }
    }
  }

  async #open(after: number): Promise<Pull> {
    const name = `watch-${nuid.next()}`;
    try {
      await this.#jsm.consumers.add(STREAM, {
        name,
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: after + 1,
        filter_subject: SUBJECT,
        inactive_threshold: nanos(INACTIVE_MS),
        replay_policy: ReplayPolicy.Instant,
        mem_storage: true,
        num_replicas: 1,
      });
    } catch (error) {
      throw natsError(error, `watch ${BUCKET} (\`latecomer init\` creates it)`);
    }
    return new Pull(this.#nc, STREAM, name, after);
  }

  #take({ bytes, streamSequence: revision, streamTimeMs: storedAtMs }: PulledMessage): void {
    this.#at = { revision, storedAtMs };
    // What cannot be read is another version's or nobody's, or the marker of a removal; its message is still in the stream.
    const snapshot = readSnapshotEntry(decoder.decode(bytes));
    if (snapshot !== undefined) this.#onSnapshot(snapshot, this.#isRestored);
  }
}
