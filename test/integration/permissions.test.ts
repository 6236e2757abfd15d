/** `deploy/nats/` on a real server: every command works as the user that it is meant for, and no user can do more. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { NatsConnection } from "nats";
import * as assert from "uvu/assert";
import { checkNats } from "../../src/cli/checks.ts";
import { resolveConfig } from "../../src/config.ts";
import { serveClickHouse } from "../../src/local/clickhouse-http.ts";
import { openBuckets } from "../../src/nats/bucket.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { wantedConsumers } from "../../src/nats/definitions.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import { type Ended, FROM_THE_START, GATEWAY_LOG, inFolder, latecomer, within } from "../helpers/cluster.ts";
import {
  covers,
  provision,
  publishPermissions,
  type RoleServer,
  withRole,
  withRoleServer,
} from "../helpers/nats-roles.ts";
import { describe } from "../helpers/suite.ts";
import { bytesOf, statusWire } from "../helpers/wire.ts";

const STRESS = fileURLToPath(new URL("../fixtures/ordering-stress", import.meta.url));
const LOG = fileURLToPath(new URL(`../fixtures/production/${GATEWAY_LOG}`, import.meta.url));

/** A status sample of the log. */
const STATUS_ID = "f0f0e510-9cda-4879-8546-6adbc080fb6e";

const MARK = "dirty.daydream.1";

/** What each user must be refused, as subjects. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  operator: [
    "dlq.daydream.null_payload.x",
    "dirty.daydream.1",
    "$KV.checkpoints.0",
    "$KV.leases.0",
    "$KV.workflow_sessions.daydream.a",
    "$JS.API.STREAM.DELETE.LIVEPEER_EVENTS",
    "$JS.API.STREAM.MSG.DELETE.LIVEPEER_EVENTS",
    "$JS.API.STREAM.MSG.DELETE.LIVEPEER_DLQ",
    "$JS.API.CONSUMER.DELETE.LIVEPEER_EVENTS.attributor-p0-1-1-1",
    "$JS.API.CONSUMER.CREATE.LIVEPEER_DIRTY_MINUTES.other",
    "$JS.API.CONSUMER.MSG.NEXT.LIVEPEER_DIRTY_MINUTES.rollup",
    "$JS.ACK.LIVEPEER_EVENTS.attributor-p0-1-1-1.1.1.1.1.1",
  ],
  processor: [
    "events.daydream.stream_trace.0",
    "$KV.checkpoints.generation",
    "$KV.replays.a",
    "$KV.replay_sessions.a.daydream.b",
    "$JS.API.STREAM.CREATE.OTHER",
    "$JS.API.STREAM.UPDATE.LIVEPEER_EVENTS",
    "$JS.API.STREAM.DELETE.LIVEPEER_EVENTS",
    "$JS.API.STREAM.PURGE.LIVEPEER_EVENTS",
    "$JS.API.STREAM.PURGE.LIVEPEER_DLQ",
    "$JS.API.STREAM.PURGE.KV_checkpoints",
    "$JS.API.STREAM.PURGE.KV_workflow_sessions",
    "$JS.API.STREAM.PURGE.KV_unmatched_status",
    "$JS.API.STREAM.MSG.DELETE.LIVEPEER_EVENTS",
    "$JS.API.STREAM.MSG.DELETE.KV_checkpoints",
    "$JS.API.STREAM.MSG.DELETE.KV_capability_snapshots",
    "$JS.API.CONSUMER.CREATE.LIVEPEER_DLQ.range-1.dlq.>",
    "$JS.API.CONSUMER.DELETE.LIVEPEER_DIRTY_MINUTES.rollup",
    "$JS.API.STREAM.SNAPSHOT.LIVEPEER_EVENTS",
  ],
  rollup: [
    "events.daydream.stream_trace.0",
    "dlq.daydream.null_payload.x",
    "dirty.daydream.1",
    "$KV.checkpoints.0",
    "$KV.checkpoints.generation",
    "$KV.leases.0",
    "$JS.API.STREAM.MSG.GET.LIVEPEER_EVENTS",
    "$JS.API.CONSUMER.CREATE.LIVEPEER_EVENTS.range-1.events.>",
    "$JS.API.STREAM.PURGE.LIVEPEER_DIRTY_MINUTES",
    "$JS.API.CONSUMER.DELETE.LIVEPEER_DIRTY_MINUTES.rollup",
  ],
  replay: [
    "events.daydream.stream_trace.0",
    "dlq.daydream.null_payload.x",
    "$JS.API.CONSUMER.MSG.NEXT.LIVEPEER_DIRTY_MINUTES.rollup",
    "$KV.checkpoints.0",
    "$KV.leases.0",
    "$KV.capability_snapshots.daydream.a",
    "$KV.unmatched_status.daydream.a",
    "$KV.workflow_sessions.daydream.a",
    "$JS.API.STREAM.PURGE.KV_checkpoints",
    "$JS.API.STREAM.PURGE.LIVEPEER_EVENTS",
    "$JS.API.STREAM.DELETE.KV_replays",
  ],
  reader: [
    "events.daydream.stream_trace.0",
    "dlq.daydream.null_payload.x",
    "dirty.daydream.1",
    "$KV.checkpoints.generation",
    "$KV.leases.0",
    "$KV.replays.a",
    "$JS.ACK.LIVEPEER_EVENTS.attributor-p0-1-1-1.1.1.1.1.1",
    "$JS.API.STREAM.PURGE.LIVEPEER_DLQ",
    "$JS.API.STREAM.UPDATE.LIVEPEER_EVENTS",
    "$JS.API.CONSUMER.DELETE.LIVEPEER_EVENTS.attributor-p0-1-1-1",
    "$JS.API.CONSUMER.CREATE.LIVEPEER_DIRTY_MINUTES.a.dirty.>",
    "$JS.API.CONSUMER.MSG.NEXT.LIVEPEER_DIRTY_MINUTES.rollup",
  ],
  publisher: [
    "events.cloud_spe.stream_trace.0",
    "dlq.daydream.null_payload.x",
    "dirty.daydream.1",
    "$KV.leases.0",
    "$JS.API.STREAM.INFO.LIVEPEER_EVENTS",
    "$JS.API.STREAM.MSG.GET.LIVEPEER_EVENTS",
    "$JS.API.CONSUMER.CREATE.LIVEPEER_EVENTS.range-1.events.>",
  ],
  bridge: ["events.other.stream_trace.0", "$JS.API.STREAM.INFO.LIVEPEER_EVENTS", "$KV.leases.0"],
};

/** What is needed when something happens that does not in this run, and what then. */
const ON_OCCASION: Readonly<Record<string, string>> = {
  "$JS.API.STREAM.MSG.GET.KV_capability_snapshots": "another process wrote the snapshot first",
  "$JS.API.STREAM.MSG.GET.KV_unmatched_status": "another process wrote the entry first",
  "$JS.API.STREAM.MSG.GET.KV_leases": "a lease expired while it was renewed",
  "$JS.API.STREAM.MSG.GET.KV_replay_sessions": "a session is longer than the memory",
  "$KV.checkpoints.gaps.*": "the stream dropped messages that were to be read",
  "$KV.checkpoints.costs.*": "a bound has cost evidence, or what it cost a source is forgotten",
  "$JS.API.CONSUMER.INFO.KV_leases.*": "the server is slow to list",
  "$JS.API.CONSUMER.INFO.KV_unmatched_status.*": "the server is slow to list",
  "$JS.API.CONSUMER.INFO.KV_replays.*": "the server is slow to list",
  "$JS.API.CONSUMER.INFO.KV_replay_sessions.*": "the server is slow to list",
  "$JS.API.CONSUMER.INFO.*.*": "the server is slow to list",
};

