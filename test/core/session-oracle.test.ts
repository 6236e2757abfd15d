/**
 * The oracle of sessions, held against cases worked out by hand: what it says of generated worlds is only worth
 * something when it is right about these. Every case is tried with its events in both orders.
 */
import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import {
  bytesOf,
  capabilities,
  ingest,
  MISSING,
  NO_HINT,
  node,
  type NodeFields,
  status,
  type StatusFields,
  stored,
  streamEvent,
  subjectOf,
  TRACE,
  trace,
  type TraceFields,
  type Wire,
} from "../helpers/events.ts";
import { expectedFacts, type Fact, keyOf } from "../helpers/fact-oracle.ts";
import { acceptedEvents } from "../helpers/oracle.ts";
import type { FactRow } from "../helpers/session-row-oracle.ts";
import { describe } from "../helpers/suite.ts";

const T = Date.UTC(2026, 0, 1);
const s = (seconds: number): number => T + Math.round(seconds * 1_000);
const HOUR_MS = 3_600_000;
const STORED_MS = 4_000_000_000_000;

/** Two orchestrators behind one hot wallet, each with a node, a model and a GPU of its own. */
const NODE_A = node("0xca", "m-one", ["GPU-a"], { url: "https://a" });
const NODE_B = node("0xcb", "m-two", ["GPU-b"], { url: "https://b" });
const caps = (...nodes: NodeFields[]): Wire => capabilities({ at: s(-60), id: "caps", nodes });
const CAPS = caps(NODE_A, NODE_B);
const A = { wallet: "0xhot", url: "https://a" };
const B = { wallet: "0xhot", url: "https://b" };

/** What a row says that is attributed to a node on the snapshot a minute before the session. */
const IS_A = { orchestrator_address: "0xca", orchestrator_url: "https://a", model_id: "m-one", gpu_id: "GPU-a" };
const IS_B = { orchestrator_address: "0xcb", orchestrator_url: "https://b", model_id: "m-two", gpu_id: "GPU-b" };
const BORROWED = { is_attributed: 1, gpu_attribution_method: "segment_window_join", gpu_attribution_confidence: 0.9 };
const OWN = { is_attributed: 1, gpu_attribution_method: "node_match", gpu_attribution_confidence: 0.9 };
const NOBODY = {
  orchestrator_address: "",
  pipeline: "",
  model_id: null,
  gpu_id: null,
  gpu_count: 0,
  is_attributed: 0,
  gpu_attribution_method: "none",
  gpu_attribution_confidence: 0,
  selected_snapshot_uid: "",
  selected_snapshot_ts: null,
};

const edge = (type: keyof typeof TRACE, at: number, more: Partial<TraceFields> = {}): Wire =>
  trace({ id: `${type}-${at}`, ...more, type: TRACE[type], at: s(at) });
const sample = (at: number, more: Partial<StatusFields> = {}): Wire =>
  status({ id: `status-${at}`, ...more, at: s(at) });
const error = (at: number, message = ""): Wire => streamEvent({ id: `error-${at}`, message, at: s(at) });
const update = (at: number): Wire => streamEvent({ id: `update-${at}`, type: "params_update", at: s(at) });

type Facts = Record<Fact, FactRow[]>;

function factsOf(wires: readonly Wire[], generation = 1): Facts {
  const of = (list: readonly Wire[]): Facts => {
    const messages = list.map((wire, at) => stored(subjectOf(wire, 1), bytesOf(wire.envelope, at), at + 1, STORED_MS));
    const facts = expectedFacts(acceptedEvents(messages), {
      ttl: { beforeMs: 24 * HOUR_MS, afterMs: 24 * HOUR_MS },
      generation,
    });
    for (const rows of Object.values(facts)) rows.sort((a, b) => keyOf(a) < keyOf(b) ? -1 : 1);
    return facts;
  };
  const facts = of(wires);
  assert.equal(of([...wires].reverse()), facts, "the order of arrival decides nothing");
  return facts;
}

/** The only session of some events. */
function sessionOf(...wires: Wire[]): FactRow {
  const [row, ...others] = factsOf(wires).fact_workflow_sessions;
  assert.is(others.length, 0);
  return row!;
}

/** The row of a table that an event with this id has. */
function rowOf(facts: Facts, fact: Fact, id: string): FactRow {
  const found = facts[fact].filter((row) => row.source_event_id === id);
  assert.is(found.length, 1, `one row of ${id}`);
  return found[0]!;
}

function says(row: FactRow, expected: FactRow): void {
  assert.equal(Object.fromEntries(Object.keys(expected).map((column) => [column, row[column]])), expected);
}

