/**
 * Ten thousand mutated real messages, each between two valid ones, through the whole core.
 *
 * The mutants come under a source of their own. Identity, duplicates and snapshots never cross sources, so no
 * mutant, not even one that is still a valid capability snapshot, has any business changing a row of the valid
 * messages: those must come out exactly as they do without any mutant. `LATECOMER_SEED` replays a run.
 */
import * as assert from "uvu/assert";
import type { DeadLetter, StateChange } from "../../src/core/effects.ts";
import type { Cell, Row, Table } from "../../src/core/emit/row.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import { factKey, factOf } from "../../src/core/facts.ts";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { judge } from "../../src/core/judge.ts";
import { FROM_THE_START, PartitionState } from "../../src/core/step.ts";
import { checkCells } from "../helpers/columns.ts";
import { Chance, MUTATIONS } from "../helpers/mutate.ts";
import { describe } from "../helpers/suite.ts";
import {
  bytesOf,
  CANONICAL,
  capabilitiesWire,
  entryWire,
  gpuWire,
  hardwareWire,
  NODE,
  productionLines,
  statusWire,
  stored,
  subjectOf,
  type Wire,
} from "../helpers/wire.ts";

const SEED = Number(process.env.LATECOMER_SEED ?? 20_260_225);
const MUTANTS = 10_000;
const VALID_SOURCE = "cloud_spe";
const MUTANT_SOURCE = "mutants";
/** Messages per batch, in valid ones, so that both runs end their batches at the same of these. */
const BATCH = 64;

interface Run {
  readonly rows: Map<Table, Row[]>;
  readonly deadLetters: DeadLetter[];
  readonly state: StateChange[];
}

/** The rows of a fact as its table folds them, by key; any other rows as they are. */
function folded(table: string, rows: readonly Row[]): readonly Row[] {
  const fact = factOf(table);
  if (fact === undefined) return rows;
  const byKey = new Map<string, Row>();
  for (const row of rows) {
    const before = byKey.get(factKey(fact, row));
    const isGreater = before === undefined || BigInt(before.version as string) <= BigInt(row.version as string);
    if (isGreater) byKey.set(factKey(fact, row), row);
  }
  return [...byKey].sort(([a], [b]) => a < b ? -1 : 1).map(([, row]) => row);
}

/** What the buckets hold in the end, by key. */
function lastOfEach(changes: readonly StateChange[]): StateChange[] {
  const last = new Map(changes.map((change) => [`${change.bucket} ${change.key}`, change]));
  return [...last].sort(([a], [b]) => a < b ? -1 : 1).map(([, change]) => change);
}

/** Takes messages in order through one partition; every snapshot comes back to it, as its watcher would see it. */
function run(messages: readonly StoredMessage[]): Run {
  const feed = new SnapshotFeed({ allowedLatenessMs: 3_600_000, mostSightings: 1_000_000 });
  const ttl = { beforeMs: 86_400_000, afterMs: 86_400_000 };
  const bounds = {
    mostSessions: 1_000_000,
    sessionLagMs: 0,
    leftOut: new Set<string>(),
    mostOpen: 1_000_000,
    mostSeen: 1_000_000,
  };
  const state = new PartitionState(
    { ttl, allowedLatenessMs: 3_600_000, generation: 1, contentHash: "", ...bounds },
    feed,
    FROM_THE_START,
  );
  const sessions = new Map<string, string>();
  const all: Run = { rows: new Map(), deadLetters: [], state: [] };
  const seal = () => {
    const effects = state.seal();
    for (const [table, rows] of effects.rows) all.rows.set(table, [...all.rows.get(table) ?? [], ...rows]);
    all.deadLetters.push(...effects.deadLetters);
    all.state.push(...effects.state);
    for (const { bucket, key, value } of effects.state) {
      if (bucket === "workflow_sessions") sessions.set(key, value!);
      if (bucket !== "capability_snapshots" || value === null) continue;
      const snapshot = JSON.parse(value);
      state.correct(snapshot, feed.apply(snapshot));
    }
  };
  let valid = 0;
  for (const message of messages) {
    const judged = judge(message);
    if (judged.sessionKey !== undefined) state.admit(judged.sessionKey, sessions.get(judged.sessionKey));
    state.take(message, judged);
    if (message.subject.includes(VALID_SOURCE) && ++valid % BATCH === 0) seal();
  }
  seal();
  seal(); // What the last snapshots corrected.
  state.settle();
  seal();
  return all;
}

