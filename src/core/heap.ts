/** A binary heap: items by a number, that of the least first. */
export class MinHeap<Item> {
  // Two arrays, for an object that held both would be four times as large.
  readonly #keys: number[] = [];
  readonly #items: Item[] = [];

  /** The least number, `Infinity` when it is empty. */
  get least(): number {
    return this.#keys[0] ?? Infinity;
  }

  get size(): number {
    return this.#keys.length;
  }

  push(key: number, item: Item): void {
    let at = this.#keys.push(key) - 1;
    this.#items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#keys[parent]! <= key) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#keys[at] = key;
    this.#items[at] = item;
  }

  /** Takes out the item of the least number; undefined when it is empty. */
  pop(): Item | undefined {
    const least = this.#items[0];
    const key = this.#keys.pop();
    const item = this.#items.pop();
    if (this.#items.length > 0) this.#sink(key!, item!);
    return least;
  }

  /** Puts an item in the place of the first. */
  #sink(key: number, item: Item): void {
    const { length } = this.#items;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child + 1 < length && this.#keys[child + 1]! < this.#keys[child]!) child++;
      if (child >= length || this.#keys[child]! >= key) break;
      this.#move(child, at);
      at = child;
    }
    this.#keys[at] = key;
    this.#items[at] = item;
  }

  #move(from: number, to: number): void {
    this.#keys[to] = this.#keys[from]!;
    this.#items[to] = this.#items[from]!;
  }
}
