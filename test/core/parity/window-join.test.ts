/**
 * §6.7 of the parity list: what an edge without a name takes from its segment. Samples are attributed by their own
 * evidence; the upstream test of them is in selection.test.ts.
 */
import * as assert from "uvu/assert";
import { facts, namesNobody, whateverOrder } from "../../helpers/facts.ts";
import { A, B, close, KNOWN, LIVE, request, sample, SD, sent, trace } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { states } from "../../helpers/world.ts";

describe("StreamTraceEdgeAttributionTest (§6.7)", (test) => {
  const EDGES = "fact_stream_trace_edges";

  test("buffersUnmatchedTraceAndEmitsAttributedAfterSegmentArrives: nothing is held back, and the first row says what is missing", () => {
    const edge = trace("gateway_receive_first_data_segment", 1_000, { id: "edge" });
    const opening = sample(900, { ...A, model: SD });
    namesNobody(facts([edge]).event(EDGES, "edge"), "no_orchestrator");
    const row = whateverOrder([KNOWN, opening, edge], [[edge, opening, KNOWN], [edge, KNOWN, opening]])
      .event(EDGES, "edge");
    states(row, {
      is_attributed: 1,
      orchestrator_address: "0xca",
      orchestrator_url: A.url,
      pipeline: LIVE,
      model_id: SD,
      gpu_id: "GPU-a",
      gpu_count: 1,
      gpu_attribution_method: "segment_window_join",
      gpu_attribution_confidence: 0.9,
      trace_category: "gateway",
      is_swap_event: 0,
    });
  });

  test("an edge belongs to the segment in which it falls: the first of two up to the boundary, then the second", () => {
    const early = trace("gateway_receive_first_data_segment", 1_999, { id: "early" });
    const all = whateverOrder([KNOWN, sent(1_000, A), early, sent(2_000, B), close(9_000)]);
    assert.is(all.segments().length, 2);
    states(all.event(EDGES, "early"), { orchestrator_address: "0xca", gpu_id: "GPU-a" });
    states(all.event(EDGES, "gateway_ingest_stream_closed@9000"), { orchestrator_address: "0xcb", gpu_id: "GPU-b" });
  });

  test("an edge that names a node of which nothing is known claims nothing, whatever its segment is", () => {
    const stranger = { wallet: "0xz", url: "https://z", id: "stranger" };
    const all = whateverOrder([KNOWN, request(900), sent(1_000, A), sent(2_000, stranger), close(3_000)]);
    namesNobody(all.event(EDGES, "stranger"), "no_snapshot", "https://z");
    states(all.event(EDGES, "gateway_ingest_stream_closed@3000"), { orchestrator_address: "0xca" });
    namesNobody(all.event(EDGES, "gateway_receive_stream_request@900"), "pre_assignment");
  });
});
