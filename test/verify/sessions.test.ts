/** How the events of sessions are counted in bounded memory. */
import * as assert from "uvu/assert";
import type { Expected } from "../../src/verify/expected.ts";
import { SessionTallies, type Tally } from "../../src/verify/sessions.ts";
import { describe } from "../helpers/suite.ts";

/** Counts an event of a session, at a stream sequence that is its time too. */
function count(tallies: SessionTallies, sessionId: string, uid: string, at: number, source = "org"): void {
  const part = { sessionId, eventTimeMs: at, facts: [], isSignal: true };
  const expected: Expected = {
    streamSequence: at,
    streamTimeMs: at,
    partition: "0",
    source,
    uid,
    outcome: "accepted",
    isUnknown: false,
    part,
  };
  tallies.count(expected, part);
}

const numbers = (tallies: readonly Tally[]) => tallies.map(({ sessionId, uids }) => [sessionId, uids.size]);

describe("the tallies of sessions", (test) => {
  test("count distinct events by source and session, and know the first and the latest", () => {
    const tallies = new SessionTallies();
    count(tallies, "s", "b", 7);
    count(tallies, "s", "a", 5);
    count(tallies, "s", "b", 6);
    count(tallies, "s", "a", 8, "other");
    const [one, other, ...more] = tallies.rest();
    assert.equal(more, []);
    assert.equal([one!.source, one!.uids.size, one!.uid, one!.streamSequence, one!.latestMs], ["org", 2, "b", 7, 7]);
    assert.equal([other!.source, other!.uids.size], ["other", 1]);
    assert.equal(tallies.rest(), []);
  });

  test("past the bound hand out the sessions that were quiet for longest, and go on with those in portions", () => {
    const tallies = new SessionTallies(10);
    for (let at = 0; at < 4; at++) count(tallies, "first", `a${at}`, at);
    for (let at = 0; at < 4; at++) count(tallies, "second", `b${at}`, at);
    count(tallies, "first", "a0", 9);
    assert.equal(tallies.surplus(), []);
    for (let at = 0; at < 2; at++) count(tallies, "third", `c${at}`, at);
    assert.equal(tallies.surplus(), []);
    count(tallies, "third", "c2", 3);
    assert.equal(numbers(tallies.surplus()), [["second", 4], ["first", 4]]);
    count(tallies, "first", "a0", 10);
    assert.equal(numbers(tallies.rest()), [["third", 3], ["first", 1]]);
  });
});
