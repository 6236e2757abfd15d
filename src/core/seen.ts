/**
 * Which events a partition has seen, to tell a duplicate from an event and to notice one id with two contents.
 *
 * It is a memory with a bound, kept as two generations: when the young one is full, the old one is dropped.
 * So at least `most / 2` of the latest events are remembered. What it forgets costs only a count: facts do
 * not depend on it, for a duplicate derives the same row again.
 */
interface Content {
  readonly uid: string;
  /** The stream sequence at which this content was seen; the same message redelivered is no duplicate. */
  readonly streamSequence: number;
  /** Other contents of the same id, newest first; nearly always none. */
  readonly others: readonly Content[];
}

const NONE: readonly Content[] = [];

/** Contents remembered per id: more than one is a faulty publisher already. */
const MOST_CONTENTS = 8;

export type Sight = "new" | "repeat" | "duplicate" | "id_conflict";

export class SeenEvents {
  readonly #half: number;
  #young = new Map<string, Content>();
  #old = new Map<string, Content>();

  /** `most` bounds the number of ids remembered. */
  constructor(most: number) {
    this.#half = Math.max(1, Math.floor(most / 2));
  }

  /**
   * Notes an event. `repeat` is the same message again, `duplicate` another message with the same event,
   * `id_conflict` a new event whose id another event of the source has used.
   */
  note(source: string, id: string, uid: string, streamSequence: number): Sight {
    const key = `${source}\n${id === "" ? uid : id}`;
    const known = this.#young.get(key) ?? this.#old.get(key);
    if (known !== undefined) {
      const same = known.uid === uid ? known : known.others.find((content) => content.uid === uid);
      if (same !== undefined) return same.streamSequence === streamSequence ? "repeat" : "duplicate";
    }
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    const others = known === undefined
      ? NONE
      : [{ ...known, others: NONE }, ...known.others].slice(0, MOST_CONTENTS - 1);
    this.#young.set(key, { uid, streamSequence, others });
    return known === undefined ? "new" : "id_conflict";
  }
}
