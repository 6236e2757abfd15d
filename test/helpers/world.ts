/**
 * A world in memory: one stream, one pod that drives the real core the way the runtime does, a table that
 * folds, and the state that survives the pod.
 *
 * Everything that the outside may choose is a method: which partition takes its next message, where a batch
 * ends, when a stored snapshot reaches the pod, where the pod dies. `run` makes these choices from numbers,
 * so a property test can generate them. What must hold in every world is checked here, as it goes:
 * equal versions are equal rows, versions written for a key never decrease, every sample has a row in the batch
 * of its message, checkpoints never move back.
 */
import * as assert from "uvu/assert";
import { decode } from "../../src/core/decode.ts";
import type { Cost, Effects } from "../../src/core/effects.ts";
import type { Row } from "../../src/core/emit.ts";
import type { UnmatchedEntry } from "../../src/core/entry.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { sessionKeyOf } from "../../src/core/identity.ts";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { FROM_THE_START, PartitionState, type StartingPoint } from "../../src/core/step.ts";
import { PARTITION_ALL, partitionOf } from "../../src/core/subject.ts";
import { bytesOf, status, type StatusFields, stored, subjectOf, type Wire } from "./events.ts";
import { differences, type OracleEvent, verdicts } from "./oracle.ts";

export const HOUR_MS = 3_600_000;

/** Every message is stored long after its event, so that none comes from the future. */
const STORED_MS = 4_000_000_000_000;

export interface WorldSettings {
  readonly ttl: { readonly beforeMs: number; readonly afterMs: number };
  readonly allowedLatenessMs: number;
  readonly partitions: number;
  readonly mostOpen: number;
  readonly mostSightings: number;
  readonly mostSeen: number;
  readonly generation: number;
  readonly contentHash: string;
}

const DEFAULTS: WorldSettings = {
  ttl: { beforeMs: 24 * HOUR_MS, afterMs: 24 * HOUR_MS },
  allowedLatenessMs: HOUR_MS,
  partitions: 1,
  mostOpen: 1_000_000,
  mostSightings: 1_000_000,
  mostSeen: 1_000_000,
  generation: 1,
  contentHash: "",
};

/** How much of a batch is durable; a crash may come after any of these. */
export const STAGES = ["nothing", "half the rows", "rows", "state", "checkpoint"] as const;
export type Stage = (typeof STAGES)[number];

/** One choice of the schedule; `pick` is taken modulo the number of possibilities. */
export interface Step {
  readonly do: "take" | "commit" | "apply" | "repeat" | "crash";
  readonly pick: number;
}

interface Partition {
  state: PartitionState;
  nextSeq: number;
  /** Samples that this owner has taken, and those of them taken since the last seal. */
  readonly taken: Set<string>;
  readonly unsealed: Set<string>;
}

export class World {
  readonly settings: WorldSettings;
  readonly stream: StoredMessage[] = [];
  /** What survives a crash. */
  readonly snapshots = new Map<string, string>();
  readonly unmatched = new Map<string, string>();
  readonly checkpoints = new Map<string, StartingPoint>();
  /** The facts as they were written, in order, and folded. */
  readonly written: Row[] = [];
  readonly #table = new Map<string, Row>();
  /** Counts and costs over all batches sealed. */
  readonly counts = new Map<string, number>();
  readonly costs: Cost[] = [];
  #feed!: SnapshotFeed;
  #applied = new Set<string>();
  #pod = new Map<string, Partition>();

  constructor(settings: Partial<WorldSettings> = {}) {
    this.settings = { ...DEFAULTS, ...settings };
    this.#start(0);
  }

  /** Appends a message to the stream. */
  publish(wire: Wire, encoding = 0): void {
    const subject = subjectOf(wire, this.settings.partitions);
    this.stream.push(stored(subject, bytesOf(wire.envelope, encoding), this.stream.length + 1, STORED_MS));
  }

  get feed(): SnapshotFeed {
    return this.#feed;
  }

