/**
 * Assertion packs: files of named queries, each of which counts the rows that break one promise of the warehouse.
 *
 * A block begins with its comments and ends before the next name:
 *
 *     -- name: session_has_identifier
 *     -- what: every session has an id
 *     -- severity: warning            (when it only warns; without this line it fails)
 *     SELECT count() AS failed_rows, … FROM …
 *
 * A block of `definitions.sql`, which begins with `-- define: <name>`, is a query that assertions, and later ones of these,
 * may read from by name.
 *
 * The first row of the answer counts: `failed_rows` says how many rows break the promise, every other column is there to
 * show where to look. `{from_ts:DateTime64(3, 'UTC')}` (included) and `{to_ts:DateTime64(3, 'UTC')}` (excluded) are the
 * window.
 */
import { readFileSync } from "node:fs";
import { LatecomerError } from "../errors.ts";

const FOLDER = new URL("../../test/integration/sql/", import.meta.url);

export interface Assertion {
  readonly name: string;
  /** The promise, in a few words. */
  readonly what: string;
  /** A warning is shown and fails nothing. */
  readonly severity: "blocking" | "warning";
  readonly sql: string;
}

export interface Pack {
  readonly name: string;
  /** Where it stands, as a path within the project. */
  readonly file: string;
  readonly assertions: readonly Assertion[];
}

/** The packs that hold for every installation. */
export const USUAL_PACKS: readonly string[] = ["raw_typed", "pipeline", "api_readiness"];

/** All packs; the last asks for situations that only fixtures are sure to have. */
export const PACKS: readonly string[] = [...USUAL_PACKS, "scenario_candidates"];

/** Reads a pack. Throws PACK_UNKNOWN (usage) for a name that is none. */
export function loadPack(name: string): Pack {
  if (!PACKS.includes(name)) {
    throw new LatecomerError("PACK_UNKNOWN", "usage", `no pack "${name}": there are ${PACKS.join(", ")}`);
  }
  const file = `assertions_${name}.sql`;
  const text = (name: string) => readFileSync(new URL(name, FOLDER), "utf8");
  const assertions = readPack(`${text("definitions.sql")}\n${text(file)}`);
  return { name, file: `test/integration/sql/${file}`, assertions };
}

/** The blocks of a pack's text. Throws PACK_INVALID (fatal) for one that lacks its comments or has a name twice. */
export function readPack(text: string): Assertion[] {
  const blocks = text.split(/^(?=-- (?:name|define): )/m).map(readBlock);
  const definitions = blocks.filter(({ kind }) => kind === "define");
  const assertions = blocks.filter(({ kind }) => kind === "name").map(({ name, said, sql }): Assertion => {
    const severity = said("severity") ?? "blocking";
    const what = said("what");
    if (what === undefined || (severity !== "blocking" && severity !== "warning")) {
      throw new LatecomerError("PACK_INVALID", "fatal", `the assertion "${name}" lacks what it says or its severity`);
    }
    const prelude = neededBy(sql, definitions).map((one) => `${one.name} AS\n(\n${one.sql}\n)`).join(",\n");
    return { name, what, severity, sql: prelude === "" ? sql : `WITH ${prelude}\n${sql}` };
  });
  const twice = assertions.find(({ name }, at) => assertions.findIndex((one) => one.name === name) !== at);
  if (twice !== undefined) throw new LatecomerError("PACK_INVALID", "fatal", `"${twice.name}" stands twice in a pack`);
  return assertions;
}

/** The definitions that a query reads from, by itself or through another; each may read from those before it. */
function neededBy(sql: string, definitions: readonly Block[]): Block[] {
  return definitions.reduceRight<Block[]>((needed, one) => {
    const isRead = [sql, ...needed.map((later) => later.sql)].some((text) =>
      new RegExp(`\\b${one.name}\\b`).test(text)
    );
    return isRead ? [one, ...needed] : needed;
  }, []);
}

type Block = ReturnType<typeof readBlock>;

function readBlock(block: string) {
  const [heading = "", ...lines] = block.trim().split("\n");
  const [, kind, name = ""] = /^-- (name|define): (.+)$/.exec(heading) ?? [];
  const said = (what: string) => lines.find((line) => line.startsWith(`-- ${what}: `))?.slice(what.length + 5);
  const sql = lines.filter((line) => !line.startsWith("--")).join("\n").trim().replace(/;$/, "");
  return { kind, name, said, sql };
}
