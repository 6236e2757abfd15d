/** Identity: session keys, event uids, and the memory that tells duplicates. */
import * as assert from "uvu/assert";
import fc from "fast-check";
import type { Counts } from "../../src/core/effects.ts";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { hash64OfBytes } from "../../src/core/hash.ts";
import { sessionKeyOf } from "../../src/core/identity.ts";
import { FROM_THE_START, PartitionState } from "../../src/core/step.ts";
import { describe } from "../helpers/suite.ts";
import {
  bytesOf,
  capabilitiesWire,
  decoded,
  discoveryWire,
  entryWire,
  eventOf,
  gpuWire,
  hardwareWire,
  ingestWire,
  paymentWire,
  SENT_MS,
  statusWire,
  stored,
  streamEventWire,
  subjectOf,
  traceWire,
  VALID,
  type Wire,
  withDataAsText,
  withKeysReversed,
} from "../helpers/wire.ts";

describe("sessionKeyOf()", (test) => {
  const keyOf = (wire: Wire) => {
    const result = decoded(wire);
    if (result.outcome !== "accepted" || !("streamId" in result.event.payload)) throw new Error("has no session");
    const { head, payload } = result.event;
    return { key: sessionKeyOf(payload.streamId, payload.requestId, head.id), gateway: head.gateway };
  };
  const ids = { stream_id: "stream-1", request_id: "req-1" };

  test("traceSignalMappingCarriesGatewayFromSourceEvent", () => {
    const traced = keyOf(traceWire(ids, { gateway: "gateway-a" }));
    assert.equal(traced, { key: "stream-1|req-1", gateway: "gateway-a" });
  });
  test("aiEventSignalMappingCarriesGatewayFromSourceEvent", () => {
    const failed = keyOf(streamEventWire({ stream_id: "stream-2", request_id: "req-2" }, { gateway: "gateway-b" }));
    assert.equal(failed, { key: "stream-2|req-2", gateway: "gateway-b" });
  });
  test("buildsCompositeWhenStreamAndRequestExist", () => {
    assert.is(sessionKeyOf("stream-1", "req-1", "evt-1"), "stream-1|req-1");
  });
  test("fallsBackToStreamOnly", () => {
    assert.is(sessionKeyOf("stream-1", "", "evt-1"), "stream-1|_missing_request");
  });
  test("fallsBackToRequestOnly", () => {
    assert.is(sessionKeyOf("", "req-1", "evt-1"), "_missing_stream|req-1");
  });
  test("fallsBackToEventId", () => {
    assert.is(sessionKeyOf("", "", "evt-1"), "_missing_stream|_missing_request|evt-1");
  });
  test("names the missing event id, too", () => {
    assert.is(sessionKeyOf("", "", ""), "_missing_stream|_missing_request|_missing_event");
  });
  test("trims every part and keeps its case; a part of blanks is missing", () => {
    assert.is(sessionKeyOf(" Stream-1\t", " Req-1 ", "e"), "Stream-1|Req-1");
    assert.is(sessionKeyOf(" ", "\n", " evt-1 "), "_missing_stream|_missing_request|evt-1");
    assert.is(sessionKeyOf(" ", "", " "), "_missing_stream|_missing_request|_missing_event");
  });
});

const uidOfWire = (content: unknown) => decoded(content).envelope.uid;

/** An event with the nulls and blanks that a field-by-field export leaves out. */
const SPARSE: Record<string, [sparse: Wire, explicit: Wire]> = {
  ai_stream_status: [
    statusWire({ start_time: undefined, inference_status: { fps: 1 }, input_status: undefined }),
    statusWire({
      start_time: null,
      input_status: { fps: null },
      inference_status: { fps: 1, last_error: null, restart_count: null, last_params: null, last_error_time: null },
    }),
  ],
  stream_trace: [
    traceWire({ timestamp: undefined, orchestrator_info: undefined, message: undefined }),
    traceWire({ timestamp: null, orchestrator_info: { address: "", url: null }, message: null }),
  ],
  ai_stream_events: [streamEventWire({ message: undefined }), streamEventWire({ message: null })],
  stream_ingest_metrics: [
    ingestWire({ stats: { track_stats: [] } }),
    ingestWire({ stats: { conn_quality: null, peer_conn_stats: null, track_stats: null } }),
  ],
  discovery_results: [
    discoveryWire([{ address: "0xa" }]),
    discoveryWire([{ address: "0xa", url: null, latency_ms: null }]),
  ],
  create_new_payment: [paymentWire({ clientIP: undefined }), paymentWire({ clientIP: null })],
  network_capabilities: [
    capabilitiesWire([entryWire({ hardware: undefined, capabilities_prices: undefined })]),
    capabilitiesWire([entryWire({ hardware: null, capabilities_prices: null, price_info: null })]),
  ],
};

