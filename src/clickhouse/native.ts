/**
 * Rows in ClickHouse's Native format: what an insert sends. Column after column, so that here as in the engine one loop
 * reads all values of a type, and a name that many rows share goes once (LowCardinality). Texts go as the bytes they are.
 * A block takes rows a few at a time, and nothing of them but these bytes outlives that: a batch of objects would be
 * copied by the garbage collector, twice, before it is sent.
 *
 * Values that a type cannot hold are errors of ours and throw; nothing is cut or wrapped.
 */

import { LatecomerError } from "../errors.ts";

/** Writes the values of a column; `undefined` counts as NULL. */
type Write = (out: Output, values: readonly unknown[]) => void;

/** The first piece of an output: most columns of most tables have a handful of rows in a batch; and the largest usual. */
const FIRST_BYTES = 256;
const MOST_BYTES = 262_144;

/** Bytes in pieces, so that nothing is copied when there are more. */
class Output {
  readonly #full: Uint8Array[] = [];
  /** The piece that is being filled, and up to where it is. */
  bytes = Buffer.allocUnsafe(FIRST_BYTES);
  view = viewOf(this.bytes);
  at = 0;

  /** Makes sure that so many bytes fit in one piece, and returns where they begin; may replace the piece. */
  room(size: number): number {
    if (this.at + size > this.bytes.length) {
      this.#full.push(this.bytes.subarray(0, this.at));
      this.bytes = Buffer.allocUnsafe(Math.max(Math.min(2 * this.bytes.length, MOST_BYTES), size));
      this.view = viewOf(this.bytes);
      this.at = 0;
    }
    const from = this.at;
    this.at += size;
    return from;
  }

  /** Puts all of it behind these pieces. */
  addTo(pieces: Uint8Array[]): void {
    for (const piece of this.#full) pieces.push(piece);
    pieces.push(this.bytes.subarray(0, this.at));
  }

  varint(value: number): void {
    for (;; value >>>= 7) {
      const at = this.room(1);
      this.bytes[at] = value > 127 ? (value & 127) | 128 : value;
      if (value <= 127) return;
    }
  }

  uint64(value: number): void {
    const at = this.room(8);
    this.view.setUint32(at, value % TWO_32, true);
    this.view.setUint32(at + 4, Math.floor(value / TWO_32), true);
  }

  text(value: unknown): void {
    if (typeof value !== "string") return this.raw(value);
    if (value.length <= SHORT && this.#shortAscii(value)) return;
    const size = Buffer.byteLength(value);
    this.varint(size);
    const at = this.room(size);
    // Half of a surrogate pair, which UTF-8 cannot carry, becomes U+FFFD.
    this.bytes.write(value, at, size, "utf8");
  }

  /** Bytes are text that is kept as it came. */
  raw(value: unknown): void {
    if (!(value instanceof Uint8Array)) throw new TypeError(`expected a text, got ${typeof value}`);
    this.varint(value.length);
    const from = this.room(value.length);
    this.bytes.set(value, from);
  }

  /** Writes a short text that is ASCII; otherwise writes nothing and says so. */
  #shortAscii(value: string): boolean {
    const { length } = value;
    const from = this.room(length + 1);
    const { bytes } = this;
    bytes[from] = length;
    for (let at = 0; at < length; at++) {
      const code = value.charCodeAt(at);
      if (code > 127) {
        this.at = from;
        return false;
      }
      bytes[from + 1 + at] = code;
    }
    return true;
  }
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}

const TWO_32 = 4_294_967_296;

/** Up to this length a loop over the characters is faster than two calls into native code. */
const SHORT = 64;

// Values are counted through and not iterated over, which makes an object for each.

function texts(out: Output, values: readonly unknown[]): void {
  for (let nth = 0; nth < values.length; nth++) out.text(values[nth]);
}

/** A number, or one as decimal text. */
function numeric(value: unknown): number {
  const number = typeof value === "string" ? Number(value) : value;
  if (typeof number !== "number" || Number.isNaN(number)) throw new TypeError("expected a number");
  return number;
}

/** Integers of 1, 2 or 4 bytes, little-endian, whole and within [low, high]. */
function small(size: 1 | 2 | 4, low: number, high: number): Write {
  return (out, values) => {
    let at = out.room(size * values.length);
    const { bytes } = out;
    for (let nth = 0; nth < values.length; nth++) {
      const number = numeric(values[nth]);
      if (!Number.isInteger(number) || number < low || number > high) {
        throw new RangeError(`expected a whole number from ${low} to ${high}`);
      }
      for (let byte = 0; byte < size; byte++) bytes[at++] = number >> (8 * byte);
    }
  };
}

/** Integers of 64 bits and more, given as numbers or as decimal text, within [low, high]. */
function wide(words: number, low: bigint, high: bigint): Write {
  return (out, values) => {
    let at = out.room(8 * words * values.length);
    const { view } = out;
    for (let nth = 0; nth < values.length; nth++) {
      const value = values[nth];
      if (words === 1 && typeof value === "number" && Number.isSafeInteger(value) && (value >= 0 || low < 0n)) {
        const upper = Math.floor(value / TWO_32);
        view.setUint32(at, value - upper * TWO_32, true);
        view.setInt32(at + 4, upper, true);
        at += 8;
        continue;
      }
      let rest = BigInt(value as string | number);
      if (rest < low || rest > high) throw new RangeError(`expected a whole number of ${64 * words} bits`);
      for (let word = 0; word < words; word++, at += 8) {
        view.setBigUint64(at, BigInt.asUintN(64, rest), true);
        rest >>= 64n;
      }
    }
  };
}

function unsigned(bits: number): [low: bigint, high: bigint] {
  return [0n, 2n ** BigInt(bits) - 1n];
}

function float(size: 4 | 8): Write {
  return (out, values) => {
    let at = out.room(size * values.length);
    const { view } = out;
    for (let nth = 0; nth < values.length; nth++) {
      const number = numeric(values[nth]);
      if (size === 4) view.setFloat32(at, number, true);
      else view.setFloat64(at, number, true);
      at += size;
    }
  };
}

const FIXED: Readonly<Record<string, Write>> = {
  String: texts,
  UInt8: small(1, 0, 255),
  UInt16: small(2, 0, 65_535),
  UInt32: small(4, 0, TWO_32 - 1),
  Int32: small(4, -TWO_32 / 2, TWO_32 / 2 - 1),
  UInt64: wide(1, ...unsigned(64)),
  Int64: wide(1, -(2n ** 63n), 2n ** 63n - 1n),
  UInt128: wide(2, ...unsigned(128)),
  UInt256: wide(4, ...unsigned(256)),
  Float32: float(4),
  Float64: float(8),
};

/** The values of a column, as many as were added. */
interface Column {
  /** Throws when one of them does not fit; the column is of no use then. */
  add(values: readonly unknown[]): void;
  /** Puts the bytes of all of them behind these pieces. */
  addTo(pieces: Uint8Array[]): void;
}

/** Values one after the other. */
class Plain implements Column {
  readonly #write: Write;
  readonly #out = new Output();

