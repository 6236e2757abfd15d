/**
 * A warehouse that can be corrupted and mended: what its tables hold and its views say is kept beside it, and a change
 * puts the result of a query over what was kept in the place of a table or a view.
 */
import type { ClickHouse } from "../../src/clickhouse/client.ts";

/** What a table shall hold or a view say, by name; null for a table or view that is not there. `sound` has what was. */
export type Changes = Readonly<Record<string, string | null>>;

interface Kept {
  readonly isView: boolean;
  /** What makes it. */
  readonly create: string;
}

export class Corruptible {
  readonly #clickhouse: ClickHouse;
  readonly #kept = new Map<string, Kept>();

  private constructor(clickhouse: ClickHouse) {
    this.#clickhouse = clickhouse;
  }

  /** Keeps all of a database as it is now. */
  static async of(clickhouse: ClickHouse, database: string): Promise<Corruptible> {
    const warehouse = new Corruptible(clickhouse);
    await clickhouse.command("CREATE DATABASE sound");
    const found = await clickhouse.rows<{ name: string; engine: string; create: string }>(
      `SELECT name, engine, create_table_query AS create FROM system.tables
       WHERE database = {database:String} ORDER BY name`,
      { database },
    );
    for (const { name, engine, create } of found) {
      warehouse.#kept.set(name, { isView: engine === "View", create });
      await clickhouse.command(
        `CREATE TABLE sound.${name} ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM ${name}`,
      );
    }
    return warehouse;
  }

  async corrupt(changes: Changes): Promise<void> {
    for (const [name, select] of Object.entries(changes)) {
      if (this.#of(name).isView || select === null) {
        await this.#clickhouse.command(`DROP TABLE ${name}`);
        if (select !== null) await this.#clickhouse.command(`CREATE VIEW ${name} AS ${select}`);
      } else await this.#fill(name, select);
    }
  }

  /** Undoes these changes. */
  async mend(changes: Changes): Promise<void> {
    for (const [name, select] of Object.entries(changes)) {
      const { isView, create } = this.#of(name);
      if (isView || select === null) {
        await this.#clickhouse.command(`DROP TABLE IF EXISTS ${name}`);
        await this.#clickhouse.command(create);
      }
      if (!isView) await this.#fill(name, `SELECT * FROM sound.${name}`);
    }
  }

  async #fill(name: string, select: string): Promise<void> {
    await this.#clickhouse.command(`TRUNCATE TABLE ${name}`);
    const columns = await this.#clickhouse.rows<{ name: string }>(
      `SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {name:String}
       AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') ORDER BY position`,
      { name },
    );
    const list = columns.map((column) => `\`${column.name}\``).join(", ");
    // Every version stays: what is folded while it is inserted has no history.
    await this.#clickhouse.command(
      `INSERT INTO ${name} (${list}) SETTINGS optimize_on_insert = 0 SELECT ${list} FROM (${select})`,
    );
  }

  #of(name: string): Kept {
    const kept = this.#kept.get(name);
    if (kept === undefined) throw new Error(`the warehouse has no ${name}`);
    return kept;
  }
}
