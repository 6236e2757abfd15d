/**
 * ATTRIBUTE and CORRECT: what a partition knows of its status samples.
 *
 * A sample is attributed the moment it arrives, on the snapshots known by then, and stays open while better
 * evidence may come. A new snapshot re-examines the open samples that it can improve; a sample whose rank
 * grew gets a row of a higher version: a correction. Because the row is `select` over a set and the version
 * is its rank, it makes no difference whether sample or snapshot came first.
 */
import type { UnmatchedEntry } from "./entry.ts";
import { type Grade, outranks } from "./evidence.ts";
import type { SnapshotFeed } from "./feed.ts";
import { type OpenObservation, OpenObservations } from "./open.ts";
import type { Sample } from "./sample.ts";
import { bestGradeAt, claimOf, isFinal, isSettledButForTime, select, type Selection, type Ttl } from "./select.ts";
import type { Snapshot } from "./snapshot.ts";
import { type Row, statusRow } from "./emit.ts";
import type { Span } from "./effects.ts";

export interface AttributionSettings {
  readonly ttl: Ttl;
  readonly allowedLatenessMs: number;
  readonly generation: number;
  /** The hash of what decides content; entries made under another one are not used again. */
  readonly contentHash: string;
  /** How many observations may be open at once before the oldest is closed early. */
  readonly mostOpen: number;
}

/** A sample with its place in the stream, and the feed's time when it came. */
interface Arrival {
  readonly sample: Sample;
  readonly streamSequence: number;
  readonly arrivalFeedMs: number;
}

/** Called with every row that is derived; a correction is a row whose observation had one before. */
export type EmitRow = (sample: Sample, row: Row, isCorrection: boolean) => void;

export class StatusAttribution {
  readonly #settings: AttributionSettings;
  readonly #feed: SnapshotFeed;
  readonly #emit: EmitRow;
  readonly #bySource = new Map<string, OpenObservations>();
  /** Open observations that only the stream holds, in stream order: the first one bounds the rewind. */
  readonly #streamed = new Set<OpenObservation>();
  /** Open observations that have an entry, in stream order too. */
  #held = new Set<OpenObservation>();
  #lastHeldSequence = 0;
  #isHeldInOrder = true;
  readonly #entries = new Map<OpenObservation, UnmatchedEntry | null>();

  constructor(settings: AttributionSettings, feed: SnapshotFeed, emit: EmitRow) {
    this.#settings = settings;
    this.#feed = feed;
    this.#emit = emit;
  }

  /** Attributes a sample on what is known now, and keeps it open while that can improve. */
  observe(sample: Sample, streamSequence: number): void {
    this.#open({ sample, streamSequence, arrivalFeedMs: this.#feed.timeOf(sample.source) }, false);
  }

  /** Opens a sample again from its entry, and derives its row again. Entries come in stream order. */
  restore({ sample, streamSequence, arrivalFeedMs }: UnmatchedEntry): void {
    this.#open({ sample, streamSequence, arrivalFeedMs: arrivalFeedMs ?? -Infinity }, true);
  }

  /** Corrects the open samples that a snapshot improves. The feed must have applied it already. */
  reexamine(snapshot: Snapshot): void {
    const { ttl } = this.#settings;
    const observations = this.#bySource.get(snapshot.source);
    if (observations === undefined) return;
    const from = snapshot.timeMs - ttl.afterMs;
    const to = snapshot.timeMs + ttl.beforeMs;
    const touched = new Set<OpenObservation>();
    for (const node of snapshot.nodes) {
      if (node.url !== "") { for (const open of observations.ofUrl(node.url, from, to)) touched.add(open); }
      for (const wallet of new Set([node.canonical, node.hot])) {
        if (wallet === "") continue;
        for (const open of observations.ofWallet(wallet, from, to)) touched.add(open);
      }
    }
    for (const open of touched) {
      if (bestGradeAt(open.sample, snapshot.timeMs) < open.grade) continue;
      const selection = this.#select(open.sample);
      if (!outranks(selection, open)) continue;
      open.grade = selection.grade;
      open.tie = selection.tie;
      this.#emitRow(open.sample, selection, true);
      if (isFinal(open.sample, open.grade)) {
        observations.remove(open);
        this.#forget(open);
        continue;
      }
      open.closesAfterMs = this.#closesAfter(open, selection);
      observations.schedule(open);
    }
  }

