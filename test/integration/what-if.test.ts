/** `latecomer what-if` on a real stream: what it reports, what it ends with, and that it writes nothing anywhere. */
import * as assert from "uvu/assert";
import { registerWhatIf } from "../../src/cli/what-if.ts";
import { type Cluster, type Ended, eventually, productionEvents, withServedCluster } from "../helpers/cluster.ts";
import { inProcess } from "../helpers/command.ts";
import { installation, json } from "../helpers/replay.ts";
import { describe } from "../helpers/suite.ts";

function whatIf(cluster: Cluster, ...args: string[]): Promise<Ended> {
  return inProcess(registerWhatIf, { NATS_URL: cluster.config.natsUrl }, ["what-if", ...args]);
}

/** Everything that streams, buckets, consumers and tables hold. */
async function everything(cluster: Cluster): Promise<unknown> {
  const streams = [];
  for await (const { config, state } of cluster.jsm.streams.list()) {
    streams.push([config.name, state.messages, state.last_seq, state.bytes]);
  }
  const checkpoints = await Promise.all(["all", "0"].map((partition) => cluster.checkpoint(partition)));
  return { streams: streams.sort(), checkpoints, rest: await installation(cluster) };
}

describe("latecomer what-if", (test) => {
  test("shows what each setting and a snapshot less would do, and writes nothing", () =>
    withServedCluster({}, async (cluster) => {
      const empty = await whatIf(cluster, "--ttl-after", "1h");
      assert.equal([empty.code, /holds no messages/.test(empty.err)], [2, true]);
      await cluster.publish("org", productionEvents());
      await cluster.process();
      await eventually("leases gone", async () => (await cluster.keys("leases")).length === 0);
      const before = await everything(cluster);

      const shorter = json(await whatIf(cluster, "--ttl-after", "10s", "--json"));
      assert.equal([shorter.present.ttlAfterMs, shorter.changed.ttlAfterMs], [86_400_000, 10_000]);
      assert.is(shorter.messages, productionEvents().length);
      assert.equal([shorter.before.unattributed, shorter.after.unattributed], [0, shorter.after.reasons.no_snapshot]);
      const samples = shorter.changes.filter(({ table }: { table: string }) => table === "fact_stream_status_samples");
      assert.is(samples.length, shorter.after.unattributed);
      assert.ok(samples.length > 0);
      for (const { cause, why, columns } of samples) {
        assert.equal([cause, /and only 10s count$/.test(why)], ["expires", true]);
        const reason = columns.find(({ column }: { column: string }) => column === "unattributed_reason");
        assert.equal([reason.before, reason.after], ["", "no_snapshot"]);
      }
      const live = await cluster.facts("org");
      for (const { uid, columns } of samples) {
        const { orchestrator_address } = live.find((row) => row.source_event_uid === uid)!;
        const { before } = columns.find(({ column }: { column: string }) => column === "orchestrator_address");
        assert.is(before, orchestrator_address, "the present derivation is what the tables say");
      }

      assert.ok(json(await whatIf(cluster, "--ttl-before", "1ms", "--json")).after.unattributed > 0);
      assert.equal(
        json(await whatIf(cluster, "--allowed-lateness", "400d", "--json")).changed.allowedLatenessMs,
        34_560_000_000,
      );
      const [{ uid }] = await cluster.rows<{ uid: string }>(
        `SELECT selected_snapshot_uid AS uid FROM fact_stream_status_samples FINAL
         GROUP BY uid ORDER BY count() DESC LIMIT 1`,
      ) as [{ uid: string }];
      const without = json(await whatIf(cluster, "--without-snapshot", uid, "--json"));
      assert.ok(without.changes.some(({ cause }: { cause: string }) => cause === "left_out"));
      const text = await whatIf(cluster, "--without-snapshot", uid.split("~")[0]!, "--from-seq", "2");
      assert.is(text.code, 0, text.err);
      assert.match(text.out, "snapshots left out");
      assert.match(text.out, `rows would change`);
      assert.equal(await everything(cluster), before);
    }));

  test("ends with 2 when nothing or nonsense is asked, 1 for a snapshot that is not there, 3 without a server", () =>
    withServedCluster({}, async (cluster) => {
      await cluster.publish("org", productionEvents().slice(0, 20));
      const cases: [args: string[], code: number, why: RegExp][] = [
        [[], 2, /name what is to change/],
        [["--ttl-after", "40h"], 2, /LATECOMER_TTL_AFTER is "40h"/],
        [["--ttl-after", "1h", "--from-seq", "9", "--to-seq", "3"], 2, /lies behind/],
        [["--ttl-after", "1h", "--to-seq", "21"], 2, /LIVEPEER_EVENTS holds 1 to 20/],
        [["--without-snapshot", "nothing"], 2, /is called "nothing"/],
        [["--ttl-after", "1h", "--nats-url", "nats://127.0.0.1:9"], 3, /cannot connect to NATS/],
      ];
      for (const [args, code, why] of cases) {
        const ended = await whatIf(cluster, ...args);
        assert.equal([ended.code, ended.out], [code, ""], `${args.join(" ")}: ${ended.err}`);
        assert.match(ended.err, why);
      }
    }));
});
