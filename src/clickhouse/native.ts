/**
 * Rows in ClickHouse's Native format: what an insert sends. Column after column, so that here as in the engine one loop
 * reads all values of a type, and a name that many rows share goes once (LowCardinality). Texts go as the bytes they are.
 * A block takes rows a few at a time, and nothing of them but these bytes outlives that: a batch of objects would be
 * copied by the garbage collector, twice, before it is sent.
 */
import { LatecomerError } from "../errors.ts";
import { type Column, tableColumnOf } from "./columns.ts";
import { Output } from "./output.ts";
import { givePiece, takePiece } from "./pieces.ts";

/** One row to insert: its values in the order of the columns, or by column name (an absent name is NULL). */
export type InsertRow = readonly unknown[] | Readonly<Record<string, unknown>>;

/** What an insert sends. */
export interface Encoded {
  readonly bytes: Uint8Array;
  /** Gives the memory to whoever writes next: nobody may read the bytes any more. At most once. */
  release(): void;
}

/** Rows of a table as one block of Native, while it is filled. */
export class Block {
  readonly #names: readonly string[];
  readonly #types: readonly string[];
  readonly #columns: readonly Column[];
  #rowCount = 0;

  /** Types in the order of the columns. */
  constructor(columns: readonly string[], types: readonly string[]) {
    this.#names = columns;
    this.#types = types;
    this.#columns = types.map(tableColumnOf);
  }

  /**
   * Adds rows, of which nothing is kept. A value that its type cannot hold throws ROW_INVALID (fatal), which names row
   * and column and not the value; the block is of no use then.
   */
  add(rows: readonly InsertRow[]): void {
    const names = this.#names;
    const short = rows.findIndex((row) => Array.isArray(row) && row.length !== names.length);
    if (short >= 0) {
      const { length } = rows[short] as readonly unknown[];
      throw invalid(`row ${this.#rowCount + short + 1}: ${length} values for ${names.length} columns`);
    }
    const values = new Array<unknown>(rows.length);
    for (let column = 0; column < names.length; column++) {
      const name = names[column]!;
      for (let at = 0; at < rows.length; at++) {
        const row = rows[at] as Readonly<Record<string | number, unknown>>;
        values[at] = row[Array.isArray(row) ? column : name];
      }
      try {
        this.#columns[column]!.add(values);
      } catch {
        const type = this.#types[column]!;
        const at = values.findIndex((value) => !fits(type, value));
        throw invalid(`column ${name}, row ${this.#rowCount + at + 1}: the value does not fit ${type}`);
      }
    }
    this.#rowCount += rows.length;
  }

  /** All rows that were added. The block is of no use then. */
  finish(): Encoded {
    const head = new Output();
    head.varint(this.#columns.length);
    head.varint(this.#rowCount);
    const outputs = [head];
    const pieces: Uint8Array[] = [];
    head.addTo(pieces);
    for (const [nth, column] of this.#columns.entries()) {
      const values: Uint8Array[] = [];
      column.addTo(values);
      const title = new Output();
      title.text(this.#names[nth]);
      title.text(column.type);
      title.addTo(pieces);
      outputs.push(title);
      for (const piece of values) pieces.push(piece);
    }
    const size = pieces.reduce((sum, { length }) => sum + length, 0);
    const whole = takePiece(size);
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    for (const one of [...outputs, ...this.#columns]) one.release();
    return { bytes: whole.subarray(0, size), release: () => givePiece(whole) };
  }
}

function fits(type: string, value: unknown): boolean {
  try {
    tableColumnOf(type).add([value]);
    return true;
  } catch {
    return false;
  }
}

function invalid(why: string): LatecomerError {
  return new LatecomerError("ROW_INVALID", "fatal", why);
}
