/**
 * Evidence: how much is known, as one number that grows with the set of events and with nothing else.
 *
 * A rank packs the order in which candidates are compared, so that the greatest rank is the selection:
 *
 *     level 3 bits | model 1 | freshness 2 | closeness 27 | tie-break 63
 *
 * The upper 33 bits fit a double and decide almost every comparison, so a rank is kept as that number and the
 * tie-break beside it; BigInt appears only where a version is written. Levels that claim nothing of a
 * candidate have no lower bits.
 *
 * Rejected: a counter or a clock as version. Both depend on who counted, and a second writer, a replay or a
 * redelivery would overwrite better rows with worse ones.
 */

/** What is known of an observation's node or wallet. A higher level always wins. */
export const LEVEL = {
  nothingKnown: 0,
  walletElsewhere: 1,
  modelIncompatible: 2,
  byWallet: 3,
  walletAmbiguous: 4,
  byNode: 5,
  byNodeAndWallet: 6,
} as const;

export type Level = (typeof LEVEL)[keyof typeof LEVEL];

/** True for the levels that attribute a row. */
export function isAttributed(level: Level): boolean {
  return level === LEVEL.byWallet || level >= LEVEL.byNode;
}

/** Where a snapshot lies seen from the observation, worst first. */
export const FRESHNESS = { after: 0, before: 1, same: 2 } as const;

export type Freshness = (typeof FRESHNESS)[keyof typeof FRESHNESS];

/** The greatest distance that 27 bits hold: 37 h 16 min; the TTL settings stay below it. */
export const FARTHEST_MS = 2 ** 27 - 1;

/** The upper 33 bits of a rank, see above. */
export type Grade = number;

/** The grade of a candidate at this level: model match, and its snapshot's time minus the observation's. */
export function gradeOf(level: Level, modelEqual: boolean, snapshotTimeMs: number, eventTimeMs: number): Grade {
  const delta = snapshotTimeMs - eventTimeMs;
  const freshness = delta === 0 ? FRESHNESS.same : delta < 0 ? FRESHNESS.before : FRESHNESS.after;
  return ((level * 2 + (modelEqual ? 1 : 0)) * 4 + freshness) * 2 ** 27 + (FARTHEST_MS - Math.abs(delta));
}

/** The grade of a level that claims nothing of a candidate. */
export function gradeOfLevel(level: Level): Grade {
  return level * 2 ** 30;
}

export function levelOf(grade: Grade): Level {
  return Math.floor(grade / 2 ** 30) as Level;
}

export function isModelEqual(grade: Grade): boolean {
  return Math.floor(grade / 2 ** 29) % 2 === 1;
}

export function freshnessOf(grade: Grade): Freshness {
  return (Math.floor(grade / 2 ** 27) % 4) as Freshness;
}

/** The part of a grade that is not closeness: level, model match and freshness. */
export function degreeOf(grade: Grade): number {
  return Math.floor(grade / 2 ** 27);
}

/** A rank: its grade, and the 63-bit tie-break that is compared only between equal grades. */
export interface Rank {
  readonly grade: Grade;
  readonly tie: bigint;
}

/** True when `a` is greater evidence than `b`. */
export function outranks(a: Rank, b: Rank): boolean {
  return a.grade > b.grade || (a.grade === b.grade && a.tie > b.tie);
}

/** The evidence of what depends on one observation: 1 + its rank; 0 is left for the tombstone. */
export function evidenceOf(rank: Rank): bigint {
  return 1n + ((BigInt(rank.grade) << 63n) | rank.tie);
}

/** Generations are 12 bits above 116 bits of evidence. */
export const LAST_GENERATION = 4095;

/** `version = generation ‖ evidence`, the `UInt128` of every fact row. */
export function versionOf(generation: number, evidence: bigint): bigint {
  return (BigInt(generation) << 116n) | evidence;
}

/** A version taken apart again. */
export function versionParts(version: bigint): { readonly generation: number; readonly evidence: bigint } {
  return { generation: Number(version >> 116n), evidence: version & ((1n << 116n) - 1n) };
}
