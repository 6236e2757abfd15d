/**
 * The open observations of one source that have a full match from before them: nearly all, and most of what a partition
 * has in memory. Only a snapshot between the one they are matched with and themselves can improve them, so little need be
 * known of each, and that stands in columns: 48 bytes an edge and 64 a sample, beside the names that others have too.
 *
 * They come in stream order and close almost in it. So columns are cut into slabs, each dropped as a whole; the first
 * slot that is taken tells the least stream sequence; and what a slab's observations span in time tells whether a
 * snapshot or the feed's time concerns any of them.
 */
import { Dictionary } from "./dictionary.ts";
import type { ObservedEvent } from "./observed.ts";
import { Places } from "./places.ts";
import type { SharedTexts } from "./shared.ts";
import { isUsual, UID_BYTES, uidOfBytes, uidToBytes } from "./session/uid.ts";

/** An observation that waits for a nearer snapshot. */
export interface MatchedObservation {
  readonly observed: ObservedEvent;
  readonly streamSequence: number;
  /** Of the snapshot that it is matched with; not after the observation. */
  readonly snapshotTimeMs: number;
  /** It closes when the feed passes this time. */
  readonly closesAfterMs: number;
}

type Kind = ObservedEvent["kind"];
type Party = Pick<ObservedEvent, "gateway" | "streamId" | "requestId" | "address" | "url">;

/** What beside its measures tells one observation of a party from another. */
interface Label {
  readonly hint: string;
  /** The state of a sample, the type of a trace. */
  readonly said: string;
}

const SLOTS = 1_024;

/** Six numbers and a uid, without the measures of a sample. */
const SLOT_BYTES = 6 * Int32Array.BYTES_PER_ELEMENT + UID_BYTES;

/** In place of a party, where a slot is free again or not taken yet. */
const NONE = -1;

/** An id that is a UUID is the beginning of its uid. */
const ID_LENGTH = 36;

/** Columns of so many observations; times and sequences are told from those of the first. */
class Slab {
  readonly id: number;
  readonly kind: Kind;
  readonly fromMs: number;
  readonly fromSequence: number;
  readonly times = new Int32Array(SLOTS);
  readonly sequences = new Int32Array(SLOTS);
  readonly closings = new Int32Array(SLOTS);
  /** From the snapshot to the observation. */
  readonly distances = new Int32Array(SLOTS);
  readonly parties = new Int32Array(SLOTS).fill(NONE);
  readonly labels = new Int32Array(SLOTS);
  readonly uids = new Uint8Array(SLOTS * UID_BYTES);
  /** The frames per second of samples, out and in. */
  readonly measures: Float64Array;
  taken = 0;
  live = 0;
  leastMs = Infinity;
  mostMs = -Infinity;
  leastClosingMs = Infinity;
  #first = 0;

  constructor(id: number, { observed: { kind, eventTimeMs }, streamSequence }: MatchedObservation) {
    this.id = id;
    this.kind = kind;
    this.fromMs = eventTimeMs;
    this.fromSequence = streamSequence;
    this.measures = new Float64Array(kind === "sample" ? 2 * SLOTS : 0);
  }

  /** True when the columns can hold it. */
  fits({ observed: { eventTimeMs }, streamSequence, snapshotTimeMs, closesAfterMs }: MatchedObservation): boolean {
    return isWhole32(eventTimeMs - this.fromMs) && isWhole32(streamSequence - this.fromSequence) &&
      isWhole32(eventTimeMs - snapshotTimeMs) && isWhole32(closesAfterMs - this.fromMs);
  }

