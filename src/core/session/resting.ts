/**
 * Sessions at rest: with nothing to do but to wait, for their entries to be due or for their open events to close. One of
 * twenty signals is some eight hundred bytes outside the heap of objects (cells.ts). Which of its events are open is told
 * there too, so that one can close without the session being taken up.
 *
 * What many sessions share, the grounds of their supports, stands in a table. A table that is full is followed by another,
 * and goes when no session that refers to it rests any more.
 */
import { ByteReader, ByteWriter } from "../bytes.ts";
import { Cells } from "../cells.ts";
import type { Claim } from "../select.ts";
import { type ContextTuple, contextTuple, emptySession, readContext } from "./entry.ts";
import type { Session } from "./session.ts";
import type { Signal } from "./signal.ts";
import { claimOn, type Ground, groundOf, isGround, NAMELESS, type Support } from "./support.ts";
import { UID_BYTES, uidOfBytes, usualBytes } from "./uid.ts";

/** A session that rests. */
export interface Resting {
  /** The table that its supports refer to. */
  readonly grounds: readonly Ground[];
  /** Where its bytes are. */
  readonly place: number;
  /** How many of its events are open. */
  open: number;
}

/** What of a session is text, and when it begins. */
interface Head {
  readonly fromMs: number;
  readonly contexts: readonly ContextTuple[];
  /** Uids that are not usual and texts that are not blank, by the place of their signal. */
  readonly uids: Record<number, string>;
  readonly texts: Record<number, string>;
  /** Uids of snapshots that are not usual, by the place of their support. */
  readonly snapshots: Record<number, string>;
}

/** Beside the mark of a signal: that it is open, and that its uid stands in bytes. */
const OPEN = 1;
const USUAL = 2;
const BESIDE_MARK = 4;

/** Enough for some minutes of a large installation, and little to keep for the last session that refers to a table. */
const MOST_IN_TABLE = 4_096;

export class RestingSessions {
  readonly #cells = new Cells();
  readonly #writer = new ByteWriter();
  #grounds: Ground[] = [];
  /** Where the grounds of the table stand, by their urls, which tell most of them apart. */
  readonly #places = new Map<string, number[]>();

