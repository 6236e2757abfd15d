/** The generation that stored facts have. */
import * as assert from "uvu/assert";
import type { ClickHouse } from "../../src/clickhouse/client.ts";
import { storedGeneration } from "../../src/clickhouse/generation.ts";
import { FACTS } from "../../src/core/facts.ts";
import { describe } from "../helpers/suite.ts";

describe("the stored generation", (test) => {
  test("is the greatest of all facts, whichever has it, and 0 where there is no row", async () => {
    for (const fact of [...FACTS.map(({ table }) => table), "no fact"]) {
      const rows = (sql: string) =>
        Promise.resolve(
          sql.includes("system.tables")
            ? FACTS.map(({ table }) => ({ name: table }))
            : [{ generation: sql.endsWith(`.${fact}`) ? "7" : "0" }],
        );
      assert.is(
        await storedGeneration({ rows } as unknown as ClickHouse, "latecomer"),
        fact === "no fact" ? 0 : 7,
        fact,
      );
    }
  });
});
