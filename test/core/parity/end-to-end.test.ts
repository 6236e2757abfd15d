/**
 * §6.15 of the parity list: from events to sessions. What it says of single samples is in selection.test.ts; what it
 * says of hours and scores belongs to the serving views, and here stands what those are computed from.
 */
import * as assert from "uvu/assert";
import { decode } from "../../../src/core/decode.ts";
import { bytesOf, node, snapshot, stored, subjectOf, type Wire } from "../../helpers/events.ts";
import { facts, idOf, namesNobody, whateverOrder } from "../../helpers/facts.ts";
import {
  A,
  close,
  error,
  KNOWN,
  LIVE,
  NODE_A,
  noOrchestrator,
  playable,
  processed,
  request,
  sample,
  SD,
  sent,
  swap,
} from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { rowsIn } from "../../helpers/wire.ts";
import { HOUR_MS, states } from "../../helpers/world.ts";

const MINUTE_MS = 60_000;
const T = 1_000 * HOUR_MS;
const sessionOf = (...events: Wire[]) => whateverOrder(events).session();

/** The rows of the capability dimension that a message gives. */
function dimensionOf(wire: Wire) {
  const decoded = decode(stored(subjectOf(wire, 1), bytesOf(wire.envelope), 1, T + HOUR_MS));
  if (decoded.outcome !== "accepted" || decoded.event.type !== "network_capabilities") throw new Error("no snapshot");
  return rowsIn("dim_orchestrator_capability_snapshots", decoded.event);
}

describe("attribution of sessions (§6.15)", (test) => {
  test("Attribution001 CapabilitySnapshotsNormalizeAndConverge: two spellings of one address are one orchestrator", () => {
    const snapshots = [snapshot(T, node("0xABcd", SD, ["GPU-1"])), snapshot(T + 1, node(" 0xabCD ", SD, ["GPU-1"]))];
    const rows = snapshots.flatMap(dimensionOf);
    assert.equal(rows.map((row) => row.orchestrator_address), ["0xabcd", "0xabcd"]);
    assert.equal(rows.map((row) => row.snapshot_ts), [T, T + 1]);
    const both = whateverOrder([...snapshots, sent(T + 1_000, { wallet: "0xHOT" })]).session();
    states(both, { orchestrator_address: "0xabcd", gpu_attribution_method: "wallet_match" });
  });

  test("Attribution001 LateCapabilitySnapshotRepairsHistoricalAttribution: its session, segment and edges too", () => {
    const early = [request(T), sample(T + 1_000, A)];
    namesNobody(facts(early).session(), "no_snapshot", A.url);
    const all = whateverOrder([...early, snapshot(T + 30_000, NODE_A)]);
    for (const row of [all.session(), ...all.segments()]) {
      states(row, { is_attributed: 1, orchestrator_address: "0xca", gpu_attribution_confidence: 0.7 });
    }
  });

  test("Attribution007 BlankGatewayRateIsComputable: a blank gateway stays blank in the facts", () => {
    const gateways = ["", "", "gateway-1", ""];
    const all = whateverOrder(gateways.map((gateway, at) => sent(1_000 + at, { gateway })));
    const rows = all.of("fact_stream_trace_edges");
    assert.equal([rows.length, rows.filter((row) => row.gateway === "").length], [4, 3]);
    states(all.session(), { gateway: "gateway-1" });
  });
});

