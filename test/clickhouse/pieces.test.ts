/** Memory that is used again: which piece is given, and how much is kept. */
import * as assert from "uvu/assert";
import { givePiece, LOOKS_AFTER, MOST_FREE_BYTES, takePiece } from "../../src/clickhouse/pieces.ts";
import { Block } from "../../src/clickhouse/native.ts";
import { describe } from "../helpers/suite.ts";

describe("a piece", (test) => {
  test("is as large as wanted at least, and comes again to whoever wants such a one", () => {
    const first = takePiece(3_000);
    assert.is(first.length, 4_096);
    const second = takePiece(4_096);
    assert.is.not(second, first);
    givePiece(first);
    assert.is.not(takePiece(5_000), first, "too small");
    assert.is(takePiece(2_049), first);
    assert.is.not(takePiece(2_049), first, "it is in use");
    assert.is(takePiece(0).length, 1_024);
  });

  test("is let go when nobody has taken it for long", () => {
    const [used, idle] = [takePiece(20_000), takePiece(20_000)];
    givePiece(idle);
    givePiece(used);
    for (let nth = 0; nth < 2 * LOOKS_AFTER; nth++) givePiece(takePiece(20_000));
    assert.is(takePiece(20_000), used);
    assert.is.not(takePiece(20_000), idle);
  });

  test("is kept while few are, and not when it is larger than those of batches", () => {
    const size = 1_048_576;
    const many = Array.from({ length: MOST_FREE_BYTES / size + 4 }, () => takePiece(size));
    many.forEach(givePiece);
    const again = new Set(many);
    const kept = many.map(() => takePiece(size)).filter((piece) => again.has(piece));
    assert.ok(kept.length >= many.length - 6 && kept.length < many.length - 3, `${kept.length} of ${many.length}`);
    const large = takePiece(33_600_000);
    givePiece(large);
    assert.is.not(takePiece(33_600_000), large);
  });
});

describe("a block", (test) => {
  test("says texts that repeat once, however late they begin to differ, and all others as they are", () => {
    const sizeOf = (texts: readonly (string | null)[], type: string) => {
      const block = new Block(["text"], [type]);
      for (let at = 0; at < texts.length; at += 100) block.add(texts.slice(at, at + 100).map((text) => [text]));
      const { bytes } = block.finish();
      return { size: bytes.length, named: Buffer.from(bytes.subarray(0, 64)).includes("LowCardinality") };
    };
    const long = "x".repeat(40);
    const alike = Array.from({ length: 2_000 }, (_, at) => `${long} ${at % 20}`);
    const unlike = Array.from({ length: 2_000 }, (_, at) => `${long} ${at}`);
    for (const type of ["String", "Nullable(String)"]) {
      const repeated = sizeOf(alike, type);
      assert.ok(repeated.named && repeated.size < 4_000, `${repeated.size} bytes`);
      for (const texts of [unlike, [...alike, ...unlike], alike.slice(0, 100)]) {
        const { size, named } = sizeOf(texts, type);
        assert.not(named);
        assert.ok(size > 40 * texts.length);
      }
    }
    assert.ok(sizeOf(alike.map((text, at) => at % 2 === 0 ? null : text), "Nullable(String)").size < 4_000);
  });

  test("has the same bytes in memory that others have used, and leaves theirs alone", () => {
    const rows = (from: number) =>
      Array.from({ length: 5_000 }, (_, at) => [from + at, `text ${from + at}`, `${at % 9}`]);
    const filled = (from: number) => {
      const block = new Block(["id", "text", "name"], ["UInt32", "String", "LowCardinality(String)"]);
      for (let at = 0; at < 5_000; at += 100) block.add(rows(from).slice(at, at + 100));
      return block.finish();
    };
    const fresh = filled(0);
    const expected = Buffer.from(fresh.bytes);
    const held = filled(100_000);
    const heldBytes = Buffer.from(held.bytes);
    fresh.release();
    for (let time = 0; time < 3; time++) {
      const again = filled(0);
      assert.ok(expected.equals(again.bytes));
      again.release();
    }
    assert.ok(heldBytes.equals(held.bytes), "it was not released");
  });
});
