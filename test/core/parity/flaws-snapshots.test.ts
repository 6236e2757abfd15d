/**
 * Known flaws of the predecessors (§1.8) that late, many or foreign snapshots brought out: F1–F3, F11–F21, F28.
 *
 * Each test feeds the order of arrival that went wrong and the order in which things happened; both must leave the
 * same rows in every fact table, and those that the second order deserves. `X → Y` means that X arrives before Y.
 */
import * as assert from "uvu/assert";
import { capabilities, node, snapshot, status } from "../../helpers/events.ts";
import { facts, namesNobody, whateverOrder } from "../../helpers/facts.ts";
import {
  A,
  B,
  close,
  KNOWN,
  KNOWN_AT,
  LIVE,
  NODE_A,
  processed,
  request,
  sample,
  SD,
  sent,
  streamEvent,
} from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { HOUR_MS, states } from "../../helpers/world.ts";

const SAMPLES = "fact_stream_status_samples";
const EDGES = "fact_stream_trace_edges";
const MINUTE_MS = 60_000;
const T = 1_000 * HOUR_MS;

describe("flaws that a late snapshot brought out", (test) => {
  test("F1: a snapshot that comes after all signals attributes session, segment, sample, edges, parameters and coverage", () => {
    const signals = [
      request(1_000),
      sample(2_000, { ...A, model: SD, id: "sample" }),
      processed(3_000, A),
      streamEvent("params_update", 4_000, "{}", { id: "params" }),
      close(5_000, { id: "close" }),
    ];
    const all = whateverOrder([KNOWN, ...signals], [[...signals, KNOWN]]);
    const identity = { is_attributed: 1, orchestrator_address: "0xca", model_id: SD, gpu_id: "GPU-a", pipeline: LIVE };
    const borrowed = { ...identity, gpu_attribution_method: "segment_window_join", gpu_attribution_confidence: 0.9 };
    const own = { ...identity, gpu_attribution_method: "node_match", gpu_attribution_confidence: 0.9 };
    states(all.session(), own);
    states(all.segments()[0]!, own);
    states(all.event(SAMPLES, "sample"), own);
    states(all.event(EDGES, "gateway_receive_first_processed_segment@3000"), own);
    states(all.event(EDGES, "close"), borrowed);
    states(all.event("fact_workflow_param_updates", "params"), borrowed);
    states(all.event("fact_lifecycle_edge_coverage", "close"), borrowed);
  });

  test("F2: sample → its own blank segment → snapshot: no segment settles what a sample is", () => {
    const status = sample(1_000, { ...A, id: "sample" });
    const all = whateverOrder([KNOWN, status], [[status, KNOWN]]);
    states(all.event(SAMPLES, "sample"), { is_attributed: 1, orchestrator_address: "0xca" });
    namesNobody(facts([status]).segments()[0]!, "no_snapshot", A.url);
  });

  test("F3: sample → twenty minutes of other events → snapshot: no wait runs out", () => {
    const status = sample(T, { ...A, id: "sample" });
    const known = snapshot(T - 1_000, NODE_A);
    const others = Array.from({ length: 20 }, (_, minute) => [
      sample(T + minute * MINUTE_MS, { ...B, request: "other" }),
      snapshot(T + minute * MINUTE_MS, node("0xcz", "m", [], { hot: "0xz", url: "https://z" })),
    ]).flat();
    const all = whateverOrder([known, status, ...others], [[status, ...others, known]]);
    states(all.event(SAMPLES, "sample"), { is_attributed: 1, gpu_attribution_confidence: 0.9 });
    states(all.session(), { is_attributed: 1, orchestrator_address: "0xca" });
  });

  test("F28: params_update → snapshot: the marker has the identity that was known by its time", () => {
    const before = streamEvent("params_update", 500, "{}", { id: "before" });
    const params = streamEvent("params_update", 2_000, "{}", { id: "params" });
    const after = streamEvent(" PARAMS_UPDATE", 4_000, "{}", { id: "after" });
    const [a, b] = [sent(1_000, A), sent(3_000, B)];
    const all = whateverOrder([KNOWN, before, a, params, b, after], [[params, after, b, a, before, KNOWN]]);
    namesNobody(all.event("fact_workflow_param_updates", "before"), "pre_assignment");
    states(all.event("fact_workflow_param_updates", "after"), { orchestrator_address: "0xcb", gpu_id: "GPU-b" });
    namesNobody(facts([before]).event("fact_workflow_param_updates", "before"), "no_orchestrator");
    states(all.event("fact_workflow_param_updates", "params"), {
      is_attributed: 1,
      orchestrator_address: "0xca",
      gpu_id: "GPU-a",
      update_ts: 2_000,
      update_type: "params_update",
      message: "{}",
    });
  });
});

