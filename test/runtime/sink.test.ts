/** The sink: whose facts it writes, how it knows, and what it says. */
import * as assert from "uvu/assert";
import type { ClickHouse } from "../../src/clickhouse/client.ts";
import { HANDED_OVER_MS, openSink } from "../../src/clickhouse/sink.ts";
import type { Counts } from "../../src/core/effects.ts";
import { Journal } from "../helpers/cluster.ts";
import { WaitedClock } from "../helpers/replayed.ts";
import { describe } from "../helpers/suite.ts";

const FACT = "fact_stream_status_samples";
const OTHER = "fact_workflow_sessions";

/** A sink over a warehouse that notes inserts, and is asked for the writers that stand in `writers`. */
function sinkOver(writers: Record<string, string>) {
  const inserted: string[] = [];
  const clock = new WaitedClock();
  const world = { inserted, clock, writers, asked: 0, fails: false, log: new Journal(), counts: new Map() as Counts };
  const clickhouse = {
    rows: () => {
      world.asked++;
      if (world.fails) return Promise.reject(new Error("away"));
      return Promise.resolve(Object.entries(writers).map(([fact, writer]) => ({ fact, writer })));
    },
    insert: (table: string) => Promise.resolve(void inserted.push(table)),
  } as unknown as ClickHouse;
  return { ...world, world, sink: openSink(clickhouse, { clock, log: world.log, counts: world.counts }) };
}

describe("the sink", (test) => {
  test("writes what is no fact without asking anybody", async () => {
    const { sink, inserted, world } = sinkOver({});
    await sink.write("raw_streaming_events", [{ uid: "a" }]);
    assert.equal([inserted, world.asked], [["raw_streaming_events"], 0]);
  });

  test("asks who writes once a second, for all facts and batches together", async () => {
    const { sink, world, clock } = sinkOver({ [FACT]: "latecomer", [OTHER]: "latecomer" });
    for (let batch = 0; batch < 20; batch++) {
      await Promise.all([sink.write(FACT, [{ uid: "a" }]), sink.write(OTHER, [{ uid: "b" }])]);
      await clock.pass(100);
    }
    assert.is(world.asked, 2);
  });

  test("withholds the fact of another within the time of a hand-over, counts it, and says each change once", async () => {
    const { sink, inserted, clock, writers, log, counts } = sinkOver({ [FACT]: "latecomer", [OTHER]: "latecomer" });
    const rows = [{ uid: "a" }, { uid: "b" }];
    await sink.write(FACT, rows);
    writers[FACT] = "mv";
    await clock.pass(HANDED_OVER_MS);
    for (let batch = 0; batch < 3; batch++) await sink.write(FACT, rows);
    await sink.write(OTHER, rows);
    assert.equal(inserted, [FACT, OTHER]);
    assert.is(counts.get("rows_withheld"), 6);
    writers[FACT] = "latecomer";
    await clock.pass(HANDED_OVER_MS);
    for (let batch = 0; batch < 2; batch++) await sink.write(FACT, rows);
    assert.equal(inserted, [FACT, OTHER, FACT, FACT]);
    assert.equal(log.lines.map(({ fields }) => fields), [{ fact: FACT, writer: "mv" }, { fact: FACT, withheld: 6 }]);
  });

  test("withholds a fact that nobody writes, or somebody unknown", async () => {
    const { sink, inserted } = sinkOver({ [OTHER]: "somebody" });
    await sink.write(FACT, [{ uid: "a" }]);
    await sink.write(OTHER, [{ uid: "a" }]);
    assert.equal(inserted, []);
  });

  test("asks again at once when there was no answer", async () => {
    const { sink, inserted, world } = sinkOver({ [FACT]: "latecomer" });
    world.fails = true;
    assert.is(await sink.write(FACT, [{ uid: "a" }]).catch((error: Error) => error.message), "away");
    world.fails = false;
    await sink.write(FACT, [{ uid: "a" }]);
    assert.equal(inserted, [FACT]);
  });
});
