/**
 * The one function of the pipeline: messages and snapshots in, effects out.
 *
 * A `PartitionState` holds what one partition knows. Live traffic, warm-up and replay all go through `take`;
 * snapshots, whoever decoded them, come in through `correct`. `seal` closes the batch. The same calls give
 * the same effects, byte for byte; where batches end decides only which rows travel together.
 */
import { type AttributionSettings, StatusAttribution } from "./attribute.ts";
import type { Decoded } from "./decode.ts";
import type { UnmatchedEntry } from "./entry.ts";
import type { Cost, Counts, DeadLetter, Effects, Progress, StateChange } from "./effects.ts";
import { archiveRow, deadLetterRow, type Outcome, unknownRow } from "./emit/archive.ts";
import type { Row, Table } from "./emit/row.ts";
import { addTypedRows } from "./emit/typed.ts";
import type { StoredMessage, TelemetryEvent } from "./event.ts";
import type { Applied, SnapshotFeed } from "./feed.ts";
import { judge } from "./judge.ts";
import { sampleOf } from "./sample.ts";
import { SeenEvents } from "./seen.ts";
import type { Snapshot } from "./snapshot.ts";
import { deadLetterSubject, stateKey } from "./subject.ts";

export interface StepSettings extends AttributionSettings {
  /** How many event ids are remembered to tell duplicates. */
  readonly mostSeen: number;
}

/** Where a partition starts. */
export type StartingPoint = Pick<Progress, "doneSeq" | "rewindSeq" | "doneAtMs">;

/** Before the first message of the stream. */
export const FROM_THE_START: StartingPoint = { doneSeq: 0, rewindSeq: 1, doneAtMs: 0 };

/**
 * So many rows of a table weigh as one message: those that a capability message fans out into are small, while an insert
 * costs 16 ms of CPU however few rows it brings (embedded engine), for each of its ten tables.
 */
const FANNED_OUT = 8;

export class PartitionState {
  readonly #settings: StepSettings;
  readonly #feed: SnapshotFeed;
  readonly #attribution: StatusAttribution;
  readonly #seen: SeenEvents;
  readonly #read: typeof judge;
  /** What was done before this process started; it is read again only to know it. */
  readonly #doneBefore: number;
  readonly #doneBeforeAtMs: number;
  #batch = newBatch();
  #takenSeq: number;
  #takenAtMs = 0;

