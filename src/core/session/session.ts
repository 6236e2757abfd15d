/**
 * One session: the union of its signals, each with the greatest support that was found for it.
 *
 * A union has no order and takes nothing twice, so redelivery, a second writer and a re-read after a crash all leave
 * the same session. What it comes to is read from the union in the order K (fold.ts) whenever it is asked for.
 */
import type { Claim, Selection } from "../select.ts";
import { copyOf, NOTHING, read, type Totals } from "./fold.ts";
import { compareK, contextOf, type Place, type SessionEvent, type Signal, signalOf } from "./signal.ts";
import { Signals } from "./signals.ts";
import { NAMELESS, Supports } from "./support.ts";

/** Signals kept apart: their entry must fit a bucket, whose entries are bounded. While some are open it may be twice so. */
export const MOST_APART = 8_192;

/** What stays apart of so many, so that not every further event makes totals anew. */
const KEPT_APART = 6_144;

/** Events that a session counts: the evidence of so many fits its 116 bits. */
export const MOST_EVENTS = 1_048_576;

/** Runs that totals keep; a session that changes its orchestrator more often takes no more. */
const MOST_RUNS = 1_024;

/** Supports that nothing refers to, of a session that has few. */
const SUPPORTS_LEFT = 64;

/** After every event: the floor of a session that takes no more. */
const END: Place = { uid: "", timeMs: Number.MAX_SAFE_INTEGER, mark: 0 };

/** What became of an event: new, with better support, nothing new, or more than a session takes. */
export type Noted = "added" | "improved" | "known" | "ignored";

/** What the signals come to that are not kept apart any more. */
export interface Base {
  readonly totals: Totals;
  /** The greatest of them in K; a signal at or below it is not taken. */
  readonly floor: Place;
  readonly evidence: bigint;
}

export class Session {
  readonly source: string;
  /** The session key, see identity.ts. */
  readonly key: string;
  #supports = new Supports();
  #signals = new Signals();
  #base: Base | undefined;
  /** So many of the first signals go into the base as soon as their rows are written; none is taken among them. */
  #passing = 0;
  #evidence = 0n;
  #open = 0;
  /** The least stream sequence of its events, as far as anybody told it; 0 before the first. */
  headSequence = 0;

  constructor(source: string, key: string) {
    this.source = source;
    this.key = key;
  }

  /** The sum over its distinct events of 1 + their rank. */
  get evidence(): bigint {
    return this.#evidence;
  }

  get base(): Base | undefined {
    return this.#base;
  }

  /** What supports its events. */
  get supports(): Supports {
    return this.#supports;
  }

  /** The signals kept apart, in the order K. */
  get signals(): Signals {
    return this.#signals;
  }

  /** How many of its events better evidence may still improve. */
  get open(): number {
    return this.#open;
  }

  get isEmpty(): boolean {
    return this.#signals.length === 0 && this.#base === undefined;
  }

  /** True when it takes no more, and nothing can be derived of it. */
  get hasEnded(): boolean {
    return this.#base !== undefined && isEnd(this.#base.floor);
  }

