/**
 * A slab: columns of so many observations of one kind, in stream order. What many in a row have in common (where the feed
 * stood when they came, from where their sequences are told) is kept for a stretch of them, and the snapshots that they
 * are matched with, which are few, by number: an edge takes 37 bytes and a sample 53.
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

/** A time, names, a sequence, a snapshot, a byte of the url and a uid, without the measures of a sample. */
const SLOT_BYTES = 4 + 4 + 2 + 2 + 1 + UID_BYTES;

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

/** Some nodes by a byte of their urls' hashes, so that most of what is of others is passed over at a glance. */
export class UrlFilter {
  readonly #passes = new Uint8Array(256);

  constructor(urls: Iterable<string>) {
    for (const url of urls) this.#passes[byteOf(url)] = 1;
  }

  /** False for the byte of a node that is none of them. */
  passes(byte: number): boolean {
    return this.#passes[byte] === 1;
  }
}

function byteOf(url: string): number {
  return hash32(url) & 255;
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
  /** Of the hashes of their urls. */
  readonly #urlBytes: Uint8Array;
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

  /** For observations that are not far in time from this one. */
  constructor(id: number, { kind, eventTimeMs }: ObservedEvent) {
    this.id = id;
    this.kind = kind;
    this.#fromMs = eventTimeMs;
    const measures = kind === "sample" ? 2 * SLOTS : 0;
    // One piece of memory: each would cost as much as ten slots.
    const columns = new ArrayBuffer(8 * measures + SLOT_BYTES * SLOTS);
    this.bytes = columns.byteLength;
    this.#measures = new Float64Array(columns, 0, measures);
    let from = this.#measures.byteLength;
    this.#times = new Int32Array(columns, from, SLOTS);
    this.names = new Uint32Array(columns, from += 4 * SLOTS, SLOTS).fill(NONE);
    this.#sequences = new Uint16Array(columns, from += 4 * SLOTS, SLOTS);
    this.#snapshots = new Uint16Array(columns, from += 2 * SLOTS, SLOTS);
    this.#urlBytes = new Uint8Array(columns, from += 2 * SLOTS, SLOTS);
    this.#uids = new Uint8Array(columns, from + SLOTS);
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
    this.#urlBytes[slot] = byteOf(observed.url);
    this.#uids.set(uid, slot * UID_BYTES);
    this.#sequences[slot] = streamSequence - stretch.fromSequence;
    this.match(slot, snapshotTimeMs);
    if (observed.kind === "sample") this.#measures.set([observed.outputFps, observed.inputFps], 2 * slot);
    this.#live++;
    this.#leastMs = Math.min(this.#leastMs, eventTimeMs);
    this.#mostMs = Math.max(this.#mostMs, eventTimeMs);
    this.#leastLatestMs = Math.min(this.#leastLatestMs, latestMs);
    return slot;
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
   * Hands over the slots that pass a filter and for which a snapshot of this time is nearer than theirs: not later than
   * themselves, by at most `withinMs`, and not earlier than the one that they are matched with.
   */
  nearer(timeMs: number, withinMs: number, filter: UrlFilter, take: (slot: number) => void): void {
    if (this.#mostMs < timeMs || this.#leastMs > timeMs + withinMs) return;
    if (!this.#snapshotTimes.some((snapshotTimeMs) => snapshotTimeMs <= timeMs)) return;
    const fromMs = timeMs - this.#fromMs;
    for (let slot = 0; slot < this.#taken; slot++) {
      if (!filter.passes(this.#urlBytes[slot]!)) continue;
      const distanceMs = this.#times[slot]! - fromMs;
      if (distanceMs < 0 || distanceMs > withinMs || this.names[slot] === NONE) continue;
      // By its time: what is taken may be matched anew, and then all snapshots may have other numbers.
      if (this.#snapshotTimes[this.#snapshots[slot]!]! <= timeMs) take(slot);
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