  /** Lays a session down; only one without a base. */
  put(session: Session): Resting {
    const { key, headSequence, open } = session;
    const signals = [...session.signals];
    const contexts = [...new Set(signals.map(({ context }) => context))];
    // Whoever has none has the first.
    const numbers = [...new Set([NAMELESS, ...signals.map(({ support }) => support)])];
    const supports = numbers.slice(1).map((number) => session.supports.at(number));
    const fromMs = signals[0]?.timeMs ?? 0;
    const odd = { uids: {}, texts: {}, snapshots: {} };
    const head: Head = { fromMs, contexts: contexts.map((one) => contextTuple(one, key)), ...odd };
    for (const [nth, { uid, text }] of signals.entries()) {
      if (usualBytes(uid) === undefined) head.uids[nth] = uid;
      if (text !== "") head.texts[nth] = text;
    }
    for (const [nth, { claim: { snapshotUid } }] of supports.entries()) {
      if (usualBytes(snapshotUid) === undefined) head.snapshots[nth] = snapshotUid;
    }
    const writer = this.#writer;
    writer.clear();
    writer.whole(headSequence);
    writer.whole(signals.length);
    writer.text(JSON.stringify(head));
    let beforeMs = fromMs;
    for (const [nth, { uid, timeMs, mark, support, context }] of signals.entries()) {
      const bytes = usualBytes(uid);
      const isOpen = session.signals.isOpen(nth);
      writer.whole(BESIDE_MARK * mark + (bytes === undefined ? 0 : USUAL) + (isOpen ? OPEN : 0));
      writer.whole(timeMs - beforeMs);
      beforeMs = timeMs;
      writer.whole(numbers.indexOf(support));
      writer.whole(contexts.indexOf(context));
      if (bytes !== undefined) writer.room(UID_BYTES).set(bytes);
    }
    if (this.#grounds.length >= MOST_IN_TABLE) {
      this.#grounds = [];
      this.#places.clear();
    }
    writer.whole(supports.length);
    for (const support of supports) this.#writeSupport(support);
    return { grounds: this.#grounds, place: this.#cells.put(writer.written), open };
  }

  /** Notes that no better evidence for an event of this usual uid will come; nothing when it is not open. */
  close(resting: Resting, uid: string): void {
    const wanted = usualBytes(uid)!;
    const bytes = this.#cells.read(resting.place);
    const reader = new ByteReader(bytes);
    reader.whole();
    const count = reader.whole();
    reader.take(reader.whole());
    for (let nth = 0; nth < count; nth++) {
      const { at } = reader;
      const beside = reader.whole() % BESIDE_MARK;
      for (let other = 0; other < 3; other++) reader.whole();
      if ((beside & USUAL) === 0 || !reader.passes(wanted)) continue;
      if ((beside & OPEN) === 0) return;
      this.#cells.set(resting.place, at, bytes[at]! - OPEN);
      resting.open--;
      return;
    }
  }

  /** Takes up a session by the key of its entry: what it was when it was laid down, but for what has closed. */
  take(key: string, resting: Resting): Session {
    const session = this.read(key, resting);
    this.#cells.free(resting.place);
    return session;
  }

  /** A copy of a session that goes on resting. */
  read(key: string, { grounds, place }: Resting): Session {
    const reader = new ByteReader(this.#cells.read(place));
    const session = emptySession(key);
    session.rememberHead(reader.whole());
    const count = reader.whole();
    const head = JSON.parse(reader.text()) as Head;
    const contexts = head.contexts.map((one) => readContext(one, session.key));
    const signals: (Signal & { readonly open: boolean })[] = [];
    let timeMs = head.fromMs;
    for (let nth = 0; nth < count; nth++) {
      const marked = reader.whole();
      timeMs += reader.whole();
      const support = reader.whole();
      const context = contexts[reader.whole()]!;
      const uid = head.uids[nth] ?? uidOfBytes(reader.take(UID_BYTES));
      const mark = Math.floor(marked / BESIDE_MARK);
      signals.push({ uid, timeMs, mark, support, context, text: head.texts[nth] ?? "", open: (marked & OPEN) !== 0 });
    }
    const numbers = [NAMELESS];
    for (let nth = 0, left = reader.whole(); nth < left; nth++) {
      const { claim, modelEqual, tie } = readSupport(reader, grounds, head.snapshots[nth]);
      numbers.push(session.supports.add(claim, modelEqual, tie));
    }
    for (const signal of signals) {
      session.add({ ...signal, support: numbers[signal.support]! });
      session.setOpen(signal, signal.open);
    }
    return session;
  }

  #writeSupport({ claim, modelEqual, tie }: Support): void {
    const writer = this.#writer;
    writer.whole(this.#placeOf(claim, modelEqual));
    writer.double(claim.snapshotTimeMs ?? Infinity);
    writer.word(tie);
    const bytes = usualBytes(claim.snapshotUid);
    if (bytes !== undefined) writer.room(UID_BYTES).set(bytes);
  }

  /** Where the ground of a support stands in the present table. */
  #placeOf(claim: Claim, modelEqual: boolean): number {
    const places = this.#places.get(claim.url) ?? [];
    const known = places.find((place) => isGround(this.#grounds[place]!, claim, modelEqual));
    if (known !== undefined) return known;
    const place = this.#grounds.push(groundOf(claim, modelEqual)) - 1;
    this.#places.set(claim.url, [...places, place]);
    return place;
  }
}

/** Reads what was written of a support; the uid of its snapshot only where that is not usual. */
function readSupport(reader: ByteReader, grounds: readonly Ground[], oddUid: string | undefined): Support {
  const { claim, modelEqual } = grounds[reader.whole()]!;
  const timeMs = reader.double();
  const tie = reader.word();
  const snapshotUid = oddUid ?? uidOfBytes(reader.take(UID_BYTES));
  return { claim: claimOn(claim, snapshotUid, timeMs), modelEqual, tie };
}
