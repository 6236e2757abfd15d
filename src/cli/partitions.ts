/** How far each partition and the rollup have come, who reads them, what they could not read or keep: for `doctor`. */
import { AckPolicy, type NatsConnection } from "nats";
import { readCheckpoint } from "../core/checkpoint.ts";
import type { Cost } from "../core/effects.ts";
import { PARTITION_ALL, partitionNames } from "../core/subject.ts";
import { openBuckets } from "../nats/bucket.ts";
import { firstStoredAfter, openEventStream } from "../nats/stream.ts";
import { readHolder } from "../runtime/leases.ts";
import { readCosts, readGaps } from "../runtime/state.ts";
import { formatDuration, formatInstant } from "../core/time.ts";
import { openManager } from "../nats/connection.ts";
import { DIRTY_STREAM, EVENT_STREAM } from "../nats/definitions.ts";
import { CONSUMER_CONFIG, openDirtyMinuteQueue } from "../nats/dirty.ts";
import { type Finding, ok, warning } from "./checks.ts";

const GAPS = "gaps.";
const COSTS = "costs.";

/** What waits longer than this waits for somebody who is not there, or not fast enough. */
const LONGEST_WAIT_MS = 60_000;

/** One finding for each partition that there is, was ever read, or holds messages; one for each gap and each cost. */
export async function checkPartitions(nc: NatsConnection, count: number): Promise<Finding[]> {
  const { checkpoints, leases } = await openBuckets(nc);
  const progress = new Map((await checkpoints.entries()).map(({ key, value }) => [key, value]));
  const owners = new Map((await leases.entries()).map(({ key, value }) => [key, readHolder(value).owner]));
  const isPartition = (key: string) => key === PARTITION_ALL || /^\d+$/.test(key);
  const known = [...partitionNames(count), ...progress.keys(), ...owners.keys()].filter(isPartition);
  const partitions = [...new Set([...known, ...await heldPartitions(nc)])].sort();
  const findings: Finding[] = [];
  for (const partition of partitions) {
    const doneSeq = readCheckpoint(progress.get(partition) ?? "")?.doneSeq ?? 0;
    findings.push(await partitionFinding(nc, partition, count, doneSeq, owners.get(partition)));
  }
  for (const [key, value] of progress) {
    if (key.startsWith(GAPS)) findings.push(...gapFindings(key.slice(GAPS.length), value));
    if (key.startsWith(COSTS)) findings.push(...costFindings(key.slice(COSTS.length), value));
  }
  return findings;
}

/** The partitions that the stream holds messages of, those included that nobody is told to read. */
async function heldPartitions(nc: NatsConnection): Promise<string[]> {
  const { state } = await (await openManager(nc)).streams.info(EVENT_STREAM, { subjects_filter: "events.>" });
  return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(subject.lastIndexOf(".") + 1));
}

async function partitionFinding(
  nc: NatsConnection,
  partition: string,
  count: number,
  doneSeq: number,
  owner: string | undefined,
): Promise<Finding> {
  const check = `partition ${partition}`;
  const stream = await openEventStream(nc);
  const last = await stream.lastSeqOf(partition);
  const by = owner === undefined ? "read by nobody" : `read by ${owner}`;
  if (last <= doneSeq) return ok(check, `all done, ${by}`);
  // The oldest message of the partition that is not done: how late its rows are.
  const waitsSinceMs = await firstStoredAfter(await openManager(nc), partition, doneSeq) ?? Date.now();
  const lagMs = Math.max(0, Date.now() - waitsSinceMs);
  const detail = `done to ${doneSeq} of ${last}, ${formatDuration(Math.floor(lagMs / 1_000) * 1_000)} late, ${by}`;
  if (owner === undefined) {
    return warning(check, detail, wayToRead(partition, count));
  }
  if (lagMs <= LONGEST_WAIT_MS) return ok(check, detail);
  return warning(check, detail, "latecomer run, once more; its log tells what it waits for");
}

/** What has somebody read a partition that nobody reads, by the number of partitions that processes are told of. */
function wayToRead(partition: string, count: number): string {
  if (partition === PARTITION_ALL || Number(partition) < count) return "latecomer run";
  if (!/^\d+$/.test(partition)) return "publish on partitions by number, see streams/CONTRACT.md";
  return `latecomer run with LATECOMER_PARTITIONS of ${Number(partition) + 1} or more, until it is done`;
}

