/** Candidates: found as in a list of all, until a bound drops the oldest; what is kept beside them has a bound, too. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { CandidateIndex, tiesOf } from "../../src/core/candidates.ts";
import { claimOf, select } from "../../src/core/select.ts";
import type { Sighting } from "../../src/core/sightings.ts";
import type { Node, Snapshot } from "../../src/core/snapshot.ts";
import { describe } from "../helpers/suite.ts";

const TTL = { beforeMs: 1_000, afterMs: 1_000 };
const NODES = 5_000;

describe("what is kept of a sighting", (test) => {
  test("is the same claim again, and forgotten when many others were chosen", () => {
    const candidates = new CandidateIndex();
    const nodes = Array.from({ length: NODES }, (_, nth) => ({
      canonical: `0xc${nth}`,
      hot: `0xh${nth}`,
      url: `https://${nth}`,
      items: [{ pipeline: "p", model: "m", gpus: [`g${nth}`] }],
    }));
    candidates.add({ source: "s", uid: "one", timeMs: 0, nodes });
    const claimOn = (nth: number, address = `0xh${nth}`) => {
      const observation = { url: `https://${nth}`, address, hint: "m", eventTimeMs: 1 };
      return claimOf(observation, select(observation, candidates, TTL), candidates);
    };
    const claimsOf = (nth: number) => candidates.latelyOf(candidates.ofUrl(`https://${nth}`).at(0)).claims.length;

    const first = claimOn(0);
    assert.is(first.gpu, "g0");
    assert.is(claimOn(0), first);
    assert.is.not(claimOn(0, "0xelse").level, first.level, "of another wallet it is another claim");
    assert.is(claimsOf(0), 2);
    for (let nth = 1; nth < NODES; nth++) claimOn(nth);
    assert.is(claimsOf(NODES - 1), 1);
    assert.is(claimsOf(0), 0);
    assert.equal(claimOn(0), first);
  });
});

/** A few names for many nodes, so that tracks are shared. */
const node = fc.record({
  canonical: fc.constantFrom("0xa", "0xb", "0xc"),
  hot: fc.constantFrom("", "0xa", "0xh"),
  url: fc.constantFrom("", "https://1", "https://2"),
  items: fc.constantFrom("m", "n").map((model) => [{ pipeline: "p", model, gpus: [] }]),
});
const step = fc.record({ timeMs: fc.nat(30), nodes: fc.array(node, { maxLength: 4 }), most: fc.constantFrom(8, 40) });

/** What tells a sighting from others, and where it is. */
const said = ({ timeMs, snapshotUid, node }: Omit<Sighting, "place">) =>
  JSON.stringify([timeMs, snapshotUid, node.canonical, node.hot, node.url, node.items]);

describe("candidates", (test) => {
  test("are found by url and wallet as in a list of all whose snapshots are held", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const candidates = new CandidateIndex();
        const added: Snapshot[] = [];
        for (const [nth, { timeMs, nodes, most }] of steps.entries()) {
          const snapshot = { source: "s", uid: `uid-${nth}`, timeMs, nodes };
          const isOld = timeMs <= candidates.forgottenUpToMs;
          assert.is(candidates.add(snapshot), !isOld);
          assert.is(candidates.add(snapshot), false, "a repeat");
          if (!isOld) added.push(snapshot);
          const before = candidates.size;
          const dropped = candidates.forgetOldest(most);
          assert.is(dropped > 0, before > most);
          assert.ok(candidates.size <= most);
          const held = added.filter((one) => one.timeMs > candidates.forgottenUpToMs);
          assert.is(candidates.size, held.reduce((sum, one) => sum + one.nodes.length, 0));
          const expected = (isIt: (node: Node) => boolean) =>
            held.flatMap(({ uid, timeMs, nodes }) =>
              nodes.filter(isIt).map((node) => said({ timeMs, snapshotUid: uid, node: { ...node, modelKeys: [] } }))
            ).sort();
          for (const url of ["https://1", "https://2"]) {
            assert.equal([...candidates.ofUrl(url)].map(said).sort(), expected((node) => node.url === url));
          }
          for (const wallet of ["0xa", "0xb", "0xc", "0xh"]) {
            const track = candidates.ofWallet(wallet);
            const found = [...track];
            assert.equal(found.map(said).sort(), expected(({ canonical, hot }) => [canonical, hot].includes(wallet)));
            const times = found.map((one) => one.timeMs);
            assert.equal(times, times.toSorted((a, b) => a - b));
            for (const at of [-1, ...times]) assert.is(track.firstAfter(at), times.filter((time) => time <= at).length);
            for (const one of found) {
              assert.equal(candidates.latelyOf(one).ties, tiesOf(one), "not of who was there before");
            }
          }
        }
      }),
      { numRuns: 200, includeErrorInReport: true },
    );
  });

  test("of one instant are dropped together, for their time tells kept from dropped", () => {
    const candidates = new CandidateIndex();
    const nodes = [{ canonical: "0xc", hot: "", url: "https://c", items: [] }];
    for (const [at, timeMs] of [1, 1, 1, 2, 2].entries()) {
      candidates.add({ source: "s", uid: String(at), timeMs, nodes });
    }
    assert.is(candidates.forgetOldest(4), 3);
    assert.equal([candidates.size, candidates.ofUrl("https://c").length, candidates.forgottenUpToMs], [2, 2, 1]);
  });

  test("are dropped a few more at a time than they must, since to drop one costs as much", () => {
    const candidates = new CandidateIndex();
    const nodes = [{ canonical: "0xc", hot: "", url: "", items: [] }];
    const sizes = Array.from({ length: 40 }, (_, timeMs) => {
      candidates.add({ source: "s", uid: String(timeMs), timeMs, nodes });
      candidates.forgetOldest(32);
      return candidates.size;
    });
    assert.equal(sizes.slice(30), [31, 32, 30, 31, 32, 30, 31, 32, 30, 31]);
  });
});
