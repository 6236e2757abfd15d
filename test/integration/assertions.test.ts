/**
 * The assertion packs: they hold for what a processor makes of real and made-up events, and every assertion fails when
 * what it asserts is broken, in each of its ways. An assertion that cannot fail would show here.
 */
import * as assert from "uvu/assert";
import { loadPack, PACKS } from "../../src/assert/pack.ts";
import { runPacks } from "../../src/assert/run.ts";
import { minutesWithin, openRollups } from "../../src/clickhouse/rollup.ts";
import { type Cluster, encode, productionEvents, withCluster } from "../helpers/cluster.ts";
import { Corruptible } from "../helpers/corruption.ts";
import { CORRUPTIONS } from "../helpers/corruptions.ts";
import { bytesOf, node, snapshot } from "../helpers/events.ts";
import { EVERY_SCENARIO } from "../helpers/every-scenario.ts";
import { A, close, NODE_A, request, sample, SD } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";

const WINDOW = { fromMs: Date.UTC(2026, 0, 8), toMs: Date.UTC(2030, 0, 1) };

async function load(cluster: Cluster): Promise<void> {
  await cluster.publish("org", productionEvents());
  await cluster.publish("lab", EVERY_SCENARIO.map(({ envelope }) => bytesOf(envelope)));
  await cluster.publish("lab", [encode("no event")]);
  await cluster.process();
  const everything = { source: undefined, fromMs: 0, toMs: WINDOW.toMs };
  await openRollups(cluster.clickhouse).recompute(await minutesWithin(cluster.clickhouse, everything));
}

describe("assertion packs", (test) => {
  test("every assertion has ways to break what it asserts", () => {
    for (const name of PACKS) {
      assert.equal(Object.keys(CORRUPTIONS[name]!).sort(), loadPack(name).assertions.map((one) => one.name).sort());
    }
  });

  test("hold, and each assertion fails for each way in which what it asserts can be broken", () =>
    withCluster({ tableRetention: "none" }, async (cluster) => {
      await load(cluster);
      const warehouse = await Corruptible.of(cluster.clickhouse, cluster.config.database);
      const allHold = async (when: string) => {
        const done = await runPacks(cluster.clickhouse, PACKS.map(loadPack), WINDOW);
        const broken = done.flatMap(({ results }) => results).filter(({ state }) => state !== "passed");
        assert.equal(broken.map(({ name, error, diagnostics }) => ({ name, error, diagnostics })), [], when);
      };
      await allHold("at first");
      const inert = [];
      for (const pack of PACKS.map(loadPack)) {
        for (const assertion of pack.assertions) {
          for (const [nth, changes] of CORRUPTIONS[pack.name]![assertion.name]!.entries()) {
            await warehouse.corrupt(changes);
            const [done] = await runPacks(cluster.clickhouse, [{ ...pack, assertions: [assertion] }], WINDOW);
            const { state, error, diagnostics } = done!.results[0]!;
            const wanted = assertion.severity === "warning" ? "warned" : "failed";
            if (state !== wanted || error !== "") inert.push(`${assertion.name}, way ${nth + 1}: ${state} ${error}`);
            if (String(diagnostics.examples) === "") inert.push(`${assertion.name}, way ${nth + 1}: no example`);
            await warehouse.mend(changes);
          }
        }
      }
      assert.equal(inert, []);
      await allHold("at last");
    }));

  test("hold where an orchestrator changes the model within its segment", () =>
    withCluster({ tableRetention: "none" }, async (cluster) => {
      const T = Date.UTC(2026, 1, 25, 14);
      const other = "another-model";
      const both = [NODE_A, node("0xca", other, ["GPU-a"])];
      const session = { stream: "stream", request: "request", ...A };
      const events = [
        snapshot(T, ...both),
        request(T + 60_000, session),
        ...[SD, SD, other, other].map((model, nth) => sample(T + (2 + nth) * 60_000, { ...session, model, fps: 20 })),
        close(T + 7 * 60_000, session),
      ];
      await cluster.publish("lab", events.map(({ envelope }) => bytesOf(envelope)));
      await cluster.process();
      await openRollups(cluster.clickhouse).recompute(
        await minutesWithin(cluster.clickhouse, { source: undefined, fromMs: T, toMs: T + 3_600_000 }),
      );
      const models = await cluster.clickhouse.rows("SELECT DISTINCT model_id FROM fact_stream_status_samples_current");
      assert.is(models.length, 2);
      const packs = ["raw_typed", "pipeline"].map(loadPack);
      const done = await runPacks(cluster.clickhouse, packs, { fromMs: T, toMs: T + 3_600_000 });
      assert.equal(done.flatMap((pack) => pack.results).filter(({ state }) => state === "failed"), []);
    }));
});
