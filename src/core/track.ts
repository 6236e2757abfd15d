/** A track: the sightings of one url or one wallet, sorted by time. */
import { grown } from "./grown.ts";
import type { Sighting, Sightings } from "./sightings.ts";

/** Most names have many sightings; those that nobody else names must not take more than an object would. */
const LEAST_PLACES = 2;

const GROWTH = 4 / 3;

/** A track that lost so much of what it had room for gets a smaller one. */
const LEAST_TAKEN = 1 / 4;

export class Track {
  readonly #sightings: Sightings;
  #places = new Uint32Array(LEAST_PLACES);
  #length = 0;

  constructor(sightings: Sightings) {
    this.#sightings = sightings;
  }

  get length(): number {
    return this.#length;
  }

  timeAt(index: number): number {
    return this.#sightings.timeAt(this.#places[index]!);
  }

  at(index: number): Sighting {
    return this.#sightings.at(this.#places[index]!);
  }

  *[Symbol.iterator](): Generator<Sighting> {
    for (let index = 0; index < this.#length; index++) yield this.at(index);
  }

  /** The index of the first sighting later than an instant; snapshots mostly come in order, so the end is tried first. */
  firstAfter(timeMs: number): number {
    if (this.#length === 0 || this.timeAt(this.#length - 1) <= timeMs) return this.#length;
    let low = 0;
    let high = this.#length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.timeAt(middle) > timeMs) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Adds the sighting at a place. */
  add(place: number): void {
    const index = this.firstAfter(this.#sightings.timeAt(place));
    const room = this.#places.length;
    if (this.#length === room) this.#places = grown(this.#places, Math.ceil(GROWTH * room));
    this.#places.copyWithin(index + 1, index, this.#length);
    this.#places[index] = place;
    this.#length++;
  }

  /** Drops the sightings up to a time. */
  dropUpTo(timeMs: number): void {
    const from = this.firstAfter(timeMs);
    if (from === 0) return;
    const kept = this.#length - from;
    if (kept < LEAST_TAKEN * this.#places.length) this.#places = this.#places.slice(from, this.#length);
    else this.#places.copyWithin(0, from, this.#length);
    this.#length = kept;
  }
}