describe("flaws in what was chosen", (test) => {
  const wallet = { wallet: A.wallet };

  test("F11: edge without a hint → earlier sample with one: the model is the hinted one throughout", () => {
    const x = snapshot(500, node("0xca", "x", ["GPU-x"]));
    const nearer = snapshot(900, node("0xca", "y", ["GPU-y"], { url: B.url }));
    const edge = processed(2_000, { ...A, id: "edge" });
    const hinted = sample(1_000, { ...A, model: "x" });
    const all = whateverOrder([x, nearer, hinted, edge], [[x, nearer, edge, hinted], [edge, hinted, nearer, x]]);
    states(all.session(), { model_id: "x", gpu_id: "GPU-x", has_model_change: 0 });
    states(all.event(EDGES, "edge"), { model_id: "x" });
  });

  test("F11: … and on a node that runs both, the edge leaves the model open and the session does not", () => {
    const hardware = [{ model: "x", gpus: ["GPU-x"] }, { model: "y", gpus: ["GPU-y"] }];
    const both = snapshot(500, node("0xca", "", [], { hardware }));
    const edge = processed(2_000, { ...A, id: "edge" });
    const hinted = sample(1_000, { ...A, model: "x" });
    const all = whateverOrder([both, hinted, edge], [[both, edge, hinted], [edge, hinted, both]]);
    states(all.event(EDGES, "edge"), { orchestrator_address: "0xca", model_id: null });
    states(all.session(), { model_id: "x", gpu_id: "GPU-x", has_model_change: 0 });
  });

  test("F12: snapshot of A → signal → snapshot of B, one wallet: ambiguous, whichever came first", () => {
    const a = snapshot(100, node("0xca", SD, ["GPU-a"]));
    const b = snapshot(200, node("0xcb", SD, ["GPU-b"], { url: B.url }));
    const signal = sample(1_000, { ...wallet, model: SD, id: "sample" });
    const all = whateverOrder([a, b, signal], [[a, signal, b], [b, signal, a], [signal, b, a]]);
    namesNobody(all.event(SAMPLES, "sample"), "wallet_ambiguous");
    namesNobody(all.session(), "wallet_ambiguous");
    states(all.session(), { inferred_orchestrator_change_count: 0, evidence_level: 4 });
  });

  test("F13: snapshot of now → snapshot of three days ago: the old one displaces nothing", () => {
    const now = snapshot(T, NODE_A);
    const old = snapshot(T - 72 * HOUR_MS, node("0xca", SD, ["GPU-old"]));
    const signal = sample(T + 1_000, { ...A, id: "sample" });
    const all = whateverOrder([old, now, signal], [[now, old, signal], [now, signal, old]]);
    states(all.event(SAMPLES, "sample"), { gpu_id: "GPU-a", gpu_attribution_confidence: 0.9 });
    states(all.session(), { gpu_id: "GPU-a", selected_snapshot_ts: T });
  });

  test("F14: forty newer snapshots → an old signal: no cap on a wallet's snapshots takes its prior one away", () => {
    const prior = snapshot(T - 1_000, NODE_A);
    const newer = Array.from(
      { length: 40 },
      (_, at) => snapshot(T + (at + 1) * MINUTE_MS, node("0xca", "m", [`${at}`])),
    );
    const signal = sample(T, { ...A, model: SD, id: "sample" });
    const all = whateverOrder([prior, signal, ...newer], [[prior, ...newer, signal], [...newer, signal, prior]]);
    states(all.event(SAMPLES, "sample"), { gpu_id: "GPU-a", model_id: SD, gpu_attribution_confidence: 0.9 });
    states(all.session(), { gpu_id: "GPU-a", selected_snapshot_ts: T - 1_000 });
  });

  test("F15: only snapshots 24 to 48 hours away: nothing is overwritten by a stale row", () => {
    const far = [snapshot(T - 30 * HOUR_MS, NODE_A), snapshot(T + 47 * HOUR_MS, NODE_A)];
    const signal = sample(T, { ...A, id: "sample" });
    const settings = { allowedLatenessMs: 100 * HOUR_MS };
    const all = whateverOrder([far[0]!, signal, far[1]!], [[signal, ...far], [...far, signal]], settings);
    namesNobody(all.event(SAMPLES, "sample"), "no_snapshot", A.url);
    namesNobody(all.session(), "no_snapshot", A.url);
  });

  test("F16: GPU B → signal → GPUs A and B → signal: no GPU is kept for having been chosen once", () => {
    const one = snapshot(1_000, node("0xca", SD, ["GPU-B"]));
    const two = snapshot(2_000, node("0xca", SD, ["GPU-A", "GPU-B"]));
    const first = sample(3_000, { ...A, id: "first" });
    const second = sample(4_000, { ...A, id: "second" });
    const all = whateverOrder([one, two, first, second], [[one, first, two, second]]);
    const expected = { gpu_id: "GPU-A", gpu_count: 2, gpu_attribution_confidence: 0.45, selected_snapshot_ts: 2_000 };
    for (const row of [all.event(SAMPLES, "first"), all.event(SAMPLES, "second"), all.session()]) states(row, expected);
  });

  test("F17: two GPUs of one event: the one that is parsed last does not displace the other", () => {
    for (const gpus of [["GPU-1", "GPU-2"], ["GPU-2", "GPU-1"]]) {
      const hardware = gpus.map((gpu) => ({ model: SD, gpus: [gpu] }));
      const known = snapshot(500, node("0xca", "", [], { hardware }));
      const all = whateverOrder([known, sent(1_000, A)]);
      states(all.session(), { gpu_id: "GPU-1", gpu_count: 2 });
    }
  });

  test("F18: snapshot with X → snapshot with Y → signal for X: the latest does not win", () => {
    const x = snapshot(1_000, node("0xca", "x", ["GPU-x"]));
    const y = snapshot(2_000, node("0xca", "y", ["GPU-y"]));
    const signal = sample(3_000, { ...A, model: "x", id: "sample" });
    const all = whateverOrder([x, y, signal], [[y, x, signal], [signal, y, x], [x, signal, y]]);
    for (const row of [all.event(SAMPLES, "sample"), all.session()]) states(row, { model_id: "x", gpu_id: "GPU-x" });
  });

  test("F19: snapshot of another source → signal: nothing crosses between sources, neither snapshots nor sessions", () => {
    const foreign = capabilities({ at: KNOWN_AT, source: "other", nodes: [NODE_A] });
    const signal = { ...A, at: 1_000 };
    const events = [foreign, status(signal), status({ ...signal, source: "other" }), request(900)];
    const all = whateverOrder(events, [[...events].reverse()]);
    const sessions = all.of("fact_workflow_sessions");
    assert.equal(sessions.map((row) => [row.source, row.is_attributed, row.event_count]), [
      ["network", 0, 2],
      ["other", 1, 1],
    ]);
    namesNobody(sessions[0]!, "no_snapshot", A.url);
  });

  test("F20: signal → snapshot, and it was the last signal: session, segment, sample and edge agree", () => {
    const signals = [sent(1_000, { ...A, id: "edge" }), sample(2_000, { ...A, model: SD, id: "sample" })];
    const all = whateverOrder([KNOWN, ...signals], [[...signals, KNOWN], [signals[1]!, KNOWN, signals[0]!]]);
    const identity = {
      is_attributed: 1,
      orchestrator_address: "0xca",
      orchestrator_url: A.url,
      pipeline: LIVE,
      model_id: SD,
      gpu_id: "GPU-a",
      selected_snapshot_ts: KNOWN_AT,
    };
    const rows = [all.session(), all.segments()[0]!, all.event(SAMPLES, "sample"), all.event(EDGES, "edge")];
    for (const row of rows) states(row, identity);
  });

  test("F21: a url alone is evidence, with a blank wallet or an unknown one", () => {
    for (const unknown of ["", "0xnobody"]) {
      const signals = [
        sent(1_000, { wallet: unknown, url: A.url, id: "edge" }),
        sample(2_000, { wallet: unknown, url: A.url, id: "sample" }),
      ];
      const all = whateverOrder([KNOWN, ...signals], [[...signals, KNOWN]]);
      for (const row of [all.session(), all.event(SAMPLES, "sample"), all.event(EDGES, "edge")]) {
        states(row, { orchestrator_address: "0xca", evidence_level: 5, gpu_attribution_method: "node_match" });
      }
    }
  });
});
