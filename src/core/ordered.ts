/** Items in the order in which they came, of which any may leave; the first is at hand, however many left before it. */
export class Ordered<Item extends object> {
  /** Where in the queue each item is. */
  readonly #places = new Map<Item, number>();
  // A map alone finds its first by passing over all that left before it.
  #queue: (Item | undefined)[] = [];
  #first = 0;

  constructor(items: Iterable<Item> = []) {
    for (const item of items) this.add(item);
  }

  get size(): number {
    return this.#places.size;
  }

  /** The first of them, undefined when there is none. */
  get first(): Item | undefined {
    return this.#queue[this.#first];
  }

  /** Adds an item behind all others; nothing when it is among them. */
  add(item: Item): void {
    if (this.#places.has(item)) return;
    this.#places.set(item, this.#queue.push(item) - 1);
  }

  /** Takes out an item; false when it is not among them. */
  delete(item: Item): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    this.#places.delete(item);
    this.#queue[place] = undefined;
    if (this.#queue.length > 2 * this.#places.size) this.#close();
    else while (this.#queue[this.#first] === undefined) this.#first++;
    return true;
  }

  [Symbol.iterator](): IterableIterator<Item> {
    return this.#places.keys();
  }

  /** Closes the gaps: most of the queue has left. */
  #close(): void {
    this.#queue = [...this.#places.keys()];
    for (let place = 0; place < this.#queue.length; place++) this.#places.set(this.#queue[place]!, place);
    this.#first = 0;
  }
}
