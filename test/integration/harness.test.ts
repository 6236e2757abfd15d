/**
 * The assertion packs tell sound processing from processing whose corrections are switched off, by the ordering stress:
 * what fails names the samples, the nodes and the snapshot that came too late for them.
 */
import * as assert from "uvu/assert";
import type { Result } from "../../src/assert/run.ts";
import { PartitionState } from "../../src/core/step.ts";
import { withServedCluster } from "../helpers/cluster.ts";
import { ask, fixtureSets, SETTINGS } from "../helpers/harness.ts";
import { EVENTS, WITHHELD } from "../helpers/stress.ts";
import { describe } from "../helpers/suite.ts";

const STRESS_SET = fixtureSets("").find(({ name }) => name === "ordering stress")!;

/** What fails without corrections. */
const BROKEN = ["unresolved_late_corrections", "silver_empty_key_rate"];

/** The assertions that fail, by name, where the withheld snapshot comes when all else is processed. */
async function failedWithLateSnapshot(): Promise<ReadonlyMap<string, Result>> {
  const failed = new Map<string, Result>();
  await withServedCluster(SETTINGS, async (cluster) => {
    const running = await cluster.start();
    for (const events of [EVENTS, WITHHELD]) {
      await cluster.publish("local", events);
      await running.drained();
    }
    await running.stop();
    const results = (await ask(cluster, STRESS_SET)).packs.flatMap((pack) => pack.results);
    for (const one of results) if (one.state === "failed") failed.set(one.name, one);
  });
  return failed;
}

describe("the ordering stress scenario", (test) => {
  test("is corrected where a snapshot comes late", async () => {
    // Others fail, for no rollup runs.
    const failed = await failedWithLateSnapshot();
    for (const name of BROKEN) assert.not.ok(failed.has(name), name);
  });

  test("breaks the packs without corrections; what breaks says which samples a late snapshot would have corrected", async () => {
    const { correct } = PartitionState.prototype;
    PartitionState.prototype.correct = () => {};
    try {
      const failed = await failedWithLateSnapshot();
      for (const name of BROKEN) assert.ok(failed.has(name), [...failed.keys()].join());
      const { examples, nodes } = failed.get("unresolved_late_corrections")!.diagnostics;
      assert.match(String(examples), /late-status/);
      assert.match(String(nodes), /https:\/\/node/);
    } finally {
      PartitionState.prototype.correct = correct;
    }
  });
});
