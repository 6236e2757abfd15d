/** Fact rows of a batch: of several versions of a key only the greatest travels. */
import { isGreater, type Row } from "./row.ts";

export class NewestRows {
  /** By source and by what tells the facts of a source apart. */
  readonly #rows = new Map<string, Map<string, Row>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  put(row: Row): void {
    const source = row.source as string;
    let rows = this.#rows.get(source);
    if (rows === undefined) {
      rows = new Map();
      this.#rows.set(source, rows);
    }
    const key = (row.source_event_uid ?? row.workflow_session_id) as string;
    const earlier = rows.get(key);
    // Evidence only grows, unless the memory bound dropped some of it in between: the greater row stays.
    if (earlier !== undefined && isGreater(earlier.version as string, row.version as string)) return;
    if (earlier === undefined) this.#size++;
    rows.set(key, row);
  }

  /** All of them, in the order in which their keys came, source by source. */
  all(): Row[] {
    return [...this.#rows.values()].flatMap((rows) => [...rows.values()]);
  }
}
