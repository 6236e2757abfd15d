/** Generated sessions are worth what they reach: every rule of a session must be met often, by few worlds. */
import * as assert from "uvu/assert";
import { decode } from "../../src/core/decode.ts";
import { bytesOf, stored, subjectOf, type Wire } from "../helpers/events.ts";
import { expectedFacts, type Fact } from "../helpers/fact-oracle.ts";
import { acceptedEvents } from "../helpers/oracle.ts";
import type { FactRow } from "../helpers/session-row-oracle.ts";
import { sessionWires, SPAN_MS } from "../helpers/session-traffic.ts";
import { describe } from "../helpers/suite.ts";

const SEEDS = 400;
const SETTINGS = { ttl: { beforeMs: SPAN_MS, afterMs: SPAN_MS }, generation: 1 };

const messageOf = (wire: Wire, at: number) =>
  stored(subjectOf(wire, 1), bytesOf(wire.envelope), at + 1, 4_000_000_000_000);

const worlds = Array.from({ length: SEEDS }, (_, seed) => sessionWires(seed));
const facts = worlds.map((wires) => expectedFacts(acceptedEvents(wires.map(messageOf)), SETTINGS));

/** In how many of the worlds a table has a row like this. */
function count(fact: Fact, isLike: (row: FactRow) => boolean): number {
  return facts.filter((one) => one[fact].some(isLike)).length;
}

function often(least: number, fact: Fact, what: string, isLike: (row: FactRow) => boolean): void {
  const found = count(fact, isLike);
  assert.ok(found >= least, `${fact}: ${what} in ${found} of ${SEEDS} worlds, expected ${least}`);
}

const runsOf = (row: FactRow) => row["segments.start_ts"] as readonly number[];

describe("generated sessions", (test) => {
  test("are the same for the same seed, and every message is accepted", () => {
    assert.equal(sessionWires(7), sessionWires(7));
    assert.is.not(JSON.stringify(sessionWires(7)), JSON.stringify(sessionWires(8)));
    for (const wires of worlds) {
      for (const [at, wire] of wires.entries()) assert.is(decode(messageOf(wire, at)).outcome, "accepted");
    }
  });

  test("have messages that are sent again, ids with two contents, and events at equal times", () => {
    const holds = (isLike: (wires: readonly Wire[]) => boolean) => worlds.filter(isLike).length;
    const repeated = (texts: readonly unknown[]) => new Set(texts).size < texts.length;
    const eventsOf = (wires: readonly Wire[]) => acceptedEvents(wires.map(messageOf)).map(({ event }) => event);
    assert.ok(holds((wires) => eventsOf(wires).length < wires.length) > 200);
    assert.ok(holds((wires) => repeated(eventsOf(wires).map(({ head }) => `${head.source} ${head.id}`))) > 200);
    assert.ok(holds((wires) => repeated(eventsOf(wires).map(({ head }) => head.eventTimeMs))) > 300);
  });

  test("have one run, two and more, closed and open, and changes of model and pipeline", () => {
    const sessions = (least: number, what: string, isLike: (row: FactRow) => boolean) =>
      often(least, "fact_workflow_sessions", what, isLike);
    sessions(50, "two runs", (row) => runsOf(row).length === 2);
    sessions(20, "more runs", (row) => runsOf(row).length > 2);
    sessions(10, "a run of no length", (row) => runsOf(row).some((start, at) => start === runsOf(row)[at + 1]));
    for (const reason of ["initial", "orchestrator_change", "stream_closed"]) {
      sessions(100, reason, (row) => (row["segments.reason"] as string[]).includes(reason));
    }
    for (const flag of ["has_model_change", "has_pipeline_change", "restart_seen", "last_error_occurred"]) {
      sessions(20, flag, (row) => row[flag] === 1);
    }
    for (const flag of ["loading_only_session", "zero_output_fps_session", "degraded_input_seen", "completed"]) {
      sessions(20, flag, (row) => row[flag] === 1);
    }
    for (const flag of ["startup_success", "startup_excused", "startup_unexcused", "swap_count"]) {
      sessions(20, flag, (row) => row[flag] === 1);
    }
    sessions(
      20,
      "faulty samples, none counted",
      (row) => row.status_error_sample_count === 0 && !!row.status_sample_count,
    );
    sessions(
      10,
      "errors on both sides",
      (row) => !!row.error_count_before_playable && !!row.error_count_after_playable,
    );
    sessions(10, "excusable errors after", (row) => Number(row.excusable_error_count_after_playable) > 0);
    for (const latency of ["prompt_to_first_frame_ms", "startup_time_ms", "e2e_latency_ms"]) {
      sessions(10, latency, (row) => Number(row[latency]) > 0);
    }
    sessions(20, "an earlier start", (row) => Number(row.session_start_ts) < runsOf(row)[0]!);
    sessions(20, "neither id", (row) => row.stream_id === "" && row.request_id === "");
    sessions(
      5,
      "neither id and several signals",
      (row) => row.stream_id + `${row.request_id}` === "" && Number(row.event_count) > 1,
    );
  });

  test("have every reason and method, and everything that an edge, an update and coverage may say", () => {
    for (const reason of ["no_orchestrator", "no_snapshot", "node_unknown", "model_incompatible", "wallet_ambiguous"]) {
      const is = (row: FactRow) => row.unattributed_reason === reason;
      often(5, "fact_workflow_sessions", reason, is);
      // An edge hints at no model, so none is incompatible.
      if (reason !== "model_incompatible") often(20, "fact_stream_trace_edges", reason, is);
    }
    for (const method of ["node_match", "wallet_match"]) {
      often(20, "fact_workflow_sessions", method, (row) => row.gpu_attribution_method === method);
    }
    for (
      const fact of ["fact_stream_trace_edges", "fact_workflow_param_updates", "fact_lifecycle_edge_coverage"] as const
    ) {
      often(20, fact, "pre_assignment", (row) => row.unattributed_reason === "pre_assignment");
      often(20, fact, "borrowed", (row) => row.gpu_attribution_method === "segment_window_join");
    }
    for (
      const reason of [
        "",
        "missing_stream_request_edge",
        "missing_first_processed_segment_edge",
        "missing_playable_edge",
        "awaiting_first_processed_segment_edge",
        "awaiting_playable_edge",
      ]
    ) {
      often(5, "fact_lifecycle_edge_coverage", reason, (row) => row.unmatched_reason === reason);
    }
    often(100, "fact_stream_ingest_samples", "a sample", () => true);
  });
});
