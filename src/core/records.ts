/** Records of one size in a row, outside the heap of objects: what lies there costs what it is long, and is not collected. */
import { grown } from "./grown.ts";

/** As many as a row begins with; it grows by half. */
const LEAST_RECORDS = 8;

export class Records {
  /** How many bytes each has. */
  readonly #size: number;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** How many there are. */
  get length(): number {
    return this.#length;
  }

  /** All bytes, to be looked at or changed until the next one is inserted. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** The numbers in them, for as long. */
  get view(): DataView {
    return this.#view;
  }

  /** A copy without the first ones. */
  without(first: number): Records {
    const rest = new Records(this.#size);
    rest.#bytes = this.#bytes.slice(first * this.#size, this.#length * this.#size);
    rest.#view = new DataView(rest.#bytes.buffer);
    rest.#length = this.#length - first;
    return rest;
  }

  /** Makes a place for another before the one that is there, and returns where it begins; what it holds is left over. */
  insert(nth: number): number {
    const from = nth * this.#size;
    const end = this.#length++ * this.#size;
    if (end + this.#size > this.#bytes.length) {
      this.#bytes = grown(this.#bytes, Math.max(LEAST_RECORDS, Math.ceil(1.5 * this.#length)) * this.#size);
      this.#view = new DataView(this.#bytes.buffer);
    }
    this.#bytes.copyWithin(from + this.#size, from, end);
    return from;
  }
}
