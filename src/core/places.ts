/**
 * Places of records by a hash of each: a table of open addresses with linear probing, some six bytes a place where a
 * `Map` takes forty. The hash is not kept; whoever asks tells the places apart.
 */

/** Marks an address that is free; places are at least 0. */
const NONE = -1;

const LEAST_ADDRESSES = 64;

/** Beyond four of five addresses taken the ways grow long; below one of eight the table is worth a smaller one. */
const MOST_TAKEN = 4 / 5;
const LEAST_TAKEN = 1 / 8;

/** A table that doubled would be half empty more often; one that grew by less would be made anew too often. */
const GROWTH = 4 / 3;

export class Places {
  readonly #hashOf: (place: number) => number;
  #addresses = new Int32Array(LEAST_ADDRESSES).fill(NONE);
  #size = 0;

  /** `hashOf` tells a place's hash, a whole number of 32 bits, for as long as the place is here. */
  constructor(hashOf: (place: number) => number) {
    this.#hashOf = hashOf;
  }

  get size(): number {
    return this.#size;
  }

  /** The place of this hash that is the wanted one, or undefined. */
  find(hash: number, isWanted: (place: number) => boolean): number | undefined {
    for (let at = this.#home(hash);; at = this.#after(at)) {
      const place = this.#addresses[at]!;
      if (place === NONE) return undefined;
      if (isWanted(place)) return place;
    }
  }

  add(place: number): void {
    const { length } = this.#addresses;
    if (this.#size >= MOST_TAKEN * length) this.#resize(Math.floor(GROWTH * length));
    this.#insert(place);
    this.#size++;
  }

  /** Removes a place that is here. */
  remove(place: number): void {
    let free = this.#home(this.#hashOf(place));
    while (this.#addresses[free] !== place) free = this.#after(free);
    // Whatever follows and would not be found beyond a free address moves up to it.
    for (let at = this.#after(free); this.#addresses[at] !== NONE; at = this.#after(at)) {
      const home = this.#home(this.#hashOf(this.#addresses[at]!));
      if (this.#way(home, at) < this.#way(free, at)) continue;
      this.#addresses[free] = this.#addresses[at]!;
      free = at;
    }
    this.#addresses[free] = NONE;
    this.#size--;
    const { length } = this.#addresses;
    if (length > LEAST_ADDRESSES && this.#size < LEAST_TAKEN * length) {
      this.#resize(Math.max(LEAST_ADDRESSES, Math.floor(length / 2)));
    }
  }

  #insert(place: number): void {
    let at = this.#home(this.#hashOf(place));
    while (this.#addresses[at] !== NONE) at = this.#after(at);
    this.#addresses[at] = place;
  }

  #resize(length: number): void {
    const before = this.#addresses;
    this.#addresses = new Int32Array(length).fill(NONE);
    for (const place of before) if (place !== NONE) this.#insert(place);
  }

  /** Hashes are spread evenly over the addresses, of which there may be any number. */
  #home(hash: number): number {
    return Math.floor((hash >>> 0) / 2 ** 32 * this.#addresses.length);
  }

  #after(at: number): number {
    return at + 1 === this.#addresses.length ? 0 : at + 1;
  }

  /** How many addresses lie from one to another, going up. */
  #way(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#addresses.length;
  }
}
