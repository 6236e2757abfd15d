/** Queries over Prometheus, held against the metrics and labels that a process has. */
import { readFileSync } from "node:fs";
import { parser } from "@prometheus-io/lezer-promql";

/** Labels by metric, as `deploy/METRICS.md` lists them. */
export function documentedMetrics(): Map<string, Set<string>> {
  const text = readFileSync(new URL("../../deploy/METRICS.md", import.meta.url), "utf8");
  const names = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!);
  // Behind a colon stand the values of a label.
  const labelsIn = (cell: string) => cell.split(";").flatMap((part) => names(part.split(":")[0]!));
  const lines = text.split("\n").filter((line) => line.startsWith("| `")).map((line) => line.split("|").slice(1));
  return new Map(
    lines.flatMap(([metrics = "", labels = ""]) => names(metrics).map((metric) => [metric, new Set(labelsIn(labels))])),
  );
}

/** Of what histograms an alert on a quantile is advised, and above which value. */
export function documentedQuantiles(): Map<string, number> {
  const text = readFileSync(new URL("../../deploy/METRICS.md", import.meta.url), "utf8");
  const lines = text.matchAll(/^\| `(latecomer_\w+)`.*histogram.*\*\*A\*\* p99 above ([\d.]+)/gm);
  return new Map([...lines].map(([, name, least]) => [name!, Number(least)]));
}

/**
 * What is wrong with a query over Prometheus: its syntax, a metric that there is not, a label that no metric has.
 * `added` are the labels that Prometheus itself gives what it reads from a process.
 */
export function promProblems(
  expr: string,
  metrics: ReadonlyMap<string, ReadonlySet<string>>,
  added: readonly string[] = ["instance"],
): string[] {
  const sent = expr.replaceAll("$__rate_interval", "5m");
  const problems: string[] = [];
  const asked = [...sent.matchAll(/\b(?:latecomer|process|nodejs)_\w+/g)].map(([name]) => name.replace(/_bucket$/, ""));
  if (asked.length === 0) problems.push("no metric");
  for (const name of asked) if (!metrics.has(name)) problems.push(`no metric ${name}`);
  const known = new Set(["le", ...added, ...asked.flatMap((name) => [...metrics.get(name) ?? []])]);
  parser.parse(sent).iterate({
    enter: ({ type, from, to }) => {
      const text = sent.slice(from, to);
      if (type.isError) problems.push(`not understood at ${from}`);
      if (type.name === "LabelName" && !known.has(text)) problems.push(`no label ${text}`);
    },
  });
  return problems;
}

/** The labels that each metric of a page has; of a histogram those of all its buckets. */
export function labelsOn(page: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const [, sample, labels = ""] of page.matchAll(/^(\w+)(?:\{(.*)\})? /gm)) {
    const name = sample!.replace(/_(bucket|sum|count)$/, "");
    const known = found.get(name) ?? new Set();
    for (const [, label] of labels.matchAll(/(\w+)="/g)) if (label !== "le") known.add(label!);
    found.set(name, known);
  }
  return found;
}
