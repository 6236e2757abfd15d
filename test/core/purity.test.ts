/**
 * The core computes from its arguments alone: no clock, no randomness, no timers, no network, no runtime's own
 * names, and nothing imported that could bring them in. Read from the sources, comments left aside.
 */
import { readdirSync, readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import { describe } from "../helpers/suite.ts";

const CORE = new URL("../../src/core/", import.meta.url);

/** Strings and templates are matched first, so that a `//` inside of one begins no comment. */
const STRING_OR_COMMENT = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;

const IMPURE: readonly [name: string, pattern: RegExp][] = [
  ["Date.now", /\bDate\s*\.\s*now\b/],
  ["new Date() without an instant", /\bnew\s+Date\s*(?:\(\s*\)|(?!\s*\())/],
  ["Date() as text", /(?<!\bnew\s)\bDate\s*\(/],
  ["Math.random", /\bMath\s*\.\s*random\b/],
  ...[
    ..."performance crypto setTimeout setInterval setImmediate queueMicrotask".split(" "),
    ..."process Deno fetch WebSocket globalThis require eval Temporal".split(" "),
  ].map((name): [string, RegExp] => [name, new RegExp(`(?<![.\\w$"'-])${name}\\b(?!["'\\w-])`)]),
];

/** The modules that a source names: static, re-exported or dynamic; a name that is no literal is `?`. */
function importsOf(code: string): string[] {
  const named = [...code.matchAll(/\bfrom\s*(["'])(.*?)\1|\bimport\s*(["'])(.*?)\3/g)].map((one) => one[2] ?? one[4]!);
  const dynamic = [...code.matchAll(/\bimport\s*\(\s*(?:(["'])(.*?)\1\s*\))?/g)].map((one) => one[2] ?? "?");
  return [...named, ...dynamic];
}

function isAllowed(module: string, file: string, isCoreFile: (name: string) => boolean): boolean {
  const { href } = new URL(module, new URL(file, CORE));
  if (module === "valibot" || href === new URL("../errors.ts", CORE).href) return true;
  return /^\.\.?\//.test(module) && href.startsWith(CORE.href) && isCoreFile(href.slice(CORE.href.length));
}

/** What a source does that the core may not do. */
function violations(source: string, file: string, isCoreFile: (name: string) => boolean): string[] {
  const code = source.replace(STRING_OR_COMMENT, (match) => match.startsWith("/") ? " " : match);
  const foreign = importsOf(code).filter((module) => !isAllowed(module, file, isCoreFile)).map((module) =>
    `imports ${module}`
  );
  return [...foreign, ...IMPURE.filter(([, pattern]) => pattern.test(code)).map(([name]) => name)];
}

describe("the core's purity", (test) => {
  const files = readdirSync(CORE, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const isCoreFile = (name: string) => files.includes(name);

  test("covers every file of src/core", () => assert.ok(files.length >= 20 && files.includes("step.ts")));

  for (const file of files) {
    test(`${file} imports the core, its errors and valibot alone, and asks no clock, chance or runtime`, () => {
      assert.equal(violations(readFileSync(new URL(file, CORE), "utf8"), file, isCoreFile), []);
    });
  }

  const planted: [source: string, found: string[]][] = [
    [`import { connect } from "nats";`, ["imports nats"]],
    [`import "../runtime/clock.ts";`, ["imports ../runtime/clock.ts"]],
    [`export * from '../clickhouse/client.ts';`, ["imports ../clickhouse/client.ts"]],
    [`import type {\n  Log,\n} from "../ports.ts";`, ["imports ../ports.ts"]],
    [`import { x } from "./../ports.ts";`, ["imports ./../ports.ts"]],
    [`const fs = await import("node:fs");`, ["imports node:fs"]],
    [`const any = await import(name);`, ["imports ?"]],
    [`const now = Date.now();`, ["Date.now"]],
    [`const now = new Date ( );`, ["new Date() without an instant"]],
    [`const now = new Date;`, ["new Date() without an instant"]],
    [`const now = Date();`, ["Date() as text"]],
    [`const url = "https://x"; performance.now();`, ["performance"]],
    [`const t = \`// \${crypto.randomUUID()}\`;`, ["crypto"]],
    [`return Math.random();`, ["Math.random"]],
    [`setTimeout(run, 5); setInterval(run, 5);`, ["setTimeout", "setInterval"]],
    [`if (process.env.X) Deno.exit();`, ["process", "Deno"]],
    [`const { env } = globalThis;`, ["globalThis"]],
    [`await fetch(url);`, ["fetch"]],
  ];
  for (const [source, found] of planted) {
    test(`would be lost with ${JSON.stringify(source)}, and the scanner says so`, () => {
      assert.equal(violations(source, "step.ts", isCoreFile), found);
    });
  }

  test("is not lost by words: comments, other names and strings may hold them", () => {
    const innocent = `/** The process asks no Date.now(). */ // fetch
      import { decode } from "./decode.ts";
      import * as v from "valibot";
      export const processed = new Date(ms).toISOString() + "performance" + one.process;`;
    assert.equal(violations(innocent, "step.ts", isCoreFile), []);
  });
});
