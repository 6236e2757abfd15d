/** init on a real server and engine: what it refuses it refuses before it changes anything, and so does its dry run. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { schemaDrift } from "../../src/clickhouse/drift.ts";
import { retainedSince } from "../../src/clickhouse/migrate.ts";
import { registerInit } from "../../src/cli/init.ts";
import { LAST_GENERATION } from "../../src/core/evidence.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { accountWith } from "../helpers/account.ts";
import { type Cluster, encode, eventually, latecomer, withServedCluster } from "../helpers/cluster.ts";
import { environmentOf, inProcess } from "../helpers/command.ts";
import { reload } from "../helpers/reload.ts";
import { describe } from "../helpers/suite.ts";

/** Would change the streams, and is no reason to refuse anything. */
const LONGER = ["--stream-retention", "8d"];

async function retention(cluster: Cluster): Promise<number> {
  return (await cluster.jsm.streams.info("LIVEPEER_EVENTS")).config.max_age;
}

/** Both a run and a dry run end with 2 and say why, and leave the streams alone. */
async function refuses(cluster: Cluster, why: RegExp, ...args: string[]): Promise<void> {
  const before = await retention(cluster);
  for (const call of [["init", "--dry-run"], ["init"]]) {
    const { code, err } = await inProcess(registerInit, environmentOf(cluster), [...call, ...LONGER, ...args]);
    assert.is(code, 2, `${call.join(" ")}: ${err}`);
    assert.match(err, why);
    assert.is(await retention(cluster), before, `${call.join(" ")} changed the streams`);
  }
}

describe("latecomer init", (test) => {
  test("changes no stream where the database was made by another version, nor in another profile", () =>
    withServedCluster({}, async (cluster) => {
      await refuses(cluster, /was made on a single server/, "--cluster", "east");
      await cluster.clickhouse.command(
        "ALTER TABLE schema_migrations UPDATE checksum = 'other' WHERE name = '0001_raw' SETTINGS mutations_sync = 2",
      );
      await refuses(cluster, /other versions of 0001_raw/);
    }));

  test("ends with 3 where the account takes no more streams", () => {
    const configText = accountWith("max_streams: -1");
    return withServedCluster({}, async (cluster) => {
      await cluster.jsm.streams.delete("KV_replays");
      reload(join(cluster.folder, "nats"), cluster.nats, "max_streams: -1", "max_streams: 3");
      const most = () => cluster.jsm.getAccountInfo().then(({ limits }) => limits.max_streams, () => undefined);
      await eventually("limited", async () => await most() === 3);
      const ended = await inProcess(registerInit, environmentOf(cluster), ["init"]);
      assert.equal([ended.code, ended.err.match(/takes no more streams/)?.length], [3, 1], ended.err);
    }, { startNats: (within) => startNatsServer({ folder: within, configText }) });
  });

  test("changes no stream for a cluster that ClickHouse does not know", () =>
    withServedCluster({}, async (cluster) => {
      const elsewhere = ["--database", "elsewhere", "--cluster", "nowhere"];
      await refuses(cluster, /knows no cluster "nowhere": LATECOMER_CLUSTER/, ...elsewhere);
      const [made] = await cluster.clickhouse.rows("SELECT name FROM system.databases WHERE name = 'elsewhere'");
      assert.is(made, undefined);
      const folder = join(cluster.folder, "none");
      await refuses(cluster, /is in no cluster/, "--clickhouse-url", `chdb:${folder}`, "--cluster", "nowhere");
      assert.not(existsSync(folder));
    }));

  test("changes no stream where there is no further generation", () =>
    withServedCluster({}, async (cluster) => {
      const kv = await cluster.nc.jetstream().views.kv("checkpoints", { bindOnly: true });
      await kv.put("generation", encode(JSON.stringify({ generation: LAST_GENERATION, hash: "" })));
      await refuses(cluster, /is the last there is/, "--raise-generation");
    }));

  test("refuses replicas and shorter retention in a dry run too", () =>
    withServedCluster({}, async (cluster) => {
      await refuses(cluster, /need a cluster/, "--replicas", "3");
      await refuses(cluster, /--force/, "--stream-retention", "1d");
    }));

  test("tells in a dry run too that other rows are derived than the generation has, and which is next", () =>
    withServedCluster({}, async (cluster) => {
      const call = async (...args: string[]) => {
        const place = { cwd: cluster.folder, env: { ...environmentOf(cluster), LATECOMER_LOG_LEVEL: "warn" } };
        // In a process of its own, whose log is on stderr.
        const { code, out, err } = await latecomer(["init", "--dry-run", "--json", ...args], place);
        assert.is(code, 0, err);
        return { generation: JSON.parse(out).generation, warns: /derives other rows/.test(err) };
      };
      assert.equal(await call(), { generation: 1, warns: false });
      assert.equal(await call("--ttl-after", "12h"), { generation: 1, warns: true });
      assert.equal(await call("--ttl-after", "12h", "--raise-generation"), { generation: 2, warns: false });
      assert.equal(await call(), { generation: 1, warns: false });
    }));

  test("tells in a dry run which migrations it would apply, and applies none", () =>
    withServedCluster({}, async (cluster) => {
      const call = async (...args: string[]) => {
        const { code, out, err } = await inProcess(registerInit, environmentOf(cluster), ["init", ...args]);
        assert.is(code, 0, err);
        return out;
      };
      assert.match(await call("--dry-run"), /schema: up to date/);
      await cluster.clickhouse.command(
        "DELETE FROM schema_migrations WHERE name = '0001_raw' SETTINGS lightweight_deletes_sync = 2",
      );
      for (const _ of [1, 2]) assert.match(await call("--dry-run"), /schema: would apply 0001_raw\n/);
      assert.equal(JSON.parse(await call("--dry-run", "--json")).migrations, ["0001_raw"]);
      assert.match(await call(), /schema: applied 0001_raw\n/);
      assert.match(await call("--dry-run"), /schema: up to date/);
    }));

  test("makes tables and views that are gone, with their retention, and tells of them before", () =>
    withServedCluster({}, async (cluster) => {
      const { clickhouse, config } = cluster;
      const gone = ["TABLE fact_stream_trace_edges", "TABLE raw_payment_events", "VIEW v_api_jitter_5m"];
      for (const one of gone) await clickhouse.command(`DROP ${one} SYNC`);
      const call = async (...args: string[]) => {
        const flags = ["init", "--table-retention", "contract", ...args];
        const { code, out, err } = await inProcess(registerInit, environmentOf(cluster), flags);
        assert.is(code, 0, err);
        return out;
      };
      assert.match(await call("--dry-run"), /would apply 0004_typed, 0007_session_events, 0010_serving$/m);
      assert.is((await schemaDrift(clickhouse, config.database)).length, gone.length);
      assert.match(await call(), /schema: applied 0004_typed, 0007_session_events, 0010_serving$/m);
      assert.equal(await schemaDrift(clickhouse, config.database), []);
      assert.ok(await retainedSince(clickhouse, config.database, "raw_payment_events") > 0);
      assert.match(await call(), /schema: up to date/);
    }));
});