  /** Notes an event; without a finding it names nobody. */
  note(event: SessionEvent, streamSequence: number, finding?: { selection: Selection; claim: Claim }): Noted {
    const support = finding === undefined ? NAMELESS : this.#supports.of(finding.selection, finding.claim);
    const signal = signalOf(event, support, contextOf(event, this.#signals.contexts));
    const noted = this.#isFull && this.#signals.find(signal) < 0 ? "ignored" : this.add(signal);
    this.#tidy();
    if (noted === "ignored") return noted;
    this.rememberHead(streamSequence);
    // At once and not when rows are written: which events it takes must not depend on where batches end.
    if (this.#apart > MOST_APART) this.#passing = this.#beyond(KEPT_APART, true);
    if (this.#apart > 2 * MOST_APART) this.#passing = this.#beyond(MOST_APART, false);
    return noted;
  }

  get #apart(): number {
    return this.#signals.length - this.#passing;
  }

  get #isFull(): boolean {
    const { events, runs } = this.#base?.totals ?? NOTHING;
    return events + this.#signals.length >= MOST_EVENTS || runs.length >= MOST_RUNS;
  }

  /** Raises the support of an event that was noted before; `known` when it was not. */
  improve(place: Place, selection: Selection, claim: Claim): Noted {
    const nth = this.#signals.find(place);
    if (nth < 0) return "known";
    const noted = this.#raise(nth, this.#supports.of(selection, claim));
    this.#tidy();
    return noted;
  }

  /** Notes whether better evidence for an event may still come. */
  setOpen(place: Place, open: boolean): void {
    const nth = this.#signals.find(place);
    if (nth < 0 || this.#signals.isOpen(nth) === open) return;
    this.#signals.setOpen(nth, open);
    this.#open += open ? 1 : -1;
  }

  /** Adds a signal whose support is one of this session's. */
  add(signal: Signal): Noted {
    if (this.#base !== undefined && compareK(signal, this.#base.floor) <= 0) return "ignored";
    const nth = this.#signals.find(signal);
    if (nth >= 0) return this.#raise(nth, signal.support);
    if (~nth < this.#passing) return "ignored";
    this.#signals.insert(~nth, signal);
    this.#evidence += this.#supports.weightAt(signal.support, signal.timeMs);
    return "added";
  }

  rememberHead(streamSequence: number): void {
    this.headSequence = this.headSequence === 0 ? streamSequence : Math.min(this.headSequence, streamSequence);
  }

  /** Takes in all that another state of the same session holds; false when it held all of that before. */
  union(other: Session): boolean {
    let isMore = false;
    const { base } = other;
    if (base !== undefined && (this.#base === undefined || isBeyond(base, this.#base))) {
      const runs = base.totals.runs.map((run) => ({ ...run, support: this.#supportLike(other, run.support) }));
      this.standOn({ ...base, totals: { ...base.totals, runs } });
      isMore = true;
    }
    for (const signal of other.signals) {
      const one = this.add({ ...signal, support: this.#supportLike(other, signal.support) });
      if (one === "added" || one === "improved") isMore = true;
    }
    this.#tidy();
    const { headSequence } = this;
    if (other.headSequence > 0) this.rememberHead(other.headSequence);
    return isMore || this.headSequence !== headSequence;
  }

  /** The support of this session that says what one of another says. */
  #supportLike(other: Session, support: number): number {
    return this.#supports.add(other.supports.at(support));
  }

  /** Stands on totals from here on; signals at or below their floor are in them. */
  standOn(base: Base): void {
    const last = this.#signals.find(base.floor);
    const gone = last < 0 ? ~last : last + 1;
    this.#base = base;
    this.#signals = this.#signals.without(gone);
    this.#passing = Math.max(0, this.#passing - gone);
    this.#open = 0;
    this.#evidence = base.evidence;
    for (let nth = 0; nth < this.#signals.length; nth++) {
      if (this.#signals.isOpen(nth)) this.#open++;
      this.#evidence += this.#weightOf(nth);
    }
  }

  /**
   * Reads the least signals in K into the base until at most `most` are kept apart; with `closed` none from the first on
   * that is open.
   */
  fold(most: number, closed: boolean): void {
    this.#foldFirst(this.#beyond(most, closed));
  }

  /** Reads into the base what is more than it keeps apart; only once the rows of these signals are written. */
  foldPassing(): void {
    this.#foldFirst(this.#passing);
  }

  /** How many of the first signals are more than `most`; with `closed` none from the first on that is open. */
  #beyond(most: number, closed: boolean): number {
    let count = this.#passing;
    while (this.#signals.length - count > most && !(closed && this.#signals.isOpen(count))) count++;
    return count;
  }

  #foldFirst(count: number): void {
    if (count === 0) return;
    const totals = copyOf(this.#base?.totals ?? NOTHING);
    let evidence = this.#base?.evidence ?? 0n;
    read(totals, this, 0, count);
    for (let nth = 0; nth < count; nth++) evidence += this.#weightOf(nth);
    const { uid, timeMs, mark } = this.#signals.at(count - 1);
    this.standOn({ totals, floor: { uid, timeMs, mark }, evidence });
    this.#tidy();
  }

  /** Forgets supports that nothing refers to any more, once they are most of them. */
  #tidy(): void {
    const runs = this.#base?.totals.runs ?? [];
    if (this.#supports.length <= SUPPORTS_LEFT + 2 * (this.#signals.length + runs.length)) return;
    const used = new Set(runs.map(({ support }) => support));
    for (let nth = 0; nth < this.#signals.length; nth++) used.add(this.#signals.supportOf(nth));
    this.#supports = this.#supports.only(used);
  }

  /** Gives up what it holds and takes no more: what it came to stands in its rows. Only for one that was folded. */
  end(): void {
    const { totals } = this.#base!;
    this.standOn({ totals: { ...totals, runs: [] }, floor: END, evidence: 0n });
  }

  #raise(nth: number, support: number): Noted {
    if (!this.#supports.isGreater(support, this.#signals.supportOf(nth), this.#signals.timeOf(nth))) return "known";
    this.#evidence -= this.#weightOf(nth);
    this.#signals.setSupport(nth, support);
    this.#evidence += this.#weightOf(nth);
    return "improved";
  }

  /** What one of the signals adds to the evidence. */
  #weightOf(nth: number): bigint {
    return this.#supports.weightAt(this.#signals.supportOf(nth), this.#signals.timeOf(nth));
  }
}

/** True for the floor of a session that takes no more. */
export function isEnd(floor: Place): boolean {
  return floor.timeMs === END.timeMs;
}

/** Of two bases one is taken whole, for nobody knows what they share: that which reaches further, then that of more. */
function isBeyond(a: Base, b: Base): boolean {
  const order = compareK(a.floor, b.floor);
  return order > 0 || (order === 0 && a.evidence > b.evidence);
}
