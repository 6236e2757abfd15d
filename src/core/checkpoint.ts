/**
 * Checkpoints: how far a partition has come, and where whoever comes next has to start.
 *
 * A checkpoint is a promise about three things that can break apart from it: the stream before it, whose head expires
 * and whose last seconds a server can lose; the entries of `unmatched_status` beside it; and the settings it was made
 * under. `planStart` compares it with what is found, and answers every break by reading from further back: repeats
 * fold away, and what cannot be read any more is named as a gap.
 */
import * as v from "valibot";
import type { Progress } from "./effects.ts";
import { FROM_THE_START, type StartingPoint } from "./step.ts";

/** How far a partition has come, and under what it was reached. */
export interface Checkpoint extends Omit<Progress, "takenSeq"> {
  readonly generation: number;
  /** The hash of what decides content. */
  readonly hash: string;
}

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const schema = v.object({
  doneSeq: whole,
  rewindSeq: whole,
  doneAtMs: whole,
  held: whole,
  heldSeq: whole,
  heldMark: whole,
  lastSession: v.string(),
  lastSnapshot: v.string(),
  generation: whole,
  hash: v.string(),
});

/** Reads a checkpoint's entry; undefined when it cannot be read. */
export function readCheckpoint(text: string): Checkpoint | undefined {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * What two writers leave together: under one hash the further one's checkpoint, whole, though the other's rewind be
 * greater: that rests on entries of which only the other can tell that they are gone. Further is what was stored later:
 * a server that lost its end gives sequences again, and whoever was not there when it did may still tell of what is lost.
 */
export function mergeCheckpoints(present: Checkpoint, wanted: Checkpoint): Checkpoint {
  if (present.hash !== wanted.hash) return wanted.generation >= present.generation ? wanted : present;
  const advance = wanted.doneAtMs - present.doneAtMs || wanted.doneSeq - present.doneSeq;
  return advance < 0 ? present : wanted;
}

/** What is found when a partition is opened. */
export interface Found {
  /** Undefined when there is none, `corrupt` when it cannot be read. */
  readonly checkpoint: Checkpoint | "corrupt" | undefined;
  /** The hash of what decides content now. */
  readonly hash: string;
  /** What the stream holds; `lastSeq` is below `firstSeq` while it holds nothing. */
  readonly stream: { readonly firstSeq: number; readonly lastSeq: number };
  /** When the message that the stream holds at `doneSeq` was stored; undefined when it holds none there. */
  readonly doneAtMs: number | undefined;
  /** The least sequence stored after the checkpoint's `doneAtMs`. */
  readonly firstSeqAfterDone: number;
  /** How many entries of `unmatched_status` belong to what the checkpoint covers of the partition, and which. */
  readonly held: number;
  readonly heldMark: number;
  /** False when the state that the partition feeds was purged behind its back. */
  readonly hasItsState: boolean;
}

/** Why a partition starts elsewhere than its checkpoint says. */
export type StartFinding =
  | { readonly kind: "no_checkpoint" | "checkpoint_corrupt" | "other_settings" | "state_purged" }
  | { readonly kind: "entries_differ"; readonly expected: number; readonly found: number }
  | { readonly kind: "stream_rewritten"; readonly doneSeq: number; readonly fromSeq: number }
  | { readonly kind: "head_expired"; readonly gap: Gap };

/** Messages that cannot be read any more, both ends included. */
export interface Gap {
  readonly fromSeq: number;
  readonly toSeq: number;
  /** True when they were processed once, so that only corrections can be missing. */
  readonly processed: boolean;
}

export interface Start {
  readonly at: StartingPoint;
  readonly findings: readonly StartFinding[];
  /** True when the checkpoint that is there must be replaced, forward or not. */
  readonly reset: boolean;
}

/**
 * True when the stream does not hold what was processed: a server that lost its end gave its sequences to others, or
 * will. `foundAtMs` is when the message of `doneSeq` was stored, undefined when there is none.
 */
export function isRewritten(
  { doneSeq, doneAtMs }: Checkpoint,
  { lastSeq }: Found["stream"],
  foundAtMs: number | undefined,
): boolean {
  return doneSeq > 0 && (doneSeq > lastSeq || (foundAtMs !== undefined && foundAtMs !== doneAtMs));
}

/** Where a partition has to start. */
export function planStart({ checkpoint, hash, stream, ...found }: Found): Start {
  const start = { ...FROM_THE_START, firstSeq: stream.firstSeq };
  if (checkpoint === undefined) return { at: start, findings: [{ kind: "no_checkpoint" }], reset: false };
  if (checkpoint === "corrupt") return { at: start, findings: [{ kind: "checkpoint_corrupt" }], reset: true };
  const findings: StartFinding[] = [];
  let { doneSeq, rewindSeq } = checkpoint;
  if (isRewritten(checkpoint, stream, found.doneAtMs)) {
    // The sequences of the lost messages were given to others, none of which is processed.
    const fromSeq = Math.min(found.firstSeqAfterDone, stream.lastSeq + 1);
    findings.push({ kind: "stream_rewritten", doneSeq, fromSeq });
    doneSeq = Math.min(doneSeq, fromSeq - 1);
    rewindSeq = Math.min(rewindSeq, fromSeq);
  }
  // Their number alone would let an entry that another owner wrote stand for one that is gone. Of none, none is gone.
  const differs = found.held !== checkpoint.held || found.heldMark !== checkpoint.heldMark;
  if (checkpoint.held > 0 && differs && checkpoint.hash === hash) {
    findings.push({ kind: "entries_differ", expected: checkpoint.held, found: found.held });
    rewindSeq = Math.min(rewindSeq, checkpoint.heldSeq);
  }
  const lastExpired = stream.firstSeq - 1;
  if (lastExpired > doneSeq) {
    findings.push({ kind: "head_expired", gap: { fromSeq: doneSeq + 1, toSeq: lastExpired, processed: false } });
  }
  if (lastExpired >= rewindSeq && rewindSeq <= doneSeq) {
    const gap = { fromSeq: rewindSeq, toSeq: Math.min(doneSeq, lastExpired), processed: true };
    findings.push({ kind: "head_expired", gap });
  }
  // Both are derived anew from whatever the stream still holds, and what it does not keeps its rows.
  if (checkpoint.hash !== hash) findings.push({ kind: "other_settings" });
  else if (!found.hasItsState) findings.push({ kind: "state_purged" });
  if (checkpoint.hash !== hash || !found.hasItsState) ({ rewindSeq } = FROM_THE_START);
  const { doneAtMs } = checkpoint;
  // What is not there any more need not be missed twice.
  const { lastSession, lastSnapshot } = found.hasItsState ? checkpoint : FROM_THE_START;
  const at = { doneSeq, rewindSeq, doneAtMs, lastSession, lastSnapshot, firstSeq: stream.firstSeq };
  return { at, findings, reset: findings.length > 0 };
}
