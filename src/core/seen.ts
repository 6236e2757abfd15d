/**
 * Which events a partition has seen, to tell a duplicate from an event and to notice one id with two contents.
 *
 * It is a memory with a bound, kept as two generations: when the young one is full, the old one is dropped.
 * So at least `most / 2` of the latest events are remembered. What it forgets costs only a count: facts do
 * not depend on it, for a duplicate derives the same row again.
 *
 * An event is remembered by hashes of 64 bits of its id and of the rest of its uid: some 40 bytes outside the heap,
 * where texts in a `Map` took 200 in it. Two events are taken for one when both hashes are equal, which no installation
 * will live to see.
 */
import { grown } from "./grown.ts";
import { hash64Words } from "./hash.ts";
import { Places } from "./places.ts";

export type Sight = "new" | "repeat" | "duplicate" | "id_conflict";

/** The two words of an id's hash, then those of what follows it in the uid; of the event that is being noted. */
const event = new Int32Array(4);

export class SeenEvents {
  readonly #half: number;
  #young = new Generation();
  #old = new Generation();

  /** `most` bounds the number of events remembered. */
  constructor(most: number) {
    this.#half = Math.max(1, Math.floor(most / 2));
  }

  /**
   * Notes an event. `repeat` is the same message again, `duplicate` another message with the same event,
   * `id_conflict` a new event whose id another event of the source has used.
   */
  note(source: string, id: string, uid: string, streamSequence: number): Sight {
    hash64Words(source, id === "" ? uid : id, event, 0);
    hash64Words("", uid.slice(id.length), event, 2);
    const young = this.#young.find();
    const known = typeof young === "number" ? young : this.#old.find() ?? young;
    if (typeof known === "number") return known === streamSequence ? "repeat" : "duplicate";
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Generation();
    }
    this.#young.add(streamSequence);
    return known === undefined ? "new" : "id_conflict";
  }
}

const LEAST_EVENTS = 64;

class Generation {
  #words = new Int32Array(4 * LEAST_EVENTS);
  /** The stream sequence at which each was seen; the same message redelivered is no duplicate. */
  #sequences = new Float64Array(LEAST_EVENTS);
  /** By both, for many events may have one id, and many one content. */
  readonly #byUid = new Places((place) => this.#words[4 * place]! ^ this.#words[4 * place + 2]!);
  /** The first event of each id. */
  readonly #byId = new Places((place) => this.#words[4 * place]!);

  get size(): number {
    return this.#byUid.size;
  }

  /** The stream sequence at which the event was seen, `"id"` where only its id was, with another uid. */
  find(): number | "id" | undefined {
    const place = this.#byUid.find(event[0]! ^ event[2]!, (place) => this.#isSame(place, 2) && this.#isSame(place, 0));
    if (place !== undefined) return this.#sequences[place];
    return this.#hasId() ? "id" : undefined;
  }

  add(streamSequence: number): void {
    const place = this.size;
    if (place === this.#sequences.length) {
      this.#words = grown(this.#words, 2 * this.#words.length);
      this.#sequences = grown(this.#sequences, 2 * this.#sequences.length);
    }
    this.#words.set(event, 4 * place);
    this.#sequences[place] = streamSequence;
    this.#byUid.add(place);
    if (!this.#hasId()) this.#byId.add(place);
  }

  #hasId(): boolean {
    return this.#byId.find(event[0]!, (place) => this.#isSame(place, 0)) !== undefined;
  }

  /** True when the hash that begins at this word is that of the event being noted. */
  #isSame(place: number, from: 0 | 2): boolean {
    const at = 4 * place + from;
    return this.#words[at] === event[from] && this.#words[at + 1] === event[from + 1];
  }
}
