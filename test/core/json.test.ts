/** Reading JSON that strangers wrote, and the canonical text of a value. */
import * as assert from "uvu/assert";
import fc from "fast-check";
import { canonicalJson, type Json, parseJsonBytes, parseJsonText } from "../../src/core/json.ts";
import { describe } from "../helpers/suite.ts";
import { bytesOf, productionLines, withKeysReversed } from "../helpers/wire.ts";

/** Any JSON value that may be read: no deeper than 32, no key `__proto__`, no negative zero. */
const readable = fc.jsonValue({ maxDepth: 6 })
  .map((value) => JSON.parse(JSON.stringify(value)) as Json)
  .filter((value) => !JSON.stringify(value).includes("__proto__"));

/** The value with every null member of an object left out, or with some added. */
function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([, held]) => held !== null);
  return Object.fromEntries(members.map(([key, held]) => [key, withoutNulls(held)]));
}

function withMoreNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map(withMoreNulls);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).map(([key, held]) => [key, withMoreNulls(held)]);
  return Object.fromEntries([["zz-more", null], ...members, ["aa-more", null]]);
}

const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

describe("parseJsonText() and parseJsonBytes()", (test) => {
  test("give the value that was written", () => {
    fc.assert(fc.property(readable, (value) => {
      assert.equal(parseJsonText(JSON.stringify(value)), { ok: true, value });
      assert.equal(parseJsonBytes(bytesOf(JSON.stringify(value))), { ok: true, value });
    }));
  });

  test("read every real message", () => {
    for (const line of productionLines()) assert.equal(parseJsonText(line), { ok: true, value: JSON.parse(line) });
  });

  test("nest 32 deep and no deeper", () => {
    assert.ok(parseJsonText(nested(32)).ok);
    assert.not.ok(parseJsonText(nested(33)).ok);
    assert.ok(parseJsonText('{"a":'.repeat(32) + "1" + "}".repeat(32)).ok);
    assert.not.ok(parseJsonText('{"a":'.repeat(33) + "1" + "}".repeat(33)).ok);
  });

  test("refuse what could not be carried on, wherever it is", () => {
    for (const flaw of ["1e400", "-1e400", '"\\ud800"', '"\\uDC00x"', '{"__proto__":1}', '{"\\ud800":1}', nested(40)]) {
      for (const text of [flaw, `[${flaw}]`, `{"a":[1,{"b":${flaw}}]}`, `[[],${flaw},1]`]) {
        const result = parseJsonText(text);
        assert.not.ok(result.ok, text);
        if (!result.ok) assert.ok(result.why.length > 0 && result.why !== "not valid JSON", text);
      }
    }
  });

  test("accept what only looks like it", () => {
    for (const text of ['"\\\\ud800"', '"\\ud83d\\ude00"', '"__proto__"', '{"_proto_":1}', "1e308", "1e-400", "-0"]) {
      assert.ok(parseJsonText(text).ok, text);
    }
  });

  test("answer any text with a value, and never throw", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.type(parseJsonText(text).ok, "boolean");
    }));
  });
});

describe("canonicalJson()", (test) => {
  test("sorts keys, leaves out null members, keeps null items and the order of arrays", () => {
    assert.is(canonicalJson({ b: 1, a: [2, null, { d: null, c: "x" }], e: null }), '{"a":[2,null,{"c":"x"}],"b":1}');
    assert.is(canonicalJson(null), "null");
    assert.is(canonicalJson([]), "[]");
    assert.is(canonicalJson({}), "{}");
    assert.is(canonicalJson(-0), "0");
    assert.is(canonicalJson({ '"': "\n\u2028" }), '{"\\"":"\\n\u2028"}');
  });

  test("does not depend on the order of keys, nor on nulls", () => {
    fc.assert(fc.property(readable, (value) => {
      const text = canonicalJson(value);
      assert.is(canonicalJson(withKeysReversed(value) as Json), text);
      assert.is(canonicalJson(withoutNulls(value)), text);
      assert.is(canonicalJson(withMoreNulls(value)), text);
    }));
  });

  test("is JSON for the same value, so that two values share a text only when they are one but for nulls", () => {
    fc.assert(fc.property(readable, (value) => {
      assert.equal(JSON.parse(canonicalJson(value)), withoutNulls(value));
      assert.is(canonicalJson(JSON.parse(canonicalJson(value))), canonicalJson(value));
    }));
  });
});
