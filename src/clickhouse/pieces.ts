/**
 * Pieces of memory outside the heap that are used again and again. For what comes and goes there V8 collects the whole
 * heap, however little of it is dead: three times a second at 10,000 events a second, for a third of all CPU (measured).
 */

/** Sizes are powers of two, from those that a column begins with to those of the inserts of a full batch. */
const LEAST_BYTES = 1_024;
const MOST_BYTES = 32 * 1_048_576;

/** What is kept for later: most of a full batch. Of 16 MiB an event of a backlog took 35 µs of CPU in place of 30 (measured). */
export const MOST_FREE_BYTES = 64 * 1_048_576;

export const NOTHING = Buffer.alloc(0);

const free = new Map<number, Buffer[]>();
let freeBytes = 0;

/** A piece of so many bytes at least. What is in it is left from others. */
export function takePiece(least: number): Buffer {
  const size = Math.max(LEAST_BYTES, 2 ** Math.ceil(Math.log2(least)));
  const piece = free.get(size)?.pop();
  if (piece === undefined) return Buffer.allocUnsafeSlow(size);
  freeBytes -= size;
  return piece;
}

/** Keeps a piece for whoever takes one next, while there are few. */
export function givePiece(piece: Buffer): void {
  const size = piece.length;
  if (size < LEAST_BYTES || size > MOST_BYTES || freeBytes + size > MOST_FREE_BYTES) return;
  freeBytes += size;
  const same = free.get(size);
  if (same === undefined) free.set(size, [piece]);
  else same.push(piece);
}
