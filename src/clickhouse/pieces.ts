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

/** After so many pieces were taken, what lay here all the while goes: some seconds of a busy process, minutes of another. */
export const LOOKS_AFTER = 16_384;

/** The free pieces of one size, and how few there ever were since the last look. */
interface Free {
  readonly pieces: Buffer[];
  least: number;
}

const free = new Map<number, Free>();
let freeBytes = 0;
let taken = 0;

/** A piece of so many bytes at least. What is in it is left from others. */
export function takePiece(least: number): Buffer {
  if (++taken % LOOKS_AFTER === 0) dropIdle();
  const size = Math.max(LEAST_BYTES, 2 ** Math.ceil(Math.log2(least)));
  const same = free.get(size);
  const piece = same?.pieces.pop();
  if (same === undefined || piece === undefined) return Buffer.allocUnsafeSlow(size);
  same.least = Math.min(same.least, same.pieces.length);
  freeBytes -= size;
  return piece;
}

/** Keeps a piece for whoever takes one next, while there are few. */
export function givePiece(piece: Buffer): void {
  const size = piece.length;
  if (size < LEAST_BYTES || size > MOST_BYTES || freeBytes + size > MOST_FREE_BYTES) return;
  freeBytes += size;
  const same = free.get(size);
  if (same === undefined) free.set(size, { pieces: [piece], least: 0 });
  else same.pieces.push(piece);
}

/** Lets go of what nobody took since the last look, as after a backlog most of it. */
function dropIdle(): void {
  for (const [size, same] of free) {
    same.pieces.splice(0, same.least);
    freeBytes -= size * same.least;
    same.least = same.pieces.length;
  }
}