/** The runs of a session, times in seconds: address, start, end, reason. */
function runsOf(row: FactRow): unknown[] {
  const list = (name: string) => row[`segments.${name}`] as readonly (string | number | null)[];
  const seconds = (time: string | number | null) => time === null ? null : (Number(time) - T) / 1_000;
  return list("start_ts").map((start, at) => [
    list("orchestrator_address")[at],
    seconds(start),
    seconds(list("end_ts")[at]!),
    list("reason")[at],
  ]);
}

/** The id in a uid. */
const idOf = (uid: unknown): string => String(uid).split("~")[0]!;

describe("session oracle: runs", (test) => {
  test("a swap to another orchestrator ends one run and begins the next", () => {
    const facts = factsOf([
      CAPS,
      edge("request", 0),
      edge("ingest", 1, A),
      edge("swap", 5, A),
      edge("ingest", 6, B),
      edge("close", 9),
    ]);
    const row = facts.fact_workflow_sessions[0]!;
    assert.equal(runsOf(row), [["0xca", 0, 6, "orchestrator_change"], ["0xcb", 6, 9, "stream_closed"]]);
    says(row, {
      ...IS_B,
      ...OWN,
      pipeline: NO_HINT,
      gpu_count: 1,
      evidence_level: 6,
      unattributed_reason: "",
      selected_snapshot_ts: s(-60),
      confirmed_swap_count: 1,
      swap_count: 1,
      inferred_orchestrator_change_count: 1,
      has_model_change: 1,
      has_pipeline_change: 0,
      completed: 1,
      "segments.model_id": ["m-one", "m-two"],
      "segments.gpu_id": ["GPU-a", "GPU-b"],
      "segments.gpu_count": [1, 1],
      "segments.orchestrator_url": ["https://a", "https://b"],
      "segments.gpu_attribution_method": ["node_match", "node_match"],
      "segments.source_trace_type": [TRACE.ingest, TRACE.close],
    });
    const uids = row["segments.source_event_uid"] as string[];
    assert.equal(uids.map(idOf), ["ingest-6", "close-9"]);
  });

  test("a swap edge without another orchestrator begins no run", () => {
    const row = sessionOf(CAPS, edge("ingest", 1, A), edge("swap", 5, A), edge("noOrchestrators", 6));
    assert.equal(runsOf(row), [["0xca", 1, null, "initial"]]);
    says(row, { confirmed_swap_count: 1, inferred_orchestrator_change_count: 0, ...IS_A });
  });

  test("a close that comes before its request in the stream still closes the run (F7)", () => {
    assert.equal(runsOf(sessionOf(CAPS, edge("close", 100), edge("request", 0))), [["", 0, 100, "stream_closed"]]);
  });

  test("a close that is the first signal of the session closes nothing", () => {
    const row = sessionOf(CAPS, edge("close", 0), edge("request", 1));
    assert.equal(runsOf(row), [["", 0, null, "initial"]]);
    says(row, { completed: 1 });
  });

  test("a late signal of the old orchestrator forges no swap back (F8)", () => {
    const row = sessionOf(CAPS, edge("ingest", 1, A), edge("ingest", 3, B), sample(2, A));
    assert.equal(runsOf(row), [["0xca", 1, 3, "orchestrator_change"], ["0xcb", 3, null, "orchestrator_change"]]);
    says(row, IS_B);
  });

  test("a close is credited to the run that it falls in, whenever the run became known (F9)", () => {
    const row = sessionOf(CAPS, edge("ingest", 1, A), edge("close", 100), edge("ingest", 90, B));
    assert.equal(runsOf(row), [["0xca", 1, 90, "orchestrator_change"], ["0xcb", 90, 100, "stream_closed"]]);
  });

  test("a close before a change of orchestrator ends neither run", () => {
    const row = sessionOf(CAPS, edge("ingest", 1, A), edge("close", 5), edge("ingest", 9, B));
    assert.equal(runsOf(row), [["0xca", 1, 9, "orchestrator_change"], ["0xcb", 9, null, "orchestrator_change"]]);
    says(row, { completed: 1 });
  });

  test("of several closes the last ends the run, and what comes after reopens nothing", () => {
    const row = sessionOf(CAPS, edge("ingest", 1, A), edge("close", 5), edge("close", 8), error(20));
    assert.equal(runsOf(row), [["0xca", 1, 8, "stream_closed"]]);
    says(row, { session_end_ts: s(20), "segments.source_trace_type": [TRACE.close] });
    assert.equal((row["segments.source_event_uid"] as string[]).map(idOf), ["error-20"]);
  });

  test("a close that opens a run does not close it", () => {
    const row = sessionOf(CAPS, edge("ingest", 1, A), edge("close", 5, B));
    assert.equal(runsOf(row), [["0xca", 1, 5, "orchestrator_change"], ["0xcb", 5, null, "orchestrator_change"]]);
  });

  test("an orchestrator that comes back is a third run, and two distinct orchestrators are one change", () => {
    const row = sessionOf(CAPS, edge("ingest", 1, A), edge("ingest", 3, B), sample(4, A), edge("close", 7));
    assert.equal(runsOf(row), [
      ["0xca", 1, 3, "orchestrator_change"],
      ["0xcb", 3, 4, "orchestrator_change"],
      ["0xca", 4, 7, "stream_closed"],
    ]);
    says(row, {
      inferred_orchestrator_change_count: 1,
      // The second run was ended by a sample, and its only trace is the one that opened it.
      "segments.source_trace_type": [TRACE.ingest, TRACE.ingest, TRACE.close],
    });
  });

  test("another node of the same orchestrator begins no run; the identity is the later one's", () => {
    const second = node("0xca", "m-one", ["GPU-c"], { url: "https://a2" });
    const row = sessionOf(
      caps(NODE_A, second),
      edge("ingest", 1, A),
      edge("processed", 3, { ...A, url: "https://a2" }),
    );
    assert.equal(runsOf(row), [["0xca", 1, null, "initial"]]);
    says(row, { orchestrator_url: "https://a2", gpu_id: "GPU-c", has_model_change: 0 });
  });
});

