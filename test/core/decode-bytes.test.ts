/**
 * Decoding: hostile bytes. Whatever arrives, decode answers with a value, in bounded time, and nothing gets
 * past it that a writer of JSON or UTF-8 could not write again.
 */
import * as assert from "uvu/assert";
import fc from "fast-check";
import { decode, LARGEST_MESSAGE } from "../../src/core/decode.ts";
import { describe } from "../helpers/suite.ts";
import {
  bytesOf,
  capabilitiesWire,
  decoded,
  entryWire,
  eventOf,
  outcomeOf,
  paymentWire,
  statusWire,
  stored,
  traceWire,
  VALID,
  withDataAsText,
} from "../helpers/wire.ts";

const TEXT = JSON.stringify(statusWire());
const BOM = "\uFEFF";

/** A valid status whose `state` is the given JSON text, once with plain data and once with data as text. */
function bothWays(state: string): string[] {
  const data = JSON.stringify(statusWire({ state: "?" }).data).replace('"?"', () => state);
  const envelope = (held: string) => JSON.stringify({ ...statusWire(), data: "?" }).replace('"?"', () => held);
  return [envelope(data), envelope(JSON.stringify(data))];
}

describe("decode(): hostile bytes", (test) => {
  test("the text helper itself makes acceptable messages", () => {
    for (const content of bothWays('"ONLINE"')) assert.is(outcomeOf(content), "accepted");
  });

  const notJson: Record<string, Uint8Array> = {
    "bytes that are not UTF-8": new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
    "an overlong encoding": new Uint8Array([0x22, 0xc0, 0xaf, 0x22]),
    "a surrogate in UTF-8": new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]),
    "a cut multi-byte character": bytesOf('{"id":"é').subarray(0, 8),
    "UTF-16": new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0]),
    "blanks": bytesOf(" \n "),
    "NaN": bytesOf("NaN"),
    "a trailing comma": bytesOf(`${TEXT},`),
    "two messages in one": bytesOf(TEXT + TEXT),
    "half a message": bytesOf(TEXT.slice(0, TEXT.length / 2)),
    "a zero byte after it": bytesOf(`${TEXT}\0`),
  };
  for (const [what, bytes] of Object.entries(notJson)) {
    test(`${what}: json_parse_error`, () => assert.is(outcomeOf(bytes), "json_parse_error"));
  }

  test("a message that begins with a byte order mark is either read or refused, not lost", () => {
    assert.ok(["accepted", "json_parse_error"].includes(outcomeOf(BOM + TEXT)));
  });

  test("nesting 100 000 deep is refused and overflows no stack", () => {
    const deep = 100_000;
    const nestings = [
      "[".repeat(deep) + "]".repeat(deep),
      '{"a":'.repeat(deep) + "1" + "}".repeat(deep),
      "[".repeat(deep),
    ];
    for (const nested of nestings) {
      assert.is(outcomeOf(nested), "json_parse_error");
      for (const content of bothWays(nested)) assert.not.equal(outcomeOf(content), "accepted");
    }
    for (const valid of Object.values(VALID)) {
      const outcome = outcomeOf(JSON.stringify({ ...valid(), extra: "?" }).replace('"?"', nestings[0]!));
      assert.is(outcome, "json_parse_error");
    }
  });

  test("__proto__ is refused as a key anywhere, escaped and in data as text too", () => {
    for (const key of ["__proto__", "\\u005f_proto__", "\\u005F\\u005Fproto\\u005f\\u005f"]) {
      assert.is(outcomeOf(TEXT.replace("{", `{"${key}":{"type":"x"},`)), "json_parse_error");
      for (const value of ["null", "{}", '{"toString":1}']) {
        for (const content of bothWays(`{"deep":[{"${key}":${value}}]}`)) {
          assert.is(outcomeOf(content), "json_parse_error", content);
        }
      }
    }
    assert.is(({} as Record<string, unknown>).type, undefined);
  });

  test("__proto__ is harmless as a text", () => {
    for (const content of bothWays('"__proto__"')) assert.is(outcomeOf(content), "accepted");
  });

  test("keys named like inherited properties stand for themselves", () => {
    for (const key of ["constructor", "toString", "hasOwnProperty", "valueOf"]) {
      assert.is(outcomeOf(statusWire({ [key]: { a: 1 } }, { [key]: 1 })), "accepted");
      assert.is(outcomeOf({ ...statusWire(), type: key }), "ignored:unsupported_event_family");
    }
  });

  test("a number beyond a double is refused, in data as text too", () => {
    for (const number of ["1e400", "-1e400", `1${"0".repeat(400)}`, "[1e309]"]) {
      for (const content of bothWays(number)) assert.is(outcomeOf(content), "json_parse_error");
    }
  });

  test("a lone surrogate is refused as text and as key, in data as text too; a pair is accepted", () => {
    for (const lone of ["\\ud800", "\\uDFFF", "x\\ud83dx", "\\udc00\\ud800", "\\ud800\\ud800\\udc00"]) {
      for (const state of [`"${lone}"`, `{"${lone}":1}`]) {
        for (const content of bothWays(state)) assert.is(outcomeOf(content), "json_parse_error", content);
      }
      assert.is(outcomeOf(TEXT.replace("{", `{"more":"${lone}",`)), "json_parse_error");
    }
    for (const content of bothWays('"\\ud83d\\uDE00 \u{1F600}"')) assert.is(outcomeOf(content), "accepted");
  });

  test("of duplicate keys the last one counts", () => {
    const twice = TEXT.replace("{", '{"type":"stream_trace","id":"first",');
    assert.is(eventOf("ai_stream_status", twice).head.id, statusWire().id as string);
    const [, other] = bothWays('"A","state":"B"');
    assert.is(eventOf("ai_stream_status", other).payload.state, "B");
  });

  test("a zero character and other controls in texts are kept", () => {
    assert.is(eventOf("ai_stream_status", statusWire({ state: "\0\x01\x7f" })).payload.state, "\0\x01\x7f");
  });

  test("any bytes give a value and never an exception", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.is(decode(stored(bytes)).outcome, "rejected");
    }));
  });

  test("any JSON in data gives a value and never an exception, for every type", () => {
    fc.assert(fc.property(fc.constantFrom(...Object.values(VALID)), fc.json(), (valid, json) => {
      decode(stored({ ...valid(), data: JSON.parse(json) }));
      decode(stored({ ...valid(), data: json }));
    }));
  });

  test("any subject gives a source and never an exception", () => {
    for (
      const subject of ["", ".", "events", "events.", "events..x", "events.=.x.0", "events.=ZZ.x.0", "events.=FF.x.0"]
    ) {
      assert.type(decode(stored(statusWire(), { subject })).envelope.source, "string");
    }
  });

  test("decoding twice gives the same, and leaves the bytes alone", () => {
    for (const content of [TEXT, "{", withDataAsText(paymentWire())]) {
      const [bytes, copy] = [bytesOf(content), bytesOf(content)];
      assert.equal(decoded(bytes), decoded(bytes));
      assert.equal(bytes, copy);
    }
  });
});