const REASONS = new Set([
  ...["null_payload", "json_parse_error", "root_not_object", "missing_type", "missing_timestamp", "missing_data"],
  ...["unsupported_version", "missing_field", "empty_array", "invalid_data_shape", "parse_exception", "time_in_future"],
  "record_too_large",
]);

function bytesIn(payload: Cell, encoding: Cell): Uint8Array {
  if (encoding === "json") return bytesOf(payload as string);
  assert.is(encoding, "base64");
  return Uint8Array.from(atob(payload as string), (char) => char.charCodeAt(0));
}

function checkBytes(payload: Cell, encoding: Cell, original: Uint8Array, what: string): void {
  const kept = bytesIn(payload, encoding);
  let same = kept.length === original.length;
  for (let at = 0; same && at < kept.length; at++) same = kept[at] === original[at];
  if (!same) assert.unreachable(`${what} is kept as other bytes: ${new TextDecoder().decode(original).slice(0, 120)}`);
}

const LINES = productionLines().map((line) => JSON.parse(line));
/** Each round through the real messages happens two days after the last one: no TTL reaches that far. */
const ROUND_MS = 2 * 86_400_000;

/** A real message in one of its rounds, under an id of that round, and when the stream stores it. */
function realMessage(index: number, round: number): { readonly wire: Wire; readonly streamTimeMs: number } {
  const { id, timestamp, data, ...rest } = LINES[index % LINES.length]!;
  const later = (time: unknown) => typeof time === "number" ? time + round * ROUND_MS : time;
  const moved = Array.isArray(data) ? data : { ...data, timestamp: later(data.timestamp) };
  const sentMs = Number(timestamp) + round * ROUND_MS;
  const time = typeof timestamp === "string" ? String(sentMs) : sentMs;
  return { wire: { id: `${id}-${round}`, ...rest, timestamp: time, data: moved }, streamTimeMs: sentMs + 500 };
}

function validMessages(count: number): StoredMessage[] {
  return Array.from({ length: count }, (_, at) => {
    const { wire, streamTimeMs } = realMessage(at, Math.floor(at / LINES.length));
    return stored(wire, { subject: subjectOf(VALID_SOURCE, wire), streamSequence: 2 * at + 2, streamTimeMs });
  });
}

function mutantMessages(count: number): StoredMessage[] {
  const chance = new Chance(SEED);
  return Array.from({ length: count }, (_, at) => {
    const { wire, streamTimeMs } = realMessage(chance.below(LINES.length), Math.floor(at / LINES.length));
    const content = MUTATIONS[at % MUTATIONS.length]!(JSON.stringify(wire), chance);
    return stored(content, { subject: subjectOf(MUTANT_SOURCE, content), streamSequence: 2 * at + 3, streamTimeMs });
  });
}

