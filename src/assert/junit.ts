/** Results as JUnit XML, which CI systems read. */
import type { PackResult, Result } from "./run.ts";

/** One suite per pack, one case per assertion; a warning is a case that passed and says so in its output. */
export function junitXml(packs: readonly PackResult[]): string {
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"];
  for (const { pack, file, results } of packs) {
    const failures = results.filter(({ state }) => state === "failed").length;
    lines.push(
      `  <testsuite name=${quoted(pack)} tests="${results.length}" failures="${failures}" file=${quoted(file)}>`,
    );
    for (const result of results) lines.push(...testCase(pack, result));
    lines.push("  </testsuite>");
  }
  return [...lines, "</testsuites>", ""].join("\n");
}

function testCase(pack: string, { name, what, state, failedRows, diagnostics, error, ms }: Result): string[] {
  const open = `    <testcase classname=${quoted(pack)} name=${quoted(name)} time="${(ms / 1_000).toFixed(3)}"`;
  if (state === "passed") return [`${open}/>`];
  const message = error === "" ? `${failedRows} rows break: ${what}` : error;
  const body = escaped(JSON.stringify(diagnostics));
  return state === "failed"
    ? [`${open}>`, `      <failure message=${quoted(message)}>${body}</failure>`, "    </testcase>"]
    : [`${open}>`, `      <system-out>${escaped(`warning: ${message} `)}${body}</system-out>`, "    </testcase>"];
}

function quoted(text: string): string {
  return `"${escaped(text)}"`;
}

/** Control characters have no form in XML. */
function escaped(text: string): string {
  // deno-lint-ignore no-control-regex
  const printable = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
  return printable.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
