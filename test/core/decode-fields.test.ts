/**
 * Decoding: what the fields of an event may hold, and what they become. Upstream turns what it cannot read
 * into 0 or null; here a field of a wrong type, or a number that its column could not hold, refuses the event,
 * because a silent zero is a wrong row.
 */
import * as assert from "uvu/assert";
import { describe } from "../helpers/suite.ts";
import {
  CANONICAL,
  capabilitiesWire,
  discoveryWire,
  eventOf,
  HOT,
  ingestWire,
  NODE,
  outcomeOf,
  paymentWire,
  SENT_MS,
  statusWire,
  streamEventWire,
  traceWire,
  VALID,
  type Wire,
} from "../helpers/wire.ts";

/** The required fields under `data`, by type, as the contract lists them. */
const REQUIRED: Record<string, readonly string[]> = {
  stream_trace: ["stream_id", "request_id", "type"],
  ai_stream_status: ["stream_id", "request_id", "pipeline"],
  ai_stream_events: ["stream_id", "request_id", "pipeline", "type"],
  stream_ingest_metrics: ["stream_id", "request_id"],
  create_new_payment: [
    "sessionID",
    "manifestID",
    "sender",
    "recipient",
    "orchestrator",
    "faceValue",
    "numTickets",
    "price",
    "winProb",
  ],
};

describe("decode(): required fields", (test) => {
  for (const [type, valid] of Object.entries(VALID)) {
    for (const field of REQUIRED[type] ?? []) {
      test(`${type} needs data.${field}: missing, null and "" are missing_field, blanks pass`, () => {
        const wire = valid();
        const having = (value: unknown) => ({ ...wire, data: { ...wire.data as Wire, [field]: value } });
        for (const none of [undefined, null, ""]) assert.is(outcomeOf(having(none)), "missing_field");
        const blank = outcomeOf(having("  "));
        // A blank trace type is none of the ten, so it is noise.
        assert.is(
          blank,
          type === "stream_trace" && field === "type" ? "ignored:unsupported_stream_trace_type" : "accepted",
        );
      });
    }
    test(`${type} ${type === "stream_trace" ? "needs an id" : "needs no id"}`, () => {
      for (const id of [undefined, null, ""]) {
        assert.is(outcomeOf({ ...valid(), id }), type === "stream_trace" ? "missing_field" : "accepted");
      }
    });
  }

  test("create_new_payment needs no requestID", () => {
    for (const requestID of [undefined, null, ""]) {
      assert.is(eventOf("create_new_payment", paymentWire({ requestID })).payload.requestId, "");
    }
  });

  test("no event but network_capabilities and discovery_results may have an array as data", () => {
    for (const [type, valid] of Object.entries(VALID)) {
      if (REQUIRED[type] !== undefined) assert.is(outcomeOf({ ...valid(), data: [valid().data] }), "missing_field");
    }
  });
});