describe("event uids", (test) => {
  for (const [type, valid] of Object.entries(VALID)) {
    const wire = valid();
    test(`re-encodings of one ${type} are one event`, () => {
      const uid = uidOfWire(wire);
      assert.is(uidOfWire({ ...wire, timestamp: SENT_MS }), uid, "timestamp as a number");
      assert.is(uidOfWire({ ...wire, timestamp: ` ${SENT_MS} ` }), uid, "timestamp between blanks");
      assert.is(uidOfWire(withDataAsText(wire)), uid, "data as text");
      assert.is(uidOfWire(withKeysReversed(wire)), uid, "keys reordered");
      assert.is(uidOfWire(withDataAsText(withKeysReversed(wire) as Wire)), uid, "both");
      assert.is(uidOfWire(JSON.stringify(wire, null, 2)), uid, "laid out");
      assert.is(uidOfWire({ ...wire, version: null, sender: null }), uid, "with null fields");
      assert.is(uidOfWire({ ...wire, version: "v1" }), uid, "with its version");
      assert.is(uidOfWire({ ...wire, more: 1 }), uid, "with a field nobody reads");
    });

    test(`__replay keys do not change the uid of ${type}`, () => {
      const replayed = { ...wire, __replay: true, __replay_ts: 1, __replay_source: "dlq", __replay_failure_class: "x" };
      assert.is(uidOfWire(replayed), uidOfWire(wire));
      assert.is(uidOfWire({ ...replayed, id: wire.id }), uidOfWire({ ...wire, id: wire.id }));
    });

    test(`explicit nulls and missing fields of ${type} are one event`, () => {
      const [sparse, explicit] = SPARSE[type]!;
      assert.is(decoded(sparse).outcome, "accepted");
      assert.is(uidOfWire(explicit), uidOfWire(sparse));
    });

    test(`the uid of ${type} is its id and a hash of 16 digits, the hash alone without an id`, () => {
      const [withId, without] = [uidOfWire(wire), uidOfWire({ ...wire, id: undefined })];
      assert.match(withId, /^0594741e-afa4-447c-a136-a9ab16347db7~[0-9a-f]{16}$/);
      if (type === "stream_trace") return; // Needs its id.
      assert.match(without, /^[0-9a-f]{16}$/);
      assert.is(without, withId.slice(-16));
    });

    test(`another time or gateway makes another ${type}`, () => {
      const uids = [wire, { ...wire, timestamp: SENT_MS + 1 }, { ...wire, gateway: "gateway-b" }].map(uidOfWire);
      assert.is(new Set(uids).size, 3);
    });
  }

  test("numbers as text and as numbers are one event", () => {
    const asText = statusWire({ start_time: "5", inference_status: { fps: "1.50", last_params: { width: " 7" } } });
    const asNumber = statusWire({ start_time: 5, inference_status: { fps: 1.5, last_params: { width: 7 } } });
    assert.is(uidOfWire(asText), uidOfWire(asNumber));
  });

  test("addresses and URLs in other spellings are one event", () => {
    const spelt = (address: string, url: string) => uidOfWire(statusWire({ orchestrator_info: { address, url } }));
    assert.is(spelt(" 0xABcd ", "HTTPS://A.b:1/"), spelt("0xabcd", "https://a.b:1"));
  });

  test("GPUs as an array and as an object with keys in any order are one event", () => {
    const uid = (gpu_info: unknown) =>
      uidOfWire(capabilitiesWire([entryWire({ hardware: [hardwareWire({ gpu_info })] })]));
    const [a, b] = [gpuWire("GPU-a"), gpuWire("GPU-b")];
    assert.is(uid({ "1": b, "0": a }), uid([a, b]));
  });

  test("GPUs under keys that are numbers, texts and both are one event in any order", () => {
    const gpus = ["9.0", "10.0", "1a", "x", "Infinity", ""].map((key) => [key, gpuWire(`GPU-${key}`)] as const);
    const uid = (entries: typeof gpus) =>
      uidOfWire(capabilitiesWire([entryWire({ hardware: [hardwareWire({ gpu_info: Object.fromEntries(entries) })] })]));
    const wanted = uid(gpus);
    fc.assert(fc.property(fc.shuffledSubarray(gpus, { minLength: gpus.length }), (order) => {
      assert.is(uid(order), wanted);
    }));
  });

  test("zero and minus zero are one event, and both are zero", () => {
    const sample = (fps: unknown) => statusWire({ inference_status: { fps, restart_count: fps } });
    for (const fps of [-0, "-0", "-0.0"]) {
      assert.is(uidOfWire(sample(fps)), uidOfWire(sample(0)));
      const found = decoded(sample(fps));
      assert.ok(found.outcome === "accepted" && found.event.type === "ai_stream_status");
      const { outputFps, restartCount } = found.event.payload;
      assert.ok(Object.is(outputFps, 0) && Object.is(restartCount, 0));
    }
  });

  const changes: Record<string, [Wire, Wire]> = {
    "a status of another fps": [statusWire(), statusWire({ inference_status: { fps: 1 } })],
    "a trace of another type": [traceWire(), traceWire({ type: "orchestrator_swap" })],
    "an event with another message": [streamEventWire(), streamEventWire({ message: "other" })],
    "a payment with more tickets": [paymentWire(), paymentWire({ numTickets: "3" })],
    "a snapshot with another GPU": [
      capabilitiesWire(),
      capabilitiesWire([entryWire({ hardware: [hardwareWire({ gpu_info: { "0": gpuWire("GPU-b") } })] })]),
    ],
    "an event of another type": [ingestWire(), { ...ingestWire(), type: "other" }],
  };
  for (const [what, [one, other]] of Object.entries(changes)) {
    test(`${what} under the same id is another event`, () => {
      assert.is(one.id, other.id);
      assert.is.not(uidOfWire(one), uidOfWire(other));
    });
  }

  test("an ignored message has one uid for all its encodings", () => {
    const noise: Wire = {
      id: "n",
      type: "webrtc_stats",
      timestamp: "5",
      gateway: "g",
      data: { b: [1, { x: 1, y: null }], a: 2 },
    };
    const uid = uidOfWire(noise);
    assert.is(uidOfWire(withKeysReversed({ ...noise, timestamp: 5, __replay: true })), uid);
    assert.is(uidOfWire(withDataAsText(noise)), uid);
    assert.is(uidOfWire({ ...noise, data: { a: 2, b: [1, { x: 1 }], c: null } }), uid);
    assert.is.not(uidOfWire({ ...noise, data: { a: 2, b: [{ x: 1 }, 1] } }), uid);
  });

  test("what does not decode is named by its bytes, and by its id where that could be read", () => {
    const broken = bytesOf('{"id":');
    assert.is(uidOfWire(broken), hash64OfBytes(broken));
    const refused = bytesOf(statusWire({ state: 5 }));
    assert.is(uidOfWire(refused), `${statusWire().id}~${hash64OfBytes(refused)}`);
    assert.is.not(uidOfWire(bytesOf('{"id": ')), uidOfWire(broken));
    assert.match(uidOfWire(new Uint8Array()), /^[0-9a-f]{16}$/);
  });

  test("a status with no value of its own differs from every other: any change of a field that is read", () => {
    const field = fc.constantFrom("state", "pipeline", "stream_id", "request_id");
    fc.assert(fc.property(field, fc.string({ minLength: 1, maxLength: 50 }), (name, value) => {
      const changed = eventOf("ai_stream_status", statusWire({ [name]: value }));
      const same =
        JSON.stringify(changed.payload) === JSON.stringify(eventOf("ai_stream_status", statusWire()).payload);
      assert.is(changed.head.uid === uidOfWire(statusWire()), same);
    }));
  });
});

