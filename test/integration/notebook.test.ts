/**
 * The notebook, executed on the Deno kernel against an installation with the ordering stress scenario: it names what a
 * withheld snapshot leaves unknown, beside the assertion that says so, and nothing of it when the snapshot has come.
 */
import * as assert from "uvu/assert";
import { table } from "../../deploy/notebook/show.ts";
import { loadPack, USUAL_PACKS } from "../../src/assert/pack.ts";
import { registerRun } from "../../src/cli/run.ts";
import { type Cluster, withServedCluster } from "../helpers/cluster.ts";
import { environmentOf, inProcess } from "../helpers/command.ts";
import { type Cell, executed, keptNotebook, nbconvert, type Notebook, shownBy } from "../helpers/notebook.ts";
import { refusedReads, UNREADABLE } from "../helpers/readers.ts";
import { EVENTS, UNKNOWN_SESSION, WITHHELD } from "../helpers/stress.ts";
import { describe } from "../helpers/suite.ts";

/** The stress scenario's messages lie forty minutes apart, and none of them may be too late for any other. */
const LATENESS = "2000h";

const SESSION = new RegExp(UNKNOWN_SESSION.replace("|", "\\|"));

async function processAll(cluster: Cluster): Promise<void> {
  const args = ["run", "--until-drained", "--allowed-lateness", LATENESS];
  const { code, err } = await inProcess(registerRun, environmentOf(cluster), args);
  assert.is(code, 0, err);
}

function execute(program: string, cluster: Cluster, shown: readonly string[]): Promise<Notebook> {
  const variables = {
    CLICKHOUSE_URL: cluster.config.clickhouseUrl,
    TRIAGE_FROM: "2026-02-25T19:00:00Z",
    TRIAGE_TO: "2026-02-25T22:00:00Z",
    TRIAGE_SOURCE: "org",
  };
  return executed(program, variables, shown);
}

/** The queries of a cell. */
function queriesOf({ source }: Cell): string[] {
  return [...source.join("").matchAll(/`\s*(SELECT[^`]*)`/g)].map(([, sql]) => sql!);
}

/** What a query computes instead of reading it: functions that it calls, and clauses that make rows of other rows. */
function computes(sql: string): string[] {
  const called = [...sql.matchAll(/\b(\w+)\s*\(/g)].map(([, name]) => name!.toUpperCase());
  const clauses = sql.toUpperCase().match(/\b(GROUP BY|JOIN|UNION|OVER|FINAL|DISTINCT|HAVING|WITH)\b/g) ?? [];
  return [...called.filter((name) => !["TODATETIME", "AND"].includes(name)), ...clauses];
}

describe("the notebook", (test) => {
  test("is kept without outputs, for the Deno kernel", () => {
    const { nbformat, metadata, cells } = keptNotebook();
    assert.is(nbformat, 4);
    assert.equal([metadata.kernelspec.name, metadata.kernelspec.language], ["deno", "typescript"]);
    assert.is(new Set(cells.map(({ id }) => id)).size, cells.length);
    for (const { id, cell_type, outputs, execution_count } of cells) {
      if (cell_type === "code") assert.equal([outputs, execution_count], [[], null], id);
    }
  });

  test("escapes what events say", () => {
    const shown = table([{ "<b>": `<script>alert("x")</script>`, list: ["a&b"] }], "nothing");
    const { "text/html": html } = shown[Symbol.for("Jupyter.display")]!();
    assert.not.match(html!, /<script|<b>/);
    assert.match(html!, "&lt;script&gt;alert(&quot;x&quot;)");
    assert.match(html!, "[&quot;a&amp;b&quot;]");
  });

  test("reads views and facts as they stand, a row at a time, and computes nothing again", () => {
    const cells = keptNotebook().cells.filter(({ cell_type }) => cell_type === "code");
    const queries = cells.flatMap(queriesOf);
    const code = cells.map(({ source }) => source.join("")).join("\n");
    assert.is(queries.length, code.split("clickhouse.rows(").length - 1, "every query is found");
    assert.ok(queries.length >= 5);
    assert.not.match(code, /\.reduce\(|\+=/);
    for (const sql of queries) {
      assert.equal(refusedReads(sql), [], sql);
      assert.equal(computes(sql), [], sql);
      assert.not.match(sql, "${");
    }
    for (const name of UNREADABLE) assert.equal(refusedReads(`SELECT source FROM ${name}`), [name]);
    for (
      const sql of [
        "SELECT count() FROM v",
        "SELECT a FROM v GROUP BY a",
        "SELECT sum (a) FROM v",
        "SELECT a FROM v FINAL",
      ]
    ) {
      assert.is(computes(sql).length, 1, sql);
    }
  });

  test("names the sessions and keys that a withheld snapshot leaves unknown, and nobody when it has come", async () => {
    const program = await nbconvert();
    if (program === undefined) return;
    await withServedCluster({ allowedLatenessMs: LATENESS }, async (cluster) => {
      await cluster.publish("org", EVENTS);
      await processAll(cluster);
      const cells = ["verdict", "attribution", "unknown", "sessions", "sessions-picture", "parity"];
      const withheld = await execute(program, cluster, cells);
      assert.equal(
        withheld.cells.flatMap(({ outputs = [] }) => outputs).filter((one) => one.output_type === "error"),
        [],
      );

      const total = USUAL_PACKS.flatMap((pack) => loadPack(pack).assertions).length;
      assert.match(shownBy(withheld, "verdict"), new RegExp(`of ${total} assertions passed`));
      assert.match(shownBy(withheld, "verdict"), /failed.*silver_empty_key_rate.*assertions_pipeline\.sql/);
      assert.match(shownBy(withheld, "attribution"), /<svg [\s\S]*no_snapshot[\s\S]*<\/svg>/);
      const unknown = shownBy(withheld, "unknown");
      for (const part of ["0x3333333333333333333333333333333333333333", "https://node-c.example:8935", "no_snapshot"]) {
        assert.match(unknown, part);
      }
      assert.match(unknown, SESSION);
      assert.match(unknown, /unresolved_late_corrections \(test\/integration\/sql\/assertions_pipeline\.sql\): passed/);
      const authority = /session_attribution_proportions \(test\/integration\/sql\/assertions_pipeline\.sql\): failed/;
      const line = shownBy(withheld, "sessions").split("\n").find((one) =>
        SESSION.test(one) && /not attributed/.test(one)
      );
      assert.match(line ?? "no line", authority);
      assert.match(shownBy(withheld, "sessions-picture"), /<svg /);
      assert.match(shownBy(withheld, "parity"), /gpu_view_matches_rollup .*: passed/);

      await cluster.publish("org", WITHHELD);
      await processAll(cluster);
      const healed = await execute(program, cluster, ["verdict", "unknown", "sessions"]);
      assert.match(shownBy(healed, "unknown"), /every sample is attributed/);
      assert.not.match(shownBy(healed, "sessions"), SESSION);
      assert.not.match(shownBy(healed, "verdict"), /silver_empty_key_rate|session_attribution_proportions/);
    });
  });
});
