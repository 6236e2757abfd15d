/** Rows on their way into a table: columns of bytes while they come, one insert when it runs. */
import type { Engine } from "./engine.ts";
import { LatecomerError } from "../errors.ts";
import { Block, type Encoded, type InsertRow } from "./native.ts";

/** The types of the tables' columns, which say how rows must be written. */
export class ColumnTypes {
  readonly #engine: Engine;
  readonly #known = new Map<string, Map<string, string>>();
  #learning: Promise<void> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  knows(table: string): boolean {
    return this.#known.has(table);
  }

  /** Asks for the types of all tables; all inserts of a batch come at once, and one question serves them. */
  learn(): Promise<void> {
    return this.#learning ??= this.#ask().finally(() => this.#learning = undefined);
  }

  /** What is known may not hold any more. */
  forget(): void {
    this.#known.clear();
  }

  /**
   * The types of columns in their order. Throws TABLE_MISSING (unavailable) where there is no such table, and COLUMN_MISSING
   * where it has none of the name.
   */
  of(table: string, columns: readonly string[]): string[] {
    const types = this.#known.get(table);
    if (types === undefined) {
      throw new LatecomerError(
        "TABLE_MISSING",
        "unavailable",
        `there is no table ${table}: \`latecomer init\` makes it`,
      );
    }
    return columns.map((column) => {
      const type = types.get(column);
      if (type !== undefined) return type;
      throw new LatecomerError("COLUMN_MISSING", "fatal", `the table ${table} has no column ${column}`);
    });
  }

  async #ask(): Promise<void> {
    const found = await this.#engine.rows<{ table: string; name: string; type: string }>(
      "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()",
      undefined,
    );
    this.#known.clear();
    for (const { table, name, type } of found) {
      const columns = this.#known.get(table) ?? new Map();
      this.#known.set(table, columns.set(name, type));
    }
  }
}

/** One insert, as `Insert` promises it; errors come as the engine has them. */
export class PreparedInsert {
  readonly #engine: Engine;
  readonly #types: ColumnTypes;
  readonly #table: string;
  readonly #columns: readonly string[];
  #rowCount = 0;
  /** Until the types are known; whoever adds rows does not wait. */
  #waiting: InsertRow[] = [];
  #block: Block | undefined;
  #encoded: Encoded | undefined;
  #hasFailed = false;
  #isStored = false;

  constructor(engine: Engine, types: ColumnTypes, table: string, columns: readonly string[]) {
    this.#engine = engine;
    this.#types = types;
    this.#table = table;
    this.#columns = columns;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  add(rows: readonly InsertRow[]): void {
    this.#rowCount += rows.length;
    if (this.#block === undefined && this.#types.knows(this.#table)) this.#begin();
    if (this.#block !== undefined) this.#block.add(rows);
    else for (const row of rows) this.#waiting.push(row);
  }

  async run(): Promise<void> {
    if (this.#rowCount === 0 || this.#isStored) return;
    const encoded = this.#encoded ??= await this.#finish();
    try {
      await this.#engine.insert(this.#table, this.#columns, encoded.bytes);
    } catch (error) {
      this.#hasFailed = true;
      this.#types.forget(); // The table may have changed under us; the next insert looks again.
      throw error;
    }
    this.#isStored = true;
    // A request that failed may still be sending what it has.
    if (!this.#hasFailed) encoded.release();
  }

  #begin(): Block {
    const block = new Block(this.#columns, this.#types.of(this.#table, this.#columns));
    block.add(this.#waiting);
    this.#waiting = [];
    return this.#block = block;
  }

  async #finish(): Promise<Encoded> {
    if (this.#block === undefined && !this.#types.knows(this.#table)) await this.#types.learn();
    const encoded = (this.#block ?? this.#begin()).finish();
    this.#block = undefined;
    return encoded;
  }
}
