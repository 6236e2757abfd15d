/**
 * A slab: columns of so many observations of one kind, in stream order. What many in a row have in common (where the feed
 * stood when they came, from where their sequences are told) is kept for a stretch of them, and the snapshots that they
 * are matched with, which are few, by number: an edge takes 38 bytes and a sample 54.
 *
 * A slab that is full has an index of its slots by node, so that a snapshot need not pass over what it is not of: there
 * may be hundreds of slabs, and some tens of snapshots a second.
 */
import { hash32 } from "./hash.ts";
import type { ObservedEvent } from "./observed.ts";
import { hashOfBytes, UID_BYTES, uidOfBytes } from "./session/uid.ts";

/** An observation that waits for a nearer snapshot. */
export interface MatchedObservation {
  readonly observed: ObservedEvent;
  readonly streamSequence: number;
  /** Of the snapshot that it is matched with; not after the observation. */
  readonly snapshotTimeMs: number;
  /** The feed's time when it came. */
  readonly arrivalFeedMs: number;
}

export type Kind = ObservedEvent["kind"];

export const SLOTS = 2_048;

/** A time, names, a sequence, a snapshot, a place in the index and a uid, without the measures of a sample. */
const SLOT_BYTES = 4 + 4 + 2 + 2 + 2 + UID_BYTES;

/** Of a hundred nodes few share one; of thousands, each has eight slots to look at in place of all. */
const BUCKETS = 256;

/** In place of names, where a slot is free again or not taken yet. */
export const NONE = 2 ** 32 - 1;

const MOST_16 = 2 ** 16 - 1;

/** No slab needs more than it has slots; twice as many, so that those it does not need are seldom looked for. */
const MOST_SNAPSHOTS = 2 * SLOTS;

/** Slots that were taken in a row and are not far from each other in the stream. */
interface Stretch {
  readonly fromSlot: number;
  /** Where the feed stood when the first came; for those after it that is as good as where it stood then. */
  readonly feedMs: number;
  readonly fromSequence: number;
}

/** The bucket of a node, by its url. */
export function bucketOf(url: string): number {
  return hash32(url) & (BUCKETS - 1);
}

export class Slab {
  readonly id: number;
  readonly kind: Kind;
  /** What its columns take in memory, filled or not. */
  readonly bytes: number;
  /** Of each slot one number, which tells whoever fills the slab by whom and of what its observation is. */
  readonly names: Uint32Array;
  readonly #fromMs: number;
  /** From the time of the first observation. */
  readonly #times: Int32Array;
  /** From the beginning of the stretch. */
  readonly #sequences: Uint16Array;
  /** Places in `#snapshotTimes`. */
  readonly #snapshots: Uint16Array;
  /** Once all slots are taken: these, bucket by bucket, and where those of each end. */
  readonly #indexed: Uint16Array;
  readonly #ends: Uint16Array;
  readonly #bucketOf: (names: number) => number;
  readonly #uids: Uint8Array;
  /** The frames per second of samples, out and in. */
  readonly #measures: Float64Array;
  #snapshotTimes: number[] = [];
  /** In order; that of the first slot that is taken is the first one. */
  readonly #stretches: Stretch[] = [];
  #first = 0;
  #taken = 0;
  #live = 0;
  #leastMs = Infinity;
  #mostMs = -Infinity;
  /** Of no slot do its own time and the feed's at its arrival both lie before this. */
  #leastLatestMs = Infinity;

