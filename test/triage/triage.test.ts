/** What is made of what was found: authorities, commands, findings, and what a terminal is shown. */
import { execFileSync } from "node:child_process";
import * as assert from "uvu/assert";
import { loadPack } from "../../src/assert/pack.ts";
import { printTriage } from "../../src/cli/triage-text.ts";
import { explainCommand, shellWord } from "../../src/triage/commands.ts";
import { AUTHORITIES, type Authority, type Check, findingsOf, verdictOf } from "../../src/triage/findings.ts";
import { roundUp } from "../../src/triage/page/chart.ts";
import { html, Markup } from "../../src/triage/page/markup.ts";
import { ratesOf } from "../../src/triage/rates.ts";
import { cellText } from "../../src/triage/sections.ts";
import type { Triage } from "../../src/triage/triage.ts";
import { FOUND, HOSTILE } from "../helpers/found.ts";
import { describe } from "../helpers/suite.ts";

/** What is printed of a state. */
function printed(found: Triage): string {
  let out = "";
  const write = process.stdout.write;
  process.stdout.write = (text: string | Uint8Array) => (out += String(text)) !== "";
  try {
    printTriage(found);
  } finally {
    process.stdout.write = write;
  }
  return out;
}

describe("triage", (test) => {
  test("has assertions as authorities that there are", () => {
    for (const { pack, name } of Object.values<readonly Authority[]>(AUTHORITIES).flat()) {
      assert.ok(loadPack(pack).assertions.some((one) => one.name === name), `${pack}.${name}`);
    }
  });

  test("writes commands that a shell takes for what they are, whatever the names", () => {
    for (const text of [...HOSTILE, "stream|request", "it's", "", "a\nb", "$HOME"]) {
      if (text.includes("\u0000")) continue; // No program can be given it.
      assert.is(execFileSync("sh", ["-c", `printf '%s' ${shellWord(text)}`], { encoding: "utf8" }), text);
    }
    assert.is(explainCommand("org", "stream|request"), "latecomer explain --source org -- 'stream|request'");
  });

  test("finds what failed before what only warns, and a gap is only a warning, for it is past", () => {
    const check = (check: string, state: Check["state"]): Check => ({
      check,
      state,
      detail: `${check} it is`,
      fix: "mend",
    });
    const checks = [check("gap", "warning"), check("partition 0", "warning"), check("rollup", "ok")];
    const found = findingsOf(FOUND.scope, [], checks, []);
    assert.equal(found.map(({ name, state }) => [name, state]), [["partition 0", "failed"], ["gap", "warned"]]);
    assert.is(verdictOf(found), "1 wrong, 1 to be looked at.");
    assert.is(verdictOf([]), "Nothing wrong.");
  });

  test("goes on from a finding with the command for it", () => {
    const commands = Object.fromEntries(FOUND.findings.map(({ name, commands }) => [name, commands]));
    const window = "--from 2026-02-25T19:00:00.000Z --to 2026-02-25T22:00:00.000Z";
    const explained = HOSTILE.slice(0, 3).map((session) => explainCommand(FOUND.scope.source!, session));
    assert.equal(commands, {
      raw_typed_no_dlq_or_quarantine_for_core_types: [`latecomer dlq list ${window}`],
      silver_empty_key_rate: explained,
      parity_overlap_health: [`latecomer rollup ${window}`],
    });
  });

  test("counts as a row without a key only one that names somebody", () => {
    const fact = "fact_stream_trace_edges";
    const reasons = [["", 6], ["no_snapshot", 1], ["node_unknown", 1], ["pre_assignment", 50], ["no_orchestrator", 50]];
    const counts = reasons.map(([reason, rows]) => ({ fact, reason: String(reason), rows: Number(rows) }));
    assert.equal(ratesOf(counts), [{ fact, attributable: 8, unattributed: 2 }]);
  });

  test("prints nothing that steers a terminal, and every name", () => {
    const out = printed(FOUND);
    // deno-lint-ignore no-control-regex
    assert.is(/[\u0000-\u0009\u000b-\u001f\u007f\u202a-\u202e]/.exec(out), null);
    assert.match(out, `failed: silver_empty_key_rate (test/integration/sql/assertions_pipeline.sql)`);
    assert.match(out, `→ ${explainCommand(HOSTILE[0]!, HOSTILE[1]!)}`);
    assert.match(out, `\n▃   ▁\n`);
    assert.match(out, `\n3 wrong.\nNATS could not be asked`);
    for (const name of HOSTILE.slice(0, 6)) assert.match(out, name);
  });

  test("says of every name and session whose it is: sources name theirs alike", () => {
    const of = <Row extends object>([row]: readonly Row[]): Row[] =>
      ["org", "lab"].map((source) => ({ ...row!, source }));
    const late = { ...FOUND.late, healed: of(FOUND.late.healed) };
    const out = printed({ ...FOUND, offenders: of(FOUND.offenders), sessions: of(FOUND.sessions), late });
    for (const source of ["org", "lab"]) assert.is(out.match(new RegExp(`^${source}  .`, "gm"))?.length, 3, source);
  });

  test("writes values in as few figures as tell them apart", () => {
    const written = [0.181818, 1, 0, 0.0042].map((ratio) => cellText({ ratio }));
    assert.equal(written, ["18.2 %", "100 %", "0 %", "0.42 %"]);
    const spans = [12.4, 16_900, 1_800_000, 7_500_000, 200_000_000].map((durationMs) => cellText({ durationMs }));
    assert.equal(spans, ["12 ms", "16.9 s", "30 min", "2 h 5 min", "2 d 7 h"]);
    assert.equal([1, 3, 0.18, 7, 12, 100].map(roundUp), [1, 5, 0.2, 10, 20, 100]);
  });

  test("escapes every value in markup but markup itself", () => {
    assert.is(
      html`<p title="${`"'&`}">${["<b>", html`<i>${"<"}</i>`, 3]}</p>`.text,
      '<p title="&quot;&#39;&amp;">&lt;b&gt;<i>&lt;</i>3</p>',
    );
    assert.is(html`${new Markup("<b>")}`.text, "<b>");
    assert.is(html`${"a\u0000b\nc"}`.text, "a\ufffdb\nc");
  });
});
