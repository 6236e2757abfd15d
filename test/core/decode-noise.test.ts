/** Known noise: what shares the stream with the events, and must be ignored without ever becoming a dead letter. */
import * as assert from "uvu/assert";
import { describe } from "../helpers/suite.ts";
import { decoded, outcomeOf, streamEventWire, traceWire } from "../helpers/wire.ts";

describe("decode(): known noise is ignored, never refused", (test) => {
  const scope = { client_source: "scope", stream_id: "", request_id: "" };
  const noise: [claim: string, content: unknown, reason: string, unknownType: boolean][] = [
    [
      "a type of the hosted product",
      { type: "webrtc_stats", timestamp: 1, data: {} },
      "unsupported_event_family",
      false,
    ],
    ["its other type", { type: "pipelines_api_request", timestamp: 1, data: 5 }, "unsupported_event_family", false],
    ["a type on no list", { type: "inference_complete", timestamp: 1, data: null }, "unsupported_event_family", true],
    ["a type named like a property", { type: "constructor", timestamp: 1, data: [] }, "unsupported_event_family", true],
    [
      "an application's trace without ids",
      traceWire({ type: "app_send_stream_request", request_id: undefined }),
      "ignored_stream_trace_non_core_app",
      false,
    ],
    ["an application's trace in capitals", traceWire({ type: "APP_X" }), "ignored_stream_trace_non_core_app", false],
    [
      "an application's trace without id",
      traceWire({ type: "app_x" }, { id: undefined }),
      "ignored_stream_trace_non_core_app",
      false,
    ],
    [
      "a scope client's heartbeat",
      traceWire({ ...scope, type: "stream_heartbeat" }),
      "ignored_stream_trace_scope_client_noise",
      false,
    ],
    [
      "a scope client's error",
      traceWire({ ...scope, type: "error", stream_id: null }),
      "ignored_stream_trace_scope_client_noise",
      false,
    ],
    [
      "a scope trace with a sender",
      traceWire({ ...scope, type: "error" }, { sender: { type: "x", id: "y" } }),
      "unsupported_stream_trace_type",
      false,
    ],
    [
      "a scope trace with a stream",
      traceWire({ ...scope, type: "error", stream_id: "s" }),
      "unsupported_stream_trace_type",
      false,
    ],
    [
      "a scope trace of another type",
      traceWire({ ...scope, type: "something" }),
      "unsupported_stream_trace_type",
      false,
    ],
    ["a trace type outside the ten", traceWire({ type: "stream_stopped" }), "unsupported_stream_trace_type", false],
    ["a trace type in other case", traceWire({ type: "Orchestrator_Swap" }), "unsupported_stream_trace_type", false],
  ];
  for (const [claim, content, reason, unknownType] of noise) {
    test(`${claim} is ${reason}`, () => {
      const result = decoded(content);
      assert.is(outcomeOf(content), `ignored:${reason}`);
      if (result.outcome === "ignored") assert.is(result.unknownType, unknownType);
    });
  }
  const lifecycle = [
    "gateway_receive_stream_request",
    "gateway_no_orchestrators_available",
    "gateway_send_first_ingest_segment",
    "runner_receive_first_ingest_segment",
    "runner_send_first_processed_segment",
    "gateway_receive_first_processed_segment",
    "gateway_receive_few_processed_segments",
    "gateway_receive_first_data_segment",
    "orchestrator_swap",
    "gateway_ingest_stream_closed",
  ];
  for (const type of lifecycle) {
    test(`decodes the trace ${type}`, () => assert.is(outcomeOf(traceWire({ type })), "accepted"));
  }
  test("decodes an event of ai_stream_events whatever its subtype", () => {
    for (const type of ["error", "params_update", "inference_complete", "app_x"]) {
      assert.is(outcomeOf(streamEventWire({ type })), "accepted");
    }
  });
});