describe(`ten thousand mutated messages (seed ${SEED})`, (test) => {
  const valid = validMessages(MUTANTS + 1);
  const mutants = mutantMessages(MUTANTS);
  const mixed = [...valid, ...mutants].sort((a, b) => a.streamSequence - b.streamSequence);
  let result: Run = { rows: new Map(), deadLetters: [], state: [] };
  const archive = () => result.rows.get("raw_streaming_events") ?? [];

  test("throw nothing", () => {
    result = run(mixed);
  });

  test("are enough of every outcome to mean something", () => {
    const counts = new Map<Cell, number>();
    const mutantRows = archive().filter((row) => row.source === MUTANT_SOURCE);
    for (const row of mutantRows) {
      for (const key of [row.outcome!, row.reason!]) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const few = ["accepted", "rejected", "ignored", "duplicate", ...REASONS].filter((key) => {
      return key !== "record_too_large" && key !== "time_in_future" && key !== "empty_array" &&
        !((counts.get(key) ?? 0) >= 10);
    });
    assert.equal(few, []);
  });

  test("each have exactly one row in the archive, with one outcome and their exact bytes", () => {
    const rows = archive();
    assert.is(rows.length, mixed.length);
    for (const [at, { streamSequence }] of mixed.entries()) {
      const row = rows[at]!;
      if (row.stream_sequence !== streamSequence) assert.is(row.stream_sequence, streamSequence);
      const hasReason = row.outcome === "rejected" || row.outcome === "ignored";
      if (hasReason !== (row.reason !== "")) assert.unreachable(`${row.outcome} because of ${row.reason}`);
    }
    const outcomes = new Set(rows.map((row) => row.outcome));
    for (const outcome of outcomes) {
      assert.ok(["accepted", "rejected", "ignored", "duplicate"].includes(String(outcome)));
    }
    for (const [at, { bytes }] of mixed.entries()) {
      checkBytes(rows[at]!.payload!, rows[at]!.payload_encoding!, bytes, "an archived message");
    }
  });

  test("each have one dead letter and one dead-letter row when they are refused, with a reason and their bytes", () => {
    const refused = archive().filter((row) => row.outcome === "rejected");
    const rows = result.rows.get("raw_streaming_events_dlq") ?? [];
    const bytesAt = new Map(mixed.map((message) => [message.streamSequence, message.bytes]));
    assert.is(rows.length, refused.length);
    assert.is(result.deadLetters.length, refused.length);
    for (const [at, archived] of refused.entries()) {
      const [row, letter, bytes] = [rows[at]!, result.deadLetters[at]!, bytesAt.get(Number(archived.stream_sequence))!];
      assert.is(row.source_offset, archived.stream_sequence!);
      assert.is(letter.streamSequence, archived.stream_sequence as number);
      assert.is(letter.bytes, bytes);
      assert.ok(REASONS.has(String(row.failure_reason)), String(row.failure_reason));
      assert.equal([row.failure_reason, letter.reason], [archived.reason, archived.reason]);
      assert.equal([row.event_uid, letter.uid], [archived.uid, archived.uid]);
      assert.match(letter.subject, /^dlq\.mutants\.[a-z_]+\.[A-Za-z0-9_=-]+$/);
    }
    for (const [at, archived] of refused.entries()) {
      const bytes = bytesAt.get(Number(archived.stream_sequence))!;
      checkBytes(rows[at]!.payload_body!, rows[at]!.payload_encoding!, bytes, "a refused message");
    }
  });

  test("leave every row and every state entry of the valid messages exactly as it is without them", () => {
    const alone = run(valid);
    for (const [table, all] of alone.rows) {
      // How often a session is written depends on what else is in its batches; what it comes to does not.
      const rows = folded(table, all);
      const kept = folded(table, result.rows.get(table)!.filter((row) => row.source === VALID_SOURCE));
      assert.is(kept.length, rows.length, table);
      for (const [at, row] of rows.entries()) {
        if (JSON.stringify(kept[at]) !== JSON.stringify(row)) assert.equal(kept[at], row);
      }
    }
    const state = result.state.filter(({ key }) => key.startsWith(`${VALID_SOURCE}.`));
    assert.is(JSON.stringify(lastOfEach(state)), JSON.stringify(lastOfEach(alone.state)));
    assert.is(alone.deadLetters.length, 0);
    const attributed = alone.rows.get("fact_stream_status_samples")!.filter((row) => row.is_attributed === 1);
    assert.ok(attributed.length > 1_000, "the valid messages attribute something");
  });

  test("write nothing that its column could not hold", () => checkCells(result.rows));

  test("give keys of state that a bucket takes", () => {
    for (const { key } of result.state) {
      if (!/^[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+$/.test(key)) assert.unreachable(key);
    }
  });
});

describe("valid messages of extreme content", (test) => {
  /** The rows of a snapshot of one node with these GPUs, and of a status sample that it attributes. */
  const rowsWith = (gpus: Wire[]) => {
    const entry = entryWire({ address: CANONICAL, orch_uri: NODE, hardware: [hardwareWire({ gpu_info: gpus })] });
    const snapshot = stored(capabilitiesWire([entry], { id: "snapshot" }));
    const { rows } = run([snapshot, stored(statusWire(), { streamSequence: 2 })]);
    return rows;
  };

  test("a message that begins with a byte order mark is kept with it, accepted or refused", () => {
    for (const wire of [statusWire(), statusWire({ state: 5 })]) {
      const message = stored(`\uFEFF${JSON.stringify(wire)}`);
      const { rows } = run([message]);
      const [archived] = rows.get("raw_streaming_events")!;
      checkBytes(archived!.payload!, archived!.payload_encoding!, message.bytes, "an archived message");
      for (const letter of rows.get("raw_streaming_events_dlq") ?? []) {
        checkBytes(letter.payload_body!, letter.payload_encoding!, message.bytes, "a refused message");
      }
    }
  });

  test("a node of 70 000 GPUs gives rows that their columns hold", () => {
    const rows = rowsWith(Array.from({ length: 70_000 }, (_, at) => ({ id: at.toString(36) })));
    assert.is(rows.get("raw_streaming_events")![0]!.reason, "");
    checkCells(rows);
  });

  test("a node of one GPU is claimed with it", () => {
    const [row] = rowsWith([gpuWire("GPU-a")]).get("fact_stream_status_samples")!.slice(-1);
    assert.equal([row!.gpu_id, row!.gpu_count], ["GPU-a", 1]);
  });
});