  get names(): string[] {
    return [...this.#pod.keys()];
  }

  get openCount(): number {
    return [...this.#pod.values()].reduce((sum, { state }) => sum + state.openCount, 0);
  }

  partition(name = "0"): PartitionState {
    return this.#pod.get(name)!.state;
  }

  /** Gives a partition its next message; false when it has none. */
  take(name: string): boolean {
    const partition = this.#pod.get(name)!;
    const message = this.#nextOf(name);
    if (message === undefined) return false;
    partition.state.take(message);
    partition.nextSeq = message.streamSequence + 1;
    const decoded = decode(message);
    if (decoded.outcome === "accepted" && decoded.event.type === "ai_stream_status") {
      const key = `${decoded.envelope.source}\n${decoded.envelope.uid}`;
      if (!partition.taken.has(key)) partition.unsealed.add(key);
      partition.taken.add(key);
    }
    return true;
  }

  /** Seals a partition's batch and makes it durable, wholly or up to a stage (then the pod must crash). */
  commit(name: string, upTo: Stage = "checkpoint"): Effects {
    const partition = this.#pod.get(name)!;
    const effects = partition.state.seal();
    const rows = effects.rows.get("fact_stream_status_samples") ?? [];
    const keys = new Set(rows.map(keyOf));
    for (const key of partition.unsealed) assert.ok(keys.has(key), "a sample has a row in the batch of its message");
    partition.unsealed.clear();
    for (const [count, by] of effects.counts) this.counts.set(count, (this.counts.get(count) ?? 0) + by);
    this.costs.push(...effects.costs);

    const reached = STAGES.indexOf(upTo);
    if (reached >= 1) {
      for (const row of upTo === "half the rows" ? rows.slice(rows.length / 2) : rows) this.#write(row);
    }
    if (reached >= 3) {
      for (const { bucket, key, value } of effects.state) {
        const entries = bucket === "capability_snapshots" ? this.snapshots : this.unmatched;
        if (value === null) entries.delete(key);
        else entries.set(key, value);
      }
    }
    if (reached >= 4) {
      const before = this.checkpoints.get(name) ?? FROM_THE_START;
      const isForward = before.doneSeq <= effects.progress.doneSeq && before.rewindSeq <= effects.progress.rewindSeq;
      assert.ok(isForward, "a checkpoint never moves back");
      this.checkpoints.set(name, effects.progress);
    }
    return effects;
  }

  /**
   * Lets the pod see one of the stored snapshots that it has not seen, and corrects every partition; false when
   * it has seen all. Any may come next as long as none is made late by it: F never passes a stored snapshot's
   * time + allowed lateness before that is applied, which is what the guarantee asks for.
   */
  apply(pick = 0): boolean {
    const waiting = [...this.snapshots].filter(([key]) => !this.#applied.has(key));
    const times = waiting.map(([, value]) => (JSON.parse(value) as Snapshot).timeMs);
    const latest = Math.min(...times) + this.settings.allowedLatenessMs;
    const allowed = waiting.filter((_, at) => times[at]! <= latest);
    if (allowed.length === 0) return false;
    this.#show(...allowed[pick % allowed.length]!);
    return true;
  }

  /** Lets the pod see a snapshot that it has seen, as a watch does that lists again after a gap. */
  repeat(pick: number): void {
    const seen = [...this.snapshots].filter(([key]) => this.#applied.has(key));
    if (seen.length > 0) this.#show(...seen[pick % seen.length]!);
  }

  /** Loses all that is not durable and starts again; `pick` orders the snapshots and entries that are restored. */
  crash(pick = 0): void {
    this.#start(pick);
  }

  /** Makes the choices of a schedule. */
  run(steps: readonly Step[]): void {
    for (const { do: what, pick } of steps) {
      const { names } = this;
      const name = names[pick % names.length]!;
      const waiting = names.filter((one) => this.#nextOf(one) !== undefined);
      if (what === "take" && waiting.length > 0) this.take(waiting[pick % waiting.length]!);
      else if (what === "commit") this.commit(name);
      else if (what === "apply") this.apply(pick);
      else if (what === "repeat") this.repeat(pick);
      else if (what === "crash") {
        this.commit(name, STAGES[Math.floor(pick / names.length) % STAGES.length]!);
        this.crash(pick);
      }
    }
  }

  /** Takes, commits and applies until nothing is left to do. */
  drain(): void {
    for (const name of this.names) while (this.take(name));
    for (const name of this.names) this.commit(name);
    while (this.apply());
    for (const name of this.names) this.commit(name);
  }

  /** The folded facts, by source and uid. */
  rows(): Row[] {
    return [...this.#table].sort(([a], [b]) => a < b ? -1 : 1).map(([, row]) => row);
  }

  /** The folded fact of the only event with this id. */
  row(id = "sample", source?: string): Row {
    const found = this.rows().filter((row) =>
      row.source_event_id === id && (source === undefined || row.source === source)
    );
    assert.is(found.length, 1, `one row of ${id}`);
    return found[0]!;
  }

  /** The distinct events of the stream, for the oracle; who an event is, is decode's to say and not at stake here. */
  events(): OracleEvent[] {
    const events = new Map<string, OracleEvent>();
    for (const message of this.stream) {
      const { outcome, envelope } = decode(message);
      const wire = JSON.parse(new TextDecoder().decode(message.bytes)) as OracleEvent["wire"];
      if (outcome !== "accepted") continue;
      events.set(`${envelope.source}\n${envelope.uid}`, { source: envelope.source, uid: envelope.uid, wire });
    }
    return [...events.values()];
  }

  #nextOf(name: string): StoredMessage | undefined {
    const { nextSeq } = this.#pod.get(name)!;
    return this.stream.find(({ streamSequence, subject }) => streamSequence >= nextSeq && subject.endsWith(`.${name}`));
  }

  #start(pick: number): void {
    const { settings } = this;
    this.#feed = new SnapshotFeed(settings);
    this.#applied = new Set(this.snapshots.keys());
    for (const value of reordered([...this.snapshots.values()], pick)) this.#feed.apply(JSON.parse(value) as Snapshot);
    this.#pod = new Map();
    for (const name of [PARTITION_ALL, ...Array.from({ length: settings.partitions }, (_, k) => String(k))]) {
      const checkpoint = this.checkpoints.get(name) ?? FROM_THE_START;
      const state = new PartitionState(settings, this.#feed, checkpoint);
      for (const value of reordered([...this.unmatched.values()], pick)) {
        const entry = JSON.parse(value) as UnmatchedEntry;
        const { streamId, requestId, id } = entry.sample;
        if (partitionOf(sessionKeyOf(streamId, requestId, id), settings.partitions) === name) state.restore(entry);
      }
      this.#pod.set(name, { state, nextSeq: checkpoint.rewindSeq, taken: new Set(), unsealed: new Set() });
    }
  }

  #show(key: string, value: string): void {
    const snapshot = JSON.parse(value) as Snapshot;
    this.#applied.add(key);
    const applied = this.#feed.apply(snapshot);
    for (const { state } of this.#pod.values()) state.correct(snapshot, applied);
  }

  /** What a ReplacingMergeTree(version, is_deleted) makes of one more row. */
  #write(row: Row): void {
    this.written.push(row);
    const before = this.#table.get(keyOf(row));
    if (before !== undefined) {
      assert.ok(BigInt(before.version as string) <= BigInt(row.version as string), "versions never decrease for a key");
      if (before.version === row.version) assert.equal(row, before, "invariant 2: equal versions are equal rows");
    }
    this.#table.set(keyOf(row), row);
  }
}

function keyOf(row: Row): string {
  return `${row.source}\n${row.source_event_uid}`;
}

/** One of the orders of a list, chosen by a number. */
function reordered<Item>(items: readonly Item[], pick: number): Item[] {
  const rest = [...items];
  const result: Item[] = [];
  while (rest.length > 0) result.push(...rest.splice((pick + rest.length * 7) % rest.length, 1));
  return result;
}

/** A world in which messages come one by one in this order, each of them followed by everything it leads to. */
export function inOrder(wires: readonly Wire[], settings: Partial<WorldSettings> = {}): World {
  const world = new World(settings);
  for (const wire of wires) {
    world.publish(wire);
    world.drain();
  }
  return world;
}

/** The row of one sample: the same whether the snapshots come before it, after it or reversed, and as the oracle has it. */
export function attribute(fields: StatusFields, snapshots: Wire[], settings: Partial<WorldSettings> = {}): Row {
  const roomy = { allowedLatenessMs: 1_000 * HOUR_MS, ...settings };
  const sample = status(fields);
  const world = inOrder([...snapshots, sample], roomy);
  const reversed = [...snapshots].reverse();
  for (const wires of [[...reversed, sample], [sample, ...snapshots], [sample, ...reversed]]) {
    assert.equal(inOrder(wires, roomy).rows(), world.rows(), "the order of arrival decides nothing");
  }
  assert.equal(differences(world.rows(), verdicts(world.events(), world.settings.ttl)), []);
  return world.row();
}

/** Asserts some columns of a row. */
export function states(row: Row, expected: Row): void {
  assert.equal(Object.fromEntries(Object.keys(expected).map((column) => [column, row[column]])), expected);
}

/** Asserts that a row is not attributed, for this reason, and invents no identity; the sample's own url stays. */
export function claimsNothing(row: Row, reason: string, level: number, url = ""): void {
  states(row, {
    is_attributed: 0,
    unattributed_reason: reason,
    evidence_level: level,
    orchestrator_address: "",
    orchestrator_url: url,
    pipeline: "",
    model_id: null,
    gpu_id: null,
    gpu_count: 0,
    region: null,
    gpu_attribution_method: "none",
    gpu_attribution_confidence: 0,
    selected_snapshot_uid: "",
    selected_snapshot_ts: null,
  });
}
