/** Which minutes of the rollup a batch makes dirty, and the subjects that say so. */
import * as assert from "uvu/assert";
import { Minutes, minuteSubject, readMinuteSubject } from "../../src/core/minute.ts";
import { Core } from "../bench/core.ts";
import { bytesOf, type Wire } from "../helpers/events.ts";
import { A, B, KNOWN, request, sample } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";

/** The minutes that a batch of these makes dirty, counted from 1970. */
function dirtied(core: Core, ...wires: Wire[]): number[] {
  for (const { envelope } of wires) core.take(bytesOf(envelope), 4_000_000_000_000);
  const { dirtyMinutes } = core.seal();
  assert.ok(dirtyMinutes.every(({ source }) => source === "bench"), "the source of its samples");
  return dirtyMinutes.map(({ startMs }) => startMs / 60_000);
}

describe("minutes", (test) => {
  test("are each there once, by source and time", () => {
    const minutes = new Minutes();
    assert.equal(minutes.all(), []);
    minutes.add("b", 119_999);
    minutes.add("a", 120_000);
    minutes.add("b", 60_000);
    minutes.add("a", 0);
    minutes.add("a", 59_999);
    minutes.add("a", 660_000);
    assert.equal(minutes.all(), [
      { source: "a", startMs: 0 },
      { source: "a", startMs: 120_000 },
      { source: "a", startMs: 660_000 },
      { source: "b", startMs: 60_000 },
    ]);
  });
});

describe("minuteSubject()", (test) => {
  test("can be read back, whatever the source", () => {
    for (const source of ["org", "an org.with/odd ä|>*", ""]) {
      const minute = { source, startMs: 1_769_940_300_000 };
      assert.equal(readMinuteSubject(minuteSubject(minute)), minute);
    }
    assert.is(minuteSubject({ source: "a b", startMs: 1_769_940_300_000 }), "dirty.a=20b.1769940300");
  });

  test("reads nothing else", () => {
    for (const subject of ["dirty.a", "dirty.a.b.60", "dirty.a.61", "dirty.a.1e3", "dirty.a.-60", "dirt.a.60", ""]) {
      assert.is(readMinuteSubject(subject), undefined, subject);
    }
  });
});

describe("a batch", (test) => {
  test("makes the minutes of its samples dirty, and again when a snapshot corrects them", () => {
    const core = new Core();
    const snapshot = bytesOf(KNOWN.envelope);
    assert.equal(dirtied(core, request(1_000), sample(30_000, A), sample(61_000, B), sample(62_000, B)), [0, 1]);
    assert.equal(dirtied(core, sample(190_000, A)), [3]);
    assert.equal(dirtied(core, request(240_000)), [], "a trace is no sample");
    core.take(snapshot, 4_000_000_000_000);
    assert.equal(dirtied(core), [0, 1, 3], "what the snapshot corrects");
    assert.equal(dirtied(core), []);
  });
});
