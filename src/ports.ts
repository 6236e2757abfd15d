/**
 * What the runtime needs of the world. Adapters over NATS and ClickHouse implement these; so do tests.
 *
 * Every method may throw a LatecomerError: `retryable` when trying again may work, anything else is final.
 */
import type { UnmatchedEntry } from "./core/attribute.ts";
import type { DeadLetter, StateChange } from "./core/effects.ts";
import type { Row, Table } from "./core/emit.ts";
import type { StoredMessage } from "./core/event.ts";
import type { Snapshot } from "./core/snapshot.ts";
import type { StartingPoint } from "./core/step.ts";

/** The messages of one partition, in stream order, through a consumer of our own. */
export interface MessageSource {
  /**
   * The next messages, as soon as there is one, at most `most`; none when `waitMs` pass without any.
   * Sequences ascend, without gaps other than those of the stream, and never repeat.
   */
  read(most: number, waitMs: number): Promise<StoredMessage[]>;
  /** Acknowledges everything up to a sequence that was read. */
  ack(streamSequence: number): Promise<void>;
  /** True when the stream holds nothing for this partition that was not read and acknowledged. */
  isDrained(): Promise<boolean>;
  close(): Promise<void>;
}

/** Where rows go. An insert may be repeated; rows fold by their keys. */
export interface Sink {
  /** Returns when the rows are durable. */
  write(table: Table, rows: readonly Row[]): Promise<void>;
}

export interface DeadLetterQueue {
  /** Returns when the letters are durable; a letter sent twice within the stream's window is kept once. */
  publish(letters: readonly DeadLetter[]): Promise<void>;
}

/** How far a partition has come, kept beside the generation it was reached under. */
export interface Checkpoint extends StartingPoint {
  readonly generation: number;
}

/** State in JetStream buckets. */
export interface StateStore {
  /** Applies changes; each is compare-and-set, and merged with what another writer left. */
  write(changes: readonly StateChange[]): Promise<void>;
  /** The open samples that earlier owners left. */
  unmatched(): Promise<UnmatchedEntry[]>;
  loadCheckpoint(partition: string): Promise<Checkpoint | undefined>;
  /** Moves a checkpoint forward; one that another writer has moved further stays. */
  saveCheckpoint(partition: string, checkpoint: Checkpoint): Promise<void>;
}

/** The broadcast of capability snapshots. */
export interface SnapshotWatch {
  /** Resolves when every snapshot stored before the watch began has been handed over. */
  readonly restored: Promise<void>;
  /** True when every snapshot that is stored now has been handed over. */
  isCaughtUp(): Promise<boolean>;
  close(): Promise<void>;
}

export interface SnapshotBroadcast {
  /** Hands over every stored snapshot, then each new one, one at a time; `live` is false for the stored ones. */
  watch(onSnapshot: (snapshot: Snapshot, live: boolean) => void): Promise<SnapshotWatch>;
}

/** Processing time: for pauses and deadlines, never for results. */
export interface Clock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Resolves after a pause, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** Events with fields; secrets and payloads never appear in them. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}
