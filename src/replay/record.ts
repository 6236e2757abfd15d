/**
 * What is kept of a replay in the bucket `replays`: `<id>` says what is replayed on which evidence, `<id>.progress` is
 * the checkpoint of its pipeline, `<id>.lease` tells who runs it. What is derived never changes once its evidence is
 * fixed, so whoever resumes it derives the same rows.
 */
import * as v from "valibot";
import { LatecomerError } from "../errors.ts";
import type { Bucket } from "../ports.ts";

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const schema = v.object({
  id: v.pipe(v.string(), v.regex(/^[a-z0-9]{1,32}$/)),
  /** The range of stream sequences, both ends included. */
  fromSeq: whole,
  toSeq: whole,
  mode: v.picklist(["shadow", "backfill"]),
  keep: v.boolean(),
  compare: v.boolean(),
  shuffleSeed: v.nullable(whole),
  /** The hash of what decides content. */
  hash: v.string(),
  /** What the rows are written under; 0 before a back-fill has raised it. */
  generation: whole,
  /** The least and the greatest event time of the range; null when none of its messages has one. */
  eventTimes: v.nullable(v.object({ fromMs: v.number(), toMs: v.number() })),
  /**
   * Where the snapshots are read from and to (0 while that is not fixed), and whether the stream still held all that
   * can count when the replay began.
   */
  evidence: v.object({ fromSeq: whole, toSeq: whole, isWhole: v.boolean() }),
  /** True once the sessions that the range does not hold whole are known. */
  knowsSessions: v.boolean(),
  /** True once it is being removed: what is left of it then is no part of its range. */
  isOver: v.optional(v.boolean(), false),
});

export type ReplayRecord = Readonly<v.InferOutput<typeof schema>>;

export const progressKey = (id: string): string => `${id}.progress`;
export const leaseKey = (id: string): string => `${id}.lease`;

/** The record of a replay. Throws REPLAY_UNKNOWN (usage) when there is none that can be read. */
export async function loadRecord(bucket: Bucket, id: string): Promise<ReplayRecord> {
  const entry = /^[a-z0-9]{1,32}$/.test(id) ? await bucket.get(id) : undefined;
  const record = entry === undefined ? undefined : readRecord(entry.value);
  if (record !== undefined) return record;
  throw new LatecomerError(
    "REPLAY_UNKNOWN",
    "usage",
    `there is no replay "${id}"; \`latecomer replay list\` tells which`,
  );
}

/** Reads a record; undefined when it is none. */
export function readRecord(text: string): ReplayRecord | undefined {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Writes a record in the place of what is there; only the holder of its lease may. */
export async function saveRecord(bucket: Bucket, record: ReplayRecord): Promise<void> {
  const present = await bucket.get(record.id);
  const revision = await bucket.put(record.id, JSON.stringify(record), present?.revision ?? 0);
  if (revision === undefined) {
    throw new LatecomerError("REPLAY_HELD", "unavailable", `another process writes the record of replay ${record.id}`);
  }
}
