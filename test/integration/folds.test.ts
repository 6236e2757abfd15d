/** The views that show facts as they stand: each key once, at its greatest version, whatever else the table holds. */
import * as assert from "uvu/assert";
import { FACTS, type FactTable } from "../../src/core/facts.ts";
import { withCluster } from "../helpers/cluster.ts";
import { bytesOf, streamEvent } from "../helpers/events.ts";
import { LOAD } from "../helpers/replay.ts";
import { describe } from "../helpers/suite.ts";

/** Views with a row for each key of their fact. */
const FOLDS: readonly (readonly [view: string, fact: FactTable])[] = [
  ["fact_stream_status_samples_current", "fact_stream_status_samples"],
  ["fact_stream_trace_edges_current", "fact_stream_trace_edges"],
  ["fact_stream_ingest_samples_current", "fact_stream_ingest_samples"],
  ["fact_workflow_param_updates_current", "fact_workflow_param_updates"],
  ["fact_lifecycle_edge_coverage_current", "fact_lifecycle_edge_coverage"],
  ["fact_workflow_sessions_current", "fact_workflow_sessions"],
  ["fact_workflow_latency_samples", "fact_workflow_sessions"],
  ["fact_workflow_latency_samples_current", "fact_workflow_sessions"],
];

describe("the folds of the facts", (test) => {
  test("show each key once, at its greatest version, and no tombstone", () =>
    withCluster({ allowedLatenessMs: "10s" }, async (cluster) => {
      const updates = ["a", "b", "c"].map((id) => streamEvent({ at: 1_767_830_400_000, id, type: "params_update" }));
      await cluster.publish("org", [...LOAD.slice(0, 1_500), ...updates.map(({ envelope }) => bytesOf(envelope))]);
      await cluster.process();
      for (const { table, key } of FACTS) {
        const columns = await cluster.rows<{ name: string }>(
          `SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}
           AND default_kind = '' AND name NOT IN ('version', 'is_deleted')`,
          { table },
        );
        const names = columns.map(({ name }) => name).join(", ");
        const again = (version: string, isDeleted: number, which: string) =>
          cluster.clickhouse.command(
            `INSERT INTO ${table} (${names}, version, is_deleted)
             SELECT ${names}, ${version}, ${isDeleted} FROM ${table} FINAL WHERE ${which}`,
          );
        await again("version - 1", 0, "1");
        await again("version + 1", 1, `cityHash64(${key.join(", ")}) % 3 = 0`);
      }
      for (const [view, fact] of FOLDS) {
        const key = FACTS.find(({ table }) => table === fact)!.key.join(", ");
        const shown = await cluster.rows(`SELECT ${key}, version FROM ${view} ORDER BY ${key}`);
        const stands = await cluster.rows(
          `SELECT ${key}, max(version) AS greatest FROM ${fact} GROUP BY ${key}
           HAVING argMax(is_deleted, version) = 0 ORDER BY ${key}`,
        );
        assert.ok(
          stands.length > 0 && stands.length < await cluster.count(`SELECT uniqExact(${key}) FROM ${fact}`),
          fact,
        );
        assert.equal(shown, stands.map(({ greatest, ...row }) => ({ ...row, version: greatest })), view);
      }
      for (const view of ["fact_workflow_session_segments", "fact_workflow_session_segments_current"]) {
        const segments = await cluster.rows(
          `SELECT source, workflow_session_id, version, count() AS n, toUInt64(max(segment_index) + 1) AS last FROM ${view}
           GROUP BY source, workflow_session_id, version ORDER BY source, workflow_session_id`,
        );
        const sessions = await cluster.rows(
          `SELECT source, workflow_session_id, version, length(segments.start_ts) AS n, n AS last
           FROM fact_workflow_sessions_current WHERE n > 0 ORDER BY source, workflow_session_id`,
        );
        assert.equal(segments, sessions.map((row) => ({ ...row })), view);
      }
    }));
});
