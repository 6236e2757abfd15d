/** A binary heap gives the least first, whatever was put in and taken out between. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { MinHeap } from "../../src/core/heap.ts";
import { describe } from "../helpers/suite.ts";

describe("a heap", (test) => {
  test("gives every item once, and always one of the least", () => {
    const key = fc.oneof(fc.nat(9), fc.double({ noNaN: true }));
    fc.assert(
      fc.property(fc.array(fc.option(key), { maxLength: 300 }), (steps) => {
        const heap = new MinHeap<{ readonly key: number }>();
        const inside = new Set<{ readonly key: number }>();
        const pop = () => {
          const least = Math.min(...[...inside].map(({ key }) => key));
          assert.is(heap.least, inside.size === 0 ? Infinity : least);
          const item = heap.pop();
          assert.is(item?.key, inside.size === 0 ? undefined : least);
          if (item !== undefined) assert.ok(inside.delete(item));
        };
        for (const key of steps) {
          if (key === null) pop();
          else {
            const item = { key };
            inside.add(item);
            heap.push(key, item);
          }
        }
        while (inside.size > 0) pop();
        assert.is(heap.pop(), undefined);
      }),
      { numRuns: 300, includeErrorInReport: true },
    );
  });
});
