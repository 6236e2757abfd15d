/** §6.6 of the parity list: where one segment ends and the next begins. */
import * as assert from "uvu/assert";
import { node, snapshot, type Wire } from "../../helpers/events.ts";
import { facts, idOf, whateverOrder } from "../../helpers/facts.ts";
import { A, B, close, KNOWN, processed, request, sample, SD, sent, swap } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { states } from "../../helpers/world.ts";

const segmentsOf = (...events: Wire[]) => whateverOrder(events).segments();

describe("WorkflowSessionSegmentStateMachineTest (§6.6)", (test) => {
  test("emitsNewSegmentWhenOrchestratorChanges: the first is open until then, the second begins where it ends", () => {
    const [before] = facts([KNOWN, request(1_000, A)]).segments();
    states(before!, { start_ts: 1_000, end_ts: null, reason: "initial", orchestrator_address: "0xca" });
    const [first, second, ...more] = segmentsOf(KNOWN, request(1_000, A), swap(2_000, B));
    assert.equal(more, []);
    states(first!, { start_ts: 1_000, end_ts: 2_000, reason: "orchestrator_change", orchestrator_address: "0xca" });
    states(second!, {
      start_ts: 2_000,
      end_ts: null,
      reason: "orchestrator_change",
      orchestrator_address: "0xcb",
      source_trace_type: "orchestrator_swap",
    });
    // What ended the first is what began the second.
    assert.is(first!.source_event_uid, second!.source_event_uid);
    assert.is(first!.source_trace_type, "orchestrator_swap");
  });

  test("closesSegmentOnExplicitCloseEdge: with the orchestrator's name or without", () => {
    for (const named of [A, {}]) {
      const segments = segmentsOf(KNOWN, request(1_000, A), close(2_500, named));
      assert.is(segments.length, 1);
      states(segments[0]!, {
        start_ts: 1_000,
        end_ts: 2_500,
        reason: "stream_closed",
        source_trace_type: "gateway_ingest_stream_closed",
      });
    }
  });

  test("doesNotCreateNewSegmentOnNonBoundarySignals: an edge of the same orchestrator moves no boundary", () => {
    const segments = segmentsOf(KNOWN, request(1_000, A), processed(1_500, A));
    assert.is(segments.length, 1);
    states(segments[0]!, { start_ts: 1_000, end_ts: null, reason: "initial" });
    assert.is(idOf(segments[0]!.source_event_uid), "gateway_receive_first_processed_segment@1500");
  });
});

describe("segments, beyond the tests that are known (§3)", (test) => {
  test("a swap that names nobody else opens none", () => {
    assert.is(segmentsOf(KNOWN, sent(1_000, A), swap(2_000, A), swap(3_000)).length, 1);
  });

  test("another node, model or GPU of one canonical address opens none", () => {
    const known = snapshot(
      500,
      node("0xca", SD, ["GPU-a"]),
      node("0xca", "m", ["GPU-b"], { hot: B.wallet, url: B.url }),
    );
    const segments = segmentsOf(known, sent(1_000, A), sent(2_000, B));
    assert.is(segments.length, 1);
    states(segments[0]!, { orchestrator_url: B.url, model_id: "m", gpu_id: "GPU-b" });
  });

  test("what comes before the first known orchestrator is part of its segment", () => {
    const segments = segmentsOf(KNOWN, request(1_000), sent(2_000, A));
    assert.is(segments.length, 1);
    states(segments[0]!, { start_ts: 1_000, orchestrator_address: "0xca" });
  });

  test("a session that never knows an orchestrator has one segment, and it says why", () => {
    const segments = segmentsOf(request(1_000), sent(2_000, A), sent(3_000, B), close(4_000));
    assert.is(segments.length, 1);
    states(segments[0]!, {
      start_ts: 1_000,
      end_ts: 4_000,
      is_attributed: 0,
      unattributed_reason: "no_snapshot",
      orchestrator_address: "",
      orchestrator_url: B.url,
    });
  });

  test("a close that opens a segment does not close it, and what comes after a close does not reopen it", () => {
    states(segmentsOf(KNOWN, close(1_000, A))[0]!, { end_ts: null, reason: "initial" });
    const [, second] = segmentsOf(KNOWN, sent(1_000, A), close(2_000, B));
    states(second!, { end_ts: null, reason: "orchestrator_change" });
    const closed = segmentsOf(KNOWN, sent(1_000, A), close(2_000), sample(3_000, A));
    assert.is(closed.length, 1);
    states(closed[0]!, { end_ts: 2_000, reason: "stream_closed" });
    assert.is(idOf(closed[0]!.source_event_uid), "sample@3000");
  });

  test("of several closes the last one counts", () => {
    states(segmentsOf(KNOWN, sent(1_000, A), close(2_000), close(3_000))[0]!, {
      end_ts: 3_000,
      reason: "stream_closed",
    });
  });

  test("an orchestrator change after a close overrides it", () => {
    const [first, second] = segmentsOf(KNOWN, sent(1_000, A), close(2_000), sent(3_000, B));
    states(first!, { end_ts: 3_000, reason: "orchestrator_change" });
    states(second!, { start_ts: 3_000, end_ts: null, reason: "orchestrator_change" });
  });

  test("its identity is one claim: the latest with a model, never fields of several", () => {
    const known = snapshot(500, node("0xca", SD, ["GPU-a"]), node("0xca", "", [], { hot: B.wallet, url: B.url }));
    const [segment] = segmentsOf(known, sample(1_000, { ...A, model: SD }), sample(2_000, { ...B, model: SD }));
    states(segment!, { orchestrator_url: A.url, model_id: SD, gpu_id: "GPU-a", gpu_count: 1 });
  });
});
