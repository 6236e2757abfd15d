/**
 * What `deploy/grafana` provisions, read as Grafana reads it, and its queries as the ClickHouse plugin sends them: macros
 * and variables replaced by text.
 */
import { readdirSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import type { Window } from "../../src/core/time.ts";

const FOLDER = new URL("../../deploy/grafana/", import.meta.url);

export const CLICKHOUSE = "latecomer-clickhouse";
export const PROMETHEUS = "latecomer-prometheus";

export interface Datasource {
  readonly uid: string;
  readonly type: string;
}

export interface Target {
  readonly refId: string;
  readonly datasource: Datasource;
  readonly rawSql?: string;
  readonly expr?: string;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: Datasource;
  readonly targets?: readonly Target[];
  readonly timeFrom?: string;
}

export interface Variable {
  readonly name: string;
  readonly type: string;
  readonly query: string;
  readonly datasource: Datasource;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
}

/** A rule asks `data[0]` and compares with the threshold of `data[1]`. */
export interface AlertRule {
  readonly uid: string;
  readonly title: string;
  readonly condition: string;
  readonly for: string;
  readonly noDataState: string;
  readonly execErrState: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly data: readonly {
    readonly refId: string;
    readonly datasourceUid: string;
    readonly relativeTimeRange?: { readonly from: number; readonly to: number };
    readonly model: {
      readonly refId: string;
      readonly rawSql?: string;
      readonly expr?: string;
      readonly type?: string;
      readonly expression?: string;
      readonly conditions?: readonly {
        readonly evaluator: { readonly type: string; readonly params: readonly number[] };
      }[];
    };
  }[];
}

/** A query over ClickHouse, and where it stands. */
export interface PlacedQuery {
  readonly where: string;
  readonly sql: string;
}

/** The dashboards by file. */
export function dashboards(): Map<string, Dashboard> {
  const files = readdirSync(new URL("dashboards/", FOLDER)).filter((name) => name.endsWith(".json")).sort();
  return new Map(files.map((file) => [file, JSON.parse(textOf(`dashboards/${file}`)) as Dashboard]));
}

/** A provisioning file, of the folder that Grafana looks for it in. */
export function provisioned<File>(folder: "datasources" | "dashboards" | "alerting"): File {
  return parse(textOf(`provisioning/${folder}/latecomer.yaml`)) as File;
}

export function alertRules(): AlertRule[] {
  const { groups } = provisioned<{ groups: readonly { readonly rules: readonly AlertRule[] }[] }>("alerting");
  return groups.flatMap(({ rules }) => rules);
}

/** Every query over ClickHouse, of variables, panels and alert rules. */
export function clickhouseQueries(): PlacedQuery[] {
  const found: PlacedQuery[] = [];
  for (const [file, { panels, templating }] of dashboards()) {
    for (const { name, query, datasource } of templating.list) {
      if (datasource.uid === CLICKHOUSE) found.push({ where: `${file}, variable ${name}`, sql: query });
    }
    for (const { title, targets = [] } of panels) {
      for (const { refId, rawSql } of targets) {
        if (rawSql !== undefined) found.push({ where: `${file}, ${title}, ${refId}`, sql: rawSql });
      }
    }
  }
  for (const { uid, data } of alertRules()) {
    for (const { model } of data) {
      if (model.rawSql !== undefined) found.push({ where: `alert ${uid}`, sql: model.rawSql });
    }
  }
  return found;
}

/** Every query over Prometheus, of panels and alert rules. */
export function prometheusQueries(): { readonly where: string; readonly expr: string }[] {
  const panels = [...dashboards()].flatMap(([file, { panels }]) =>
    panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: `${file}, ${title}`, expr })))
  );
  const rules = alertRules().flatMap(({ uid, data }) =>
    data.map(({ model }) => ({ where: `alert ${uid}`, expr: model.expr }))
  );
  return [...panels, ...rules].flatMap(({ where, expr }) => expr === undefined ? [] : [{ where, expr }]);
}

type Macro = (argument: string, window: Window, intervalSeconds: number) => string;

const seconds = (ms: number) => `toDateTime(${Math.floor(ms / 1_000)})`;

const MACROS: Readonly<Record<string, Macro>> = {
  fromTime: (_, { fromMs }) => seconds(fromMs),
  toTime: (_, { toMs }) => seconds(toMs),
  timeFilter: (column, { fromMs, toMs }) => `${column} >= ${seconds(fromMs)} AND ${column} <= ${seconds(toMs)}`,
  timeInterval: (column, _, interval) => `toStartOfInterval(toDateTime(${column}), INTERVAL ${interval} second)`,
};

/**
 * The statement that the plugin sends for a query over a time range. Throws for a macro that it would not know here, a
 * variable without values, and a variable that is not written as an SQL string, which could break out of its quotes.
 */
export function asSent(
  sql: string,
  window: Window,
  variables: Readonly<Record<string, readonly string[]>>,
  intervalSeconds = 60,
): string {
  const sent = sql
    .replace(/\$\{(\w+):sqlstring\}/g, (_, name: string) => {
      const values = variables[name];
      if (values === undefined) throw new Error(`no values for the variable ${name} in: ${sql}`);
      return values.length === 0 ? "''" : values.map((value) => `'${value.replaceAll("'", "''")}'`).join(",");
    })
    .replace(/\$__(\w+)(?:\(([^()]*)\))?/g, (whole, name: string, argument = "") => {
      const macro = MACROS[name];
      if (macro === undefined) throw new Error(`no macro ${whole} in: ${sql}`);
      return macro(argument, window, intervalSeconds);
    });
  if (sent.includes("$")) throw new Error(`what is left of a variable or macro in: ${sent}`);
  return sent;
}

function textOf(path: string): string {
  return readFileSync(new URL(path, FOLDER), "utf8");
}
