/**
 * §6.10 of the parity list: what every signal carries into its session. How sessions are named without a stream or a
 * request is in identity.test.ts.
 */
import * as assert from "uvu/assert";
import { whateverOrder } from "../../helpers/facts.ts";
import { error, ingest, request, sample } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { states } from "../../helpers/world.ts";

describe("signal mapping (§6.10)", (test) => {
  test("traceSignalMappingCarriesGatewayFromSourceEvent: into the edge and its session", () => {
    const all = whateverOrder([request(1_000, { gateway: "gateway-a", stream: "stream-1", request: "req-1" })]);
    for (const row of [all.of("fact_stream_trace_edges")[0]!, all.session("req-1")]) {
      states(row, { gateway: "gateway-a", workflow_session_id: "stream-1|req-1" });
    }
  });

  test("aiEventSignalMappingCarriesGatewayFromSourceEvent: into its session", () => {
    const all = whateverOrder([error(1_000, "odd", { gateway: "gateway-b", stream: "stream-2", request: "req-2" })]);
    states(all.session("req-2"), { gateway: "gateway-b", workflow_session_id: "stream-2|req-2" });
  });

  test("the session's gateway is the first that is not blank", () => {
    const events = [
      request(1_000, { gateway: " " }),
      sample(2_000, { gateway: "g2" }),
      sample(3_000, { gateway: "g3" }),
    ];
    states(whateverOrder(events).session(), { gateway: "g2" });
  });

  test("transport figures are no signal: they make no session, and weigh nothing", () => {
    const all = whateverOrder([ingest(1_000), ingest(2_000)], [], { generation: 3 });
    assert.equal(all.of("fact_workflow_sessions"), []);
    assert.equal(
      all.of("fact_stream_ingest_samples").map((row) => row.version),
      Array(2).fill(String((3n << 116n) + 1n)),
    );
    states(whateverOrder([request(1_000), ingest(2_000)]).session(), { event_count: 1, session_end_ts: 1_000 });
  });

  test("ids are trimmed, and a blank one is missing", () => {
    states(whateverOrder([request(1_000, { stream: " s ", request: "request-1 " })]).of("fact_workflow_sessions")[0]!, {
      workflow_session_id: "s|request-1",
      stream_id: "s",
      request_id: "request-1",
    });
    states(whateverOrder([request(1_000, { stream: " " })]).session(), {
      workflow_session_id: "_missing_stream|request-1",
      stream_id: "",
    });
  });
});