describe("decode(): what the fields become", (test) => {
  test("a status", () => {
    assert.equal(eventOf("ai_stream_status", statusWire()).payload, {
      streamId: "stream-o5s73x-mk5zc8fy",
      requestId: "db936fab",
      pipeline: "streamdiffusion-sdxl",
      state: "ONLINE",
      address: HOT,
      url: NODE,
      outputFps: 17.25,
      inputFps: 20.5,
      restartCount: 2,
      lastRestartTimeMs: SENT_MS - 20_000,
      lastError: "image fetch timeout",
      lastErrorTimeMs: SENT_MS - 5_000,
      prompt: "a cat",
      promptWidth: 768,
      promptHeight: 512,
      paramsHash: "99914b932bd37a50b983c5e7c90ae93b",
      startTimeMs: SENT_MS - 10_000,
    });
  });

  test("a status with nothing but its required fields: 0, blank and null as upstream has them", () => {
    const data = { stream_id: "s", request_id: "r", pipeline: "p" };
    assert.equal(eventOf("ai_stream_status", { ...statusWire(), data }).payload, {
      streamId: "s",
      requestId: "r",
      pipeline: "p",
      state: "",
      address: "",
      url: "",
      outputFps: 0,
      inputFps: 0,
      restartCount: 0,
      lastRestartTimeMs: null,
      lastError: null,
      lastErrorTimeMs: null,
      prompt: null,
      promptWidth: 0,
      promptHeight: 0,
      paramsHash: "",
      startTimeMs: null,
    });
  });

  test("a blank last_error and a blank prompt are null", () => {
    const blank = { last_error: "", last_params: { prompt: "" } };
    const { payload } = eventOf("ai_stream_status", statusWire({ inference_status: blank }));
    assert.is(payload.lastError, null);
    assert.is(payload.prompt, null);
  });

  test("a prompt that is a list of weighted prompts has no column and is null", () => {
    const weighted = { last_params: { prompt: [["a cat", 1], ["a dog", 0.5]] } };
    assert.is(eventOf("ai_stream_status", statusWire({ inference_status: weighted })).payload.prompt, null);
  });

  test("a trace, with both of its times", () => {
    assert.equal(eventOf("stream_trace", traceWire({ message: "orchestrator is slow" })).payload, {
      streamId: "stream-o5s73x-mk5zc8fy",
      requestId: "db936fab",
      traceType: "gateway_send_first_ingest_segment",
      address: HOT,
      url: NODE,
      dataTimeMs: SENT_MS - 2,
      envelopeTimeMs: SENT_MS,
      message: "orchestrator is slow",
    });
  });

  test("an event of a stream", () => {
    assert.equal(eventOf("ai_stream_events", streamEventWire()).payload, {
      streamId: "stream-o5s73x-mk5zc8fy",
      requestId: "db936fab",
      pipeline: "streamdiffusion-sdxl",
      eventType: "error",
      message: "whip disconnected",
      capability: "",
    });
  });

  test("ingest metrics: of two tracks of a kind the last, absent numbers 0", () => {
    const tracks = [{ type: "video", jitter: 1 }, { type: "video", jitter: 2, packets_lost: 3 }];
    const stats = { track_stats: tracks };
    const none = {
      jitter: 0,
      packetsReceived: 0,
      packetsLost: 0,
      packetLossPct: 0,
      rtt: 0,
      lastInputTs: 0,
      latency: 0,
    };
    assert.equal(eventOf("stream_ingest_metrics", ingestWire({ stats })).payload, {
      streamId: "stream-o5s73x-mk5zc8fy",
      requestId: "db936fab",
      connectionQuality: "",
      video: { ...none, jitter: 2, packetsLost: 3 },
      audio: none,
      bytesReceived: 0,
      bytesSent: 0,
    });
  });

  test("discovery results, with a latency that is text", () => {
    const entries = [{ address: " 0xAB ", latency_ms: "77", url: "HTTPS://A:1/" }, {
      address: "0xcd",
      latency_ms: "x",
    }];
    assert.equal(eventOf("discovery_results", discoveryWire(entries.slice(0, 1))).payload.orchestrators, [
      { address: "0xab", url: "https://a:1", latencyMs: 77 },
    ]);
    assert.is(outcomeOf(discoveryWire(entries)), "parse_exception", "upstream took an unreadable latency for 0");
  });

  test("a payment: addresses in normal form (upstream kept their case), amounts as the text they are", () => {
    const { payload } = eventOf("create_new_payment", paymentWire({ winProb: 0.5, clientIP: null }));
    assert.equal(payload, {
      requestId: "db936fab",
      sessionId: "01b55632",
      manifestId: "35_streamdiffusion-sdxl-faceid",
      sender: "0x5ae4e42db3671370a0c25aff451e7482aaec3d0b",
      recipient: CANONICAL,
      orchestrator: NODE,
      faceValue: "2402400000000000 WEI",
      price: "1635.021 wei/pixel",
      numTickets: "2",
      winProb: "0.5",
      clientIp: "",
      capability: "",
    });
  });
});

/** A path below `data` set to a value, the objects on the way copied. */
function withAt(wire: Wire, path: readonly (string | number)[], value: unknown): Wire {
  const set = (held: unknown, [key, ...rest]: readonly (string | number)[]): unknown => {
    if (key === undefined) return value;
    if (Array.isArray(held)) return held.map((one, at) => at === key ? set(one, rest) : one);
    return { ...held as Wire, [key]: set((held as Wire)[key], rest) };
  };
  return { ...wire, data: set(wire.data, path) };
}

