/**
 * A world in memory: one stream, writers that drive the real core the way the runtime does, a table that folds, and
 * the state that outlives a writer and that all of them share.
 *
 * Everything that the outside may choose is a method: which message a writer takes, where its batch ends, when it
 * sees a stored snapshot, after which durable effect it dies. The world itself has no client, no clock and no
 * randomness, so the same calls give the same table.
 */
import { type Checkpoint, mergeCheckpoints, planStart } from "../core/checkpoint.ts";
import type { Effects, StateChange } from "../core/effects.ts";
import { isGreater, type Row } from "../core/emit/row.ts";
import { markOf, mergeEntries, readEntry, type UnmatchedEntry } from "../core/entry.ts";
import type { StoredMessage } from "../core/event.ts";
import { type Fact, factKey, FACTS, type FactTable } from "../core/facts.ts";
import { SnapshotFeed } from "../core/feed.ts";
import { sessionKeyOf } from "../core/identity.ts";
import { judge, type Judged } from "../core/judge.ts";
import { mergeSessions } from "../core/session/entry.ts";
import { sessionStateKey } from "../core/session/sessions.ts";
import { readSnapshotEntry, type Snapshot } from "../core/snapshot.ts";
import { PartitionState, type StartingPoint, type StepSettings } from "../core/step.ts";
import { partitionNames, partitionOf } from "../core/subject.ts";

export interface WorldSettings extends StepSettings {
  readonly partitions: number;
  readonly mostSightings: number;
}

/** One partition, and no bound that could cost anything: what is derived so depends on settings that decide content alone. */
export const UNBOUNDED = {
  partitions: 1,
  generation: 1,
  contentHash: "",
  mostOpen: Infinity,
  mostSightings: Infinity,
  mostSessions: Infinity,
  sessionLagMs: 0,
  leftOut: new Set<string>(),
} as const;

/** How much of a batch is durable; a crash may come after any of these. */
export const STAGES = ["nothing", "half the rows", "rows", "state", "checkpoint"] as const;
export type Stage = (typeof STAGES)[number];

interface Partition {
  readonly state: PartitionState;
  /** Where in the partition's track the next message lies. */
  next: number;
}

/** A process: what it knows, and which of the stored snapshots it has seen and not seen. */
interface Writer {
  readonly feed: SnapshotFeed;
  readonly partitions: Map<string, Partition>;
  readonly seen: string[];
  readonly waiting: string[];
}

export class World {
  readonly settings: WorldSettings;
  /** The partitions, that of the capabilities first. */
  readonly names: readonly string[];
  /** What survives a crash: the entries of the buckets, and the checkpoints. */
  readonly snapshots = new Map<string, string>();
  readonly unmatched = new Map<string, string>();
  readonly sessions = new Map<string, string>();
  readonly checkpoints = new Map<string, Checkpoint>();
  /** The facts, the only rows that a world keeps, as a ReplacingMergeTree folds them; by `factKey`. */
  readonly table = new Map<string, Row>();
  readonly #tracks: ReadonlyMap<string, StoredMessage[]>;
  readonly #writers: Writer[] = [];
  readonly #parsed = new Map<string, Snapshot>();
  /** The times of the stored snapshots. */
  #earliestMs = Infinity;
  #latestMs = -Infinity;

  constructor(settings: WorldSettings, writers = 1) {
    this.settings = settings;
    this.names = partitionNames(settings.partitions);
    this.#tracks = new Map(this.names.map((name) => [name, []]));
    for (let writer = 0; writer < writers; writer++) this.#start(writer, 0);
  }

  get writers(): number {
    return this.#writers.length;
  }

  /** Appends a message to a partition of the stream; sequences ascend. */
  append(partition: string, message: StoredMessage): void {
    this.#tracks.get(partition)!.push(message);
  }

  feedOf(writer = 0): SnapshotFeed {
    return this.#writers[writer]!.feed;
  }

