/** Times on the command line: what is read, in which zone, and what is refused. */
import process from "node:process";
import * as assert from "uvu/assert";
import { instant, requireWindow } from "../../src/cli/time.ts";
import { LatecomerError } from "../../src/errors.ts";
import { describe } from "../helpers/suite.ts";

const DAY = Date.UTC(2026, 1, 25);

/** Must throw USAGE, and say so. */
function refuses(run: () => unknown, says: RegExp, what: string) {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof LatecomerError && error.kind === "usage", what);
    assert.match(error.message, says, what);
    return;
  }
  assert.unreachable(what);
}

describe("instant()", (test) => {
  test("reads ISO 8601, in UTC unless it names a zone, wherever it runs", () => {
    const times: Record<string, number> = {
      "2026-02-25": DAY,
      "2026-02-25T19:30": DAY + 70_200_000,
      "2026-02-25T19:30:05": DAY + 70_205_000,
      "2026-02-25T19:30:05.678": DAY + 70_205_678,
      "2026-02-25T19:30:05.678912345Z": DAY + 70_205_678,
      "2026-02-25T19:30:05.5Z": DAY + 70_205_500,
      "2026-02-25 19:30:05.678": DAY + 70_205_678,
      "2026-02-25T19:30Z": DAY + 70_200_000,
      "2026-02-25T19:30+01:00": DAY + 66_600_000,
      "2026-02-25T19:30-05": DAY + 88_200_000,
      "2026-02-25T19:30-03:30": DAY + 82_800_000,
      "2028-02-29": Date.UTC(2028, 1, 29),
      "1970-01-01": 0,
      "2299-12-31T23:59:59.999Z": 10_413_791_999_999,
    };
    const before = process.env.TZ;
    try {
      for (const zone of ["UTC", "America/New_York", "Asia/Kolkata"]) {
        process.env.TZ = zone;
        for (const [text, ms] of Object.entries(times)) assert.is(instant(text), ms, `${text} in ${zone}`);
      }
    } finally {
      if (before === undefined) delete process.env.TZ;
      else process.env.TZ = before;
    }
  });

  test("reads Unix milliseconds, and 0 as the beginning", () => {
    assert.is(instant("1767909005608"), 1_767_909_005_608);
    assert.is(instant("100000000000"), 100_000_000_000);
    assert.is(instant("0"), 0);
  });

  test("refuses days and hours that there are not", () => {
    for (const text of ["2026-11-31", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-00"]) {
      refuses(() => instant(text), /there is no 2026-/, text);
    }
    for (const time of ["24:00", "23:60", "23:59:60", "99:00Z"]) {
      refuses(() => instant(`2026-01-01T${time}`), /there is no 2026-01-01T/, time);
    }
  });

  test("refuses seconds, and what no table holds", () => {
    refuses(() => instant("1772000000"), /milliseconds are wanted, not seconds/, "seconds");
    for (
      const text of ["1772000000000000", "99999999999999999999", "1969-12-31", "2300-01-01", "1970-01-01T00:00+01"]
    ) {
      refuses(() => instant(text), /not within the years 1970 to 2299/, text);
    }
  });

  test("refuses every other form, also those that a runtime would guess at", () => {
    const others = [
      ...["", " ", "now", "yesterday", "2026-11", "20261103T101500Z", "2026-1-2", "2026-01-02 ", " 2026-01-02"],
      ...["2026-01-02  10:00", "2026-01-02 10", "2026-01-02T10", "2026-01-02T10:00:00.", "2026-01-02Z"],
      ...["2026-01-02T10:00z", "2026-01-02t10:00Z", "2026-01-02T10:00+0100", "2026-01-02T10:00+25:00"],
      ...["2026-01-02T10:00 CET", "Jan 2 2026", "02/01/2026", "+012026-01-02", "-5", "1e12", "1767909005608.5", "0x10"],
    ];
    for (const text of others) {
      refuses(() => instant(text), /is no time: ISO 8601 such as .* or Unix milliseconds/, text);
    }
  });
});

describe("requireWindow()", (test) => {
  test("wants time between two bounds, and nothing of one alone", () => {
    for (const fine of [{}, { from: 5 }, { to: 5 }, { from: 4, to: 5 }]) requireWindow(fine);
    for (const from of [5, 6]) {
      refuses(
        () => requireWindow({ from, to: 5 }),
        /--from must be before --to: 1970-.*Z is not before 1970-/,
        `${from}`,
      );
    }
  });
});
