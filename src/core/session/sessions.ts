/**
 * The sessions of a partition: which are in memory, which of their rows are due, and when their entries must be.
 *
 * A session's rows are written when they change, and once more when all its events are closed: it settles. Its entry is
 * not written with each event, for the stream holds the events; it is written before the rewind passes any of them, and
 * then once for all. A session that is settled and whose entry holds all leaves the memory; an event that comes for it
 * later finds it by its entry, so a session is gone on with and never begun anew.
 */
import type { Finding } from "../attribute.ts";
import type { StateChange } from "../effects.ts";
import { dependentRows } from "../emit/lifecycle.ts";
import { sessionRow } from "../emit/session.ts";
import type { Row } from "../emit/row.ts";
import type { StoredMessage } from "../event.ts";
import type { FactTable } from "../facts.ts";
import { sessionKeyOf } from "../identity.ts";
import type { ObservedEvent } from "../observed.ts";
import { stateKey } from "../subject.ts";
import { derive, markWritten, writtenFrom } from "./derive.ts";
import { readSession, type Rules, writeSession } from "./entry.ts";
import { type Resting, RestingSessions } from "./resting.ts";
import { type Noted, Session } from "./session.ts";
import { MEANING, type Place, type SessionEvent } from "./signal.ts";
import { usualBytes } from "./uid.ts";

/** Sessions under another hash are derived anew. */
export interface SessionsSettings extends Rules {
  /** Sessions kept in memory beyond those with open events; past it the oldest are written and leave it. */
  readonly mostSessions: number;
  /**
   * How long an event may be stored, in milliseconds, before it must be part of its session's entry; a restart reads
   * again what came within so long. A session is mostly over by then, and its entry is written once.
   */
  readonly sessionLagMs: number;
  /** Keys of sessions of which no rows are to be derived, for not all of their events come. */
  readonly leftOut: ReadonlySet<string>;
}

/**
 * A session rests when nothing has come for it for so long, in milliseconds, or for as long as entries lag. Several times as
 * long as its events are apart: to lay it down and take it up again costs as much as to take in an event.
 */
const RESTS_AFTER_MS = 30_000;

/** Takes the rows that are due. */
export type EmitFact = (table: FactTable, row: Row) => void;

/** Where and when a message is stored. */
type Stored = Pick<StoredMessage, "streamSequence" | "streamTimeMs">;

/** A session in memory. */
interface Live {
  readonly key: string;
  /** Its state, or where that is kept while it rests. */
  state: Session | Resting;
  /** The evidence that its row was last written with, and that all its rows were, when it settled; 0 before. */
  written: bigint;
  settled: bigint;
  /** True when an event has better support than its entry says. */
  stale: boolean;
  /** True when the stream has lost its head and what was derived of it before must stay. */
  readonly frozen: boolean;
}

export class Sessions {
  readonly #settings: SessionsSettings;
  readonly #live = new Map<string, Live>();
  readonly #resting = new RestingSessions();
  /** Sessions of which something may have changed since the last seal. */
  readonly #touched = new Set<Live>();
  /** Sessions with events that their entry does not hold, and the first of these in the stream, ascending. */
  readonly #uncovered = new Map<Live, Stored>();
  /** Sessions whose entries must be part of the next seal. */
  readonly #due = new Set<Live>();
  /** Sessions that do not rest, and when something came for them last; ascending, but for those that were just taken up. */
  readonly #quiet = new Map<Live, number>();
  /** Sessions that may leave: at the next seal, for only then is what the last one handed over durable. */
  #leaving: Live[] = [];
  /** True when any of them settles then. */
  #isSettling = false;

  constructor(settings: SessionsSettings) {
    this.#settings = settings;
  }

  /** How many sessions are in memory. */
  get size(): number {
    return this.#live.size;
  }

  /** True when `seal` has something to say. */
  get hasWork(): boolean {
    return this.#touched.size > 0 || this.#due.size > 0 || this.#isSettling;
  }

