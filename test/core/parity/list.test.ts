/** The parity list is whole: every row has a verdict and tests that exist, and its page is up to date. */
import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import { declaredIn, declaredTests, markdownOf, parityList, problemsOf } from "../../helpers/parity.ts";
import { describe } from "../../helpers/suite.ts";

describe("the parity list", (test) => {
  const list = parityList();

  test("has every section and row, a verdict on each, and the tests that it names", () => {
    assert.equal(problemsOf(list, declaredTests()), []);
    const sections = [...Array.from({ length: 16 }, (_, at) => `6.${at + 1}`), "1.8"];
    assert.equal(list.map(({ section }) => section), sections);
    assert.is(list.reduce((sum, { count }) => sum + count, 0), 161);
  });

  test("is what parity.md says", () => {
    const page = readFileSync(new URL("../../parity.md", import.meta.url), "utf8");
    assert.is(page, markdownOf(list), "run: npm run -s parity");
  });

  test("names no row twice", () => {
    const rows = list.flatMap(({ section, rows }) => rows.map(({ upstream }) => `${section} ${upstream}`));
    assert.is(new Set(rows).size, rows.length);
  });

  test("would be told to lack a row, a verdict, a reason, a test, or one that exists", () => {
    const there = "a.test.ts › suite › name";
    const row = { upstream: "x", tests: [there], verdict: "same" };
    const problems = (change: object, count = 1) =>
      problemsOf([{ section: "0", title: "", count, rows: [{ ...row, ...change }] }], new Set([there]));
    assert.equal(problems({}), []);
    assert.equal(problems({ tests: [], verdict: "out of scope: because" }), []);
    assert.equal(problems({}, 2), ["0: 1 rows instead of 2"]);
    assert.equal(problems({ verdict: "" }), ["0 x: no verdict"]);
    assert.equal(problems({ verdict: "changed" }), ["0 x: no verdict"]);
    assert.equal(problems({ tests: [] }), ["0 x: no test"]);
    assert.equal(problems({ tests: ["b"] }), ["0 x: there is no test b"]);
  });

  test("finds tests in their sources, under the suite that declares them", () => {
    const source = `describe("one", (test) => {
      test("a \\"quoted\\" claim", () => {});
      for (const n of [1]) test(\`the \${n}th\`, () => {});
    });
    describe("two", (test) => {
      test(
        "on a line of its own", () => /x/.test("no test"));
    });`;
    assert.equal(declaredIn(source), ['one › a "quoted" claim', "one › the ${n}th", "two › on a line of its own"]);
  });
});
