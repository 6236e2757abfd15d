/**
 * Support: what the evidence for one event lets it claim, with the rest of its rank. It is kept with the session, so
 * that a session needs no snapshot to be read again. Signals that may claim the same mostly share one object.
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
import type { Claim, Selection } from "../select.ts";

export interface Support {
  readonly claim: Claim;
  readonly modelEqual: boolean;
  readonly tie: bigint;
  /** Tells the supports of one session apart, while the session is in memory. */
  readonly id: number;
}

/** Of an event that names nobody: it adds itself to the evidence, and no claim. */
export const NAMELESS: Support = {
  claim: {
    level: LEVEL.nothingKnown,
    method: "none",
    confidence: 0,
    reason: "no_orchestrator",
    canonical: "",
    url: "",
    pipeline: "",
    model: null,
    gpu: null,
    gpuCount: 0,
    snapshotUid: "",
    snapshotTimeMs: null,
  },
  modelEqual: false,
  tie: 0n,
  id: 0,
};

/** How many supports are looked through for one that says the same; more would make a session of many slow. */
const MOST_SHARED = 64;

/** Supports of one session: what its latest events have in common is kept once. */
export class Supports {
  readonly #latest: Support[] = [];
  #last = 0;

  /** The support of a selection and what it may claim. */
  of({ grade, tie }: Selection, claim: Claim): Support {
    return this.add(claim, isAttributed(levelOf(grade)) && isModelEqual(grade), tie);
  }

  add(claim: Claim, modelEqual: boolean, tie: bigint): Support {
    if (claim.reason === "no_orchestrator") return NAMELESS;
    const support = { claim, modelEqual, tie, id: this.#last + 1 };
    // The latest first: a sample mostly says what the one before it said.
    const known = this.#latest.findLast((one) => isSame(one, support));
    if (known !== undefined) return known;
    this.#last++;
    if (this.#latest.push(support) > MOST_SHARED) this.#latest.shift();
    return support;
  }
}

/** The grade of an event of this time that has this support. */
export function gradeAt({ claim, modelEqual }: Support, timeMs: number): Grade {
  return claim.snapshotTimeMs === null
    ? gradeOfLevel(claim.level)
    : gradeOf(claim.level, modelEqual, claim.snapshotTimeMs, timeMs);
}

/** What an event of this time with this support adds to the evidence of its session: 1 + its rank. */
export function weightAt(support: Support, timeMs: number): bigint {
  return evidenceOf({ grade: gradeAt(support, timeMs), tie: support.tie });
}

/** True when `a` is greater evidence than `b` for an event of this time. */
export function isGreater(a: Support, b: Support, timeMs: number): boolean {
  const difference = gradeAt(a, timeMs) - gradeAt(b, timeMs);
  return difference > 0 || (difference === 0 && a.tie > b.tie);
}

/** True when two supports say the same. */
export function isSame(a: Support, b: Support): boolean {
  if (a.tie !== b.tie || a.modelEqual !== b.modelEqual) return false;
  const { claim: one } = a;
  const { claim: other } = b;
  return one === other ||
    (one.snapshotUid === other.snapshotUid && one.canonical === other.canonical && one.url === other.url &&
      one.model === other.model && one.gpu === other.gpu && one.gpuCount === other.gpuCount &&
      one.level === other.level && one.confidence === other.confidence && one.pipeline === other.pipeline &&
      one.reason === other.reason && one.snapshotTimeMs === other.snapshotTimeMs);
}