/**
 * Whoever only looks may remove no consumer, nor those that it has made, which go by themselves: ranges that are read,
 * places in time, and the nameless one that tells the server's clock.
 */
const OWN_CONSUMER = /^\$JS\.API\.CONSUMER\.DELETE\.(\w+\.range-\w+|LIVEPEER_EVENTS\.since-\w+|KV_checkpoints\.\w+)$/;

function sound(what: string, { code, out, err }: Ended): string {
  assert.is(code, 0, `${what}: ${out}${err}`);
  return out;
}

/** As `role`, against a served engine; each command in the test's folder. */
type Run = (role: string, ...args: string[]) => Promise<Ended>;

function withCommands(use: (run: Run, server: RoleServer, folder: string) => Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    const engine = await serveClickHouse(join(folder, "clickhouse"));
    try {
      await withRoleServer(folder, async (server) => {
        const env = { CLICKHOUSE_URL: engine.url, LATECOMER_PARTITIONS: "8", LATECOMER_TABLE_RETENTION: "none" };
        const run: Run = (role, ...args) => latecomer(args, { cwd: folder, env: { ...env, ...server.env(role) } });
        await use(run, server, folder);
      });
    } finally {
      await engine.close();
    }
  });
}

/** Makes and loads the consumers that workers share. */
async function makeConsumers(nc: NatsConnection): Promise<void> {
  const jsm = await nc.jetstreamManager();
  for (const { stream, config } of wantedConsumers()) {
    await jsm.consumers.add(stream, config);
    await jsm.consumers.info(stream, config.durable_name!);
  }
}

