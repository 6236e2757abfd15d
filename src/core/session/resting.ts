/**
 * Sessions at rest: with nothing to do but to wait, for their entries to be due or for their open events to close. One of
 * twenty signals is some eight hundred bytes outside the heap of objects (cells.ts). Which of its events are open is told
 * there too, so that one can close without the session being taken up.
 *
 * What many sessions share, their supports, stands in a table. A table that is full is followed by another, and goes
 * when no session that refers to it rests any more.
 */
import { ByteReader, ByteWriter } from "../bytes.ts";
import { Cells } from "../cells.ts";
import { type ContextTuple, contextTuple, emptySession, readContext } from "./entry.ts";
import type { Session } from "./session.ts";
import { type Support, Supports } from "./support.ts";
import { hashOfBytes, UID_BYTES, uidOfBytes, usualBytes } from "./uid.ts";

/** A session that rests. */
export interface Resting {
  /** The table that its signals refer to. */
  readonly supports: Supports;
  /** Where its bytes are. */
  readonly place: number;
  /** How many of its events are open; those whose closing is yet to be noted in its bytes count as such. */
  open: number;
  /** The uids of these, always fewer than are open. */
  closing: string[] | undefined;
}

/** What of a session is text, and when it begins. */
interface Head {
  readonly fromMs: number;
  readonly contexts: readonly ContextTuple[];
  /** Uids that are not usual and texts that are not blank, by the place of their signal. */
  readonly uids: Record<number, string>;
  readonly texts: Record<number, string>;
}

/** Beside the mark of a signal: that it is open, and that its uid stands in bytes. */
const OPEN = 1;
const USUAL = 2;
const BESIDE_MARK = 4;

/**
 * To note a closing the record is read from its beginning. Of a session with many open events, which may all close together,
 * closings are noted when they are one in so many of these; of any other at once, without a list.
 */
const NOTED_ONE_IN = 8;
const MANY_OPEN = 64;

/** Enough for some minutes of a large installation, and little to keep for the last session that refers to a table. */
const MOST_IN_TABLE = 4_096;

export class RestingSessions {
  readonly #cells = new Cells();
  readonly #writer = new ByteWriter();
  #supports = new Supports();
  /** The numbers of the supports of the table, by their tie-breaks, which tell most of them apart. */
  readonly #byTie = new Map<bigint, number[]>();

  /** Lays a session down; only one without a base. */
  put(session: Session): Resting {
    const { key, signals, headSequence, open } = session;
    const supports = this.#tableFor(session);
    const fromMs = signals.length === 0 ? 0 : signals.timeOf(0);
    const head: Head = { fromMs, contexts: signals.contexts.map((one) => contextTuple(one, key)), uids: {}, texts: {} };
    for (let nth = 0; nth < signals.length; nth++) {
      if (signals.bytesOf(nth) === undefined) head.uids[nth] = signals.uidOf(nth);
      const text = signals.textOf(nth);
      if (text !== "") head.texts[nth] = text;
    }
    const writer = this.#writer;
    writer.clear();
    writer.whole(headSequence);
    writer.whole(signals.length);
    writer.text(JSON.stringify(head));
    let beforeMs = fromMs;
    for (let nth = 0; nth < signals.length; nth++) {
      const bytes = signals.bytesOf(nth);
      const beside = (bytes === undefined ? 0 : USUAL) + (signals.isOpen(nth) ? OPEN : 0);
      writer.whole(BESIDE_MARK * signals.markOf(nth) + beside);
      const timeMs = signals.timeOf(nth);
      writer.whole(timeMs - beforeMs);
      beforeMs = timeMs;
      writer.whole(supports.get(signals.supportOf(nth))!);
      writer.whole(signals.contextPlaceOf(nth));
      if (bytes !== undefined) writer.room(UID_BYTES).set(bytes);
    }
    return { supports: this.#supports, place: this.#cells.put(writer.written), open, closing: undefined };
  }

  /** Notes that no better evidence for an event of this usual uid will come; nothing when it is not open. */
  close(resting: Resting, uid: string): void {
    if (resting.open < MANY_OPEN) {
      this.#closeAll(resting, [uid]);
      return;
    }
    resting.closing ??= [];
    if (resting.closing.push(uid) * NOTED_ONE_IN >= resting.open) this.#note(resting);
  }

  /** Notes in the bytes of a session what has closed. */
  #note(resting: Resting): void {
    const { closing } = resting;
    if (closing === undefined) return;
    resting.closing = undefined;
    this.#closeAll(resting, closing);
  }

