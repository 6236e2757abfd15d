/** What the evidence for one event lets it claim, and how much it weighs. */
import * as assert from "uvu/assert";
import { evidenceOf, gradeOf, gradeOfLevel, LEVEL } from "../../../src/core/evidence.ts";
import type { Claim } from "../../../src/core/select.ts";
import { isGreater, NAMELESS, type Support, Supports, weightAt } from "../../../src/core/session/support.ts";
import { describe } from "../../helpers/suite.ts";

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
  snapshotUid: "snapshot",
  snapshotTimeMs: 1_000,
};
const NOBODY: Claim = { ...NAMELESS.claim, reason: "no_snapshot", url: "https://a" };

describe("supports of a session", (test) => {
  test("are one object where they say the same, and others where anything differs", () => {
    const supports = new Supports();
    const one = supports.add({ ...CLAIM }, false, 5n);
    assert.is(supports.add({ ...CLAIM }, false, 5n), one);
    const others: Support[] = [
      supports.add(CLAIM, true, 5n),
      supports.add(CLAIM, false, 6n),
      supports.add(NOBODY, false, 0n),
      ...Object.entries({ confidence: 0.7, canonical: "0xcb", url: "", pipeline: "", model: null, gpu: null })
        .map(([field, value]) => supports.add({ ...CLAIM, [field]: value }, false, 5n)),
      ...Object.entries({ gpuCount: 2, snapshotUid: "other", snapshotTimeMs: 1_001, level: LEVEL.byNode })
        .map(([field, value]) => supports.add({ ...CLAIM, [field]: value }, false, 5n)),
    ];
    assert.is(new Set([one, ...others]).size, 14);
    assert.is(new Set([one, ...others].map(({ id }) => id)).size, 14);
  });

  test("of whoever names nobody are always the same, and first", () => {
    const supports = new Supports();
    assert.is(supports.add({ ...NAMELESS.claim, pipeline: "ignored" }, false, 0n), NAMELESS);
    assert.is(NAMELESS.id, 0);
    assert.ok(supports.add(CLAIM, false, 5n).id > 0);
  });

  test("are told apart for as long as the session lives, while only the latest are remembered", () => {
    const supports = new Supports();
    const ids = Array.from(
      { length: 10_000 },
      (_, at) => supports.add({ ...CLAIM, url: `https://${at}` }, false, 5n).id,
    );
    assert.is(new Set(ids).size, 10_000);
    const again = supports.add({ ...CLAIM, url: "https://9999" }, false, 5n);
    assert.is(again.id, ids[9_999]);
    assert.not(ids.includes(supports.add({ ...CLAIM, url: "https://0" }, false, 5n).id));
  });
});

describe("weight of a support", (test) => {
  const supports = new Supports();

  test("is 1 + the rank, as of the event's time", () => {
    const support = supports.add(CLAIM, true, 5n);
    for (const timeMs of [0, 999, 1_000, 1_001, 90_000_000]) {
      const grade = gradeOf(CLAIM.level, true, 1_000, timeMs);
      assert.is(weightAt(support, timeMs), evidenceOf({ grade, tie: 5n }));
    }
    assert.is(weightAt(supports.add(NOBODY, false, 0n), 77), evidenceOf({ grade: gradeOfLevel(0), tie: 0n }));
    assert.is(weightAt(NAMELESS, 77), 1n);
  });

  test("orders two supports of one event, first by grade and then by tie-break", () => {
    const near = supports.add(CLAIM, false, 5n);
    const far = supports.add({ ...CLAIM, snapshotTimeMs: 900 }, false, 9n);
    assert.ok(isGreater(near, far, 1_100));
    assert.not(isGreater(far, near, 1_100));
    // Seen from an event before both, the earlier one is nearer.
    assert.ok(isGreater(far, near, 800));
    assert.ok(isGreater(supports.add(CLAIM, false, 6n), near, 1_100));
    assert.not(isGreater(near, near, 1_100));
    assert.ok(isGreater(near, NAMELESS, 1_100));
  });
});