describe("lifecycle of sessions (§6.15)", (test) => {
  test("Lifecycle002 ContractedSubtypesDriveCanonicalFacts: started, completed, no orchestrator, swapped and playable", () => {
    states(sessionOf(request(1_000)), { known_stream: 1, completed: 0 });
    states(sessionOf(close(1_000)), { known_stream: 0, completed: 1 });
    states(sessionOf(request(1_000), noOrchestrator(2_000)), { startup_excused: 1, startup_unexcused: 0 });
    states(sessionOf(request(1_000), swap(2_000, A), playable(3_000)), { confirmed_swap_count: 1, startup_success: 1 });
  });

  test("Lifecycle003 CleanSuccessStream…: a success that is completed", () => {
    states(sessionOf(request(1_000), playable(2_000), close(3_000)), { startup_success: 1, completed: 1 });
  });

  test("Lifecycle003 NoOrchAndUnexcusedFailuresRemainDistinct: one is excused, one is not", () => {
    states(sessionOf(request(1_000), noOrchestrator(2_000)), { startup_excused: 1, startup_unexcused: 0 });
    states(sessionOf(request(1_000)), { startup_excused: 0, startup_unexcused: 1 });
  });

  test("Lifecycle004 ExcusableErrorsAreCaseInsensitive…: WHIP Disconnected by client", () => {
    states(sessionOf(request(1_000), error(2_000, "WHIP Disconnected by client")), {
      startup_excused: 1,
      excusable_error_count: 1,
    });
  });

  test("Lifecycle004 NonExcusableErrorsRemainUnexcused: GPU kernel panic", () => {
    states(sessionOf(request(1_000), error(2_000, "GPU kernel panic")), {
      startup_unexcused: 1,
      excusable_error_count: 0,
    });
  });

  test("Lifecycle007 DarkSessionsRemainVisibleWithZeroCoverage: none of three signals, then one", () => {
    const dark = { health_signal_count: 0, health_expected_signal_count: 3, health_completeness_ratio: 0 };
    states(sessionOf(request(1_000)), dark);
    states(sessionOf(request(1_000), sample(2_000)), { health_signal_count: 1, health_completeness_ratio: 1 / 3 });
  });

  test("Lifecycle008/009 DemandUsesStartHourWhileReliabilityUsesStatusHour: session and sample keep each its own time", () => {
    const all = whateverOrder([request(T), sample(T + 70 * MINUTE_MS, { ...A, id: "late" }), KNOWN]);
    states(all.session(), { session_start_ts: T, session_end_ts: T + 70 * MINUTE_MS, known_stream: 1 });
    states(all.event("fact_stream_status_samples", "late"), { sample_ts: T + 70 * MINUTE_MS });
  });

  test("Lifecycle009 TailFilteringIsNarrowAndDeterministic: no fact is filtered, and its session is told to be loading only", () => {
    const loading = { state: "LOADING", fps: 0 };
    const all = whateverOrder([sample(T - 1_000, loading), sample(T + 1_000, loading)]);
    assert.equal(all.of("fact_stream_status_samples").map((row) => row.state), ["LOADING", "LOADING"]);
    states(all.session(), { loading_only_session: 1, zero_output_fps_session: 1 });
  });
});

