/**
 * The signals of one session in the order K, as records outside the heap of objects. A busy installation keeps hundreds
 * of thousands for the minutes that they are open: as objects of their own they are 215 bytes each (measured), which V8
 * moves twice, walks through in every collection of the whole heap, and leaves holes behind where they were.
 *
 * What many signals of a session share, where they came from and what supports them, stands beside the records.
 */
import { Records } from "../records.ts";
import { compareInstants, compareUids, type Context, type Place, type Signal } from "./signal.ts";
import { compareBytes, UID_BYTES, uidOfBytes, usualBytes } from "./uid.ts";

/** Where in a record what stands: a uid, a time, from what its rows were written, its mark, its support, context, a text. */
const TIME = UID_BYTES;
const WRITTEN = TIME + 8;
const MARKED = WRITTEN + 8;
const SUPPORT = MARKED + 4;
const CONTEXT = SUPPORT + 4;
const TEXT = CONTEXT + 4;
const RECORD_BYTES = TEXT + 4;

/** Beside the mark of a signal: that it is open, and that its uid is a text and not in its bytes. */
const OPEN = 1;
const ODD = 2;
const BESIDE_MARK = 4;

/** The greatest mark that a record can hold. */
export const MOST_MARK = 2 ** 32 / BESIDE_MARK - 1;

/** In the place of the text of a signal that has none. */
const BLANK = 2 ** 32 - 1;

export class Signals implements Iterable<Signal> {
  #records = new Records(RECORD_BYTES);
  /** Each once, in the order in which they came; none is forgotten before `without`. */
  readonly #contexts: Context[] = [];
  /** The texts of parameter updates; those of signals with odd uids each after its uid; most sessions have none. */
  #texts: string[] | undefined;

  get length(): number {
    return this.#records.length;
  }

  *[Symbol.iterator](): Generator<Signal> {
    for (let nth = 0; nth < this.length; nth++) yield this.at(nth);
  }

  /** A copy of all that one says. */
  at(nth: number): Signal {
    return {
      uid: this.uidOf(nth),
      timeMs: this.timeOf(nth),
      mark: this.markOf(nth),
      context: this.contextOf(nth),
      text: this.textOf(nth),
      support: this.supportOf(nth),
    };
  }

  uidOf(nth: number): string {
    if (this.#isOdd(nth)) return this.#texts![this.#placeOf(nth)]!;
    return uidOfBytes(this.#records.bytes, nth * RECORD_BYTES);
  }

  /** The bytes of a usual uid, until the next signal is put in; undefined for any other. */
  bytesOf(nth: number): Uint8Array | undefined {
    const from = nth * RECORD_BYTES;
    return this.#isOdd(nth) ? undefined : this.#records.bytes.subarray(from, from + UID_BYTES);
  }

  timeOf(nth: number): number {
    return this.#records.view.getFloat64(nth * RECORD_BYTES + TIME);
  }

  markOf(nth: number): number {
    return Math.floor(this.#markedOf(nth) / BESIDE_MARK);
  }

  /** Where they came from, each once. */
  get contexts(): readonly Context[] {
    return this.#contexts;
  }

  contextOf(nth: number): Context {
    return this.#contexts[this.contextPlaceOf(nth)]!;
  }

  /** Where that is among `contexts`. */
  contextPlaceOf(nth: number): number {
    return this.#records.view.getUint32(nth * RECORD_BYTES + CONTEXT);
  }

  textOf(nth: number): string {
    const place = this.#placeOf(nth);
    return place === BLANK ? "" : this.#texts![this.#isOdd(nth) ? place + 1 : place]!;
  }

  supportOf(nth: number): number {
    return this.#records.view.getUint32(nth * RECORD_BYTES + SUPPORT);
  }

  /** Notes evidence that is greater. */
  setSupport(nth: number, support: number): void {
    this.#records.view.setUint32(nth * RECORD_BYTES + SUPPORT, support);
  }

  /** True while better evidence for it may still come. */
  isOpen(nth: number): boolean {
    return (this.#markedOf(nth) & OPEN) !== 0;
  }

  setOpen(nth: number, open: boolean): void {
    const marked = this.#markedOf(nth);
    this.#records.view.setUint32(nth * RECORD_BYTES + MARKED, open ? marked | OPEN : marked & ~OPEN);
  }

  /** From what its own rows were last written, 0 before; see derive.ts. */
  writtenOf(nth: number): number {
    return this.#records.view.getFloat64(nth * RECORD_BYTES + WRITTEN);
  }

  setWritten(nth: number, from: number): void {
    this.#records.view.setFloat64(nth * RECORD_BYTES + WRITTEN, from);
  }

  /** Where a signal is, or the complement of where it belongs; most come last. */
  find(place: Place): number {
    let low = 0;
    let high = this.length;
    if (high === 0 || this.#compare(high - 1, place) < 0) return ~high;
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = this.#compare(middle, place);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return ~low;
  }

  /** Puts one that is not here where it belongs; closed, and with no rows written. */
  insert(nth: number, { uid, timeMs, mark, context, text, support }: Signal): void {
    const from = this.#records.insert(nth);
    const bytes = usualBytes(uid);
    if (bytes !== undefined) this.#records.bytes.set(bytes, from);
    const { view } = this.#records;
    view.setFloat64(from + TIME, timeMs);
    view.setFloat64(from + WRITTEN, 0);
    view.setUint32(from + MARKED, mark * BESIDE_MARK + (bytes === undefined ? ODD : 0));
    view.setUint32(from + SUPPORT, support);
    view.setUint32(from + CONTEXT, this.#placeOfContext(context));
    const place = bytes === undefined ? this.#keep([uid, text]) : text === "" ? BLANK : this.#keep([text]);
    view.setUint32(from + TEXT, place);
  }

  /** What is left without the first ones. */
  without(first: number): Signals {
    const rest = new Signals();
    rest.#records = this.#records.without(first);
    for (let nth = 0; nth < rest.length; nth++) {
      const context = rest.#placeOfContext(this.contextOf(first + nth));
      rest.#records.view.setUint32(nth * RECORD_BYTES + CONTEXT, context);
      const place = rest.#placeOf(nth);
      if (place === BLANK) continue;
      const texts = this.#texts!.slice(place, place + (rest.#isOdd(nth) ? 2 : 1));
      rest.#records.view.setUint32(nth * RECORD_BYTES + TEXT, rest.#keep(texts));
    }
    return rest;
  }

  #compare(nth: number, place: Place): number {
    const order = compareInstants(this.timeOf(nth), this.markOf(nth), place.timeMs, place.mark);
    if (order !== 0) return order;
    const bytes = usualBytes(place.uid);
    if (bytes === undefined || this.#isOdd(nth)) return compareUids(this.uidOf(nth), place.uid);
    return compareBytes(this.#records.bytes, nth * RECORD_BYTES, bytes);
  }

  #markedOf(nth: number): number {
    return this.#records.view.getUint32(nth * RECORD_BYTES + MARKED);
  }

  #isOdd(nth: number): boolean {
    return (this.#markedOf(nth) & ODD) !== 0;
  }

  #placeOf(nth: number): number {
    return this.#records.view.getUint32(nth * RECORD_BYTES + TEXT);
  }

  #placeOfContext(context: Context): number {
    const known = this.#contexts.lastIndexOf(context);
    return known >= 0 ? known : this.#contexts.push(context) - 1;
  }

  /** Keeps texts, and returns where the first stands. */
  #keep(texts: readonly string[]): number {
    this.#texts ??= [];
    return this.#texts.push(...texts) - texts.length;
  }
}
