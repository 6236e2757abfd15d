/**
 * Typed tables and capability dimensions in both engines: the rows land, and whatever comes again folds into them. The
 * newest state of the nodes, and the catalogue.
 */
import * as assert from "uvu/assert";
import { writeCatalogue } from "../../src/clickhouse/catalogue.ts";
import { catalogueRows } from "../../src/core/emit/capabilities.ts";
import { seeded, shuffled } from "../../src/runtime/shuffle.ts";
import { type Cluster, productionEvents, typeOf, withCluster, withServedCluster } from "../helpers/cluster.ts";
import { withSchema } from "../helpers/schema.ts";
import { describe } from "../helpers/suite.ts";
import {
  bytesOf,
  CANONICAL,
  capabilitiesWire,
  decoded,
  discoveryWire,
  entryWire,
  eventOf,
  gpuWire,
  hardwareWire,
  HOT,
  NODE,
  perCapability,
  productionListing,
  rowsIn,
  SENT_MS,
  type Wire,
} from "../helpers/wire.ts";

/** The events are older than a server keeps them. */
const SETTINGS = { lingerMs: "20ms", tableRetention: "none" } as const;

const ENGINES = { "the embedded engine": withCluster, "an engine behind HTTP": withServedCluster } as const;

/** Numbers that pass 32 bits, as real nodes send them. */
const WIDE = {
  capacity: Number.MAX_SAFE_INTEGER,
  pricePerUnit: 100_000_000_000_000,
  pixelsPerUnit: 54_901_722_631,
};

const wideEntry = entryWire({
  orch_uri: "https://wide",
  capabilities: {
    capacities: { "35": WIDE.capacity },
    version: "0.8.10",
    constraints: perCapability({ "35": { "streamdiffusion-sdxl": { capacity: WIDE.capacity } } }),
  },
  capabilities_prices: [{ capability: 35, constraint: "streamdiffusion-sdxl", ...WIDE }],
});

/** Every bundled event, both listings, the wide entry, and a discovery that lists one candidate twice. */
const EVENTS = [
  ...productionEvents(),
  ...(["network", "ai-batch-byoc"] as const).map((name) => bytesOf(capabilitiesWire(productionListing(name)))),
  bytesOf(capabilitiesWire([wideEntry, wideEntry])),
  bytesOf(discoveryWire([{ address: HOT, latency_ms: "5", url: NODE }, { address: HOT, latency_ms: "5", url: NODE }])),
];

const count = (type: string) => EVENTS.filter((bytes) => typeOf(bytes) === type).length;
const candidates = EVENTS.filter((bytes) => typeOf(bytes) === "discovery_results")
  .reduce((sum, bytes) => sum + (JSON.parse(new TextDecoder().decode(bytes)).data as unknown[]).length, 0);

/** Rows of the tables where an event's rows can be counted by its JSON. */
const ROWS: Readonly<Record<string, number>> = {
  raw_ai_stream_status: count("ai_stream_status"),
  raw_stream_trace_events: count("stream_trace"),
  raw_ai_stream_events: count("ai_stream_events"),
  raw_stream_ingest_metrics: count("stream_ingest_metrics"),
  raw_payment_events: count("create_new_payment"),
  raw_discovery_results: candidates,
};

const CAPABILITY_TABLES = [
  ["raw_network_capabilities", "dim_orchestrator_capability_snapshots"],
  ["raw_network_capabilities_advertised", "dim_orchestrator_capability_advertised_snapshots"],
  ["raw_network_capabilities_model_constraints", "dim_orchestrator_capability_model_constraints"],
  ["raw_network_capabilities_prices", "dim_orchestrator_capability_prices"],
] as const;

const TABLES = [...Object.keys(ROWS), ...CAPABILITY_TABLES.map(([typed]) => typed), CAPABILITY_TABLES[0][1]];

/** The folded content of every table: how many rows, and a hash of them in any order. */
async function contents(cluster: Cluster): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const table of TABLES) {
    const [row] = await cluster.rows(
      `SELECT count() AS rows, toString(groupBitXor(sipHash64(*))) AS hash
       FROM (SELECT * EXCEPT (ingestion_timestamp) FROM ${table} FINAL)`,
    );
    found[table] = { rows: Number(row!.rows), hash: row!.hash };
  }
  return found;
}

const countIn = (found: Record<string, unknown>, table: string) => (found[table] as { rows: number }).rows;

