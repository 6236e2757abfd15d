/** Every source imports what the table in src/README.md lets its folder import, and nothing else. */
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import * as assert from "uvu/assert";
import { describe } from "../helpers/suite.ts";

const SOURCES = new URL("../../src/", import.meta.url);

/** What a folder, or a file beside the folders, may import: by name, and whether more than types. */
type Rules = ReadonlyMap<string, ReadonlyMap<string, boolean>>;

const EVERYTHING = "everything";

/** The table of src/README.md; a part of a cell that begins with "types of" lets in no values. */
function rulesIn(page: string): Rules {
  const rules = new Map<string, ReadonlyMap<string, boolean>>();
  const table = /^\| folder .*\n\|[ |-]+\n((?:\|.*\n)+)/m.exec(page)![1]!;
  for (const row of table.trim().split("\n")) {
    const [, names = "", , allowed = ""] = row.split("|");
    const may = new Map<string, boolean>();
    for (const part of allowed.split(",")) {
      const isWhole = !part.trim().startsWith("types of ");
      for (const name of namesIn(part)) may.set(name, isWhole);
      if (part.trim() === EVERYTHING) may.set(EVERYTHING, true);
    }
    for (const name of namesIn(names)) rules.set(name, may);
  }
  return rules;
}

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
}

interface Import {
  /** A path below `src/`. */
  readonly of: string;
  readonly isType: boolean;
}

/** The sources that a source imports or exports again. */
function importsOf(file: string, text: string): Import[] {
  return [...text.matchAll(/^(?:import|export)( type)?\s([^;]*?)\bfrom "(\.[^"]+)"/gms)].map(([, type, what, path]) => {
    const names = what!.replace(/[{}\s]+/g, " ").split(",").map((name) => name.trim()).filter((name) => name !== "");
    const isType = type !== undefined || names.every((name) => name.startsWith("type "));
    return { of: posix.join(posix.dirname(file), path!), isType };
  });
}

/** The entry of the table that a source belongs to. */
function entryOf(file: string): string {
  return file.includes("/") ? `${file.split("/")[0]}/` : file;
}

function strays(file: string, text: string, rules: Rules): string[] {
  const own = entryOf(file);
  const may = rules.get(own);
  if (may === undefined) return [`${file} is in no row of the table`];
  const isLet = ({ of, isType }: Import) => {
    if (entryOf(of) === own || may.has(EVERYTHING)) return true;
    const whole = may.get(of) ?? may.get(entryOf(of));
    return whole === true || (whole === false && isType);
  };
  return importsOf(file, text).filter((one) => !isLet(one))
    .map(({ of, isType }) => `${file} imports ${isType ? "a type of " : ""}${of}`);
}

describe("the imports of sources", (test) => {
  const rules = rulesIn(readFileSync(new URL("README.md", SOURCES), "utf8"));
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const read = (file: string) => readFileSync(new URL(file, SOURCES), "utf8");

  test("are those that src/README.md lets their folders have", () => {
    assert.ok(files.length > 200);
    assert.equal(files.sort().flatMap((file) => strays(file, read(file), rules)), []);
  });

  test("are found, of values where only types may be, and of folders that are in no row", () => {
    const stray = (file: string, text: string) => strays(file, text, rules);
    assert.equal(stray("triage/x.ts", `import { a } from "../clickhouse/client.ts";`), [
      "triage/x.ts imports clickhouse/client.ts",
    ]);
    assert.equal(stray("triage/x.ts", `import { type A, type B } from "../clickhouse/client.ts";`), []);
    assert.equal(stray("core/x.ts", `export type { A }\n  from "../ports.ts";`), [
      "core/x.ts imports a type of ports.ts",
    ]);
    assert.equal(stray("simulate/x.ts", `import { a } from "../runtime/shuffle.ts";`), []);
    assert.equal(stray("simulate/x.ts", `import { a } from "../runtime/log.ts";`), [
      "simulate/x.ts imports runtime/log.ts",
    ]);
    assert.equal(stray("cli/x.ts", `import { a } from "../nowhere/a.ts";`), []);
    assert.equal(stray("elsewhere/x.ts", ""), ["elsewhere/x.ts is in no row of the table"]);
  });
});