describe("session oracle: identity", (test) => {
  const TWO_MODELS = node("0xca", "", [], {
    url: "https://a",
    hardware: [{ model: "m-one", gpus: ["GPU-1", "GPU-2"] }, { model: "m-two", gpus: ["GPU-3"] }],
  });

  test("a claim with a model is preferred to a later one without", () => {
    const row = sessionOf(caps(TWO_MODELS), sample(2, { ...A, model: "M-One" }), edge("processed", 5, A));
    says(row, {
      model_id: "m-one",
      gpu_id: "GPU-1",
      gpu_count: 2,
      gpu_attribution_confidence: 0.45,
      has_model_change: 0,
      "segments.model_id": ["m-one"],
      "segments.source_trace_type": [TRACE.processed],
    });
  });

  test("among claims with a model the last counts, as a whole; two models in one run are no change", () => {
    const row = sessionOf(
      caps(TWO_MODELS),
      sample(2, { ...A, model: "m-one" }),
      sample(4, { ...A, wallet: "", model: "m-two" }),
    );
    says(row, { model_id: "m-two", gpu_id: "GPU-3", gpu_count: 1, evidence_level: 5, has_model_change: 0 });
  });

  test("without any model the last claim counts", () => {
    const row = sessionOf(caps(TWO_MODELS), edge("ingest", 1, A), edge("processed", 2, { ...A, wallet: "" }));
    says(row, { orchestrator_address: "0xca", model_id: null, gpu_id: null, gpu_count: 0, evidence_level: 5 });
  });

  test("runs with other pipelines are a change of pipeline, and the first signal's names the workflow", () => {
    const image = node("0xcb", "m-two", [], {
      url: "https://b",
      hardware: [{ model: "m-two", pipeline: "text-to-image" }],
    });
    const row = sessionOf(caps(NODE_A, image), edge("ingest", 1, B), edge("ingest", 2, A));
    says(row, { has_pipeline_change: 1, workflow_id: "text-to-image", pipeline: NO_HINT });
    says(sessionOf(CAPS, edge("request", 0), edge("ingest", 1, B)), { workflow_id: "ai_live_video_stream" });
  });

  test("without any claim the greatest level gives the reason, and the last own url stays", () => {
    const unknown = { wallet: "0xnobody", url: "https://nowhere" };
    const none = sessionOf(CAPS, edge("request", 0), error(1));
    says(none, { ...NOBODY, unattributed_reason: "no_orchestrator", evidence_level: 0, orchestrator_url: "" });
    const noSnapshot = sessionOf(CAPS, edge("ingest", 0, unknown), error(1));
    says(noSnapshot, { ...NOBODY, unattributed_reason: "no_snapshot", orchestrator_url: "https://nowhere" });
    const elsewhere = sessionOf(CAPS, edge("ingest", 0, { ...A, url: "https://x" }), sample(1, unknown));
    says(elsewhere, {
      ...NOBODY,
      unattributed_reason: "node_unknown",
      evidence_level: 1,
      orchestrator_url: "https://nowhere",
      "segments.unattributed_reason": ["node_unknown"],
      "segments.evidence_level": [1],
      "segments.orchestrator_url": ["https://nowhere"],
      "segments.is_attributed": [0],
    });
    const incompatible = sessionOf(CAPS, sample(0, { ...A, model: "m-two" }), sample(1, { ...A, url: "https://x" }));
    says(incompatible, { ...NOBODY, unattributed_reason: "model_incompatible", evidence_level: 2 });
    const ambiguous = sessionOf(CAPS, edge("ingest", 0, { wallet: "0xhot" }), sample(1, { ...A, model: "m-two" }));
    says(ambiguous, {
      ...NOBODY,
      unattributed_reason: "wallet_ambiguous",
      evidence_level: 4,
      orchestrator_url: "https://a",
    });
  });

  test("an attributed session keeps no url of its own: its url is its claim's, and may be blank", () => {
    const second = node("0xca", "m-one", ["GPU-c"], { url: "https://a2" });
    const row = sessionOf(
      caps(NODE_A, second),
      sample(0, { wallet: "0xnobody", url: "https://nowhere" }),
      edge("ingest", 1, { wallet: "0xca" }),
    );
    says(row, {
      orchestrator_address: "0xca",
      orchestrator_url: "",
      model_id: "m-one",
      gpu_id: null,
      gpu_attribution_method: "wallet_match",
      gpu_attribution_confidence: 0.4,
    });
  });
});

