/** Why a session is as it is: start-up, errors, latencies, segments and what each event adds. */
import * as assert from "uvu/assert";
import { factKey, factOf, type FactTable } from "../../src/core/facts.ts";
import { borrowedBy } from "../../src/explain/borrowed.ts";
import { rowsOf } from "../../src/explain/rows.ts";
import { explainSession, type SessionExplained } from "../../src/explain/session.ts";
import { sessionLines } from "../../src/explain/session-text.ts";
import { explainRow } from "../../src/explain/versions.ts";
import type { Wire } from "../helpers/events.ts";
import { feedOf, materialsOf } from "../helpers/explained.ts";
import {
  A,
  B,
  close,
  error,
  KNOWN,
  noOrchestrator,
  playable,
  processed,
  request,
  sample,
  SD,
  streamEvent,
  swap,
} from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";
import { DEFAULTS } from "../helpers/world.ts";

const { ttl } = DEFAULTS;

function session(...wires: Wire[]): SessionExplained {
  const materials = materialsOf(wires);
  return explainSession(materials.filter(({ judged }) => judged.sessionKey !== undefined), feedOf(materials), ttl);
}

/** What an event of a session borrows, by its id. */
function borrowed(id: string, table: FactTable, ...wires: Wire[]) {
  const materials = materialsOf(wires);
  const feed = feedOf(materials);
  const own = materials.filter(({ judged }) => judged.sessionKey !== undefined);
  const told = explainSession(own, feed, ttl);
  const { uid } = told.events.find((event) => event.id === id)!;
  const row = rowsOf(own, feed, ttl, 1).get(factKey(factOf(table)!, { source: told.source, source_event_uid: uid }));
  return borrowedBy(uid, told, [explainRow(table, row, [], 1)]);
}

const idOf = (uid: string | null) => uid?.split("~")[0];

/** The codes of what the event of this id adds. */
const addedBy = ({ events }: SessionExplained, id: string) =>
  events.find((event) => event.id === id)!.adds.map(({ code }) => code);

