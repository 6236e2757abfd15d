/**
 * The one function of the pipeline: messages and snapshots in, effects out.
 *
 * A `PartitionState` holds what one partition knows. Live traffic, warm-up and replay all go through `take`;
 * snapshots, whoever decoded them, come in through `correct`. `seal` closes the batch. The same calls give
 * the same effects, byte for byte; where batches end decides only which rows travel together.
 */
import { Attribution, type AttributionSettings, type Finding } from "./attribute.ts";
import type { Decoded } from "./decode.ts";
import type { UnmatchedEntry } from "./entry.ts";
import {
  type Cost,
  count,
  type Counts,
  type DeadLetter,
  type Effects,
  isSameCost,
  joinedCost,
  type Progress,
  type StateChange,
} from "./effects.ts";
import { archiveRow, deadLetterRow, type Outcome, unknownRow } from "./emit/archive.ts";
import { edgeRow, ingestRow } from "./emit/lifecycle.ts";
import type { Row, Table } from "./emit/row.ts";
import { statusRow } from "./emit/status.ts";
import { addTypedRows } from "./emit/typed.ts";
import type { StoredMessage, TelemetryEvent } from "./event.ts";
import type { Applied, SnapshotFeed } from "./feed.ts";
import { factOf } from "./facts.ts";
import { judge, type Judged } from "./judge.ts";
import { Minutes } from "./minute.ts";
import { edgeOf, namesOrchestrator, type ObservedEvent, sampleOf } from "./observed.ts";
import { SeenEvents } from "./seen.ts";
import { Sessions, type SessionsSettings } from "./session/sessions.ts";
import type { SessionEvent } from "./session/signal.ts";
import type { Snapshot } from "./snapshot.ts";
import { deadLetterSubject, stateKey } from "./subject.ts";

export interface StepSettings extends AttributionSettings, SessionsSettings {
  /** How many event ids are remembered to tell duplicates. */
  readonly mostSeen: number;
}

/** Where a partition starts. */
export interface StartingPoint
  extends Pick<Progress, "doneSeq" | "rewindSeq" | "doneAtMs" | "lastSession" | "lastSnapshot"> {
  /** The first sequence that the stream holds. */
  readonly firstSeq: number;
}

/** Before the first message of a stream that has lost none. */
export const FROM_THE_START: StartingPoint = {
  doneSeq: 0,
  rewindSeq: 1,
  doneAtMs: 0,
  lastSession: "",
  lastSnapshot: "",
  firstSeq: 1,
};

/**
 * So many rows of a table weigh as one message: those that a capability message fans out into are small, while an insert
 * costs 16 ms of CPU however few rows it brings (embedded engine), for each of its ten tables.
 */
const FANNED_OUT = 8;

export class PartitionState {
  readonly #settings: StepSettings;
  readonly #feed: SnapshotFeed;
  readonly #attribution: Attribution;
  readonly #sessions: Sessions;
  readonly #seen: SeenEvents;
  readonly #start: StartingPoint;
  #batch = newBatch();
  #takenSeq: number;
  #takenAtMs = 0;
  #lastSession: string;
  #lastSnapshot: string;

