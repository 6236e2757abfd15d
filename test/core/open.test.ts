/** Open observations: found by url, wallet and time, and closed in the order of their times. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { FRESHNESS, freshnessOf, type Grade, gradeOf, gradeOfLevel, LEVEL, levelOf } from "../../src/core/evidence.ts";
import type { Sample } from "../../src/core/observed.ts";
import { type OpenObservation, OpenObservations } from "../../src/core/open.ts";
import { gradeFrom, type Observation } from "../../src/core/select.ts";
import type { IndexedNode } from "../../src/core/sightings.ts";
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
  known: fc.constantFrom("nothing", "elsewhere", "before", "after"),
});
type Placed = typeof placed extends fc.Arbitrary<infer One> ? One : never;
type Known = Pick<Placed, "timeMs" | "known"> & { readonly url: string; readonly wallet: string };

/** The grade of an observation of which so much is known: a full match has the highest level that its fields allow. */
function gradeOfKnown({ timeMs, url, wallet, known }: Known): Grade {
  if (url === "" || known === "nothing") return gradeOfLevel(LEVEL.nothingKnown);
  if (known === "elsewhere") return gradeOfLevel(wallet === "" ? LEVEL.modelIncompatible : LEVEL.walletElsewhere);
  const level = wallet === "" ? LEVEL.byNode : LEVEL.byNodeAndWallet;
  return gradeOf(level, false, timeMs + (known === "before" ? -1 : 1), timeMs);
}

function openOf(placed: Placed, nth: number): OpenObservation {
  const { timeMs, streamSequence, url, wallet, closesAfterMs } = placed;
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
  const evidence = { grade: gradeOfKnown(placed), tie: 0n };
  const state = { canonical: "", closesAfterMs, held: false, closed: false };
  return { observed, streamSequence, arrivalFeedMs: 0, ...evidence, ...state };
}

/** A node that is as good as any for this observation. */
function bestNodeFor({ url, address, hint }: Observation): IndexedNode {
  return { canonical: "0xcanonical", hot: address, url, items: [], modelKeys: [hint] };
}

/** Of the observations that are inside what a lookup must find: those that a snapshot of the time can improve. */
function checkIndexes(observations: OpenObservations, inside: ReadonlySet<OpenObservation>): void {
  for (const [beforeMs, afterMs] of [[4, 4], [0, 0], [2, 1]] as const) {
    for (let timeMs = 0; timeMs < 7; timeMs++) {
      const within = [...inside].filter(({ observed: { eventTimeMs } }) =>
        eventTimeMs >= timeMs - afterMs && eventTimeMs <= timeMs + beforeMs
      );
      for (const url of URLS.slice(1)) {
        const found: OpenObservation[] = [];
        observations.ofUrl(url, timeMs, { beforeMs, afterMs }, (open) => found.push(open));
        assert.is(new Set(found).size, found.length, "each once");
        for (const [nth, { observed, streamSequence }] of found.slice(1).entries()) {
          const { observed: { eventTimeMs }, streamSequence: sequence } = found[nth]!;
          const isLater = observed.eventTimeMs > eventTimeMs;
          assert.ok(isLater || (observed.eventTimeMs === eventTimeMs && streamSequence >= sequence), "in their order");
        }
        const improvable = within.filter(({ observed, grade }) =>
          observed.url === url && gradeFrom(observed, bestNodeFor(observed), timeMs, "") > grade
        );
        assert.ok(improvable.every((open) => found.includes(open)), "all that the snapshot can improve");
        for (const { observed, grade } of found) {
          assert.is(observed.url, url);
          const isMatchedBefore = levelOf(grade) >= LEVEL.byNode && freshnessOf(grade) === FRESHNESS.before;
          assert.not(isMatchedBefore && timeMs > observed.eventTimeMs, "none that no later snapshot can improve");
        }
        assert.ok(found.every((open) => within.includes(open)), "within the span");
      }
      for (const wallet of WALLETS.slice(1)) {
        const found = new Set<OpenObservation>();
        observations.ofWallet(wallet, timeMs, { beforeMs, afterMs }, (open) => found.add(open));
        const expected = within.filter(({ observed, grade }) =>
          observed.address === wallet && (observed.url === "" || levelOf(grade) === LEVEL.nothingKnown)
        );
        assert.equal(found, new Set(expected));
      }
    }
  }
}

describe("open observations", (test) => {
  test("are found by what they name as long as they are open, also those of one time, url and place, and those that move or rise", () => {
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
          const raised = [...inside][which.next().value! % inside.size]!;
          const known = (["elsewhere", "before", "after"] as const)[which.next().value! % 3]!;
          const { eventTimeMs: timeMs, url, address: wallet } = raised.observed;
          const grade = gradeOfKnown({ timeMs, url, wallet, known });
          if (grade > raised.grade) observations.raise([[raised, { grade, tie: 0n }]]);
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

  test("are found as long as they are open, however many of a url and a wallet close before them, rise and move", () => {
    const step = fc.record({ feedTimeMs: fc.nat(7), moves: fc.nat(), streamSequence: fc.nat(6), raises: fc.nat() });
    fc.assert(
      fc.property(fc.array(placed, { maxLength: 100 }), fc.array(step, { maxLength: 6 }), (all, steps) => {
        const observations = new OpenObservations();
        const inside = new Set(all.map(openOf));
        for (const open of inside) observations.add(open);
        for (const { feedTimeMs, moves, streamSequence, raises } of steps) {
          for (let open = observations.nextToClose(feedTimeMs); open; open = observations.nextToClose(feedTimeMs)) {
            assert.ok(inside.delete(open), "once");
          }
          assert.ok([...inside].every(({ closesAfterMs }) => closesAfterMs >= feedTimeMs));
          checkIndexes(observations, inside);
          if (inside.size === 0) return;
          observations.move([...inside][moves % inside.size]!, streamSequence);
          const raised = [...inside][raises % inside.size]!;
          const { eventTimeMs: timeMs, url, address: wallet } = raised.observed;
          const grade = gradeOfKnown({ timeMs, url, wallet, known: "before" });
          if (grade > raised.grade) observations.raise([[raised, { grade, tie: 0n }]]);
          checkIndexes(observations, inside);
        }
      }),
      { numRuns: 100, includeErrorInReport: true },
    );
  });

  test("of one url and wallet are each looked at a few times while all of them close, in whatever order", () => {
    const COUNT = 5_000;
    let looks = 0;
    for (const closesAfter of [(nth: number) => nth, (nth: number) => COUNT - nth, (nth: number) => nth * 7 % COUNT]) {
      const observations = new OpenObservations();
      for (let nth = 0; nth < COUNT; nth++) {
        const place = { url: URLS[1], wallet: WALLETS[1], timeMs: nth, streamSequence: nth + 1 };
        const open = openOf({ ...place, closesAfterMs: closesAfter(nth), known: "nothing" }, nth);
        let closed = false;
        Object.defineProperty(open, "closed", { get: () => (looks++, closed), set: (value) => closed = value });
        observations.add(open);
      }
      looks = 0;
      let count = 0;
      while (observations.nextToClose(COUNT + 1) !== undefined) count++;
      assert.is(count, COUNT);
      assert.ok(looks < 20 * COUNT, `${looks} looks`);
    }
  });
});
