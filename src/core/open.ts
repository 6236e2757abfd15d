/**
 * The open observations of one source that are kept whole: those whose row many a snapshot may still correct, and those
 * that live in `unmatched_status`. The others are columns (matched.ts).
 *
 * They are found in two ways: by what a new snapshot can improve (node URL or wallet, within a span of time), and
 * by when they close. Most snapshots are later than nearly all observations, and late evidence matches many at once; so
 * those that a later snapshot can improve stand apart, and no snapshot walks through the others. Closing times move
 * while evidence comes, so the heap may hold an observation more than once; an entry counts only while it tells the
 * observation's present closing time.
 */
import { type Grade, LEVEL, levelOf, type Rank } from "./evidence.ts";
import { MinHeap } from "./heap.ts";
import type { ObservedEvent } from "./observed.ts";
import { isMatchedBefore, type Ttl } from "./select.ts";

/** An observation that waits for better evidence. */
export interface OpenObservation {
  readonly observed: ObservedEvent;
  /** Where the stream has it; `move` gives it another place. */
  streamSequence: number;
  /** The feed's time when the observation arrived; part of when it closes. */
  readonly arrivalFeedMs: number;
  grade: Grade;
  tie: bigint;
  /** Whom it is matched with, blank while nobody. */
  canonical: string;
  /** It closes when the feed passes this time. */
  closesAfterMs: number;
  /** True once its entry in `unmatched_status` is part of a batch; then the stream need not be re-read for it. */
  held: boolean;
  /** True once it was removed; it never opens again. */
  closed: boolean;
}

export class OpenObservations {
  readonly #byUid = new Map<string, OpenObservation>();
  readonly #byUrl = new TimeIndex();
  readonly #byWallet = new TimeIndex();
  /** Those that a later snapshot may improve, too: the few that have no full match from before them. */
  readonly #unmatchedByUrl = new TimeIndex();
  readonly #closing = new MinHeap<OpenObservation>();

  get(uid: string): OpenObservation | undefined {
    return this.#byUid.get(uid);
  }

  add(open: OpenObservation): void {
    this.#byUid.set(open.observed.uid, open);
    this.#insert(open);
    this.schedule(open);
  }

