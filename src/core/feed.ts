/**
 * The snapshot feed: all capability snapshots of all sources, and with them the clock that closes
 * observations. Snapshots are the only new evidence an observation can get, so how far their feed has come
 * tells when to stop waiting; no wall clock is asked, and a replay waits for exactly what a live run waits for.
 */
import { CandidateIndex } from "./candidates.ts";
import type { Snapshot } from "./snapshot.ts";

export interface FeedSettings {
  readonly allowedLatenessMs: number;
  /** How many node sightings are kept per source before the oldest snapshots are dropped. */
  readonly mostSightings: number;
}

/** What applying a snapshot did. */
export interface Applied {
  /** False for a repeat, and for one older than what the memory bound has dropped. */
  readonly isNew: boolean;
  /** True when the feed had passed its time by more than the allowed lateness; never for a repeat. */
  readonly isLate: boolean;
  /** How many snapshots the memory bound dropped: older ones to make room, or this one, older than what it has dropped. */
  readonly dropped: number;
}

class SourceFeed {
  readonly candidates = new CandidateIndex();
  feedTimeMs = -Infinity;
}

export class SnapshotFeed {
  readonly #settings: FeedSettings;
  readonly #sources = new Map<string, SourceFeed>();
  #isComplete = false;

  constructor(settings: FeedSettings) {
    this.#settings = settings;
  }

  /** Adds a snapshot to its source and advances that source's clock. */
  apply(snapshot: Snapshot): Applied {
    const feed = this.#of(snapshot.source);
    if (feed.candidates.has(snapshot.uid)) return { isNew: false, isLate: false, dropped: 0 };
    const isLate = feed.feedTimeMs > snapshot.timeMs + this.#settings.allowedLatenessMs;
    const isNew = feed.candidates.add(snapshot);
    const dropped = isNew ? feed.candidates.forgetOldest(this.#settings.mostSightings) : 1;
    feed.feedTimeMs = Math.max(feed.feedTimeMs, snapshot.timeMs);
    return { isNew, isLate, dropped };
  }

  /** Says that no snapshot will follow: what is observed from now on is final at once, and nothing is kept open. */
  complete(): void {
    this.#isComplete = true;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  candidatesOf(source: string): CandidateIndex {
    return this.#of(source).candidates;
  }

  /** F: the greatest snapshot time of the source that was applied, `-Infinity` before the first. */
  timeOf(source: string): number {
    return this.#of(source).feedTimeMs;
  }

  /** F of every source that was heard of. */
  times(): ReadonlyMap<string, number> {
    return new Map([...this.#sources].map(([source, { feedTimeMs }]) => [source, feedTimeMs]));
  }

  #of(source: string): SourceFeed {
    let feed = this.#sources.get(source);
    if (feed === undefined) {
      feed = new SourceFeed();
      this.#sources.set(source, feed);
    }
    return feed;
  }
}
