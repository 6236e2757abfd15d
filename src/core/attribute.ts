/**
 * ATTRIBUTE and CORRECT: what a partition knows of its observations, status samples and trace edges alike.
 *
 * An observation is attributed the moment it arrives, on the snapshots known by then, and stays open while better
 * evidence may come. A new snapshot re-examines the open observations that it can improve; one whose rank grew has a
 * row of a higher version: a correction. Because the row is `select` over a set and the version is its rank, it makes
 * no difference whether observation or snapshot came first.
 */
import type { Span } from "./effects.ts";
import { type UnmatchedEntry, withMember } from "./entry.ts";
import { type Grade, outranks } from "./evidence.ts";
import type { SnapshotFeed } from "./feed.ts";
import { type ObservedEvent, sharing } from "./observed.ts";
import { type OpenObservation, OpenObservations } from "./open.ts";
import {
  bestGradeAt,
  type Claim,
  claimOf,
  isFinal,
  isSettledButForTime,
  select,
  type Selection,
  type Ttl,
} from "./select.ts";
import { SharedTexts } from "./shared.ts";
import type { Snapshot } from "./snapshot.ts";

export interface AttributionSettings {
  readonly ttl: Ttl;
  readonly allowedLatenessMs: number;
  readonly generation: number;
  /** The hash of what decides content; entries made under another one are not used again. */
  readonly contentHash: string;
  /** How many observations may be open at once before the oldest is closed early. */
  readonly mostOpen: number;
}

/** What is found for an observation: the evidence, and what it lets a row claim. */
export interface Finding {
  readonly selection: Selection;
  readonly claim: Claim;
}

/** Told of what becomes of observations. */
export interface AttributionListener {
  /** Better evidence was found for an open observation. */
  corrected(observed: ObservedEvent, finding: Finding): void;
  opened(observed: ObservedEvent): void;
  /** No better evidence is waited for, any more or from the beginning. */
  closed(observed: ObservedEvent): void;
}

/** An observation with its place in the stream, and the feed's time when it came. */
interface Arrival {
  readonly observed: ObservedEvent;
  readonly streamSequence: number;
  readonly arrivalFeedMs: number;
}

export class Attribution {
  readonly #settings: AttributionSettings;
  readonly #feed: SnapshotFeed;
  readonly #listener: AttributionListener;
  readonly #bySource = new Map<string, OpenObservations>();
  readonly #texts = new SharedTexts();
  /** Open observations that only the stream holds, in stream order: the first one bounds the rewind. */
  readonly #streamed = new Set<OpenObservation>();
  /** Open observations that have an entry, in stream order too. */
  #held = new Set<OpenObservation>();
  #heldMark = 0;
  #lastHeldSequence = 0;
  #isHeldInOrder = true;
  readonly #entries = new Map<OpenObservation, UnmatchedEntry | null>();

  constructor(settings: AttributionSettings, feed: SnapshotFeed, listener: AttributionListener) {
    this.#settings = settings;
    this.#feed = feed;
    this.#listener = listener;
  }

