/**
 * Records of bytes outside the heap of objects. What lies there costs what it is long: no collection looks at it, and it
 * does not let the heap grow, which an engine allows to become several times what lives in it.
 *
 * A record is a chain of cells of one size, so that whatever is taken out, what comes can have its place, and nothing
 * is ever moved. What was needed once is kept for what comes later.
 */

/** Of a usual session a tenth is lost to links and to the end of its last cell; cells of twice the size lose as much. */
const CELL_BYTES = 64;

/** Cells that are claimed at a time: 16 KiB, of which a process with few sessions has only one. */
const CELLS_IN_SLAB = 256;

/** The end of a chain. */
const NONE = -1;

export class Cells {
  readonly #slabs: Uint8Array[] = [];
  /** The cell that follows each cell, in its record or among those that are free. */
  readonly #next: Int32Array[] = [];
  /** How many cells were ever needed; those after them are as new. */
  #used = 0;
  #free = NONE;

  /** How many cells there are, free or not. */
  get size(): number {
    return this.#slabs.length * CELLS_IN_SLAB;
  }

  /** Keeps a copy of bytes, at least one, and returns where it begins. */
  put(bytes: Uint8Array): number {
    const first = this.#claim();
    for (let at = 0, cell = first;;) {
      this.#bytesOf(cell).set(bytes.subarray(at, at + CELL_BYTES));
      at += CELL_BYTES;
      if (at >= bytes.length) {
        this.#link(cell, NONE);
        return first;
      }
      const next = this.#claim();
      this.#link(cell, next);
      cell = next;
    }
  }

  /** The bytes of the record that begins there, with as many zeros after them as fill the last cell. */
  read(first: number): Uint8Array {
    let count = 0;
    for (let cell = first; cell !== NONE; cell = this.#after(cell)) count++;
    const bytes = new Uint8Array(count * CELL_BYTES);
    for (let nth = 0, cell = first; nth < count; nth++, cell = this.#after(cell)) {
      bytes.set(this.#bytesOf(cell), nth * CELL_BYTES);
    }
    return bytes;
  }

  /** Puts bytes, as `read` returned them but for some in [from, to), in the place of those of the record that begins there. */
  rewrite(first: number, bytes: Uint8Array, from: number, to: number): void {
    for (let at = 0, cell = first; at < to; at += CELL_BYTES, cell = this.#after(cell)) {
      if (at + CELL_BYTES > from) this.#bytesOf(cell).set(bytes.subarray(at, at + CELL_BYTES));
    }
  }

  /** Gives up the record that begins there. */
  free(first: number): void {
    let last = first;
    while (this.#after(last) !== NONE) last = this.#after(last);
    this.#link(last, this.#free);
    this.#free = first;
  }

  #claim(): number {
    const cell = this.#free;
    if (cell !== NONE) {
      this.#free = this.#after(cell);
      return cell;
    }
    if (this.#used === this.size) {
      this.#slabs.push(new Uint8Array(CELLS_IN_SLAB * CELL_BYTES));
      this.#next.push(new Int32Array(CELLS_IN_SLAB));
    }
    return this.#used++;
  }

  #bytesOf(cell: number): Uint8Array {
    const from = cell % CELLS_IN_SLAB * CELL_BYTES;
    return this.#slabs[Math.floor(cell / CELLS_IN_SLAB)]!.subarray(from, from + CELL_BYTES);
  }

  #after(cell: number): number {
    return this.#next[Math.floor(cell / CELLS_IN_SLAB)]![cell % CELLS_IN_SLAB]!;
  }

  #link(cell: number, next: number): void {
    this.#next[Math.floor(cell / CELLS_IN_SLAB)]![cell % CELLS_IN_SLAB] = next;
  }
}
