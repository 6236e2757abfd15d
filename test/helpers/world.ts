/**
 * The world of src/audit, fed with wires, and with what must hold in every world checked as it goes: equal versions
 * are equal rows, versions that the only writer writes for a key never decrease, every sample has a row in the batch
 * of its message, checkpoints never move back.
 *
 * `run` makes the choices of the outside from numbers, so a property test can generate them.
 */
import * as assert from "uvu/assert";
import { type Stage, STAGES, World as AuditWorld, type WorldSettings } from "../../src/audit/world.ts";
import { decode } from "../../src/core/decode.ts";
import type { Cost, Effects } from "../../src/core/effects.ts";
import type { Row } from "../../src/core/emit/row.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import { type Fact, factKey, factOf } from "../../src/core/facts.ts";
import type { SnapshotFeed } from "../../src/core/feed.ts";
import { FROM_THE_START, type PartitionState } from "../../src/core/step.ts";
import { bytesOf, status, type StatusFields, stored, subjectOf, type Wire } from "./events.ts";
import { acceptedEvents, differences, type OracleEvent, verdicts } from "./oracle.ts";

export { type Stage, STAGES, type WorldSettings };

export const HOUR_MS = 3_600_000;

const STATUS = factOf("fact_stream_status_samples")!;

/** Every message is stored long after its event, so that none comes from the future. */
const STORED_MS = 4_000_000_000_000;

export const DEFAULTS: WorldSettings = {
  ttl: { beforeMs: 24 * HOUR_MS, afterMs: 24 * HOUR_MS },
  allowedLatenessMs: HOUR_MS,
  partitions: 1,
  mostSessions: 1_000,
  sessionLagMs: 0,
  leftOut: new Set<string>(),
  mostOpen: 1_000_000,
  mostSightings: 1_000_000,
  mostSeen: 1_000_000,
  generation: 1,
  contentHash: "",
};

/** One choice of the schedule; `pick` is taken modulo the number of possibilities. */
export interface Step {
  readonly do: "take" | "commit" | "apply" | "repeat" | "crash";
  readonly pick: number;
}

/** The samples that an owner of a partition has taken, and those of them taken since the last seal. */
interface Samples {
  readonly taken: Set<string>;
  readonly unsealed: Set<string>;
}

export class World extends AuditWorld {
  readonly stream: StoredMessage[] = [];
  /** The facts of samples as they were written, in order. */
  readonly written: Row[] = [];
  /** Counts and costs over all batches sealed. */
  readonly counts = new Map<string, number>();
  readonly costs: Cost[] = [];
  readonly #samples = new Map<string, Samples>();

  constructor(settings: Partial<WorldSettings> = {}, writers = 1) {
    super({ ...DEFAULTS, ...settings }, writers);
  }

  /** Appends a message to the stream. */
  publish(wire: Wire, encoding = 0): void {
    const subject = subjectOf(wire, this.settings.partitions);
    const message = stored(subject, bytesOf(wire.envelope, encoding), this.stream.length + 1, STORED_MS);
    this.stream.push(message);
    this.append(subject.slice(subject.lastIndexOf(".") + 1), message);
  }

  get feed(): SnapshotFeed {
    return this.feedOf();
  }

  get openCount(): number {
    return this.names.reduce((sum, name) => sum + this.stateOf(name).openCount, 0);
  }

  partition(name = "0"): PartitionState {
    return this.stateOf(name);
  }

  override take(name: string, writer = 0): StoredMessage | undefined {
    const message = super.take(name, writer);
    const decoded = message && decode(message);
    if (decoded?.outcome === "accepted" && decoded.event.type === "ai_stream_status") {
      const { source, uid } = decoded.envelope;
      const key = factKey(STATUS, { source, source_event_uid: uid });
      const { taken, unsealed } = this.#samplesOf(name, writer);
      if (!taken.has(key)) unsealed.add(key);
      taken.add(key);
    }
    return message;
  }