  /** The slot of the first in the stream; there must be one. */
  get first(): number {
    while (this.parties[this.#first] === NONE) this.#first++;
    return this.#first;
  }

  sequenceOf(slot: number): number {
    return this.fromSequence + this.sequences[slot]!;
  }

  uidBytes(slot: number): Uint8Array {
    return this.uids.subarray(slot * UID_BYTES, (slot + 1) * UID_BYTES);
  }
}

export class MatchedObservations {
  readonly #source: string;
  readonly #texts: SharedTexts;
  /** In the order in which they began. */
  readonly #slabs: Readonly<Record<Kind, Set<Slab>>> = { sample: new Set(), edge: new Set() };
  readonly #byId: (Slab | undefined)[] = [];
  readonly #freeIds: number[] = [];
  /** The slab of each kind that takes what comes. */
  readonly #filling = new Map<Kind, Slab>();
  readonly #parties = new Dictionary<Party>();
  readonly #labels = new Dictionary<Label>();
  readonly #places = new Places((place) => hashOf(this.#uidAt(place)));
  readonly #uid = new Uint8Array(UID_BYTES);

  /** Names that are kept are shared with whatever else keeps them. */
  constructor(source: string, texts: SharedTexts) {
    this.#source = source;
    this.#texts = texts;
  }

  get size(): number {
    return this.#places.size;
  }

  /** What the columns take in memory, filled or not. */
  get bytes(): number {
    let bytes = 0;
    for (const { measures } of this.#all()) bytes += SLOTS * SLOT_BYTES + measures.byteLength;
    return bytes;
  }

  /** How many names, each of which many may share, are kept beside the columns. */
  get nameCount(): number {
    return this.#parties.size + this.#labels.size;
  }

  has(uid: string): boolean {
    if (this.size === 0 || !isUsual(uid)) return false;
    uidToBytes(uid, this.#uid);
    return this.#places.find(hashOf(this.#uid), (place) => isSame(this.#uidAt(place), this.#uid)) !== undefined;
  }

  /** Keeps one that is not here; false when columns cannot hold it. Stream sequences must ascend. */
  add(matched: MatchedObservation): boolean {
    const { observed, streamSequence, snapshotTimeMs, closesAfterMs } = matched;
    const { uid, id, eventTimeMs } = observed;
    if (!isUsual(uid) || !uid.startsWith(id) || id.length !== ID_LENGTH) return false;
    const slab = this.#slabFor(matched);
    if (!slab.fits(matched)) return false;
    const slot = slab.taken++;
    slab.times[slot] = eventTimeMs - slab.fromMs;
    slab.sequences[slot] = streamSequence - slab.fromSequence;
    slab.closings[slot] = closesAfterMs - slab.fromMs;
    slab.distances[slot] = eventTimeMs - snapshotTimeMs;
    slab.parties[slot] = this.#partyOf(observed);
    slab.labels[slot] = this.#labelOf(observed);
    uidToBytes(uid, slab.uidBytes(slot));
    if (observed.kind === "sample") {
      slab.measures[2 * slot] = observed.outputFps;
      slab.measures[2 * slot + 1] = observed.inputFps;
    }
    slab.live++;
    slab.leastMs = Math.min(slab.leastMs, eventTimeMs);
    slab.mostMs = Math.max(slab.mostMs, eventTimeMs);
    slab.leastClosingMs = Math.min(slab.leastClosingMs, closesAfterMs);
    this.#places.add(slab.id * SLOTS + slot);
    return true;
  }

  /**
   * Hands over those that a snapshot of this time could improve, if it has a node at one of these urls; `improve` is to
   * say whether it did.
   */
  improve(urls: ReadonlySet<string>, timeMs: number, beforeMs: number, improve: (one: ObservedEvent) => boolean): void {
    for (const slab of this.#all()) {
      if (slab.live === 0 || slab.mostMs < timeMs || slab.leastMs > timeMs + beforeMs) continue;
      for (let slot = 0; slot < slab.taken; slot++) {
        const distance = slab.fromMs + slab.times[slot]! - timeMs;
        if (distance < 0 || distance > slab.distances[slot]! || distance > beforeMs) continue;
        const party = slab.parties[slot]!;
        if (party === NONE || !urls.has(this.#parties.at(party).url)) continue;
        if (improve(this.#observedAt(slab, slot))) slab.distances[slot] = distance;
      }
    }
  }

  /** Takes out those that close when the feed stands at this time, and hands them over. */
  close(feedTimeMs: number, closed: (observed: ObservedEvent) => void): void {
    for (const slab of this.#all()) {
      if (slab.leastClosingMs >= feedTimeMs) continue;
      slab.leastClosingMs = Infinity;
      for (let slot = 0; slot < slab.taken; slot++) {
        if (slab.parties[slot] === NONE) continue;
        const closesAfterMs = slab.fromMs + slab.closings[slot]!;
        if (closesAfterMs < feedTimeMs) closed(this.#take(slab, slot));
        else slab.leastClosingMs = Math.min(slab.leastClosingMs, closesAfterMs);
      }
    }
  }

  /** The least stream sequence, `Infinity` where there is none. */
  get leastSequence(): number {
    const slab = this.#oldest();
    return slab === undefined ? Infinity : slab.sequenceOf(slab.first);
  }

  /** Takes out the one of the least stream sequence; there must be one. */
  takeOldest(): ObservedEvent {
    const slab = this.#oldest()!;
    return this.#take(slab, slab.first);
  }

  *#all(): Generator<Slab> {
    for (const slabs of Object.values(this.#slabs)) yield* slabs;
  }

  /** The slab of the least stream sequence: of each kind the first with any, since they come in stream order. */
  #oldest(): Slab | undefined {
    let oldest: Slab | undefined;
    for (const slabs of Object.values(this.#slabs)) {
      for (const slab of slabs) {
        if (slab.live === 0) continue;
        if (oldest === undefined || slab.sequenceOf(slab.first) < oldest.sequenceOf(oldest.first)) oldest = slab;
        break;
      }
    }
    return oldest;
  }

  #slabFor(matched: MatchedObservation): Slab {
    const { kind } = matched.observed;
    const filling = this.#filling.get(kind);
    // One in which nothing is open must not refuse what lies far from its first for ever.
    const isOpen = filling !== undefined && filling.taken < SLOTS && (filling.live > 0 || filling.fits(matched));
    if (isOpen) return filling;
    const slab = new Slab(this.#freeIds.pop() ?? this.#byId.length, matched);
    this.#byId[slab.id] = slab;
    this.#slabs[kind].add(slab);
    this.#filling.set(kind, slab);
    if (filling?.live === 0) this.#drop(filling);
    return slab;
  }

  #drop(slab: Slab): void {
    if (this.#filling.get(slab.kind) === slab) this.#filling.delete(slab.kind);
    this.#slabs[slab.kind].delete(slab);
    this.#byId[slab.id] = undefined;
    this.#freeIds.push(slab.id);
  }

  #take(slab: Slab, slot: number): ObservedEvent {
    const observed = this.#observedAt(slab, slot);
    this.#places.remove(slab.id * SLOTS + slot);
    this.#parties.release(slab.parties[slot]!);
    this.#labels.release(slab.labels[slot]!);
    slab.parties[slot] = NONE;
    if (--slab.live === 0 && this.#filling.get(slab.kind) !== slab) this.#drop(slab);
    // A source of which nothing is open, which may never come again, takes no memory.
    if (this.size === 0) { for (const filling of this.#filling.values()) this.#drop(filling); }
    return observed;
  }

  #observedAt(slab: Slab, slot: number): ObservedEvent {
    const { gateway, streamId, requestId, address, url } = this.#parties.at(slab.parties[slot]!);
    const { hint, said } = this.#labels.at(slab.labels[slot]!);
    const uid = uidOfBytes(slab.uidBytes(slot));
    const common = {
      source: this.#source,
      uid,
      id: uid.slice(0, ID_LENGTH),
      eventTimeMs: slab.fromMs + slab.times[slot]!,
      gateway,
      streamId,
      requestId,
      address,
      url,
      hint,
    };
    if (slab.kind === "edge") return { kind: "edge", ...common, traceType: said };
    const [outputFps, inputFps] = [slab.measures[2 * slot]!, slab.measures[2 * slot + 1]!];
    return { kind: "sample", ...common, state: said, outputFps, inputFps };
  }

  #partyOf({ gateway, streamId, requestId, address, url }: ObservedEvent): number {
    return this.#parties.hold([gateway, streamId, requestId, address, url], () => ({
      gateway: this.#texts.share(gateway),
      streamId: this.#texts.share(streamId),
      requestId: this.#texts.share(requestId),
      address: this.#texts.share(address),
      url: this.#texts.share(url),
    }));
  }

  #labelOf(observed: ObservedEvent): number {
    const { hint } = observed;
    const said = observed.kind === "sample" ? observed.state : observed.traceType;
    return this.#labels.hold([hint, said], () => ({ hint, said }));
  }

  #uidAt(place: number): Uint8Array {
    return this.#byId[Math.floor(place / SLOTS)]!.uidBytes(place % SLOTS);
  }
}

/** A uid ends with a hash of its event, of which any part is as good as another. */
function hashOf(uid: Uint8Array): number {
  return uid[UID_BYTES - 4]! << 24 | uid[UID_BYTES - 3]! << 16 | uid[UID_BYTES - 2]! << 8 | uid[UID_BYTES - 1]!;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, at) => byte === b[at]);
}

function isWhole32(value: number): boolean {
  return (value | 0) === value;
}
