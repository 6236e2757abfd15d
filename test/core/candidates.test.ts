/** Candidates: what is kept beside them has a bound. */
import * as assert from "uvu/assert";
import { CandidateIndex, type Sighting } from "../../src/core/candidates.ts";
import { claimOf, select } from "../../src/core/select.ts";
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
    const sightingOf = (nth: number): Sighting => candidates.ofUrl(`https://${nth}`)[0]!;

    const first = claimOn(0);
    assert.is(first.gpu, "g0");
    assert.is(claimOn(0), first);
    assert.is.not(claimOn(0, "0xelse").level, first.level, "of another wallet it is another claim");
    assert.is(sightingOf(0).lately?.claims.length, 2);
    for (let nth = 1; nth < NODES; nth++) claimOn(nth);
    assert.is(sightingOf(0).lately, undefined);
    assert.is(sightingOf(NODES - 1).lately?.claims.length, 1);
    assert.equal(claimOn(0), first);
  });
});
