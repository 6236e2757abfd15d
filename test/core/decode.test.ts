/**
 * Decoding: which messages are accepted, ignored and refused, and for which reason. What single fields may
 * hold is in decode-fields.test.ts, hostile bytes are in decode-bytes.test.ts, noise is in decode-noise.test.ts.
 */
import * as assert from "uvu/assert";
import { decode, LARGEST_MESSAGE } from "../../src/core/decode.ts";
import { describe } from "../helpers/suite.ts";
import {
  bytesOf,
  capabilitiesWire,
  decoded,
  discoveryWire,
  eventOf,
  outcomeOf,
  productionLines,
  SENT_MS,
  statusWire,
  stored,
  STORED_MS,
  traceWire,
  VALID,
  type Wire,
  withDataAsText,
} from "../helpers/wire.ts";

const HOUR_MS = 3_600_000;

function timeOf(timestamp: unknown): number | null {
  const result = decode(stored(statusWire({}, { timestamp })));
  return result.outcome === "accepted" ? result.event.head.eventTimeMs : null;
}

describe("decode(): shapes that are tolerated or refused", (test) => {
  for (const [type, valid] of Object.entries(VALID)) {
    test(`accepts a valid ${type}`, () => assert.is(outcomeOf(valid()), "accepted"));

    test(`reads ${type} with data as JSON text (upstream refused it)`, () => {
      const [plain, text] = [decoded(valid()), decoded(withDataAsText(valid()))];
      assert.is(text.outcome, "accepted");
      assert.equal(text, plain);
    });
  }

  test("accepts a timestamp as a number and cuts its fraction", () => {
    assert.is(timeOf(SENT_MS), SENT_MS);
    assert.is(timeOf(SENT_MS + 0.75), SENT_MS);
  });

  test("accepts a timestamp as digits, blanks around them included", () => {
    assert.is(timeOf(String(SENT_MS)), SENT_MS);
    assert.is(timeOf(` ${SENT_MS}\t`), SENT_MS);
  });

  const noTimestamps = {
    "ISO 8601 text": "2026-02-25T20:43:11Z",
    "negative text": "-5",
    "a negative number": -5,
    "decimal text": "1772052191605.5",
    "empty text": "",
    "blank text": "  ",
    "null": null,
    "a missing one": undefined,
    "a boolean": true,
    "an object": {},
    "an array": [SENT_MS],
    "hexadecimal text": "0x19c960d3395",
    "a number past DateTime64 (upstream took it)": 10_413_792_000_000,
    "digits past DateTime64 (upstream took them)": "99999999999999999999",
  };
  for (const [what, timestamp] of Object.entries(noTimestamps)) {
    test(`refuses as missing_timestamp: ${what}`, () => {
      assert.is(outcomeOf(statusWire({}, { timestamp })), "missing_timestamp");
    });
  }

  test("takes a timestamp in seconds for milliseconds, in January 1970", () => {
    assert.is(timeOf(1_772_052_191), 1_772_052_191);
  });

  test("takes an object where network_capabilities has an array as a list of one entry", () => {
    const [entry] = capabilitiesWire().data as Wire[];
    const one = eventOf("network_capabilities", capabilitiesWire(entry));
    assert.equal(one, eventOf("network_capabilities", capabilitiesWire([entry])));
  });

  test("refuses an object where discovery_results has an array", () => {
    assert.is(outcomeOf(discoveryWire({ address: "0xa" })), "empty_array");
  });

  test("accepts network_capabilities without entries", () => {
    assert.equal(eventOf("network_capabilities", capabilitiesWire([])).payload, { entries: [], unreadable: 0 });
  });

  test("refuses data null as missing_field, whatever the type", () => {
    for (const valid of Object.values(VALID)) assert.is(outcomeOf({ ...valid(), data: null }), "missing_field");
  });

  test("skips members of network_capabilities that are null, scalars or empty, and counts none as unreadable", () => {
    const [entry] = capabilitiesWire().data as Wire[];
    const { payload } = eventOf("network_capabilities", capabilitiesWire([null, 5, "x", true, {}, entry]));
    assert.is(payload.entries.length, 1);
    assert.is(payload.unreadable, 0);
  });

  test("ignores unknown fields anywhere", () => {
    const wire = statusWire({ orchestrator_info: { address: "0xa", url: "", more: [1] }, extra: { deep: [{}] } });
    assert.equal(
      decoded({ ...wire, sender: { id: "x" } }),
      decoded(statusWire({
        orchestrator_info: { address: "0xa", url: "" },
      })),
    );
  });

  test("leaves text in data that is no JSON to the checks of its type, as upstream does", () => {
    assert.is(outcomeOf(capabilitiesWire("no JSON")), "invalid_data_shape");
    assert.is(outcomeOf(discoveryWire("no JSON")), "empty_array");
    assert.is(outcomeOf({ ...statusWire(), data: "no JSON" }), "missing_field");
  });

  test("reads data that is JSON text only once", () => {
    const twice = withDataAsText(withDataAsText(statusWire()));
    assert.is(outcomeOf(twice), "missing_field");
  });

  test("treats a null or missing gateway as a blank one", () => {
    for (const gateway of [null, undefined, ""]) {
      assert.is(eventOf("ai_stream_status", statusWire({}, { gateway })).head.gateway, "");
    }
  });
});