/** Takes a mark from the queue of minutes, as a process that recomputes them does. */
async function takeMark(nc: NatsConnection): Promise<void> {
  await makeConsumers(nc);
  const mark = await nc.jetstream().pull("LIVEPEER_DIRTY_MINUTES", "rollup");
  assert.is(mark.subject, MARK);
  assert.ok(await mark.ackAck());
}

/** Work of which no command of this run comes by, in this order. */
const BESIDES: readonly [role: string, work: (nc: NatsConnection) => Promise<unknown>][] = [
  ["processor", async (nc) => {
    const { leases, unmatched_status, workflow_sessions } = await openBuckets(nc);
    assert.ok(await workflow_sessions.put("daydream.session", "{}", 0));
    assert.ok(await unmatched_status.put("daydream.open", "{}", 0));
    assert.ok((await unmatched_status.entries()).some(({ key }) => key === "daydream.open"));
    await unmatched_status.remove("daydream.open");
    const stream = await openEventStream(nc);
    assert.ok(await stream.storedAtMs(1));
    assert.is(await stream.firstSeqAfter(0), 1);
    const source = await stream.open("0", FROM_THE_START, "9-1", () => {});
    assert.ok((await source.backlog()).pending >= 0);
    await source.close();
    for (let marks = 0; marks < 2; marks++) {
      await nc.jetstream().publish(MARK);
      if (marks === 0) await takeMark(nc);
    }
    assert.ok(await leases.put("other", "{}", 0));
    await leases.remove("other");
    assert.ok(await leases.put("member.other", "{}", 0));
  }],
  ["replay", async (nc) => {
    const { leases, replay_sessions } = await openBuckets(nc);
    assert.equal((await leases.entries()).map(({ key }) => key), ["member.other"]);
    assert.ok(await replay_sessions.put("a.daydream.session", "{}", 0));
    assert.is((await replay_sessions.entries()).length, 1);
    await replay_sessions.removeUnder("a");
  }],
  ["operator", async (nc) => {
    const { leases } = await openBuckets(nc);
    assert.equal((await leases.entries()).map(({ key }) => key), ["member.other"]);
    await (await nc.jetstreamManager()).streams.purge("KV_leases");
    await makeConsumers(nc);
  }],
  ["rollup", async (nc) => {
    const findings = await checkNats(resolveConfig({}, { streamRetentionMs: "6d" }), nc);
    assert.equal(findings.filter(({ state }) => state !== "ok"), []);
    await takeMark(nc);
  }],
  ["publisher", (nc) => nc.jetstream().publish("ingest.daydream.network_capabilities", "{}")],
  ["bridge", async (nc) => {
    const js = nc.jetstream();
    for (const source of ["cloud_spe", "daydream"]) {
      await js.publish(`ingest.${source}.network_capabilities`, "{}");
      await js.publish(`events.${source}.network_capabilities.all`, "{}");
    }
  }],
];

