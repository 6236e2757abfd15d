/**
 * How many events of each session were seen: what the row of the session must count at least. Distinct ones, for an
 * event whose first copy its reader had forgotten is archived as accepted again and counts once.
 *
 * Memory is bounded by the number of events remembered. Past the bound the sessions that were quiet for longest are
 * handed out and forgotten. One that goes on later is counted from there on: a session is then checked in portions, and
 * each must be no more than its row counts. So what is found is true, and only where sessions that are alive at one time
 * have more events together may a row that lacks some pass.
 */
import type { Expected, SessionPart } from "./expected.ts";

/** Events remembered, some 30 MB; what sessions of a usual hour have together. */
const MOST_EVENTS = 262_144;

export interface Tally {
  readonly source: string;
  readonly sessionId: string;
  readonly uids: Set<string>;
  /** The first event of it that was seen. */
  readonly uid: string;
  readonly streamSequence: number;
  /** The greatest event time. */
  latestMs: number;
}

export class SessionTallies {
  readonly #mostEvents: number;
  /** By session; the one that an event came for last is last. */
  readonly #tallies = new Map<string, Tally>();
  #events = 0;

  constructor(mostEvents: number = MOST_EVENTS) {
    this.#mostEvents = mostEvents;
  }

  /** Counts an event of a session, once. */
  count({ source, uid, streamSequence }: Expected, { sessionId, eventTimeMs }: SessionPart): void {
    const key = `${source}\n${sessionId}`;
    const tally = this.#tallies.get(key) ??
      { source, sessionId, uids: new Set(), uid, streamSequence, latestMs: eventTimeMs };
    this.#tallies.delete(key);
    this.#tallies.set(key, tally);
    tally.latestMs = Math.max(tally.latestMs, eventTimeMs);
    if (tally.uids.has(uid)) return;
    tally.uids.add(uid);
    this.#events++;
  }

  /** Mostly nothing; past the bound so many sessions that half of it is free again. */
  surplus(): Tally[] {
    return this.#events > this.#mostEvents ? this.#takeDownTo(this.#mostEvents / 2) : [];
  }

  /** Hands out all. */
  rest(): Tally[] {
    return this.#takeDownTo(0);
  }

  #takeDownTo(events: number): Tally[] {
    const taken: Tally[] = [];
    for (const [key, tally] of this.#tallies) {
      if (this.#events <= events) break;
      this.#tallies.delete(key);
      this.#events -= tally.uids.size;
      taken.push(tally);
    }
    return taken;
  }
}
