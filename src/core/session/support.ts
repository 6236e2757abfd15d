/**
 * Supports: what the evidence for each event lets it claim, with the rest of its rank. They are kept with the session, so
 * that a session needs no snapshot to be read again.
 *
 * Of a session with a sample every ten seconds each has a snapshot of its own, while all claim one node. So who is claimed
 * is kept once, and what is left of a support is a record outside the heap of objects: 48 bytes, where the objects of one
 * take 290 (measured).
 */
import {
  evidenceOf,
  type Grade,
  gradeOf,
  gradeOfLevel,
  isAttributed,
  isModelEqual,
  LEVEL,
  levelOf,
} from "../evidence.ts";
import { Records } from "../records.ts";
import { type Claim, claimNothing, type Selection } from "../select.ts";
import { compareBytes, UID_BYTES, uidOfBytes, usualBytes } from "./uid.ts";

export interface Support {
  readonly claim: Claim;
  readonly modelEqual: boolean;
  readonly tie: bigint;
}

/** What many supports have in common: all but the snapshot. */
export interface Ground {
  readonly claim: Omit<Claim, "snapshotUid" | "snapshotTimeMs">;
  readonly modelEqual: boolean;
}

/** The number of what supports an event that names nobody: it adds itself to the evidence, and no claim. */
export const NAMELESS = 0;

/** What such an event claims. */
export const NO_CLAIM = claimNothing(LEVEL.nothingKnown, "no_orchestrator", "");

const NO_GROUND: Ground = { claim: NO_CLAIM, modelEqual: false };
const NO_SUPPORT: Support = { claim: NO_CLAIM, modelEqual: false, tie: 0n };

/** How many are looked through for one that says the same; more would make a session of many slow. */
const MOST_SHARED = 64;

/** Grounds of late by their url: the sessions of a node have the same, which would be most of what each needs. */
const lately = new Map<string, Ground[]>();

/** Enough for the nodes of a large installation, and little to keep of those that are gone; of one url so many. */
const MOST_URLS = 8_192;
const MOST_OF_URL = 8;

/** Where in a record what stands: its number, its ground, its snapshot's time (`Infinity` for none) and uid, a tie-break. */
const GROUND = 4;
const TIME = GROUND + 4;
const TIE = TIME + 8;
const UID = TIE + 8;
const RECORD_BYTES = UID + UID_BYTES;

/** Beside the place of a ground: that the uid is a text and not in its bytes. */
const ODD = 1;
const BESIDE_GROUND = 2;

/** The supports of one session, or of many, by numbers that ascend and are never given again. */
export class Supports {
  readonly #records = new Records(RECORD_BYTES);
  readonly #grounds: Ground[] = [];
  /** Uids that are not usual, as the blank one of a support without a snapshot. */
  #uids: string[] | undefined;
  #last = NAMELESS;

  /** How many are kept. */
  get length(): number {
    return this.#records.length;
  }

  /** The number of what a selection supports, and may claim. */
  of({ grade, tie }: Selection, claim: Claim): number {
    return this.add({ claim, modelEqual: isAttributed(levelOf(grade)) && isModelEqual(grade), tie });
  }

