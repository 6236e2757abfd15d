/**
 * Every assertion pack over every fixture set, each in a fresh installation:
 *
 *     npm run test:integration [-- FOLDER]       the report goes to FOLDER, .latecomer/integration by default
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Result } from "../../src/assert/run.ts";
import { exportProduction, fixtureSets, judge, type SetReport } from "../helpers/harness.ts";

const out = process.argv[2] ?? ".latecomer/integration";
const exported = mkdtempSync(join(tmpdir(), "latecomer-fixtures-"));
const reports: SetReport[] = [];
let exportMs = performance.now();
try {
  await exportProduction(exported);
  exportMs = Math.round(performance.now() - exportMs);
  for (const set of fixtureSets(exported)) {
    const report = await judge(set);
    reports.push(report);
    console.log(`${report.set}: ${report.passed} passed, ${report.warned} warned, ${report.failed} failed`);
    for (const { pack, file, results } of report.packs) {
      for (const { name, state, what, diagnostics, error } of results.filter((one) => one.state === "failed")) {
        console.log(`  ${state}: ${pack}.${name} (${file}): ${what}\n    ${error} ${JSON.stringify(diagnostics)}`);
      }
    }
  }
} finally {
  rmSync(exported, { recursive: true, force: true });
}
mkdirSync(out, { recursive: true });
writeFileSync(join(out, "report.json"), `${JSON.stringify({ exportMs, reports }, null, 2)}\n`);
writeFileSync(join(out, "report.md"), markdown());
console.log(`the report is in ${out}`);
// Two empty sides agree as well, and prove nothing.
const isEmpty = reports.some(({ packs }) => overlapOf(packs.flatMap(({ results }) => results)) === 0);
if (isEmpty) console.log("gpu_view_matches_rollup passed on nothing");
process.exitCode = isEmpty || reports.some(({ failed }) => failed > 0) ? 1 : 0;

function overlapOf(results: readonly Result[]): number {
  return Number(results.find(({ name }) => name === "gpu_view_matches_rollup")?.diagnostics.joined_rows ?? 0);
}

function markdown(): string {
  const lines = ["# Integration", "", `Fixtures were exported in ${exportMs} ms.`, ""];
  const stages = reports[0]!.stages.map(({ stage }) => stage);
  lines.push(`| fixtures | ${stages.join(" | ")} | passed | warned | failed |`);
  lines.push(`|---|${stages.map(() => "---:|").join("")}---:|---:|---:|`);
  for (const { set, stages, passed, warned, failed } of reports) {
    lines.push(`| ${set} | ${stages.map(({ ms }) => `${ms} ms`).join(" | ")} | ${passed} | ${warned} | ${failed} |`);
  }
  for (const { set, packs } of reports) {
    const open = packs.flatMap(({ results }) => results).filter(({ state }) => state !== "passed");
    if (open.length === 0) continue;
    lines.push("", `## ${set}`, "", "| assertion | | promised | diagnostics |", "|---|---|---|---|");
    for (const { name, state, what, diagnostics, error } of open) {
      const shown = (error === "" ? JSON.stringify(diagnostics) : error).replaceAll("|", "\\|");
      lines.push(`| \`${name}\` | ${state} | ${what} | ${shown} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}