  /** For observations that are not far in time from this one; `bucketOf` tells the bucket of one by its names. */
  constructor(id: number, { kind, eventTimeMs }: ObservedEvent, bucketOf: (names: number) => number) {
    this.id = id;
    this.#bucketOf = bucketOf;
    this.kind = kind;
    this.#fromMs = eventTimeMs;
    const measures = kind === "sample" ? 2 * SLOTS : 0;
    // One piece of memory: each would cost as much as ten slots.
    const columns = new ArrayBuffer(8 * measures + SLOT_BYTES * SLOTS + 2 * BUCKETS);
    this.bytes = columns.byteLength;
    this.#measures = new Float64Array(columns, 0, measures);
    let from = this.#measures.byteLength;
    this.#times = new Int32Array(columns, from, SLOTS);
    this.names = new Uint32Array(columns, from += 4 * SLOTS, SLOTS).fill(NONE);
    this.#sequences = new Uint16Array(columns, from += 4 * SLOTS, SLOTS);
    this.#snapshots = new Uint16Array(columns, from += 2 * SLOTS, SLOTS);
    this.#indexed = new Uint16Array(columns, from += 2 * SLOTS, SLOTS);
    this.#ends = new Uint16Array(columns, from += 2 * SLOTS, BUCKETS);
    this.#uids = new Uint8Array(columns, from + 2 * BUCKETS);
  }

  get isFull(): boolean {
    return this.#taken === SLOTS;
  }

  /** True when no slot is taken. */
  get isEmpty(): boolean {
    return this.#live === 0;
  }

  /** True when its columns can hold a time. */
  fits(timeMs: number): boolean {
    const afterMs = timeMs - this.#fromMs;
    return (afterMs | 0) === afterMs;
  }

  /** Takes the next slot for an observation that fits, with its names and the bytes of its uid. */
  put(
    { observed, streamSequence, snapshotTimeMs, arrivalFeedMs }: MatchedObservation,
    names: number,
    uid: Uint8Array,
  ): number {
    const slot = this.#taken++;
    const { eventTimeMs } = observed;
    const latestMs = Math.max(eventTimeMs, arrivalFeedMs);
    let stretch = this.#stretches.at(-1);
    if (
      stretch === undefined || Math.max(eventTimeMs, stretch.feedMs) !== latestMs ||
      streamSequence - stretch.fromSequence > MOST_16
    ) {
      stretch = { fromSlot: slot, feedMs: arrivalFeedMs, fromSequence: streamSequence };
      this.#stretches.push(stretch);
    }
    this.#times[slot] = eventTimeMs - this.#fromMs;
    this.names[slot] = names;
    this.#uids.set(uid, slot * UID_BYTES);
    this.#sequences[slot] = streamSequence - stretch.fromSequence;
    this.match(slot, snapshotTimeMs);
    if (observed.kind === "sample") this.#measures.set([observed.outputFps, observed.inputFps], 2 * slot);
    this.#live++;
    this.#leastMs = Math.min(this.#leastMs, eventTimeMs);
    this.#mostMs = Math.max(this.#mostMs, eventTimeMs);
    this.#leastLatestMs = Math.min(this.#leastLatestMs, latestMs);
    if (this.isFull) this.#index();
    return slot;
  }