  /**
   * Starts from a checkpoint: up to `doneSeq` every message was processed by an earlier owner, and from
   * `rewindSeq` on they must be taken again.
   */
  constructor(settings: StepSettings, feed: SnapshotFeed, start: StartingPoint) {
    this.#settings = settings;
    this.#feed = feed;
    this.#start = start;
    this.#takenSeq = start.rewindSeq - 1;
    this.#lastSession = start.lastSession;
    this.#lastSnapshot = start.lastSnapshot;
    this.#seen = new SeenEvents(settings.mostSeen);
    this.#sessions = new Sessions(settings);
    this.#attribution = new Attribution(settings, feed, {
      corrected: (observed, finding) => {
        this.#emitFinding(observed, finding);
        this.#count("corrections");
        this.#batch.correctedMs.push(observed.eventTimeMs);
        this.#sessions.improve(observed, finding);
      },
      opened: (observed) => this.#sessions.opened(observed),
      closed: (observed) => this.#sessions.closed(observed),
    });
  }

  /** True when a message or an entry of this session may be taken: its own entry was asked for, or it is in memory. */
  knows(sessionKey: string): boolean {
    return this.#sessions.has(sessionKey);
  }

  /** Takes in what `workflow_sessions` holds of a session, undefined for nothing, before a message of it is taken. */
  admit(sessionKey: string, value: string | undefined): void {
    this.#sessions.admit(sessionKey, value, this.#start.firstSeq);
    // What its entry holds is not written again: the progress rests on it, though another owner wrote it.
    if (value !== undefined && this.#lastSession === "") this.#lastSession = sessionKey;
  }

  /** Takes in what another writer has left in the entry of a session. */
  adopt(sessionKey: string, value: string): void {
    this.#sessions.adopt(sessionKey, value);
  }

  /** Takes the next message of the partition, judged; sequences must ascend. */
  take(message: StoredMessage, judged: Judged = judge(message)): void {
    const { decoded } = judged;
    const outcome = this.#outcomeOf(message, decoded);
    this.#rows("raw_streaming_events").push(archiveRow(message, decoded, outcome));
    this.#count(outcome);
    addTo(this.#batch.messages, outcome, decoded.envelope.type);
    if (decoded.outcome === "rejected") this.#reject(message, decoded);
    else if (decoded.outcome === "ignored") this.#ignore(message, decoded);
    else if (outcome === "accepted") this.#accept(message, decoded.event, judged);
    this.#takenSeq = message.streamSequence;
    this.#takenAtMs = message.streamTimeMs;
    this.#batch.count++;
    this.#batch.bytes += message.bytes.length;
  }

  /** Notes that the stream holds nothing more for this partition up to here, where the last message was stored then. */
  passTo(streamSequence: number, storedAtMs: number): void {
    if (streamSequence <= this.#takenSeq) return;
    this.#takenSeq = streamSequence;
    this.#takenAtMs = storedAtMs;
  }

  /** Corrects open observations after the feed has applied a snapshot, and closes what the feed has passed. */
  correct(snapshot: Snapshot, applied: Applied): void {
    if (applied.isNew) this.#attribution.reexamine(snapshot);
    this.#attribution.close();
  }

  /**
   * Opens an observation again that an earlier owner left in `unmatched_status`, and derives its row again; in stream
   * order, and after its session was admitted.
   */
  restore(entry: UnmatchedEntry): void {
    const finding = this.#attribution.find(entry.observed);
    this.#emitFinding(entry.observed, finding);
    this.#count("first_rows");
    this.#sessions.improve(entry.observed, finding);
    this.#attribution.restore(entry, finding);
  }

  /** Makes every session in memory due once more, with the evidence that there is. */
  settle(): void {
    this.#sessions.settleAll();
  }

  /** What waits to be sealed, in messages or facts, whichever are more; 0 means that a batch would be empty. */
  get pending(): number {
    const { count, rows, taken } = this.#batch;
    let most = count;
    for (const [table, list] of rows) {
      const rowCount = list.length + (taken.get(table) ?? 0);
      most = Math.max(most, factOf(table) === undefined ? Math.ceil(rowCount / FANNED_OUT) : rowCount);
    }
    return most === 0 && (this.#attribution.hasEntries || this.#sessions.hasWork) ? 1 : most;
  }

  /** Hands over the rows that came since the last call. What comes later in the batch adds others, and changes none. */
  takeRows(): ReadonlyMap<Table, readonly Row[]> {
    const { rows, taken } = this.#batch;
    const handed = new Map<Table, readonly Row[]>();
    for (const [table, list] of rows) {
      if (list.length === 0) continue;
      handed.set(table, list);
      taken.set(table, (taken.get(table) ?? 0) + list.length);
      rows.set(table, []);
    }
    return handed;
  }

  /** Bytes of the messages that wait to be sealed. */
  get pendingBytes(): number {
    return this.#batch.bytes;
  }

  /** The stream sequence up to which messages were taken. */
  get takenSeq(): number {
    return this.#takenSeq;
  }

  /** True until everything is read again that earlier owners had processed. */
  get isWarmingUp(): boolean {
    return this.#takenSeq < this.#start.doneSeq;
  }

  get openCount(): number {
    return this.#attribution.openCount;
  }

  /** How many of the open observations have an entry in `unmatched_status`. */
  get heldCount(): number {
    return this.#attribution.heldCount;
  }

  /** How many sessions are in memory, at rest or not. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Ends the batch: everything since the last seal, and the progress that holds once it is durable. */
  seal(): Effects {
    const evicted = this.#attribution.evict();
    if (evicted !== undefined) this.#cost({ kind: "observations_evicted", source: "", ...evicted });
    const unmatched = this.#attribution.takeEntries().map(({ source, uid, entry }): StateChange => {
      const value = entry === null ? null : JSON.stringify(entry);
      return { bucket: "unmatched_status", key: stateKey(source, uid), value };
    });
    const streamedSeq = this.#attribution.leastStreamedSequence;
    const takenSeq = this.#takenSeq;
    const rewindBound = streamedSeq ?? takenSeq + 1;
    const sessions = this.#sessions.seal(rewindBound, this.#takenAtMs, (table, row) => this.#rows(table).push(row));
    this.#lastSession = sessions.at(-1)?.key ?? this.#lastSession;
    const { messages, findings, minutes, deadLetters, state, costs, counts, correctedMs } = this.#batch;
    const rows = this.takeRows();
    const dirtyMinutes = minutes.all();
    const { doneSeq: doneBefore, doneAtMs: doneBeforeAtMs } = this.#start;
    const progress = {
      doneSeq: Math.max(doneBefore, takenSeq),
      // Not beyond what was taken: while warming up, open observations may lie between there and `doneSeq`.
      rewindSeq: Math.min(rewindBound, this.#sessions.leastUncoveredSequence ?? Infinity),
      takenSeq,
      doneAtMs: takenSeq >= doneBefore ? this.#takenAtMs || doneBeforeAtMs : doneBeforeAtMs,
      held: this.#attribution.heldCount,
      heldSeq: this.#attribution.leastHeldSequence,
      heldMark: this.#attribution.heldMark,
      lastSession: this.#lastSession,
      lastSnapshot: this.#lastSnapshot,
    };
    this.#batch = newBatch();
    const changes = [...state, ...sessions, ...unmatched];
    return {
      rows,
      messages,
      findings,
      dirtyMinutes,
      deadLetters,
      state: changes,
      costs,
      counts,
      correctedMs,
      progress,
    };
  }

  #outcomeOf({ streamSequence }: StoredMessage, decoded: Decoded): Outcome {
    if (decoded.outcome !== "accepted") return decoded.outcome;
    const { source, id, uid } = decoded.envelope;
    const sight = this.#seen.note(source, id, uid, streamSequence);
    if (sight === "id_conflict") this.#count("id_conflict");
    return sight === "duplicate" ? "duplicate" : "accepted";
  }

  #accept(message: StoredMessage, event: TelemetryEvent, { snapshot, sessionKey }: Judged): void {
    addTypedRows(event, this.#rows);
    switch (event.type) {
      case "ai_stream_status":
        return this.#observe(sampleOf(event), event, sessionKey!, message);
      case "stream_trace":
        // An edge that names nobody takes its identity from its session.
        if (namesOrchestrator(event)) return this.#observe(edgeOf(event), event, sessionKey!, message);
        return this.#note(event, sessionKey!, message);
      case "ai_stream_events":
        return this.#note(event, sessionKey!, message);
      case "stream_ingest_metrics":
        this.#rows("fact_stream_ingest_samples").push(ingestRow(event, this.#settings.generation));
        return;
      case "network_capabilities":
        this.#batch.state.push(snapshot!);
        this.#lastSnapshot = snapshot!.key;
        if (event.payload.unreadable > 0) this.#count("capability_entries_unreadable", event.payload.unreadable);
        return;
      default:
        return; // Archived and typed; no fact is derived from it.
    }
  }

  #observe(observed: ObservedEvent, event: SessionEvent, sessionKey: string, message: StoredMessage): void {
    this.#noteStarved(observed.source, observed.eventTimeMs);
    const finding = this.#attribution.find(observed);
    this.#emitFinding(observed, finding);
    this.#count("first_rows");
    this.#note(event, sessionKey, message, finding);
    this.#attribution.keepOpen(observed, finding, message.streamSequence);
  }

  #note(event: SessionEvent, sessionKey: string, message: StoredMessage, finding?: Finding): void {
    const noted = this.#sessions.note(sessionKey, event, message, finding);
    if (noted === "ignored") this.#count("session_events_ignored");
  }

  #emitFinding(observed: ObservedEvent, { selection, claim }: Finding): void {
    const { generation } = this.#settings;
    addTo(this.#batch.findings, observed.kind, claim.reason);
    if (observed.kind === "edge") {
      this.#rows("fact_stream_trace_edges").push(edgeRow(observed, claim, selection, generation));
      return;
    }
    this.#rows("fact_stream_status_samples").push(statusRow(observed, claim, selection, generation));
    this.#batch.minutes.add(observed.source, observed.eventTimeMs);
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
    if (message.streamSequence <= this.#start.doneSeq) return;
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
    const { costs } = this.#batch;
    const at = costs.findIndex((one) => isSameCost(one, cost));
    if (at < 0) costs.push(cost);
    else costs[at] = joinedCost(costs[at]!, cost);
  }

  #count(name: string, by = 1): void {
    count(this.#batch.counts, name, by);
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

interface Batch {
  count: number;
  bytes: number;
  readonly messages: Map<Outcome, Map<string, number>>;
  readonly findings: Map<ObservedEvent["kind"], Map<string, number>>;
  readonly minutes: Minutes;
  readonly rows: Map<Table, Row[]>;
  /** How many rows of a table were handed over. */
  readonly taken: Map<Table, number>;
  readonly deadLetters: DeadLetter[];
  readonly state: StateChange[];
  readonly costs: Cost[];
  readonly counts: Counts;
  readonly correctedMs: number[];
}

function newBatch(): Batch {
  return {
    count: 0,
    bytes: 0,
    messages: new Map(),
    findings: new Map(),
    minutes: new Minutes(),
    rows: new Map(),
    taken: new Map(),
    deadLetters: [],
    state: [],
    costs: [],
    counts: new Map(),
    correctedMs: [],
  };
}

/** Counts one more of a kind and a value. */
function addTo<Kind>(counts: Map<Kind, Map<string, number>>, kind: Kind, value: string): void {
  let values = counts.get(kind);
  if (values === undefined) counts.set(kind, values = new Map());
  values.set(value, (values.get(value) ?? 0) + 1);
}