function gapFindings(partition: string, text: string): Finding[] {
  return readGaps(text).map(({ fromSeq, toSeq, processed }) => {
    const detail = `partition ${partition}: ${fromSeq} to ${toSeq} were gone before they could be read` +
      (processed ? " again: corrections may be missing" : ": never processed");
    const fix = "raise LATECOMER_STREAM_RETENTION, or keep up; have the publisher send them again";
    return warning("gap", detail, fix);
  });
}

/** What mends a bound that was reached; the window is to be replayed as well. */
const BOUND: Readonly<Record<Cost["kind"], string>> = {
  observations_evicted: "LATECOMER_MAX_OPEN",
  observations_starved: "LATECOMER_MAX_SIGHTINGS",
};

function costFindings(partition: string, text: string): Finding[] {
  return readCosts(text).map(({ kind, source, count, span }) => {
    const of = source === "" ? "" : ` of ${source}`;
    const window = `${formatInstant(span.fromMs)} to ${formatInstant(span.toMs)}`;
    const key = `${COSTS}${partition}`;
    const fix = `raise ${BOUND[kind]}; latecomer replay --backfill of that window; then nats kv del checkpoints ${key}`;
    return warning("bound", `partition ${partition}: ${count} ${kind}${of}, ${window}`, fix);
  });
}

/** The consumers are those that this version makes, and none is left of a replay that is gone. */
export async function checkConsumers(nc: NatsConnection): Promise<Finding[]> {
  const check = "consumers";
  const jsm = await openManager(nc);
  const findings: Finding[] = [];
  const replays = new Set((await (await openBuckets(nc)).replays.entries()).map(({ key }) => key));
  let count = 0;
  for await (const { name, config } of jsm.consumers.list(EVENT_STREAM)) {
    count++;
    const replay = /^replay-(.+)$/.exec(name)?.[1];
    if (replay !== undefined && !replays.has(replay)) {
      const fix = `nats consumer rm ${EVENT_STREAM} ${name}`;
      findings.push(warning(check, `${name} is left of a replay that is gone`, fix));
    }
    if ((replay !== undefined || name.startsWith("attributor-")) && config.ack_policy !== AckPolicy.All) {
      const detail = `${name} has the ack policy ${config.ack_policy}, not ${AckPolicy.All}`;
      findings.push(warning(check, detail, `nats consumer rm ${EVENT_STREAM} ${name}`));
    }
  }
  for await (const { name, config } of jsm.consumers.list(DIRTY_STREAM)) {
    count++;
    const fix = `nats consumer rm ${DIRTY_STREAM} ${name}; the next worker makes it as it must be`;
    if (name !== CONSUMER_CONFIG.durable_name) {
      findings.push(warning(check, `${name} takes marks away from ${CONSUMER_CONFIG.durable_name}`, fix));
      continue;
    }
    const drifted = Object.entries(CONSUMER_CONFIG).filter(([field, wanted]) =>
      config[field as keyof typeof CONSUMER_CONFIG] !== wanted
    );
    for (const [field, wanted] of drifted) {
      const detail = `${name}: ${field} ${config[field as keyof typeof CONSUMER_CONFIG]}, defined ${wanted}`;
      findings.push(warning(check, detail, fix));
    }
  }
  return findings.length > 0 ? findings : [ok(check, `${count} as defined`)];
}

/** How many minutes of the rollup wait to be recomputed, and for how long the oldest has. */
export async function checkRollup(nc: NatsConnection): Promise<Finding> {
  const { pending, oldestMs } = await (await openDirtyMinuteQueue(nc)).backlog();
  const check = "rollup";
  if (pending === 0) return ok(check, "no minute waits");
  const ageMs = Math.max(0, Date.now() - oldestMs);
  const detail = `${pending} minutes wait, the oldest for ${formatDuration(Math.floor(ageMs / 1_000) * 1_000)}`;
  if (ageMs <= LONGEST_WAIT_MS) return ok(check, detail);
  return warning(check, detail, "latecomer run --roles rollup, once more if one runs");
}
