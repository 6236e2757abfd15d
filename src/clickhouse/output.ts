/** Bytes of the Native format as they are written: texts with their lengths, integers little-endian. */
import { givePiece, NOTHING, takePiece } from "./pieces.ts";

export const TWO_32 = 4_294_967_296;

/** Of a column with many rows; a power of two. */
const MOST_BYTES = 32_768;

/** Up to this length a loop over the characters is faster than two calls into native code. */
const SHORT = 64;

/** Bytes in pieces, so that nothing is copied when there are more. */
export class Output {
  /** The pieces before the one that is being filled, and how much of each is. */
  readonly #full: Buffer[] = [];
  readonly #ends: number[] = [];
  /** The piece that is being filled, and up to where it is. */
  bytes: Buffer = NOTHING;
  view = viewOf(NOTHING);
  at = 0;

  /** Makes sure that so many bytes fit in one piece, and returns where they begin; may replace the piece. */
  room(size: number): number {
    if (this.at + size > this.bytes.length) this.#begin(size);
    const from = this.at;
    this.at += size;
    return from;
  }

  #begin(size: number): void {
    if (this.at > 0) {
      this.#full.push(this.bytes);
      this.#ends.push(this.at);
    }
    this.bytes = takePiece(Math.max(Math.min(2 * this.bytes.length, MOST_BYTES), size));
    this.view = viewOf(this.bytes);
    this.at = 0;
  }

  /** Puts all of it behind these pieces, until it is released. */
  addTo(pieces: Uint8Array[]): void {
    for (const [nth, piece] of this.#full.entries()) pieces.push(piece.subarray(0, this.#ends[nth]));
    pieces.push(this.bytes.subarray(0, this.at));
  }

  /** Empties it, and gives its pieces to whoever writes next: nobody may read them any more. */
  release(): void {
    for (const piece of [...this.#full.splice(0), this.bytes]) givePiece(piece);
    this.#ends.length = 0;
    this.bytes = NOTHING;
    this.view = viewOf(NOTHING);
    this.at = 0;
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