describe("session oracle: edges, updates, coverage, ingest", (test) => {
  test("an edge that names a node has its own claim; a nameless one borrows its run's, none before the first claim", () => {
    const facts = factsOf([
      CAPS,
      edge("request", 0),
      edge("ingest", 1, A),
      edge("playable", 2),
      edge("ingest", 6, B),
      edge("close", 9),
    ]);
    const edges = (id: string) => rowOf(facts, "fact_stream_trace_edges", id);
    says(edges("request-0"), { ...NOBODY, unattributed_reason: "pre_assignment", orchestrator_url: "" });
    says(edges("ingest-1"), { ...IS_A, ...OWN, evidence_level: 6 });
    says(edges("playable-2"), { ...IS_A, ...BORROWED, evidence_level: 6, gpu_count: 1, unattributed_reason: "" });
    says(edges("close-9"), { ...IS_B, ...BORROWED });
    says(edges("ingest-6"), { edge_ts: s(6), trace_category: "gateway", is_swap_event: 0, trace_type: TRACE.ingest });
    const version = facts.fact_workflow_sessions[0]!.version!;
    for (const id of ["request-0", "playable-2", "close-9"]) assert.is(edges(id).version, version);
    assert.is.not(edges("ingest-1").version, version);
  });

  test("what a nameless edge borrows may come from a signal after it, of its own run", () => {
    const two = node("0xca", "", [], {
      url: "https://a",
      hardware: [{ model: "m-one", gpus: ["GPU-1"] }, { model: "m-two", gpus: ["GPU-2"] }],
    });
    const facts = factsOf([caps(two), edge("ingest", 1, A), edge("playable", 2), sample(8, { ...A, model: "m-two" })]);
    says(rowOf(facts, "fact_stream_trace_edges", "ingest-1"), { orchestrator_address: "0xca", model_id: null });
    says(rowOf(facts, "fact_stream_trace_edges", "playable-2"), { model_id: "m-two", gpu_id: "GPU-2", ...BORROWED });
  });

  test("in a session without a claim nameless edges have no orchestrator, named ones their own reason", () => {
    const unknown = { wallet: "0xnobody", url: "https://nowhere" };
    const facts = factsOf([CAPS, edge("request", 0), edge("swap", 1, unknown), edge("close", 2)]);
    const edges = (id: string) => rowOf(facts, "fact_stream_trace_edges", id);
    says(edges("request-0"), { ...NOBODY, unattributed_reason: "no_orchestrator" });
    says(edges("swap-1"), {
      ...NOBODY,
      unattributed_reason: "no_snapshot",
      orchestrator_url: "https://nowhere",
      trace_category: "orchestrator",
      is_swap_event: 1,
    });
    says(edges("close-2"), { ...NOBODY, unattributed_reason: "no_orchestrator", orchestrator_url: "" });
    says(facts.fact_workflow_sessions[0]!, { unattributed_reason: "no_snapshot" });
  });

  test("an update has the identity of the run so far: none, then the first orchestrator, then the second", () => {
    const facts = factsOf([
      CAPS,
      update(0),
      edge("ingest", 1, A),
      update(2),
      edge("ingest", 3, B),
      update(4),
      streamEvent({ id: "odd", type: " Params_UPDATE ", message: "prompt", at: s(5) }),
    ]);
    const updates = (id: string) => rowOf(facts, "fact_workflow_param_updates", id);
    says(updates("update-0"), { ...NOBODY, unattributed_reason: "pre_assignment", update_ts: s(0) });
    says(updates("update-2"), { ...IS_A, ...BORROWED });
    says(updates("update-4"), { ...IS_B, ...BORROWED });
    says(updates("odd"), { ...IS_B, update_type: "params_update", message: "prompt" });
    assert.is(facts.fact_workflow_param_updates.length, 4);
    assert.is(updates("update-0").version, facts.fact_workflow_sessions[0]!.version);
  });

  test("an update takes nothing from signals after it, and no orchestrator ever is another reason", () => {
    const two = node("0xca", "", [], { url: "https://a", hardware: [{ model: "m-one" }, { model: "m-two" }] });
    const facts = factsOf([caps(two), edge("ingest", 1, A), update(2), sample(8, { ...A, model: "m-two" })]);
    says(rowOf(facts, "fact_workflow_param_updates", "update-2"), { orchestrator_address: "0xca", model_id: null });
    const never = factsOf([CAPS, edge("request", 0), update(2)]);
    says(rowOf(never, "fact_workflow_param_updates", "update-2"), {
      ...NOBODY,
      unattributed_reason: "no_orchestrator",
    });
  });

  test("coverage tells what was missing so far, by time and not by arrival (F29)", () => {
    const reasons = (...wires: Wire[]) =>
      factsOf([CAPS, ...wires]).fact_lifecycle_edge_coverage
        .sort((a, b) => Number(a.signal_ts) - Number(b.signal_ts)).map((row) => row.unmatched_reason);
    assert.equal(
      reasons(edge("request", 0), edge("processed", 1), sample(1.5), edge("playable", 5), edge("close", 9)),
      ["awaiting_first_processed_segment_edge", "awaiting_playable_edge", "", ""],
    );
    assert.equal(reasons(edge("close", 0), edge("request", 1)), [
      "missing_stream_request_edge",
      "awaiting_first_processed_segment_edge",
    ]);
    assert.equal(reasons(edge("request", 0), edge("close", 2)), [
      "awaiting_first_processed_segment_edge",
      "missing_first_processed_segment_edge",
    ]);
    assert.equal(reasons(edge("request", 0), edge("processed", 1), edge("close", 2), edge("playable", 3)), [
      "awaiting_first_processed_segment_edge",
      "awaiting_playable_edge",
      "missing_playable_edge",
      "",
    ]);
    assert.equal(reasons(edge("request", 0), edge("playable", 1)), [
      "awaiting_first_processed_segment_edge",
      "awaiting_first_processed_segment_edge",
    ]);
  });

  test("coverage flags, and the identity of the run so far even on an edge that names a node", () => {
    const facts = factsOf([
      CAPS,
      edge("request", 0, { url: "https://nowhere" }),
      edge("playable", 1, A),
      edge("close", 2),
    ]);
    const coverage = (id: string) => rowOf(facts, "fact_lifecycle_edge_coverage", id);
    says(coverage("request-0"), {
      ...NOBODY,
      unattributed_reason: "pre_assignment",
      evidence_level: 0,
      orchestrator_url: "https://nowhere",
      known_stream: 1,
      has_first_playable_edge: 0,
      playable_edge_matched: 0,
      is_terminal_signal: 0,
    });
    says(coverage("playable-1"), { ...IS_A, ...BORROWED, has_first_playable_edge: 1, playable_edge_matched: 1 });
    says(coverage("close-2"), {
      ...IS_A,
      has_first_processed_edge: 0,
      startup_edge_matched: 0,
      is_terminal_signal: 1,
      trace_type: TRACE.close,
      version: facts.fact_workflow_sessions[0]!.version!,
    });
  });

  test("without a request no edge is matched, however many there are", () => {
    const facts = factsOf([edge("processed", 1), edge("playable", 2)]);
    says(rowOf(facts, "fact_lifecycle_edge_coverage", "playable-2"), {
      known_stream: 0,
      has_first_processed_edge: 1,
      has_first_playable_edge: 1,
      startup_edge_matched: 0,
      playable_edge_matched: 0,
      unmatched_reason: "missing_stream_request_edge",
    });
  });

  test("ingest metrics are samples of their own: no signal, version 1, and alone no session", () => {
    const one = ingest({
      at: s(3),
      id: "i",
      quality: "bad",
      videoJitter: 1.5,
      audioJitter: 2,
      videoLatency: 3,
      audioLatency: 4,
      received: 5,
      sent: 6,
    });
    const alone = factsOf([one], 7);
    assert.is(alone.fact_workflow_sessions.length, 0);
    says(alone.fact_stream_ingest_samples[0]!, {
      sample_ts: s(3),
      workflow_session_id: "stream-1|request-1",
      gateway: "gateway-1",
      connection_quality: "bad",
      video_jitter: 1.5,
      audio_jitter: 2,
      video_latency: 3,
      audio_latency: 4,
      bytes_received: 5,
      bytes_sent: 6,
      version: String(7n * 2n ** 116n + 1n),
    });
    says(sessionOf(one, error(1)), { event_count: 1, session_end_ts: s(1) });
  });
});

