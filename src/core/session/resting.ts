/**
 * Sessions at rest: settled, and with nothing to do but to wait until their entries are due. One of twenty signals is some
 * eight hundred bytes outside the heap of objects (cells.ts).
 *
 * What many sessions share, their supports, stands in a table. A table that is full is followed by another, and goes
 * when no session that refers to it rests any more.
 */
import { ByteReader, ByteWriter } from "../bytes.ts";
import { Cells } from "../cells.ts";
import { type ContextTuple, contextTuple, emptySession, readContext } from "./entry.ts";
import type { Session } from "./session.ts";
import type { Support } from "./support.ts";
import { isUsual, UID_BYTES, uidOfBytes, uidToBytes } from "./uid.ts";

/** A session that rests. */
export interface Resting {
  /** The table that its signals refer to. */
  readonly supports: readonly Support[];
  /** Where its bytes are. */
  readonly place: number;
}

/** What of a session is text, and when it begins. */
interface Head {
  readonly fromMs: number;
  readonly contexts: readonly ContextTuple[];
  /** Uids that are not usual and texts that are not blank, by the place of their signal. */
  readonly uids: Record<number, string>;
  readonly texts: Record<number, string>;
}

/** Enough for some minutes of a large installation, and little to keep for the last session that refers to a table. */
const MOST_IN_TABLE = 4_096;

export class RestingSessions {
  readonly #cells = new Cells();
  readonly #writer = new ByteWriter();
  #supports: Support[] = [];
  /** Where each support of the table stands, by what it says. */
  readonly #places = new Map<string, number>();

  /** Lays a session down; only one without a base, and without open signals. */
  put({ key, signals, headSequence }: Session): Resting {
    const contexts = [...new Set(signals.map(({ context }) => context))];
    const fromMs = signals[0]?.timeMs ?? 0;
    const head: Head = { fromMs, contexts: contexts.map((one) => contextTuple(one, key)), uids: {}, texts: {} };
    for (const [nth, { uid, text }] of signals.entries()) {
      if (!isUsual(uid)) head.uids[nth] = uid;
      if (text !== "") head.texts[nth] = text;
    }
    const supports = this.#tableFor(signals.map(({ support }) => support));
    const writer = this.#writer;
    writer.clear();
    writer.whole(headSequence);
    writer.whole(signals.length);
    writer.text(JSON.stringify(head));
    let beforeMs = fromMs;
    for (const { uid, timeMs, mark, support, context } of signals) {
      writer.whole(timeMs - beforeMs);
      beforeMs = timeMs;
      writer.whole(mark);
      writer.whole(supports.get(support)!);
      writer.whole(contexts.indexOf(context));
      if (isUsual(uid)) uidToBytes(uid, writer.room(UID_BYTES));
    }
    return { supports: this.#supports, place: this.#cells.put(writer.written) };
  }

  /** Takes up a session by the key of its entry: what it was when it was laid down. */
  take(key: string, { supports, place }: Resting): Session {
    const reader = new ByteReader(this.#cells.take(place));
    const session = emptySession(key);
    session.rememberHead(reader.whole());
    const count = reader.whole();
    const head = JSON.parse(reader.text()) as Head;
    const contexts = head.contexts.map((one) => readContext(one, session.key));
    let timeMs = head.fromMs;
    for (let nth = 0; nth < count; nth++) {
      timeMs += reader.whole();
      const mark = reader.whole();
      const { claim, modelEqual, tie } = supports[reader.whole()]!;
      const context = contexts[reader.whole()]!;
      const uid = head.uids[nth] ?? uidOfBytes(reader.take(UID_BYTES));
      const support = session.supports.add(claim, modelEqual, tie);
      session.add({ uid, timeMs, mark, support, context, text: head.texts[nth] ?? "", written: 0, open: false });
    }
    return session;
  }

  /** Where the supports of a session stand in the present table, which is another when it had no more room. */
  #tableFor(supports: readonly Support[]): Map<Support, number> {
    if (this.#supports.length >= MOST_IN_TABLE) {
      this.#supports = [];
      this.#places.clear();
    }
    return new Map([...new Set(supports)].map((one) => [one, this.#placeOf(one)]));
  }

  #placeOf(support: Support): number {
    const { claim, modelEqual, tie } = support;
    const said = `${tie} ${modelEqual} ${JSON.stringify(claim)}`;
    let place = this.#places.get(said);
    if (place === undefined) {
      place = this.#supports.push(support) - 1;
      this.#places.set(said, place);
    }
    return place;
  }
}
