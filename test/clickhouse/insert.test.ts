/** An insert that fails: what it has sent stays as it is, and the next one looks again at its table. */
import * as assert from "uvu/assert";
import type { Engine } from "../../src/clickhouse/engine.ts";
import { ColumnTypes, PreparedInsert } from "../../src/clickhouse/insert.ts";
import { describe } from "../helpers/suite.ts";

/** An engine with a table `t (a <type>)`, which notes the blocks that it is sent and fails as often as it is told to. */
function engineWith(type: string, failures = 0) {
  const blocks: Uint8Array[] = [];
  const told = { type, failures, blocks };
  const engine = {
    rows: () => Promise.resolve([{ table: "t", name: "a", type: told.type }]),
    insert: (_table: string, _columns: readonly string[], block: Uint8Array) => {
      blocks.push(block);
      return told.failures-- > 0 ? Promise.reject(new Error("away")) : Promise.resolve();
    },
  } as unknown as Engine;
  return { engine, told };
}

async function failing(insert: PreparedInsert): Promise<void> {
  await insert.run().then(() => assert.unreachable(), () => {});
}

describe("an insert that fails", (test) => {
  test("keeps its bytes to itself when it succeeds later: the first request may still be sending them", async () => {
    const { engine, told } = engineWith("UInt32", 1);
    const types = new ColumnTypes(engine);
    const first = new PreparedInsert(engine, types, "t", ["a"]);
    first.add(Array.from({ length: 1_000 }, (_, at) => [at]));
    await failing(first);
    const sent = Buffer.from(told.blocks[0]!);
    await first.run();
    for (let time = 0; time < 3; time++) {
      const next = new PreparedInsert(engine, types, "t", ["a"]);
      next.add(Array.from({ length: 1_000 }, (_, at) => [7_000 + at]));
      await next.run();
    }
    assert.ok(sent.equals(told.blocks[0]!));
  });

  test("has the next one ask again of what type its columns are", async () => {
    const { engine, told } = engineWith("UInt32", 1);
    const types = new ColumnTypes(engine);
    await types.learn();
    const first = new PreparedInsert(engine, types, "t", ["a"]);
    first.add([[1]]);
    told.type = "UInt64";
    await failing(first);
    const next = new PreparedInsert(engine, types, "t", ["a"]);
    next.add([[1]]);
    await next.run();
    assert.equal(told.blocks.map((block) => Buffer.from(block).includes("UInt64")), [false, true]);
  });
});
