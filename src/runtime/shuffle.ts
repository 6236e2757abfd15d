/**
 * Seeded disorder: the same seed gives the same order, so that whoever sees a difference can see it again.
 * The generator is mulberry32, which is small and good enough to permute; it decides no result.
 */

/** A generator of numbers in [0, 1) that depends on its seed alone. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A permutation of the items (Fisher and Yates), all equally likely. */
export function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const result = [...items];
  for (let at = result.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [result[at], result[other]] = [result[other]!, result[at]!];
  }
  return result;
}

/** The items with each repeated, right after itself, with this probability. */
export function withDuplicates<Item>(items: readonly Item[], probability: number, random: () => number): Item[] {
  return items.flatMap((item) => random() < probability ? [item, item] : [item]);
}
