/**
 * What a batch asks the shell to do, as plain data, in the order in which it must become durable:
 * dead letters and rows, then the marks of their minutes and state, then the checkpoint, then the ack. A snapshot may be
 * written sooner.
 */
import { fitsBytes } from "./bytes.ts";
import type { Outcome } from "./emit/archive.ts";
import type { Row, Table } from "./emit/row.ts";
import type { Minute } from "./minute.ts";
import type { ObservedEvent } from "./observed.ts";

/** A span of event time, both ends included, in milliseconds. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A message for `LIVEPEER_DLQ`. */
export interface DeadLetter {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly source: string;
  readonly uid: string;
  readonly sourceSubject: string;
  readonly streamSequence: number;
  readonly stage: string;
  readonly failureClass: string;
  readonly reason: string;
  readonly details: string;
}

/** The largest entry that a bucket takes, in bytes: a server's default limit is 1 MiB with headers. */
const LARGEST_ENTRY = 1_000_000;

/** True when a value is small enough to be an entry of a bucket. */
export function fitsBucket(value: string): boolean {
  return fitsBytes(value, LARGEST_ENTRY);
}

/** A write to a state bucket: a value, or null to remove the key. */
export interface StateChange {
  readonly bucket: "capability_snapshots" | "unmatched_status" | "workflow_sessions";
  readonly key: string;
  readonly value: string | null;
}

/** How far the partition has come, see checkpoint.ts. */
export interface Progress {
  /** Everything up to here is processed, by this owner or by earlier ones. */
  readonly doneSeq: number;
  /** A restart must read again from here. */
  readonly rewindSeq: number;
  /** This owner has taken everything up to here; behind `doneSeq` while it warms up. */
  readonly takenSeq: number;
  /** When the message of `doneSeq` was stored, in Unix milliseconds: by this a stream that lost its end is told. */
  readonly doneAtMs: number;
  /** How many open observations live in `unmatched_status`, and the least stream sequence among them (0: none). */
  readonly held: number;
  readonly heldSeq: number;
  /** Which they are, see `markOf` in entry.ts. */
  readonly heldMark: number;
  /**
   * The key of an entry in `workflow_sessions` that must be there, the last that was written or the first that was found;
   * blank when there is none. Where it is gone at a start, so are others.
   */
  readonly lastSession: string;
  /** The key of the last entry in `capability_snapshots` that was taken from the partition; blank when there is none. */
  readonly lastSnapshot: string;
}

/** What a bound of memory cost, with the span of event time whose replay repairs it. */
export interface Cost {
  readonly kind: "observations_evicted" | "observations_starved";
  readonly source: string;
  readonly count: number;
  readonly span: Span;
}

/** True when two costs are counted as one. */
export function isSameCost(one: Cost, other: Cost): boolean {
  return one.kind === other.kind && one.source === other.source;
}

/** Two costs that are the same as one. */
export function joinedCost(one: Cost, other: Cost): Cost {
  const span = {
    fromMs: Math.min(one.span.fromMs, other.span.fromMs),
    toMs: Math.max(one.span.toMs, other.span.toMs),
  };
  return { ...one, count: one.count + other.count, span };
}

/** What is counted, by name; names are those of the metrics. */
export type Counts = Map<string, number>;

/** Counts so many more of a name. */
export function count(counts: Counts, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

export interface Effects {
  readonly deadLetters: readonly DeadLetter[];
  /** Without those that `takeRows` has handed over. */
  readonly rows: ReadonlyMap<Table, readonly Row[]>;
  /** How many messages had an outcome, by outcome and type. */
  readonly messages: ReadonlyMap<Outcome, ReadonlyMap<string, number>>;
  /** How many rows of observations had a reason to be unattributed (blank: none), by kind and reason. */
  readonly findings: ReadonlyMap<ObservedEvent["kind"], ReadonlyMap<string, number>>;
  /** The minutes of the rollup that have to be recomputed once the rows are durable. */
  readonly dirtyMinutes: readonly Minute[];
  readonly state: readonly StateChange[];
  readonly costs: readonly Cost[];
  readonly counts: Counts;
  /** The event time of each observation that was corrected, in Unix milliseconds. */
  readonly correctedMs: readonly number[];
  readonly progress: Progress;
}
