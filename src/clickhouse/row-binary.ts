/**
 * Rows in ClickHouse's RowBinary: what an insert sends. Texts go as the bytes they are, where JSON would escape them
 * here and unescape them there; archived messages are JSON inside JSON, so that was most of the cost of an insert.
 *
 * Numbers that a type cannot hold are errors of ours and throw; nothing is cut or wrapped.
 */

import { LatecomerError } from "../errors.ts";

/** Writes one value of a type; `undefined` counts as NULL. */
type Write = (out: Output, value: unknown) => void;

/** A buffer that grows. */
class Output {
  bytes = Buffer.allocUnsafe(1 << 16);
  at = 0;

  /** Makes sure that so many bytes fit, and returns where they begin. */
  room(size: number): number {
    const from = this.at;
    if (from + size > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, from + size));
      this.bytes.copy(larger, 0, 0, from);
      this.bytes = larger;
    }
    this.at = from + size;
    return from;
  }

  varint(value: number): void {
    for (;; value >>>= 7) {
      const at = this.room(1); // First the room, for it may replace the buffer.
      this.bytes[at] = value > 127 ? (value & 127) | 128 : value;
      if (value <= 127) return;
    }
  }
}

const TWO_32 = 4_294_967_296;

/** Up to this length a loop over the characters is faster than two calls into native code. */
const SHORT = 48;

function text(out: Output, value: unknown): void {
  if (typeof value !== "string") return bytes(out, value);
  if (value.length <= SHORT && shortAscii(out, value)) return;
  const size = Buffer.byteLength(value);
  out.varint(size);
  const at = out.room(size);
  // Half of a surrogate pair, which UTF-8 cannot carry, becomes U+FFFD.
  out.bytes.write(value, at, size, "utf8");
}

/** Bytes are text that is kept as it came. */
function bytes(out: Output, value: unknown): void {
  if (!(value instanceof Uint8Array)) throw new TypeError(`expected a text, got ${typeof value}`);
  out.varint(value.length);
  const from = out.room(value.length); // First the room, for it may replace the buffer.
  out.bytes.set(value, from);
}

/** Writes a short text that is ASCII; otherwise writes nothing and says so. */
function shortAscii(out: Output, value: string): boolean {
  const { length } = value;
  const from = out.room(length + 1);
  const buffer = out.bytes;
  buffer[from] = length;
  for (let at = 0; at < length; at++) {
    const code = value.charCodeAt(at);
    if (code > 127) {
      out.at = from;
      return false;
    }
    buffer[from + 1 + at] = code;
  }
  return true;
}

/** A number, or one as decimal text. */
function numeric(value: unknown): number {
  const number = typeof value === "string" ? Number(value) : value;
  if (typeof number !== "number" || Number.isNaN(number)) throw new TypeError("expected a number");
  return number;
}

/** An integer of 1, 2 or 4 bytes, little-endian, whole and within [low, high]. */
function small(size: 1 | 2 | 4, low: number, high: number): Write {
  return (out, value) => {
    const number = numeric(value);
    if (!Number.isInteger(number) || number < low || number > high) {
      throw new RangeError(`expected a whole number from ${low} to ${high}`);
    }
    const at = out.room(size); // First the room, for it may replace the buffer.
    for (let byte = 0; byte < size; byte++) out.bytes[at + byte] = number >> (8 * byte);
  };
}

/** An integer of 64 bits and more, given as a number or as decimal text, within [low, high]. */
function wide(words: number, low: bigint, high: bigint): Write {
  return (out, value) => {
    const at = out.room(8 * words);
    if (words === 1 && typeof value === "number" && Number.isSafeInteger(value) && (value >= 0 || low < 0n)) {
      const upper = Math.floor(value / TWO_32);
      out.bytes.writeUInt32LE(value - upper * TWO_32, at);
      out.bytes.writeInt32LE(upper, at + 4);
      return;
    }
    let rest = BigInt(value as string | number);
    if (rest < low || rest > high) throw new RangeError(`expected a whole number of ${64 * words} bits`);
    for (let word = 0; word < words; word++) {
      out.bytes.writeBigUInt64LE(BigInt.asUintN(64, rest), at + 8 * word);
      rest >>= 64n;
    }
  };
}

function unsigned(bits: number): [low: bigint, high: bigint] {
  return [0n, 2n ** BigInt(bits) - 1n];
}

function float(size: 4 | 8): Write {
  return (out, value) => {
    const number = numeric(value);
    const at = out.room(size);
    if (size === 4) out.bytes.writeFloatLE(number, at);
    else out.bytes.writeDoubleLE(number, at);
  };
}

const FIXED: Readonly<Record<string, Write>> = {
  String: text,
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

/** How a type is written. Instants are ticks of their type: milliseconds for `DateTime64(3)`. */
function writerOf(type: string): Write {
  const fixed = FIXED[type];
  if (fixed !== undefined) return fixed;
  const wrapped = /^(LowCardinality|Nullable|Array)\((.*)\)$/.exec(type);
  if (wrapped !== null) {
    const inner = writerOf(wrapped[2]!);
    if (wrapped[1] === "LowCardinality") return inner;
    if (wrapped[1] === "Array") {
      return (out, value) => {
        out.varint((value as unknown[]).length);
        for (const one of value as unknown[]) inner(out, one);
      };
    }
    return (out, value) => {
      const isNull = value === null || value === undefined;
      const at = out.room(1);
      out.bytes[at] = isNull ? 1 : 0;
      if (!isNull) inner(out, value);
    };
  }
  if (type.startsWith("DateTime64(")) return FIXED.Int64!;
  if (type.startsWith("DateTime(") || type === "DateTime") return FIXED.UInt32!;
  throw new TypeError(`no writer for the column type ${type}`);
}

/** One row to insert: its values in the order of the columns, or by column name (an absent name is NULL). */
export type InsertRow = readonly unknown[] | Readonly<Record<string, unknown>>;

/**
 * Rows as one block of RowBinary. A value that its type cannot hold throws ROW_INVALID (fatal), which names row and
 * column and not the value.
 */
export function encodeRows(
  columns: readonly string[],
  types: readonly string[],
  rows: readonly InsertRow[],
): Uint8Array {
  const writers = types.map(writerOf);
  const out = new Output();
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]!;
    const isList = Array.isArray(row);
    if (isList && row.length !== columns.length) {
      throw new LatecomerError(
        "ROW_INVALID",
        "fatal",
        `row ${at + 1}: ${row.length} values for ${columns.length} columns`,
      );
    }
    const values = row as Readonly<Record<string | number, unknown>>;
    for (let column = 0; column < writers.length; column++) {
      try {
        writers[column]!(out, values[isList ? column : columns[column]!]);
      } catch {
        const place = `column ${columns[column]}, row ${at + 1}`;
        throw new LatecomerError("ROW_INVALID", "fatal", `${place}: the value does not fit ${types[column]}`);
      }
    }
  }
  return out.bytes.subarray(0, out.at);
}