type Path = readonly (string | number)[];

/** Every field that is read, by kind. */
const TEXTS: readonly [() => Wire, Path][] = [
  [statusWire, ["state"]],
  [statusWire, ["orchestrator_info", "address"]],
  [statusWire, ["orchestrator_info", "url"]],
  [statusWire, ["inference_status", "last_error"]],
  [statusWire, ["inference_status", "last_params_hash"]],
  [traceWire, ["message"]],
  [traceWire, ["orchestrator_info", "address"]],
  [streamEventWire, ["message"]],
  [streamEventWire, ["capability"]],
  [ingestWire, ["stats", "conn_quality"]],
  [ingestWire, ["stats", "track_stats", 0, "type"]],
  [() => discoveryWire(), [0, "address"]],
  [() => discoveryWire(), [0, "url"]],
];
const SECTIONS: readonly [() => Wire, Path][] = [
  [statusWire, ["orchestrator_info"]],
  [statusWire, ["inference_status"]],
  [statusWire, ["inference_status", "last_params"]],
  [statusWire, ["input_status"]],
  [traceWire, ["orchestrator_info"]],
  [ingestWire, ["stats"]],
  [ingestWire, ["stats", "peer_conn_stats"]],
];
const FLOAT32 = 3.4028234663852886e38;
const LAST_DATE_TIME_64_MS = 10_413_791_999_999;
const NUMBERS: readonly [() => Wire, Path, least: number, greatest: number, above: number][] = [
  [statusWire, ["inference_status", "fps"], -FLOAT32, FLOAT32, 3.5e38],
  [statusWire, ["input_status", "fps"], -FLOAT32, FLOAT32, 3.5e38],
  [statusWire, ["inference_status", "restart_count"], 0, 4_294_967_295, 4_294_967_296],
  [statusWire, ["inference_status", "last_params", "width"], 0, 65_535, 65_536],
  [statusWire, ["inference_status", "last_params", "height"], 0, 65_535, 65_536],
  [statusWire, ["inference_status", "last_error_time"], 0, LAST_DATE_TIME_64_MS, LAST_DATE_TIME_64_MS + 1],
  [statusWire, ["start_time"], 0, LAST_DATE_TIME_64_MS, LAST_DATE_TIME_64_MS + 1],
  [traceWire, ["timestamp"], 0, SENT_MS, LAST_DATE_TIME_64_MS + 1],
  [ingestWire, ["stats", "peer_conn_stats", "BytesReceived"], 0, 2 ** 53 - 1, 2 ** 53],
  [ingestWire, ["stats", "peer_conn_stats", "BytesSent"], 0, 2 ** 53 - 1, 2 ** 53],
  [ingestWire, ["stats", "track_stats", 0, "jitter"], -FLOAT32, FLOAT32, 3.5e38],
  [ingestWire, ["stats", "track_stats", 0, "packets_lost"], 0, 4_294_967_295, 4_294_967_296],
  [ingestWire, ["stats", "track_stats", 1, "packets_received"], 0, 4_294_967_295, 4_294_967_296],
  [() => discoveryWire(), [0, "latency_ms"], 0, 4_294_967_295, 4_294_967_296],
];

const nameOf = (path: Path) => `data.${path.join(".")}`;

