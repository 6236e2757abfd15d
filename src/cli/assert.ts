/** `latecomer assert`: assertion packs over a window, with diagnostics of whatever does not hold. */
import type { Command } from "commander";
import { junitXml } from "../assert/junit.ts";
import { loadPack, PACKS, USUAL_PACKS } from "../assert/pack.ts";
import { type PackResult, type Result, runPacks } from "../assert/run.ts";
import type { Window } from "../core/time.ts";
import { EXIT } from "../errors.ts";
import { checkClickHouse, requireSound } from "./checks.ts";
import {
  configOf,
  type Context,
  printJson,
  printLine,
  printTable,
  requireWritable,
  withSettings,
  withWarehouse,
  writeNamed,
} from "./context.ts";
import { hoursOf, withHours } from "./time.ts";

interface AssertFlags {
  readonly from?: number;
  readonly to?: number;
  readonly junit?: string;
  readonly json?: boolean;
}

export function registerAssert(program: Command, context: Context): void {
  const command = withHours(program.command("assert"))
    .description("run assertion packs over a window; exit 1 when one fails")
    .argument("[pack...]", `of ${PACKS.join(", ")}; by default ${USUAL_PACKS.join(", ")}`)
    .option("--junit <file>", "also write JUnit XML")
    .option("--json", "one JSON document on stdout");
  withSettings(command, ["clickhouseUrl", "database"]).action(async (names: string[], flags: AssertFlags) => {
    const config = configOf(context, flags);
    const packs = [...new Set(names.length > 0 ? names : USUAL_PACKS)].map(loadPack);
    const window = hoursOf(flags);
    if (flags.junit !== undefined) await requireWritable(flags.junit);
    await withWarehouse(config, async (clickhouse) => {
      requireSound(await checkClickHouse(config, clickhouse));
      const done = await runPacks(clickhouse, packs, window);
      if (flags.junit !== undefined) writeNamed(flags.junit, junitXml(done));
      report(flags, window, done);
      if (done.some(({ results }) => results.some(({ state }) => state === "failed"))) context.setExitCode(EXIT.failed);
    });
  });
}

function report(flags: AssertFlags, { fromMs, toMs }: Window, packs: readonly PackResult[]): void {
  const [from, to] = [fromMs, toMs].map((ms) => new Date(ms).toISOString());
  const all = packs.flatMap(({ results }) => results);
  const count = (state: Result["state"]) => all.filter((one) => one.state === state).length;
  const [passed, warned, failed] = [count("passed"), count("warned"), count("failed")];
  if (flags.json) return printJson({ from, to, passed, warned, failed, packs });
  printLine(`events from ${from} to ${to}`);
  for (const { pack, results } of packs) {
    printTable([pack, "", "rows"], results.map(({ name, state, failedRows }) => [name, state, failedRows || ""]));
  }
  for (const { pack, file, results } of packs) {
    for (const { name, what, state, error, diagnostics } of results) {
      if (state === "passed") continue;
      printLine(`${state}: ${pack}.${name} (${file})`);
      printLine(`  promised: ${what}`);
      if (error !== "") printLine(`  ${error}`);
      for (const [column, value] of Object.entries(diagnostics)) printLine(`  ${column}: ${shown(value)}`);
    }
  }
  printLine(`${passed} passed, ${warned} warned, ${failed} failed`);
}

function shown(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