describe("an explained session", (test) => {
  const starts: [outcome: string, why: RegExp, wires: Wire[]][] = [
    ["success", /^requested at .*1\.000Z, playable at .*3\.000Z$/, [request(1_000), playable(3_000)]],
    ["success", /^no gateway_receive_stream_request was seen, playable at/, [playable(3_000)]],
    ["not_requested", /so no start was asked for/, [sample(1_000, A)]],
    ["excused", /no orchestrator was available/, [request(1_000), noOrchestrator(2_000)]],
    ["excused", /all 1 of its errors are excusable/, [request(1_000), error(2_000, "WHIP disconnected")]],
    ["unexcused", /no error says why/, [request(1_000), close(2_000)]],
    ["unexcused", /1 of its 2 errors excuse nothing/, [
      request(1_000),
      error(2_000, "missing video"),
      error(3_000, "boom"),
    ]],
  ];
  for (const [outcome, why, wires] of starts) {
    test(`started with ${outcome}: ${why.source}`, () => {
      const { startUp } = session(KNOWN, ...wires);
      assert.is(startUp.outcome, outcome);
      assert.match(startUp.why, why);
    });
  }

  test("tells latencies with the edges that they lie between, and which is missing", () => {
    const { latencies } = session(request(1_000), processed(1_400), playable(1_900));
    assert.equal(latencies.map(({ name, ms }) => [name, ms]), [
      ["prompt_to_first_frame_ms", 400],
      ["startup_time_ms", 500],
      ["e2e_latency_ms", 900],
    ]);
    assert.equal([latencies[0]!.from, latencies[0]!.to], [
      { type: "gateway_receive_stream_request", time: "1970-01-01T00:00:01.000Z" },
      { type: "gateway_receive_first_processed_segment", time: "1970-01-01T00:00:01.400Z" },
    ]);
    const [, second] = session(request(1_000), playable(1_900)).latencies;
    assert.equal([second!.ms, second!.from.time], [null, null]);
  });

  test("reads its events in the order of their times, whenever they came, and tells what each adds", () => {
    const told = session(
      KNOWN,
      close(9_000),
      sample(6_000, { ...B, model: SD }),
      swap(5_000, A),
      error(4_000, "boom"),
      error(7_000, "user disconnected"),
      sample(2_000, { ...A, model: SD }),
      request(1_000),
      playable(3_000),
    );
    assert.equal(told.events.map(({ type }) => type), [
      "gateway_receive_stream_request",
      "status",
      "gateway_receive_few_processed_segments",
      "ai:error",
      "orchestrator_swap",
      "status",
      "ai:error",
      "gateway_ingest_stream_closed",
    ]);
    assert.equal(addedBy(told, "gateway_receive_stream_request@1000"), ["opens_session", "opens_segment", "requested"]);
    assert.equal(addedBy(told, "sample@2000"), ["identifies_segment", "sample"]);
    assert.equal(addedBy(told, "gateway_receive_few_processed_segments@3000"), ["playable"]);
    assert.equal(addedBy(told, "error@4000"), ["error"]);
    assert.equal(addedBy(told, "orchestrator_swap@5000"), ["swap"]);
    assert.equal(addedBy(told, "sample@6000"), ["opens_segment", "sample"]);
    assert.equal(addedBy(told, "error@7000"), ["excused_error"]);
    assert.equal(addedBy(told, "gateway_ingest_stream_closed@9000"), ["closes_segment", "completed"]);
    assert.equal(
      told.segments.map(({ orchestrator, reason, identifiedBy }) => [orchestrator, reason, idOf(identifiedBy)]),
      [
        ["0xca", "orchestrator_change", "sample@2000"],
        ["0xcb", "stream_closed", "sample@6000"],
      ],
    );
    assert.equal([told.swaps.confirmed, told.swaps.inferred, told.swaps.edges.map(idOf)], [1, 1, [
      "orchestrator_swap@5000",
    ]]);
    assert.equal(told.errors, { total: 2, excusable: 1, beforePlayable: 0 });
  });

  test("counts an event once that was stored twice, and tells both sequences", () => {
    const told = session(KNOWN, sample(2_000, A), sample(2_000, A));
    assert.equal(told.events.map(({ streamSequences }) => streamSequences), [[2, 3]]);
    assert.is(told.eventCount, 1);
  });

  test("says where an event that names nobody has its identity from", () => {
    const wires = [KNOWN, request(1_000), sample(2_000, A), close(3_000), sample(4_000, { ...A, model: SD })];
    const edge = borrowed("gateway_ingest_stream_closed@3000", "fact_stream_trace_edges", ...wires);
    assert.equal([edge.segment, idOf(edge.from)], [1, "sample@4000"], "an edge has what its segment comes to");
    const early = borrowed("gateway_receive_stream_request@1000", "fact_stream_trace_edges", ...wires);
    assert.match(early.sentence, "pre_assignment");
    const nobody = borrowed("gateway_receive_stream_request@1000", "fact_stream_trace_edges", request(1_000));
    assert.match(nobody.sentence, "never knows an orchestrator");
    const update = streamEvent("params_update", 3_500, "{}");
    const then = borrowed("params_update@3500", "fact_workflow_param_updates", ...wires, update);
    assert.equal([then.segment, idOf(then.from)], [1, "sample@2000"], "an update has what was known by then");
  });

  test("is told in lines of at most 100 characters", () => {
    const told = session(
      KNOWN,
      request(1_000),
      sample(2_000, A),
      swap(3_000, A),
      sample(4_000, B),
      error(5_000, "boom"),
    );
    const lines = sessionLines({
      kind: "session",
      source: "network",
      session: told,
      readFrom: { stream: 5, archive: 0 },
      wanted: [],
      rows: [],
      evidence: { bucket: 1, archive: 0, stream: 0 },
    });
    assert.equal(lines.filter((line) => line.length > 100), []);
    assert.ok(lines.some((line) => /^segment 1 +\|=+ *\|$/.test(line)), lines.join("\n"));
    assert.ok(lines.some((line) => line.startsWith("edges") && line.includes("R") && line.includes("W")));
    assert.ok(lines.some((line) => /^samples +\| +s +s +\|$/.test(line)));
  });
});
