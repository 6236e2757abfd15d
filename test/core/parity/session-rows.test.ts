/**
 * §6.13 of the parity list, as far as it is about sessions; the names of models and pipelines are in
 * normalise.test.ts.
 */
import * as assert from "uvu/assert";
import { bytesOf, stored, subjectOf, type Wire } from "../../helpers/events.ts";
import { factsOf, namesNobody, whateverOrder } from "../../helpers/facts.ts";
import {
  A,
  close,
  KNOWN,
  playable,
  processed,
  request,
  sample,
  sent,
  streamEvent,
  trace,
} from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { states, World } from "../../helpers/world.ts";

describe("session rows of the second predecessor (§6.13)", (test) => {
  test("BuildSessionCurrentRows_NormalizesFallbackHints comes out blank: without evidence a hint is no identity (invariant 5)", () => {
    const all = whateverOrder([request(1_000), streamEvent("error", 2_000, "odd", { model: "pip_SDXL-turbo" })]);
    for (const row of [all.session(), ...all.segments()]) namesNobody(row, "no_orchestrator");
  });

  test("BuildSessionCurrentRows_DerivesSessionEdgeLatencies comes out with the first predecessor's pairs (D9)", () => {
    const T = 1_772_000_000_000;
    const row = whateverOrder([
      sample(T + 3_000, { startTime: T - 2_000 }),
      request(T),
      sent(T + 1_500),
      processed(T + 4_000),
      trace("runner_send_first_processed_segment", T + 4_200),
      playable(T + 5_000),
    ]).session();
    states(row, {
      session_start_ts: T - 2_000,
      prompt_to_first_frame_ms: 4_000, // the pair that upstream called startup
      startup_time_ms: 1_000,
      e2e_latency_ms: 5_000,
    });
  });

  test("BuildSessionCurrentRows_DropsNegativeSessionEdgeLatencies: none is told", () => {
    const row = whateverOrder([processed(1_000), playable(500), request(2_000)]).session();
    assert.equal([row.prompt_to_first_frame_ms, row.startup_time_ms, row.e2e_latency_ms], [null, null, null]);
  });

  test("DecisionIDIsDeterministicUnderFrozenNow comes out without a now: neither rows nor versions know when they were made", () => {
    const wires: Wire[] = [KNOWN, request(1_000), sample(2_000, A), close(3_000)];
    const madeAt = (streamTimeMs: number, firstSequence: number) => {
      const world = new World();
      for (const [at, wire] of wires.entries()) {
        const subject = subjectOf(wire, 1);
        const message = stored(subject, bytesOf(wire.envelope), firstSequence + at, streamTimeMs);
        world.append(subject.slice(subject.lastIndexOf(".") + 1), message);
        world.drain();
      }
      return factsOf(world).all;
    };
    const first = madeAt(1_772_000_000_000, 1);
    assert.is(first.get("fact_workflow_sessions")!.length, 1);
    assert.equal(madeAt(1_772_000_060_000, 5_000), first);
  });
});
