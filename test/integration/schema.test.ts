/** The schema is what the contract says, object by object and column by column, and its form for a cluster is sound. */
import * as assert from "uvu/assert";
import { inProfile, requireSingleServer, shardingKey } from "../../src/clickhouse/cluster.ts";
import type { ClickHouse } from "../../src/clickhouse/client.ts";
import { handOver } from "../../src/clickhouse/cutover.ts";
import { migrate, schemaStatements } from "../../src/clickhouse/migrate.ts";
import { ShadowTables } from "../../src/clickhouse/shadow.ts";
import type { LatecomerError } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { inFolder, latecomer, withCluster } from "../helpers/cluster.ts";
import { LOAD } from "../helpers/replay.ts";
import {
  contractLines,
  contractText,
  readSchema,
  schemaProblems,
  schemaText,
  storedSchemaText,
  testsText,
  withSchema,
} from "../helpers/schema.ts";
import { describe } from "../helpers/suite.ts";

const PROFILE = { database: "livepeer_analytics", cluster: "prod" };
const SHARDS = 3;

describe("the schema", (test) => {
  test("is that of CONTRACT.md and SCHEMA.md, every object is named by a test, and any other is found out", () =>
    withSchema(async (clickhouse) => {
      const [contract, stored, tests] = [contractText(), storedSchemaText(), testsText()];
      const problems = async (text = contract, mentions = tests, list = stored) =>
        schemaProblems(await readSchema(clickhouse), contractLines(text), list, mentions);
      assert.equal(await problems(), []);
      /** A change that is written into SCHEMA.md, as the command does it, and nowhere else. */
      const written = async () => await problems(contract, tests, schemaText(await readSchema(clickhouse)));

      const line = /^\| `fact_stream_status_samples` .*\n/m.exec(contract)![0];
      const texts: [string, string, RegExp][] = [
        ["a line is missing", contract.replace(line, ""), /0 lines of fact_stream_status_samples, not one/],
        ["a line too many", contract.replace(line, line + line), /2 lines of fact_stream_status_samples/],
        [
          "an object that is not there",
          contract.replace("| `fact_stream_status_samples`", "| `fact_x`"),
          /names fact_x/,
        ],
        ["another kind", contract.replace(line, line.replace("| table |", "| view |")), /it is a table, not a view/],
        ["a key of no column", contract.replace(line, line.replace("`source_event_uid`", "`uid`")), /uid, which is no/],
        ["a key that does not sort", contract.replace(line, line.replace("`source`", "`gateway`")), /does not sort it/],
        [
          "another version",
          contract.replace(line, line.replace("`version`, ", "")),
          /its version is version, is_deleted/,
        ],
        ["nobody reads it", contract.replace(line, line.replace(/[^|]+\|\n$/, "  |\n")), /an empty cell/],
      ];
      for (const [what, text, found] of texts) assert.match((await problems(text)).join("\n"), found, what);
      const untested = tests.replaceAll("fact_workflow_param_updates_current", "");
      assert.equal(await problems(contract, untested), ["no test mentions fact_workflow_param_updates_current"]);

      await clickhouse.command("ALTER TABLE fact_stream_trace_edges ADD COLUMN color String");
      assert.match((await problems()).join(), "SCHEMA.md is not what the schema is");
      await clickhouse.command("ALTER TABLE fact_stream_trace_edges DROP COLUMN color");
      assert.equal(await problems(), []);
      await clickhouse.command(
        `CREATE OR REPLACE VIEW fact_stream_ingest_samples_current AS
         SELECT *, sample_date FROM fact_stream_ingest_samples FINAL WHERE video_jitter > 0`,
      );
      assert.match((await problems()).join(), "SCHEMA.md is not what the schema is", "columns alike, content not");
      await clickhouse.command("CREATE TABLE fact_new (source String) ENGINE = MergeTree ORDER BY source");
      assert.equal(await written(), ["CONTRACT.md has 0 lines of fact_new, not one", "no test mentions fact_new"]);
      await clickhouse.command("DROP TABLE fact_new");
      await clickhouse.command("DROP TABLE fact_stream_trace_edges");
      await clickhouse.command(
        `CREATE TABLE fact_stream_trace_edges (source String, source_event_uid String, version UInt128, is_deleted UInt8)
         ENGINE = ReplacingMergeTree(version) ORDER BY source`,
      );
      assert.equal(await written(), [
        "CONTRACT.md on fact_stream_trace_edges: its key names source_event_uid, which does not sort it",
        "CONTRACT.md on fact_stream_trace_edges: its version is version",
      ]);
      await clickhouse.command("DROP TABLE raw_unknown_events");
      assert.match((await written()).join(), "CONTRACT.md names raw_unknown_events, which is not there");
    }));
});

