/** Numbers and texts as bytes, for what is kept in memory: small numbers in one byte each, texts as UTF-8. */
import { grown } from "./grown.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A number of 53 bits is so many times seven bits. */
const LONGEST_WHOLE = 8;

/** True when a text takes at most so many bytes. */
export function fitsBytes(text: string, most: number): boolean {
  // A UTF-16 unit is at most three bytes, so only what is near the limit must be measured.
  return text.length * 3 <= most || (text.length <= most && encoder.encode(text).length <= most);
}

/** Bytes that grow at their end, and are used again. */
export class ByteWriter {
  #bytes = new Uint8Array(1_024);
  #length = 0;

  /** What was written since `clear`; a view that the next write may change. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** Writes a whole number from 0 to `Number.MAX_SAFE_INTEGER`. */
  whole(value: number): void {
    const room = this.room(LONGEST_WHOLE);
    let length = 0;
    for (; value > 127; value = Math.floor(value / 128)) room[length++] = 128 + value % 128;
    room[length++] = value;
    this.#length += length - LONGEST_WHOLE;
  }

  /** Writes a text without lone surrogates. */
  text(text: string): void {
    const bytes = encoder.encode(text);
    this.whole(bytes.length);
    this.room(bytes.length).set(bytes);
  }

  /** Counts so many bytes as written, and returns them to be filled. */
  room(length: number): Uint8Array {
    const from = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) this.#bytes = grown(this.#bytes, 2 * this.#length);
    return this.#bytes.subarray(from, this.#length);
  }
}

/** Reads what a `ByteWriter` wrote, in the same order. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  whole(): number {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const byte = this.#bytes[this.#at++]!;
      value += byte % 128 * scale;
      if (byte < 128) return value;
    }
  }

  text(): string {
    return decoder.decode(this.take(this.whole()));
  }

  /** How many bytes were read. */
  get at(): number {
    return this.#at;
  }

  /** The next so many bytes. */
  take(length: number): Uint8Array {
    return this.#bytes.subarray(this.#at, this.#at += length);
  }

  /** Passes over the next so many bytes. */
  skip(length: number): void {
    this.#at += length;
  }
}