  /** Sorts the slots by their buckets. */
  #index(): void {
    const buckets = Uint8Array.from(this.names, (names) => names === NONE ? 0 : this.#bucketOf(names));
    for (const bucket of buckets) this.#ends[bucket]!++;
    // What is counted are beginnings, each of which becomes an end while the slots find their places.
    let from = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.#ends[bucket]!;
      this.#ends[bucket] = from;
      from += count;
    }
    for (let slot = 0; slot < SLOTS; slot++) this.#indexed[this.#ends[buckets[slot]!]!++] = slot;
  }

  /** The slot of the first in the stream; there must be one. */
  get first(): number {
    while (this.names[this.#first] === NONE) this.#first++;
    while ((this.#stretches[1]?.fromSlot ?? Infinity) <= this.#first) this.#stretches.shift();
    return this.#first;
  }

  /** The stream sequence of that. */
  get firstSequence(): number {
    const { first } = this;
    return this.#stretches[0]!.fromSequence + this.#sequences[first]!;
  }

  timeOf(slot: number): number {
    return this.#fromMs + this.#times[slot]!;
  }

  /** The measures of a sample, out and in. */
  measuresOf(slot: number): [outputFps: number, inputFps: number] {
    return [this.#measures[2 * slot]!, this.#measures[2 * slot + 1]!];
  }

  /** Notes with the snapshot of which time a slot is matched. */
  match(slot: number, snapshotTimeMs: number): void {
    if (this.#snapshotTimes.length === MOST_SNAPSHOTS) this.#forgetSnapshots();
    this.#snapshots[slot] = this.#numberOf(snapshotTimeMs);
  }

  /** Frees a slot that is taken. */
  free(slot: number): void {
    this.names[slot] = NONE;
    this.#live--;
  }

  /**
   * Hands over the slots of some buckets, and maybe of others, for which a snapshot of this time is nearer than theirs:
   * not later than themselves, by at most `withinMs`, and not earlier than the one that they are matched with.
   */
  nearer(timeMs: number, withinMs: number, buckets: ReadonlySet<number>, take: (slot: number) => void): void {
    if (this.#mostMs < timeMs || this.#leastMs > timeMs + withinMs) return;
    if (!this.#snapshotTimes.some((snapshotTimeMs) => snapshotTimeMs <= timeMs)) return;
    const takeNearer = (slot: number): void => {
      const distanceMs = this.timeOf(slot) - timeMs;
      if (distanceMs < 0 || distanceMs > withinMs || this.names[slot] === NONE) return;
      // By its time: what is taken may be matched anew, and then all snapshots may have other numbers.
      if (this.#snapshotTimes[this.#snapshots[slot]!]! <= timeMs) take(slot);
    };
    if (!this.isFull) {
      for (let slot = 0; slot < this.#taken; slot++) takeNearer(slot);
      return;
    }
    for (const bucket of buckets) {
      const end = this.#ends[bucket]!;
      for (let at = bucket === 0 ? 0 : this.#ends[bucket - 1]!; at < end; at++) takeNearer(this.#indexed[at]!);
    }
  }

  /** Hands over the slots whose own time and the feed's at their arrival both lie before an instant; they may be freed. */
  passed(timeMs: number, take: (slot: number) => void): void {
    if (this.#leastLatestMs >= timeMs) return;
    this.#leastLatestMs = Infinity;
    for (const [nth, { fromSlot, feedMs }] of this.#stretches.entries()) {
      const toSlot = this.#stretches[nth + 1]?.fromSlot ?? this.#taken;
      for (let slot = fromSlot; slot < toSlot; slot++) {
        if (this.names[slot] === NONE) continue;
        const latestMs = Math.max(this.timeOf(slot), feedMs);
        if (latestMs < timeMs) take(slot);
        else this.#leastLatestMs = Math.min(this.#leastLatestMs, latestMs);
      }
    }
  }

  uidOf(slot: number): string {
    return uidOfBytes(this.#uids, slot * UID_BYTES);
  }

  /** True when the uid of a slot has these bytes; its hash comes last, and tells most apart at once. */
  hasUid(slot: number, uid: Uint8Array): boolean {
    const from = slot * UID_BYTES;
    let at = UID_BYTES - 1;
    while (at >= 0 && this.#uids[from + at] === uid[at]) at--;
    return at < 0;
  }

  hashOf(slot: number): number {
    return hashOfBytes(this.#uids, slot * UID_BYTES);
  }

  #numberOf(snapshotTimeMs: number): number {
    const known = this.#snapshotTimes.lastIndexOf(snapshotTimeMs);
    return known >= 0 ? known : this.#snapshotTimes.push(snapshotTimeMs) - 1;
  }

  /** Forgets snapshots with which no slot is matched any more. */
  #forgetSnapshots(): void {
    const before = this.#snapshotTimes;
    this.#snapshotTimes = [];
    for (let slot = 0; slot < this.#taken; slot++) {
      this.#snapshots[slot] = this.#numberOf(before[this.#snapshots[slot]!]!);
    }
  }
}
