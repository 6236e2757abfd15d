/**
 * Known flaws of the predecessors (§1.8) that late or repeated signals brought out: F4–F10, F22–F27, F29.
 *
 * As in flaws-snapshots.test.ts: the order that went wrong, the order in which things happened, one result.
 */
import * as assert from "uvu/assert";
import type { Row } from "../../../src/core/emit/row.ts";
import { node, snapshot } from "../../helpers/events.ts";
import { type Facts, facts, factsOf, idOf, namesNobody, whateverOrder } from "../../helpers/facts.ts";
import {
  A,
  B,
  close,
  error,
  KNOWN,
  LIVE,
  NODE_A,
  playable,
  processed,
  request,
  sample,
  SD,
  sent,
  swap,
  trace,
} from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { states, World } from "../../helpers/world.ts";

const SAMPLES = "fact_stream_status_samples";
const EDGES = "fact_stream_trace_edges";

/** An edge without a name, which must ask its segment. */
const nameless = (at: number) => trace("gateway_receive_first_data_segment", at, { id: "nameless" });

/** Asserts whose the segments are, when they begin and end, and why. */
function areSegments(
  segments: Row[],
  expected: [address: string, start: number, end: number | null, reason: string][],
) {
  assert.equal(segments.map((one) => [one.orchestrator_address, one.start_ts, one.end_ts, one.reason]), expected);
}

describe("flaws in where a segment begins and ends", (test) => {
  test("F4: the sample that proves the change → the old orchestrator's signal: it is the new one's", () => {
    const old = sent(1_000, A);
    const proof = sample(2_000, { ...B, id: "proof" });
    const all = whateverOrder([KNOWN, old, proof], [[KNOWN, proof, old], [proof, KNOWN, old]]);
    states(all.event(SAMPLES, "proof"), { orchestrator_address: "0xcb", gpu_id: "GPU-b" });
    areSegments(all.segments(), [["0xca", 1_000, 2_000, "orchestrator_change"], [
      "0xcb",
      2_000,
      null,
      "orchestrator_change",
    ]]);
  });

  test("F5: edge at 100 → change at 90: the edge moves to the new orchestrator", () => {
    const [old, change, edge] = [sent(10_000, A), sent(90_000, B), nameless(100_000)];
    const all = whateverOrder([KNOWN, old, change, edge], [[KNOWN, old, edge, change]]);
    states(all.event(EDGES, "nameless"), {
      orchestrator_address: "0xcb",
      gpu_attribution_method: "segment_window_join",
    });
  });

  test("F6: sample at 100 → request at 0: the segment begins with the request", () => {
    const events = [KNOWN, request(1_000, { id: "request" }), sample(2_000, { ...A, id: "sample" })];
    const all = whateverOrder(events, [[KNOWN, events[2]!, events[1]!], [events[2]!, events[1]!, KNOWN]]);
    areSegments(all.segments(), [["0xca", 1_000, null, "initial"]]);
    states(all.event(SAMPLES, "sample"), { is_attributed: 1 });
    namesNobody(all.event(EDGES, "request"), "pre_assignment");
  });

  test("F7: close at 100 → request at 0: the close is not swallowed", () => {
    for (const named of [{}, A]) {
      const events = [KNOWN, request(1_000, named), close(2_000, named)];
      const all = whateverOrder(events, [[KNOWN, events[2]!, events[1]!]]);
      areSegments(all.segments(), [[named === A ? "0xca" : "", 1_000, 2_000, "stream_closed"]]);
      states(all.session(), { completed: 1 });
    }
  });

  test("F8: a late signal of the old orchestrator forges no swap back", () => {
    const signals = [sent(1_000, A), processed(2_000, A), sent(3_000, B), nameless(4_000)];
    const [first, late, change, edge] = signals;
    const all = whateverOrder([KNOWN, ...signals], [[KNOWN, first!, change!, late!, edge!], [
      edge!,
      first!,
      change!,
      KNOWN,
      late!,
    ]]);
    areSegments(all.segments(), [["0xca", 1_000, 3_000, "orchestrator_change"], [
      "0xcb",
      3_000,
      null,
      "orchestrator_change",
    ]]);
    states(all.event(EDGES, "nameless"), { orchestrator_address: "0xcb" });
    states(all.session(), { inferred_orchestrator_change_count: 1, orchestrator_address: "0xcb" });
  });

  test("F9: signal of A → close at 100 → signal of B at 90: the close is B's", () => {
    const events = [sent(1_000, A), sent(9_000, B), close(10_000)];
    const all = whateverOrder([KNOWN, ...events], [[KNOWN, events[0]!, events[2]!, events[1]!]]);
    areSegments(all.segments(), [["0xca", 1_000, 9_000, "orchestrator_change"], [
      "0xcb",
      9_000,
      10_000,
      "stream_closed",
    ]]);
  });

  test("F10: signal of B at 10 → late signal of A at 5: the session is B's", () => {
    const events = [sent(5_000, A), sample(10_000, B)];
    const all = whateverOrder([KNOWN, ...events], [[KNOWN, events[1]!, events[0]!]]);
    states(all.session(), { orchestrator_address: "0xcb", orchestrator_url: B.url, gpu_id: "GPU-b" });
    assert.is(idOf(all.session().source_last_event_uid), "sample@10000");
  });

  test("F22: close → snapshot, and close → late signal: a close chooses nothing anew", () => {
    const near = snapshot(9_000, node("0xca", SD, ["GPU-late"]));
    const signal = sent(1_000, A);
    const late = processed(2_000, A);
    const end = close(9_500, { id: "close" });
    const all = whateverOrder([KNOWN, signal, late, near, end], [[signal, end, late, near, KNOWN], [
      KNOWN,
      near,
      signal,
      end,
      late,
    ]]);
    // What served the stream is what its signals show, not what the node runs when the stream ends.
    const rows = [all.session(), all.segments()[0]!, all.event(EDGES, "close")];
    for (const row of rows) states(row, { gpu_id: "GPU-a", selected_snapshot_ts: 500 });
  });

  test("F25: a pipeline that changes with the orchestrator: the session has that of its last segment", () => {
    const batch = node("0xcb", "", [], {
      hot: B.wallet,
      url: B.url,
      hardware: [{ pipeline: "text-to-image", model: "m" }],
    });
    const events = [snapshot(500, NODE_A, batch), sent(1_000, A), sent(2_000, B)];
    const all = whateverOrder(events, [[events[2]!, events[1]!, events[0]!], [events[0]!, events[2]!, events[1]!]]);
    assert.equal(all.segments().map((one) => one.pipeline), [LIVE, "text-to-image"]);
    states(all.session(), { pipeline: "text-to-image", model_id: "m", has_pipeline_change: 1, has_model_change: 1 });
  });

  test("F26: clocks of runner, gateway and envelope: an edge happens at its own time, and no latency is negative", () => {
    // The runner's edge is relayed after the change that it precedes.
    const relayed = trace("gateway_receive_first_data_segment", 1_990, { sentAt: 2_049, id: "nameless" });
    const events = [KNOWN, sent(1_000, A), relayed, sent(2_000, B), processed(2_500, B), request(3_000)];
    const all = whateverOrder(events, [[...events].reverse(), [
      KNOWN,
      events[3]!,
      relayed,
      events[1]!,
      ...events.slice(4),
    ]]);
    states(all.event(EDGES, "nameless"), { edge_ts: 1_990, orchestrator_address: "0xca" });
    areSegments(all.segments(), [["0xca", 1_000, 2_000, "orchestrator_change"], [
      "0xcb",
      2_000,
      null,
      "orchestrator_change",
    ]]);
    states(all.session(), {
      prompt_to_first_frame_ms: null,
      first_processed_ts: 2_500,
      first_stream_request_ts: 3_000,
    });
  });

  test("F27: a request before any orchestrator is known is pre_assignment, delayed or not", () => {
    const early = request(1_000, { id: "request" });
    const assigned = sent(2_000, A);
    const all = whateverOrder([KNOWN, early, assigned], [[KNOWN, assigned, early], [early, assigned, KNOWN]]);
    namesNobody(all.event(EDGES, "request"), "pre_assignment");
    // In a session that never knows one it is another thing.
    namesNobody(facts([KNOWN, early]).event(EDGES, "request"), "no_orchestrator");
  });

  test("F29: close at 9 → playable at 5: the terminal row has it", () => {
    const events = [request(1_000), processed(2_000), playable(5_000), close(9_000, { id: "close" })];
    const [first, second, late, end] = events;
    const all = whateverOrder(events, [[first!, second!, end!, late!], [end!, late!, second!, first!]]);
    states(all.event("fact_lifecycle_edge_coverage", "close"), {
      is_terminal_signal: 1,
      has_first_playable_edge: 1,
      playable_edge_matched: 1,
      unmatched_reason: "",
    });
  });
});

