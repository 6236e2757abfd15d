/**
 * The open observations of one source: those whose row better evidence may still correct.
 *
 * They are found in two ways: by what a new snapshot names (node URL or wallet, within a span of time), and
 * by when they close. Closing times move while evidence comes, so the heap may hold an observation more than
 * once; an entry counts only while it tells the observation's present closing time.
 */
import type { Grade } from "./evidence.ts";
import { MinHeap } from "./heap.ts";
import type { ObservedEvent } from "./observed.ts";

/** An observation that waits for better evidence. */
export interface OpenObservation {
  readonly observed: ObservedEvent;
  /** Where the stream has it; `move` gives it another place. */
  streamSequence: number;
  /** The feed's time when the observation arrived; part of when it closes. */
  readonly arrivalFeedMs: number;
  grade: Grade;
  tie: bigint;
  /** It closes when the feed passes this time. */
  closesAfterMs: number;
  /** True once its entry in `unmatched_status` is part of a batch; then the stream need not be re-read for it. */
  held: boolean;
  closed: boolean;
}

export class OpenObservations {
  readonly #byUid = new Map<string, OpenObservation>();
  readonly #byUrl = new Map<string, OpenObservation[]>();
  readonly #byWallet = new Map<string, OpenObservation[]>();
  readonly #closing = new MinHeap<OpenObservation>();

  get size(): number {
    return this.#byUid.size;
  }

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
    this.#take(open);
    open.streamSequence = streamSequence;
    this.#insert(open);
  }

  /** Notes the observation's present closing time. */
  schedule(open: OpenObservation): void {
    this.#closing.push(open.closesAfterMs, open);
  }

  remove(open: OpenObservation): void {
    open.closed = true;
    this.#byUid.delete(open.observed.uid);
    this.#take(open);
  }

  /** Observations of a node URL with an event time in [from, to]. */
  ofUrl(url: string, fromMs: number, toMs: number): OpenObservation[] {
    return between(this.#byUrl.get(url), fromMs, toMs);
  }

  /** Observations that name a wallet, with an event time in [from, to]. */
  ofWallet(wallet: string, fromMs: number, toMs: number): OpenObservation[] {
    return between(this.#byWallet.get(wallet), fromMs, toMs);
  }

  #insert(open: OpenObservation): void {
    const { url, address } = open.observed;
    if (url !== "") insertByTime(this.#byUrl, url, open);
    // With a url a wallet matters only to tell "known elsewhere" from "nothing known"; it is indexed all the same.
    if (address !== "") insertByTime(this.#byWallet, address, open);
  }

  #take(open: OpenObservation): void {
    const { url, address } = open.observed;
    if (url !== "") removeByTime(this.#byUrl, url, open);
    if (address !== "") removeByTime(this.#byWallet, address, open);
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

function insertByTime(tracks: Map<string, OpenObservation[]>, key: string, open: OpenObservation): void {
  const track = tracks.get(key);
  if (track === undefined) tracks.set(key, [open]);
  else track.splice(firstFrom(track, open.observed.eventTimeMs, open.streamSequence + 1), 0, open);
}

function removeByTime(tracks: Map<string, OpenObservation[]>, key: string, open: OpenObservation): void {
  const track = tracks.get(key)!;
  let at = firstFrom(track, open.observed.eventTimeMs, open.streamSequence);
  // A stream that lost its end gives a place again.
  while (track[at] !== open) at++;
  track.splice(at, 1);
  if (track.length === 0) tracks.delete(key);
}

function between(track: readonly OpenObservation[] | undefined, fromMs: number, toMs: number): OpenObservation[] {
  if (track === undefined) return [];
  return track.slice(firstFrom(track, fromMs), firstFrom(track, toMs + 1));
}
