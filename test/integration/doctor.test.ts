/** doctor on real servers: a sound installation, and one that is wrong in each way; and what it must not change. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AckPolicy, connect, DeliverPolicy, nanos } from "nats";
import * as assert from "uvu/assert";
import { serverFinding } from "../../src/cli/checks.ts";
import { registerDoctor } from "../../src/cli/doctor.ts";
import { registerInit } from "../../src/cli/init.ts";
import { syncFinding, syncIn } from "../../src/cli/keeping.ts";
import { checkPartitions } from "../../src/cli/partitions.ts";
import { registerRun } from "../../src/cli/run.ts";
import { schemaDrift } from "../../src/clickhouse/drift.ts";
import { migratedTables } from "../../src/clickhouse/migrate.ts";
import { serveClickHouse } from "../../src/local/clickhouse-http.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { State } from "../../src/runtime/state.ts";
import { openBuckets } from "../../src/nats/bucket.ts";
import { type Cluster, encode, inFolder, withServedCluster } from "../helpers/cluster.ts";
import { environmentOf, inProcess, type Register } from "../helpers/command.ts";
import { withRole, withRoleServer } from "../helpers/nats-roles.ts";
import { describe } from "../helpers/suite.ts";
import { bytesOf, statusWire } from "../helpers/wire.ts";

interface Finding {
  readonly check: string;
  readonly state: string;
  readonly detail: string;
  readonly fix: string;
}

async function doctor(env: Record<string, string>, ...args: string[]): Promise<[code: number, findings: Finding[]]> {
  const { code, out, err } = await inProcess(registerDoctor, env, ["doctor", "--json", ...args]);
  assert.is(err, "");
  return [code!, JSON.parse(out).findings];
}

/** What is found beside what is right, as `check: detail`. */
async function wrongIn(cluster: Cluster, ...args: string[]): Promise<string[]> {
  const [, findings] = await doctor(environmentOf(cluster), ...args);
  for (const { state, fix, detail } of findings) assert.is(fix === "", state === "ok", `${detail}: what to do`);
  return findings.filter(({ state }) => state === "warning" || state === "failed").map(({ check, state, detail }) =>
    `${state} ${check}: ${detail}`
  );
}

/** What the servers hold, as one line each; merges change how many rows a table keeps, so folded ones are counted. */
async function holdings(cluster: Cluster): Promise<string[]> {
  const lines = [];
  for await (const { config, state } of cluster.jsm.streams.list()) {
    const consumers = [];
    for await (const { name } of cluster.jsm.consumers.list(config.name)) consumers.push(name);
    lines.push(JSON.stringify([config, state.messages, state.last_seq, consumers]));
  }
  const tables = await cluster.rows<{ name: string; made: string }>(
    `SELECT name, hex(sipHash64(create_table_query)) AS made FROM system.tables WHERE database = currentDatabase()`,
  );
  lines.push(...tables.map(({ name, made }) => `${name} ${made}`));
  for (const table of migratedTables().filter((one) => !one.startsWith("attribution"))) {
    lines.push(`${table} ${await cluster.count(`SELECT count() FROM ${table} FINAL`)}`);
  }
  return lines.sort();
}

describe("a finding of nats-server", (test) => {
  test("warns of a cluster of servers that are too old for one, and of no single server", () => {
    const stateOf = (version: string, cluster?: string) => serverFinding("nats://one", { version, cluster }).state;
    for (const version of ["2.9.10", "2.10.0", "2.11.1", "3.0.0"]) assert.is(stateOf(version), "ok");
    for (const version of ["2.9.25", "2.10.3"]) assert.is(stateOf(version, "east"), "warning");
    for (const version of ["2.10.20", "2.11.0-beta.1", "3.0.0"]) assert.is(stateOf(version, "east"), "ok");
  });
});

