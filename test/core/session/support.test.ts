/** What the evidence for one event lets it claim, and how much it weighs. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { evidenceOf, gradeOf, gradeOfLevel, LEVEL } from "../../../src/core/evidence.ts";
import type { Claim } from "../../../src/core/select.ts";
import { NAMELESS, NO_CLAIM, Supports } from "../../../src/core/session/support.ts";
import { describe } from "../../helpers/suite.ts";

const UID = "59485233-d40f-4b4a-8ccf-815eff91a84e~c4b50123456789ab";

const CLAIM: Claim = {
  level: LEVEL.byNodeAndWallet,
  method: "node_match",
  confidence: 0.9,
  reason: "",
  canonical: "0xca",
  url: "https://a",
  pipeline: "live-video-to-video",
  model: "m-one",
  gpu: "GPU-1",
  gpuCount: 1,
  snapshotUid: UID,
  snapshotTimeMs: 1_000,
};
const NOBODY: Claim = { ...NO_CLAIM, reason: "no_snapshot", url: "https://a" };

/** Differs from the first only in its last digit. */
const OTHER_UID = UID.replace(/b$/, "c");

describe("supports of a session", (test) => {
  test("have one number where they say the same, and others where anything differs", () => {
    const supports = new Supports();
    const one = supports.add({ claim: { ...CLAIM }, modelEqual: false, tie: 5n });
    assert.is(supports.add({ claim: { ...CLAIM }, modelEqual: false, tie: 5n }), one);
    const others = [
      supports.add({ claim: CLAIM, modelEqual: true, tie: 5n }),
      supports.add({ claim: CLAIM, modelEqual: false, tie: 6n }),
      supports.add({ claim: NOBODY, modelEqual: false, tie: 0n }),
      ...Object.entries({ confidence: 0.7, canonical: "0xcb", url: "", pipeline: "", model: null, gpu: null })
        .map(([field, value]) => supports.add({ claim: { ...CLAIM, [field]: value }, modelEqual: false, tie: 5n })),
      ...Object.entries({ gpuCount: 2, snapshotUid: "other", snapshotTimeMs: 1_001, level: LEVEL.byNode })
        .map(([field, value]) => supports.add({ claim: { ...CLAIM, [field]: value }, modelEqual: false, tie: 5n })),
      supports.add({ claim: { ...CLAIM, snapshotUid: OTHER_UID }, modelEqual: false, tie: 5n }),
      supports.add({ claim: { ...CLAIM, method: "wallet_match" }, modelEqual: false, tie: 5n }),
    ];
    assert.is(new Set([one, ...others]).size, 16);
    assert.is(supports.length, 16);
  });

  test("are what was added, whatever their uids and numbers", () => {
    const time = fc.option(fc.maxSafeInteger());
    const tie = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
    const uid = fc.oneof(fc.constantFrom(UID, OTHER_UID, "", UID.toUpperCase()), fc.string());
    const support = fc.record({ time, tie, uid, modelEqual: fc.boolean(), gpu: fc.option(fc.string()) });
    fc.assert(fc.property(fc.array(support, { maxLength: 40 }), (list) => {
      const supports = new Supports();
      const wanted = list.map(({ time, tie, uid, modelEqual, gpu }) => {
        return { claim: { ...CLAIM, snapshotUid: uid, snapshotTimeMs: time, gpu }, modelEqual, tie };
      });
      const numbers = wanted.map((one) => supports.add(one));
      assert.equal(numbers.map((number) => supports.at(number)), wanted);
      const { snapshotUid: _, snapshotTimeMs: __, ...claim } = CLAIM;
      const grounds = wanted.map((one) => ({ claim: { ...claim, gpu: one.claim.gpu }, modelEqual: one.modelEqual }));
      assert.equal(numbers.map((number) => supports.groundOf(number)), grounds);
    }));
  });

  test("of two sessions have one ground where they claim the same but for the snapshot", () => {
    const [one, other] = [new Supports(), new Supports()];
    const number = one.add({ claim: CLAIM, modelEqual: true, tie: 5n });
    const later = { ...CLAIM, snapshotUid: OTHER_UID, snapshotTimeMs: 2_000 };
    const same = other.groundOf(other.add({ claim: later, modelEqual: true, tie: 6n }));
    assert.is(one.groundOf(number), same);
    for (const changed of [{ confidence: 0.7 }, { url: "https://b" }, { model: null }]) {
      const claim = { ...CLAIM, ...changed };
      const { claim: { confidence, url, model } } = other.groundOf(other.add({ claim, modelEqual: true, tie: 5n }));
      assert.equal({ confidence, url, model }, { confidence: claim.confidence, url: claim.url, model: claim.model });
    }
  });

  test("keep the claims of more nodes than are kept for other sessions, and of more models of one", () => {
    const claims = Array.from({ length: 10_000 }, (_, nth) => ({ ...CLAIM, url: `https://node-${nth}` }));
    const models = Array.from({ length: 20 }, (_, nth) => ({ ...CLAIM, model: `m-${nth}` }));
    const supports = new Supports();
    const all = [...claims, ...models];
    const numbers = all.map((claim) => supports.add({ claim, modelEqual: false, tie: 5n }));
    assert.equal(numbers.map((number) => supports.at(number).claim), all);
  });

  test("of whoever names nobody are always the same, and first", () => {
    const supports = new Supports();
    assert.is(supports.add({ claim: { ...NO_CLAIM, pipeline: "ignored" }, modelEqual: false, tie: 0n }), NAMELESS);
    assert.equal(supports.at(NAMELESS), { claim: NO_CLAIM, modelEqual: false, tie: 0n });
    assert.is(supports.length, 0);
    assert.ok(supports.add({ claim: CLAIM, modelEqual: false, tie: 5n }) > NAMELESS);
  });

  test("are told apart for as long as the session lives, while only the latest are remembered", () => {
    const supports = new Supports();
    const numbers = Array.from(
      { length: 10_000 },
      (_, at) => supports.add({ claim: { ...CLAIM, url: `https://${at}` }, modelEqual: false, tie: 5n }),
    );
    assert.is(new Set(numbers).size, 10_000);
    assert.is(supports.add({ claim: { ...CLAIM, url: "https://9999" }, modelEqual: false, tie: 5n }), numbers[9_999]);
    assert.not(numbers.includes(supports.add({ claim: { ...CLAIM, url: "https://0" }, modelEqual: false, tie: 5n })));
  });

  test("that are left when others are forgotten keep their numbers, and no number is given again", () => {
    const count = 50;
    fc.assert(fc.property(fc.subarray([...Array(count).keys()]), (left) => {
      const all = new Supports();
      const claims = Array.from({ length: count }, (_, nth): Claim => {
        const snapshotUid = nth % 3 === 0 ? `odd-${nth}` : UID;
        return { ...CLAIM, snapshotUid, snapshotTimeMs: 1_000 + nth, url: `https://${nth % 7}` };
      });
      const numbers = claims.map((claim, nth) => all.add({ claim, modelEqual: nth % 2 === 0, tie: BigInt(nth) }));
      const rest = all.only(new Set([NAMELESS, ...left.map((nth) => numbers[nth]!)]));
      assert.is(rest.length, left.length);
      for (const nth of left) {
        const number = numbers[nth]!;
        assert.equal(rest.at(number), all.at(number));
        assert.is(rest.weightAt(number, 900), all.weightAt(number, 900));
      }
      const next = rest.add({ claim: { ...CLAIM, canonical: "0xcb" }, modelEqual: false, tie: 5n });
      assert.not(numbers.includes(next));
      assert.is(rest.at(next).claim.canonical, "0xcb");
    }));
  });
});

