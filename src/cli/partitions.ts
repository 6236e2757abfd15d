/** How far each partition and the rollup have come, who reads it, and what it could not read: for `doctor`. */
import type { NatsConnection } from "nats";
import { readCheckpoint } from "../core/checkpoint.ts";
import { PARTITION_ALL } from "../core/subject.ts";
import { openBuckets } from "../nats/bucket.ts";
import { openEventStream } from "../nats/stream.ts";
import { readHolder } from "../runtime/leases.ts";
import { readGaps } from "../runtime/state.ts";
import { formatDuration } from "../core/time.ts";
import { openDirtyMinuteQueue } from "../nats/dirty.ts";
import type { Finding } from "./checks.ts";

const GAPS = "gaps.";

/** A mark that waits longer than this waits for a worker that is not there, or not fast enough. */
const LONGEST_WAIT_MS = 60_000;

/** One finding for each partition that was ever read or is read now, and one for each gap in what it could read. */
export async function checkPartitions(nc: NatsConnection): Promise<Finding[]> {
  const { checkpoints, leases } = await openBuckets(nc);
  const stream = await openEventStream(nc);
  const progress = new Map((await checkpoints.entries()).map(({ key, value }) => [key, value]));
  const owners = new Map((await leases.entries()).map(({ key, value }) => [key, readHolder(value).owner]));
  const isPartition = (key: string) => key === PARTITION_ALL || /^\d+$/.test(key);
  const partitions = [...new Set([...progress.keys(), ...owners.keys()])].filter(isPartition).sort();
  const findings: Finding[] = [];
  for (const partition of partitions) {
    const check = `partition ${partition}`;
    const checkpoint = readCheckpoint(progress.get(partition) ?? "");
    const last = await stream.lastSeqOf(partition);
    const owner = owners.get(partition);
    const isBehind = last > (checkpoint?.doneSeq ?? 0);
    const detail = `${isBehind ? `done to ${checkpoint?.doneSeq ?? 0} of ${last}` : "all done"}, ` +
      (owner === undefined ? "read by nobody" : `read by ${owner}`);
    findings.push(
      isBehind && owner === undefined
        ? { check, state: "warning", detail, fix: "latecomer run" }
        : { check, state: "ok", detail, fix: "" },
    );
  }
  for (const [key, value] of progress) {
    if (!key.startsWith(GAPS)) continue;
    for (const { fromSeq, toSeq, processed } of readGaps(value)) {
      const detail = `${key.slice(GAPS.length)}: ${fromSeq} to ${toSeq} were gone before they could be read` +
        (processed ? " again: corrections may be missing" : ": never processed");
      const fix = "raise LATECOMER_STREAM_RETENTION, or keep up; have the publisher send them again";
      findings.push({ check: "gap", state: "warning", detail: `partition ${detail}`, fix });
    }
  }
  return findings;
}

/** How many minutes of the rollup wait to be recomputed, and for how long the oldest has. */
export async function checkRollup(nc: NatsConnection): Promise<Finding> {
  const { pending, oldestMs } = await (await openDirtyMinuteQueue(nc)).backlog();
  const check = "rollup";
  if (pending === 0) return { check, state: "ok", detail: "no minute waits", fix: "" };
  const ageMs = Math.max(0, Date.now() - oldestMs);
  const detail = `${pending} minutes wait, the oldest for ${formatDuration(Math.floor(ageMs / 1_000) * 1_000)}`;
  if (ageMs <= LONGEST_WAIT_MS) return { check, state: "ok", detail, fix: "" };
  return { check, state: "warning", detail, fix: "latecomer run --roles rollup, once more if one runs" };
}
