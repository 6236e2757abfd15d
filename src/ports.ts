/**
 * What the runtime needs of the world. Adapters over NATS and ClickHouse implement these; so do tests.
 *
 * Every method may throw a LatecomerError: `retryable` when trying again may work, anything else is final.
 */
import type { DeadLetter } from "./core/effects.ts";
import type { Row, Table } from "./core/emit/row.ts";
import type { StoredMessage } from "./core/event.ts";
import type { Minute } from "./core/minute.ts";
import type { Snapshot } from "./core/snapshot.ts";

/** What the event stream holds now; `lastSeq` is below `firstSeq` while it holds nothing. */
export interface StreamBounds {
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** A message that the event stream held; by when it was stored, a stream that lost its end is told. */
export interface StreamPosition {
  readonly streamSequence: number;
  /** In Unix milliseconds, 0 when it is not known. */
  readonly storedAtMs: number;
}

/** Where a partition is read from. */
export interface ReadFrom {
  readonly fromSequence: number;
  /** The last message of the stream, of any partition, that is known to have been processed or passed. */
  readonly known: StreamPosition;
}

/** The event stream as a whole. */
export interface EventStream {
  /**
   * What the stream holds. Where it ends before `knownSeq`, which it is known to have held, that counts as lost only after
   * some seconds in a cluster, whose members may lag.
   */
  bounds(knownSeq?: number): Promise<StreamBounds>;
  /** When the message of a sequence was stored, in Unix milliseconds; undefined when the stream does not hold it. */
  storedAtMs(streamSequence: number): Promise<number | undefined>;
  /** The least sequence stored later than an instant, one beyond the last when there is none. */
  firstSeqAfter(timeMs: number): Promise<number>;
  /** The greatest sequence held of a partition, 0 when there is none. */
  lastSeqOf(partition: string): Promise<number>;
  /** The first message held of a partition and a type from a sequence on, undefined when there is none. */
  firstOf(partition: string, type: string, fromSeq: number): Promise<StoredMessage | undefined>;
  /**
   * Opens the messages of a partition from a sequence on, through a consumer of our own whose name holds `reader`:
   * no two readers may share a name.
   */
  open(partition: string, from: ReadFrom, reader: string, onRebound: OnRebound): Promise<LiveSource>;
}

/** Sequences of the stream, both ends included. */
export interface SequenceRange {
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** A session that a range does not hold whole. */
export interface IncompleteSession {
  readonly source: string;
  readonly sessionKey: string;
  /** `outside`: the stream holds an event of it outside the range. `expired_head`: earlier events may be gone. */
  readonly why: "outside" | "expired_head";
  /** The first event outside the range, or the first one at the expired head. */
  readonly streamSequence: number;
}

/** The event stream as a replay reads it: whatever the partition, and through a consumer that outlives the reader. */
export interface ReplayedStream extends EventStream {
  /** The messages of a range on these subjects, in order, in slices; nothing is left behind. */
  messages(range: SequenceRange, subject: string): AsyncIterable<readonly StoredMessage[]>;
  /** Opens all messages from a sequence on through the consumer of this name, which stays until it is removed. */
  openDurable(name: string, from: ReadFrom, onRebound: OnRebound): Promise<MessageSource>;
  /** Removes the consumer of this name; one that is not there is no error. */
  removeDurable(name: string): Promise<void>;
}

/** Told when a source had to make another consumer, and why. */
export type OnRebound = (why: string) => void;

/** The messages of one partition, in stream order, through a consumer of our own. */
export interface MessageSource {
  /**
   * The next messages, as soon as there is one, at most `most`; none when `waitMs` pass without any.
   * Sequences ascend, without gaps other than those of the stream, and never repeat. Throws STREAM_REWRITTEN
   * (fatal) when the stream no longer holds what was read from it or known of it, as after a server lost its last
   * seconds.
   */
  read(most: number, waitMs: number): Promise<StoredMessage[]>;
  /** The stream sequence of the next message when it is at hand, and the next read does not wait; else undefined. */
  nextSequence(): number | undefined;
  /** Acknowledges what was read up to a sequence; of a read that went beyond it, nothing. */
  ack(streamSequence: number): Promise<void>;
  /**
   * The last message of the stream, of any partition, when up to there it holds nothing for this one that was not
   * read and acknowledged; undefined when there is more to read, or it cannot be told now.
   */
  drainedUpTo(): Promise<StreamPosition | undefined>;
  close(): Promise<void>;
}

/** The source of a partition that messages still come to. */
export interface LiveSource extends MessageSource {
  /** The messages that are stored for it and not acknowledged. */
  backlog(): Promise<Backlog>;
}

/** Where rows go. An insert may be repeated; rows fold by their keys. */
export interface Sink {
  /** Begins a batch. Several may be open, and are stored each on its own. */
  begin(): RowBatch;
}

/** Rows that become durable together. */
export interface RowBatch {
  /** Adds rows of a table, of which the batch need not keep the objects. Throws what is wrong with them, for good. */
  add(table: Table, rows: readonly Row[]): void;
  /** Returns when all rows are durable. After a failure it may be called again, and stores what is not there yet. */
  store(): Promise<void>;
}

/** Where minutes are marked for the rollup. A mark that stands already is made again, as the newest. */
export interface DirtyMinutes {
  /** Returns when the marks are durable: what is written before is in what is recomputed for them. */
  mark(minutes: readonly Minute[]): Promise<void>;
}

/** A mark in hand. It comes again to whoever asks if it is neither finished nor worked on for half a minute. */
export interface TakenMark {
  /** Undefined where the mark names no minute. */
  readonly minute: Minute | undefined;
  /** Removes the mark, unless it was made again since it was taken. */
  finish(): void;
  /** Tells that it is still being worked on. */
  working(): void;
}

/** How many marks or messages wait, in hand or not, and when the oldest was stored, in Unix milliseconds (0: none). */
export interface Backlog {
  readonly pending: number;
  readonly oldestMs: number;
}

/** The marks as whoever recomputes them sees them. */
export interface DirtyMinuteQueue {
  /** Marks that nobody has in hand, oldest first, at most `most`; waits for none. */
  take(most: number): Promise<TakenMark[]>;
  backlog(): Promise<Backlog>;
}

/** The rollup. */
export interface RollupStore {
  /**
   * Recomputes minutes from all rows that are durable now; returns when they are durable, with how many of them hold
   * samples. Repeating it changes nothing.
   */
  recompute(minutes: readonly Minute[]): Promise<number>;
}

export interface DeadLetterQueue {
  /** Returns when the letters are durable; a letter sent twice within the stream's window is kept once. */
  publish(letters: readonly DeadLetter[]): Promise<void>;
}

/** An entry of a bucket. */
export interface BucketEntry {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

/** A bucket of keys and values, each with the revision of its last write. */
export interface Bucket {
  get(key: string): Promise<BucketEntry | undefined>;
  /**
   * Writes a key whose present revision is `revision`, 0 when it must not be there. Returns the new revision, or
   * undefined when somebody else was first. Throws STATE_ENTRY_LOST (retryable) when the write was refused and what the
   * key held went with it.
   */
  put(key: string, value: string, revision: number): Promise<number | undefined>;
  /** Removes a key without a trace; one that is not there is no error, one that is written meanwhile may stay. */
  remove(key: string): Promise<void>;
  /** Removes every key whose first token this is. */
  removeUnder(token: string): Promise<void>;
  /** Every entry that was stored before the call, and maybe some that came since. Throws where the bucket is missing. */
  entries(): Promise<BucketEntry[]>;
}

/** The buckets of the processor, by name. */
export interface Buckets {
  readonly capability_snapshots: Bucket;
  readonly unmatched_status: Bucket;
  readonly workflow_sessions: Bucket;
  readonly checkpoints: Bucket;
  readonly leases: Bucket;
  readonly replays: Bucket;
  readonly replay_sessions: Bucket;
}

/** The broadcast of capability snapshots. */
export interface SnapshotWatch {
  /** Resolves when every snapshot stored before the watch began has been handed over; rejects as `finished` does. */
  readonly restored: Promise<void>;
  /** Resolves when the watch was closed, rejects when it failed in a way that trying again does not mend. */
  readonly finished: Promise<void>;
  /** True while the snapshots cannot be read, and that is tried again. */
  readonly isAway: boolean;
  /** True when every snapshot that is stored now has been handed over. */
  isCaughtUp(): Promise<boolean>;
  close(): Promise<void>;
}

export interface SnapshotBroadcast {
  /**
   * Hands over every stored snapshot, then each new one, one at a time; `live` is false for the stored ones. Some come
   * again when the watch had to begin again.
   */
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