describe("session oracle: measures of a session", (test) => {
  const startup = (row: FactRow) => [row.known_stream, row.startup_success, row.startup_excused, row.startup_unexcused];

  test("each of the six texts excuses an error, in any case", () => {
    for (
      const text of [
        "No Orchestrators Available",
        "mediamtx ingest disconnected",
        "WHIP disconnected unexpectedly",
        "the Missing Video",
        "ICE connection state failed",
        "User disconnected",
      ]
    ) {
      const row = sessionOf(edge("request", 0), error(1, text));
      says(row, { error_count: 1, excusable_error_count: 1 });
      assert.equal(startup(row), [1, 0, 1, 0], text);
    }
  });

  test("one error that nothing excuses is not excused; no error, no excuse; without a request nothing is asked", () => {
    assert.equal(startup(sessionOf(edge("request", 0), error(1, "whip disconnected"), error(2, "boom"))), [1, 0, 0, 1]);
    assert.equal(startup(sessionOf(edge("request", 0), error(1, ""))), [1, 0, 0, 1]);
    assert.equal(startup(sessionOf(edge("request", 0))), [1, 0, 0, 1]);
    assert.equal(startup(sessionOf(edge("close", 0), error(1, "whip disconnected"))), [0, 0, 0, 0]);
  });

  test("no orchestrators excuses whatever errors there are, and success beats everything in any order", () => {
    assert.equal(startup(sessionOf(edge("request", 0), edge("noOrchestrators", 1), error(2, "boom"))), [1, 0, 1, 0]);
    assert.equal(
      startup(sessionOf(edge("request", 0), edge("noOrchestrators", 1), edge("playable", 5), error(2, "boom"))),
      [1, 1, 0, 0],
    );
    assert.equal(startup(sessionOf(edge("playable", 0))), [0, 1, 0, 0]);
  });

  test("errors before and after playable; at its very time an error comes after the edge", () => {
    const row = sessionOf(
      error(1, "boom"),
      error(2, "user disconnected"),
      edge("playable", 3),
      edge("playable", 8),
      streamEvent({ id: "same", type: "ERROR", message: "missing video", at: s(3) }),
      error(4, "bang"),
      error(6, "whip disconnected"),
      streamEvent({ id: "no error", type: "errors", message: "missing video", at: s(5) }),
    );
    says(row, {
      error_count: 5,
      excusable_error_count: 3,
      error_count_before_playable: 2,
      error_count_after_playable: 3,
      excusable_error_count_before_playable: 1,
      excusable_error_count_after_playable: 2,
      event_count: 8,
    });
    says(sessionOf(error(1, "boom"), error(2, "user disconnected")), {
      error_count_before_playable: 2,
      error_count_after_playable: 0,
      excusable_error_count_before_playable: 1,
    });
  });

  test("a runner's error counts unless it is older than the session's start", () => {
    const counts = (fields: Partial<StatusFields>) => {
      const row = sessionOf(sample(5, fields), sample(6));
      assert.is(row.last_error_occurred, row.status_error_sample_count);
      return row.status_error_sample_count;
    };
    assert.is(counts({ lastError: "boom" }), 1);
    assert.is(counts({ lastError: " \t" }), 0);
    assert.is(counts({ lastError: null }), 0);
    assert.is(counts({ lastError: " null " }), 0);
    assert.is(counts({ lastError: "boom", lastErrorTime: s(1), startTime: s(2) }), 0);
    assert.is(counts({ lastError: "boom", lastErrorTime: s(2), startTime: s(2) }), 1);
    assert.is(counts({ lastError: "boom", lastErrorTime: s(1), startTime: null }), 1);
    assert.is(counts({ lastError: "boom", lastErrorTime: null, startTime: s(2) }), 1);
  });

  test("a restart is seen unless it is older than the session's start", () => {
    const seen = (fields: Partial<StatusFields>) => sessionOf(sample(5, fields), sample(6)).restart_seen;
    assert.is(seen({ restarts: 0 }), 0);
    assert.is(seen({ restarts: 0, lastRestartTime: s(3), startTime: s(2) }), 0);
    assert.is(seen({ restarts: 3 }), 1);
    assert.is(seen({ restarts: 3, lastRestartTime: s(1), startTime: s(2) }), 0);
    assert.is(seen({ restarts: 3, lastRestartTime: s(3), startTime: s(2) }), 1);
    assert.is(seen({ restarts: 3, lastRestartTime: s(1) }), 1);
  });

  test("states and frame rates over all samples", () => {
    const flags = (...fields: Partial<StatusFields>[]) => {
      const row = sessionOf(edge("request", 0), ...fields.map((one, at) => sample(at + 1, one)));
      return [row.status_sample_count, row.loading_only_session, row.zero_output_fps_session];
    };
    assert.equal(flags(), [0, 0, 0]);
    assert.equal(flags({ state: " loading ", fps: 0 }, { state: "LOADING", fps: 0 }), [2, 1, 1]);
    assert.equal(flags({ state: "LOADING", fps: 0 }, { state: "OFFLINE", fps: 1 }), [2, 0, 0]);
    says(sessionOf(sample(0, { state: "DEGRADED_INPUT" })), { degraded_input_seen: 1, degraded_inference_seen: 0 });
    says(sessionOf(sample(0, { state: "degraded_inference" }), sample(1)), {
      degraded_input_seen: 0,
      degraded_inference_seen: 1,
    });
  });

  test("health counts three kinds of signals, expected of a known stream alone", () => {
    const health = (...wires: Wire[]) => {
      const row = sessionOf(...wires);
      return [row.health_signal_count, row.health_expected_signal_count, row.health_completeness_ratio];
    };
    assert.equal(health(edge("request", 0)), [0, 3, 0]);
    assert.equal(health(edge("request", 0), sample(1), sample(2)), [1, 3, 1 / 3]);
    assert.equal(health(edge("request", 0), sample(1), edge("processed", 2), edge("playable", 3)), [3, 3, 1]);
    assert.equal(health(sample(1), edge("processed", 2)), [2, 0, 1]);
  });

  test("latencies between the first edges of each kind; missing or negative is null, 0 is valid", () => {
    const latencies = (...wires: Wire[]) => {
      const row = sessionOf(...wires);
      return [row.prompt_to_first_frame_ms, row.startup_time_ms, row.e2e_latency_ms];
    };
    const all = [edge("request", 1), edge("processed", 1.2), edge("playable", 4.3)];
    assert.equal(latencies(...all), [200, 3_100, 3_300]);
    assert.equal(latencies(...all, edge("processed", 9), edge("playable", 9), edge("request", 9)), [200, 3_100, 3_300]);
    assert.equal(latencies(edge("request", 2), edge("processed", 1)), [null, null, null]);
    assert.equal(latencies(edge("request", 2), edge("processed", 1), edge("playable", 2)), [null, 1_000, 0]);
    says(sessionOf(...all), {
      first_stream_request_ts: s(1),
      first_processed_ts: s(1.2),
      first_playable_ts: s(4.3),
    });
    says(sessionOf(error(0)), { first_stream_request_ts: null, first_processed_ts: null, first_playable_ts: null });
  });

  test("a sample's start time moves the session's start back, unless it is unset or after the sample", () => {
    const start = (startTime: number | null) => sessionOf(sample(5, { startTime }), sample(9)).session_start_ts;
    assert.is(start(s(-7)), s(-7));
    assert.is(start(null), s(5));
    assert.is(start(0), s(5));
    assert.is(start(Date.UTC(2000, 0, 1) - 1), s(5));
    assert.is(start(Date.UTC(2000, 0, 1)), Date.UTC(2000, 0, 1));
    assert.is(start(s(6)), s(5));
    assert.equal(runsOf(sessionOf(sample(5, { startTime: s(-7) }))), [["", 5, null, "initial"]]);
  });
});

