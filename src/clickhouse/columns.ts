/**
 * Columns of the Native format by the types of ClickHouse. Values that a type cannot hold are errors of ours and throw;
 * nothing is cut or wrapped.
 */
import { Output, TWO_32 } from "./output.ts";

/** Writes the values of a column; `undefined` counts as NULL. */
type Write = (out: Output, values: readonly unknown[]) => void;

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
export interface Column {
  /** Throws when one of them does not fit; the column is of no use then. */
  add(values: readonly unknown[]): void;
  /** Puts the bytes of all of them behind these pieces, until `release`. */
  addTo(pieces: Uint8Array[]): void;
  /** As which type these bytes go: the column's, or one that the engine makes it of. */
  readonly type: string;
  /** Gives its memory to whoever writes next; the column is of no use then. */
  release(): void;
}

/** Values one after the other. */
class Plain implements Column {
  readonly type: string;
  readonly #write: Write;
  readonly #out = new Output();

  constructor(type: string, write: Write) {
    this.type = type;
    this.#write = write;
  }

  add(values: readonly unknown[]): void {
    this.#write(this.#out, values);
  }

  addTo(pieces: Uint8Array[]): void {
    this.#out.addTo(pieces);
  }

  release(): void {
    this.#out.release();
  }
}

/** A column of values that something is said of before them. */
abstract class Headed implements Column {
  readonly type: string;
  protected readonly head = new Output();
  protected readonly inner: Column;

  constructor(type: string, inner: Column) {
    this.type = type;
    this.inner = inner;
  }

  abstract add(values: readonly unknown[]): void;

  addTo(pieces: Uint8Array[]): void {
    this.head.addTo(pieces);
    this.inner.addTo(pieces);
  }

  release(): void {
    this.head.release();
    this.inner.release();
  }
}

/** Which values are NULL, then all of them, with one that does not count in the place of each NULL. */
class Nullable extends Headed {
  readonly #instead: string | number;

  constructor(type: string, inner: Column, instead: string | number) {
    super(type, inner);
    this.#instead = instead;
  }

  add(values: readonly unknown[]): void {
    let at = this.head.room(values.length);
    const { bytes } = this.head;
    const there = new Array<unknown>(values.length);
    for (let nth = 0; nth < values.length; nth++) {
      const value = values[nth];
      bytes[at++] = isNull(value) ? 1 : 0;
      there[nth] = isNull(value) ? this.#instead : value;
    }
    this.inner.add(there);
  }
}

/** Where each list ends, counted from the first, then what they hold, one list after the other. */
class Lists extends Headed {
  #held = 0;

  add(values: readonly unknown[]): void {
    const held: unknown[] = [];
    for (let nth = 0; nth < values.length; nth++) {
      const list = values[nth] as readonly unknown[];
      for (let at = 0; at < list.length; at++) held.push(list[at]);
      this.head.uint64(this.#held + held.length);
    }
    this.#held += held.length;
    this.inner.add(held);
  }
}

/** The names follow with the column, and no dictionary of the server's is meant. */
const DICTIONARY_VERSION = 1;
const HAS_NAMES = 0x600;

type Text = "String" | "Nullable(String)";

/** The names that there are, then for each row the number of its name; the number 0 of nullable ones is NULL. */
class Names implements Column {
  readonly type: string;
  readonly #isNullable: boolean;
  readonly #known = new Map<unknown, number>();
  readonly #names = new Output();
  #nameCount = 0;
  #numbers = new Uint32Array(64);
  #rowCount = 0;
  #last: unknown;
  #lastNumber = 0;

  /** Of texts of this type. */
  constructor(type: Text) {
    this.type = `LowCardinality(${type})`;
    this.#isNullable = type === "Nullable(String)";
    if (this.#isNullable) this.#name("");
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  get nameCount(): number {
    return this.#nameCount;
  }

  /** All that were added. */
  values(): unknown[] {
    const names = [...this.#isNullable ? [null] : [], ...this.#known.keys()];
    return Array.from(this.#numbers.subarray(0, this.#rowCount), (number) => names[number]);
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
    pieces.push(words(DICTIONARY_VERSION, HAS_NAMES + width, this.#nameCount));
    this.#names.addTo(pieces);
    pieces.push(words(this.#rowCount));
    const numbers = this.#numbers.subarray(0, this.#rowCount);
    const packed = width === 0 ? Uint8Array.from(numbers) : width === 1 ? Uint16Array.from(numbers) : numbers;
    pieces.push(new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength));
  }

  release(): void {
    this.#names.release();
  }

  /** The number of a name that was not there. */
  #name(name: unknown): number {
    this.#names.text(name);
    return this.#nameCount++;
  }
}

/** So many rows tell whether texts repeat, and are worth a list of names. */
const ENOUGH_ROWS = 128;

/** Texts repeat while one in so many is another. */
const REPEATED = 4;

/**
 * Texts of a table's column as names while they repeat, as the address and url of a node do in the hundreds of rows that a
 * capability message has of it: a backlog of these took six times the memory, and an event a fifth more CPU, here and in
 * the engine (measured).
 */
class Texts implements Column {
  readonly #type: Text;
  #names: Names | undefined;
  #column: Column;

  constructor(type: Text) {
    this.#type = type;
    this.#column = this.#names = new Names(type);
  }

  get type(): string {
    return this.#column.type;
  }

  add(values: readonly unknown[]): void {
    this.#column.add(values);
    if (this.#names === undefined || this.#names.rowCount < ENOUGH_ROWS) return;
    if (REPEATED * this.#names.nameCount > this.#names.rowCount) this.#spell(this.#names);
  }

  addTo(pieces: Uint8Array[]): void {
    if (this.#names !== undefined && this.#names.rowCount < ENOUGH_ROWS) this.#spell(this.#names);
    this.#column.addTo(pieces);
  }

  release(): void {
    this.#column.release();
  }

  /** Goes on without names. */
  #spell(names: Names): void {
    this.#names = undefined;
    this.#column = columnOf(this.#type);
    this.#column.add(names.values());
    names.release();
  }
}

/** Integers of 64 bits. */
function words(...values: number[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values, BigInt).buffer);
}

function isNull(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

/** The column of a table's type. Instants are ticks of their type: milliseconds for `DateTime64(3)`. */
export function tableColumnOf(type: string): Column {
  return type === "String" || type === "Nullable(String)" ? new Texts(type) : columnOf(type);
}

function columnOf(type: string): Column {
  const fixed = FIXED[type];
  if (fixed !== undefined) return new Plain(type, fixed);
  if (type === "LowCardinality(String)") return new Names("String");
  if (type === "LowCardinality(Nullable(String))") return new Names("Nullable(String)");
  const [, wrapper, inner = ""] = /^(Nullable|Array)\((.*)\)$/.exec(type) ?? [];
  if (wrapper === "Nullable") return new Nullable(type, columnOf(inner), inner === "String" ? "" : 0);
  // The names of all lists' values would have to go before the lists.
  if (wrapper === "Array" && !inner.includes("LowCardinality(")) return new Lists(type, columnOf(inner));
  if (type.startsWith("DateTime64(")) return new Plain(type, FIXED.Int64!);
  if (type.startsWith("DateTime(") || type === "DateTime") return new Plain(type, FIXED.UInt32!);
  throw new TypeError(`no writer for the column type ${type}`);
}