/** The table of reason codes: every refusal by name, with its stage and class. */
const REFUSALS: readonly [claim: string, content: unknown, stage: string, failureClass: string, reason: string][] = [
  ["no bytes", new Uint8Array(), "DESERIALIZATION", "DESERIALIZATION_FAILED", "null_payload"],
  ["bytes that are no JSON", '{"id":', "DESERIALIZATION", "DESERIALIZATION_FAILED", "json_parse_error"],
  ["an array as root", "[]", "SCHEMA_VALIDATION", "SCHEMA_INVALID", "root_not_object"],
  ["a text as root", '"x"', "SCHEMA_VALIDATION", "SCHEMA_INVALID", "root_not_object"],
  ["null as root", "null", "SCHEMA_VALIDATION", "SCHEMA_INVALID", "root_not_object"],
  ["a number as root", "5", "SCHEMA_VALIDATION", "SCHEMA_INVALID", "root_not_object"],
  ["an empty object", "{}", "SCHEMA_VALIDATION", "SCHEMA_INVALID", "missing_type"],
  ["no type", { ...statusWire(), type: undefined }, "SCHEMA_VALIDATION", "SCHEMA_INVALID", "missing_type"],
  ["a null type", { ...statusWire(), type: null }, "SCHEMA_VALIDATION", "SCHEMA_INVALID", "missing_type"],
  ["a type that is no text", { ...statusWire(), type: 5 }, "SCHEMA_VALIDATION", "SCHEMA_INVALID", "missing_type"],
  [
    "no timestamp",
    statusWire({}, { timestamp: undefined }),
    "SCHEMA_VALIDATION",
    "SCHEMA_INVALID",
    "missing_timestamp",
  ],
  ["no data", { ...statusWire(), data: undefined }, "SCHEMA_VALIDATION", "SCHEMA_INVALID", "missing_data"],
  ["version 2", statusWire({}, { version: 2 }), "SCHEMA_VALIDATION", "UNSUPPORTED_VERSION", "unsupported_version"],
  ["no stream_id", statusWire({ stream_id: undefined }), "SCHEMA_VALIDATION", "SCHEMA_INVALID", "missing_field"],
  ["an empty discovery", discoveryWire([]), "SCHEMA_VALIDATION", "SCHEMA_INVALID", "empty_array"],
  ["scalar capabilities", capabilitiesWire(5), "SCHEMA_VALIDATION", "SCHEMA_INVALID", "invalid_data_shape"],
  ["a field of a wrong type", statusWire({ state: 5 }), "PARSE", "PARSING_FAILED", "parse_exception"],
  [
    "an event an hour and a millisecond ahead (upstream took it)",
    statusWire({}, { timestamp: STORED_MS + HOUR_MS + 1 }),
    "SCHEMA_VALIDATION",
    "SCHEMA_INVALID",
    "time_in_future",
  ],
  [
    "a message above the size limit (upstream measured its rows)",
    statusWire({ state: "x".repeat(LARGEST_MESSAGE) }),
    "SINK_GUARD",
    "RECORD_TOO_LARGE",
    "record_too_large",
  ],
];

