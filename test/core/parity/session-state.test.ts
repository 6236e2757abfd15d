/**
 * §6.5 of the parity list: the fold of a session. Of the class's later revision (swaps, change flags, health) only
 * the rules are known, so the second suite has tests of our own for them.
 */
import * as assert from "uvu/assert";
import type { Row } from "../../../src/core/emit/row.ts";
import { node, snapshot, URL, type Wire } from "../../helpers/events.ts";
import { idOf, whateverOrder } from "../../helpers/facts.ts";
import {
  A,
  B,
  close,
  error,
  KNOWN,
  LIVE,
  NODE_A,
  NODE_B,
  noOrchestrator,
  playable,
  processed,
  request,
  sample,
  SD,
  sent,
  streamEvent,
  swap,
} from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { HOUR_MS, states } from "../../helpers/world.ts";

const sessionOf = (...events: Wire[]): Row => whateverOrder(events).session();

describe("WorkflowSessionStateMachineTest (§6.5)", (test) => {
  const hotA = { wallet: "0xhot1" };
  const hotB = { wallet: "0xhot2" };

  test("classifiesKnownStreamSuccessWithoutCanonicalSwapFallback: known, a success, no swap, its first and last event", () => {
    const row = sessionOf(request(1_000, { ...hotA, id: "e1" }), playable(2_000, { ...hotB, id: "e2" }));
    states(row, { known_stream: 1, startup_success: 1, startup_excused: 0, startup_unexcused: 0, swap_count: 0 });
    assert.equal([idOf(row.source_first_event_uid), idOf(row.source_last_event_uid)], ["e1", "e2"]);
  });

  test("classifiesKnownStreamSuccessAndSwapFallback is not reproduced: two hot wallets are no swap", () => {
    states(sessionOf(request(1_000, hotA), playable(2_000, hotB)), {
      swap_count: 0,
      confirmed_swap_count: 0,
      inferred_orchestrator_change_count: 0,
    });
  });

  test("classifiesExcusedByErrorTaxonomy: a disconnect in any case excuses", () => {
    states(sessionOf(request(1_000), error(2_000, "WHIP disconnected unexpectedly")), {
      known_stream: 1,
      startup_success: 0,
      startup_excused: 1,
      startup_unexcused: 0,
      error_count: 1,
      excusable_error_count: 1,
    });
  });

  test("classificationPrecedenceKeepsSuccessOverExcusedSignals: what was playable stays a success", () => {
    states(sessionOf(request(1_000), playable(2_000), noOrchestrator(3_000)), {
      startup_success: 1,
      startup_excused: 0,
      startup_unexcused: 0,
    });
  });

  test("appliesCapabilityAttributionWithTtl: a hot wallet gives canonical address, model and GPU, by wallet at 0.4", () => {
    const known = snapshot(10_000, node("0xCanonical", SD, ["GPU-1"]));
    const expected = { orchestrator_address: "0xcanonical", model_id: SD, gpu_id: "GPU-1", pipeline: LIVE };
    states(sessionOf(known, sample(20_000, { wallet: "0xHot", model: SD })), {
      ...expected,
      gpu_attribution_method: "wallet_match",
      gpu_attribution_confidence: 0.4,
    });
    // With its url the same signal is as sure as upstream's nearest_prior_snapshot.
    states(sessionOf(known, sample(20_000, { wallet: "0xHot", url: URL, model: SD })), {
      ...expected,
      gpu_attribution_method: "node_match",
      gpu_attribution_confidence: 0.9,
    });
  });

  test("canonicalAttributionPreventsFalseSwapFromHotWalletChanges: two hot wallets of one canonical address are one segment", () => {
    const known = snapshot(
      500,
      node("0xca", SD, ["GPU-a"]),
      node("0xca", SD, ["GPU-b"], { hot: B.wallet, url: B.url }),
    );
    const all = whateverOrder([known, request(1_000, A), processed(2_000, B)]);
    states(all.session(), { swap_count: 0, inferred_orchestrator_change_count: 0, orchestrator_address: "0xca" });
    assert.is(all.segments().length, 1);
  });

  test("prodRegression_mixedSignalSequenceKeepsStreamdiffusionAttribution: a hinted sample, then an edge without a hint", () => {
    const T = 100 * HOUR_MS;
    const sd = (at: number) => snapshot(at, NODE_A);
    const llama = snapshot(T + 509_903, node("0xca", "llama", ["GPU-llama"]));
    const at = T + 519_000 + 21 * 60_000;
    const row = sessionOf(
      sd(T + 506_612),
      llama,
      sd(T + 519_000),
      sample(at, { ...A, model: SD }),
      sent(at + 1_000, A),
    );
    states(row, { pipeline: LIVE, model_id: SD, gpu_id: "GPU-a", has_model_change: 0 });
  });
});

