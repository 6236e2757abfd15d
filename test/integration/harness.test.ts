/**
 * The assertion packs tell sound processing from processing whose corrections are switched off, by the ordering stress:
 * what fails names the samples, the nodes and the snapshot that came too late for them.
 */
import * as assert from "uvu/assert";
import { PartitionState } from "../../src/core/step.ts";
import { fixtureSets, judge } from "../helpers/harness.ts";
import { describe } from "../helpers/suite.ts";

const STRESS_SET = fixtureSets("").find(({ name }) => name === "ordering stress")!;

describe("the ordering stress scenario", (test) => {
  test("breaks the packs without corrections; what breaks says which samples a late snapshot would have corrected", async () => {
    const { correct } = PartitionState.prototype;
    PartitionState.prototype.correct = () => {};
    try {
      const { packs } = await judge(STRESS_SET);
      const failed = new Map(
        packs.flatMap((pack) => pack.results).filter(({ state }) => state === "failed").map((one) => [one.name, one]),
      );
      assert.ok(failed.has("unresolved_late_corrections"), [...failed.keys()].join());
      assert.ok(failed.has("silver_empty_key_rate"), [...failed.keys()].join());
      const { examples, nodes } = failed.get("unresolved_late_corrections")!.diagnostics;
      assert.match(String(examples), /late-status/);
      assert.match(String(nodes), /https:\/\/node/);
    } finally {
      PartitionState.prototype.correct = correct;
    }
  });
});
