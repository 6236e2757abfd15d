/**
 * Every query of the dashboards and alert rules, as the ClickHouse plugin sends it: over processed events of production,
 * made-up ones and the ordering stress with a snapshot withheld, and over a source that is sick in every way that a rule
 * looks for. And the views for triage that most of them read.
 */
import * as assert from "uvu/assert";
import type { Window } from "../../src/core/time.ts";
import type { ClickHouse } from "../../src/clickhouse/client.ts";
import { minutesWithin, openRollups } from "../../src/clickhouse/rollup.ts";
import { type Cluster, encode, productionEvents, withCluster } from "../helpers/cluster.ts";
import { bytesOf, status } from "../helpers/events.ts";
import { EVERY_SCENARIO } from "../helpers/every-scenario.ts";
import { alertRules, asSent, CLICKHOUSE, clickhouseQueries, dashboards } from "../helpers/grafana.ts";
import { at, withTables } from "../helpers/serving.ts";
import { SICK, WELL, writeHour } from "../helpers/sickness.ts";
import { EVENTS, UNKNOWN_SESSION, WITHHELD } from "../helpers/stress.ts";
import { describe } from "../helpers/suite.ts";

const EVERYTHING = { fromMs: Date.UTC(2026, 0, 8), toMs: Date.UTC(2030, 0, 1) };

/** The stress scenario's messages lie forty minutes apart, and none of them may be too late for any other. */
const SETTINGS = { allowedLatenessMs: "2000h", tableRetention: "none" };

/** Names neither a wallet nor a url. */
const NOBODY = status({ id: "nobody", at: Date.UTC(2026, 1, 25, 20) });

type Rows = Record<string, unknown>[];

async function processAll(cluster: Cluster): Promise<void> {
  await cluster.process();
  const everything = { source: undefined, fromMs: 0, toMs: EVERYTHING.toMs };
  await openRollups(cluster.clickhouse).recompute(await minutesWithin(cluster.clickhouse, everything));
}

/** What the variables of the dashboards offer, all of it chosen. */
async function everyValue(cluster: Cluster): Promise<Record<string, string[]>> {
  const values: Record<string, string[]> = {};
  for (const { templating } of dashboards().values()) {
    for (const { name, query } of templating.list) {
      const rows = await cluster.rows(asSent(query, EVERYTHING, values));
      values[name] = rows.map((row) => String(Object.values(row)[0]));
    }
  }
  return values;
}

/** The rules over ClickHouse that fire, by uid, with the sources for which they do. */
async function firing(clickhouse: ClickHouse, window: Window = EVERYTHING): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const { uid, data: [asked, compared] } of alertRules()) {
    if (asked!.datasourceUid !== CLICKHOUSE) continue;
    const { type, params } = compared!.model.conditions![0]!.evaluator;
    const rows = await clickhouse.rows(asSent(asked!.model.rawSql!, window, {}));
    const fires = rows.filter((row) => {
      // Grafana takes texts for labels, and wants one number beside them.
      const value = Object.values(row).at(-1);
      if (value === null || !Number.isFinite(Number(value))) throw new Error(`${uid} gives ${value}`);
      return type === "gt" ? Number(value) > params[0]! : Number(value) < params[0]!;
    });
    if (fires.length > 0) found.set(uid, [...new Set(fires.map(({ source }) => String(source)))].sort());
  }
  return found;
}

