/**
 * The open observations of one source that have a full match from before them: nearly all, and most of what a partition
 * has in memory. Only a snapshot between the one they are matched with and themselves can improve them, so little need be
 * known of each, and that stands in columns (slab.ts), beside the names that others have too.
 *
 * They come in stream order and close almost in it. So columns are cut into slabs, each dropped as a whole; the first
 * slot that is taken tells the least stream sequence; and what a slab's observations span in time tells whether a
 * snapshot or the feed's time concerns any of them.
 */
import { Dictionary } from "./dictionary.ts";
import type { ObservedEvent } from "./observed.ts";
import { Parties } from "./parties.ts";
import { Places } from "./places.ts";
import { type Kind, type MatchedObservation, Slab, SLOTS, UrlFilter } from "./slab.ts";
import { hashOfBytes, usualBytes } from "./session/uid.ts";

/** What beside its measures tells one observation of a party from another. */
interface Label {
  readonly hint: string;
  /** The state of a sample, the type of a trace. */
  readonly said: string;
}

/** The names of an observation are one number: of 22 bits for its party and ten for its label, and never `NONE`. */
const MOST_LABELS = 2 ** 10;
const MOST_PARTIES = 2 ** 22 - 1;

/** An id that is a UUID is the beginning of its uid. */
const ID_LENGTH = 36;

export class MatchedObservations {
  readonly #source: string;
  readonly #allowedLatenessMs: number;
  /** In the order in which they began. */
  readonly #slabs: Readonly<Record<Kind, Set<Slab>>> = { sample: new Set(), edge: new Set() };
  readonly #byId: (Slab | undefined)[] = [];
  readonly #freeIds: number[] = [];
  /** The slab of each kind that takes what comes. */
  readonly #filling = new Map<Kind, Slab>();
  readonly #parties = new Parties();
  readonly #labels = new Dictionary<Label>();
  readonly #places = new Places((place) => this.#slabOf(place).hashOf(place % SLOTS));

  constructor(source: string, allowedLatenessMs: number) {
    this.#source = source;
    this.#allowedLatenessMs = allowedLatenessMs;
  }

  get size(): number {
    return this.#places.size;
  }

  /** What the columns take in memory, filled or not. */
  get bytes(): number {
    let bytes = 0;
    for (const slab of this.#all()) bytes += slab.bytes;
    return bytes;
  }

  /** How many names, each of which many may share, are kept beside the columns. */
  get nameCount(): number {
    return this.#parties.size + this.#labels.size;
  }

  has(uid: string): boolean {
    const bytes = this.size === 0 ? undefined : usualBytes(uid);
    if (bytes === undefined) return false;
    const isIt = (place: number) => this.#slabOf(place).hasUid(place % SLOTS, bytes);
    return this.#places.find(hashOfBytes(bytes), isIt) !== undefined;
  }

  /** Keeps one that is not here; false when columns cannot hold it. Stream sequences must ascend. */
  add(matched: MatchedObservation): boolean {
    const { observed } = matched;
    const { uid, id, eventTimeMs } = observed;
    const bytes = id.length === ID_LENGTH && uid.startsWith(id) ? usualBytes(uid) : undefined;
    if (bytes === undefined) return false;
    const names = this.#hold(observed);
    if (names === undefined) return false;
    const slab = this.#slabFor(observed);
    if (!slab.fits(eventTimeMs)) {
      this.#release(names);
      return false;
    }
    const slot = slab.put(matched, names, bytes);
    this.#places.add(slab.id * SLOTS + slot);
    return true;
  }

  /**
   * Hands over those that a snapshot of this time could improve, if it has a node at one of these urls; `improve` is to
   * say whether it did.
   */
  improve(urls: ReadonlySet<string>, timeMs: number, beforeMs: number, improve: (one: ObservedEvent) => boolean): void {
    const filter = new UrlFilter(urls);
    for (const slab of this.#all()) {
      slab.nearer(timeMs, beforeMs, filter, (slot) => {
        const { url } = this.#parties.originOf(partyIn(slab.names[slot]!));
        if (urls.has(url) && improve(this.#observedAt(slab, slot))) slab.match(slot, timeMs);
      });
    }
  }

  /** Takes out those that close when the feed stands at this time, and hands them over. */
  close(feedTimeMs: number, closed: (observed: ObservedEvent) => void): void {
    const beforeMs = feedTimeMs - this.#allowedLatenessMs;
    for (const slab of this.#all()) slab.passed(beforeMs, (slot) => closed(this.#take(slab, slot)));
  }

  /** The least stream sequence, `Infinity` where there is none. */
  get leastSequence(): number {
    const slab = this.#oldest();
    return slab === undefined ? Infinity : slab.firstSequence;
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
        if (slab.isEmpty) continue;
        if (oldest === undefined || slab.firstSequence < oldest.firstSequence) oldest = slab;
        break;
      }
    }
    return oldest;
  }

  #slabFor(observed: ObservedEvent): Slab {
    const { kind, eventTimeMs } = observed;
    const filling = this.#filling.get(kind);
    // One in which nothing is open must not refuse what lies far from its first for ever.
    const isOpen = filling !== undefined && !filling.isFull && (!filling.isEmpty || filling.fits(eventTimeMs));
    if (isOpen) return filling;
    const slab = new Slab(this.#freeIds.pop() ?? this.#byId.length, observed);
    this.#byId[slab.id] = slab;
    this.#slabs[kind].add(slab);
    this.#filling.set(kind, slab);
    if (filling?.isEmpty) this.#drop(filling);
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
    this.#release(slab.names[slot]!);
    slab.free(slot);
    if (slab.isEmpty && this.#filling.get(slab.kind) !== slab) this.#drop(slab);
    // A source of which nothing is open, which may never come again, takes no memory.
    if (this.size === 0) { for (const filling of this.#filling.values()) this.#drop(filling); }
    return observed;
  }

  #observedAt(slab: Slab, slot: number): ObservedEvent {
    const names = slab.names[slot]!;
    const { hint, said } = this.#labels.at(names % MOST_LABELS);
    const uid = slab.uidOf(slot);
    const id = uid.slice(0, ID_LENGTH);
    const eventTimeMs = slab.timeOf(slot);
    const common = { source: this.#source, uid, id, eventTimeMs, ...this.#parties.at(partyIn(names)), hint };
    if (slab.kind === "edge") return { kind: "edge", ...common, traceType: said };
    const [outputFps, inputFps] = slab.measuresOf(slot);
    return { kind: "sample", ...common, state: said, outputFps, inputFps };
  }

  /** The number of an observation's names, which it holds from then on; undefined when there are too many of them. */
  #hold(observed: ObservedEvent): number | undefined {
    const { hint } = observed;
    const said = observed.kind === "sample" ? observed.state : observed.traceType;
    const label = this.#labels.hold([hint, said], () => ({ hint, said }));
    const party = this.#parties.hold(observed);
    if (label < MOST_LABELS && party < MOST_PARTIES) return party * MOST_LABELS + label;
    this.#labels.release(label);
    this.#parties.release(party);
    return undefined;
  }

  #release(names: number): void {
    this.#labels.release(names % MOST_LABELS);
    this.#parties.release(partyIn(names));
  }

  #slabOf(place: number): Slab {
    return this.#byId[Math.floor(place / SLOTS)]!;
  }
}

function partyIn(names: number): number {
  return Math.floor(names / MOST_LABELS);
}
