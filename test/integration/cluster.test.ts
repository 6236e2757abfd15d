/**
 * Three nats-servers as one JetStream cluster, everything in three replicas: whoever leads the event stream, the
 * snapshots, the checkpoints or a consumer is killed under load and comes back. Nothing is lost, and what comes out is
 * what an undisturbed run gives.
 */
import process from "node:process";
import { NatsError } from "nats";
import * as assert from "uvu/assert";
import { checkReplicas } from "../../src/cli/keeping.ts";
import { routeOf } from "../../src/core/route.ts";
import { eventSubject } from "../../src/core/subject.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import { productionLoad } from "../bench/load.ts";
import { type Cluster, eventually, FROM_THE_START, neverBack, pause, withCluster, within } from "../helpers/cluster.ts";
import { allIsThere, nothingIsAhead, publish } from "../helpers/delivery.ts";
import { inSync, leaderOf, NatsCluster } from "../helpers/nats-cluster.ts";
import { describe } from "../helpers/suite.ts";

const SOAK = process.env.LATECOMER_SOAK === "1";
const EVENTS = productionLoad(SOAK ? 20_000 : 3_000);

/** Publishing and processing wait for an election, some seconds each. */
const PATIENCE_MS = 60_000;

const STREAMS = ["LIVEPEER_EVENTS", "KV_capability_snapshots", "KV_checkpoints", "KV_unmatched_status"];

/** What is asked of JetStream, again while an election keeps it from answering. */
async function answered<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (const deadline = Date.now() + PATIENCE_MS;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof NatsError) || Date.now() > deadline) throw error;
    }
  }
}

/** Who leads the consumer that a partition is read by; a reader that lost its own makes another. */
async function leaderOfReader(cluster: Cluster, partition: string): Promise<string> {
  let leader: string | undefined;
  await eventually(`partition ${partition} has a consumer with a leader`, async () => {
    const consumers = await answered(() => cluster.jsm.consumers.list("LIVEPEER_EVENTS").next());
    leader = consumers.find(({ name }) => name.startsWith(`attributor-p${partition}-`))?.cluster?.leader;
    return leader !== undefined && leader !== "";
  }, PATIENCE_MS);
  return leader!;
}

describe("in a JetStream cluster of three", (test) => {
  test("the leader of each stream, bucket and consumer is killed in turn under load: nothing is lost", async () => {
    let servers: NatsCluster | undefined;
    const startNats = async (folder: string) => servers = await NatsCluster.start(folder);
    await withCluster({ replicas: "3", batchRows: "200" }, async (cluster) => {
      for (const stream of STREAMS) assert.is((await cluster.jsm.streams.info(stream)).config.num_replicas, 3);
      assert.is((await checkReplicas(cluster.config, cluster.nc)).state, "ok");
      const running = await cluster.start();
      const watch = await cluster.watchCheckpoints();
      const victims: (() => Promise<string>)[] = [
        ...(SOAK ? STREAMS : ["LIVEPEER_EVENTS", "KV_checkpoints"]).map((stream) => () => leaderOf(cluster.nc, stream)),
        () => leaderOfReader(cluster, "0"),
      ];
      const killed: string[] = [];
      for (const [at, victim] of victims.entries()) {
        const [from, to] = [at, at + 1].map((part) => part * EVENTS.length / victims.length);
        for (const stream of STREAMS) await inSync(cluster.nc, stream);
        const leader = await victim();
        let isPublishing = true;
        const publishing = publish(cluster, "org", EVENTS.slice(from, to), 2).finally(() => isPublishing = false);
        publishing.catch(() => {}); // Awaited below; when this test fails before, that failure counts.
        const count = () => answered(() => cluster.storedCount());
        await eventually("in the middle", async () => await count() > (2 * from! + to!) / 3);
        assert.ok(isPublishing, "the load goes on");
        await servers!.killMember(leader);
        killed.push(leader);
        // Two of three go on by themselves; how they come to the end of it is left to the long run.
        await within("published", publishing, PATIENCE_MS);
        if (SOAK) await within("drained without it", running.processor.drained(), PATIENCE_MS);
        await answered(() => nothingIsAhead(cluster));
        await servers!.restart(leader);
      }
      console.log(`killed in turn: ${killed.join(", ")}`);
      watch.stop();
      neverBack(watch.seen);
      assert.is(await cluster.storedCount(), EVENTS.length, "repeated offers were recognised by their ids");
      await within("drained", running.processor.drained(), PATIENCE_MS);
      await answered(() => nothingIsAhead(cluster));
      await running.stop();
      // A processor does not start before every bucket has a leader again.
      for (const stream of await cluster.jsm.streams.names().next()) await inSync(cluster.nc, stream);
      await allIsThere(cluster, "org", EVENTS);
    }, { startNats });
  });

  test("a partition has nothing more to read only when that is so where the stream is led", async () => {
    let servers: NatsCluster | undefined;
    const startNats = async (folder: string) => servers = await NatsCluster.start(folder);
    await withCluster({ replicas: "3" }, async (cluster) => {
      const stream = await openEventStream(cluster.nc);
      const [event] = EVENTS.filter((bytes) => routeOf(bytes, cluster.config.partitions).partition === "0");
      const isAside = async () => {
        const leader = await leaderOfReader(cluster, "0");
        return leader !== await leaderOf(cluster.nc, "LIVEPEER_EVENTS") && leader !== cluster.nc.info?.server_name;
      };
      let source = await stream.open("0", FROM_THE_START, "reader-1", () => {});
      for (let nth = 2; !(await isAside()); nth++) {
        await source.close();
        source = await stream.open("0", FROM_THE_START, `reader-${nth}`, () => {});
      }
      const leader = await leaderOfReader(cluster, "0");
      for (let round = 0; round < 20; round++) {
        servers!.signal(leader, "SIGSTOP");
        const asked = [];
        let last = 0;
        try {
          for (let nth = 0; nth < 20; nth++) {
            const subject = eventSubject("org", "ai_stream_status", "0");
            last = (await cluster.nc.jetstream().publish(subject, event!, { timeout: 30_000 })).seq;
          }
          // Asked of the member that was away, they are answered while it still catches up.
          asked.push(source.drainedUpTo(), source.drainedUpTo(), source.drainedUpTo());
          await pause(50);
        } finally {
          servers!.signal(leader, "SIGCONT");
        }
        assert.equal(await Promise.all(asked), asked.map(() => undefined), `up to ${last} it is not read`);
        for (let read = 0; read < last;) read = (await source.read(100, 1_000)).at(-1)?.streamSequence ?? read;
        await source.ack(last);
        assert.is((await source.drainedUpTo())?.streamSequence, last);
      }
      await source.close();
    }, { startNats });
  });
});