  stateOf(partition: string, writer = 0): PartitionState {
    return this.#partition(partition, writer).state;
  }

  /** The message that a writer takes next of a partition, undefined at its end. */
  nextOf(partition: string, writer = 0): StoredMessage | undefined {
    return this.#tracks.get(partition)![this.#partition(partition, writer).next];
  }

  /** Gives a writer the next message of a partition, and returns it; undefined at its end. */
  take(partition: string, writer = 0): StoredMessage | undefined {
    const message = this.nextOf(partition, writer);
    if (message === undefined) return undefined;
    const own = this.#partition(partition, writer);
    const judged = readAgain(message);
    if (judged.sessionKey !== undefined) own.state.admit(judged.sessionKey, this.sessions.get(judged.sessionKey));
    own.state.take(message, judged);
    own.next++;
    return message;
  }

  /** Seals a writer's batch and makes it durable, wholly or up to a stage (then the writer must crash). */
  commit(partition: string, upTo: Stage = "checkpoint", writer = 0): Effects {
    const state = this.stateOf(partition, writer);
    const effects = state.seal();
    this.keep(partition, effects, upTo, state);
    return effects;
  }

  /** Makes a batch durable, wholly or up to a stage, and tells the state that it came from what others had left. */
  keep(partition: string, effects: Effects, upTo: Stage, state?: PartitionState): void {
    const reached = STAGES.indexOf(upTo);
    if (reached >= 1 && effects.rows.size > 0) {
      for (const fact of FACTS) {
        const rows = effects.rows.get(fact.table) ?? [];
        for (const row of upTo === "half the rows" ? rows.slice(rows.length / 2) : rows) this.write(fact, row);
      }
    }
    if (reached >= 3) { for (const change of effects.state) this.#store(change, state); }
    if (reached >= 4) {
      const present = this.checkpoints.get(partition);
      const { takenSeq: _, ...progress } = effects.progress;
      const { generation, contentHash: hash } = this.settings;
      // This stream loses nothing, and gives messages in any order of their stored times.
      const wanted = { ...progress, doneAtMs: 0, generation, hash };
      this.checkpoints.set(partition, present === undefined ? wanted : mergeCheckpoints(present, wanted));
    }
  }

  /** The world that would be if all writers died when so much of a batch is durable; `pick` orders what they restore. */
  died(partition: string, effects: Effects, upTo: Stage, pick = 0): World {
    const world = new World(this.settings, 0);
    for (const [name, track] of this.#tracks) world.#tracks.get(name)!.push(...track);
    copy(this.snapshots, world.snapshots);
    copy(this.unmatched, world.unmatched);
    copy(this.sessions, world.sessions);
    copy(this.checkpoints, world.checkpoints);
    copy(this.table, world.table);
    copy(this.#parsed, world.#parsed);
    world.#earliestMs = this.#earliestMs;
    world.#latestMs = this.#latestMs;
    world.keep(partition, effects, upTo);
    for (let writer = 0; writer < this.writers; writer++) world.#start(writer, pick);
    return world;
  }

  /**
   * Lets a writer see one of the stored snapshots that it has not seen, and corrects its partitions; undefined when
   * it has seen all. Any may come next as long as none is made late by it: the feed never passes a stored snapshot's
   * time + allowed lateness before that is applied, which is what the guarantee asks for.
   */
  apply(pick = 0, writer = 0): Snapshot | undefined {
    const { waiting, seen } = this.#writers[writer]!;
    if (waiting.length === 0) return undefined;
    let at = pick % waiting.length;
    if (this.#latestMs - this.#earliestMs > this.settings.allowedLatenessMs) {
      const times = waiting.map((key) => this.#snapshot(key).timeMs);
      const latestMs = times.reduce((least, timeMs) => Math.min(least, timeMs), Infinity) +
        this.settings.allowedLatenessMs;
      const allowed = [...waiting.keys()].filter((one) => times[one]! <= latestMs);
      at = allowed[pick % allowed.length]!;
    }
    const [key] = waiting.splice(at, 1);
    seen.push(key!);
    return this.#show(key!, writer);
  }

  /** Lets a writer see a snapshot that it has seen, as a watch does that lists again after a gap. */
  repeat(pick: number, writer = 0): Snapshot | undefined {
    const { seen } = this.#writers[writer]!;
    return seen.length === 0 ? undefined : this.#show(seen[pick % seen.length]!, writer);
  }

  /** A writer loses all that is not durable and starts again; `pick` orders what it restores. */
  crash(pick = 0, writer = 0): void {
    this.#start(writer, pick);
  }

  /** A writer takes, commits and applies until nothing is left to do. */
  drain(writer = 0): void {
    for (const name of this.names) while (this.take(name, writer));
    for (const name of this.names) this.commit(name, "checkpoint", writer);
    while (this.apply(0, writer));
    for (const name of this.names) this.#commitAll(name, writer);
  }

  /** A writer writes its sessions once more, as a run does that ends when everything is processed. */
  settle(writer = 0): void {
    for (const name of this.names) {
      this.stateOf(name, writer).settle();
      this.#commitAll(name, writer);
    }
  }

  /** The folded facts, by key; of one table or of all. */
  rows(table?: FactTable): Row[] {
    const facts = [...this.table].filter(([key]) => table === undefined || key.startsWith(`${table}\n`));
    return facts.sort(([a], [b]) => a < b ? -1 : 1).map(([, row]) => row);
  }

  /** Folds one more row into the table; of equal versions the later stays, as in ClickHouse. */
  protected write(fact: Fact, row: Row): void {
    const key = factKey(fact, row);
    const before = this.table.get(key);
    if (before === undefined || !isGreater(before.version as string, row.version as string)) this.table.set(key, row);
  }

  /** The state with which a writer opens a partition. */
  protected open(feed: SnapshotFeed, start: StartingPoint): PartitionState {
    return new PartitionState(this.settings, feed, start);
  }

  /** What another writer left of a session gives rows of its own, so one commit may be followed by another. */
  #commitAll(partition: string, writer: number): void {
    do this.commit(partition, "checkpoint", writer); while (this.stateOf(partition, writer).pending > 0);
  }

  #partition(name: string, writer: number): Partition {
    return this.#writers[writer]!.partitions.get(name)!;
  }

  #start(writer: number, pick: number): void {
    const feed = new SnapshotFeed(this.settings);
    const seen = [...this.snapshots.keys()];
    for (const key of reordered(seen, pick)) feed.apply(this.#snapshot(key));
    const entries = reordered([...this.unmatched.values()], pick).map((value) => readEntry(value)!);
    const partitions = new Map<string, Partition>();
    for (const name of this.names) {
      const start = this.#startOf(name, entries.filter((entry) => this.#partitionOf(entry) === name));
      const next = firstFrom(this.#tracks.get(name)!, start.rewindSeq);
      partitions.set(name, { state: this.open(feed, start), next });
    }
    for (const entry of entries) {
      const { source, streamId, requestId, id } = entry.observed;
      const { state } = partitions.get(this.#partitionOf(entry))!;
      const key = sessionStateKey(source, streamId, requestId, id);
      state.admit(key, this.sessions.get(key));
      state.restore(entry);
    }
    this.#writers[writer] = { feed, partitions, seen, waiting: [] };
  }

  /** Where a partition starts by its checkpoint and the entries of its observations, of a stream that loses nothing. */
  #startOf(name: string, entries: readonly UnmatchedEntry[]): StartingPoint {
    const checkpoint = this.checkpoints.get(name);
    const { doneSeq = 0, doneAtMs } = checkpoint ?? {};
    const covered = entries.filter(({ streamSequence }) => streamSequence <= doneSeq);
    const { generation, contentHash: hash } = this.settings;
    const heldBy = { held: covered.length, heldMark: markOf(covered) };
    const stream = { firstSeq: 1, lastSeq: Infinity };
    const found = { checkpoint, hash, stream, doneAtMs, firstSeqAfterDone: doneSeq + 1, ...heldBy, hasItsState: true };
    const { at, reset } = planStart(found);
    if (reset) {
      const heldSeq = covered.reduce((least, entry) => Math.min(least || Infinity, entry.streamSequence), 0);
      const { firstSeq: _, ...reached } = at;
      this.checkpoints.set(name, { ...reached, ...heldBy, heldSeq, generation, hash });
    }
    return at;
  }

  #partitionOf({ observed: { streamId, requestId, id } }: UnmatchedEntry): string {
    return partitionOf(sessionKeyOf(streamId, requestId, id), this.settings.partitions);
  }

  #store(change: StateChange, state: PartitionState | undefined): void {
    const { bucket, key, value } = change;
    if (bucket === "workflow_sessions") {
      const present = this.sessions.get(key);
      const merged = present === undefined ? value! : mergeSessions(key, present, value!);
      this.sessions.set(key, merged);
      if (merged !== value) state?.adopt(key, merged);
      return;
    }
    if (bucket === "unmatched_status") {
      const present = this.unmatched.get(key);
      if (value === null) this.unmatched.delete(key);
      else this.unmatched.set(key, present === undefined ? value : mergeEntries(present, value));
      return;
    }
    if (value === null || this.snapshots.has(key)) return;
    this.snapshots.set(key, value);
    this.#parsed.set(key, parsedAgain(change));
    const { timeMs } = this.#snapshot(key);
    this.#earliestMs = Math.min(this.#earliestMs, timeMs);
    this.#latestMs = Math.max(this.#latestMs, timeMs);
    for (const { waiting } of this.#writers) waiting.push(key);
  }

  #snapshot(key: string): Snapshot {
    return this.#parsed.get(key)!;
  }

  #show(key: string, writer: number): Snapshot {
    const { feed, partitions } = this.#writers[writer]!;
    const snapshot = this.#snapshot(key);
    const applied = feed.apply(snapshot);
    for (const { state } of partitions.values()) state.correct(snapshot, applied);
    return snapshot;
  }
}