describe("flaws in what was counted", (test) => {
  const events = [
    KNOWN,
    request(1_000),
    sent(2_000, A),
    error(3_000, "odd"),
    error(4_000, "missing video"),
    swap(5_000, A),
    sample(6_000, { ...A, model: SD, lastError: "odd" }),
  ];

  test("F23: what comes again long after it was forgotten changes no count, no field and no version", () => {
    const again = [[...events, ...events], [...events, ...[...events].reverse()], events.flatMap((one) => [one, one])];
    for (const mostSeen of [1, 1_000]) {
      states(whateverOrder(events, again, { mostSeen }).session(), {
        event_count: 6,
        error_count: 2,
        excusable_error_count: 1,
        swap_count: 1,
        status_sample_count: 1,
        status_error_sample_count: 1,
        orchestrator_address: "0xca",
      });
    }
  });

  test("F24: who knows only part of the log writes a lower version, so that the fuller row stays", () => {
    const whole = facts(events).session();
    for (let from = 1; from < events.length; from++) {
      const part = facts(events.slice(from)).session();
      assert.ok(BigInt(part.version as string) < BigInt(whole.version as string), `from ${from} on`);
    }
    // Fewer snapshots are less evidence, too.
    const blind = facts(events.slice(1)).session();
    states(blind, { is_attributed: 0, event_count: whole.event_count! });
  });

  test("F24: a row weighs what it depends on: its own evidence, or its session's", () => {
    const some = [KNOWN, sent(1_000, { ...A, id: "named" }), close(2_000, { id: "nameless" })];
    const [less, more] = [facts(some), facts([...some, error(3_000, "odd")])];
    const version = (all: Facts, id: string) => BigInt(all.event(EDGES, id).version as string);
    assert.is(version(less, "named"), version(more, "named"));
    assert.ok(version(less, "nameless") < version(more, "nameless"));
    assert.is(version(more, "nameless"), BigInt(more.session().version as string));
  });

  test("F24: a state that is lost and derived again writes the same rows", () => {
    const world = new World();
    for (const wire of events) {
      world.publish(wire);
      world.drain();
      world.crash();
      world.drain();
    }
    assert.equal(factsOf(world).all, facts(events).all);
  });
});