describe("facts of sessions (§6.15)", (test) => {
  test("Fact001 (history): two snapshots leave two rows of the capability dimension", () => {
    const rows = [snapshot(T, NODE_A), snapshot(T + 1, NODE_A)].flatMap(dimensionOf);
    assert.equal(rows.map((row) => row.snapshot_ts), [T, T + 1]);
  });

  test("Fact001 (session): completed, restarted and with an error", () => {
    const status = sample(2_000, { restarts: 1, lastError: "image fetch timeout" });
    states(sessionOf(request(1_000), status, close(3_000)), {
      completed: 1,
      restart_seen: 1,
      last_error_occurred: 1,
      status_error_sample_count: 1,
    });
  });

  test("Fact002 …ConvergeToOneRowPerSession: three samples one after the other are one row", () => {
    const all = whateverOrder([sample(1_000), sample(2_000), sample(3_000)]);
    assert.is(all.of("fact_workflow_sessions").length, 1);
    states(all.session(), { status_sample_count: 3, event_count: 3 });
  });

  test("Lineage001 DuplicateEventIdCollapses / ReplayDoesNotInflate / AllAcceptedEventsHaveNonBlankId: a session counts each event once", () => {
    const events = [request(1_000), error(2_000, "odd"), swap(3_000, A), sample(4_000, { lastError: "odd" })];
    const all = whateverOrder(events, [[...events, ...events], events.flatMap((one) => [one, one])]);
    states(all.session(), {
      event_count: 4,
      error_count: 1,
      swap_count: 1,
      status_sample_count: 1,
      status_error_sample_count: 1,
    });
    const nameless = whateverOrder([sample(1_000, { id: "" })]);
    assert.match(String(nameless.of("fact_stream_status_samples")[0]!.source_event_uid), /^[0-9a-f]{16}$/);
  });

  test("Lineage002 StatusWithoutTraceStart… / ClosedStream…: an orphan sample is kept and starts nothing; request and close do", () => {
    const orphan = whateverOrder([sample(1_000)]);
    states(orphan.session(), { known_stream: 0, startup_unexcused: 0, status_sample_count: 1 });
    assert.is(orphan.of("fact_stream_status_samples").length, 1);
    states(sessionOf(request(1_000), close(2_000)), { known_stream: 1, completed: 1 });
  });

  test("Parity001 / Parity002: one successful session, attributed, and as many rows as events", () => {
    const events = [KNOWN, request(1_000), processed(2_000, A), playable(3_000, A), sample(4_000, { ...A, model: SD })];
    const all = whateverOrder(events);
    assert.is(all.of("fact_stream_trace_edges").length, 3);
    assert.is(all.of("fact_stream_status_samples").length, 1);
    states(all.session(), { startup_success: 1, is_attributed: 1, pipeline: LIVE, model_id: SD, event_count: 4 });
  });

  test("Aggregate004 SameHourFailedNoOutputSessionIsRetained: its sample and its session stay, with the error", () => {
    const all = whateverOrder([request(1_000), sample(2_000, { fps: 0, lastError: "odd" })]);
    assert.is(all.of("fact_stream_status_samples").length, 1);
    states(all.session(), { status_error_sample_count: 1, zero_output_fps_session: 1, startup_unexcused: 1 });
  });

  test("Aggregate004 DegradedModesRemainSplit: degraded input and degraded inference are told apart", () => {
    states(sessionOf(sample(1_000, { state: "DEGRADED_INPUT" })), {
      degraded_input_seen: 1,
      degraded_inference_seen: 0,
    });
    states(sessionOf(sample(1_000, { state: "DEGRADED_INFERENCE" })), {
      degraded_input_seen: 0,
      degraded_inference_seen: 1,
    });
  });

  test("Aggregate002/005 …ContractedFailureSemantics comes out with health of 3/3 and 1/3: the first predecessor's signals count (D8)", () => {
    states(sessionOf(request(1_000), processed(2_000), playable(3_000), sample(4_000)), {
      startup_success: 1,
      zero_output_fps_session: 0,
      health_completeness_ratio: 1,
    });
    states(sessionOf(request(1_000), sample(4_000, { fps: 0, lastError: "odd" })), {
      startup_success: 0,
      startup_unexcused: 1,
      zero_output_fps_session: 1,
      last_error_occurred: 1,
      health_completeness_ratio: 1 / 3,
    });
  });

  test("Aggregate005 OutputFailedSessionsUsesUnionSemantics: one session has both marks, to be counted once", () => {
    const all = whateverOrder([sample(1_000, { state: " loading ", fps: 0 })]);
    assert.is(all.of("fact_workflow_sessions").length, 1);
    states(all.session(), { loading_only_session: 1, zero_output_fps_session: 1 });
  });

  test("Smoke PopulatesCanonicalSpine: one attributed session of one segment, with its lineage", () => {
    const events = [snapshot(T - 5 * MINUTE_MS, NODE_A), request(T), sample(T + 1_000, { ...A, model: SD })];
    const all = whateverOrder(events);
    assert.is(all.segments().length, 1);
    for (const row of [all.session(), ...all.segments()]) {
      states(row, { is_attributed: 1, evidence_level: 6, selected_snapshot_ts: T - 5 * MINUTE_MS });
      assert.ok(idOf(row.selected_snapshot_uid).startsWith("snapshot-"));
    }
  });

  test("Smoke LateCapabilitySnapshotRepairsExistingSelection: a session's too, when it comes ten minutes late", () => {
    const elsewhere = snapshot(T + 10 * MINUTE_MS, node("0xcz", "m", [], { hot: "0xz", url: "https://z" }));
    const late = snapshot(T + 30_000, NODE_A);
    const events = [request(T), sample(T + 1_000, { ...A, model: SD })];
    const all = whateverOrder([...events, late, elsewhere], [[...events, elsewhere, late]]);
    states(all.session(), { is_attributed: 1, model_id: SD });
  });
});
