/** §6.4 of the parity list: what a session never takes from its own signals. */
import { whateverOrder } from "../../helpers/facts.ts";
import { A, KNOWN, processed, request, sample, SD } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { claimsNothing, states } from "../../helpers/world.ts";

describe("WorkflowSessionAggregatorFunctionTest (§6.4)", (test) => {
  test("appliesResolvedPipelineToSignal_preventsModelLabelLeakIntoSessionPipeline: nor does the label become the model (invariant 5)", () => {
    const all = whateverOrder([request(1_000), sample(2_000, { ...A, model: `${SD}-v2v` })]);
    for (const row of [all.session(), ...all.segments()]) {
      states(row, { is_attributed: 0, unattributed_reason: "no_snapshot", pipeline: "", model_id: null });
    }
    states(all.session(), { workflow_id: "ai_live_video_stream", orchestrator_url: A.url });
  });

  test("capabilityLookupKeyFallsBackToStateOrchestratorAddress comes out without the fall-back: a signal without a name borrows its segment's identity", () => {
    const all = whateverOrder([KNOWN, sample(1_000, { ...A, wallet: "0xHOT" }), processed(2_000), sample(3_000)]);
    states(all.event("fact_stream_trace_edges", "gateway_receive_first_processed_segment@2000"), {
      is_attributed: 1,
      orchestrator_address: "0xca",
      gpu_attribution_method: "segment_window_join",
      gpu_attribution_confidence: 0.9,
    });
    // A sample states only what its own evidence shows.
    claimsNothing(all.event("fact_stream_status_samples", "sample@3000"), "no_orchestrator", 0);
    states(all.session(), { orchestrator_address: "0xca", inferred_orchestrator_change_count: 0 });
  });
});
