/**
 * The entries of `unmatched_status`: open samples that wait longer than the stream is re-read for, each with all that
 * is needed to open it again. A bucket is open to other hands, so an entry is checked before it is believed.
 */
import * as v from "valibot";
import type { Sample } from "./sample.ts";

export interface UnmatchedEntry {
  readonly sample: Sample;
  readonly streamSequence: number;
  /** The feed's time when it arrived, null when no snapshot of its source had. */
  readonly arrivalFeedMs: number | null;
  /** The hash of what decided content when it was written. */
  readonly hash: string;
}

const schema = v.object({
  sample: v.object({
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
    state: v.string(),
    outputFps: v.number(),
    inputFps: v.number(),
  }),
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
