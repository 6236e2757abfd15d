/** Columns of numbers outside the heap, which have room for so many. */

/** The same column with room for more; what is behind its values is 0. */
export function grown<Column extends Uint8Array | Uint32Array | Int32Array | Float64Array>(
  column: Column,
  length: number,
): Column {
  const larger = new (column.constructor as new (length: number) => Column)(length);
  larger.set(column);
  return larger;
}