describe("doctor of a sound installation", (test) => {
  test("finds nothing wrong, says what cannot be read, and changes nothing", () =>
    withServedCluster({}, async (cluster) => {
      await cluster.publish("org", [bytesOf(statusWire())]);
      await cluster.process();
      const before = await holdings(cluster);
      const [code, findings] = await doctor(environmentOf(cluster));
      assert.is(code, 0);
      const states = new Map(findings.map(({ check, state }) => [check, state]));
      for (
        const check of [
          ...["nats-server", "streams", "generation", "retention", "deduplication of LIVEPEER_EVENTS"],
          ...["permissions in NATS", "consumers", "partition 0", "partition all", "rollup", "clock of NATS"],
          ...["ClickHouse", "schema", "tables and views", "permissions in ClickHouse", "clock of ClickHouse"],
        ]
      ) assert.is(states.get(check), "ok", `${check}: ${JSON.stringify(findings)}`);
      const fsync = findings.find(({ check }) => check === "fsync of JetStream")!;
      assert.is(fsync.state, "unknown");
      assert.match(fsync.detail, /cannot be read/);
      // The server removes consumers of a second by itself, and those that were removed at once.
      assert.equal(await holdings(cluster), before);
    }));

  test("tells the interval of syncs from what a newer server answers", () => {
    const answer = (config: unknown) => ({ server: {}, data: { config } });
    assert.is(syncIn(answer({ max_memory: 1 })), undefined);
    assert.is(syncIn({ error: {} }), undefined);
    const usual = syncIn(answer({ sync_interval: 120_000_000_000 }));
    assert.equal(usual, { always: false, intervalMs: 120_000 });
    assert.is(syncFinding(usual, "2.10.4", 1).state, "warning");
    assert.is(syncFinding(usual, "2.10.4", 3).state, "ok");
    const always = syncIn(answer({ sync_interval: 120_000_000_000, sync_always: true }));
    assert.is(syncFinding(always, "2.10.4", 1).state, "ok");
  });
});

