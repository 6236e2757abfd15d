/**
 * What is left when a writer of state finds that another has written. Either value alone would lose nothing, so a
 * merge may be made again after every conflict; it only chooses the one that has less done twice.
 */
import type { UnmatchedEntry } from "./attribute.ts";
import type { StartingPoint } from "./step.ts";

/** The checkpoint that is further done; one that moves forward takes the rewind along and never moves it back. */
export function furtherCheckpoint<Checkpoint extends StartingPoint>(
  present: Checkpoint,
  wanted: Checkpoint,
): Checkpoint {
  if (present.doneSeq > wanted.doneSeq) return present;
  return { ...wanted, rewindSeq: Math.max(present.rewindSeq, wanted.rewindSeq) };
}

/** Of two `unmatched_status` entries of one sample, as JSON, the one that arrived later: it waits longer. */
export function laterArrival(present: string, wanted: string): string {
  const arrival = (value: string) => (JSON.parse(value) as UnmatchedEntry).arrivalFeedMs ?? -Infinity;
  return arrival(present) >= arrival(wanted) ? present : wanted;
}
