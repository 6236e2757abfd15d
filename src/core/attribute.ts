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
import { type Grade, isAttributed, levelOf, outranks } from "./evidence.ts";
import type { SnapshotFeed } from "./feed.ts";
import { MatchedObservations } from "./matched.ts";
import { type ObservedEvent, sharing } from "./observed.ts";
import { type OpenObservation, OpenObservations } from "./open.ts";
import { Ordered } from "./ordered.ts";
import {
  type Claim,
  claimOf,
  gradeFrom,
  isFinal,
  isMatchedBefore,
  isSettledButForTime,
  select,
  type Selection,
  type Ttl,
} from "./select.ts";
import { SharedTexts } from "./shared.ts";
import { indexed, type IndexedNode } from "./sightings.ts";
import type { Snapshot } from "./snapshot.ts";

export interface AttributionSettings {
  readonly ttl: Ttl;
  readonly allowedLatenessMs: number;
  readonly generation: number;
  /** The hash of what decides content; entries made under another one are not used again. */
  readonly contentHash: string;
  /** How many observations may be open at once before the oldest is closed early; of those kept whole `WHOLE_SHARE`. */
  readonly mostOpen: number;
}

/**
 * The share of what may be open that may be kept whole. One takes ten times what it takes in columns, on the heap, and where
 * a source's snapshots do not come all of its observations are; they would take the process with them, and the next one too.
 */
export const WHOLE_SHARE = 1 / 8;

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

/** The open observations of a source: the many in columns, and those that are kept whole. */
interface SourceObservations {
  readonly matched: MatchedObservations;
  readonly others: OpenObservations;
}

