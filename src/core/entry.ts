/**
 * The entries of `unmatched_status`: open observations that wait longer than the stream is re-read for, each with all
 * that is needed to open it again. A bucket is open to other hands, so an entry is checked before it is believed.
 */
import * as v from "valibot";
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

/** Of two entries of one observation, as JSON, the one that arrived later: it waits longer. */
export function mergeEntries(present: string, wanted: string): string {
  const other = readEntry(present);
  const own = readEntry(wanted);
  if (other === undefined || own === undefined || other.hash !== own.hash) return wanted;
  return (other.arrivalFeedMs ?? -Infinity) >= (own.arrivalFeedMs ?? -Infinity) ? present : wanted;
}