  /** Closes what the feed has passed; a closed sample is not corrected any more. */
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
      const { eventTimeMs, source } = open.sample;
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

  /** The least stream sequence of an open sample that only the stream holds, or undefined. */
  get leastStreamedSequence(): number | undefined {
    for (const open of this.#streamed) return open.streamSequence;
    return undefined;
  }

  /** How many open samples live in `unmatched_status`, as of the last `takeEntries`. */
  get heldCount(): number {
    return this.#held.size;
  }

  /** The least stream sequence of an open sample that lives in `unmatched_status`, 0 when none does. */
  get leastHeldSequence(): number {
    for (const open of this.#held) return open.streamSequence;
    return 0;
  }

  /**
   * The changes to `unmatched_status` since the last call: an entry to write, or null for one to remove.
   * From here on the samples written count as held, so the caller must make them durable before it moves
   * its checkpoint.
   */
  takeEntries(): { readonly source: string; readonly uid: string; readonly entry: UnmatchedEntry | null }[] {
    const changes = [];
    for (const [open, entry] of this.#entries) {
      const { source, uid } = open.sample;
      if (entry === null) {
        if (open.held) changes.push({ source, uid, entry });
      } else if (!open.held && this.#isLong(open.sample, open.grade)) {
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

  #open(entry: Arrival, held: boolean): void {
    const { sample, streamSequence, arrivalFeedMs } = entry;
    const selection = this.#select(sample);
    this.#emitRow(sample, selection, false);
    const observations = this.#of(sample.source);
    if (observations.has(sample.uid)) return;
    const { grade, tie } = selection;
    const open: OpenObservation = {
      sample,
      streamSequence,
      arrivalFeedMs,
      grade,
      tie,
      closesAfterMs: 0,
      held,
      closed: false,
    };
    open.closesAfterMs = this.#closesAfter(open, selection);
    if (isFinal(sample, grade) || open.closesAfterMs < this.#feed.timeOf(sample.source)) {
      if (held) this.#entries.set(open, null);
      return;
    }
    observations.add(open);
    if (held) {
      this.#hold(open);
      return;
    }
    this.#streamed.add(open);
    if (this.#isLong(sample, grade)) {
      const feedMs = Number.isFinite(arrivalFeedMs) ? arrivalFeedMs : null;
      const hash = this.#settings.contentHash;
      this.#entries.set(open, { sample, streamSequence, arrivalFeedMs: feedMs, hash });
    }
  }

  /** One that is read again, since its entry was lost, comes after later ones that were restored. */
  #hold(open: OpenObservation): void {
    this.#held.add(open);
    if (open.streamSequence < this.#lastHeldSequence) this.#isHeldInOrder = false;
    else this.#lastHeldSequence = open.streamSequence;
  }

  #select(sample: Sample): Selection {
    return select(sample, this.#feed.candidatesOf(sample.source), this.#settings.ttl);
  }

  #emitRow(sample: Sample, selection: Selection, isCorrection: boolean): void {
    const claim = claimOf(sample, selection, this.#feed.candidatesOf(sample.source));
    this.#emit(sample, statusRow(sample, claim, selection, this.#settings.generation), isCorrection);
  }

  /** Few observations wait for the whole TTL; they live in KV. The others are re-read from the stream. */
  #isLong(sample: Sample, grade: Grade): boolean {
    return !isSettledButForTime(sample, grade);
  }

  #closesAfter({ sample, arrivalFeedMs }: OpenObservation, selection: Selection): number {
    const { allowedLatenessMs, ttl } = this.#settings;
    const chosenMs = selection.chosen?.sighting.timeMs ?? -Infinity;
    const latestMs = Math.max(sample.eventTimeMs, chosenMs, arrivalFeedMs);
    return latestMs + allowedLatenessMs + (this.#isLong(sample, selection.grade) ? ttl.afterMs : 0);
  }

  #forget(open: OpenObservation): void {
    this.#streamed.delete(open);
    this.#held.delete(open);
    if (open.held) this.#entries.set(open, null);
    else this.#entries.delete(open);
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
