/**
 * The range of a replay through the pipeline that live traffic goes through. Its ports are other ones: a source that
 * ends, tables of its own, and of state the progress alone, for with a feed that is complete nothing stays open.
 */
import { readCheckpoint } from "../core/checkpoint.ts";
import type { Counts } from "../core/effects.ts";
import type { SnapshotFeed } from "../core/feed.ts";
import { FROM_THE_START, PartitionState, type StepSettings } from "../core/step.ts";
import { LatecomerError } from "../errors.ts";
import type { Bucket, Clock, Log, ReplayedStream, RowBatch, SequenceRange, Sink } from "../ports.ts";
import { PartitionPipeline } from "../runtime/pipeline.ts";
import { DRAIN_DEADLINE_MS } from "../runtime/processor.ts";
import type { State } from "../runtime/state.ts";
import { BoundedSource } from "./bounded.ts";
import { progressKey, type ReplayRecord } from "./record.ts";
import { ShuffledSource } from "./shuffled.ts";

export interface DeriveSettings extends Omit<StepSettings, "generation" | "leftOut"> {
  readonly batchRows: number;
  readonly lingerMs: number;
}

export interface DerivePorts {
  readonly stream: ReplayedStream;
  /** The bucket `replays`. */
  readonly replays: Bucket;
  /** Keeps checkpoints in that bucket, and the sessions of a replay apart from all others. */
  readonly state: (id: string) => Pick<State, "write" | "sessions" | "saveCheckpoint">;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

export interface Control {
  /** Stops it after the batch in hand. */
  readonly signal: AbortSignal;
  /** Aborted when another process has taken the replay over. */
  readonly lost: AbortSignal;
  /** Told how many sequences of the range are taken. */
  readonly onProgress: (done: number) => void;
}

/** How far a range is derived. */
export interface Derived {
  readonly record: ReplayRecord;
  /** True when that is to its end; false when the signal came first. */
  readonly isDone: boolean;
  /** Everything up to here is derived and durable. */
  readonly doneSeq: number;
  /** What was counted by this process. */
  readonly counts: Counts;
}

/** How often it is looked whether the end is reached. */
const POLL_MS = 50;

/**
 * Derives what is left of a range, on a feed that is complete; of sessions that are left out only what depends on their
 * events alone. Throws REPLAY_EXPIRED (fatal) when the stream drops messages before they are read, REPLAY_HELD
 * (unavailable) when the lease is lost, and what the pipeline throws.
 */
export async function derive(
  record: ReplayRecord,
  feed: SnapshotFeed,
  leftOut: ReadonlySet<string>,
  sink: Sink,
  settings: DeriveSettings,
  ports: DerivePorts,
  { signal, lost, onProgress }: Control,
): Promise<Derived> {
  const { stream, replays, clock, log, random } = ports;
  const { id, fromSeq, toSeq, generation, hash } = record;
  const saved = await replays.get(progressKey(id));
  const checkpoint = saved === undefined ? undefined : readCheckpoint(saved.value);
  const at = checkpoint ?? { ...FROM_THE_START, doneSeq: fromSeq - 1, rewindSeq: fromSeq };
  const { doneSeq, rewindSeq } = at;
  const known = { streamSequence: doneSeq, storedAtMs: at.doneAtMs };
  const counts: Counts = new Map();
  const kept = ports.state(id);
  // Nothing to read is nothing to open: a consumer would come for nothing, and stay.
  if (rewindSeq > toSeq) return { record, isDone: true, doneSeq, counts };
  const opened = await stream.openDurable(consumerOf(id), { fromSequence: rewindSeq, known }, (why) => {
    log.warn({ id, why }, "another consumer took the place of one that fell silent");
  });
  const dropped = (gap: SequenceRange) => expired(id, `sequences ${gap.fromSeq} to ${gap.toSeq}`);
  const readTo = checkpoint === undefined ? undefined : rewindSeq - 1;
  const bounded = new BoundedSource(opened, { toSeq, readTo }, { stream, clock, dropped });
  const shuffled = record.shuffleSeed === null
    ? undefined
    : new ShuffledSource(bounded, { seed: record.shuffleSeed, spanMs: settings.allowedLatenessMs });
  const stepping = { ...settings, generation, leftOut };
  const piping = { ...stepping, partition: progressKey(id), contentHash: hash, batchRows: () => settings.batchRows };
  const state = new PartitionState(stepping, feed, { ...at, firstSeq: fromSeq });
  const pipeline = new PartitionPipeline(piping, state, {
    source: shuffled ?? bounded,
    stream,
    sink: shuffled === undefined ? sink : { begin: () => inPlace(sink.begin(), shuffled) },
    state: {
      // Nothing of a replay is open, and the snapshots of the range are among its evidence already.
      write: (key, changes) => kept.write(key, changes.filter(({ bucket }) => bucket === "workflow_sessions")),
      sessions: (keys) => kept.sessions(keys),
      saveCheckpoint: (key, reached) => {
        if (shuffled === undefined) return kept.saveCheckpoint(key, reached);
        const rewindSeq = shuffled.rewindOf(reached.rewindSeq - 1);
        const doneAtMs = shuffled.storedAtMs(reached.doneSeq) ?? reached.doneAtMs;
        return kept.saveCheckpoint(key, { ...reached, rewindSeq, doneAtMs });
      },
      // Its report counts them; they say nothing of the live rows.
      noteCosts: () => Promise.resolve(),
      noteGap: (_, gap) => Promise.reject(dropped(gap)),
    },
    // What is refused was refused before, and its letter was sent.
    deadLetters: { publish: () => Promise.resolve() },
    // The rollup knows nothing of the tables of a replay.
    dirtyMinutes: { mark: () => Promise.resolve() },
    clock,
    log,
    random,
  }, counts);
  let failure: unknown;
  const fail = (error: unknown) => failure = error ?? new Error("the pipeline failed");
  const running = pipeline.run().catch(fail);
  const isOver = () => failure !== undefined || signal.aborted || lost.aborted;
  let isDone = false;
  const isDrained = () => pipeline.isDrained().catch((error) => (fail(error), false));
  while (!isOver() && !(isDone = await isDrained())) {
    onProgress(Math.max(0, state.takenSeq - fromSeq + 1));
    await clock.sleep(POLL_MS, signal);
  }
  await pipeline.stop(DRAIN_DEADLINE_MS).catch(() => {});
  await running;
  if (lost.aborted) throw new LatecomerError("REPLAY_HELD", "unavailable", `another process took replay ${id} over`);
  if (failure !== undefined) throw failure;
  const reached = readCheckpoint((await replays.get(progressKey(id)))?.value ?? "");
  return { record, isDone, doneSeq: reached?.doneSeq ?? doneSeq, counts };
}

/** The same batch, its messages under the sequences that they have in the stream. */
function inPlace(batch: RowBatch, source: ShuffledSource): RowBatch {
  return {
    add: (table, rows) => {
      if (rows[0]?.stream_sequence === undefined) return batch.add(table, rows);
      const placed = rows.map((row) => ({ ...row, stream_sequence: source.originOf(row.stream_sequence as number)! }));
      batch.add(table, placed);
    },
    store: () => batch.store(),
  };
}

/** The name of a replay's consumer. */
export function consumerOf(id: string): string {
  return `replay-${id}`;
}

/** The stream has dropped what a replay needs. */
export function expired(id: string, what: string): LatecomerError {
  const why = `the stream no longer holds ${what}, and replay ${id} needs them: drop it and start another`;
  return new LatecomerError("REPLAY_EXPIRED", "fatal", why);
}
