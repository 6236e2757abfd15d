/** What the serving views are made of: each block says of production's events what the tables below it say. */
import * as assert from "uvu/assert";
import { minutesWithin, openRollups } from "../../src/clickhouse/rollup.ts";
import { type Cluster, productionEvents, withCluster } from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

async function load(cluster: Cluster): Promise<void> {
  await cluster.publish("org", productionEvents());
  await cluster.process();
  const all = { source: undefined, fromMs: 0, toMs: Date.UTC(2030, 0) };
  await openRollups(cluster.clickhouse).recompute(await minutesWithin(cluster.clickhouse, all));
}

/** Pairs of queries that give one number each, the same. */
const SAME: readonly (readonly [claim: string, of: string, and: string])[] = [
  [
    "a served sample is an attributed one",
    "SELECT countIf(is_served) FROM serving_samples",
    "SELECT countIf(is_attributed = 1) FROM fact_stream_status_samples_current",
  ],
  [
    "a session is one row",
    "SELECT count() FROM serving_sessions",
    "SELECT count() FROM fact_workflow_sessions_current",
  ],
  [
    "the hours hold every sample of the rollup",
    "SELECT countMerge(sample_count_state) FROM serving_hours",
    "SELECT countMerge(sample_count_state) FROM agg_stream_performance_1m_current",
  ],
  [
    "and every session in the hour of its start",
    "SELECT sum(started_sessions) FROM serving_hours",
    "SELECT count() FROM serving_sessions",
  ],
  [
    "a payment is one row",
    "SELECT count() FROM serving_payments",
    "SELECT count() FROM raw_payment_events FINAL",
  ],
  [
    "payments are added to the hours, and nothing else",
    "SELECT count() FROM serving_paid_hours",
    "SELECT (SELECT count() FROM serving_hours) + (SELECT count() FROM serving_payments)",
  ],
  [
    "a session hour holds the samples of its session",
    "SELECT sum(samples) FROM serving_session_hours",
    "SELECT countIf(is_served) FROM serving_samples",
  ],
  [
    "a GPU has one row per orchestrator and model",
    "SELECT count() FROM serving_gpus",
    "SELECT uniqExact(source, orchestrator_address, model_id, gpu_id) FROM dim_orchestrator_capability_current WHERE gpu_id IS NOT NULL",
  ],
  [
    "capacity has one row per orchestrator and model",
    "SELECT count() FROM serving_capacity",
    "SELECT uniqExact(source, orchestrator_address, model_id) FROM dim_orchestrator_capability_model_constraints",
  ],
  [
    "a session's latency counts in the minute of its start",
    "SELECT sumMerge(valid_e2e_latency_state) FROM agg_latency_kpis_1m",
    "SELECT countIf(e2e_latency_ms IS NOT NULL) FROM fact_workflow_sessions_current",
  ],
  [
    "a known session counts in the hour of its start",
    "SELECT sumMerge(known_sessions_state) FROM agg_reliability_1h",
    "SELECT countIf(known_stream) FROM fact_workflow_sessions_current",
  ],
];

describe("the blocks of the serving views", (test) => {
  test("say of production's events what the tables below them say", () =>
    withCluster({ tableRetention: "none" }, async (cluster) => {
      await load(cluster);
      for (const [claim, of, and] of SAME) {
        const [left, right] = [await cluster.count(of), await cluster.count(and)];
        assert.is(left, right, `${claim}: ${left}, not ${right}`);
      }
    }));
});