  constructor(write: Write) {
    this.#write = write;
  }

  add(values: readonly unknown[]): void {
    this.#write(this.#out, values);
  }

  addTo(pieces: Uint8Array[]): void {
    this.#out.addTo(pieces);
  }
}

/** Which values are NULL, then all of them, with one that does not count in the place of each NULL. */
class Nullable implements Column {
  readonly #nulls = new Output();
  readonly #inner: Column;
  readonly #instead: string | number;

  constructor(inner: Column, instead: string | number) {
    this.#inner = inner;
    this.#instead = instead;
  }

  add(values: readonly unknown[]): void {
    let at = this.#nulls.room(values.length);
    const { bytes } = this.#nulls;
    const there = new Array<unknown>(values.length);
    for (let nth = 0; nth < values.length; nth++) {
      const value = values[nth];
      bytes[at++] = isNull(value) ? 1 : 0;
      there[nth] = isNull(value) ? this.#instead : value;
    }
    this.#inner.add(there);
  }

  addTo(pieces: Uint8Array[]): void {
    this.#nulls.addTo(pieces);
    this.#inner.addTo(pieces);
  }
}

/** Where each list ends, counted from the first, then what they hold, one list after the other. */
class Lists implements Column {
  readonly #ends = new Output();
  readonly #inner: Column;
  #held = 0;

  constructor(inner: Column) {
    this.#inner = inner;
  }

  add(values: readonly unknown[]): void {
    const held: unknown[] = [];
    for (let nth = 0; nth < values.length; nth++) {
      const list = values[nth] as readonly unknown[];
      for (let at = 0; at < list.length; at++) held.push(list[at]);
      this.#ends.uint64(this.#held + held.length);
    }
    this.#held += held.length;
    this.#inner.add(held);
  }

  addTo(pieces: Uint8Array[]): void {
    this.#ends.addTo(pieces);
    this.#inner.addTo(pieces);
  }
}

/** The names follow with the column, and no dictionary of the server's is meant. */
const DICTIONARY_VERSION = 1;
const HAS_NAMES = 0x600;

/** The names that there are, then for each row the number of its name; the number 0 of nullable ones is NULL. */
class Names implements Column {
  readonly #isNullable: boolean;
  readonly #known = new Map<unknown, number>();
  readonly #names = new Output();
  #nameCount = 0;
  #numbers = new Uint32Array(FIRST_BYTES / 4);
  #rowCount = 0;
  #last: unknown;
  #lastNumber = 0;

  constructor(isNullable: boolean) {
    this.#isNullable = isNullable;
    if (isNullable) this.#name("");
  }

