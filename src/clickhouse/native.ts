/**
 * Rows in ClickHouse's Native format: what an insert sends. Column after column, so that here as in the engine one loop
 * reads all values of a type, and a name that many rows share goes once (LowCardinality). Texts go as the bytes they are.
 *
 * Values that a type cannot hold are errors of ours and throw; nothing is cut or wrapped.
 */

import { LatecomerError } from "../errors.ts";

/** Writes the values of a column; `undefined` counts as NULL. */
type Write = (out: Output, values: readonly unknown[]) => void;

/** A buffer that grows. */
class Output {
  bytes = Buffer.allocUnsafe(1 << 16);
  view = viewOf(this.bytes);
  at = 0;

  /** Makes sure that so many bytes fit, and returns where they begin; may replace the buffer. */
  room(size: number): number {
    const from = this.at;
    this.at += size;
    if (this.at > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at));
      this.bytes.copy(larger, 0, 0, from);
      this.bytes = larger;
      this.view = viewOf(larger);
    }
    return from;
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

/** Which of them are NULL, then all of them, with a value that does not count in the place of each NULL. */
function nullable(inner: Write, instead: string | number): Write {
  return (out, values) => {
    let at = out.room(values.length);
    const { bytes } = out;
    const there = new Array<unknown>(values.length);
    for (let nth = 0; nth < values.length; nth++) {
      const value = values[nth];
      bytes[at++] = isNull(value) ? 1 : 0;
      there[nth] = isNull(value) ? instead : value;
    }
    inner(out, there);
  };
}

/** Where each list ends, counted from the first, then what they hold, one list after the other. */
function lists(inner: Write): Write {
  return (out, values) => {
    const held: unknown[] = [];
    for (let nth = 0; nth < values.length; nth++) {
      const list = values[nth] as readonly unknown[];
      for (let at = 0; at < list.length; at++) held.push(list[at]);
      out.uint64(held.length);
    }
    inner(out, held);
  };
}

/** The names follow with the column, and no dictionary of the server's is meant. */
const DICTIONARY_VERSION = 1;
const HAS_NAMES = 0x600;

/** The names that there are, then for each row the number of its name; the number 0 of nullable ones is NULL. */
function lowCardinality(isNullable: boolean): Write {
  return (out, values) => {
    const names: unknown[] = isNullable ? [""] : [];
    const known = new Map<unknown, number>();
    const numbers = new Uint32Array(values.length);
    let last: unknown;
    let number = 0;
    for (let at = 0; at < values.length; at++) {
      const value = values[at];
      if (isNullable && isNull(value)) continue;
      // Most are the same as the one before them.
      if (value !== last || known.size === 0) {
        last = value;
        const found = known.get(value);
        number = found ?? names.length;
        if (found === undefined) known.set(value, names.push(value) - 1);
      }
      numbers[at] = number;
    }
    const width = names.length <= 256 ? 0 : names.length <= 65_536 ? 1 : 2;
    out.uint64(DICTIONARY_VERSION);
    out.uint64(HAS_NAMES + width);
    out.uint64(names.length);
    texts(out, names);
    out.uint64(numbers.length);
    const packed = width === 0 ? Uint8Array.from(numbers) : width === 1 ? Uint16Array.from(numbers) : numbers;
    const at = out.room(packed.byteLength);
    out.bytes.set(new Uint8Array(packed.buffer), at);
  };
}

function isNull(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

/** How a type is written. Instants are ticks of their type: milliseconds for `DateTime64(3)`. */
function writerOf(type: string): Write {
  const fixed = FIXED[type];
  if (fixed !== undefined) return fixed;
  if (type === "LowCardinality(String)") return lowCardinality(false);
  if (type === "LowCardinality(Nullable(String))") return lowCardinality(true);
  const [, wrapper, inner = ""] = /^(Nullable|Array)\((.*)\)$/.exec(type) ?? [];
  if (wrapper === "Nullable") return nullable(writerOf(inner), inner === "String" ? "" : 0);
  // The names of all lists' values would have to go before the lists.
  if (wrapper === "Array" && !inner.includes("LowCardinality(")) return lists(writerOf(inner));
  if (type.startsWith("DateTime64(")) return FIXED.Int64!;
  if (type.startsWith("DateTime(") || type === "DateTime") return FIXED.UInt32!;
  throw new TypeError(`no writer for the column type ${type}`);
}

/** One row to insert: its values in the order of the columns, or by column name (an absent name is NULL). */
export type InsertRow = readonly unknown[] | Readonly<Record<string, unknown>>;

/**
 * Rows as one block of Native. A value that its type cannot hold throws ROW_INVALID (fatal), which names row and column
 * and not the value.
 */
export function encodeRows(
  columns: readonly string[],
  types: readonly string[],
  rows: readonly InsertRow[],
): Uint8Array {
  const short = rows.findIndex((row) => Array.isArray(row) && row.length !== columns.length);
  if (short >= 0) {
    const { length } = rows[short] as readonly unknown[];
    throw invalid(`row ${short + 1}: ${length} values for ${columns.length} columns`);
  }
  const out = new Output();
  out.varint(columns.length);
  out.varint(rows.length);
  const values = new Array<unknown>(rows.length);
  for (const [column, name] of columns.entries()) {
    const type = types[column]!;
    const write = writerOf(type);
    for (let at = 0; at < rows.length; at++) {
      const row = rows[at] as Readonly<Record<string | number, unknown>>;
      values[at] = row[Array.isArray(row) ? column : name];
    }
    out.text(name);
    out.text(type);
    try {
      write(out, values);
    } catch {
      const at = values.findIndex((value) => !canWrite(write, value));
      throw invalid(`column ${name}, row ${at + 1}: the value does not fit ${type}`);
    }
  }
  return out.bytes.subarray(0, out.at);
}

function canWrite(write: Write, value: unknown): boolean {
  try {
    write(new Output(), [value]);
    return true;
  } catch {
    return false;
  }
}

function invalid(why: string): LatecomerError {
  return new LatecomerError("ROW_INVALID", "fatal", why);
}
