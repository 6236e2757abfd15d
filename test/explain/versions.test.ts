/** How a row came to be: its versions, what each changed, and how it stands to what is derived. */
import * as assert from "uvu/assert";
import type { WrittenRow } from "../../src/clickhouse/history.ts";
import { versionOf } from "../../src/core/evidence.ts";
import { timeline } from "../../src/explain/timeline.ts";
import { explainRow } from "../../src/explain/versions.ts";
import { wrap } from "../../src/explain/wrap.ts";
import { describe } from "../helpers/suite.ts";

const TABLE = "fact_stream_status_samples";
const DERIVED = { orchestrator_address: "0xca", gpu_count: 1, model_id: null, version: versionOf(1, 7n).toString() };

function written(evidence: bigint, more: Partial<WrittenRow["columns"]> = {}, generation = 1): WrittenRow {
  const columns = { orchestrator_address: "0xca", gpu_count: 1, model_id: null, ...more };
  return {
    version: versionOf(generation, evidence).toString(),
    arrivedMs: Number(evidence),
    isDeleted: false,
    columns,
  };
}

describe("the versions of a row", (test) => {
  const standings: [standing: string, rows: WrittenRow[], derived: typeof DERIVED | undefined][] = [
    ["missing", [], DERIVED],
    ["equal", [written(7n)], DERIVED],
    ["equal", [written(7n, {}, 5)], DERIVED],
    ["behind", [written(6n)], DERIVED],
    ["ahead", [written(8n)], DERIVED],
    ["ahead", [written(8n)], undefined],
    ["changed", [written(7n, { orchestrator_address: "0xcb" })], DERIVED],
    ["removed", [{ ...written(0n, {}, 5), isDeleted: true }], DERIVED],
  ];
  for (const [standing, rows, derived] of standings) {
    test(`are ${standing} with ${rows.length} written and ${derived === undefined ? "nothing" : "a row"} derived`, () => {
      assert.is(explainRow(TABLE, derived, rows, 1).standing, standing);
    });
  }

  test("tell what each changed in the one before, when it arrived, and how often it was written", () => {
    const first = written(1n, { orchestrator_address: "", gpu_count: 0 });
    const { versions, differs } = explainRow(TABLE, DERIVED, [first, first, written(6n, { gpu_count: 2 })], 1);
    assert.equal(versions.map(({ writes, evidence, arrived }) => [writes, evidence, arrived]), [
      [2, "1", "1970-01-01T00:00:00.001Z"],
      [1, "6", "1970-01-01T00:00:00.006Z"],
    ]);
    assert.equal(versions[1]!.changed, [
      { column: "orchestrator_address", from: "", to: "0xca" },
      { column: "gpu_count", from: 0, to: 2 },
    ]);
    assert.equal(differs, [{ column: "gpu_count", stored: "2", derived: "1" }]);
  });

  test("are compared under the generation of the newest row", () => {
    assert.is(explainRow(TABLE, DERIVED, [written(7n, {}, 5)], 1).derivedVersion, versionOf(5, 7n).toString());
    assert.is(explainRow(TABLE, DERIVED, [], 3).derivedVersion, versionOf(3, 7n).toString());
  });
});

describe("a timeline", (test) => {
  test("has its marks where their times are, the last on top, in 100 columns", () => {
    const at = (fromMs: number, symbol: string, toMs = fromMs) => ({ fromMs, toMs, symbol });
    const lines = timeline([
      { label: "a lane with a long name", marks: [at(0, "x"), at(1_000, "y"), at(1_000, "z")] },
      { label: "empty", marks: [] },
      { label: "span", marks: [at(0, "=", 500)] },
    ], "x first");
    assert.is(lines.length, 4);
    assert.is(lines[0], `a lane with  |x${" ".repeat(78)}z|`);
    assert.is(lines[1], `span         |${"=".repeat(41)}${" ".repeat(39)}|`);
    assert.match(lines[2]!, /1970-01-01T00:00:00.000Z +1s +1970-01-01T00:00:01.000Z$/);
    assert.ok(lines.every((line) => line.length <= 100));
  });

  test("is none where all is at one instant, or nothing is there", () => {
    assert.equal(timeline([{ label: "a", marks: [{ fromMs: 5, toMs: 5, symbol: "x" }] }], ""), []);
    assert.equal(timeline([], ""), []);
  });
});

describe("wrapped lines", (test) => {
  test("are broken at blanks, keep their indent and lose no word", () => {
    const text = `  ${Array.from({ length: 60 }, (_, at) => `word${at}`).join(" ")}`;
    const lines = wrap(text);
    assert.ok(lines.length > 1 && lines.every((line) => line.length <= 98 && line.startsWith("  ")));
    assert.is(lines.map((line) => line.trim()).join(" "), text.trim());
    assert.equal(wrap("  short"), ["  short"]);
    assert.equal(wrap(`  ${"x".repeat(200)}`), [`  ${"x".repeat(200)}`]);
  });
});