/** What a hostile message may take at most; decent ones take a tenth of this. */
const AT_MOST_MS = 500;
const LONG = 40_000;

describe("decode(): hostile bytes cost time in proportion to their length", (test) => {
  const messages: Record<string, unknown> = {
    "slashes in an entry's orch_uri": capabilitiesWire([entryWire({ orch_uri: `${"/".repeat(LONG)}x` })]),
    "slashes in an entry's uri": capabilitiesWire([entryWire({ orch_uri: "", uri: `${"/".repeat(LONG)}x` })]),
    "slashes in a url": statusWire({ orchestrator_info: { url: `${"/".repeat(LONG)}x` } }),
    "slashes in a payment": paymentWire({ orchestrator: `${"/".repeat(LONG)}x` }),
    "blanks in a timestamp": statusWire({}, { timestamp: `${" ".repeat(LONG)}x` }),
    "digits in a timestamp": statusWire({}, { timestamp: `${"1".repeat(LONG)}x` }),
    "digits and blanks in a timestamp": statusWire({}, { timestamp: `${"1".repeat(LONG)}${" ".repeat(LONG)}x` }),
    "blanks in a number": statusWire({ start_time: `${" ".repeat(LONG)}x` }),
    "digits in a number": statusWire({ start_time: `${"1".repeat(LONG)}x` }),
    "fractions in a number": statusWire({ start_time: `1.${"1".repeat(LONG)}e${"1".repeat(LONG)}x` }),
    "blanks in a trace type": traceWire({ type: `${" ".repeat(LONG)}x` }),
    "many keys": statusWire(Object.fromEntries(Array.from({ length: LONG / 10 }, (_, at) => [`k${at}`, at]))),
    "many capability ids": capabilitiesWire([
      entryWire({
        capabilities: { capacities: Object.fromEntries(Array.from({ length: LONG / 10 }, (_, at) => [at, 1])) },
      }),
    ]),
    "many entries": capabilitiesWire(Array.from({ length: LONG / 10 }, (_, at) => ({ address: `0x${at}` }))),
    "many surrogates": statusWire({ state: "\u{1F600}".repeat(LONG) }),
    "many escaped surrogates": TEXT.replace("ONLINE", "\\ud83d\\ude00".repeat(LONG / 2)),
  };
  for (const [what, content] of Object.entries(messages)) {
    test(what, () => {
      const bytes = bytesOf(content);
      assert.ok(bytes.length <= LARGEST_MESSAGE);
      const started = performance.now();
      decode(stored(bytes));
      const took = performance.now() - started;
      assert.ok(took < AT_MOST_MS, `took ${took.toFixed(0)} ms`);
    });
  }
});