  override commit(name: string, upTo: Stage = "checkpoint", writer = 0): Effects {
    const before = this.checkpoints.get(name) ?? FROM_THE_START;
    const effects = super.commit(name, upTo, writer);
    const keys = new Set(effects.rows.get(STATUS.table)?.map((row) => factKey(STATUS, row)));
    const { unsealed } = this.#samplesOf(name, writer);
    for (const key of unsealed) assert.ok(keys.has(key), "a sample has a row in the batch of its message");
    unsealed.clear();
    for (const [count, by] of effects.counts) this.counts.set(count, (this.counts.get(count) ?? 0) + by);
    this.costs.push(...effects.costs);
    const after = this.writers === 1 && upTo === "checkpoint" ? effects.progress : this.checkpoints.get(name) ?? before;
    assert.ok(before.doneSeq <= after.doneSeq, "a checkpoint never moves back");
    // A second writer may still need what the first does not.
    assert.ok(this.writers > 1 || before.rewindSeq <= after.rewindSeq, "the only writer's rewind never moves back");
    return effects;
  }

  /** Here nothing more comes after everything was done, so the sessions are written once more. */
  override drain(writer = 0): void {
    super.drain(writer);
    this.settle(writer);
  }

  override crash(pick = 0, writer = 0): void {
    for (const name of this.names) this.#samples.delete(`${writer} ${name}`);
    super.crash(pick, writer);
  }

  /** Makes the choices of a schedule. */
  run(steps: readonly Step[]): void {
    for (const { do: what, pick } of steps) {
      const { names } = this;
      const writer = Math.floor(pick / 7) % this.writers;
      const name = names[pick % names.length]!;
      const waiting = names.filter((one) => this.nextOf(one, writer) !== undefined);
      if (what === "take" && waiting.length > 0) this.take(waiting[pick % waiting.length]!, writer);
      else if (what === "commit") this.commit(name, "checkpoint", writer);
      else if (what === "apply") this.apply(pick, writer);
      else if (what === "repeat") this.repeat(pick, writer);
      else if (what === "crash") {
        this.commit(name, STAGES[Math.floor(pick / names.length) % STAGES.length]!, writer);
        this.crash(pick, writer);
      }
    }
  }

  /** The folded fact of the only event with this id. */
  row(id = "sample", source?: string): Row {
    const found = this.rows(STATUS.table).filter((row) =>
      row.source_event_id === id && (source === undefined || row.source === source)
    );
    assert.is(found.length, 1, `one row of ${id}`);
    return found[0]!;
  }

  /** The distinct events of the stream, for the oracle. */
  events(): OracleEvent[] {
    return acceptedEvents(this.stream);
  }

  protected override write(fact: Fact, row: Row): void {
    if (fact === STATUS) this.written.push(row);
    const before = this.table.get(factKey(fact, row));
    if (before !== undefined) {
      const isGrown = BigInt(before.version as string) <= BigInt(row.version as string);
      // A session that is read again after a crash has less of its evidence on the way than it had before.
      const isOwn = fact === STATUS;
      assert.ok(!isOwn || this.writers > 1 || isGrown, "versions never decrease for a sample");
      if (before.version === row.version) assert.equal(row, before, "invariant 2: equal versions are equal rows");
    }
    super.write(fact, row);
  }

  #samplesOf(name: string, writer: number): Samples {
    const key = `${writer} ${name}`;
    const samples = this.#samples.get(key) ?? { taken: new Set(), unsealed: new Set() };
    this.#samples.set(key, samples);
    return samples;
  }
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
  assert.equal(differences(world.rows(STATUS.table), verdicts(world.events(), world.settings.ttl)), []);
  return world.row();
}

/** Asserts some columns of a row, or fields of anything else. */
export function states(row: Readonly<Record<string, unknown>>, expected: Readonly<Record<string, unknown>>): void {
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
