/**
 * Where partitions start: their checkpoints, held against the stream and the state that they stand on. Whatever does
 * not fit is said, counted, remembered for `doctor` where messages are lost, and answered by reading from further back.
 */
import { type Checkpoint, type Gap, planStart, type StartFinding } from "../core/checkpoint.ts";
import { count, type Counts } from "../core/effects.ts";
import { markOf, type UnmatchedEntry } from "../core/entry.ts";
import type { SnapshotFeed } from "../core/feed.ts";
import { sessionKeyOf } from "../core/identity.ts";
import { sessionStateKey } from "../core/session/sessions.ts";
import { PartitionState, type StartingPoint, type StepSettings } from "../core/step.ts";
import { partitionOf } from "../core/subject.ts";
import { LatecomerError } from "../errors.ts";
import type { EventStream, Log } from "../ports.ts";
import { hasItsState } from "./its-state.ts";
import type { State } from "./state.ts";

interface StartPorts {
  readonly stream: EventStream;
  readonly state: State;
  readonly log: Log;
}

interface StartSettings extends StepSettings {
  readonly partitions: number;
}

/** A partition that is ready to be read. */
export interface Started {
  readonly state: PartitionState;
  readonly at: StartingPoint;
  /** The state in buckets, for the reader of this partition. */
  readonly stored: State;
}

interface Surroundings {
  readonly feed: SnapshotFeed;
  readonly counts: Counts;
  /**
   * Called with each state once what was left open is restored. From that moment on it must be told of snapshots, or
   * one that comes before the partition reads would not find its samples.
   */
  readonly onState: (partition: string, started: Started) => void;
}

/** Makes the states of partitions, with what earlier owners left open, and says from where to read on. */
export async function startOf(
  partitions: readonly string[],
  { stream, state, log }: StartPorts,
  settings: StartSettings,
  { feed, counts, onState }: Surroundings,
): Promise<void> {
  const { contentHash: hash, generation } = settings;
  const checkpoints = new Map<string, Checkpoint | "corrupt" | undefined>();
  for (const partition of partitions) checkpoints.set(partition, await state.loadCheckpoint(partition));
  // Only after the checkpoints: what they stand on was written before them.
  const entries = await state.unmatched(hash);
  const doneSeqs = [...checkpoints.values()].map((checkpoint) =>
    typeof checkpoint === "object" ? checkpoint.doneSeq : 0
  );
  const bounds = await stream.bounds(Math.max(0, ...doneSeqs));
  const plans = [];
  for (const [partition, checkpoint] of checkpoints) {
    const own = entries.filter((entry) => partitionOfEntry(entry, settings.partitions) === partition);
    const known = typeof checkpoint === "object" ? checkpoint : undefined;
    const start = planStart({
      checkpoint,
      hash,
      stream: bounds,
      doneAtMs: known === undefined ? undefined : await stream.storedAtMs(known.doneSeq),
      firstSeqAfterDone: known === undefined ? 1 : await stream.firstSeqAfter(known.doneAtMs),
      ...heldBy(upTo(own, known?.doneSeq ?? 0)),
      hasItsState: known === undefined || await hasItsState(partition, known, stream, state),
    });
    for (const finding of start.findings) await report(partition, finding);
    const isRewritten = start.findings.some(({ kind }) => kind === "stream_rewritten");
    const at = isRewritten ? await placed(start.at) : start.at;
    if (start.reset && checkpoint !== undefined) {
      const covered = upTo(own, at.doneSeq);
      const heldSeq = covered[0]?.streamSequence ?? 0;
      const { firstSeq: _, ...reached } = at;
      await state.resetCheckpoint(partition, checkpoint, { ...reached, ...heldBy(covered), heldSeq, generation, hash });
    }
    plans.push({ partition, at, own });
  }
  for (const { partition, at, own } of plans) {
    const partitionState = new PartitionState(settings, feed, at);
    const stored = state.forReader();
    const sessions = await stored.sessions([...new Set(own.map(({ observed }) => sessionKeyOfEntry(observed)))]);
    for (const { key, value } of sessions) partitionState.admit(key, value);
    for (const entry of own) partitionState.restore(entry);
    onState(partition, { state: partitionState, at, stored });
    log.debug({ partition, ...at, restored: own.length }, "partition restored");
  }

  /**
   * A starting point of a rewritten stream, with when its last message that is done was stored. Where none is there any
   * more the time of the lost one stays: whatever message takes the place is told from it.
   */
  async function placed(at: StartingPoint): Promise<StartingPoint> {
    const doneAtMs = await stream.storedAtMs(at.doneSeq) ?? at.doneAtMs;
    if (doneAtMs <= at.doneAtMs) return { ...at, doneAtMs };
    throw new LatecomerError("STREAM_REWRITTEN", "retryable", "the stream lost its end again while it was looked at");
  }

  async function report(partition: string, finding: StartFinding): Promise<void> {
    const { kind, ...facts } = finding;
    // The first start has no checkpoint either, so its absence alone is no alarm.
    if (kind === "no_checkpoint") return log.info({ partition }, SAYINGS[kind]);
    count(counts, kind);
    log.warn({ partition, ...facts }, SAYINGS[kind]);
    if (finding.kind !== "head_expired") return;
    await state.noteGap(partition, finding.gap);
    if (!finding.gap.processed) count(counts, "stream_gap_messages", sizeOf(finding.gap));
  }
}

const SAYINGS: Readonly<Record<StartFinding["kind"], string>> = {
  no_checkpoint: "no checkpoint: reading from the start of the stream",
  checkpoint_corrupt: "the checkpoint cannot be read: reading from the start of the stream",
  other_settings: "the checkpoint was made under other settings: deriving again from the start of the stream",
  state_purged: "snapshots or sessions are gone from their bucket: deriving them again from the start of the stream",
  entries_differ: "the entries of unmatched_status are not those that were left: reading from further back",
  stream_rewritten: "the stream lost messages that were processed, and gave their sequences to others: reading these",
  head_expired: "the stream no longer holds messages that were to be read",
};

/**
 * The entries of what a checkpoint covers. A later one was written by a batch that did not come to its checkpoint, and
 * may not stand for one that is missing.
 */
function upTo(entries: readonly UnmatchedEntry[], doneSeq: number): UnmatchedEntry[] {
  return entries.filter(({ streamSequence }) => streamSequence <= doneSeq);
}

function heldBy(entries: readonly UnmatchedEntry[]): Pick<Checkpoint, "held" | "heldMark"> {
  return { held: entries.length, heldMark: markOf(entries) };
}

function sizeOf({ fromSeq, toSeq }: Gap): number {
  return toSeq - fromSeq + 1;
}

/** Which partition restores an observation: the one of its session, whoever held it before. */
function partitionOfEntry({ observed }: UnmatchedEntry, partitions: number): string {
  return partitionOf(sessionKeyOf(observed.streamId, observed.requestId, observed.id), partitions);
}

function sessionKeyOfEntry({ source, streamId, requestId, id }: UnmatchedEntry["observed"]): string {
  return sessionStateKey(source, streamId, requestId, id);
}
