/** Numbers and texts as bytes, and back. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { ByteReader, ByteWriter } from "../../src/core/bytes.ts";
import { describe } from "../helpers/suite.ts";

const whole = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.constantFrom(127, 128, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER),
);
const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\ufeffa", "a".repeat(5_000), "é".repeat(2_000)));

describe("bytes", (test) => {
  test("say the same numbers and texts again, in their order, however often the writer is used", () => {
    const writer = new ByteWriter();
    fc.assert(
      fc.property(fc.array(fc.oneof(whole, text)), (values) => {
        writer.clear();
        for (const value of values) typeof value === "string" ? writer.text(value) : writer.whole(value);
        const reader = new ByteReader(writer.written.slice());
        for (const value of values) assert.is(typeof value === "string" ? reader.text() : reader.whole(), value);
      }),
      { numRuns: 500, includeErrorInReport: true },
    );
  });

  test("are few for small numbers", () => {
    const writer = new ByteWriter();
    const lengthOf = (value: number) => {
      writer.clear();
      writer.whole(value);
      return writer.written.length;
    };
    assert.equal([0, 127, 128, 16_383, 16_384, Number.MAX_SAFE_INTEGER].map(lengthOf), [1, 1, 2, 2, 3, 8]);
  });

  test("leave room to be filled, and are read as they were filled", () => {
    const writer = new ByteWriter();
    writer.whole(7);
    for (let at = 0; at < 100; at++) writer.room(24).fill(at);
    const reader = new ByteReader(writer.written);
    assert.is(reader.whole(), 7);
    for (let at = 0; at < 100; at++) assert.equal(reader.take(24), new Uint8Array(24).fill(at));
  });

  test("are passed over, and how far is told", () => {
    const writer = new ByteWriter();
    writer.room(3).set([1, 2, 3]);
    writer.whole(300);
    const reader = new ByteReader(writer.written);
    reader.skip(3);
    assert.is(reader.at, 3);
    assert.is(reader.whole(), 300);
    assert.is(reader.at, 5);
  });
});