describe("the users of deploy/nats", (test) => {
  test("do all of their work, with every permission that they have and no other", () =>
    withCommands(async (run, server, folder) => {
      const as = async (role: string, ...args: string[]) =>
        sound(`${role}: ${args.join(" ")}`, await run(role, ...args));
      await as("operator", "init");
      await as("operator", "init", "--force", "--stream-retention", "6d", "--raise-generation");
      writeFileSync(join(folder, "broken.jsonl"), "no JSON\n");
      await as("publisher", "publish", LOG, join(folder, "broken.jsonl"), "--source", "daydream");
      const first = JSON.parse(await as("processor", "run", "--until-drained", "--json"));
      assert.is(first.counts.accepted, 65);
      assert.is(first.counts.rejected, 1);
      const { groups } = JSON.parse(await as("reader", "dlq", "list", "--json"));
      const letter = String(groups[0].examples[0]);
      await as("reader", "dlq", "show", letter);
      writeFileSync(join(folder, "mended.json"), bytesOf(statusWire()));
      await as("operator", "dlq", "republish", "--seq", letter, "--from", join(folder, "mended.json"), "--yes");
      await as("processor", "run", "--until-drained");
      const refused = ["dlq", "list", "--reason", groups[0].reason, "--json"];
      assert.is(JSON.parse(await as("operator", ...refused)).groups[0].recovered, 1);
      await Promise.all([as("reader", "verify"), as("reader", "audit", "--schedules", "1")]);
      // It finds no rows of the last day, which is wrong; of NATS it asks how far the processors are.
      const [triage] = await Promise.all([
        run("reader", "triage", "--json"),
        as("replay", "replay", "--from-seq", "1", "--compare"),
      ]);
      assert.is(JSON.parse(triage.out).lag.unknown, "", triage.err);
      await Promise.all([
        as("reader", "explain", STATUS_ID, "--source", "daydream"),
        as("reader", "what-if", "--ttl-before", "1h"),
        as("reader", "cutover", "plan"),
      ]);
      await as("replay", "replay", "--from-seq", "1", "--backfill");
      await as("rollup", "run", "--roles", "rollup", "--until-drained");
      await as("replay", "replay", "--from-seq", "1", "--keep");
      const { replays } = JSON.parse(await as("replay", "replay", "list", "--json"));
      await as("replay", "replay", "drop", replays[0].id);
      for (const [role, work] of BESIDES) await withRole(server, role, work);
      await Promise.all([
        as("publisher", "simulate", "--source", "daydream", "--count", "1"),
        as("publisher", "load-fixtures", STRESS, "--source", "daydream"),
      ]);
      await as("operator", "forget-source", "daydream", "--apply");

      const strange = server.refused().filter(({ user, subject }) => user !== "reader" || !OWN_CONSUMER.test(subject));
      assert.equal(strange, [], "refused");
      // Last, because it tries what is not this user's and tells what is refused: doctor.test.ts holds that.
      await Promise.all([as("operator", "doctor"), as("reader", "doctor")]);
      const published = server.published();
      const idle = [...publishPermissions()].flatMap(([user, permissions]) =>
        permissions
          .filter((one) => !(one in ON_OCCASION) && ![...published.get(user) ?? []].some((at) => covers(one, at)))
          .map((one) => `${user} ${one}`)
      );
      assert.equal(idle, [], "never needed");
    }));

  test("are refused what is not theirs", () =>
    inFolder((folder) =>
      withRoleServer(folder, async (server) => {
        await provision(server);
        assert.equal(Object.keys(REFUSED).sort(), [...publishPermissions().keys()].sort());
        for (const [role, subjects] of Object.entries(REFUSED)) {
          await withRole(server, role, async (nc) => {
            for (const subject of subjects) {
              const refusal = await nc.request(subject, "", { timeout: 10_000 }).then(() => "", ({ code }) => code);
              assert.is(refusal, "PERMISSIONS_VIOLATION", `${role} on ${subject}`);
            }
            const heard = new Promise<string>((resolve) => {
              nc.subscribe("events.>", { callback: (error) => resolve(error?.code ?? "heard one") });
            });
            assert.is(await within(`an answer to ${role}`, heard), "PERMISSIONS_VIOLATION", `${role} listens`);
          });
        }
        const told = new Set(server.refused().map(({ user, subject }) => `${user} ${subject}`));
        for (const [role, subjects] of Object.entries(REFUSED)) {
          for (const subject of subjects) assert.ok(told.has(`${role} ${subject}`), `${role} ${subject}`);
        }
      })
    ));

  test("publish through the mapping under their own source alone", () =>
    inFolder((folder) =>
      withRoleServer(folder, async (server) => {
        await provision(server);
        await withRole(server, "publisher", async (nc) => {
          const js = nc.jetstream();
          await js.publish("ingest.daydream.network_capabilities", "{}");
          await js.publish("ingest.cloud_spe.network_capabilities", "{}", { timeout: 2_000 }).then(
            () => assert.unreachable("it was taken"),
            ({ code }) => assert.is(code, "TIMEOUT"),
          );
        });
        await withRole(server, "reader", async (nc) => {
          assert.equal(await (await openEventStream(nc)).bounds(), { firstSeq: 1, lastSeq: 1 });
        });
      })
    ));

  test("are asked for TLS and a password, and tell what is wrong with theirs", () =>
    inFolder((folder) =>
      withRoleServer(folder, async (server) => {
        const refusal = async (settings: Partial<ReturnType<RoleServer["settings"]>>) => {
          const message = await connectNats({ ...server.settings("reader"), ...settings }).then(
            () => "connected",
            (error: Error) => error.message,
          );
          assert.not.match(message, /p[0-9a-f]{24}/);
          return message;
        };
        assert.match(await refusal({ natsCa: "" }), /NATS_CA/);
        assert.match(await refusal({ natsUrl: `tls://reader:wrong@${server.address}` }), /refuses these credentials/);
        assert.match(await refusal({ natsUrl: `tls://${server.address}` }), /refuses these credentials/);
        assert.match(await refusal({ natsCa: join(folder, "none.pem") }), /NATS_CA: cannot read/);
      })
    ));
});
