/** The same run through both engines, on this runtime: the embedded one, and one behind the real HTTP client. */
import { join } from "node:path";
import * as assert from "uvu/assert";
import { initialise } from "../../src/cli/init.ts";
import { startProcessor } from "../../src/cli/run.ts";
import { type ClickHouse, openClickHouse } from "../../src/clickhouse/client.ts";
import { type Digest, digests } from "../../src/clickhouse/digest.ts";
import { applyRetention, migrate, migrationStatus } from "../../src/clickhouse/migrate.ts";
import { type Config, resolveConfig } from "../../src/config.ts";
import { exitCodeOf } from "../../src/errors.ts";
import { serveClickHouse } from "../../src/local/clickhouse-http.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { publishMessages } from "../../src/nats/publish.ts";
import { seeded, shuffled } from "../../src/runtime/shuffle.ts";
import { inFolder, Journal, productionEvents, within } from "../helpers/cluster.ts";
import { withSchema } from "../helpers/schema.ts";
import { describe } from "../helpers/suite.ts";

/** Publishes the production events in a shuffled order, processes them, and gives the digest of the facts. */
async function digestThrough(folder: string, clickhouseUrl: string, seed: number): Promise<Digest> {
  const nats = await startNatsServer({ folder: join(folder, `nats-${seed}`) });
  try {
    const config = resolveConfig({}, {
      natsUrl: nats.url,
      clickhouseUrl,
      allowedLatenessMs: "60d",
      lingerMs: "20ms",
      // The events are older than a server's retention.
      tableRetention: "none",
    });
    const nc = await connectNats(config);
    try {
      await initialise(config, nc, await planStreams(await nc.jetstreamManager(), config), {});
      const clickhouse = await openClickHouse(config.clickhouseUrl, { database: config.database });
      try {
        const events = shuffled(productionEvents(), seeded(seed));
        await publishMessages(nc, events, { source: "org", partitions: 1, messageIds: false, rate: 0 });
        const processor = await startProcessor(config, nc, clickhouse, new Journal());
        await within("drained", processor.drained().then(() => processor.settle()));
        await processor.stop();
        const [digest] = await digests(clickhouse, config.database, { source: "org" });
        const [archived] = await clickhouse.rows<{ n: string }>("SELECT count() AS n FROM raw_streaming_events FINAL");
        assert.is(Number(archived?.n), events.length);
        return digest!;
      } finally {
        await clickhouse.close();
      }
    } finally {
      await nc.close();
    }
  } finally {
    await nats.stop();
  }
}

function withDatabase(use: (clickhouse: ClickHouse, config: Config) => Promise<void>): Promise<void> {
  return withSchema((clickhouse, url) => use(clickhouse, resolveConfig({}, { clickhouseUrl: url })));
}

/** Columns of the upstream contract that consumers read, with the types they may rely on. */
const CONTRACT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  fact_stream_status_samples: {
    sample_ts: "DateTime64(3, 'UTC')",
    sample_date: "Date",
    workflow_session_id: "String",
    stream_id: "String",
    request_id: "String",
    gateway: "LowCardinality(String)",
    orchestrator_address: "String",
    orchestrator_url: "String",
    pipeline: "LowCardinality(String)",
    model_id: "Nullable(String)",
    gpu_id: "Nullable(String)",
    region: "Nullable(String)",
    state: "LowCardinality(String)",
    output_fps: "Float32",
    input_fps: "Float32",
    is_attributed: "UInt8",
    gpu_attribution_method: "LowCardinality(String)",
    gpu_attribution_confidence: "Float32",
    source_event_uid: "String",
    // Lineage.
    source: "LowCardinality(String)",
    gpu_count: "UInt32",
    unattributed_reason: "LowCardinality(String)",
    evidence_level: "UInt8",
    selected_snapshot_uid: "String",
    selected_snapshot_ts: "Nullable(DateTime64(3, 'UTC'))",
    version: "UInt128",
    is_deleted: "UInt8",
  },
  dim_orchestrator_capability_snapshots: {
    snapshot_ts: "DateTime64(3, 'UTC')",
    snapshot_date: "Date",
    orchestrator_address: "String",
    orchestrator_proxy_address: "String",
    orchestrator_url: "String",
    pipeline: "String",
    model_id: "String",
    capability_id: "Int32",
    capability_name: "LowCardinality(String)",
    capability_group: "LowCardinality(String)",
    gpu_id: "Nullable(String)",
    gpu_name: "Nullable(String)",
    gpu_memory_total: "Nullable(UInt64)",
    gpu_major: "Nullable(UInt8)",
    gpu_minor: "Nullable(UInt8)",
    runner_version: "Nullable(String)",
    region: "Nullable(String)",
    source_event_uid: "String",
  },
  raw_streaming_events: {
    id: "String",
    type: "LowCardinality(String)",
    timestamp: "UInt64",
    gateway: "LowCardinality(String)", // Upstream: String; readers see the same.
    data: "String",
    event_timestamp: "DateTime64(3, 'UTC')",
    event_date: "Date",
    // What only this archive has: where a message was stored, who it is, and what became of it.
    source: "LowCardinality(String)",
    uid: "String",
    stream_sequence: "UInt64",
    stream_ts: "DateTime64(3, 'UTC')",
    outcome: "LowCardinality(String)",
    reason: "LowCardinality(String)",
    payload: "String",
  },
  raw_streaming_events_dlq: {
    schema_version: "LowCardinality(String)",
    source_partition: "UInt32",
    source_offset: "UInt64",
    source_record_timestamp: "DateTime64(3, 'UTC')",
    event_id: "String",
    event_type: "LowCardinality(String)",
    event_version: "Nullable(String)",
    event_timestamp: "Nullable(DateTime64(3, 'UTC'))",
    event_date: "Date",
    dedup_key: "Nullable(String)",
    dedup_strategy: "Nullable(String)",
    replay: "UInt8",
    failure_stage: "LowCardinality(String)",
    failure_class: "LowCardinality(String)",
    failure_details: "String",
    orchestrator: "Nullable(String)",
    broadcaster: "Nullable(String)",
    region: "Nullable(String)",
    payload_encoding: "LowCardinality(String)",
    payload_body: "String",
    payload_canonical_json: "Nullable(String)",
    // Upstream: String; a subject and a reason are few values, and readers see the same.
    source_topic: "LowCardinality(String)",
    failure_reason: "LowCardinality(String)",
  },
  raw_unknown_events: {
    ingest_timestamp: "DateTime64(3, 'UTC')",
    ingest_date: "Date",
    raw_event_uid: "String",
    source: "LowCardinality(String)", // Upstream: org.
    event_type: "LowCardinality(String)",
    source_topic: "LowCardinality(String)",
    raw_json: "String",
  },
};