  /**
   * Starts from a checkpoint: up to `doneSeq` every message was processed by an earlier owner, and from
   * `rewindSeq` on they must be taken again. Who takes the same messages many times passes a `read` that remembers.
   */
  constructor(
    settings: StepSettings,
    feed: SnapshotFeed,
    { doneSeq, rewindSeq, doneAtMs }: StartingPoint,
    read: typeof judge = judge,
  ) {
    this.#read = read;
    this.#settings = settings;
    this.#feed = feed;
    this.#doneBefore = doneSeq;
    this.#doneBeforeAtMs = doneAtMs;
    this.#takenSeq = rewindSeq - 1;
    this.#seen = new SeenEvents(settings.mostSeen);
    this.#attribution = new StatusAttribution(settings, feed, (sample, row, isCorrection) => {
      const key = `${sample.source}\n${sample.uid}`;
      const earlier = this.#batch.facts.get(key);
      // Evidence only grows, unless the memory bound dropped some of it in between: the greater row stays.
      if (earlier === undefined || versionIn(earlier) <= versionIn(row)) this.#batch.facts.set(key, row);
      this.#count(isCorrection ? "corrections" : "first_rows");
    });
  }

  /** Takes the next message of the partition; sequences must ascend. */
  take(message: StoredMessage): void {
    const { decoded, snapshot } = this.#read(message);
    const outcome = this.#outcomeOf(message, decoded);
    this.#rows("raw_streaming_events").push(archiveRow(message, decoded, outcome));
    this.#count(outcome);
    if (decoded.outcome === "rejected") this.#reject(message, decoded);
    else if (decoded.outcome === "ignored") this.#ignore(message, decoded);
    else if (outcome === "accepted") this.#accept(message, decoded.event, snapshot);
    this.#takenSeq = message.streamSequence;
    this.#takenAtMs = message.streamTimeMs;
    this.#batch.messages++;
    this.#batch.bytes += message.bytes.length;
  }

  /** Notes that the stream holds nothing more for this partition up to here, where the last message was stored then. */
  passTo(streamSequence: number, storedAtMs: number): void {
    if (streamSequence <= this.#takenSeq) return;
    this.#takenSeq = streamSequence;
    this.#takenAtMs = storedAtMs;
  }

  /** Corrects open samples after the feed has applied a snapshot, and closes what the feed has passed. */
  correct(snapshot: Snapshot, applied: Applied): void {
    if (applied.isNew) this.#attribution.reexamine(snapshot);
    this.#attribution.close();
  }

  /** Opens a sample again that an earlier owner left in `unmatched_status`; in stream order. */
  restore(entry: UnmatchedEntry): void {
    this.#attribution.restore(entry);
  }

  /** What waits to be sealed, in messages or facts, whichever are more; 0 means that a batch would be empty. */
  get pending(): number {
    const { messages, rows, facts } = this.#batch;
    let most = Math.max(messages, facts.size);
    for (const list of rows.values()) most = Math.max(most, Math.ceil(list.length / FANNED_OUT));
    return most === 0 && this.#attribution.hasEntries ? 1 : most;
  }

  /** Bytes of the messages that wait to be sealed. */
  get pendingBytes(): number {
    return this.#batch.bytes;
  }

  /** The stream sequence up to which messages were taken. */
  get takenSeq(): number {
    return this.#takenSeq;
  }

  get openCount(): number {
    return this.#attribution.openCount;
  }

  /** Ends the batch: everything since the last seal, and the progress that holds once it is durable. */
  seal(): Effects {
    const evicted = this.#attribution.evict();
    if (evicted !== undefined) this.#cost({ kind: "observations_evicted", source: "", ...evicted });
    for (const { source, uid, entry } of this.#attribution.takeEntries()) {
      const value = entry === null ? null : JSON.stringify(entry);
      this.#batch.state.push({ bucket: "unmatched_status", key: stateKey(source, uid), value });
    }
    const { rows, facts, deadLetters, state, costs, counts } = this.#batch;
    if (facts.size > 0) rows.set("fact_stream_status_samples", [...facts.values()]);
    const takenSeq = this.#takenSeq;
    const progress = {
      doneSeq: Math.max(this.#doneBefore, takenSeq),
      // Not beyond what was taken: while warming up, open samples may lie between there and `doneSeq`.
      rewindSeq: this.#attribution.leastStreamedSequence ?? takenSeq + 1,
      takenSeq,
      doneAtMs: takenSeq >= this.#doneBefore ? this.#takenAtMs || this.#doneBeforeAtMs : this.#doneBeforeAtMs,
      held: this.#attribution.heldCount,
      heldSeq: this.#attribution.leastHeldSequence,
    };
    this.#batch = newBatch();
    return { rows, deadLetters, state, costs, counts, progress };
  }

  #outcomeOf({ streamSequence }: StoredMessage, decoded: Decoded): Outcome {
    if (decoded.outcome !== "accepted") return decoded.outcome;
    const { source, id, uid } = decoded.envelope;
    const sight = this.#seen.note(source, id, uid, streamSequence);
    if (sight === "id_conflict") this.#count("id_conflict");
    return sight === "duplicate" ? "duplicate" : "accepted";
  }

  #accept({ streamSequence }: StoredMessage, event: TelemetryEvent, snapshot: StateChange | undefined): void {
    addTypedRows(event, this.#rows);
    switch (event.type) {
      case "ai_stream_status": {
        const sample = sampleOf(event);
        this.#noteStarved(sample.source, sample.eventTimeMs);
        this.#attribution.observe(sample, streamSequence);
        return;
      }
      case "network_capabilities":
        this.#batch.state.push(snapshot!);
        if (event.payload.unreadable > 0) this.#count("capability_entries_unreadable", event.payload.unreadable);
        return;
      default:
        return; // Archived and typed; no fact is derived from it yet.
    }
  }

  #ignore(message: StoredMessage, decoded: Decoded & { outcome: "ignored" }): void {
    this.#count(`ignored:${decoded.reason}`);
    if (decoded.unknownType) this.#rows("raw_unknown_events").push(unknownRow(message, decoded));
  }

  #reject(message: StoredMessage, decoded: Decoded & { outcome: "rejected" }): void {
    const { envelope, rejection } = decoded;
    this.#count(`rejected:${rejection.reason}`);
    this.#rows("raw_streaming_events_dlq").push(deadLetterRow(message, decoded));
    // What an earlier owner has done includes its dead letters: only rows are written again.
    if (message.streamSequence <= this.#doneBefore) return;
    this.#batch.deadLetters.push({
      subject: deadLetterSubject(envelope.source, rejection.reason, envelope.type),
      bytes: message.bytes,
      source: envelope.source,
      uid: envelope.uid,
      sourceSubject: message.subject,
      streamSequence: message.streamSequence,
      ...rejection,
    });
  }

  /** A sample whose TTL reaches back to snapshots that the memory bound dropped may claim too little. */
  #noteStarved(source: string, eventTimeMs: number): void {
    const { beforeMs, afterMs } = this.#settings.ttl;
    if (this.#feed.candidatesOf(source).forgottenUpToMs < eventTimeMs - beforeMs) return;
    const span = { fromMs: eventTimeMs - beforeMs, toMs: eventTimeMs + afterMs };
    this.#cost({ kind: "observations_starved", source, count: 1, span });
  }

  #cost(cost: Cost): void {
    this.#count(cost.kind, cost.count);
    const same = this.#batch.costs.find((one) => one.kind === cost.kind && one.source === cost.source);
    if (same === undefined) {
      this.#batch.costs.push(cost);
      return;
    }
    const span = {
      fromMs: Math.min(same.span.fromMs, cost.span.fromMs),
      toMs: Math.max(same.span.toMs, cost.span.toMs),
    };
    this.#batch.costs.splice(this.#batch.costs.indexOf(same), 1, { ...cost, count: same.count + cost.count, span });
  }

  #count(name: string, by = 1): void {
    this.#batch.counts.set(name, (this.#batch.counts.get(name) ?? 0) + by);
  }

  /** Where the batch collects the rows of a table. */
  readonly #rows = (table: Table): Row[] => {
    let rows = this.#batch.rows.get(table);
    if (rows === undefined) {
      rows = [];
      this.#batch.rows.set(table, rows);
    }
    return rows;
  };
}

function versionIn(row: Row): bigint {
  return BigInt(row.version as string);
}

interface Batch {
  messages: number;
  bytes: number;
  readonly rows: Map<Table, Row[]>;
  /** Fact rows by key: of several versions in one batch only the last, the greatest, travels. */
  readonly facts: Map<string, Row>;
  readonly deadLetters: DeadLetter[];
  readonly state: StateChange[];
  readonly costs: Cost[];
  readonly counts: Counts;
}

function newBatch(): Batch {
  return {
    messages: 0,
    bytes: 0,
    rows: new Map(),
    facts: new Map(),
    deadLetters: [],
    state: [],
    costs: [],
    counts: new Map(),
  };
}
