/** The sink: whose facts it writes, how it knows, and what it says. */
import * as assert from "uvu/assert";
import type { ClickHouse } from "../../src/clickhouse/client.ts";
import { HANDED_OVER_MS, openSink } from "../../src/clickhouse/sink.ts";
import type { Counts } from "../../src/core/effects.ts";
import { Journal } from "../helpers/cluster.ts";
import { WaitedClock } from "../helpers/replayed.ts";
import { writeOf } from "../helpers/sinks.ts";
import { describe } from "../helpers/suite.ts";

const FACT = "fact_stream_status_samples";
const OTHER = "fact_workflow_sessions";

/** A sink over a warehouse that notes inserts, and is asked for the writers that stand in `writers`. */
function sinkOver(writers: Record<string, string>) {
  const inserted: string[] = [];
  const clock = new WaitedClock();
  const world = {
    inserted,
    clock,
    writers,
    asked: 0,
    fails: false,
    away: new Set<string>(),
    log: new Journal(),
    counts: new Map() as Counts,
  };
  const clickhouse = {
    rows: () => {
      world.asked++;
      if (world.fails) return Promise.reject(new Error("away"));
      return Promise.resolve(Object.entries(writers).map(([fact, writer]) => ({ fact, writer })));
    },
    learn: () => Promise.resolve(),
    prepare: (table: string) => {
      const rows: unknown[] = [];
      return {
        get rowCount() {
          return rows.length;
        },
        add: (some: readonly unknown[]) => rows.push(...some),
        run: () => {
          inserted.push(table);
          return world.away.delete(table) ? Promise.reject(new Error("away")) : Promise.resolve();
        },
      };
    },
  } as unknown as ClickHouse;
  const sink = openSink(clickhouse, { clock, log: world.log, counts: world.counts });
  return { ...world, world, sink, write: writeOf(sink) };
}

describe("the sink", (test) => {
  test("writes what is no fact without asking anybody", async () => {
    const { write, inserted, world } = sinkOver({});
    await write("raw_streaming_events", [{ uid: "a" }]);
    assert.equal([inserted, world.asked], [["raw_streaming_events"], 0]);
  });

  test("stores one table after another has failed, and only what is not there when it is asked again", async () => {
    const { sink, inserted, world } = sinkOver({ [FACT]: "latecomer" });
    world.away.add("raw_streaming_events");
    const batch = sink.begin();
    batch.add("raw_streaming_events", [{ uid: "a" }]);
    batch.add(FACT, [{ uid: "a" }]);
    batch.add("raw_streaming_events", [{ uid: "b" }]);
    assert.is(await batch.store().catch((error: Error) => error.message), "away");
    await batch.store();
    assert.equal(inserted.toSorted(), [FACT, "raw_streaming_events", "raw_streaming_events"]);
    await batch.store();
    assert.is(inserted.length, 3);
  });

  test("asks who writes once a second, for all facts and batches together", async () => {
    const { write, world, clock } = sinkOver({ [FACT]: "latecomer", [OTHER]: "latecomer" });
    for (let batch = 0; batch < 20; batch++) {
      await Promise.all([write(FACT, [{ uid: "a" }]), write(OTHER, [{ uid: "b" }])]);
      await clock.pass(100);
    }
    assert.is(world.asked, 2);
  });

  test("withholds the fact of another within the time of a hand-over, counts it, and says each change once", async () => {
    const { write, inserted, clock, writers, log, counts } = sinkOver({ [FACT]: "latecomer", [OTHER]: "latecomer" });
    const rows = [{ uid: "a" }, { uid: "b" }];
    await write(FACT, rows);
    writers[FACT] = "mv";
    await clock.pass(HANDED_OVER_MS);
    for (let batch = 0; batch < 3; batch++) await write(FACT, rows);
    await write(OTHER, rows);
    assert.equal(inserted, [FACT, OTHER]);
    assert.is(counts.get("rows_withheld"), 6);
    writers[FACT] = "latecomer";
    await clock.pass(HANDED_OVER_MS);
    for (let batch = 0; batch < 2; batch++) await write(FACT, rows);
    assert.equal(inserted, [FACT, OTHER, FACT, FACT]);
    assert.equal(log.lines.map(({ fields }) => fields), [{ fact: FACT, writer: "mv" }, { fact: FACT, withheld: 6 }]);
  });

  test("withholds a fact that nobody writes, or somebody unknown", async () => {
    const { write, inserted } = sinkOver({ [OTHER]: "somebody" });
    await write(FACT, [{ uid: "a" }]);
    await write(OTHER, [{ uid: "a" }]);
    assert.equal(inserted, []);
  });

  test("asks again at once when there was no answer", async () => {
    const { write, inserted, world } = sinkOver({ [FACT]: "latecomer" });
    world.fails = true;
    assert.is(await write(FACT, [{ uid: "a" }]).catch((error: Error) => error.message), "away");
    world.fails = false;
    await write(FACT, [{ uid: "a" }]);
    assert.equal(inserted, [FACT]);
  });
});
