/** What a node can give an observation: never less than what it gives, and no more where all is known that matters. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { CandidateIndex } from "../../src/core/candidates.ts";
import { isAttributed, levelOf, outranks } from "../../src/core/evidence.ts";
import { gradeFrom, type Observation, select, type Selection } from "../../src/core/select.ts";
import { indexed } from "../../src/core/sightings.ts";
import type { Node, Snapshot } from "../../src/core/snapshot.ts";
import { describe } from "../helpers/suite.ts";

const URLS = ["", "https://a", "https://b"] as const;
const WALLETS = ["", "0xa", "0xb"] as const;
const MODELS = ["", "one", "two"] as const;
const TTL = { beforeMs: 6, afterMs: 4 };
const T = 1_000;

const observation: fc.Arbitrary<Observation> = fc.record({
  address: fc.constantFrom(...WALLETS),
  url: fc.constantFrom(...URLS),
  hint: fc.constantFrom(...MODELS),
  eventTimeMs: fc.constant(T),
});
const node: fc.Arbitrary<Node> = fc.record({
  canonical: fc.constantFrom("0xa", "0xb", "0xc"),
  hot: fc.constantFrom(...WALLETS),
  url: fc.constantFrom(...URLS),
  items: fc.array(fc.constantFrom(...MODELS).map((model) => ({ pipeline: "p", model, gpus: [] })), { maxLength: 2 }),
});
const snapshots = fc.array(
  fc.record({ timeMs: fc.integer({ min: T - 8, max: T + 6 }), nodes: fc.array(node, { maxLength: 3 }) }),
  { minLength: 1, maxLength: 6 },
).map((all) => all.map((one, nth): Snapshot => ({ source: "s", uid: `u-${nth}`, ...one })));

/** As a snapshot is looked at for an observation that is open with this evidence. */
function isOffered(observed: Observation, { grade, chosen }: Selection, { timeMs, nodes }: Snapshot): boolean {
  const canonical = chosen?.sighting.node.canonical ?? "";
  return nodes.map(indexed).some((node) => {
    const isNamed = (observed.url !== "" && node.url === observed.url) ||
      (observed.address !== "" && (node.canonical === observed.address || node.hot === observed.address));
    const offered = gradeFrom(observed, node, timeMs, canonical);
    return isNamed && (offered > grade || (offered === grade && isAttributed(levelOf(offered))));
  });
}

describe("what a node can give an observation", (test) => {
  test("is no less than what a snapshot with it gives, whatever is known before", () => {
    let improved = 0;
    fc.assert(
      fc.property(observation, snapshots, (observed, all) => {
        const candidates = new CandidateIndex();
        for (const snapshot of all) {
          const before = select(observed, candidates, TTL);
          candidates.add(snapshot);
          if (!outranks(select(observed, candidates, TTL), before)) continue;
          improved++;
          assert.ok(isOffered(observed, before, snapshot));
        }
      }),
      { numRuns: 3_000, includeErrorInReport: true },
    );
    assert.ok(improved > 500);
  });

  test("is too little to look further for whoever is matched from nearer, or as far as it can be", () => {
    const at = (timeMs: number, uid: string, model: string): Snapshot => {
      const items = [{ pipeline: "p", model, gpus: [] }];
      return { source: "s", uid, timeMs, nodes: [{ canonical: "0xc", hot: "0xa", url: "https://a", items }] };
    };
    const of = (url: string, model: string) => {
      const observed = { address: "0xa", url, hint: "one", eventTimeMs: T };
      const candidates = new CandidateIndex();
      candidates.add(at(T - 1, "first", model));
      return { observed, known: select(observed, candidates, TTL) };
    };
    for (const url of ["https://a", ""]) {
      for (const model of ["", "two"]) {
        const { observed, known } = of(url, model);
        for (const timeMs of [T - 2, T + 1]) assert.not(isOffered(observed, known, at(timeMs, "other", model)));
      }
      const { observed, known } = of(url, "");
      assert.ok(isOffered(observed, known, at(T - 2, "other", "one")), "the hinted model");
      assert.ok(isOffered(observed, known, at(T, "other", "")), "nearer");
    }
  });
});
