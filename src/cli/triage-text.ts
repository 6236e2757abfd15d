/** What `latecomer triage` prints: what is wrong first, then the tables. */
import { formatDuration, formatInstant } from "../core/time.ts";
import { printable } from "../printable.ts";
import { type Finding, verdictOf } from "../triage/findings.ts";
import type { History } from "../triage/rates.ts";
import { cellText, sectionsOf, type Table } from "../triage/sections.ts";
import type { Triage } from "../triage/triage.ts";
import { printLine, printTable } from "./context.ts";

export function printTriage(found: Triage): void {
  const { scope, findings, lag } = found;
  const of = scope.source === undefined ? "all sources" : `source ${printable(scope.source)}`;
  printLine(`events from ${formatInstant(scope.fromMs)} to ${formatInstant(scope.toMs)}, ${of}`);
  printFindings(findings);
  for (const { id, title, note, tables } of sectionsOf(found)) {
    printLine(`\n${title}`);
    if (note !== "") printLine(printable(note));
    if (id === "keys") printHistory(found.history);
    for (const table of tables) printOne(table);
  }
  printLine(`\n${verdictOf(findings)}`);
  if (lag.unknown !== "") printLine("NATS could not be asked: this is what ClickHouse alone knows.");
}

function printFindings(findings: readonly Finding[]): void {
  for (const { state, name, file, promise, details, commands } of findings) {
    printLine(`\n${state}: ${name}${file === "" ? "" : ` (${file})`}`);
    if (promise !== "") printLine(`  promised: ${promise}`);
    for (const detail of details) printLine(`  ${printable(detail)}`);
    for (const command of commands) printLine(`  → ${printable(command)}`);
  }
}

function printOne({ caption, columns, rows, whenEmpty }: Table): void {
  if (rows.length === 0) return whenEmpty === "" ? undefined : printLine(whenEmpty);
  const shown = columns.flatMap(({ onlyOnPage }, at) => (onlyOnPage ? [] : [at]));
  printLine(`${caption}:`);
  printTable(
    shown.map((at) => columns[at]!.name),
    rows.map((row) => shown.map((at) => printable(cellText(row[at]!)))),
  );
}

const HEIGHTS = "▁▂▃▄▅▆▇█";

/** The rate of samples without a key as a row of bars; a gap where there are no samples. */
function printHistory({ stepMs, buckets }: History): void {
  if (buckets.length === 0) return;
  const [first, last] = [buckets[0]!.atMs, buckets.at(-1)!.atMs];
  const bars = Array.from({ length: (last - first) / stepMs + 1 }, () => " ");
  for (const { atMs, attributed, unattributed } of buckets) {
    const missing = Object.values(unattributed).reduce((sum, rows) => sum + rows, 0);
    const rate = missing / (missing + attributed);
    bars[(atMs - first) / stepMs] = HEIGHTS[Math.min(HEIGHTS.length - 1, Math.floor(rate * HEIGHTS.length))]!;
  }
  printLine(`samples without a key, from ${formatInstant(first)}, a bar for ${formatDuration(stepMs)}, █ all of them:`);
  printLine(bars.join(""));
}
