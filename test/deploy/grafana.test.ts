/** What Grafana is given has the shape that it reads, and asks nothing that a dashboard may not ask. */
import * as assert from "uvu/assert";
import {
  alertRules,
  asSent,
  CLICKHOUSE,
  clickhouseQueries,
  dashboards,
  type Datasource,
  PROMETHEUS,
  prometheusQueries,
  provisioned,
} from "../helpers/grafana.ts";
import { documentedMetrics, promProblems } from "../helpers/prometheus.ts";
import { readsOf, refusedReads, UNREADABLE } from "../helpers/readers.ts";
import { describe } from "../helpers/suite.ts";

const GRID_WIDTH = 24;

const UNITS = { m: 60, h: 3_600 } as const;

function repeated(values: readonly unknown[]): unknown[] {
  return values.filter((value, at) => values.indexOf(value) !== at);
}

describe("what Grafana is given", (test) => {
  test("has the dashboards with stable, distinct uids, and panels that lie side by side within the grid", () => {
    const all = dashboards();
    assert.equal([...all.keys()], ["attribution.json", "network.json", "processor.json", "sla.json"]);
    for (const [file, { uid, title, panels }] of all) {
      assert.is(uid, `latecomer-${file.replace(".json", "")}`);
      assert.match(title, /^Latecomer: /);
      assert.equal(repeated(panels.map(({ id }) => id)), [], file);
      const taken = new Set<string>();
      for (const { title, description = "", type, gridPos: { x, y, w, h } } of panels) {
        const where = `${file}, ${title}`;
        assert.ok(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= GRID_WIDTH, `${where} is outside the grid`);
        if (type !== "row") assert.ok(description.length > 0, `${where} does not say what it shows`);
        for (let column = x; column < x + w; column++) {
          for (let line = y; line < y + h; line++) {
            assert.not(taken.has(`${column} ${line}`), `${where} lies over another panel`);
            taken.add(`${column} ${line}`);
          }
        }
      }
    }
  });

  test("reads its own two data sources and no other, each by the type that it has", () => {
    const { datasources } = provisioned<{ datasources: readonly Datasource[] }>("datasources");
    const types = new Map(datasources.map(({ uid, type }) => [uid, type]));
    assert.equal([...types], [[CLICKHOUSE, "grafana-clickhouse-datasource"], [PROMETHEUS, "prometheus"]]);
    const used: { where: string; datasource: Datasource | undefined }[] = [];
    for (const [file, { panels, templating }] of dashboards()) {
      for (const { name, datasource } of templating.list) used.push({ where: `${file}, ${name}`, datasource });
      for (const { type, title, datasource, targets = [] } of panels) {
        if (type === "row") continue;
        const where = `${file}, ${title}`;
        assert.ok(targets.length > 0, `${where} asks nothing`);
        assert.equal(repeated(targets.map(({ refId }) => refId)), [], where);
        used.push({ where, datasource });
        for (const target of targets) {
          assert.equal(target.datasource, datasource, where);
          assert.is(target.rawSql !== undefined, target.datasource.uid === CLICKHOUSE, where);
          assert.is(target.expr !== undefined, target.datasource.uid === PROMETHEUS, where);
        }
      }
    }
    assert.ok(used.length > 30);
    for (const { where, datasource } of used) assert.is(datasource?.type, types.get(datasource?.uid ?? ""), where);
  });

  test("finds its dashboards where they are mounted, and keeps no password", () => {
    const { providers } = provisioned<{ providers: readonly { type: string; options: { path: string } }[] }>(
      "dashboards",
    );
    assert.equal(providers.map(({ type, options }) => [type, options.path]), [
      ["file", "/var/lib/grafana/dashboards/latecomer"],
    ]);
    const { datasources } = provisioned<{ datasources: readonly { secureJsonData?: Record<string, string> }[] }>(
      "datasources",
    );
    for (const { secureJsonData = {} } of datasources) {
      for (const [name, value] of Object.entries(secureJsonData)) assert.match(value, /^\$[A-Z_]+$/, name);
    }
  });

  test("asks rollups, views of the warehouse and facts as they stand, and nothing else", () => {
    for (const { where, sql } of clickhouseQueries()) {
      assert.ok(readsOf(sql).length > 0, where);
      assert.equal(refusedReads(sql), [], where);
    }
    for (const name of UNREADABLE) assert.equal(refusedReads(`SELECT 1 FROM (SELECT * FROM ${name})`), [name]);
  });

  test("asks Prometheus for metrics and labels that a process has, in words that it understands", () => {
    const metrics = documentedMetrics();
    const queries = prometheusQueries();
    assert.ok(queries.length > 30);
    for (const { where, expr } of queries) assert.equal(promProblems(expr, metrics), [], `${where}: ${expr}`);
    const wrong: [string, RegExp][] = [
      ["sum(latecomer_ready", /not understood/],
      ["sum by (latecomer_ready", /not understood/],
      ["latecomer_steady", /no metric latecomer_steady/],
      ["sum by (wallet) (latecomer_ready)", /no label wallet/],
      ["latecomer_lag_seconds{source='x'}", /no label source/],
    ];
    for (const [expr, found] of wrong) assert.match(promProblems(expr, metrics).join(), found, expr);
  });

  test("asks what every program tells of itself of our processes alone", () => {
    const asked = prometheusQueries().filter(({ expr }) => /\b(process|nodejs)_/.test(expr));
    assert.ok(asked.length >= 4);
    for (const { where, expr } of asked) assert.match(expr, / and on \(instance\) .*latecomer_ready/, where);
  });

  test("adds up over processes nothing that each of them counts of the same snapshots", () => {
    const shown = [...dashboards().values()].flatMap(({ panels }) => panels).flatMap(({ targets = [] }) => targets);
    const asked = shown.flatMap(({ expr = "" }) =>
      /latecomer_(late_snapshots|snapshots_dropped)_/.test(expr) ? [expr] : []
    );
    assert.is(asked.length, 3);
    for (const expr of asked) assert.match(expr, /^max\(increase\(/);
  });

  test("writes a variable as an SQL string only, so that no value breaks out of its quotes", () => {
    const window = { fromMs: 0, toMs: 1_000 };
    const values = { source: ["a'b"], model: ["m"], orchestrator: ["0x"] };
    for (const { sql } of clickhouseQueries()) asSent(sql, window, values);
    assert.is(asSent("IN (${source:sqlstring})", window, values), "IN ('a''b')");
    for (const sql of ["'$source'", "${source}", "${source:raw}", "$__unheard(x)"]) {
      assert.throws(() => asSent(sql, window, values), undefined, sql);
    }
  });

  test("has alert rules with distinct uids that compare one number with one threshold and say what to do", () => {
    const rules = alertRules();
    assert.ok(rules.length >= 8);
    assert.equal(repeated(rules.map(({ uid }) => uid)), []);
    assert.equal(repeated(rules.map(({ title }) => title)), []);
    for (const rule of rules) {
      const [asked, compared, ...more] = rule.data;
      assert.equal(more, [], rule.uid);
      assert.match(rule.uid, /^latecomer-[a-z0-9-]{1,29}$/);
      assert.ok([CLICKHOUSE, PROMETHEUS].includes(asked!.datasourceUid), rule.uid);
      assert.ok(asked!.relativeTimeRange!.from > 0 && asked!.relativeTimeRange!.to === 0, rule.uid);
      assert.is(asked!.model.refId, asked!.refId);
      assert.is(compared!.datasourceUid, "__expr__");
      assert.is(compared!.refId, rule.condition);
      assert.is(compared!.model.type, "threshold");
      assert.is(compared!.model.expression, asked!.refId);
      assert.is(compared!.model.conditions!.length, 1);
      const { type, params } = compared!.model.conditions![0]!.evaluator;
      assert.ok(["gt", "lt"].includes(type) && params.length === 1 && Number.isFinite(params[0]), rule.uid);
      assert.ok(["OK", "NoData", "Alerting"].includes(rule.noDataState), rule.uid);
      assert.is(rule.execErrState, "Error");
      assert.ok(["warning", "critical"].includes(rule.labels.severity!), rule.uid);
      const [, count, unit] = /^(\d+)([mh])$/.exec(rule.for)!;
      assert.ok(Number(count) * UNITS[unit as keyof typeof UNITS] >= 60, `${rule.uid} fires for less than a minute`);
      assert.ok(rule.annotations.summary!.length > 0 && rule.annotations.description!.length > 0, rule.uid);
    }
  });
});
