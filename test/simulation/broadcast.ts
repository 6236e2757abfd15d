/** The broadcast: every process watches the bucket of the snapshots, and hears of each in its own time. */
import { readSnapshotEntry, type Snapshot } from "../../src/core/snapshot.ts";
import type { BucketEntry, SnapshotBroadcast, SnapshotWatch } from "../../src/ports.ts";
import type { BucketServer } from "./bucket.ts";
import type { Process } from "./process.ts";

type OnSnapshot = (snapshot: Snapshot, live: boolean) => void;

export function openBroadcast(server: BucketServer, process: Process): SnapshotBroadcast {
  return {
    watch: (onSnapshot) => process.call("watch", () => new Watch(server, process, onSnapshot)),
  };
}

class Watch implements SnapshotWatch {
  readonly restored: Promise<void>;
  readonly finished = new Promise<void>(() => {});
  readonly isAway = false;
  readonly #server: BucketServer;
  readonly #process: Process;
  readonly #unwatch: () => void;
  /** What was sent and has not been handed over, in order. */
  #queue: BucketEntry[];
  #isHanding = false;
  #revision = 0;
  #live = false;
  #onEmpty = () => {};

  constructor(server: BucketServer, process: Process, onSnapshot: OnSnapshot) {
    this.#server = server;
    this.#process = process;
    this.#queue = server.list();
    this.#unwatch = server.watch((entry) => {
      if (process.faults.happens("relist")) this.#queue.push(...server.list());
      else this.#queue.push(entry);
      this.#handOver(onSnapshot);
    });
    this.restored = new Promise<void>((resolve) => this.#onEmpty = resolve).then(() => {
      this.#live = true;
    });
    if (this.#queue.length === 0) this.#onEmpty();
    this.#handOver(onSnapshot);
  }

  isCaughtUp(): Promise<boolean> {
    return this.#process.call(
      "last of snapshots",
      () => this.#server.list().every(({ revision }) => revision <= this.#revision),
    );
  }

  close(): Promise<void> {
    this.#unwatch();
    this.#queue = [];
    return Promise.resolve();
  }

  #handOver(onSnapshot: OnSnapshot): void {
    if (this.#isHanding || this.#queue.length === 0) return;
    this.#isHanding = true;
    this.#process.later(this.#process.faults.latencyMs(), "snapshot", () => {
      this.#isHanding = false;
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      this.#revision = Math.max(this.#revision, entry.revision);
      const snapshot = readSnapshotEntry(entry.value);
      if (snapshot !== undefined) onSnapshot(snapshot, this.#live);
      if (this.#queue.length === 0) this.#onEmpty();
      this.#handOver(onSnapshot);
    });
  }
}
