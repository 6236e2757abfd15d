/** Durations and instants as people write and read them. */
import * as assert from "uvu/assert";
import fc from "fast-check";
import { formatDuration, formatInstant, LAST_INSTANT_MS, parseDuration } from "../../src/core/time.ts";
import { describe } from "../helpers/suite.ts";

describe("parseDuration()", (test) => {
  test("reads every unit, and several in a row", () => {
    const durations: Record<string, number> = {
      "0s": 0,
      "1ms": 1,
      "250ms": 250,
      "90s": 90_000,
      "10m": 600_000,
      "24h": 86_400_000,
      "7d": 604_800_000,
      "1h30m": 5_400_000,
      "1d2h3m4s5ms": 93_784_005,
      "1m5ms": 60_005,
      "1.5h": 5_400_000,
      "0.5s": 500,
      " 10m ": 600_000,
    };
    for (const [text, ms] of Object.entries(durations)) assert.is(parseDuration(text), ms, text);
  });

  test("refuses everything else, a bare number and a negative duration included", () => {
    const refused = [
      "",
      " ",
      "5",
      "0",
      "-5m",
      "+5m",
      "5 m",
      "1h 30m",
      "h",
      "5x",
      "5M",
      "5H",
      "5min",
      "5sec",
      "1,5h",
      ".5h",
      "5.h",
      "1e3s",
      "1h30",
      "h1",
      "10m!",
      "Infinity",
      "NaNs",
      "１m",
      "5m\u0000",
      "five minutes",
    ];
    for (const text of refused) assert.is(parseDuration(text), undefined, JSON.stringify(text));
  });

  test("reads back what formatDuration() writes", () => {
    fc.assert(fc.property(fc.nat(1_000_000_000_000), (ms) => assert.is(parseDuration(formatDuration(ms)), ms)));
  });

  test("answers any text with a whole number of milliseconds or nothing", () => {
    fc.assert(fc.property(fc.stringMatching(/^[0-9.hmsd ]{0,12}$/), (text) => {
      const ms = parseDuration(text);
      assert.ok(ms === undefined || (Number.isInteger(ms) && ms >= 0));
    }));
  });
});

describe("formatDuration()", (test) => {
  test("writes the largest units first and leaves out zeros", () => {
    const durations: [number, string][] = [
      [0, "0s"],
      [1, "1ms"],
      [999, "999ms"],
      [1_000, "1s"],
      [90_000, "1m30s"],
      [3_600_000, "1h"],
      [86_400_000, "1d"],
      [90_061_001, "1d1h1m1s1ms"],
      [0.4, "0s"],
    ];
    for (const [ms, text] of durations) assert.is(formatDuration(ms), text);
  });
});

describe("formatInstant()", (test) => {
  test("writes UTC with milliseconds", () => {
    assert.is(formatInstant(0), "1970-01-01T00:00:00.000Z");
    assert.is(formatInstant(1_772_052_191_605), "2026-02-25T20:43:11.605Z");
  });

  test("the last instant of a DateTime64(3) is the end of 2299", () => {
    assert.is(formatInstant(LAST_INSTANT_MS), "2299-12-31T23:59:59.999Z");
  });

  test("writes what is no instant as it is, and throws at nothing", () => {
    assert.is(formatInstant(Infinity), "Infinity");
    assert.is(formatInstant(-Infinity), "-Infinity");
    assert.is(formatInstant(NaN), "NaN");
    assert.is(formatInstant(9e15), "9000000000000000");
  });
});
