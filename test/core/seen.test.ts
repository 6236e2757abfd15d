/** Which events were seen: what a repeat, a duplicate and a conflict are, and how much is remembered of the past. */
import * as assert from "uvu/assert";
import { SeenEvents } from "../../src/core/seen.ts";
import { describe } from "../helpers/suite.ts";

describe("the events that were seen", (test) => {
  test("tell the same message from another of the same event, and from another event of the same id", () => {
    const seen = new SeenEvents(100);
    assert.is(seen.note("s", "a", "a~1", 1), "new");
    assert.is(seen.note("s", "a", "a~1", 1), "repeat");
    assert.is(seen.note("s", "a", "a~1", 2), "duplicate");
    assert.is(seen.note("s", "a", "a~2", 3), "id_conflict");
    assert.is(seen.note("s", "a", "a~2", 3), "repeat");
    assert.is(seen.note("s", "a", "a~2", 4), "duplicate");
    assert.is(seen.note("s", "a", "a~1", 5), "duplicate");
    assert.is(seen.note("s", "b", "b~1", 5), "new", "what follows the id may be the same");
    assert.is(seen.note("another", "a", "a~1", 6), "new");
    assert.is(seen.note("s", "", "1", 7), "new");
    assert.is(seen.note("s", "", "1", 8), "duplicate");
  });

  test("are as many of the latest as half of the bound at least, and no more than the bound", () => {
    const [bound, latest] = [200, 1_000];
    for (let noted = latest; noted < latest + bound; noted++) {
      const remembered = (back: number) => {
        const seen = new SeenEvents(bound);
        for (let at = 1; at <= noted; at++) seen.note("s", `e${at}`, `e${at}~1`, at);
        return seen.note("s", `e${noted - back}`, `e${noted - back}~1`, noted - back) === "repeat";
      };
      assert.ok(remembered(bound / 2 - 1), `after ${noted}`);
      assert.not(remembered(bound), `after ${noted}`);
    }
  });

  test("are told by the whole of their uid where a later event has their id", () => {
    const seen = new SeenEvents(8);
    seen.note("s", "a", "a~1", 1);
    for (let at = 2; at <= 4; at++) seen.note("s", `e${at}`, `e${at}~1`, at);
    // The first is with the older ones now, and a conflict with it among the younger.
    assert.is(seen.note("s", "a", "a~2", 5), "id_conflict");
    assert.is(seen.note("s", "a", "a~1", 6), "duplicate");
  });

  test("are told apart where they share their content, and the same of two sources", () => {
    const seen = new SeenEvents(1_000);
    const notes = (source: string, seq: number) =>
      Array.from({ length: 200 }, (_, at) => seen.note(source, `${at}`, `${at}~same`, seq + at));
    assert.equal(new Set([...notes("s", 0), ...notes("t", 1_000)]), new Set(["new"]));
    assert.equal(new Set([...notes("s", 2_000), ...notes("t", 3_000)]), new Set(["duplicate"]));
  });

  test("are remembered for at least the last half of the bound", () => {
    const seen = new SeenEvents(100);
    for (let at = 0; at < 1_000; at++) assert.is(seen.note("s", `${at}`, `${at}`, at), "new");
    for (let at = 999; at > 950; at--) assert.is(seen.note("s", `${at}`, `${at}`, -1), "duplicate", String(at));
  });

  /** How many of these ids and uids are still known; asked of a memory that is not used again. */
  const knownOf = (seen: SeenEvents, events: readonly [id: string, uid: string][]) =>
    events.filter(([id, uid], at) => seen.note("s", id, uid, 1_000_000 + at) === "duplicate").length;

  test("are forgotten beyond the bound", () => {
    const seen = new SeenEvents(100);
    const events = Array.from({ length: 1_000 }, (_, at): [string, string] => [`${at}`, `${at}~`]);
    for (const [at, [id, uid]] of events.entries()) seen.note("s", id, uid, at);
    assert.ok(knownOf(seen, events) <= 100);
  });

  test("are forgotten beyond the bound when all share one id", () => {
    const seen = new SeenEvents(100);
    const events = Array.from({ length: 1_000 }, (_, at): [string, string] => ["same", `same~${at}`]);
    for (const [at, [id, uid]] of events.entries()) seen.note("s", id, uid, at);
    const known = knownOf(seen, events);
    assert.ok(known <= 100, `remembers ${known}`);
  });

  test("are told of the last one by a bound of 1 or less too", () => {
    for (const most of [1, 0]) {
      const seen = new SeenEvents(most);
      assert.is(seen.note("s", "a", "a", 1), "new");
      assert.is(seen.note("s", "a", "a", 2), "duplicate");
    }
  });
});