describe("session oracle: order and identity of signals", (test) => {
  test("at one time traces come before samples, and samples before AI events", () => {
    const row = sessionOf(
      CAPS,
      error(1),
      sample(1, { id: "a", gateway: "g-status", ...A }),
      edge("ingest", 1, { id: "z", gateway: " ", ...B }),
    );
    assert.equal(runsOf(row), [["0xcb", 1, 1, "orchestrator_change"], ["0xca", 1, null, "orchestrator_change"]]);
    assert.is(idOf(row.source_first_event_uid), "z");
    assert.is(idOf(row.source_last_event_uid), "error-1");
    says(row, { gateway: "g-status", ...IS_A });
  });

  test("at one time and of one kind the uid decides, by its code units", () => {
    const ids = ["b", "a", "Z", "ä", "\u{1f600}", "\uff5e"];
    const row = sessionOf(...ids.map((id) => sample(1, { id })));
    assert.is(idOf(row.source_first_event_uid), "Z");
    assert.is(idOf(row.source_last_event_uid), "\uff5e");
  });

  test("a trace happened at its own time when it has one", () => {
    const row = sessionOf(CAPS, edge("request", 5, { ownTime: s(0) }), edge("ingest", 1, { ...A, ownTime: 0 }));
    says(row, { session_start_ts: s(0), session_end_ts: s(1), first_stream_request_ts: s(0) });
    assert.is(idOf(row.source_last_event_uid), "ingest-1");
  });

  test("sessions are told apart by source and by the ids that are there", () => {
    const ids = (fields: { stream?: string; request?: string; id?: string; source?: string }) => sample(1, fields);
    const rows = factsOf([
      ids({ id: "1" }),
      ids({ id: "1", source: "other" }),
      ids({ id: "2", stream: " stream-1 " }),
      ids({ id: "3", stream: MISSING }),
      ids({ id: "4", request: MISSING }),
      ids({ id: "5", stream: MISSING, request: MISSING }),
      ids({ id: "", stream: MISSING, request: MISSING }),
    ]).fact_workflow_sessions;
    const told = rows.map((
      row,
    ) => [row.source, row.workflow_session_id, row.stream_id, row.request_id, row.event_count]);
    assert.equal(told, [
      ["network", "_missing_stream|_missing_request|5", "", "", 1],
      ["network", "_missing_stream|_missing_request|_missing_event", "", "", 1],
      ["network", "_missing_stream|request-1", "", "request-1", 1],
      ["network", "stream-1|_missing_request", "stream-1", "", 1],
      ["network", "stream-1|request-1", "stream-1", "request-1", 2],
      ["other", "stream-1|request-1", "stream-1", "request-1", 1],
    ]);
  });

  test("one event in several encodings is one signal, one id with two contents is two", () => {
    const one = edge("request", 0, { id: "e" });
    says(sessionOf(one, one, one, one, one), { event_count: 1 });
    says(sessionOf(one, edge("request", 1, { id: "e" })), { event_count: 2 });
  });

  test("a snapshot of another source attributes nothing", () => {
    const row = sessionOf(CAPS, edge("ingest", 1, { ...A, source: "other" }));
    says(row, { ...NOBODY, unattributed_reason: "no_snapshot" });
  });
});