describe("typed tables", (test) => {
  for (const [engine, withEngine] of Object.entries(ENGINES)) {
    test(`in ${engine}: every event's rows land as they were sent; redelivered and derived again they fold`, () =>
      withEngine(SETTINGS, async (cluster) => {
        await cluster.publish("org", shuffled(EVENTS, seeded(1)));
        await cluster.process();
        const first = await contents(cluster);
        for (const [table, rows] of Object.entries(ROWS)) assert.is(countIn(first, table), rows, table);
        for (const [typed, dimension] of CAPABILITY_TABLES) {
          assert.ok(countIn(first, typed) > 0, typed);
          assert.is(await cluster.count(`SELECT count() FROM ${dimension}`), countIn(first, typed), dimension);
        }

        const [wide] = await cluster.rows(
          `SELECT items.capacity AS capacity, items.price_per_unit AS price, items.pixels_per_unit AS pixels,
                  advertised.capacity AS advertised, prices.price_per_unit AS listed
           FROM raw_network_capabilities AS items FINAL
           INNER JOIN dim_orchestrator_capability_advertised_snapshots AS advertised
             ON advertised.source_event_uid = items.raw_event_uid
           INNER JOIN raw_network_capabilities_prices AS prices ON prices.raw_event_uid = items.raw_event_uid
           WHERE items.orch_uri = 'https://wide'`,
        );
        const { capacity, pricePerUnit, pixelsPerUnit } = WIDE;
        assert.equal(wide, {
          capacity: String(capacity),
          price: String(pricePerUnit),
          pixels: String(pixelsPerUnit),
          advertised: String(capacity),
          listed: String(pricePerUnit),
        });
        assert.is(
          await cluster.count(
            `SELECT count() FROM raw_streaming_events FINAL
             WHERE outcome = 'accepted' AND type = 'network_capabilities'
               AND (source, uid) NOT IN (SELECT source, raw_event_uid FROM raw_network_capabilities)`,
          ),
          0,
          "every accepted event is found by its uid",
        );
        const [gateways] = await cluster.rows(
          "SELECT count() AS events, countIf(gateway = '') AS blank FROM raw_ai_stream_status FINAL",
        );
        assert.equal(gateways, { events: String(ROWS.raw_ai_stream_status), blank: "17" }, "Attribution007");

        await cluster.publish("org", shuffled(EVENTS, seeded(2)));
        await cluster.process();
        assert.equal(await contents(cluster), first, "every event again, as another message");

        // As after the loss of every checkpoint: all messages are read and all rows written again.
        await cluster.jsm.streams.purge("KV_checkpoints");
        await cluster.process({ batchRows: 100 });
        assert.equal(await contents(cluster), first, "every message again, in other batches");

        await cluster.publish("other", EVENTS);
        await cluster.process();
        const both = await contents(cluster);
        for (const table of TABLES) assert.is(countIn(both, table), 2 * countIn(first, table), `${table}, two sources`);
      }));
  }
});

/** Capability messages in a warehouse of their own, as the processor would write their rows. */
interface Nodes {
  /** Writes the snapshot dimension of these messages, in this order, each in an insert of its own. */
  write(source: string, ...messages: readonly Wire[]): Promise<void>;
  rows(sql: string): Promise<Record<string, unknown>[]>;
  writeCatalogue(): Promise<void>;
  /** The newest state of the nodes of a source. */
  current(source: string): Promise<Record<string, unknown>[]>;
}

function withNodes(use: (nodes: Nodes) => Promise<void>): Promise<void> {
  return withSchema((clickhouse) =>
    use({
      write: async (source, ...messages) => {
        for (const message of messages) {
          const rows = rowsIn("dim_orchestrator_capability_snapshots", eventOf("network_capabilities", message));
          const inserted = rows.map((row) => ({ ...row, source }));
          await clickhouse.insert("dim_orchestrator_capability_snapshots", Object.keys(inserted[0]!), inserted);
        }
      },
      rows: (sql) => clickhouse.rows(sql),
      writeCatalogue: () => writeCatalogue(clickhouse),
      current: (source) =>
        clickhouse.rows(
          `SELECT orchestrator_url AS url, gpu_id AS gpu, runner_version AS version, gpu_name AS name,
                  source_event_uid AS uid, toUnixTimestamp64Milli(latest_snapshot_ts) AS time
           FROM dim_orchestrator_capability_current WHERE source = {source:String}
           ORDER BY orchestrator_address, model_id, gpu_id`,
          { source },
        ),
    })
  );
}