  /** Gives an observation another place in the stream. */
  move(open: OpenObservation, streamSequence: number): void {
    for (const [index, key] of this.#placesOf(open)) index.take(key, open);
    open.streamSequence = streamSequence;
    this.#insert(open);
  }

  /**
   * Gives observations greater ranks, all that one snapshot improves at once: those that need not be found any more
   * leave a lookup in one pass, where one by one a storm would move the rest of it each time.
   */
  raise(raised: Iterable<readonly [open: OpenObservation, rank: Rank]>): void {
    const urls = new Set<string>();
    const wallets = new Set<string>();
    for (const [open, { grade, tie }] of raised) {
      const { url, address } = open.observed;
      if (isImprovedByLater(open)) urls.add(url);
      if (isFoundByWallet(open)) wallets.add(address);
      open.grade = grade;
      open.tie = tie;
    }
    for (const url of urls) this.#unmatchedByUrl.retain(url, isImprovedByLater);
    for (const wallet of wallets) this.#byWallet.retain(wallet, isFoundByWallet);
  }

  /** Notes the observation's present closing time. */
  schedule(open: OpenObservation): void {
    this.#closing.push(open.closesAfterMs, open);
  }

  remove(open: OpenObservation): void {
    open.closed = true;
    this.#byUid.delete(open.observed.uid);
    for (const [index, key] of this.#placesOf(open)) index.leave(key);
  }

  /** Hands over the observations of a node URL that a snapshot of this time may improve. */
  ofUrl(url: string, timeMs: number, ttl: Ttl, take: (open: OpenObservation) => void): void {
    this.#unmatchedByUrl.between(url, timeMs - ttl.afterMs, timeMs - 1, take);
    this.#byUrl.between(url, timeMs, timeMs + ttl.beforeMs, take);
  }

  /** Hands over the observations of a wallet that a snapshot of this time may improve. */
  ofWallet(wallet: string, timeMs: number, ttl: Ttl, take: (open: OpenObservation) => void): void {
    this.#byWallet.between(wallet, timeMs - ttl.afterMs, timeMs + ttl.beforeMs, take);
  }

  #insert(open: OpenObservation): void {
    for (const [index, key] of this.#placesOf(open)) index.insert(key, open);
  }

  /** The lookups that find an observation, and by which text. */
  #placesOf(open: OpenObservation): [index: TimeIndex, key: string][] {
    const { url, address } = open.observed;
    const places: [TimeIndex, string][] = [];
    if (url !== "") places.push([this.#byUrl, url]);
    if (url !== "" && isImprovedByLater(open)) places.push([this.#unmatchedByUrl, url]);
    if (address !== "" && isFoundByWallet(open)) places.push([this.#byWallet, address]);
    return places;
  }

  /** Takes out and returns the next observation that closes when the feed stands at this time. */
  nextToClose(feedTimeMs: number): OpenObservation | undefined {
    for (;;) {
      const afterMs = this.#closing.least;
      if (afterMs >= feedTimeMs) return undefined;
      const open = this.#closing.pop()!;
      if (open.closed || open.closesAfterMs !== afterMs) continue;
      this.remove(open);
      return open;
    }
  }
}

function isImprovedByLater({ observed, grade }: OpenObservation): boolean {
  return !isMatchedBefore(observed, grade);
}

/** With a url a wallet matters only to tell "known elsewhere" from "nothing known". */
function isFoundByWallet({ observed, grade }: OpenObservation): boolean {
  return observed.url === "" || levelOf(grade) === LEVEL.nothingKnown;
}

/** The observations of a text, in the order of their times and then of the stream. */
interface Track {
  observations: OpenObservation[];
  /** How many of them have closed. */
  closed: number;
}

/** Less than one in so many of a track have closed. */
const CLOSED_ONE_IN = 4;

/**
 * Observations by a text. One that closes is passed over until it goes with others in one pass: many close together, and
 * at the beginning of a track, where each would move all of the rest.
 */
class TimeIndex {
  readonly #tracks = new Map<string, Track>();

  insert(key: string, open: OpenObservation): void {
    const observations = this.#tracks.get(key)?.observations;
    if (observations === undefined) this.#tracks.set(key, { observations: [open], closed: 0 });
    else observations.splice(firstFrom(observations, open.observed.eventTimeMs, open.streamSequence + 1), 0, open);
  }

  /** Takes out one that is to stand elsewhere. */
  take(key: string, open: OpenObservation): void {
    const { observations } = this.#tracks.get(key)!;
    // A stream that lost its end gives a place again, so another may stand at the first one's.
    const at = observations.indexOf(open, firstFrom(observations, open.observed.eventTimeMs, open.streamSequence));
    if (at < 0) throw new Error(`${open.observed.uid} is not where its time and its place in the stream say`);
    observations.splice(at, 1);
  }

  /** Notes that one of a text has closed. */
  leave(key: string): void {
    const track = this.#tracks.get(key)!;
    track.closed++;
    if (track.closed * CLOSED_ONE_IN >= track.observations.length) this.retain(key, () => true);
  }

  /** Takes out all others of a text, and those that have closed. */
  retain(key: string, isRetained: (open: OpenObservation) => boolean): void {
    const track = this.#tracks.get(key);
    if (track === undefined) return;
    track.observations = track.observations.filter((open) => !open.closed && isRetained(open));
    track.closed = 0;
    if (track.observations.length === 0) this.#tracks.delete(key);
  }

  /** Hands over those with an event time in [from, to]; the index must not change meanwhile. */
  between(key: string, fromMs: number, toMs: number, take: (open: OpenObservation) => void): void {
    const observations = this.#tracks.get(key)?.observations;
    if (observations === undefined) return;
    for (let at = firstFrom(observations, fromMs); at < observations.length; at++) {
      const open = observations[at]!;
      if (open.observed.eventTimeMs > toMs) return;
      if (!open.closed) take(open);
    }
  }
}

/** The position of the first observation at or after an instant, or at it that stands at or after a place in the stream. */
function firstFrom(track: readonly OpenObservation[], timeMs: number, streamSequence = 0): number {
  let low = 0;
  let high = track.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { observed, streamSequence: sequence } = track[middle]!;
    const isBefore = observed.eventTimeMs < timeMs || (observed.eventTimeMs === timeMs && sequence < streamSequence);
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return low;
}
