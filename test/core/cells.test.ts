/** Records of bytes outside the heap: what is taken out is what was put in, and what is free is used again. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { Cells } from "../../src/core/cells.ts";
import { describe } from "../helpers/suite.ts";

/** Bytes of which no two that a test makes are alike. */
function bytesOf(length: number, nth: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 7 + nth * 31 + 1) % 256);
}

function take(cells: Cells, place: number): Uint8Array {
  const bytes = cells.read(place);
  cells.free(place);
  return bytes;
}

describe("cells", (test) => {
  test("give back what was put in, whatever was put in and taken out between", () => {
    const step = fc.record({ length: fc.integer({ min: 1, max: 400 }), takes: fc.boolean(), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const cells = new Cells();
        const kept: { place: number; bytes: Uint8Array }[] = [];
        const check = ({ place, bytes }: { place: number; bytes: Uint8Array }) => {
          const taken = take(cells, place);
          assert.ok(taken.length < bytes.length + 64, "no more than fills the last cell");
          assert.equal(taken.subarray(0, bytes.length), bytes);
        };
        for (const [nth, { length, takes, which }] of steps.entries()) {
          if (takes && kept.length > 0) check(kept.splice(which % kept.length, 1)[0]!);
          const bytes = bytesOf(length, nth);
          kept.push({ place: cells.put(bytes), bytes });
          // What was put in is a copy.
          kept[kept.length - 1]!.bytes = bytes.slice();
          bytes.fill(0);
        }
        for (const one of kept) check(one);
      }),
      { numRuns: 300, includeErrorInReport: true },
    );
  });

  test("are used again: as many records as ever were there at once decide how many there are", () => {
    const cells = new Cells();
    const put = (length: number) => Array.from({ length: 2_000 }, (_, nth) => cells.put(bytesOf(length, nth)));
    let places = put(750);
    const { size } = cells;
    for (const length of [10, 750, 300, 768, 64]) {
      for (const place of places) take(cells, place);
      places = put(length);
      assert.is(cells.size, size);
    }
    assert.equal(take(cells, places[1_999]!), bytesOf(64, 1_999));
  });

  test("are rewritten where they are, and nothing else is", () => {
    const cells = new Cells();
    const [place, other] = [bytesOf(200, 1), bytesOf(200, 2)].map((bytes) => cells.put(bytes));
    const expected = bytesOf(200, 1);
    for (const [nth, at] of [0, 63, 64, 127, 128, 199].entries()) {
      const bytes = cells.read(place!);
      bytes[at] = nth;
      cells.rewrite(place!, bytes, at, at + 1);
      expected[at] = nth;
      assert.equal(cells.read(place!).subarray(0, 200), expected);
    }
    const bytes = cells.read(place!);
    bytes.fill(9, 60, 130);
    cells.rewrite(place!, bytes, 60, 130);
    cells.rewrite(place!, bytesOf(256, 3), 256, 0);
    assert.equal(cells.read(place!), bytes);
    assert.equal(cells.read(other!).subarray(0, 200), bytesOf(200, 2));
  });

  test("hold a record that is longer than a slab", () => {
    const cells = new Cells();
    const long = bytesOf(3_000_000, 1);
    const place = cells.put(long);
    const other = cells.put(bytesOf(5, 2));
    assert.equal(take(cells, place).subarray(0, long.length), long);
    assert.equal(take(cells, other).subarray(0, 5), bytesOf(5, 2));
  });
});