describe("the newest state of the nodes", (test) => {
  const at = (seconds: number, id: string, ...entries: unknown[]) =>
    capabilitiesWire(entries, { id, timestamp: SENT_MS + 1_000 * seconds });
  const uidOf = (wire: Wire) => decoded(wire).envelope.uid;
  const withVersion = (runnerVersion: string | undefined, fields: Wire = {}) =>
    entryWire({
      capabilities: { constraints: perCapability({ "35": { "streamdiffusion-sdxl": { runnerVersion } } }) },
      ...fields,
    });

  test("Fact001, Attribution001 CapabilitySnapshotsNormalizeAndConverge: two snapshots are history, the later is current", () =>
    withNodes(async (nodes) => {
      const older = at(0, "older", withVersion("0.7.9", { address: "0xABC" }));
      const newer = at(60, "newer", withVersion("0.8.0", { address: "0xabc" }));
      await nodes.write("org", newer, older, newer);
      const history = await nodes.rows(
        "SELECT orchestrator_address AS address FROM dim_orchestrator_capability_snapshots FINAL",
      );
      assert.equal(history.map((row) => row.address), ["0xabc", "0xabc"]);
      const rows = await nodes.current("org");
      assert.equal(rows.map((row) => [row.version, row.uid]), [["0.8.0", uidOf(newer)]]);
    }));

  test("is taken whole: what the newest snapshot does not tell is null, not what an older one told", () =>
    withNodes(async (nodes) => {
      const nameless = withVersion(undefined, {
        hardware: [hardwareWire({ gpu_info: [gpuWire("GPU-a", { name: "" })] })],
      });
      await nodes.write("org", at(0, "older", withVersion("1")), at(60, "newer", nameless));
      const rows = await nodes.current("org");
      assert.equal(rows.map((row) => [row.gpu, row.version, row.name, Number(row.time)]), [
        ["GPU-a", null, null, SENT_MS + 60_000],
      ]);
    }));

  test("of two snapshots of one instant is the one with the greater uid, whichever came first", () =>
    withNodes(async (nodes) => {
      const [a, b] = [at(0, "a", withVersion("of a")), at(0, "b", withVersion("of b"))];
      assert.ok(uidOf(b) > uidOf(a));
      await nodes.write("forwards", a, b);
      await nodes.write("backwards", b, a);
      for (const source of ["forwards", "backwards"]) {
        const rows = await nodes.current(source);
        assert.equal(rows.map((row) => [row.version, row.uid]), [["of b", uidOf(b)]], source);
      }
    }));

  test("of two nodes of one message that differ in nothing of the key is the one with the greater url, whole", () =>
    withNodes(async (nodes) => {
      const node = (orch_uri: string, version: string) =>
        withVersion(version, { orch_uri, hardware: [hardwareWire({ gpu_info: null })] });
      await nodes.write("forwards", at(0, "a", node("https://y", "of y"), node("https://z", "of z")));
      await nodes.write("backwards", at(0, "a", node("https://z", "of z"), node("https://y", "of y")));
      for (const source of ["forwards", "backwards"]) {
        const rows = await nodes.current(source);
        assert.equal(rows.map((row) => [row.url, row.version, row.gpu]), [["https://z", "of z", null]], source);
      }
    }));

  test("is told per source, and what a later snapshot does not name stays with its own time", () =>
    withNodes(async (nodes) => {
      const other = withVersion("2", { hardware: [hardwareWire({ gpu_info: [gpuWire("GPU-b")] })] });
      await nodes.write("one", at(0, "a", withVersion("1")), at(60, "b", other));
      await nodes.write("two", at(30, "c", withVersion("3")));
      const told = async (source: string) =>
        (await nodes.current(source)).map((row) => [row.gpu, row.version, (Number(row.time) - SENT_MS) / 1_000]);
      assert.equal(await told("one"), [["GPU-a", "1", 0], ["GPU-b", "2", 60]]);
      assert.equal(await told("two"), [["GPU-a", "3", 30]]);
    }));

  test("Aggregate004/Serving001 HardwareUnresolvedRows: hardware without a GPU is in it, without a GPU", () =>
    withNodes(async (nodes) => {
      await nodes.write("org", at(0, "a", withVersion("1", { hardware: [hardwareWire({ gpu_info: null })] })));
      const rows = await nodes.rows(
        "SELECT orchestrator_address AS address, model_id AS model, gpu_id AS gpu FROM dim_orchestrator_capability_current",
      );
      assert.equal(rows, [{ address: CANONICAL, model: "streamdiffusion-sdxl", gpu: null }]);
    }));

  test("the catalogue is in its table as the code has it, however often it is written", () =>
    withNodes(async (nodes) => {
      await nodes.writeCatalogue();
      await nodes.writeCatalogue();
      const rows = await nodes.rows(
        `SELECT capability_catalog_version, capability_id, capability_name, capability_group, pipeline
         FROM dim_capability_catalogue FINAL ORDER BY capability_id`,
      );
      assert.equal(rows, catalogueRows());
    }));
});
