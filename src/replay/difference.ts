/** Why a row that a replay derived and the live one differ, told from their versions alone. Pure. */
import { versionParts } from "../core/evidence.ts";

/** Kinds of differences, with what each means and what to do. */
export const DIFFERENCE = {
  missing_live: "the live table has no such row: process the range, or replay it with --backfill",
  missing_replay: "no event of the range yields this row; a back-fill removes it",
  evidence_expired: "the live row rests on a snapshot that the stream no longer holds: it knows better, leave it",
  other_generation: "the live row was written under another generation: replay the range with --backfill",
  changed: "the live row has the same version and another content: it was changed, replay the range with --backfill",
  less_evidence: "the live row lacks a snapshot that came too late for it: replay the range with --backfill",
  more_evidence: "the live row rests on a snapshot that came after the replay began: replay again",
} as const;

export type DifferenceKind = keyof typeof DIFFERENCE;

/** What is known of a pair of rows that have one key and two contents; versions are decimal text, null without a row. */
export interface Pair {
  readonly replayVersion: string | null;
  readonly liveVersion: string | null;
  /** True when the live row rests on a snapshot that the stream no longer holds. */
  readonly isExpired: boolean;
}

/** Why the rows of a pair differ. */
export function differenceOf({ replayVersion, liveVersion, isExpired }: Pair): DifferenceKind {
  if (liveVersion === null) return "missing_live";
  if (replayVersion === null) return "missing_replay";
  const replay = versionParts(BigInt(replayVersion));
  const live = versionParts(BigInt(liveVersion));
  const grown = live.evidence > replay.evidence;
  if (isExpired && grown) return "evidence_expired";
  if (live.generation !== replay.generation) return "other_generation";
  if (live.evidence === replay.evidence) return "changed";
  return grown ? "more_evidence" : "less_evidence";
}