/** What was read of messages, by their bytes, as long as anybody has these. */
const known = new WeakMap<Uint8Array, Judged & { readonly of: string }>();

/** Reads a message once, however many worlds take it and wherever in their streams it lies. */
function readAgain(message: StoredMessage): Judged {
  const of = `${message.subject} ${message.streamTimeMs}`;
  let reading = known.get(message.bytes);
  if (reading?.of !== of) {
    reading = { ...judge(message), of };
    known.set(message.bytes, reading);
  }
  return reading;
}

const parsed = new WeakMap<StateChange, Snapshot>();

/** The snapshot of an entry, parsed once however often it is stored; nothing that reads it changes it. */
function parsedAgain(change: StateChange): Snapshot {
  let snapshot = parsed.get(change);
  if (snapshot === undefined) {
    snapshot = readSnapshotEntry(change.value!)!;
    parsed.set(change, snapshot);
  }
  return snapshot;
}

function copy<Key, Value>(from: ReadonlyMap<Key, Value>, to: Map<Key, Value>): void {
  for (const [key, value] of from) to.set(key, value);
}

/** The position of the first message at or after a sequence. */
function firstFrom(track: readonly StoredMessage[], sequence: number): number {
  let low = 0;
  let high = track.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (track[middle]!.streamSequence >= sequence) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** One of the orders of a list, chosen by a number: begun anywhere, forwards or backwards. */
function reordered<Item>(items: readonly Item[], pick: number): Item[] {
  const from = items.length === 0 ? 0 : Math.floor(pick / 2) % items.length;
  const rotated = [...items.slice(from), ...items.slice(0, from)];
  return pick % 2 === 0 ? rotated : rotated.reverse();
}