describe("sessions, beyond the tests that are known (§2)", (test) => {
  test("a swap that the gateway told of is confirmed; a change that only the signals show is inferred", () => {
    states(sessionOf(KNOWN, sent(1_000, A), swap(2_000, A)), {
      confirmed_swap_count: 1,
      swap_count: 1,
      inferred_orchestrator_change_count: 0,
    });
    states(sessionOf(KNOWN, sent(1_000, A), sent(2_000, B)), {
      confirmed_swap_count: 0,
      swap_count: 0,
      inferred_orchestrator_change_count: 1,
    });
  });

  test("a way there and back is two changes of segment, and one of orchestrator", () => {
    const all = whateverOrder([KNOWN, sent(1_000, A), sent(2_000, B), sent(3_000, A)]);
    assert.is(all.segments().length, 3);
    states(all.session(), { inferred_orchestrator_change_count: 1, orchestrator_address: "0xca" });
  });

  test("models and pipelines change with the segments, and only with them", () => {
    const batch = node("0xcb", "", [], {
      hot: B.wallet,
      url: B.url,
      hardware: [{ pipeline: "text-to-image", model: "m" }],
    });
    states(sessionOf(snapshot(500, NODE_A, batch), sent(1_000, A), sent(2_000, B)), {
      has_model_change: 1,
      has_pipeline_change: 1,
      model_id: "m",
      pipeline: "text-to-image",
    });
    states(sessionOf(snapshot(500, NODE_A, NODE_B), sent(1_000, A), sent(2_000, B)), {
      has_model_change: 0,
      has_pipeline_change: 0,
    });
    const shouting = node("0xcb", SD.toUpperCase(), [], { hot: B.wallet, url: B.url });
    states(sessionOf(snapshot(500, NODE_A, shouting), sent(1_000, A), sent(2_000, B)), { has_model_change: 0 });
  });

  test("health counts samples, first processed and playable, and expects them of a known stream only (D8)", () => {
    const rows = [
      sessionOf(request(1_000)),
      sessionOf(request(1_000), sample(2_000)),
      sessionOf(request(1_000), sample(2_000), processed(3_000)),
      sessionOf(request(1_000), sample(2_000), processed(3_000), playable(4_000)),
    ];
    assert.equal(rows.map((row) => row.health_signal_count), [0, 1, 2, 3]);
    assert.equal(rows.map((row) => row.health_completeness_ratio), [0, 1 / 3, 2 / 3, 1]);
    states(sessionOf(sample(2_000)), { health_expected_signal_count: 0, health_completeness_ratio: 1 });
  });

  test("every one of the six substrings excuses, in any case; a blank message and anything else does not", () => {
    const excuses = [
      "No Orchestrators Available within 2s timeout",
      "mediamtx ingest disconnected",
      "the WHIP disconnected",
      "missing video",
      "ICE connection state failed",
      "user disconnected",
    ];
    for (const message of excuses) {
      states(sessionOf(request(1_000), error(2_000, message)), { startup_excused: 1, excusable_error_count: 1 });
    }
    for (const message of ["", "GPU kernel panic"]) {
      states(sessionOf(request(1_000), error(2_000, message)), { startup_unexcused: 1, excusable_error_count: 0 });
    }
    states(sessionOf(request(1_000), error(2_000, "missing video"), error(3_000, "GPU kernel panic")), {
      startup_unexcused: 1,
      error_count: 2,
      excusable_error_count: 1,
    });
  });

  test("without a request a session is outside of every class", () => {
    states(sessionOf(noOrchestrator(1_000), error(2_000, "missing video")), {
      known_stream: 0,
      startup_success: 0,
      startup_excused: 0,
      startup_unexcused: 0,
    });
    states(sessionOf(playable(1_000)), { known_stream: 0, startup_success: 1, startup_unexcused: 0 });
  });

  test("an error is one in any case and between blanks, and nothing else is", () => {
    const events = [streamEvent(" ERROR ", 1_000, "odd"), streamEvent("errors", 2_000, "odd")];
    states(sessionOf(...events), { error_count: 1, event_count: 2 });
  });

  test("a session that knows nobody says the most that any of its signals shows", () => {
    const incompatible = sample(1_000, { ...A, model: "x" });
    const row = sessionOf(KNOWN, incompatible, sent(2_000, { wallet: "0xz", url: "https://z" }), close(3_000));
    states(row, {
      is_attributed: 0,
      unattributed_reason: "model_incompatible",
      evidence_level: 2,
      orchestrator_url: "https://z",
    });
  });

  test("its workflow is the pipeline that its first signal claims, if that claims one", () => {
    states(sessionOf(KNOWN, sent(1_000, A), close(2_000)), { workflow_id: LIVE });
    states(sessionOf(KNOWN, request(900), sent(1_000, A)), { workflow_id: "ai_live_video_stream" });
  });

  test("no orchestrator excuses also after a selection (D7)", () => {
    states(sessionOf(KNOWN, request(1_000), sent(2_000, A), noOrchestrator(3_000)), { startup_excused: 1 });
  });

  test("errors are counted apart before and after the first playable edge (D10)", () => {
    const errors = [error(2_000, "missing video"), error(2_500, "odd"), error(4_000, "whip disconnected")];
    states(sessionOf(request(1_000), ...errors, playable(3_000), playable(5_000)), {
      error_count: 3,
      excusable_error_count: 2,
      error_count_before_playable: 2,
      error_count_after_playable: 1,
      excusable_error_count_before_playable: 1,
      excusable_error_count_after_playable: 1,
    });
    // At one instant an edge comes before what the gateway says.
    states(sessionOf(request(1_000), error(3_000, "odd"), playable(3_000)), { error_count_after_playable: 1 });
    states(sessionOf(request(1_000), error(3_000, "odd")), { error_count_before_playable: 1 });
  });

  test("a session spans all of its signals, and begins where a sample says it did, if it can have", () => {
    const late = 1_000 * 24 * HOUR_MS * 20;
    states(sessionOf(request(late), close(late + 5_000), error(late + 60_000, "odd")), {
      session_start_ts: late,
      session_end_ts: late + 60_000,
      completed: 1,
      event_count: 3,
    });
    states(sessionOf(sample(late, { startTime: late - 9_000 })), { session_start_ts: late - 9_000 });
    for (const startTime of [late + 1, 1_700_000, 0]) {
      states(sessionOf(sample(late, { startTime })), { session_start_ts: late });
    }
  });

  test("an error or a restart from before the stream's start is not the session's", () => {
    const startTime = 50_000;
    states(sessionOf(sample(60_000, { startTime, lastError: "odd", lastErrorTime: 49_999 })), {
      last_error_occurred: 0,
      status_error_sample_count: 0,
    });
    for (const lastErrorTime of [50_000, undefined]) {
      const fields = { startTime, lastError: "odd", ...lastErrorTime === undefined ? {} : { lastErrorTime } };
      states(sessionOf(sample(60_000, fields)), { last_error_occurred: 1, status_error_sample_count: 1 });
    }
    for (const lastError of [" ", "null"]) states(sessionOf(sample(60_000, { lastError })), { last_error_occurred: 0 });
    states(sessionOf(sample(60_000, { startTime, restarts: 2, lastRestartTime: 49_999 })), { restart_seen: 0 });
    states(sessionOf(sample(60_000, { startTime, restarts: 2, lastRestartTime: 50_000 })), { restart_seen: 1 });
    states(sessionOf(sample(60_000, { startTime })), { restart_seen: 0 });
  });
});