export class Attribution {
  readonly #settings: AttributionSettings;
  readonly #feed: SnapshotFeed;
  readonly #listener: AttributionListener;
  readonly #bySource = new Map<string, SourceObservations>();
  readonly #texts = new SharedTexts();
  /** Those kept whole that only the stream holds, in stream order: the first one bounds the rewind. */
  readonly #streamed = new Ordered<OpenObservation>();
  /** Open observations that have an entry, in stream order too. */
  #held = new Ordered<OpenObservation>();
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
    const observations = this.#bySource.get(snapshot.source);
    if (observations === undefined) return;
    this.#reexamineMatched(snapshot, observations.matched);
    this.#reexamineOthers(snapshot, observations.others);
  }

  #reexamineMatched({ uid, timeMs, nodes }: Snapshot, matched: MatchedObservations): void {
    const urls = new Set(nodes.map(({ url }) => url));
    matched.improve(urls, timeMs, this.#settings.ttl.beforeMs, (observed) => {
      const selection = this.#select(observed);
      // It was matched as well before: what is chosen of this snapshot now is what improves it.
      const improves = selection.chosen?.sighting.snapshotUid === uid && isMatchedBefore(observed, selection.grade);
      if (improves) this.#listener.corrected(observed, { selection, claim: this.#claim(observed, selection) });
      return improves;
    });
  }

  #reexamineOthers({ timeMs, nodes }: Snapshot, others: OpenObservations): void {
    const { ttl } = this.#settings;
    const touched = new Set<OpenObservation>();
    for (const node of nodes) {
      // Only of nodes that anybody waits for, who are few.
      let stated: IndexedNode | undefined;
      // To select is to walk through all snapshots of the TTL, where none is as good as can be.
      const touch = (open: OpenObservation): void => {
        stated ??= indexed(node);
        const grade = gradeFrom(open.observed, stated, timeMs, open.canonical);
        if (grade > open.grade || (grade === open.grade && isAttributed(levelOf(grade)))) touched.add(open);
      };
      const { url, canonical, hot } = node;
      if (url !== "") others.ofUrl(url, timeMs, ttl, touch);
      if (canonical !== "") others.ofWallet(canonical, timeMs, ttl, touch);
      if (hot !== "" && hot !== canonical) others.ofWallet(hot, timeMs, ttl, touch);
    }
    const raised: [OpenObservation, Selection][] = [];
    for (const open of touched) {
      const { observed } = open;
      const selection = this.#select(observed);
      if (!outranks(selection, open)) continue;
      this.#listener.corrected(observed, { selection, claim: this.#claim(observed, selection) });
      if (isFinal(observed, selection.grade)) {
        others.remove(open);
        this.#forget(open);
        continue;
      }
      raised.push([open, selection]);
      open.canonical = canonicalOf(selection);
      open.closesAfterMs = this.#closesAfter(observed, open.arrivalFeedMs, selection);
      others.schedule(open);
    }
    others.raise(raised);
  }

  /** Closes what the feed has passed; a closed observation is not corrected any more. */
  close(): void {
    for (const [source, { matched, others }] of this.#bySource) {
      const feedTimeMs = this.#feed.timeOf(source);
      matched.close(feedTimeMs, (observed) => this.#listener.closed(observed));
      for (let open = others.nextToClose(feedTimeMs); open; open = others.nextToClose(feedTimeMs)) this.#forget(open);
    }
  }

  /**
   * Closes the oldest open observations beyond the bounds, and returns the span of event time whose replay
   * repairs what that may have cost, or undefined when nothing was over a bound.
   */
  evict(): { readonly count: number; readonly span: Span } | undefined {
    let count = 0;
    let fromMs = Infinity;
    let toMs = -Infinity;
    const note = ({ eventTimeMs }: ObservedEvent): void => {
      count++;
      fromMs = Math.min(fromMs, eventTimeMs);
      toMs = Math.max(toMs, eventTimeMs);
    };
    const { mostOpen } = this.#settings;
    const mostWhole = Math.ceil(mostOpen * WHOLE_SHARE);
    while (this.#wholeCount > mostWhole) note(this.#closeWhole(this.#oldestWhole!));
    while (this.openCount > mostOpen) note(this.#closeOldest());
    return count === 0 ? undefined : { count, span: { fromMs, toMs } };
  }

  /** True when `takeEntries` has something to say. */
  get hasEntries(): boolean {
    return this.#entries.size > 0;
  }

  get openCount(): number {
    let count = this.#wholeCount;
    for (const { matched } of this.#bySource.values()) count += matched.size;
    return count;
  }

  get #wholeCount(): number {
    return this.#streamed.size + this.#held.size;
  }

  /** The least stream sequence of an open observation that only the stream holds, or undefined. */
  get leastStreamedSequence(): number | undefined {
    const streamed = this.#streamed.first?.streamSequence;
    const least = Math.min(streamed ?? Infinity, this.#leastMatched()?.leastSequence ?? Infinity);
    return least === Infinity ? undefined : least;
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
    return this.#held.first?.streamSequence ?? 0;
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
      this.#held = new Ordered([...this.#held].sort((a, b) => a.streamSequence - b.streamSequence));
      this.#isHeldInOrder = true;
    }
    return changes;
  }

  /** Closes the first in the stream of all open observations. */
  #closeOldest(): ObservedEvent {
    const whole = this.#oldestWhole;
    const matched = this.#leastMatched();
    if (matched === undefined || (whole?.streamSequence ?? Infinity) <= matched.leastSequence) {
      return this.#closeWhole(whole!);
    }
    const observed = matched.takeOldest();
    this.#listener.closed(observed);
    return observed;
  }

  /** The first in the stream of those kept whole; each set is in stream order. */
  get #oldestWhole(): OpenObservation | undefined {
    const streamed = this.#streamed.first;
    const held = this.#held.first;
    return (streamed?.streamSequence ?? Infinity) < (held?.streamSequence ?? Infinity) ? streamed : held;
  }

  #closeWhole(open: OpenObservation): ObservedEvent {
    const { observed } = open;
    this.#bySource.get(observed.source)!.others.remove(open);
    this.#forget(open);
    return observed;
  }

  /** The columns that hold the first in the stream of those in columns. */
  #leastMatched(): MatchedObservations | undefined {
    let least: MatchedObservations | undefined;
    for (const { matched } of this.#bySource.values()) {
      if (matched.leastSequence < (least?.leastSequence ?? Infinity)) least = matched;
    }
    return least;
  }

  #open({ observed, streamSequence, arrivalFeedMs }: Arrival, selection: Selection, held: boolean): void {
    const { matched, others } = this.#of(observed.source);
    const known = others.get(observed.uid);
    if (known !== undefined || matched.has(observed.uid)) {
      // Restored before its session knew of it: only now that it is read again can the session be told.
      this.#listener.opened(observed);
      if (known?.held && streamSequence < known.streamSequence) {
        others.move(known, streamSequence);
        this.#rewrite(known);
      }
      return;
    }
    const { grade, tie } = selection;
    const closesAfterMs = this.#closesAfter(observed, arrivalFeedMs, selection);
    const whole = (): OpenObservation => {
      const kept = sharing(observed, this.#texts);
      const canonical = canonicalOf(selection);
      return {
        observed: kept,
        streamSequence,
        arrivalFeedMs,
        grade,
        tie,
        canonical,
        closesAfterMs,
        held,
        closed: false,
      };
    };
    const isPassed = this.#feed.isComplete || closesAfterMs < this.#feed.timeOf(observed.source);
    if (isPassed || isFinal(observed, grade)) {
      if (held) this.#entries.set(whole(), null);
      this.#listener.closed(observed);
      return;
    }
    this.#listener.opened(observed);
    if (!held && isMatchedBefore(observed, grade)) {
      const snapshotTimeMs = selection.chosen!.sighting.timeMs;
      if (matched.add({ observed, streamSequence, snapshotTimeMs, arrivalFeedMs })) return;
    }
    const open = whole();
    others.add(open);
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

  #closesAfter(observed: ObservedEvent, arrivalFeedMs: number, { grade, chosen }: Selection): number {
    const { allowedLatenessMs, ttl } = this.#settings;
    const latestMs = Math.max(observed.eventTimeMs, chosen?.sighting.timeMs ?? -Infinity, arrivalFeedMs);
    return latestMs + allowedLatenessMs + (this.#isLong(observed, grade) ? ttl.afterMs : 0);
  }

  #forget(open: OpenObservation): void {
    this.#streamed.delete(open);
    if (this.#held.delete(open)) this.#heldMark = withMember(this.#heldMark, open.observed);
    if (open.held) this.#entries.set(open, null);
    else this.#entries.delete(open);
    this.#listener.closed(open.observed);
  }

  #of(source: string): SourceObservations {
    let observations = this.#bySource.get(source);
    if (observations === undefined) {
      observations = {
        matched: new MatchedObservations(source, this.#settings.allowedLatenessMs),
        others: new OpenObservations(),
      };
      this.#bySource.set(source, observations);
    }
    return observations;
  }
}

function canonicalOf({ chosen }: Selection): string {
  return chosen?.sighting.node.canonical ?? "";
}
