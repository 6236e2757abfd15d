/**
 * §6.1 of the parity list: what the time between a snapshot and a signal is worth.
 *
 * The confidences are upstream's. Its four methods named the time and nothing else; ours name the evidence, and
 * where the time lies is read from `selected_snapshot_ts`.
 */
import { snapshot } from "../../helpers/events.ts";
import { whateverOrder } from "../../helpers/facts.ts";
import { A, NODE_A, sample, SD, sent } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { claimsNothing, states } from "../../helpers/world.ts";

/** What a sample, an edge, their session and its segment state on one snapshot. */
function rowsOf(signalAt: number, snapshotAt: number, ttlMs: number) {
  const events = [sample(signalAt, { ...A, model: SD }), sent(signalAt, A), snapshot(snapshotAt, NODE_A)];
  const settings = { ttl: { beforeMs: ttlMs, afterMs: ttlMs }, allowedLatenessMs: 100_000 };
  const all = whateverOrder(events, [[...events].reverse()], settings);
  const [status] = all.of("fact_stream_status_samples");
  const [edge] = all.of("fact_stream_trace_edges");
  const [segment] = all.segments();
  return [status!, edge!, segment!, all.session()];
}

describe("AttributionSemanticsTest (§6.1)", (test) => {
  test("exactSnapshotHasHighestConfidence: node_match at 1.0", () => {
    for (const row of rowsOf(1_000, 1_000, 10_000)) {
      states(row, {
        gpu_attribution_method: "node_match",
        gpu_attribution_confidence: 1,
        selected_snapshot_ts: 1_000,
      });
    }
  });

  test("nearestPriorWithinTtlUsesPriorSemantics: node_match at 0.9", () => {
    for (const row of rowsOf(2_000, 1_500, 1_000)) {
      states(row, {
        gpu_attribution_method: "node_match",
        gpu_attribution_confidence: 0.9,
        selected_snapshot_ts: 1_500,
      });
    }
  });

  test("nearestWithinTtlFutureSnapshotUsesMidConfidence: node_match at 0.7", () => {
    for (const row of rowsOf(2_000, 2_500, 1_000)) {
      states(row, {
        gpu_attribution_method: "node_match",
        gpu_attribution_confidence: 0.7,
        selected_snapshot_ts: 2_500,
      });
    }
  });

  test("staleSnapshotFallsBackToProxyJoin comes out unattributed: nothing outside the TTL is ever used (D2)", () => {
    for (const row of rowsOf(2_000, 20_000, 1_000)) {
      states(row, { is_attributed: 0, unattributed_reason: "no_snapshot", orchestrator_address: "", model_id: null });
    }
    const [status] = rowsOf(2_000, 20_000, 1_000);
    claimsNothing(status!, "no_snapshot", 0, A.url);
  });
});
