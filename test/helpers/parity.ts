/**
 * The parity list: every test of the predecessors, what it comes out as here, and which of our tests shows it.
 *
 * `test/parity.json` is kept by hand, `test/parity.md` is written from it by `npm run -s parity`, and
 * `test/core/parity/list.test.ts` holds both against the tests that there are.
 */
import { readdirSync, readFileSync } from "node:fs";

const TEST = new URL("../", import.meta.url);

/** One test of a predecessor. */
export interface ParityRow {
  readonly upstream: string;
  /** Our tests, as `file › suite › name`, with the names as they stand in the source; none when out of scope. */
  readonly tests: readonly string[];
  /** `same`, `changed: why` or `out of scope: why`. */
  readonly verdict: string;
}

export interface ParitySection {
  /** The section of the list. */
  readonly section: string;
  readonly title: string;
  /** How many rows the section has upstream, so that none is lost. */
  readonly count: number;
  readonly rows: readonly ParityRow[];
}

/** The list as it is kept. */
export function parityList(): ParitySection[] {
  return JSON.parse(readFileSync(new URL("parity.json", TEST), "utf8"));
}

const DECLARATION = /(?<![.\w])(describe|test)\(\s*("(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)/g;

/** The tests that a source declares, as `suite › name`; of a template its text, `${…}` and all. */
export function declaredIn(source: string): string[] {
  let suite = "";
  const tests = [];
  for (const [, kind, literal] of source.matchAll(DECLARATION)) {
    const name: string = literal!.startsWith('"') ? JSON.parse(literal!) : literal!.slice(1, -1);
    if (kind === "describe") suite = name;
    else tests.push(`${suite} › ${name}`);
  }
  return tests;
}

/** Every test under `test/`, as `file › suite › name`. */
export function declaredTests(): Set<string> {
  const files = readdirSync(TEST, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts"));
  return new Set(files.flatMap((file) => {
    const source = readFileSync(new URL(file, TEST), "utf8");
    return declaredIn(source).map((test) => `${file.replaceAll("\\", "/")} › ${test}`);
  }));
}

/** What is wrong with a list, row by row; nothing when it is whole. */
export function problemsOf(sections: readonly ParitySection[], declared: ReadonlySet<string>): string[] {
  return sections.flatMap(({ section, count, rows }) => [
    ...(rows.length === count ? [] : [`${section}: ${rows.length} rows instead of ${count}`]),
    ...rows.flatMap(({ upstream, tests, verdict }) => {
      const row = `${section} ${upstream}`;
      const inScope = !verdict.startsWith("out of scope: ");
      return [
        ...(/^(same|(changed|out of scope): .+)$/.test(verdict) ? [] : [`${row}: no verdict`]),
        ...(inScope && tests.length === 0 ? [`${row}: no test`] : []),
        ...tests.filter((test) => !declared.has(test)).map((test) => `${row}: there is no test ${test}`),
      ];
    }),
  ]);
}

const cell = (text: string): string => text.replaceAll("|", "\\|");

/** The list for readers. */
export function markdownOf(sections: readonly ParitySection[]): string {
  const all = sections.flatMap(({ rows }) => rows);
  const counted = ["same", "changed", "out of scope"].map((verdict) =>
    `${all.filter((row) => row.verdict.split(":")[0] === verdict).length} ${verdict}`
  );
  return [
    "# Parity list",
    "",
    "What the tests of the two predecessors demand, what comes out here, and which of our tests shows it.",
    "`same` is the upstream result, `changed` another one on purpose, with the reason (D1 to D13 are the decisions on",
    "questions that the predecessors left open). Written by `npm run -s parity` from `parity.json`.",
    "",
    `${all.length} rows: ${counted.join(", ")}.`,
    ...sections.flatMap(({ section, title, rows }) => [
      "",
      `## ${section} ${title}`,
      "",
      "| section | upstream test | our test | verdict |",
      "| --- | --- | --- | --- |",
      ...rows.map(({ upstream, tests, verdict }) =>
        `| ${[section, upstream, tests.map(shortened).join("<br>"), verdict].map(cell).join(" | ")} |`
      ),
    ]),
    "",
  ].join("\n");
}

/** `file › name`: readers find the suite by the name. */
function shortened(test: string): string {
  const [file, , ...name] = test.split(" › ");
  return `${file} › ${name.join(" › ")}`;
}
