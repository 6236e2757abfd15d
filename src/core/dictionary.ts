/** Values that many records share: each once, under a number, for as long as a record holds it. */

interface Entry<Value> {
  readonly key: string;
  readonly value: Value;
  holders: number;
}

export class Dictionary<Value> {
  readonly #codes = new Map<string, number>();
  readonly #entries: (Entry<Value> | undefined)[] = [];
  readonly #free: number[] = [];

  /** How many values there are. */
  get size(): number {
    return this.#codes.size;
  }

  /** The number of the value that these texts name; made for its first holder. */
  hold(texts: readonly string[], make: () => Value): number {
    const key = keyOf(texts);
    const known = this.#codes.get(key);
    if (known !== undefined) {
      this.#entries[known]!.holders++;
      return known;
    }
    const code = this.#free.pop() ?? this.#entries.length;
    this.#entries[code] = { key, value: make(), holders: 1 };
    this.#codes.set(key, code);
    return code;
  }

  /** One holder less; the number of a value that nobody holds goes to another. */
  release(code: number): void {
    const entry = this.#entries[code]!;
    if (--entry.holders > 0) return;
    this.#codes.delete(entry.key);
    this.#entries[code] = undefined;
    this.#free.push(code);
  }

  at(code: number): Value {
    return this.#entries[code]!.value;
  }
}

/** One text of several, from which they could be told again: whatever they hold, no two lists have the same. */
function keyOf(texts: readonly string[]): string {
  let key = "";
  for (const text of texts) key += `${text.length}:${text}`;
  return key;
}
