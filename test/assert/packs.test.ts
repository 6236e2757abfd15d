/** How packs are read, run and told of. */
import * as assert from "uvu/assert";
import { junitXml } from "../../src/assert/junit.ts";
import { loadPack, PACKS, readPack } from "../../src/assert/pack.ts";
import { type PackResult, runPacks, wholeHours } from "../../src/assert/run.ts";
import type { ClickHouse } from "../../src/clickhouse/client.ts";
import { LatecomerError } from "../../src/errors.ts";
import { describe } from "../helpers/suite.ts";

const BLOCKS = `-- A pack.

-- define: twos
-- what: not asked for itself
SELECT 2 AS two;

-- name: first
-- what: nothing is wrong
SELECT 0 AS failed_rows, 7 AS seen;

-- name: second
-- what: twos are two
-- severity: warning
SELECT countIf(two != 2) AS failed_rows
FROM twos;
`;

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as LatecomerError).code;
  }
  return "";
};

/** A warehouse that answers every query alike. */
const answering = (answer: () => Record<string, unknown>[]): ClickHouse => ({
  description: "",
  command: () => Promise.resolve(),
  rows: <T>() => Promise.resolve().then(answer) as Promise<T[]>,
  insert: () => Promise.resolve(),
  prepare: () => ({ rowCount: 0, add: () => {}, run: () => Promise.resolve() }),
  learn: () => Promise.resolve(),
  ping: () => Promise.resolve(),
  close: () => Promise.resolve(),
});

const pack = { name: "p", file: "p.sql", assertions: readPack(BLOCKS) };
const stateFor = async (row: Record<string, unknown> | undefined) => {
  const [done] = await runPacks(answering(() => row === undefined ? [] : [row]), [pack], { fromMs: 0, toMs: 1 });
  return done!.results.map(({ state }) => state);
};

describe("a pack", (test) => {
  test("is read block by block, with the definitions that a query mentions in front of it", () => {
    assert.equal(pack.assertions, [
      { name: "first", what: "nothing is wrong", severity: "blocking", sql: "SELECT 0 AS failed_rows, 7 AS seen" },
      {
        name: "second",
        what: "twos are two",
        severity: "warning",
        sql: "WITH twos AS\n(\nSELECT 2 AS two\n)\nSELECT countIf(two != 2) AS failed_rows\nFROM twos",
      },
    ]);
  });

  test("has in front of a query also what its definitions read from, in their order", () => {
    const [only] = readPack(
      "-- define: a\nSELECT 1 AS x;\n-- define: b\nSELECT x FROM a;\n-- define: c\nSELECT 3;\n" +
        "-- name: n\n-- what: w\nSELECT x FROM b;",
    );
    assert.is(only!.sql, "WITH a AS\n(\nSELECT 1 AS x\n),\nb AS\n(\nSELECT x FROM a\n)\nSELECT x FROM b");
  });

  test("is refused where a block does not say what it asserts, or a name stands twice", () => {
    assert.is(codeOf(() => readPack("-- name: a\nSELECT 1;")), "PACK_INVALID");
    assert.is(codeOf(() => readPack("-- name: a\n-- what: x\n-- severity: grave\nSELECT 1;")), "PACK_INVALID");
    assert.is(
      codeOf(() => readPack("-- name: a\n-- what: x\nSELECT 1;\n-- name: a\n-- what: y\nSELECT 1;")),
      "PACK_INVALID",
    );
  });

  test("is known by name", () => {
    for (const name of PACKS) assert.ok(loadPack(name).assertions.length > 0);
    assert.is(codeOf(() => loadPack("../raw_typed")), "PACK_UNKNOWN");
  });
});

describe("an assertion", (test) => {
  test("passes on 0 alone; any other number fails it, or warns", async () => {
    assert.equal(await stateFor({ failed_rows: "0" }), ["passed", "passed"]);
    assert.equal(await stateFor({ failed_rows: 3 }), ["failed", "warned"]);
  });

  test("fails without an answer, and on what is no number, even where it would only warn", async () => {
    for (const row of [undefined, {}, { failed_rows: null }, { failed_rows: "" }, { failed_rows: -1 }]) {
      assert.equal(await stateFor(row), ["failed", "failed"]);
    }
  });

  test("fails when its query is refused, and the others are asked all the same", async () => {
    const refusing = answering(() => {
      throw new LatecomerError("QUERY_FAILED", "fatal", "no such column");
    });
    const [done] = await runPacks(refusing, [pack], { fromMs: 0, toMs: 1 });
    assert.equal(done!.results.map(({ state, error }) => [state, error]), [
      ["failed", "no such column"],
      ["failed", "no such column"],
    ]);
  });

  test("says nothing when nobody answers: that is no failure of the data", async () => {
    const away = answering(() => {
      throw new LatecomerError("CLICKHOUSE_AWAY", "retryable", "away");
    });
    await runPacks(away, [pack], { fromMs: 0, toMs: 1 }).then(
      () => assert.unreachable(),
      (error) => assert.is(error.code, "CLICKHOUSE_AWAY"),
    );
  });
});

describe("a window", (test) => {
  test("is widened to whole hours", () => {
    assert.equal(wholeHours({ fromMs: 3_600_001, toMs: 7_200_001 }), { fromMs: 3_600_000, toMs: 10_800_000 });
    assert.equal(wholeHours({ fromMs: 3_600_000, toMs: 7_200_000 }), { fromMs: 3_600_000, toMs: 7_200_000 });
  });
});

describe("JUnit XML", (test) => {
  test("counts failures, and holds no character that XML has no form for", () => {
    const result = { what: "a < b", failedRows: 2, error: "", ms: 1_500 };
    const packs: PackResult[] = [{
      pack: "p",
      file: "p.sql",
      results: [
        { ...result, name: "good", state: "passed", failedRows: 0, diagnostics: {} },
        { ...result, name: "bad", state: "failed", diagnostics: { example: '<"&\u0001>' } },
        { ...result, name: "odd", state: "warned", diagnostics: {} },
      ],
    }];
    assert.is(
      junitXml(packs),
      `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="p" tests="3" failures="1" file="p.sql">
    <testcase classname="p" name="good" time="1.500"/>
    <testcase classname="p" name="bad" time="1.500">
      <failure message="2 rows break: a &lt; b">{&quot;example&quot;:&quot;&lt;\\&quot;&amp;\\u0001&gt;&quot;}</failure>
    </testcase>
    <testcase classname="p" name="odd" time="1.500">
      <system-out>warning: 2 rows break: a &lt; b {}</system-out>
    </testcase>
  </testsuite>
</testsuites>
`,
    );
  });
});
