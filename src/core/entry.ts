/**
 * The entries of `unmatched_status`: open observations that wait longer than the stream is re-read for, each with all
 * that is needed to open it again. A bucket is open to other hands, so an entry is checked before it is believed.
 */
import * as v from "valibot";
import { hash32 } from "./hash.ts";
import type { ObservedEvent } from "./observed.ts";

export interface UnmatchedEntry {
  readonly observed: ObservedEvent;
  readonly streamSequence: number;
  /** The feed's time when it arrived, null when no snapshot of its source had. */
  readonly arrivalFeedMs: number | null;
  /** The hash of what decided content when it was written. */
  readonly hash: string;
}

const observed = {
  source: v.string(),
  uid: v.string(),
  id: v.string(),
  eventTimeMs: v.number(),
  gateway: v.string(),
  streamId: v.string(),
  requestId: v.string(),
  address: v.string(),
  url: v.string(),
  hint: v.string(),
};
const schema = v.object({
  observed: v.variant("kind", [
    v.object({
      ...observed,
      kind: v.literal("sample"),
      state: v.string(),
      outputFps: v.number(),
      inputFps: v.number(),
    }),
    v.object({ ...observed, kind: v.literal("edge"), traceType: v.string() }),
  ]),
  streamSequence: v.number(),
  arrivalFeedMs: v.nullable(v.number()),
  hash: v.string(),
});

/** Reads an entry; undefined when it is none. */
export function readEntry(text: string): UnmatchedEntry | undefined {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Which entries a set has: equal for equal sets in any order, and, but for one chance in 2³², for no others. */
export function markOf(entries: readonly UnmatchedEntry[]): number {
  return entries.reduce((mark, { observed }) => withMember(mark, observed), 0);
}

/** The mark of a set with an observation more, or, if it was in the set, without it. */
export function withMember(mark: number, { source, uid }: Pick<ObservedEvent, "source" | "uid">): number {
  return (mark ^ hash32(`${source} ${uid}`)) >>> 0;
}

/**
 * Of two entries of one observation, as JSON, the one that arrived later, for it waits longer; at the lesser of their
 * places in the stream: one that lost its end may hold the observation before the place where it once was.
 */
export function mergeEntries(present: string, wanted: string): string {
  const other = readEntry(present);
  const own = readEntry(wanted);
  if (other === undefined || own === undefined || other.hash !== own.hash) return wanted;
  const isPresentLater = (other.arrivalFeedMs ?? -Infinity) >= (own.arrivalFeedMs ?? -Infinity);
  const [later, earlier] = isPresentLater ? [other, own] : [own, other];
  if (later.streamSequence <= earlier.streamSequence) return isPresentLater ? present : wanted;
  return JSON.stringify({ ...later, streamSequence: earlier.streamSequence } satisfies UnmatchedEntry);
}