describe("weight of a support", (test) => {
  const supports = new Supports();

  test("is 1 + the rank, as of the event's time", () => {
    const support = supports.add({ claim: CLAIM, modelEqual: true, tie: 5n });
    for (const timeMs of [0, 999, 1_000, 1_001, 90_000_000]) {
      const grade = gradeOf(CLAIM.level, true, 1_000, timeMs);
      assert.is(supports.weightAt(support, timeMs), evidenceOf({ grade, tie: 5n }));
    }
    const nobody = supports.add({ claim: NOBODY, modelEqual: false, tie: 0n });
    assert.is(supports.weightAt(nobody, 77), evidenceOf({ grade: gradeOfLevel(0), tie: 0n }));
    assert.is(supports.weightAt(NAMELESS, 77), 1n);
  });

  test("orders two supports of one event, first by grade and then by tie-break", () => {
    const near = supports.add({ claim: CLAIM, modelEqual: false, tie: 5n });
    const far = supports.add({ claim: { ...CLAIM, snapshotTimeMs: 900 }, modelEqual: false, tie: 9n });
    assert.ok(supports.isGreater(near, far, 1_100));
    assert.not(supports.isGreater(far, near, 1_100));
    // Seen from an event before both, the earlier one is nearer.
    assert.ok(supports.isGreater(far, near, 800));
    assert.ok(supports.isGreater(supports.add({ claim: CLAIM, modelEqual: false, tie: 6n }), near, 1_100));
    assert.not(supports.isGreater(near, near, 1_100));
    assert.ok(supports.isGreater(near, NAMELESS, 1_100));
  });
});
