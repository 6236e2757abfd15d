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
    assert.is(seen.note("s", "a", "a~2", 4), "duplicate");
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
});