/** The counts of one batch of messages, all of one partition. */
function countsOf(messages: readonly [content: unknown, source?: string][]): Counts {
  const feed = new SnapshotFeed({ allowedLatenessMs: 3_600_000, mostSightings: 1_000 });
  const day = 24 * 3_600_000;
  const ttl = { beforeMs: day, afterMs: day };
  const settings = {
    ttl,
    allowedLatenessMs: 3_600_000,
    generation: 1,
    contentHash: "",
    mostSessions: 1_000,
    sessionLagMs: 0,
    leftOut: new Set<string>(),
    mostOpen: 1_000,
    mostSeen: 1_000,
  };
  const state = new PartitionState(settings, feed, FROM_THE_START);
  for (const [at, [content, source = "cloud_spe"]] of messages.entries()) {
    state.take(stored(content, { streamSequence: at + 1, subject: subjectOf(source, content) }));
  }
  return state.seal().counts;
}

describe("duplicates and id conflicts", (test) => {
  test("one event in two encodings counts once, as a duplicate the second time", () => {
    const counts = countsOf([[statusWire()], [withDataAsText(statusWire({}, { timestamp: SENT_MS }))]]);
    assert.is(counts.get("accepted"), 1);
    assert.is(counts.get("duplicate"), 1);
    assert.is(counts.get("id_conflict"), undefined);
  });

  test("one id with two contents is two events and one id_conflict", () => {
    const counts = countsOf([[statusWire()], [statusWire({ state: "LOADING" })]]);
    assert.is(counts.get("accepted"), 2);
    assert.is(counts.get("id_conflict"), 1);
  });

  test("one id in two sources is no conflict", () => {
    const counts = countsOf([[statusWire(), "a"], [statusWire({ state: "LOADING" }), "b"], [statusWire(), "b"]]);
    assert.is(counts.get("accepted"), 3);
    assert.is(counts.get("id_conflict"), 1);
  });

  test("events without id never conflict", () => {
    const counts = countsOf([[statusWire({}, { id: "" })], [statusWire({ state: "LOADING" }, { id: null })]]);
    assert.is(counts.get("accepted"), 2);
    assert.is(counts.get("id_conflict"), undefined);
  });
});
