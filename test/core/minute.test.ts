/** Which minutes of the rollup a batch makes dirty, and the subjects that say so. */
import * as assert from "uvu/assert";
import { minutesOf, minuteSubject, readMinuteSubject } from "../../src/core/minute.ts";
import { Core } from "../bench/core.ts";
import { bytesOf, type Wire } from "../helpers/events.ts";
import { A, B, KNOWN, request, sample } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";

const row = (source: string, sampleMs: number) => ({ source, sample_ts: sampleMs });

/** The minutes that a batch of these makes dirty, counted from 1970. */
function dirtied(core: Core, ...wires: Wire[]): number[] {
  for (const { envelope } of wires) core.take(bytesOf(envelope), 4_000_000_000_000);
  const { dirtyMinutes } = core.seal();
  assert.ok(dirtyMinutes.every(({ source }) => source === "bench"), "the source of its samples");
  return dirtyMinutes.map(({ startMs }) => startMs / 60_000);
}

describe("minutesOf()", (test) => {
  test("names each minute once, by source and time", () => {
    const rows = [
      row("b", 119_999),
      row("a", 120_000),
      row("b", 60_000),
      row("a", 0),
      row("a", 59_999),
      row("a", 660_000),
    ];
    assert.equal(minutesOf(rows), [
      { source: "a", startMs: 0 },
      { source: "a", startMs: 120_000 },
      { source: "a", startMs: 660_000 },
      { source: "b", startMs: 60_000 },
    ]);
    assert.equal(minutesOf([]), []);
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
