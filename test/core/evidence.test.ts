/** How ranks and versions are packed: `max` must be the selection, and a version must grow with evidence alone. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import {
  evidenceOf,
  FARTHEST_MS,
  freshnessOf,
  gradeOf,
  gradeOfLevel,
  isAttributed,
  isModelEqual,
  LAST_GENERATION,
  LEVEL,
  type Level,
  levelOf,
  outranks,
  type Rank,
  versionOf,
} from "../../src/core/evidence.ts";
import { LONGEST_TTL_MS } from "../../src/core/select.ts";
import { describe } from "../helpers/suite.ts";

/** What is compared, in the order in which it is; the greater tuple is the better candidate. */
type Tuple = readonly [level: number, model: number, freshness: number, closeness: number, tie: bigint];

const CLAIMING: readonly Level[] = [LEVEL.byWallet, LEVEL.byNode, LEVEL.byNodeAndWallet];
const LAST_TIE = 2n ** 63n - 1n;
const HOUR_MS = 3_600_000;

const delta = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.integer({ min: -FARTHEST_MS, max: FARTHEST_MS }),
  fc.constantFrom(-FARTHEST_MS, FARTHEST_MS),
);
const tie = fc.oneof(fc.bigInt({ min: 0n, max: 3n }), fc.bigInt({ min: 0n, max: LAST_TIE }), fc.constant(LAST_TIE));

const claiming: fc.Arbitrary<[Tuple, Rank]> = fc.tuple(fc.constantFrom(...CLAIMING), fc.boolean(), delta, tie)
  .map(([level, model, delta, tie]) => [
    [level, Number(model), delta === 0 ? 2 : delta < 0 ? 1 : 0, -Math.abs(delta), tie],
    { grade: gradeOf(level, model, 1_000_000_000_000 + delta, 1_000_000_000_000), tie },
  ]);
const unclaiming: fc.Arbitrary<[Tuple, Rank]> = fc.constantFrom<Level>(0, 1, 2, 4)
  .map((level) => [[level, 0, 0, -Infinity, 0n], { grade: gradeOfLevel(level), tie: 0n }]);
const ranked = fc.oneof({ weight: 3, arbitrary: claiming }, { weight: 1, arbitrary: unclaiming });

function compare(a: Tuple, b: Tuple): number {
  const at = a.findIndex((value, place) => value !== b[place]);
  return at < 0 ? 0 : a[at]! > b[at]! ? 1 : -1;
}

describe("evidence ranks", (test) => {
  test("compare as their tuples do, as ranks and as evidence", () => {
    fc.assert(
      fc.property(ranked, ranked, ([one, a], [other, b]) => {
        const expected = compare(one, other);
        assert.is(outranks(a, b), expected > 0);
        assert.is(evidenceOf(a) > evidenceOf(b), expected > 0);
        assert.is(evidenceOf(a) === evidenceOf(b), expected === 0);
      }),
      { numRuns: 5_000, includeErrorInReport: true },
    );
  });

  test("have the maximum of a set where the tuples have theirs", () => {
    fc.assert(
      fc.property(fc.array(ranked, { minLength: 1 }), (all) => {
        const [best] = [...all].sort(([a], [b]) => compare(b, a));
        const most = all.map(([, rank]) => evidenceOf(rank)).reduce((a, b) => a > b ? a : b);
        assert.is(most, evidenceOf(best![1]));
      }),
      { numRuns: 1_000, includeErrorInReport: true },
    );
  });

  test("give back what was packed", () => {
    fc.assert(
      fc.property(claiming, ([[level, model, freshness], { grade }]) => {
        assert.equal([levelOf(grade), Number(isModelEqual(grade)), freshnessOf(grade)], [level, model, freshness]);
      }),
      { includeErrorInReport: true },
    );
  });

  test("are laid out as level 3 bits, model 1, freshness 2, closeness 27, tie-break 63", () => {
    const rank = { grade: gradeOf(LEVEL.byNodeAndWallet, true, 990, 1_000), tie: 5n };
    const packed = [[6n, 93n], [1n, 92n], [1n, 90n], [BigInt(2 ** 27 - 1 - 10), 63n], [5n, 0n]];
    assert.is(evidenceOf(rank) - 1n, packed.reduce((sum, [value, shift]) => sum + (value! << shift!), 0n));
    for (const level of [0, 1, 2, 4] as const) {
      assert.is(evidenceOf({ grade: gradeOfLevel(level), tie: 0n }) - 1n, BigInt(level) << 93n);
    }
  });

  test("have room for the longest TTL of 37 hours", () => {
    assert.is(LONGEST_TTL_MS, 37 * HOUR_MS);
    assert.ok(LONGEST_TTL_MS <= FARTHEST_MS);
    assert.is(freshnessOf(gradeOf(LEVEL.byNode, false, FARTHEST_MS, 0)), 0);
    assert.is(levelOf(gradeOf(LEVEL.byNode, false, FARTHEST_MS, 0)), LEVEL.byNode);
  });

  test("attribute at the levels 3, 5 and 6 only", () => {
    assert.equal(([0, 1, 2, 3, 4, 5, 6] as const).filter(isAttributed), [3, 5, 6]);
  });
});

describe("versions", (test) => {
  const greatest = evidenceOf({ grade: gradeOf(LEVEL.byNodeAndWallet, true, 0, 0), tie: LAST_TIE });

  test("are 12 bits of generation above 116 bits of evidence", () => {
    assert.is(versionOf(5, 7n), (5n << 116n) + 7n);
    assert.is(versionOf(LAST_GENERATION, 2n ** 116n - 1n), 2n ** 128n - 1n);
  });

  test("have room for the evidence of a session of 2²⁰ events", () => {
    assert.ok(greatest * 2n ** 20n < 2n ** 116n);
  });

  test("of a later generation exceed every one of an earlier, so that a back-fill replaces what it re-derives", () => {
    assert.ok(versionOf(2, 0n) > versionOf(1, greatest * 2n ** 20n));
  });

  test("leave evidence 0 to the tombstone: below every row of its generation", () => {
    assert.is(evidenceOf({ grade: gradeOfLevel(LEVEL.nothingKnown), tie: 0n }), 1n);
    assert.ok(versionOf(1, 0n) < versionOf(1, 1n));
  });
});