describe("doctor of streams, consumers and partitions", (test) => {
  test("finds drift of streams and consumers, short windows and short retention", () =>
    withServedCluster({}, async (cluster) => {
      const { config } = await cluster.jsm.streams.info("LIVEPEER_EVENTS");
      const short = { max_age: nanos(3_600_000), duplicate_window: nanos(1_000) };
      await cluster.jsm.streams.update("LIVEPEER_EVENTS", { ...config, ...short });
      await cluster.jsm.consumers.add("LIVEPEER_DIRTY_MINUTES", {
        durable_name: "rollup",
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ack_wait: nanos(5_000),
        max_ack_pending: 10_000,
      });
      await cluster.jsm.consumers.add("LIVEPEER_EVENTS", { durable_name: "replay-gone", ack_policy: AckPolicy.All });
      await cluster.jsm.consumers.add("LIVEPEER_EVENTS", { name: "attributor-p0-1", ack_policy: AckPolicy.Explicit });
      const wrong = (await wrongIn(cluster)).join("\n");
      assert.match(wrong, /warning streams: .*LIVEPEER_EVENTS \(.*max_age 3600000000000, defined 604800000000000/);
      assert.match(wrong, /warning retention: LIVEPEER_EVENTS keeps events for 1h; .* come to 2d1h/);
      assert.match(wrong, /warning deduplication of LIVEPEER_EVENTS: .* 1s, 2m are promised/);
      assert.match(wrong, /warning consumers: rollup: ack_wait 5000000000, defined 30000000000/);
      assert.match(wrong, /warning consumers: replay-gone is left of a replay/);
      assert.match(wrong, /warning consumers: attributor-p0-1 has the ack policy explicit/);
    }));

  test("finds messages that nobody reads, of partitions too that nobody is told of", () =>
    withServedCluster({}, async (cluster) => {
      await cluster.publish("org", [bytesOf(statusWire())]);
      await cluster.nc.jetstream().publish("events.org.stream_trace.7", encode("{}"));
      await cluster.nc.jetstream().publish("events.org.stream_trace.left", encode("{}"));
      const wrong = await wrongIn(cluster);
      assert.equal(wrong.map((one) => one.split(":")[0]), [
        "warning partition 0",
        "warning partition 7",
        "warning partition left",
      ]);
      assert.match(wrong[0]!, /done to 0 of 1, .* late, read by nobody/);
      const ways = (await checkPartitions(cluster.nc, 1)).filter(({ state }) => state === "warning").map(({ fix }) =>
        fix
      );
      assert.equal(ways, [
        "latecomer run",
        "latecomer run with LATECOMER_PARTITIONS of 8 or more, until it is done",
        "publish on partitions by number, see streams/CONTRACT.md",
      ]);
    }));

  test("finds what the bounds of memory have cost, with the window to replay", () =>
    withServedCluster({}, async (cluster) => {
      const samples = [1, 2, 3, 4].map((at) => bytesOf(statusWire({}, { id: `s${at}` })));
      await cluster.publish("org", samples);
      await cluster.process({ maxOpen: 1 });
      const [bound, more] = (await wrongIn(cluster)).filter((one) => one.startsWith("warning bound"));
      assert.match(bound!, /partition 0: 3 observations_evicted, 2026-02-25T.* to 2026-02-25T/);
      assert.is(more, undefined);
      const state = new State(await openBuckets(cluster.nc));
      const span = { fromMs: 0, toMs: 5 };
      for (const source of ["a", "b", "a"]) {
        await state.noteCosts("0", [{ kind: "observations_starved", source, count: 2, span }]);
      }
      const bounds = (await wrongIn(cluster)).filter((one) => one.startsWith("warning bound"));
      assert.is(bounds.length, 3);
      assert.match(bounds.at(-1)!, /4 observations_starved of a/);
    }));
});

describe("replicas on a server by itself", (test) => {
  test("are refused by init before it changes anything, and by doctor", () =>
    withServedCluster({}, async (cluster) => {
      const before = await holdings(cluster);
      const env = { ...environmentOf(cluster), LATECOMER_REPLICAS: "3" };
      const { code, err } = await inProcess(registerInit, env, ["init"]);
      assert.is(code, 2);
      assert.match(err, /3 replicas need a cluster of nats-servers/);
      assert.equal(await holdings(cluster), before);
      const [failed, findings] = await doctor(env);
      assert.is(failed, 1);
      assert.is(findings.find(({ check }) => check === "replicas")?.state, "failed");
      assert.match(findings.find(({ check }) => check === "fsync of JetStream")!.detail, /there is one replica/);
    }));

  test("are found by doctor where a stream was changed to them, and taken back by init", () =>
    withServedCluster({}, async (cluster) => {
      const { config } = await cluster.jsm.streams.info("LIVEPEER_EVENTS");
      await cluster.jsm.streams.update("LIVEPEER_EVENTS", { ...config, num_replicas: 3 });
      const wrong = await wrongIn(cluster);
      assert.ok(wrong.some((one) => /^failed replicas: LIVEPEER_EVENTS has 3, /.test(one)), wrong.join("\n"));
      const { code, err } = await inProcess(registerInit, environmentOf(cluster), [
        "init",
        "--replicas",
        "1",
        "--force",
      ]);
      assert.is(code, 0, err);
      assert.equal(await wrongIn(cluster), []);
    }));
});

describe("doctor of tables and views", (test) => {
  test("finds a table or view that was changed or dropped, nested columns included", () =>
    withServedCluster({}, async (cluster) => {
      const { clickhouse, config } = cluster;
      assert.equal(await schemaDrift(clickhouse, config.database), []);
      await clickhouse.command("ALTER TABLE fact_workflow_sessions DROP COLUMN segments.pipeline");
      await clickhouse.command(
        "ALTER TABLE raw_unknown_events MODIFY TTL toDateTime(ingest_timestamp) + INTERVAL 5 DAY",
      );
      await clickhouse.command("CREATE OR REPLACE VIEW v_health_rollup_freshness AS SELECT 1 AS nothing");
      await clickhouse.command("DROP TABLE raw_discovery_results");
      assert.equal((await wrongIn(cluster)).sort(), [
        "failed tables and views: table raw_discovery_results is missing",
        "warning tables and views: table fact_workflow_sessions is not what the migration makes",
        "warning tables and views: view v_health_rollup_freshness is not what the migration makes",
      ]);
    }));
});

/** A user who may do everything but these. */
const WITHOUT = `authorization: { users: [
  { user: all, password: all },
  { user: less, password: less, permissions: { publish: { allow: ">", deny: [
    "$KV.checkpoints.>", "dlq.>", "$JS.API.CONSUMER.CREATE.LIVEPEER_EVENTS.>", "$JS.ACK.LIVEPEER_EVENTS.>",
    "$JS.API.STREAM.MSG.DELETE.KV_leases", "events.>", "$JS.API.CONSUMER.MSG.NEXT.LIVEPEER_DIRTY_MINUTES.>"
  ] } } },
] }`;

describe("doctor of permissions", (test) => {
  test("names each operation that is forbidden in NATS, and who needs it", () =>
    withServedCluster({}, async (cluster) => {
      // The account is the same; only the user may less.
      const { port } = cluster.nats;
      const env = environmentOf(cluster);
      const [code, findings] = await doctor({ ...env, NATS_URL: `nats://less:less@127.0.0.1:${port}` });
      assert.is(code, 1);
      const found = findings.filter(({ check }) => check === "permissions in NATS");
      assert.equal(found.map(({ state, detail }) => `${state} ${detail}`).sort(), [
        "failed may not acknowledge messages of LIVEPEER_EVENTS, which run needs",
        "failed may not pull from LIVEPEER_DIRTY_MINUTES, which run (rollup) needs",
        "failed may not read LIVEPEER_EVENTS, which run needs",
        "failed may not remove entries of leases, which run needs",
        "failed may not write checkpoints, which run needs",
        "failed may not write dead letters, which run needs",
        "unknown may not publish events, which publish, simulate, dlq republish needs",
      ]);
    }, {
      startNats: async (folder) => {
        const nats = await startNatsServer({ folder, configText: WITHOUT });
        return { ...nats, url: nats.url.replace("//", "//all:all@") };
      },
    }));

  test("finds a server that refuses the credentials, and one that is not there", () =>
    inFolder(async (folder) => {
      const nats = await startNatsServer({ folder: join(folder, "nats"), configText: WITHOUT });
      try {
        const clickhouse = { CLICKHOUSE_URL: `chdb:${join(folder, "clickhouse")}` };
        const [code, wrong] = await doctor({ ...clickhouse, NATS_URL: nats.url });
        assert.is(code, 1);
        const refused = wrong.find(({ check }) => check === "nats-server")!;
        assert.match(refused.detail, /refuses these credentials/);
        assert.match(refused.fix, /NATS_CREDS/);
        assert.match(wrong.find(({ check }) => check === "ClickHouse")!.detail, /latecomer init/);
        const { state, detail, fix } = wrong.find(({ check }) => check === "folder")!;
        assert.equal([state, detail, fix], ["failed", `there is no ${join(folder, "clickhouse")}`, "latecomer init"]);
        assert.equal(readdirSync(folder), ["nats"], "it made none");
        const nc = await connect({ servers: nats.url, user: "all", pass: "all" });
        await nc.close();
        const [gone, nobody] = await doctor({ NATS_URL: "nats://127.0.0.1:9", CLICKHOUSE_URL: "http://127.0.0.1:9" });
        assert.is(gone, 1);
        assert.equal(nobody.filter(({ state }) => state === "failed").map(({ check }) => check), [
          "nats-server",
          "ClickHouse",
        ]);
        assert.match(nobody.find(({ check }) => check === "nats-server")!.fix, /latecomer dev starts one/);
      } finally {
        await nats.kill();
      }
    }));

  test("tells a server without JetStream, and a file that holds no credentials, from one that is not there", () =>
    inFolder(async (folder) => {
      const configText = "accounts: { PLAIN: { users: [{ user: one, password: one }] }, $SYS: {} }";
      const nats = await startNatsServer({ folder: join(folder, "nats"), configText });
      try {
        const fixOf = async (env: Record<string, string>) => {
          const [, findings] = await doctor({ CLICKHOUSE_URL: "http://127.0.0.1:9", ...env });
          return findings.find(({ check }) => check === "nats-server")!;
        };
        const plain = await fixOf({ NATS_URL: nats.url.replace("//", "//one:one@") });
        assert.match(plain.detail, /JetStream does not answer/);
        assert.is(plain.fix, "enable JetStream, on the server and for the account; NATS_URL names another");
        const file = join(folder, "no.creds");
        writeFileSync(file, "nothing of the kind");
        const none = await fixOf({ NATS_URL: nats.url, NATS_CREDS: file });
        assert.equal([none.detail, none.fix], [`NATS_CREDS: ${file} is no credentials file`, "mend the setting"]);
      } finally {
        await nats.kill();
      }
    }));

  test("tells a server that takes no more connections from one that is not there", () =>
    inFolder(async (folder) => {
      const nats = await startNatsServer({ folder, configText: "max_connections: 1" });
      const nc = await connect({ servers: nats.url });
      try {
        const [code, findings] = await doctor({ NATS_URL: nats.url, CLICKHOUSE_URL: "http://127.0.0.1:9" });
        assert.is(code, 1);
        const { detail, fix } = findings.find(({ check }) => check === "nats-server")!;
        assert.match(detail, "its max_connections may be reached");
        assert.match(fix, "raise max_connections");
      } finally {
        await nc.close();
        await nats.kill();
      }
    }));

  test("ends with 2 on a setting that is none", async () => {
    const { code } = await inProcess(registerDoctor, { LATECOMER_PARTITIONS: "none" }, ["doctor"]);
    assert.is(code, 2);
  });
});

/** Of what each user of `deploy/nats` is told that it is not known; what it may look at is well. */
const UNKNOWN: Readonly<Record<string, readonly string[]>> = {
  processor: ["consumers", "partitions", "permissions in NATS"],
  operator: ["consumers", "permissions in NATS"],
  reader: ["consumers", "permissions in NATS"],
  rollup: ["consumers", "partitions", "permissions in NATS"],
  replay: ["consumers", "partitions", "permissions in NATS"],
  publisher: ["replicas", "streams"],
};

describe("doctor under deploy/nats", (test) => {
  test("says to each user what it may not look at, blames nobody for it, and takes no mark from the rollup", () =>
    inFolder(async (folder) => {
      const engine = await serveClickHouse(join(folder, "clickhouse"));
      try {
        await withRoleServer(folder, async (server) => {
          const of = (role: string) => ({
            ...server.env(role),
            CLICKHOUSE_URL: engine.url,
            LATECOMER_LOG_LEVEL: "error",
          });
          const does = async (role: string, register: Register, ...args: string[]) => {
            const { code, err } = await inProcess(register, of(role), args);
            assert.is(code, 0, `${role}: ${err}`);
          };
          const publish = (source: string) =>
            withRole(
              server,
              "publisher",
              (nc) => nc.jetstream().publish(`events.${source}.ai_stream_status.0`, bytesOf(statusWire())),
            );
          await does("operator", registerInit, "init");
          await publish("daydream");
          await does("processor", registerRun, "run", "--until-drained");
          await publish("daydream");
          await does("processor", registerRun, "run", "--until-drained", "--roles", "attribute");
          for (const [role, expected] of Object.entries(UNKNOWN)) {
            const [code, findings] = await doctor(of(role));
            const others = findings.filter(({ state, check }) => state !== "ok" && check !== "fsync of JetStream");
            const text = `${role}: ${JSON.stringify(others, null, 1)}`;
            assert.is(code, 0, text);
            assert.equal([...new Set(others.map(({ check }) => check))].sort(), expected, text);
            assert.ok(others.every(({ state, fix }) => state === "unknown" && fix !== ""), text);
            assert.not.match(text, /which run/, "nobody is told that run lacks what it does not need");
          }
          await withRole(server, "reader", async (nc) => {
            const jsm = await nc.jetstreamManager();
            const { num_pending, num_ack_pending } = await jsm.consumers.info("LIVEPEER_DIRTY_MINUTES", "rollup");
            assert.equal([num_pending, num_ack_pending], [1, 0]);
          });
        });
      } finally {
        await engine.close();
      }
    }));
});
