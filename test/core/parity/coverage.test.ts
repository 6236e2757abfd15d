/**
 * §6.9 of the parity list: how far a session had come at each of its edges. There is a row per edge; samples and
 * what the gateway says move no edge, and have none.
 */
import * as assert from "uvu/assert";
import { whateverOrder } from "../../helpers/facts.ts";
import { A, close, error, KNOWN, playable, processed, request, sample, sent } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { states } from "../../helpers/world.ts";

const COVERAGE = "fact_lifecycle_edge_coverage";

describe("WorkflowLifecycleCoverageAggregatorFunctionTest (§6.9)", (test) => {
  test("emitsMatchedCoverageWhenStartupAndPlayableEdgesExist: at the playable edge both are matched", () => {
    const all = whateverOrder([request(1_000), processed(2_000), playable(2_500, { id: "here" })]);
    states(all.event(COVERAGE, "here"), {
      known_stream: 1,
      has_first_processed_edge: 1,
      has_first_playable_edge: 1,
      startup_edge_matched: 1,
      playable_edge_matched: 1,
      is_terminal_signal: 0,
      unmatched_reason: "",
    });
  });

  test("emitsAwaitingProcessedReasonBeforeTerminalClose: at the request nothing has come yet", () => {
    states(whateverOrder([request(1_000, { id: "here" })]).event(COVERAGE, "here"), {
      known_stream: 1,
      startup_edge_matched: 0,
      is_terminal_signal: 0,
      unmatched_reason: "awaiting_first_processed_segment_edge",
    });
  });

  test("emitsTerminalUnmatchedReasonWhenClosedWithoutProcessedEdge: at the close it is missing", () => {
    states(whateverOrder([request(1_000), close(2_000, { id: "here" })]).event(COVERAGE, "here"), {
      known_stream: 1,
      is_terminal_signal: 1,
      unmatched_reason: "missing_first_processed_segment_edge",
    });
  });

  test("the first reason that holds is told: no request, then nothing processed, then nothing playable", () => {
    const reasons = (...events: Parameters<typeof whateverOrder>[0][number][]) =>
      whateverOrder(events).of(COVERAGE).map((row) => row.unmatched_reason);
    assert.equal(reasons(close(1_000)), ["missing_stream_request_edge"]);
    assert.equal(reasons(request(1_000, { id: "a" }), processed(2_000, { id: "b" }), close(3_000, { id: "c" })), [
      "awaiting_first_processed_segment_edge",
      "awaiting_playable_edge",
      "missing_playable_edge",
    ]);
  });

  test("without a request nothing is matched, whatever edges there are", () => {
    states(whateverOrder([processed(1_000), playable(2_000, { id: "here" })]).event(COVERAGE, "here"), {
      known_stream: 0,
      has_first_processed_edge: 1,
      has_first_playable_edge: 1,
      startup_edge_matched: 0,
      playable_edge_matched: 0,
      unmatched_reason: "missing_stream_request_edge",
    });
  });

  test("has its session's identity as of its edge, which upstream left blank", () => {
    const all = whateverOrder([KNOWN, request(1_000, { id: "early" }), sent(2_000, A), close(3_000, { id: "late" })]);
    states(all.event(COVERAGE, "early"), { is_attributed: 0, unattributed_reason: "pre_assignment", gpu_id: null });
    states(all.event(COVERAGE, "late"), {
      is_attributed: 1,
      orchestrator_address: "0xca",
      gpu_attribution_method: "segment_window_join",
    });
    const alone = whateverOrder([request(1_000, { id: "here" })]);
    states(alone.event(COVERAGE, "here"), { is_attributed: 0, unattributed_reason: "no_orchestrator" });
  });

  test("has a row per edge and none for samples and errors", () => {
    const all = whateverOrder([request(1_000), sample(2_000), error(3_000, "odd"), close(4_000)]);
    assert.equal(all.of(COVERAGE).map((row) => row.trace_type), [
      "gateway_ingest_stream_closed",
      "gateway_receive_stream_request",
    ]);
  });
});
