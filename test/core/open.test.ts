/** Open observations: found by url, wallet and time, and closed in the order of their times. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import type { Sample } from "../../src/core/observed.ts";
import { type OpenObservation, OpenObservations } from "../../src/core/open.ts";
import { describe } from "../helpers/suite.ts";

const URLS = ["", "https://a", "https://b"] as const;
const WALLETS = ["", "0xa", "0xb"] as const;

/** Few times and few places, so that many observations share theirs. */
const placed = fc.record({
  timeMs: fc.nat(4),
  streamSequence: fc.integer({ min: 1, max: 6 }),
  url: fc.constantFrom(...URLS),
  wallet: fc.constantFrom(...WALLETS),
  closesAfterMs: fc.nat(6),
});
type Placed = typeof placed extends fc.Arbitrary<infer One> ? One : never;

function openOf({ timeMs, streamSequence, url, wallet, closesAfterMs }: Placed, nth: number): OpenObservation {
  const observed: Sample = {
    kind: "sample",
    source: "network",
    uid: `uid-${nth}`,
    id: "",
    eventTimeMs: timeMs,
    gateway: "",
    streamId: "",
    requestId: "",
    address: wallet,
    url,
    hint: "",
    state: "",
    outputFps: 0,
    inputFps: 0,
  };
  const evidence = { grade: 0, tie: 0n };
  return { observed, streamSequence, arrivalFeedMs: 0, ...evidence, closesAfterMs, held: false, closed: false };
}

/** What an index must find, by looking at all. */
function expected(all: Iterable<OpenObservation>, is: (one: Sample) => boolean): Set<OpenObservation> {
  return new Set([...all].filter(({ observed }) => is(observed as Sample)));
}

function checkIndexes(observations: OpenObservations, inside: ReadonlySet<OpenObservation>): void {
  assert.is(observations.size, inside.size);
  for (const [from, to] of [[0, 4], [1, 1], [2, 3], [5, 9]] as const) {
    const isWithin = ({ eventTimeMs }: Sample) => eventTimeMs >= from && eventTimeMs <= to;
    for (const url of URLS.slice(1)) {
      const found = observations.ofUrl(url, from, to);
      assert.equal(new Set(found), expected(inside, (one) => one.url === url && isWithin(one)));
      const times = found.map(({ observed }) => observed.eventTimeMs);
      assert.equal(times, times.toSorted((a, b) => a - b));
    }
    for (const wallet of WALLETS.slice(1)) {
      const found = new Set(observations.ofWallet(wallet, from, to));
      assert.equal(found, expected(inside, (one) => one.address === wallet && isWithin(one)));
    }
  }
}

describe("open observations", (test) => {
  test("are found by what they name as long as they are open, also those of one time, url and place, and those that move", () => {
    fc.assert(
      fc.property(fc.array(placed, { maxLength: 60 }), fc.infiniteStream(fc.nat()), (all, which) => {
        const observations = new OpenObservations();
        const inside = new Set<OpenObservation>();
        for (const [nth, one] of all.entries()) {
          const open = openOf(one, nth);
          observations.add(open);
          inside.add(open);
          const moves = [...inside][which.next().value! % inside.size]!;
          observations.move(moves, 1 + (which.next().value! % 6));
          if (nth % 3 === 2) {
            const leaves = [...inside][which.next().value! % inside.size]!;
            observations.remove(leaves);
            inside.delete(leaves);
            assert.is(observations.get(leaves.observed.uid), undefined);
          }
        }
        checkIndexes(observations, inside);
        for (const open of inside) assert.is(observations.get(open.observed.uid), open);
      }),
      { numRuns: 200, includeErrorInReport: true },
    );
  });

  test("close once, at their present times and no earlier, however often these have moved", () => {
    fc.assert(
      fc.property(fc.array(placed, { maxLength: 40 }), fc.array(fc.tuple(fc.nat(), fc.nat(6))), (all, moves) => {
        const observations = new OpenObservations();
        const inside = new Set(all.map(openOf));
        for (const open of inside) observations.add(open);
        for (const [which, closesAfterMs] of moves) {
          const open = [...inside][which % Math.max(1, inside.size)];
          if (open === undefined) continue;
          open.closesAfterMs = closesAfterMs;
          observations.schedule(open);
        }
        for (let feedTimeMs = 0; feedTimeMs < 9; feedTimeMs++) {
          for (let open = observations.nextToClose(feedTimeMs); open; open = observations.nextToClose(feedTimeMs)) {
            assert.ok(inside.delete(open), "once");
            assert.is(open.closesAfterMs, feedTimeMs - 1);
          }
        }
        assert.is(inside.size, 0);
        checkIndexes(observations, inside);
      }),
      { numRuns: 200, includeErrorInReport: true },
    );
  });
});