  add(values: readonly unknown[]): void {
    const from = this.#rowCount;
    this.#rowCount += values.length;
    if (this.#rowCount > this.#numbers.length) {
      const larger = new Uint32Array(Math.max(this.#rowCount, 2 * this.#numbers.length));
      larger.set(this.#numbers.subarray(0, from));
      this.#numbers = larger;
    }
    const numbers = this.#numbers;
    for (let nth = 0; nth < values.length; nth++) {
      const value = values[nth];
      if (this.#isNullable && isNull(value)) {
        numbers[from + nth] = 0;
        continue;
      }
      // Most are the same as the one before them.
      if (value !== this.#last || this.#known.size === 0) {
        const known = this.#known.get(value);
        this.#lastNumber = known ?? this.#name(value);
        if (known === undefined) this.#known.set(value, this.#lastNumber);
        this.#last = value;
      }
      numbers[from + nth] = this.#lastNumber;
    }
  }

  addTo(pieces: Uint8Array[]): void {
    const width = this.#nameCount <= 256 ? 0 : this.#nameCount <= 65_536 ? 1 : 2;
    const head = new Output();
    head.uint64(DICTIONARY_VERSION);
    head.uint64(HAS_NAMES + width);
    head.uint64(this.#nameCount);
    head.addTo(pieces);
    this.#names.addTo(pieces);
    const count = new Output();
    count.uint64(this.#rowCount);
    count.addTo(pieces);
    const numbers = this.#numbers.subarray(0, this.#rowCount);
    const packed = width === 0 ? Uint8Array.from(numbers) : width === 1 ? Uint16Array.from(numbers) : numbers;
    pieces.push(new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength));
  }

  /** The number of a name that was not there. */
  #name(name: unknown): number {
    this.#names.text(name);
    return this.#nameCount++;
  }
}

function isNull(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

/** The column of a type. Instants are ticks of their type: milliseconds for `DateTime64(3)`. */
function columnOf(type: string): Column {
  const fixed = FIXED[type];
  if (fixed !== undefined) return new Plain(fixed);
  if (type === "LowCardinality(String)") return new Names(false);
  if (type === "LowCardinality(Nullable(String))") return new Names(true);
  const [, wrapper, inner = ""] = /^(Nullable|Array)\((.*)\)$/.exec(type) ?? [];
  if (wrapper === "Nullable") return new Nullable(columnOf(inner), inner === "String" ? "" : 0);
  // The names of all lists' values would have to go before the lists.
  if (wrapper === "Array" && !inner.includes("LowCardinality(")) return new Lists(columnOf(inner));
  if (type.startsWith("DateTime64(")) return new Plain(FIXED.Int64!);
  if (type.startsWith("DateTime(") || type === "DateTime") return new Plain(FIXED.UInt32!);
  throw new TypeError(`no writer for the column type ${type}`);
}

/** One row to insert: its values in the order of the columns, or by column name (an absent name is NULL). */
export type InsertRow = readonly unknown[] | Readonly<Record<string, unknown>>;

/** Rows of a table as one block of Native, while it is filled. */
export class Block {
  readonly #names: readonly string[];
  readonly #types: readonly string[];
  readonly #columns: readonly Column[];
  #rowCount = 0;

  /** Types in the order of the columns. */
  constructor(columns: readonly string[], types: readonly string[]) {
    this.#names = columns;
    this.#types = types;
    this.#columns = types.map(columnOf);
  }

  /**
   * Adds rows, of which nothing is kept. A value that its type cannot hold throws ROW_INVALID (fatal), which names row
   * and column and not the value; the block is of no use then.
   */
  add(rows: readonly InsertRow[]): void {
    const names = this.#names;
    const short = rows.findIndex((row) => Array.isArray(row) && row.length !== names.length);
    if (short >= 0) {
      const { length } = rows[short] as readonly unknown[];
      throw invalid(`row ${this.#rowCount + short + 1}: ${length} values for ${names.length} columns`);
    }
    const values = new Array<unknown>(rows.length);
    for (let column = 0; column < names.length; column++) {
      const name = names[column]!;
      for (let at = 0; at < rows.length; at++) {
        const row = rows[at] as Readonly<Record<string | number, unknown>>;
        values[at] = row[Array.isArray(row) ? column : name];
      }
      try {
        this.#columns[column]!.add(values);
      } catch {
        const type = this.#types[column]!;
        const at = values.findIndex((value) => !fits(type, value));
        throw invalid(`column ${name}, row ${this.#rowCount + at + 1}: the value does not fit ${type}`);
      }
    }
    this.#rowCount += rows.length;
  }

  /** All rows that were added. */
  bytes(): Uint8Array {
    const pieces: Uint8Array[] = [];
    const head = new Output();
    head.varint(this.#columns.length);
    head.varint(this.#rowCount);
    head.addTo(pieces);
    for (const [nth, column] of this.#columns.entries()) {
      const name = new Output();
      name.text(this.#names[nth]);
      name.text(this.#types[nth]);
      name.addTo(pieces);
      column.addTo(pieces);
    }
    return Buffer.concat(pieces);
  }
}

function fits(type: string, value: unknown): boolean {
  try {
    columnOf(type).add([value]);
    return true;
  } catch {
    return false;
  }
}

function invalid(why: string): LatecomerError {
  return new LatecomerError("ROW_INVALID", "fatal", why);
}