  /** The number of a support: that of one of the latest, where one says the same. */
  add(support: Support): number {
    const { claim, modelEqual, tie } = support;
    if (claim.reason === NO_CLAIM.reason) return NAMELESS;
    // The latest first: a sample mostly says what the one before it said.
    for (let nth = this.length - 1; nth >= Math.max(0, this.length - MOST_SHARED); nth--) {
      if (this.#says(nth, support)) return this.#numberOf(nth);
    }
    const timeMs = claim.snapshotTimeMs ?? Infinity;
    this.#put(++this.#last, this.#placeOfGround(claim, modelEqual), timeMs, tie, claim.snapshotUid);
    return this.#last;
  }

  /** True when the one of this number says the same. */
  says(number: number, support: Support): boolean {
    return number === NAMELESS ? support.claim.reason === NO_CLAIM.reason : this.#says(this.#find(number), support);
  }

  /** All that one says; a RangeError for one that is not here. */
  at(number: number): Support {
    if (number === NAMELESS) return NO_SUPPORT;
    const nth = this.#find(number);
    const { claim, modelEqual } = this.#groundAt(nth);
    return { claim: claimOn(claim, this.#uidOf(nth), this.#timeOf(nth)), modelEqual, tie: this.#tieOf(nth) };
  }

  groundOf(number: number): Ground {
    return number === NAMELESS ? NO_GROUND : this.#groundAt(this.#find(number));
  }

  /** What an event of this time with this support adds to the evidence of its session: 1 + its rank. */
  weightAt(number: number, timeMs: number): bigint {
    return evidenceOf({ grade: this.#gradeAt(number, timeMs), tie: this.#tieAt(number) });
  }

  /** True when `a` is greater evidence than `b` for an event of this time. */
  isGreater(a: number, b: number, timeMs: number): boolean {
    const difference = this.#gradeAt(a, timeMs) - this.#gradeAt(b, timeMs);
    return difference > 0 || (difference === 0 && this.#tieAt(a) > this.#tieAt(b));
  }

  /** The same supports by the same numbers, without any but these. */
  only(numbers: ReadonlySet<number>): Supports {
    const rest = new Supports();
    for (let nth = 0; nth < this.length; nth++) {
      const number = this.#numberOf(nth);
      if (!numbers.has(number)) continue;
      const { claim, modelEqual } = this.#groundAt(nth);
      rest.#put(number, rest.#placeOfGround(claim, modelEqual), this.#timeOf(nth), this.#tieOf(nth), this.#uidOf(nth));
    }
    rest.#last = this.#last;
    return rest;
  }

  #put(number: number, ground: number, timeMs: number, tie: bigint, uid: string): void {
    const bytes = usualBytes(uid);
    const from = this.#records.insert(this.length);
    const { view } = this.#records;
    view.setUint32(from, number);
    view.setUint32(from + GROUND, ground * BESIDE_GROUND + (bytes === undefined ? ODD : 0));
    view.setFloat64(from + TIME, timeMs);
    view.setBigUint64(from + TIE, tie);
    if (bytes !== undefined) this.#records.bytes.set(bytes, from + UID);
    else view.setUint32(from + UID, (this.#uids ??= []).push(uid) - 1);
  }

  /** Where the ground of such a support stands, one that is kept once where the latest say the same. */
  #placeOfGround(claim: Ground["claim"], modelEqual: boolean): number {
    for (let place = this.#grounds.length - 1; place >= Math.max(0, this.#grounds.length - MOST_SHARED); place--) {
      if (isGround(this.#grounds[place]!, claim, modelEqual)) return place;
    }
    return this.#grounds.push(sharedGround(claim, modelEqual)) - 1;
  }

  /** Which record has a number; they ascend, and there are gaps only where others were forgotten. */
  #find(number: number): number {
    if (number <= this.length && this.#numberOf(number - 1) === number) return number - 1;
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#numberOf(middle) < number) low = middle + 1;
      else high = middle;
    }
    if (low === this.length || this.#numberOf(low) !== number) throw new RangeError(`there is no support ${number}`);
    return low;
  }

  #gradeAt(number: number, timeMs: number): Grade {
    if (number === NAMELESS) return gradeOfLevel(NO_CLAIM.level);
    const nth = this.#find(number);
    const { claim: { level }, modelEqual } = this.#groundAt(nth);
    const snapshotTimeMs = this.#timeOf(nth);
    return snapshotTimeMs === Infinity ? gradeOfLevel(level) : gradeOf(level, modelEqual, snapshotTimeMs, timeMs);
  }

  #tieAt(number: number): bigint {
    return number === NAMELESS ? NO_SUPPORT.tie : this.#tieOf(this.#find(number));
  }

  #numberOf(nth: number): number {
    return this.#records.view.getUint32(nth * RECORD_BYTES);
  }

  #groundAt(nth: number): Ground {
    return this.#grounds[this.#groundPlaceOf(nth)]!;
  }

  #groundPlaceOf(nth: number): number {
    return Math.floor(this.#records.view.getUint32(nth * RECORD_BYTES + GROUND) / BESIDE_GROUND);
  }

  #timeOf(nth: number): number {
    return this.#records.view.getFloat64(nth * RECORD_BYTES + TIME);
  }

  #tieOf(nth: number): bigint {
    return this.#records.view.getBigUint64(nth * RECORD_BYTES + TIE);
  }

  #uidOf(nth: number): string {
    const from = nth * RECORD_BYTES + UID;
    if (this.#isOdd(nth)) return this.#uids![this.#records.view.getUint32(from)]!;
    return uidOfBytes(this.#records.bytes, from);
  }

  #hasUid(nth: number, uid: string): boolean {
    const bytes = usualBytes(uid);
    if (bytes === undefined || this.#isOdd(nth)) return this.#uidOf(nth) === uid;
    return compareBytes(this.#records.bytes, nth * RECORD_BYTES + UID, bytes) === 0;
  }

  #says(nth: number, { claim, modelEqual, tie }: Support): boolean {
    return this.#timeOf(nth) === (claim.snapshotTimeMs ?? Infinity) &&
      isGround(this.#groundAt(nth), claim, modelEqual) && this.#tieOf(nth) === tie &&
      this.#hasUid(nth, claim.snapshotUid);
  }

  #isOdd(nth: number): boolean {
    return (this.#records.view.getUint32(nth * RECORD_BYTES + GROUND) & ODD) !== 0;
  }
}

/** What a support that claims this has in common with others; mostly one object for those of all sessions. */
function sharedGround(claim: Ground["claim"], modelEqual: boolean): Ground {
  const ofUrl = lately.get(claim.url);
  const known = ofUrl?.find((ground) => isGround(ground, claim, modelEqual));
  if (known !== undefined) return known;
  const ground = groundOf(claim, modelEqual);
  if (ofUrl !== undefined && ofUrl.length < MOST_OF_URL) {
    ofUrl.push(ground);
    return ground;
  }
  // What is shared stays so, and what comes begins anew.
  if (ofUrl === undefined && lately.size === MOST_URLS) lately.clear();
  lately.set(claim.url, [ground]);
  return ground;
}

function groundOf(claim: Ground["claim"], modelEqual: boolean): Ground {
  const { level, method, confidence, reason, canonical, url, pipeline, model, gpu, gpuCount } = claim;
  return { claim: { level, method, confidence, reason, canonical, url, pipeline, model, gpu, gpuCount }, modelEqual };
}

/** What is claimed on a snapshot of this time, `Infinity` for none. Field by field, which is several times as fast. */
function claimOn(ground: Ground["claim"], snapshotUid: string, timeMs: number): Claim {
  const { level, method, confidence, reason, canonical, url, pipeline, model, gpu, gpuCount } = ground;
  const snapshotTimeMs = timeMs === Infinity ? null : timeMs;
  return {
    level,
    method,
    confidence,
    reason,
    canonical,
    url,
    pipeline,
    model,
    gpu,
    gpuCount,
    snapshotUid,
    snapshotTimeMs,
  };
}

/** True when that is this. */
function isGround(ground: Ground, claim: Ground["claim"], modelEqual: boolean): boolean {
  const { claim: own } = ground;
  if (ground.modelEqual !== modelEqual) return false;
  return own.canonical === claim.canonical && own.url === claim.url && own.model === claim.model &&
    own.gpu === claim.gpu && own.gpuCount === claim.gpuCount && own.level === claim.level &&
    own.method === claim.method && own.confidence === claim.confidence && own.pipeline === claim.pipeline &&
    own.reason === claim.reason;
}