/** Counts rows under a key, as plainly as can be. */
function counted(rows: Rows, key: (row: Record<string, unknown>) => unknown[]): string[] {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const name = JSON.stringify(key(row));
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${name} ${count}`).sort();
}

const hourOf = (time: unknown) => String(time).replace(/:\d\d:\d\d(\.\d+)?$/, ":00:00");

/** The views for triage say what is counted here out of the rows that they stand for. */
async function viewsCount(cluster: Cluster): Promise<void> {
  const samples = await cluster.rows(
    `SELECT fact.source AS source, sample_ts, fact.gateway AS gateway, gpu_attribution_method AS method,
       unattributed_reason AS reason, fact.orchestrator_url AS url, typed.orchestrator_address AS wallet,
       typed.pipeline AS model
     FROM fact_stream_status_samples_current AS fact
     INNER JOIN (SELECT DISTINCT source, raw_event_uid, orchestrator_address, pipeline FROM raw_ai_stream_status) AS typed
       ON typed.source = fact.source AND typed.raw_event_uid = fact.source_event_uid`,
  );
  const attribution = await cluster.rows(`SELECT * FROM v_triage_attribution`);
  assert.equal(
    attribution.map((row) =>
      `${
        JSON.stringify([row.source, row.window_start, row.gateway, row.gpu_attribution_method, row.unattributed_reason])
      } ${row.samples}`
    ).sort(),
    counted(
      samples,
      ({ source, sample_ts, gateway, method, reason }) => [source, hourOf(sample_ts), gateway, method, reason],
    ),
  );
  const unattributed = await cluster.rows(`SELECT * FROM v_triage_unattributed`);
  assert.equal(
    unattributed.map((row) =>
      `${
        JSON.stringify([
          row.source,
          row.window_start,
          row.unattributed_reason,
          row.claimed_wallet,
          row.claimed_url,
          row.claimed_model,
        ])
      } ${row.samples}`
    ).sort(),
    counted(
      samples.filter(({ reason }) => reason !== ""),
      ({ source, sample_ts, reason, wallet, url, model }) => [source, hourOf(sample_ts), reason, wallet, url, model],
    ),
  );
  const archive = await cluster.rows(`SELECT source, stream_ts, type, outcome, reason FROM raw_streaming_events FINAL`);
  const messages = await cluster.rows(`SELECT * FROM v_triage_messages`);
  assert.equal(
    messages.map((row) =>
      `${JSON.stringify([row.source, row.window_start, row.type, row.outcome, row.reason])} ${row.messages}`
    ).sort(),
    counted(
      archive,
      ({ source, stream_ts, type, outcome, reason }) => [source, hourOf(stream_ts), type, outcome, reason],
    ),
  );
}

/** The source, reason, wallet and sessions of those who are not known. */
function unknownOf(cluster: Cluster, source: string): Promise<Rows> {
  return cluster.rows(
    `SELECT unattributed_reason, claimed_wallet, claimed_url, claimed_model, samples, first_sessions
     FROM v_triage_unattributed WHERE source = {source:String}`,
    { source },
  );
}

describe("Grafana's queries", (test) => {
  test("each gives rows, with something in every column, and they show a snapshot that is missing and its coming", () =>
    withCluster(SETTINGS, async (cluster) => {
      await cluster.publish("org", productionEvents());
      await cluster.publish("lab", EVERY_SCENARIO.map(({ envelope }) => bytesOf(envelope)));
      await cluster.publish("lab", [encode("no event"), bytesOf(NOBODY.envelope)]);
      await cluster.publish("stress", EVENTS);
      await processAll(cluster);

      const variables = await everyValue(cluster);
      assert.equal(variables.source!.toSorted(), ["lab", "org", "stress"]);
      const missing: string[] = [];
      for (const { where, sql } of clickhouseQueries()) {
        const rows = await cluster.rows(asSent(sql, EVERYTHING, variables));
        if (rows.length === 0) missing.push(`${where}: no row`);
        for (const column of Object.keys(rows[0] ?? {})) {
          if (rows.every((row) => row[column] === null)) missing.push(`${where}: nothing in ${column}`);
        }
      }
      assert.equal(missing, []);
      await viewsCount(cluster);

      assert.ok((await firing(cluster.clickhouse)).get("latecomer-empty-keys")?.includes("stress"));
      assert.equal(await unknownOf(cluster, "stress"), [{
        unattributed_reason: "no_snapshot",
        claimed_wallet: "0x3333333333333333333333333333333333333333",
        claimed_url: "https://node-c.example:8935",
        claimed_model: "streamdiffusion-sdxl-v2v",
        samples: "2",
        first_sessions: [UNKNOWN_SESSION],
      }]);
      await cluster.publish("stress", WITHHELD);
      await processAll(cluster);
      assert.not((await firing(cluster.clickhouse)).get("latecomer-empty-keys")?.includes("stress"));
      assert.equal(await unknownOf(cluster, "stress"), []);
      await viewsCount(cluster);
    }));

  test("every alert rule over ClickHouse fires for a source that is sick, and none for one that is well", () =>
    withTables(async (tables) => {
      await writeHour(tables, SICK);
      await writeHour(tables, WELL);
      const rules = alertRules().filter(({ data }) => data[0]!.datasourceUid === CLICKHOUSE).map(({ uid }) => uid);
      const found = await firing(tables.clickhouse, { fromMs: at("10:00"), toMs: at("11:00") });
      assert.equal([...found].sort(), rules.map((uid) => [uid, ["sick"]]).sort());
    }));
});