describe("session oracle: evidence", (test) => {
  const evidence = (row: FactRow): bigint => BigInt(row.version as string) - 2n ** 116n;

  test("without a claim: one for each signal, and the levels", () => {
    assert.is(evidence(sessionOf(CAPS, edge("request", 0), error(1), sample(2))), 3n);
    const levels = sessionOf(
      CAPS,
      edge("request", 0),
      edge("swap", 1, { ...A, url: "https://x" }),
      sample(2, { ...A, model: "m-two" }),
      edge("ingest", 3, { wallet: "0xhot" }),
    );
    assert.is(evidence(levels), 4n + (1n + 2n + 4n) * 2n ** 93n);
  });

  test("a claim weighs its level, model, freshness and closeness, above what settles ties", () => {
    const grade = (level: bigint, model: bigint, freshness: bigint, distanceMs: bigint) =>
      ((level * 2n + model) * 4n + freshness) * 2n ** 27n + 2n ** 27n - 1n - distanceMs;
    const status = (at: number, fields: Partial<StatusFields>) =>
      evidence(factsOf([CAPS, sample(at, fields)]).fact_stream_status_samples[0]!) >> 63n;
    assert.is(status(1, A), grade(6n, 0n, 1n, 61_000n));
    assert.is(status(1, { ...A, model: "m-one" }), grade(6n, 1n, 1n, 61_000n));
    assert.is(status(-60, { ...A, wallet: "" }), grade(5n, 0n, 2n, 0n));
    assert.is(status(-70, { wallet: "0xca", model: "m-one" }), grade(3n, 1n, 0n, 10_000n));
  });

  test("a session weighs what its signals weigh together, and an edge of its own weighs itself", () => {
    const facts = factsOf([CAPS, edge("request", 0), edge("ingest", 1, A), sample(2, { ...B, model: "m-two" })]);
    const own = evidence(rowOf(facts, "fact_stream_trace_edges", "ingest-1"));
    const sampled = evidence(facts.fact_stream_status_samples[0]!);
    assert.is(evidence(facts.fact_workflow_sessions[0]!), 1n + own + sampled);
  });
});

