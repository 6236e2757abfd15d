/** The manifest of fixtures: places as ranges, and what is refused. */
import * as assert from "uvu/assert";
import * as fc from "fast-check";
import {
  formatManifest,
  formatPlaces,
  type Manifest,
  parseManifest,
  parsePlaces,
} from "../../src/fixtures/manifest.ts";
import { describe } from "../helpers/suite.ts";

const MANIFEST: Manifest = {
  format: 1,
  order: "stream",
  window: { from: "2026-02-25T00:00:00.000Z", to: "2026-02-26T00:00:00.000Z" },
  events: { first: "2026-02-25T01:00:00.000Z", last: "2026-02-25T02:00:00.000Z" },
  scenarios: [],
  files: [{ file: "events.jsonl", sha256: "0".repeat(64), messages: { stream_trace: 2 }, places: "1-2" }],
};

describe("the manifest of fixtures", (test) => {
  test("tells places as ranges, and reads them back", () => {
    assert.is(formatPlaces([1, 2, 3, 7, 9, 10]), "1-3,7,9-10");
    fc.assert(fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (places) => {
      const ascending = places.sort((a, b) => a - b);
      assert.equal(parsePlaces(formatPlaces(ascending), ascending.length), ascending);
    }));
  });

  test("makes one place more than there are lines at most, which tells that ranges claim more", () => {
    assert.is(parsePlaces("1-999999999999,3", 10).length, 11);
    assert.is(parsePlaces("1-10,3", 10).length, 11);
  });

  test("is read as it was written, and refused with the place where it is wrong", () => {
    assert.equal(parseManifest(formatManifest(MANIFEST)), MANIFEST);
    const [file] = MANIFEST.files;
    const wrong: [where: RegExp, manifest: unknown][] = [
      [/: format/, { ...MANIFEST, format: 2 }],
      [/: order/, { ...MANIFEST, order: "random" }],
      [/: files/, { ...MANIFEST, files: [] }],
      ...["../events.jsonl", "/etc/x.jsonl", "a/b.jsonl", ".jsonl", "events.json"].map((name): [RegExp, unknown] => [
        /: files\.0\.file/,
        { ...MANIFEST, files: [{ ...file!, file: name }] },
      ]),
      ...["", "1,", "a", "1-2-3", "-1"].map((places): [RegExp, unknown] => [
        /: files\.0\.places/,
        { ...MANIFEST, files: [{ ...file!, places }] },
      ]),
      [/: files\.0\.sha256/, { ...MANIFEST, files: [{ ...file!, sha256: "0" }] }],
      [/: the whole/, null],
    ];
    for (const [where, manifest] of wrong) {
      assert.throws(() => parseManifest(JSON.stringify(manifest)), where);
    }
    assert.throws(() => parseManifest("{"), /no JSON/);
  });
});