  /** Finds what is known now of an observation. */
  find(observed: ObservedEvent): Finding {
    const selection = this.#select(observed);
    return { selection, claim: this.#claim(observed, selection) };
  }

  /** Keeps an observation open while what was found for it can improve. */
  keepOpen(observed: ObservedEvent, { selection }: Finding, streamSequence: number): void {
    const arrivalFeedMs = this.#feed.timeOf(observed.source);
    this.#open({ observed, streamSequence, arrivalFeedMs }, selection, false);
  }

  /** Opens an observation again from its entry. Entries come in stream order. */
  restore({ observed, streamSequence, arrivalFeedMs }: UnmatchedEntry, { selection }: Finding): void {
    this.#open({ observed, streamSequence, arrivalFeedMs: arrivalFeedMs ?? -Infinity }, selection, true);
  }

  /** Corrects the open observations that a snapshot improves. The feed must have applied it already. */
  reexamine(snapshot: Snapshot): void {
    const { ttl } = this.#settings;
    const observations = this.#bySource.get(snapshot.source);
    if (observations === undefined) return;
    const { timeMs } = snapshot;
    const touched = new Set<OpenObservation>();
    const touch = (open: OpenObservation): void => {
      if (bestGradeAt(open.observed, timeMs) >= open.grade) touched.add(open);
    };
    for (const node of snapshot.nodes) {
      if (node.url !== "") observations.ofUrl(node.url, timeMs, ttl, touch);
      if (node.canonical !== "") observations.ofWallet(node.canonical, timeMs, ttl, touch);
      if (node.hot !== "" && node.hot !== node.canonical) observations.ofWallet(node.hot, timeMs, ttl, touch);
    }
    const raised: [OpenObservation, Selection][] = [];
    for (const open of touched) {
      const { observed } = open;
      const selection = this.#select(observed);
      if (!outranks(selection, open)) continue;
      this.#listener.corrected(observed, { selection, claim: this.#claim(observed, selection) });
      if (isFinal(observed, selection.grade)) {
        observations.remove(open);
        this.#forget(open);
        continue;
      }
      raised.push([open, selection]);
      open.closesAfterMs = this.#closesAfter(open, selection);
      observations.schedule(open);
    }
    observations.raise(raised);
  }

  /** Closes what the feed has passed; a closed observation is not corrected any more. */
  close(): void {
    for (const [source, observations] of this.#bySource) {
      const feedTimeMs = this.#feed.timeOf(source);
      for (let open = observations.nextToClose(feedTimeMs); open; open = observations.nextToClose(feedTimeMs)) {
        this.#forget(open);
      }
    }
  }

  /**
   * Closes the oldest open observations beyond the bound, and returns the span of event time whose replay
   * repairs what that may have cost, or undefined when nothing was over the bound.
   */
  evict(): { readonly count: number; readonly span: Span } | undefined {
    let count = 0;
    let fromMs = Infinity;
    let toMs = -Infinity;
    while (this.openCount > this.#settings.mostOpen) {
      const open = this.#oldest();
      const { eventTimeMs, source } = open.observed;
      this.#bySource.get(source)!.remove(open);
      this.#forget(open);
      count++;
      fromMs = Math.min(fromMs, eventTimeMs);
      toMs = Math.max(toMs, eventTimeMs);
    }
    return count === 0 ? undefined : { count, span: { fromMs, toMs } };
  }

  /** True when `takeEntries` has something to say. */
  get hasEntries(): boolean {
    return this.#entries.size > 0;
  }

  get openCount(): number {
    return this.#streamed.size + this.#held.size;
  }

  /** The least stream sequence of an open observation that only the stream holds, or undefined. */
  get leastStreamedSequence(): number | undefined {
    for (const open of this.#streamed) return open.streamSequence;
    return undefined;
  }

  /** How many open observations live in `unmatched_status`, as of the last `takeEntries`. */
  get heldCount(): number {
    return this.#held.size;
  }

  /** Which open observations live in `unmatched_status`, as `markOf` tells of their entries. */
  get heldMark(): number {
    return this.#heldMark;
  }

  /** The least stream sequence of an open observation that lives in `unmatched_status`, 0 when none does. */
  get leastHeldSequence(): number {
    for (const open of this.#held) return open.streamSequence;
    return 0;
  }

  /**
   * The changes to `unmatched_status` since the last call: an entry to write, or null for one to remove.
   * From here on the observations written count as held, so the caller must make them durable before it moves
   * its checkpoint.
   */
  takeEntries(): { readonly source: string; readonly uid: string; readonly entry: UnmatchedEntry | null }[] {
    const changes = [];
    for (const [open, entry] of this.#entries) {
      const { source, uid } = open.observed;
      if (entry === null) {
        if (open.held) changes.push({ source, uid, entry });
      } else if (open.held) {
        changes.push({ source, uid, entry });
      } else if (this.#isLong(open.observed, open.grade)) {
        open.held = true;
        this.#streamed.delete(open);
        this.#hold(open);
        changes.push({ source, uid, entry });
      }
    }
    this.#entries.clear();
    if (!this.#isHeldInOrder) {
      this.#held = new Set([...this.#held].sort((a, b) => a.streamSequence - b.streamSequence));
      this.#isHeldInOrder = true;
    }
    return changes;
  }

  /** The first in the stream of all open observations; each set is in stream order. */
  #oldest(): OpenObservation {
    const [streamed] = this.#streamed;
    const [held] = this.#held;
    if (streamed === undefined || held === undefined) return (streamed ?? held)!;
    return held.streamSequence < streamed.streamSequence ? held : streamed;
  }

  #open({ observed, streamSequence, arrivalFeedMs }: Arrival, selection: Selection, held: boolean): void {
    const observations = this.#of(observed.source);
    const known = observations.get(observed.uid);
    if (known !== undefined) {
      // Restored before its session knew of it: only now that it is read again can the session be told.
      this.#listener.opened(observed);
      if (known.held && streamSequence < known.streamSequence) {
        observations.move(known, streamSequence);
        this.#rewrite(known);
      }
      return;
    }
    const { grade, tie } = selection;
    const open: OpenObservation = {
      observed: sharing(observed, this.#texts),
      streamSequence,
      arrivalFeedMs,
      grade,
      tie,
      closesAfterMs: 0,
      held,
      closed: false,
    };
    open.closesAfterMs = this.#closesAfter(open, selection);
    const isPassed = this.#feed.isComplete || open.closesAfterMs < this.#feed.timeOf(observed.source);
    if (isPassed || isFinal(observed, grade)) {
      if (held) this.#entries.set(open, null);
      this.#listener.closed(observed);
      return;
    }
    observations.add(open);
    this.#listener.opened(observed);
    if (held) {
      this.#hold(open);
      return;
    }
    this.#streamed.add(open);
    if (this.#isLong(observed, grade)) this.#entries.set(open, this.#entryOf(open));
  }

  /**
   * The stream lost its end, and an observation that was restored was offered again and stands before its old place.
   * Whoever misses its entry would look for it from the least place on that entries name.
   */
  #rewrite(open: OpenObservation): void {
    this.#isHeldInOrder = false;
    this.#entries.set(open, this.#entryOf(open));
  }

  #entryOf({ observed, streamSequence, arrivalFeedMs }: OpenObservation): UnmatchedEntry {
    const feedMs = Number.isFinite(arrivalFeedMs) ? arrivalFeedMs : null;
    return { observed, streamSequence, arrivalFeedMs: feedMs, hash: this.#settings.contentHash };
  }

  /** One that is read again, since its entry was lost, comes after later ones that were restored. */
  #hold(open: OpenObservation): void {
    this.#held.add(open);
    this.#heldMark = withMember(this.#heldMark, open.observed);
    if (open.streamSequence < this.#lastHeldSequence) this.#isHeldInOrder = false;
    else this.#lastHeldSequence = open.streamSequence;
  }

  #select(observed: ObservedEvent): Selection {
    return select(observed, this.#feed.candidatesOf(observed.source), this.#settings.ttl);
  }

  #claim(observed: ObservedEvent, selection: Selection): Claim {
    return claimOf(observed, selection, this.#feed.candidatesOf(observed.source));
  }

  /** Few observations wait for the whole TTL; they live in KV. The others are re-read from the stream. */
  #isLong(observed: ObservedEvent, grade: Grade): boolean {
    return !isSettledButForTime(observed, grade);
  }

  #closesAfter({ observed, arrivalFeedMs }: OpenObservation, selection: Selection): number {
    const { allowedLatenessMs, ttl } = this.#settings;
    const chosenMs = selection.chosen?.sighting.timeMs ?? -Infinity;
    const latestMs = Math.max(observed.eventTimeMs, chosenMs, arrivalFeedMs);
    return latestMs + allowedLatenessMs + (this.#isLong(observed, selection.grade) ? ttl.afterMs : 0);
  }

  #forget(open: OpenObservation): void {
    this.#streamed.delete(open);
    if (this.#held.delete(open)) this.#heldMark = withMember(this.#heldMark, open.observed);
    if (open.held) this.#entries.set(open, null);
    else this.#entries.delete(open);
    this.#listener.closed(open.observed);
  }

  #of(source: string): OpenObservations {
    let observations = this.#bySource.get(source);
    if (observations === undefined) {
      observations = new OpenObservations();
      this.#bySource.set(source, observations);
    }
    return observations;
  }
}