describe("session oracle: production", (test) => {
  /** By request: start, success, excused, errors, samples, swaps, health signals, and the orchestrator. */
  const PUBLISHED: Readonly<Record<string, readonly unknown[]>> = {
    "scenario_1_clean_success_no_swap_fps_gt_12__ebeb78b7": ["20:43:11.605", 1, 0, 1, 4, 0, 3, "0x9d61"],
    "scenario_2_no_orchestrator_then_closed__a06463a9": ["20:43:03.709", 0, 1, 2, 0, 0, 0, ""],
    // The swap is of the session whose orchestrator the original could not tell.
    "scenario_3_success_with_swap__bd1cd871": ["19:29:25.640", 1, 0, 5, 2, 1, 3, "0x6697"],
    "scenario_3_success_with_swap__c40084e7": ["18:12:50.697", 1, 0, 1, 5, 0, 3, "0x733d"],
    "scenario_5_out_of_category_baseline__6806f180": ["20:30:10.114", 0, 1, 2, 0, 0, 0, ""],
  };

  for (const [name, published] of Object.entries(PUBLISHED)) {
    test(`${name} is what was published of it`, () => {
      const text = readFileSync(new URL(`../fixtures/production/${name}.jsonl`, import.meta.url), "utf8");
      const row = sessionOf(...text.trim().split("\n").map((line) => ({ source: "s", envelope: JSON.parse(line) })));
      assert.equal([
        new Date(Number(row.session_start_ts)).toISOString().slice(11, 23),
        row.startup_success,
        row.startup_excused,
        row.error_count,
        row.status_sample_count,
        row.confirmed_swap_count,
        row.health_signal_count,
        String(row.orchestrator_address).slice(0, 6),
      ], published);
    });
  }
});