describe("decode(): reasons of refusal", (test) => {
  for (const [claim, content, stage, failureClass, reason] of REFUSALS) {
    test(`${claim} is ${reason}`, () => {
      const result = decoded(content);
      assert.is(result.outcome, "rejected");
      if (result.outcome !== "rejected") return;
      const { details, ...verdict } = result.rejection;
      assert.equal(verdict, { stage, failureClass, reason });
      assert.ok(details.length > 0, "says what is wrong");
    });
  }

  test("takes a message of exactly the largest size", () => {
    const failing = (last_error: string) => bytesOf(statusWire({ inference_status: { last_error } }));
    const fits = failing("x".repeat(LARGEST_MESSAGE - failing("").length));
    assert.is(fits.length, LARGEST_MESSAGE);
    assert.is(outcomeOf(fits), "accepted");
  });

  test("keeps what could be read of the envelope for whoever triages a refusal", () => {
    const { envelope } = decoded(statusWire({ state: 5 }));
    assert.is(envelope.source, "cloud_spe");
    assert.is(envelope.id, statusWire().id as string);
    assert.is(envelope.type, "ai_stream_status");
    assert.is(envelope.timestampMs, SENT_MS);
    assert.is(envelope.gateway, "gateway-a");
  });

  test("says which field cannot be read, and why", () => {
    const tracks = [{ type: "video", jitter: 1 }, { type: "audio", jitter: "a lot" }];
    const cases: [content: unknown, details: string][] = [
      [statusWire({ state: 5 }), "data.state: expected a text, got number"],
      [statusWire({ inference_status: [] }), "data.inference_status: expected an object, got a list"],
      [
        statusWire({ inference_status: { last_params: { width: 65_536 } } }),
        "data.inference_status.last_params.width: expected a number from 0 to 65535",
      ],
      [
        { ...statusWire({ stats: { track_stats: tracks } }), type: "stream_ingest_metrics" },
        "data.stats.track_stats.1.jitter: expected a number, got string",
      ],
      [
        { ...statusWire({ stats: { track_stats: [null] } }), type: "stream_ingest_metrics" },
        "data.stats.track_stats.0: expected an object, got null",
      ],
      [{ ...statusWire(), type: "discovery_results", data: [{}, "x"] }, "data.1: expected an object, got string"],
      [statusWire({ request_id: "é".repeat(129) }), "data.request_id: expected at most 256 bytes"],
    ];
    for (const [content, details] of cases) {
      const result = decoded(content);
      assert.is(result.outcome === "rejected" && result.rejection.details, details);
    }
  });

  test("quotes nothing of the message in the details", () => {
    const secret = "SECRETSECRET";
    const contents = [
      `{"${secret}":`,
      statusWire({ state: [secret] }),
      statusWire({ inference_status: secret }),
      statusWire({ inference_status: { fps: secret } }),
      statusWire({ orchestrator_info: { url: secret.repeat(500) } }),
      statusWire({}, { id: [secret] }),
      statusWire({}, { version: secret }),
      { ...statusWire(), type: secret.repeat(100) },
      { ...statusWire(), data: `{"a":"\\ud800${secret}"}` },
    ];
    for (const content of contents) {
      const result = decoded(content);
      assert.is(result.outcome, "rejected");
      if (result.outcome === "rejected") assert.not.match(result.rejection.details, /SECRET/);
    }
  });
});

describe("decode(): subjects", (test) => {
  test("of another type hold no capability message, for no replay would find its snapshot there", () => {
    const reasonOn = (subject: string, content: unknown) => {
      const result = decode(stored(content, { subject }));
      return result.outcome === "rejected" ? result.rejection.reason : result.outcome;
    };
    for (const partition of ["all", "0"]) {
      assert.is(reasonOn(`events.s.network_capabilities.${partition}`, capabilitiesWire()), "accepted");
      assert.is(reasonOn(`events.s.ai_stream_status.${partition}`, capabilitiesWire()), "wrong_subject");
    }
    assert.is(reasonOn("events.s.x.0", statusWire()), "accepted");
  });
});

describe("decode(): the first failing check decides", (test) => {
  const late = { timestamp: "never", version: 9 };
  const order: [claim: string, content: unknown, outcome: string][] = [
    ["size before JSON (ours: upstream measured last)", "x".repeat(LARGEST_MESSAGE + 1), "record_too_large"],
    ["type before timestamp", { type: 5, ...late }, "missing_type"],
    ["timestamp before data", { type: "ai_stream_status", ...late }, "missing_timestamp"],
    ["data before an unknown type", { type: "other", timestamp: 1, version: 9 }, "missing_data"],
    [
      "an unknown type before the version",
      { type: "other", timestamp: 1, version: 9, data: {} },
      "ignored:unsupported_event_family",
    ],
    ["the version before required fields", statusWire({ stream_id: "" }, { version: 9 }), "unsupported_version"],
    ["required fields before wrong types", statusWire({ state: 5, request_id: "" }), "missing_field"],
    ["the required id before required data", traceWire({ stream_id: "" }, { id: "" }), "missing_field"],
    ["null data before an empty array", discoveryWire(null), "missing_field"],
    ["null data before its shape", capabilitiesWire(null), "missing_field"],
    ["empty text as data is missing before it is no array", discoveryWire(""), "missing_field"],
    ["empty text as data is missing before it has a wrong shape", capabilitiesWire(""), "missing_field"],
    [
      "wrong types before the time",
      statusWire({ state: 5 }, { timestamp: STORED_MS + 2 * HOUR_MS }),
      "parse_exception",
    ],
  ];
  for (const [claim, content, outcome] of order) {
    test(claim, () => assert.is(outcomeOf(content), outcome));
  }
});

