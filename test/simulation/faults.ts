/** What goes wrong in a run and how often: drawn once for each seed, and asked at every step until the faults end. */

/** Probabilities, each at its own occasion. */
export interface FaultRates {
  /** A request or its answer does not arrive, and the caller is told so. */
  readonly lost: number;
  /** A request or its answer takes seconds. */
  readonly slow: number;
  /** An insert fails: untouched, half applied, applied, or applied long after that was said. */
  readonly insert: number;
  /** A compare-and-set is refused, though nobody else was first. */
  readonly conflict: number;
  /** A consumer falls silent. */
  readonly silent: number;
  /** A watch lists the bucket again. */
  readonly relist: number;
  /** A process stops for ever at one of its steps. */
  readonly crash: number;
  /** A process stops at one of its steps, and goes on when others have taken its place. */
  readonly pause: number;
}

const NONE: FaultRates = { lost: 0, slow: 0, insert: 0, conflict: 0, silent: 0, relist: 0, crash: 0, pause: 0 };

/** How each fault may be in a world: absent often enough that the others are also seen without it. */
const CHOICES: Readonly<Record<keyof FaultRates, readonly number[]>> = {
  lost: [0, 0.01, 0.05],
  slow: [0, 0.005, 0.02],
  insert: [0, 0.1, 0.4],
  conflict: [0, 0.02, 0.1],
  silent: [0, 0.01, 0.05],
  relist: [0, 0.05],
  crash: [0, 0.005, 0.02],
  pause: [0, 0.002, 0.008],
};

/** Crashes and pauses of one run, so that every run comes to an end. */
const MOST_STOPS = 6;

export class Faults {
  readonly #random: () => number;
  #rates: FaultRates = NONE;
  #stops = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** From now on things go wrong. */
  begin(): void {
    const draw = (choices: readonly number[]) => choices[Math.floor(this.#random() * choices.length)]!;
    this.#rates = Object.fromEntries(
      Object.entries(CHOICES).map(([kind, choices]) => [kind, draw(choices)]),
    ) as unknown as FaultRates;
  }

  /** From now on nothing does. */
  end(): void {
    this.#rates = NONE;
  }

  /** True when this happens now. */
  happens(kind: keyof FaultRates): boolean {
    const rate = this.#rates[kind];
    if (rate === 0 || this.#random() >= rate) return false;
    return (kind !== "crash" && kind !== "pause") || ++this.#stops <= MOST_STOPS;
  }

  /** A whole number below a bound. */
  below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  /** A number in [least, most). */
  between(least: number, most: number): number {
    return least + this.#random() * (most - least);
  }

  /** How long a request or an answer is under way, in milliseconds. */
  latencyMs(): number {
    return this.happens("slow") ? this.between(100, 9_000) : this.between(0.1, 20);
  }
}