  /** The least stream sequence of an event that no entry holds, as of the last seal; undefined when there is none. */
  get leastUncoveredSequence(): number | undefined {
    for (const { streamSequence } of this.#uncovered.values()) return streamSequence;
    return undefined;
  }

  /** True when a session needs no entry; that of any other must be admitted before an event of it is noted. */
  has(key: string): boolean {
    return this.#live.has(key) || this.#settings.leftOut.has(key);
  }

  /**
   * Takes a session into memory by what its entry says, undefined where it has none. `firstSequence` is the first that
   * the stream holds: what was derived under other settings of a session that began before it cannot be derived anew.
   */
  admit(key: string, value: string | undefined, firstSequence: number): void {
    if (this.#live.has(key)) return;
    const read = value === undefined ? undefined : readSession(key, value);
    if (read === undefined) return;
    const isOurs = read.rules.contentHash === this.#settings.contentHash;
    if (isOurs || read.session.headSequence < firstSequence) this.#add(key, read.session, !isOurs);
  }

  /** Takes in what another writer's entry says of a session. */
  adopt(key: string, value: string): void {
    const read = readSession(key, value);
    if (read === undefined || read.rules.contentHash !== this.#settings.contentHash) return;
    const live = this.#live.get(key);
    if (live === undefined) this.#touched.add(this.#add(key, read.session, false));
    else if (!live.frozen && this.#awake(live).union(read.session)) this.#touched.add(live);
  }

  /** Notes an event, with what was found for it where it is an observation. */
  note(key: string, event: SessionEvent, stored: Stored, finding?: Finding): Noted {
    if (this.#settings.leftOut.has(key)) return "ignored";
    const live = this.#live.get(key) ?? this.#add(key, sessionOf(event), false);
    // Also where nothing is new: what is read again after a start is written again.
    this.#touched.add(live);
    if (live.frozen) return "ignored";
    const noted = this.#awake(live).note(event, stored.streamSequence, finding);
    if ((noted === "added" || noted === "improved") && !this.#uncovered.has(live)) {
      // Not `stored` itself, which is a message with all its bytes.
      this.#uncovered.set(live, { streamSequence: stored.streamSequence, streamTimeMs: stored.streamTimeMs });
    }
    return noted;
  }

  /** Raises the support of an observation that was noted. */
  improve(observed: ObservedEvent, { selection, claim }: Finding): void {
    const live = this.#live.get(keyOf(observed));
    if (
      live === undefined || live.frozen || this.#awake(live).improve(placeOf(observed), selection, claim) !== "improved"
    ) return;
    live.stale = true;
    this.#touched.add(live);
  }

  opened(observed: ObservedEvent): void {
    const live = this.#live.get(keyOf(observed));
    if (live !== undefined) this.#awake(live).setOpen(placeOf(observed), true);
  }

  closed(observed: ObservedEvent): void {
    const live = this.#live.get(keyOf(observed));
    if (live === undefined) return;
    if (live.stale) this.#due.add(live);
    const { state } = live;
    if (state instanceof Session || usualBytes(observed.uid) === undefined) {
      this.#awake(live).setOpen(placeOf(observed), false);
    } else this.#resting.close(state, observed.uid);
    // There is nothing to write until the last one closes.
    if (isOpen(live)) return;
    this.#awake(live);
    this.#touched.add(live);
  }

  /** Writes every session in memory once more with the evidence that there is. */
  settleAll(): void {
    for (const live of this.#live.values()) {
      this.#forgetRows(live);
      this.#touched.add(live);
    }
  }

  /**
   * Hands over the rows that are due, and returns the entries that must be durable before the rewind passes
   * `rewindBound`, when the last message that was taken was stored at `takenAtMs`. From here on what these hold counts
   * as covered.
   */
  seal(rewindBound: number, takenAtMs: number, emit: EmitFact): StateChange[] {
    const lagsSinceMs = takenAtMs - this.#settings.sessionLagMs;
    for (const [live, { streamSequence, streamTimeMs }] of this.#uncovered) {
      if (streamSequence >= rewindBound || streamTimeMs > lagsSinceMs) break;
      this.#due.add(live);
    }
    this.#relieve();
    // What its entry holds is not read again after a crash, so its last rows must come with that entry or after it.
    const isLast = (live: Live) => settles(live) && (this.#due.has(live) || !this.#uncovered.has(live));
    for (const live of this.#touched) isLast(live) ? this.#settle(live, emit) : this.#emitRows(live, emit);
    for (const live of this.#due) if (isLast(live)) this.#settle(live, emit);
    for (const live of this.#leaving) if (!this.#due.has(live) && !this.#touched.has(live)) this.#leave(live, emit);
    const changes = [...this.#due].map((live) => this.#cover(live));
    this.#leaving = [...new Set([...this.#touched, ...this.#due])];
    this.#isSettling = this.#leaving.some(settles);
    this.#restQuiet(takenAtMs);
    this.#touched.clear();
    this.#due.clear();
    return changes;
  }

  #emitRows(live: Live, emit: EmitFact): void {
    const session = this.#awake(live);
    if (session.isEmpty || session.hasEnded || live.frozen) return;
    if (live.written === session.evidence) return;
    const { generation } = this.#settings;
    const derived = derive(session);
    emit("fact_workflow_sessions", sessionRow(session, derived, generation));
    live.written = session.evidence;
    for (const dependent of derived.dependents) {
      const from = writtenFrom(dependent, derived.isKnown);
      if (session.signals.writtenOf(dependent.nth) === from) continue;
      session.signals.setWritten(dependent.nth, from);
      const { edge, coverage, update } = dependentRows(session, dependent, derived, generation);
      if (edge !== undefined) emit("fact_stream_trace_edges", edge);
      if (coverage !== undefined) emit("fact_lifecycle_edge_coverage", coverage);
      if (update !== undefined) emit("fact_workflow_param_updates", update);
    }
    session.foldPassing();
  }

  /** Writes all rows of a session once more: what was written of it with less evidence, by whomever, then never counts. */
  #settle(live: Live, emit: EmitFact): void {
    this.#forgetRows(live);
    this.#emitRows(live, emit);
    live.settled = this.#awake(live).evidence;
  }

  /** Makes all rows of a session due, whatever was written of it. */
  #forgetRows(live: Live): void {
    live.written = 0n;
    const { signals } = this.#awake(live);
    for (let nth = 0; nth < signals.length; nth++) signals.setWritten(nth, 0);
  }

  #cover(live: Live): StateChange {
    const { key, state } = live;
    live.stale = false;
    this.#uncovered.delete(live);
    if (!(state instanceof Session) && isOpen(live)) {
      // It goes on resting until its last event closes, unless it had to be made smaller.
      const copy = this.#resting.read(key, state);
      const value = writeSession(copy, this.#settings);
      if (copy.base === undefined) return { bucket: "workflow_sessions", key, value };
    }
    return { bucket: "workflow_sessions", key, value: writeSession(this.#awake(live), this.#settings) };
  }

  #awake(live: Live): Session {
    if (live.state instanceof Session) return live.state;
    const session = this.#resting.take(live.key, live.state);
    live.state = session;
    this.#quiet.set(live, -Infinity);
    if (live.written === session.evidence) markWritten(session);
    return session;
  }

  /** Lays down what has been quiet for long, once this seal has told for which sessions something came. */
  #restQuiet(takenAtMs: number): void {
    for (const live of this.#leaving) {
      // Behind those for which something came before.
      this.#quiet.delete(live);
      this.#quiet.set(live, takenAtMs);
    }
    const quietMs = Math.min(RESTS_AFTER_MS, this.#settings.sessionLagMs);
    for (const [live, cameMs] of this.#quiet) {
      if (cameMs > takenAtMs - quietMs) return;
      if (settles(live)) continue;
      this.#quiet.delete(live);
      const { state, frozen } = live;
      // Of those with a base there are few: they have more events than a session keeps apart.
      if (state instanceof Session && state.base === undefined && !frozen) live.state = this.#resting.put(state);
    }
  }

  /** Makes room: sessions without open events are written, the oldest first, so that they can leave. */
  #relieve(): void {
    let over = this.#live.size - this.#settings.mostSessions;
    for (const live of this.#live.values()) {
      if (over <= 0) return;
      if (isOpen(live)) continue;
      over--;
      if (this.#uncovered.has(live)) this.#due.add(live);
      else this.#leaving.push(live);
    }
  }

  /** What waits for nothing settles, and leaves the memory unless its entry is to come. */
  #leave(live: Live, emit: EmitFact): void {
    if (isOpen(live) || live.stale) return;
    if (settles(live)) this.#settle(live, emit);
    if (this.#uncovered.has(live)) return;
    this.#live.delete(live.key);
    this.#quiet.delete(live);
  }

  #add(key: string, state: Session, frozen: boolean): Live {
    const live: Live = { key, state, written: 0n, settled: 0n, stale: false, frozen };
    this.#live.set(key, live);
    this.#quiet.set(live, -Infinity);
    return live;
  }
}

function isOpen({ state }: Live): boolean {
  return state.open > 0;
}

/** True when nothing of a session is open any more, and not all of its rows have the evidence that there is. */
function settles({ state, settled, frozen }: Live): boolean {
  return state instanceof Session && state.open === 0 && settled !== state.evidence && !frozen && !state.hasEnded;
}

/** The entry's key of the session that an event belongs to. */
export function sessionStateKey(source: string, streamId: string, requestId: string, eventId: string): string {
  return stateKey(source, sessionKeyOf(streamId, requestId, eventId));
}

function keyOf({ source, streamId, requestId, id }: ObservedEvent): string {
  return sessionStateKey(source, streamId, requestId, id);
}

/** Where an observation lies in the order K: what matters of its meaning is whether it is a trace. */
function placeOf({ kind, uid, eventTimeMs }: ObservedEvent): Place {
  return { uid, timeMs: eventTimeMs, mark: kind === "sample" ? MEANING.status : MEANING.orchestrator_swap };
}

function sessionOf({ head, payload }: SessionEvent): Session {
  return new Session(head.source, sessionKeyOf(payload.streamId, payload.requestId, head.id));
}