describe("the schema of a cluster", (test) => {
  test("is the same objects: every statement is understood by the engine, for the whole cluster, every name qualified", () =>
    withSchema(async (clickhouse) => {
      const objects = await readSchema(clickhouse);
      const names = new Set(objects.map(({ name }) => name));
      const made: string[] = [];
      for (const statement of schemaStatements(PROFILE)) {
        const [formatted] = await clickhouse.rows<{ text: string }>("SELECT formatQuery({statement:String}) AS text", {
          statement,
        });
        const [, name] = /^CREATE (?:DATABASE|TABLE|VIEW) IF NOT EXISTS (\S+) ON CLUSTER prod\b/.exec(formatted!.text)!;
        made.push(name!.replace(/^livepeer_analytics\./, ""));
        const tree = await clickhouse.rows<{ explain: string }>(`EXPLAIN AST ${statement}`);
        for (const { explain } of tree) {
          const [, table] = /TableIdentifier (\S+)/.exec(explain) ?? [];
          if (table !== undefined) assert.not(names.has(table), `${name}: ${table} is not qualified`);
        }
      }
      const expected = objects.flatMap(({ name, kind }) => kind === "view" ? [name] : [name, `${name}_local`]);
      assert.equal(made.sort(), ["livepeer_analytics", ...expected].sort());
      assert.match(
        schemaStatements(PROFILE).join("\n"),
        "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/livepeer_analytics/fact_stream_status_samples_local', " +
          "'{replica}', version, is_deleted)",
      );
    }));

  test("has no form for a statement that it does not know, so none is left out in silence", () => {
    for (
      const statement of ["INSERT INTO a SELECT 1", "ALTER TABLE a ADD COLUMN b String", "CREATE TABLE IF NOT EXISTS a"]
    ) {
      const attempt = () => inProfile(statement, PROFILE, new Set());
      assert.throws(attempt, (error: LatecomerError) => error.code === "NO_CLUSTER_FORM", statement);
      assert.equal(inProfile(statement, { ...PROFILE, cluster: "" }, new Set()), [statement]);
    }
    assert.equal(inProfile("ALTER TABLE a REMOVE TTL", PROFILE, new Set()), [
      "ALTER TABLE livepeer_analytics.a_local ON CLUSTER prod REMOVE TTL",
    ]);
    const view = "CREATE VIEW IF NOT EXISTS v AS SELECT 1 FROM a AS x INNER JOIN b USING (k) ARRAY JOIN c";
    assert.equal(inProfile(view, PROFILE, new Set(["a", "b", "v"])), [
      "CREATE VIEW IF NOT EXISTS livepeer_analytics.v ON CLUSTER prod AS " +
      "SELECT 1 FROM livepeer_analytics.a AS x INNER JOIN livepeer_analytics.b USING (k) ARRAY JOIN c",
    ]);
  });

  test("has all rows of a key on one shard, so that the shards' FINAL together are FINAL", () =>
    withCluster({ allowedLatenessMs: "10s" }, async (cluster) => {
      await cluster.publish("org", LOAD.slice(0, 800));
      await cluster.process();
      const tables = (await readSchema(cluster.clickhouse)).filter(({ kind }) => kind === "table");
      /** How many rows the shards show, each for itself, when every row is there twice: once more with an older version. */
      const shown = async ({ name, made, columns }: (typeof tables)[number], hash: string) => {
        const version = /\((\w+)/.exec(made)?.[1];
        const list = columns.filter(({ byDefault }) => !/^(MATERIALIZED|ALIAS)/.test(byDefault)).map((one) => one.name);
        const older = list.map((column) =>
          column === version && column === "version" ? "version - 1 AS version" : column
        );
        for (let shard = 0; shard < SHARDS; shard++) {
          await cluster.clickhouse.command(`CREATE OR REPLACE TABLE on_shard_${shard} AS ${name}`);
          for (const columns of [list, older]) {
            await cluster.clickhouse.command(
              `INSERT INTO on_shard_${shard} (${list.join(", ")})
               SELECT * FROM (SELECT ${columns.join(", ")} FROM ${name} FINAL) WHERE ${hash} % ${SHARDS} = ${shard}`,
            );
          }
        }
        const counts = await Promise.all(
          Array.from({ length: SHARDS }, (_, shard) => cluster.count(`SELECT count() FROM on_shard_${shard} FINAL`)),
        );
        return {
          used: counts.filter((count) => count > 0).length,
          rows: counts.reduce((sum, count) => sum + count, 0),
        };
      };
      const filled: string[] = [];
      for (const table of tables) {
        const rows = await cluster.count(`SELECT count() FROM ${table.name} FINAL`);
        const { used, rows: together } = await shown(table, shardingKey(table.sorting));
        assert.is(together, rows, table.name);
        if (rows > 100) assert.is(used, SHARDS, `${table.name} lies on all shards`);
        if (rows > 0) filled.push(table.name);
        const isFact = table.name.startsWith("fact_") && rows > 20;
        // The check would see it: by its version a corrected row would lie elsewhere than the row that it replaces.
        if (isFact) assert.ok((await shown(table, "cityHash64(version)")).rows > rows, table.name);
      }
      for (const name of ["fact_stream_status_samples", "fact_workflow_sessions", "raw_network_capabilities"]) {
        assert.ok(filled.includes(name), name);
      }
    }));

  test("is told from that of a single server, by init, and by what works on one only", () =>
    withSchema(async (clickhouse) => {
      const codeOf = (attempt: Promise<unknown>) => attempt.then(() => "", (error: LatecomerError) => error.code);
      assert.is(await codeOf(migrate(clickhouse, PROFILE)), "OTHER_PROFILE");
      assert.is(await codeOf(requireSingleServer(clickhouse, PROFILE.database, "it")), "");
      const distributed = {
        ...clickhouse,
        rows: (sql: string) =>
          Promise.resolve(/SELECT engine FROM system.tables/.test(sql) ? [{ engine: "Distributed" }] : []),
        command: () => Promise.reject(new Error("nothing must be changed")),
      } as unknown as ClickHouse;
      assert.is(await codeOf(migrate(distributed, { ...PROFILE, cluster: "" })), "OTHER_PROFILE");
      assert.is(await codeOf(requireSingleServer(distributed, PROFILE.database, "it")), "ON_A_CLUSTER");
      const shadow = new ShadowTables(distributed, PROFILE.database, "x", { fromSeq: 1, toSeq: 1 });
      assert.is(await codeOf(shadow.create()), "ON_A_CLUSTER");
      const order = { to: "mv", force: true } as const;
      const never = new AbortController().signal;
      assert.is(await codeOf(handOver(distributed, PROFILE.database, order, systemClock, never)), "ON_A_CLUSTER");
    }));

  test("is printed by init --print without any server", async () => {
    await inFolder(async (cwd) => {
      const env = { NATS_URL: "nats://127.0.0.1:9", CLICKHOUSE_URL: "http://127.0.0.1:9" };
      const { code, out, err } = await latecomer(["init", "--cluster", "prod", "--print"], { cwd, env });
      assert.equal([code, err], [0, ""]);
      assert.is(out.trim(), schemaStatements(PROFILE).map((one) => `${one};`).join("\n\n").trim());
      const listed = await latecomer(["init", "--print", "--json"], { cwd, env });
      assert.equal(JSON.parse(listed.out).statements, schemaStatements({ ...PROFILE, cluster: "" }));
    });
  });
});