describe("both engines", (test) => {
  test("give one digest, the embedded one in the process and one behind HTTP", () =>
    inFolder(async (folder) => {
      const embedded = await digestThrough(folder, `chdb:${join(folder, "embedded")}`, 1);
      const server = await serveClickHouse(join(folder, "served"), { host: "127.0.0.1", port: 0 });
      try {
        const served = await digestThrough(folder, server.url, 2);
        assert.is(embedded.rows, 28);
        assert.equal(served, embedded);
      } finally {
        await server.close();
      }
    }));
});

describe("migrations", (test) => {
  test("applied twice change nothing", () =>
    withDatabase(async (clickhouse, config) => {
      assert.equal(await migrate(clickhouse, config), []);
      const states = (await migrationStatus(clickhouse, config.database)).map((one) => one.state);
      assert.ok(states.length >= 3 && states.every((state) => state === "applied"));
    }));

  test("take up what a run that died half-way has left", () =>
    withDatabase(async (clickhouse, config) => {
      const [last] = (await migrationStatus(clickhouse, config.database)).slice(-1);
      await clickhouse.command(
        `DELETE FROM schema_migrations WHERE name = '${last!.name}' SETTINGS lightweight_deletes_sync = 2`,
      );
      assert.equal(await migrate(clickhouse, config), [last!.name]);
      assert.equal(await migrate(clickhouse, config), []);
    }));

  test("refuse a database that another version of a file made, with exit 2", () =>
    withDatabase(async (clickhouse, config) => {
      await clickhouse.command(
        "ALTER TABLE schema_migrations UPDATE checksum = 'other' WHERE name = '0001_raw' SETTINGS mutations_sync = 2",
      );
      try {
        await migrate(clickhouse, config);
        assert.unreachable("it was accepted");
      } catch (error) {
        assert.is(exitCodeOf(error), 2);
        assert.match((error as Error).message, "0001_raw");
      }
    }));

  test("make the columns of the contract, with lineage beside them", () =>
    withDatabase(async (clickhouse, config) => {
      for (const [table, wanted] of Object.entries(CONTRACT)) {
        const columns = await clickhouse.rows<{ name: string; type: string }>(
          "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}",
          { database: config.database, table },
        );
        const types = new Map(columns.map((column) => [column.name, column.type]));
        for (const [name, type] of Object.entries(wanted)) assert.is(types.get(name), type, `${table}.${name}`);
      }
    }));

  test("leave retention to the configuration: contract sets it, none removes it", () =>
    withDatabase(async (clickhouse, config) => {
      const withTtl = async () => {
        const [row] = await clickhouse.rows<{ n: string }>(
          "SELECT countIf(create_table_query LIKE '% TTL %') AS n FROM system.tables WHERE database = {database:String}",
          { database: config.database },
        );
        return Number(row?.n);
      };
      assert.is(await withTtl(), 0);
      await applyRetention(clickhouse, { ...config, tableRetention: "contract" });
      assert.is(await withTtl(), 21);
      await applyRetention(clickhouse, { ...config, tableRetention: "none" });
      assert.is(await withTtl(), 0);
    }));
});
