/** What is kept in order is what a set keeps, whatever comes and leaves. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { Ordered } from "../../src/core/ordered.ts";
import { describe } from "../helpers/suite.ts";

interface Item {
  readonly nth: number;
}

describe("items in order", (test) => {
  test("are those of a set, and the first is its first", () => {
    const step = fc.record({ nth: fc.nat(30), leaves: fc.boolean(), isFirst: fc.boolean() });
    fc.assert(
      fc.property(fc.array(fc.nat(30)), fc.array(step, { maxLength: 300 }), (before, steps) => {
        const items = Array.from({ length: 31 }, (_, nth): Item => ({ nth }));
        const set = new Set(before.map((nth) => items[nth]!));
        const ordered = new Ordered(set);
        for (const { nth, leaves, isFirst } of steps) {
          const [first] = set;
          const item = isFirst && first !== undefined ? first : items[nth]!;
          if (leaves) assert.is(ordered.delete(item), set.delete(item));
          else {
            ordered.add(item);
            set.add(item);
          }
          assert.is(ordered.size, set.size);
          assert.is(ordered.first, [...set][0]);
          assert.equal([...ordered], [...set]);
        }
      }),
      { numRuns: 300, includeErrorInReport: true },
    );
  });
});