describe("decode(): versions", (test) => {
  for (const version of [undefined, null, 1, "1", "v1"]) {
    test(`takes ${JSON.stringify(version)} in the envelope and in data`, () => {
      assert.is(outcomeOf(statusWire({}, { version })), "accepted");
      assert.is(outcomeOf(statusWire({ version })), "accepted");
    });
  }
  for (const version of [0, 2, 1.5, "2", "v2", "V1", "", " 1", true, [], {}, [1]]) {
    test(`refuses ${JSON.stringify(version)} in the envelope and in data`, () => {
      assert.is(outcomeOf(statusWire({}, { version })), "unsupported_version");
      assert.is(outcomeOf(statusWire({ version })), "unsupported_version");
    });
  }
  test("looks at the envelope first", () => {
    assert.is(outcomeOf(statusWire({ version: 9 }, { version: 1 })), "accepted");
    assert.is(outcomeOf(statusWire({ version: 1 }, { version: 9 })), "unsupported_version");
  });
  test("finds a version in data that came as text", () => {
    assert.is(outcomeOf(withDataAsText(statusWire({ version: 9 }))), "unsupported_version");
  });
});

describe("decode(): event times", (test) => {
  const isTaken = (wire: Wire) => outcomeOf(wire) === "accepted";

  test("an envelope may be an hour ahead of its message's stored time, not a millisecond more", () => {
    assert.ok(isTaken(statusWire({}, { timestamp: STORED_MS + HOUR_MS })));
    assert.is(outcomeOf(statusWire({}, { timestamp: STORED_MS + HOUR_MS + 1 })), "time_in_future");
  });

  test("so may a trace's own time", () => {
    assert.ok(isTaken(traceWire({ timestamp: STORED_MS + HOUR_MS })));
    assert.is(outcomeOf(traceWire({ timestamp: STORED_MS + HOUR_MS + 1 })), "time_in_future");
  });

  test("a trace whose own time is fine is refused when its envelope's lies in the future", () => {
    assert.is(outcomeOf(traceWire({}, { timestamp: STORED_MS + HOUR_MS + 1 })), "time_in_future");
  });

  test("a trace happens at its own time when that is above 0, else at its envelope's", () => {
    const at = (timestamp: unknown) => eventOf("stream_trace", traceWire({ timestamp })).head.eventTimeMs;
    assert.is(at(SENT_MS - 77), SENT_MS - 77);
    assert.is(at(String(SENT_MS - 77)), SENT_MS - 77);
    for (const none of [0, null, undefined, ""]) assert.is(at(none), SENT_MS);
  });

  test("every other type happens at its envelope's time", () => {
    for (const [type, valid] of Object.entries(VALID)) {
      if (type === "stream_trace") continue;
      const result = decoded(valid());
      assert.is(result.outcome === "accepted" && result.event.head.eventTimeMs, SENT_MS);
    }
  });
});

describe("decode(): the real messages", (test) => {
  test("accepts every line, with the ids and the time that it states", () => {
    const lines = productionLines();
    assert.is(lines.length, 124);
    for (const line of lines) {
      const wire = JSON.parse(line);
      const result = decode(stored(line, { streamTimeMs: Number(wire.timestamp) + 500 }));
      assert.is(result.outcome, "accepted", line.slice(0, 100));
      if (result.outcome !== "accepted") continue;
      const { head, type, payload } = result.event;
      const ownTime = wire.type === "stream_trace" ? wire.data.timestamp : undefined;
      assert.is(type, wire.type);
      assert.is(head.id, wire.id);
      assert.is(head.gateway, wire.gateway);
      assert.is(head.eventTimeMs, ownTime ?? Number(wire.timestamp));
      if ("streamId" in payload) {
        assert.is(payload.streamId, wire.data.stream_id);
        assert.is(payload.requestId, wire.data.request_id);
      }
      if (type === "network_capabilities") assert.is(payload.unreadable, 0);
    }
  });
});
