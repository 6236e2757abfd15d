/**
 * §6.8 of the parity list: latencies are columns of their session (D9: upstream's first pairs, `v1`). Whether one is
 * there is what the view `fact_workflow_latency_samples` says as `has_…`.
 */
import * as assert from "uvu/assert";
import { whateverOrder } from "../../helpers/facts.ts";
import { playable, processed, request } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { states } from "../../helpers/world.ts";

describe("WorkflowLatencyDerivationTest (§6.8)", (test) => {
  test("derivesLatencyIntervalsFromSessionEdges: from the first edge of each kind", () => {
    const all = whateverOrder([
      request(1_000),
      processed(1_200),
      request(1_500),
      processed(1_700),
      playable(4_300),
      playable(6_000),
    ]);
    states(all.session(), {
      first_stream_request_ts: 1_000,
      first_processed_ts: 1_200,
      first_playable_ts: 4_300,
      prompt_to_first_frame_ms: 200,
      startup_time_ms: 3_100,
      e2e_latency_ms: 3_300,
    });
  });

  test("nullsInvalidOrMissingIntervals: an edge that is missing or out of order gives none", () => {
    const row = whateverOrder([request(2_000), processed(1_000)]).session();
    states(row, { prompt_to_first_frame_ms: null, startup_time_ms: null, e2e_latency_ms: null });
  });

  test("no time at all is a latency of zero", () => {
    const row = whateverOrder([request(1_000), processed(1_000), playable(1_000)]).session();
    assert.equal([row.prompt_to_first_frame_ms, row.startup_time_ms, row.e2e_latency_ms], [0, 0, 0]);
  });
});