  #closeAll(resting: Resting, uids: readonly string[]): void {
    const wanted = new Set(uids);
    // Most of the others are told apart by their hashes, without being made texts.
    const hashes = new Set(uids.map((uid) => hashOfBytes(usualBytes(uid)!)));
    const bytes = this.#cells.read(resting.place);
    const reader = new ByteReader(bytes);
    reader.whole();
    const count = reader.whole();
    reader.skip(reader.whole());
    let from = bytes.length;
    let to = 0;
    for (let nth = 0; nth < count && wanted.size > 0; nth++) {
      const { at } = reader;
      const beside = reader.whole() % BESIDE_MARK;
      for (let other = 0; other < 3; other++) reader.whole();
      if ((beside & USUAL) === 0) continue;
      const uidAt = reader.at;
      reader.skip(UID_BYTES);
      if (!hashes.has(hashOfBytes(bytes, uidAt)) || !wanted.delete(uidOfBytes(bytes, uidAt))) continue;
      if ((beside & OPEN) === 0) continue;
      bytes[at]! -= OPEN;
      from = Math.min(from, at);
      to = at + 1;
      resting.open--;
    }
    this.#cells.rewrite(resting.place, bytes, from, to);
  }

  /** Takes up a session by the key of its entry: what it was when it was laid down, but for what has closed. */
  take(key: string, resting: Resting): Session {
    const session = this.read(key, resting);
    this.#cells.free(resting.place);
    return session;
  }

  /** A copy of a session that goes on resting. */
  read(key: string, resting: Resting): Session {
    this.#note(resting);
    const { supports, place } = resting;
    const reader = new ByteReader(this.#cells.read(place));
    const session = emptySession(key);
    session.rememberHead(reader.whole());
    const count = reader.whole();
    const head = JSON.parse(reader.text()) as Head;
    const contexts = head.contexts.map((one) => readContext(one, session.key));
    /** Of its supports, by those in the table. */
    const numbers = new Map<number, number>();
    let timeMs = head.fromMs;
    for (let nth = 0; nth < count; nth++) {
      const marked = reader.whole();
      const mark = Math.floor(marked / BESIDE_MARK);
      timeMs += reader.whole();
      const shared = reader.whole();
      const support = numbers.get(shared) ?? session.supports.add(supports.at(shared));
      numbers.set(shared, support);
      const context = contexts[reader.whole()]!;
      const uid = head.uids[nth] ?? uidOfBytes(reader.take(UID_BYTES));
      session.add({ uid, timeMs, mark, support, context, text: head.texts[nth] ?? "" });
      session.setOpen({ uid, timeMs, mark }, (marked & OPEN) !== 0);
    }
    return session;
  }

  /** The numbers of a session's supports in the present table, which is another when it had no more room. */
  #tableFor({ signals, supports }: Session): Map<number, number> {
    if (this.#supports.length >= MOST_IN_TABLE) {
      this.#supports = new Supports();
      this.#byTie.clear();
    }
    const numbers = new Map<number, number>();
    for (let nth = 0; nth < signals.length; nth++) {
      const number = signals.supportOf(nth);
      if (!numbers.has(number)) numbers.set(number, this.#numberOf(supports.at(number)));
    }
    return numbers;
  }

  #numberOf(support: Support): number {
    const numbers = this.#byTie.get(support.tie) ?? [];
    const known = numbers.find((number) => this.#supports.says(number, support));
    if (known !== undefined) return known;
    const number = this.#supports.add(support);
    this.#byTie.set(support.tie, [...numbers, number]);
    return number;
  }
}