describe("decode(): wrong types and numbers out of range are refused (upstream makes them 0 or null)", (test) => {
  for (const [valid, path] of TEXTS) {
    test(`${valid().type} ${nameOf(path)} is text or nothing`, () => {
      for (const wrong of [5, 0, true, false, [], ["x"], {}, { a: 1 }]) {
        assert.is(outcomeOf(withAt(valid(), path, wrong)), "parse_exception", JSON.stringify(wrong));
      }
      const outcomes = [null, undefined, ""].map((none) => outcomeOf(withAt(valid(), path, none)));
      assert.equal(outcomes, ["accepted", "accepted", "accepted"]);
    });
  }

  for (const [valid, path] of SECTIONS) {
    test(`${valid().type} ${nameOf(path)} is an object or nothing`, () => {
      for (const wrong of [5, true, "x", "", ["x"], []]) {
        assert.is(outcomeOf(withAt(valid(), path, wrong)), "parse_exception", JSON.stringify(wrong));
      }
      const [nothing, missing, empty] = [null, undefined, {}].map((none) => {
        const { head, payload } = eventOf(valid().type as "ai_stream_status", withAt(valid(), path, none));
        return { head, payload };
      });
      assert.equal(nothing, missing);
      assert.equal(empty, missing);
    });
  }

  for (const [valid, path, least, greatest, above] of NUMBERS) {
    test(`${valid().type} ${nameOf(path)} is a number from ${least} to ${greatest}, or digits, or nothing`, () => {
      for (const good of [least, greatest, String(greatest), " 7 ", 7.5, null, undefined, ""]) {
        assert.is(outcomeOf(withAt(valid(), path, good)), "accepted", JSON.stringify(good));
      }
      const below = least === 0 ? -1 : -above;
      for (const bad of [above, String(above), below, true, [], {}, "x", "0x10", "1e999", "Infinity", "NaN", "1 2"]) {
        assert.is(outcomeOf(withAt(valid(), path, bad)), "parse_exception", JSON.stringify(bad));
      }
    });
  }

  test("members of lists must be objects, too", () => {
    for (const wrong of [5, "x", true, [], null]) {
      assert.is(outcomeOf(discoveryWire([wrong])), "parse_exception", JSON.stringify(wrong));
      assert.is(outcomeOf(ingestWire({ stats: { track_stats: [wrong] } })), "parse_exception", JSON.stringify(wrong));
    }
    for (const wrong of [5, "x", true, {}]) {
      assert.is(outcomeOf(ingestWire({ stats: { track_stats: wrong } })), "parse_exception", JSON.stringify(wrong));
    }
  });

  test("payment fields are text or numbers", () => {
    for (const wrong of [true, [], {}]) assert.is(outcomeOf(paymentWire({ sender: wrong })), "parse_exception");
    const { payload } = eventOf("create_new_payment", paymentWire({ numTickets: 2, price: 0 }));
    assert.is(payload.numTickets, "2");
    assert.is(payload.price, "0");
  });

  test("ids and labels are text of at most 256 characters", () => {
    const fits = "x".repeat(256);
    const fields: [() => Wire, string][] = [
      [statusWire, "stream_id"],
      [statusWire, "request_id"],
      [statusWire, "pipeline"],
      [streamEventWire, "type"],
      [traceWire, "stream_id"],
      [ingestWire, "request_id"],
    ];
    for (const [valid, field] of fields) {
      assert.is(outcomeOf(withAt(valid(), [field], fits)), "accepted", field);
      for (const wrong of [`${fits}x`, 5, true, [], {}]) {
        assert.is(outcomeOf(withAt(valid(), [field], wrong)), "parse_exception", field);
      }
    }
    for (const field of ["stream_id", "request_id"]) {
      assert.is(outcomeOf(withAt(statusWire(), [field], "é".repeat(128))), "accepted", "256 bytes");
      assert.is(outcomeOf(withAt(statusWire(), [field], "é".repeat(129))), "parse_exception", "258 bytes");
    }
    assert.is(outcomeOf(statusWire({}, { id: fits })), "accepted");
    for (const wrong of [`${fits}x`, 5, true, [], {}]) {
      assert.is(outcomeOf(statusWire({}, { id: wrong })), "parse_exception");
    }
  });

  test("a trace type is text", () => {
    for (const wrong of [5, true, [], {}]) assert.is(outcomeOf(traceWire({ type: wrong })), "parse_exception");
  });

  test("a type that is no identifier of at most 256 characters is missing_type", () => {
    assert.is(outcomeOf({ ...capabilitiesWire(), type: "x".repeat(257) }), "missing_type");
    assert.is(outcomeOf({ ...capabilitiesWire(), type: "x".repeat(256) }), "ignored:unsupported_event_family");
    assert.is(outcomeOf({ ...capabilitiesWire(), type: "" }), "missing_type");
  });

  test("a gateway is text", () => {
    for (const wrong of [5, true, [], {}]) assert.is(outcomeOf(statusWire({}, { gateway: wrong })), "parse_exception");
  });
});
