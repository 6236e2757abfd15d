/**
 * The ordering stress scenario through the whole: in its own order, shuffled, and with a snapshot that comes when
 * everything else is done.
 *
 * Five sessions, each with what an order must not decide: a snapshot after the session, one between its samples, a second
 * segment before the first, every event two or three times in two encodings, errors of 22 seconds after a close before
 * everything else. `expected.json` gives the reasons session by session; they follow from sql/CONTRACT.md alone.
 */
import * as assert from "uvu/assert";
import { registerLoadFixtures } from "../../src/cli/load-fixtures.ts";
import { seeded, shuffled } from "../../src/runtime/shuffle.ts";
import { withCluster } from "../helpers/cluster.ts";
import { environmentOf, inProcess } from "../helpers/command.ts";
import { EVENTS, isStressed, rowsLike, STRESS, STRESS_SESSIONS, UNKNOWN_SESSION, WITHHELD } from "../helpers/stress.ts";
import { describe } from "../helpers/suite.ts";

describe("the ordering stress scenario", (test) => {
  test("comes to the rows that were written down by hand, in its own order and shuffled", () =>
    withCluster({}, async (cluster) => {
      const args = ["load-fixtures", STRESS, "--source", "in-order"];
      const loaded = await inProcess(registerLoadFixtures, environmentOf(cluster), args);
      assert.is(loaded.code, 0, loaded.err);
      const shuffles = [1, 2, 3, 4].map((seed) => `shuffled-${seed}`);
      for (const [at, source] of shuffles.entries()) {
        await cluster.publish(source, shuffled([...EVENTS, ...WITHHELD], seeded(at + 1)));
      }
      const { counts } = await cluster.process();
      assert.is(counts.get("rejected") ?? 0, 0);
      for (const source of ["in-order", ...shuffles]) await isStressed(cluster, source);
    }));

  test("leaves a session without identity while its snapshot is withheld, and heals it when that comes", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", EVENTS);
      await cluster.process();
      await isStressed(cluster, "org", STRESS_SESSIONS.filter((one) => one.workflow_session_id !== UNKNOWN_SESSION));
      const nobody = {
        is_attributed: 0,
        unattributed_reason: "no_snapshot",
        orchestrator_address: "",
        orchestrator_url: "https://node-c.example:8935",
        model_id: null,
        gpu_id: null,
        gpu_count: 0,
        gpu_attribution_confidence: 0,
        selected_snapshot_ts: null,
      };
      const unknown = { fact_workflow_sessions: [nobody], fact_stream_status_samples: [nobody, nobody] };
      assert.equal(await rowsLike(cluster, "org", UNKNOWN_SESSION, unknown), unknown);
      await cluster.publish("org", WITHHELD);
      await cluster.process();
      await isStressed(cluster, "org");
    }));
});
