/** The `capability_snapshots` bucket as a broadcast: all that is stored, then all that comes. */
import type { KV, KvEntry, NatsConnection, QueuedIterator } from "nats";
import { readSnapshotEntry, type Snapshot } from "../core/snapshot.ts";
import type { SnapshotBroadcast, SnapshotWatch } from "../ports.ts";
import { encodeToken } from "../core/subject.ts";
import { natsError } from "./connection.ts";
import { bucketStream } from "./definitions.ts";
import { firstMessageFrom, readBucket } from "./range.ts";

const BUCKET = "capability_snapshots";

/** Opens the broadcast; the bucket must have been provisioned. */
export async function openBroadcast(nc: NatsConnection): Promise<SnapshotBroadcast> {
  try {
    const kv = await nc.jetstream().views.kv(BUCKET, { bindOnly: true });
    return { watch: (onSnapshot) => BucketWatch.start(nc, kv, onSnapshot) };
  } catch (error) {
    throw natsError(error, `open ${BUCKET} (\`latecomer init\` creates it)`);
  }
}

/** The snapshots of a source that the bucket holds now, one after the other. */
export async function* storedSnapshots(nc: NatsConnection, source: string): AsyncGenerator<Snapshot> {
  const subject = `$KV.${BUCKET}.${encodeToken(source)}.*`;
  for await (const slice of readBucket(nc, bucketStream(BUCKET), subject)) {
    for (const { bytes } of slice) {
      const snapshot = readSnapshotEntry(decoder.decode(bytes));
      if (snapshot !== undefined) yield snapshot;
    }
  }
}

const decoder = new TextDecoder();

class BucketWatch implements SnapshotWatch {
  readonly restored: Promise<void>;
  readonly #nc: NatsConnection;
  readonly #entries: QueuedIterator<KvEntry>;
  #revision = 0;

  static async start(nc: NatsConnection, kv: KV, onSnapshot: (snapshot: Snapshot, live: boolean) => void) {
    let initialized = () => {};
    const empty = new Promise<void>((resolve) => initialized = resolve);
    const entries = await kv.watch({ initializedFn: () => initialized() });
    return new BucketWatch(nc, entries, empty, onSnapshot);
  }

  constructor(
    nc: NatsConnection,
    entries: QueuedIterator<KvEntry>,
    initialized: Promise<void>,
    onSnapshot: (snapshot: Snapshot, live: boolean) => void,
  ) {
    this.#nc = nc;
    this.#entries = entries;
    // The client calls `initialized` when the last stored entry is queued; it is handed over soon after.
    this.restored = initialized.then(async () => {
      while (!(await this.isCaughtUp())) await new Promise((resolve) => setTimeout(resolve, 2));
    });
    let live = false;
    this.restored.then(() => live = true, () => {});
    this.#run((entry) => {
      this.#revision = Math.max(this.#revision, entry.revision);
      // What cannot be read is another version's or nobody's; its message is still in the stream.
      const snapshot = entry.operation === "PUT" ? readSnapshotEntry(entry.string()) : undefined;
      if (snapshot !== undefined) onSnapshot(snapshot, live);
    });
  }

  async isCaughtUp(): Promise<boolean> {
    try {
      const jsm = await this.#nc.jetstreamManager();
      const { state } = await jsm.streams.info(bucketStream(BUCKET));
      if (state.messages === 0 || this.#revision >= state.last_seq) return true;
      // The newest may have been removed.
      const next = await firstMessageFrom(jsm, bucketStream(BUCKET), `$KV.${BUCKET}.>`, this.#revision + 1);
      return next === undefined;
    } catch (error) {
      throw natsError(error, `read ${BUCKET}`);
    }
  }

  async close(): Promise<void> {
    this.#entries.stop();
    await Promise.resolve();
  }

  async #run(take: (entry: KvEntry) => void): Promise<void> {
    for await (const entry of this.#entries) take(entry);
  }
}
