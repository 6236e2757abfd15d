/** Several processes share the partitions through leases; one that dies is succeeded; two at once agree. */
import * as assert from "uvu/assert";
import { seeded, shuffled, withDuplicates } from "../../src/runtime/shuffle.ts";
import {
  type Cluster,
  type Command,
  eventually,
  neverBack,
  productionEvents,
  type Running,
  startCommand,
  withCluster,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { LatecomerError } from "../../src/errors.ts";
import { ensureGeneration } from "../../src/nats/generation.ts";
import { publishMessages } from "../../src/nats/publish.ts";
import { productionLoad } from "../bench/load.ts";
import { describe } from "../helpers/suite.ts";

/** Longer than all events lie apart: then any order of them must give one answer. */
const LATENESS = "60d";

const PARTITIONS = "4";

const owners = async (cluster: Cluster): Promise<Map<string, string>> => {
  const bucket = await cluster.nc.jetstream().views.kv("leases", { bindOnly: true });
  const found = new Map<string, string>();
  for (const key of await cluster.keys("leases")) {
    const entry = key.startsWith("member.") ? null : await bucket.get(key);
    if (entry !== null) found.set(key, entry.json<{ owner: string }>().owner);
  }
  return found;
};

function startNamed(cluster: Cluster, name: string): Command {
  return startCommand(["run", "--name", name, "--partitions", PARTITIONS, "--allowed-lateness", LATENESS], {
    cwd: cluster.folder,
    env: { NATS_URL: cluster.config.natsUrl, CLICKHOUSE_URL: cluster.config.clickhouseUrl },
  });
}

describe("two processes and four partitions", (test) => {
  test("are shared; when one is killed the other has all of them within seconds, and the digest is the same", () =>
    withServedCluster({ partitions: PARTITIONS, allowedLatenessMs: LATENESS }, async (cluster) => {
      const events = withDuplicates(productionLoad(8_000), 0.1, seeded(1));
      const [one, two] = [startNamed(cluster, "one"), startNamed(cluster, "two")];
      try {
        await eventually("shared", async () => {
          const found = [...(await owners(cluster)).values()].sort().join();
          return found === "one,one,one,two,two" || found === "one,one,two,two,two";
        });
        const publishing = cluster.publish("org", shuffled(events, seeded(2)));
        publishing.catch(() => {}); // Awaited below.
        const stored = () => cluster.count("SELECT count() FROM raw_streaming_events");
        await eventually("under way", async () => await stored() > 2_000);
        one.kill("SIGKILL");
        await eventually("taken over", async () => {
          const found = [...(await owners(cluster)).values()];
          return found.length === 5 && found.every((owner) => owner === "two");
        }, 15_000);
        await publishing;
        await eventually(
          "all stored",
          async () =>
            await cluster.count("SELECT uniqExact(stream_sequence) FROM raw_streaming_events") === events.length,
        );
        two.kill("SIGTERM");
        const ended = await within("ended", two.ended);
        assert.is(ended.code, 0, ended.err);
      } finally {
        for (const command of [one, two]) command.kill("SIGKILL");
      }
      await cluster.publish("calm", events);
      await cluster.process();
      assert.equal(await cluster.digest("org"), await cluster.digest("calm"));
      assert.ok((await cluster.digest("org")).rows > 1_000);
    }));

  test("are shared anew when the second joins under load: every message is archived once, and the digest is the same", () =>
    withServedCluster({ partitions: PARTITIONS, allowedLatenessMs: LATENESS }, async (cluster) => {
      const events = productionLoad(8_000);
      const one = startNamed(cluster, "one");
      let two: Command | undefined;
      try {
        await eventually("held by the first", async () => (await owners(cluster)).size === 5);
        let isPublishing = true;
        const publishing = publishMessages(cluster.nc, events, {
          source: "org",
          partitions: Number(PARTITIONS),
          messageIds: false,
          rate: 800,
        }).finally(() => isPublishing = false);
        publishing.catch(() => {}); // Awaited below.
        const stored = () => cluster.count("SELECT uniqExact(stream_sequence) FROM raw_streaming_events");
        await eventually("under way", async () => await stored() > 500);
        two = startNamed(cluster, "two");
        await eventually("shared", async () => {
          return [...(await owners(cluster)).values()].filter((owner) => owner === "two").length === 2;
        }, 15_000);
        assert.ok(isPublishing, "the load goes on");
        await publishing;
        await eventually("all stored", async () => await stored() === events.length);
        for (const command of [one, two]) command.kill("SIGTERM");
        for (const command of [one, two]) {
          const ended = await within("ended", command.ended);
          assert.is(ended.code, 0, ended.err);
        }
      } finally {
        for (const command of [one, two]) command?.kill("SIGKILL");
      }
      assert.is(await cluster.count("SELECT count() FROM raw_streaming_events FINAL"), events.length);
      await cluster.publish("calm", events);
      await cluster.process();
      assert.equal(await cluster.digest("org"), await cluster.digest("calm"));
    }));
});

describe("the leases of a process", (test) => {
  test("go to another as soon as it ends, so that nothing waits for them to expire", () =>
    withCluster({ partitions: PARTITIONS }, async (cluster) => {
      const one = await cluster.start({ name: "one" });
      assert.equal(one.processor.held, ["all", "0", "1", "2", "3"]);
      await one.stop();
      assert.equal(await cluster.keys("leases"), []);
      const two = await cluster.start({ name: "two" });
      assert.equal(two.processor.held, ["all", "0", "1", "2", "3"]);
      await two.stop();
    }));

  test("are left to who took them while it slept, and what it still had in hand changes nothing", () =>
    withCluster({ partitions: "2", allowedLatenessMs: LATENESS }, async (cluster) => {
      const events = productionEvents();
      let wake = () => {};
      const asleep = new Promise<void>((resolve) => wake = resolve);
      let held = 0;
      const sleeper = await cluster.start({ name: "sleeper", batchRows: 15 }, () => (held++, asleep));
      await cluster.publish("org", shuffled(events, seeded(3)));
      await eventually("it has rows in hand", () => held > 0);
      // The clock of its leases runs on while it sleeps; here that is their removal.
      const heir = await cluster.start({ name: "heir" });
      const seize = async () => {
        for (const [partition, owner] of await owners(cluster)) {
          if (owner === "sleeper") await cluster.jsm.streams.purge("KV_leases", { filter: `$KV.leases.${partition}` });
        }
      };
      await eventually("the heir has some", async () => {
        await seize();
        return heir.processor.held.length > 0;
      });
      const watch = await cluster.watchCheckpoints();
      wake();
      await heir.drained();
      await sleeper.drained();
      await sleeper.stop();
      await heir.drained();
      await heir.stop();
      watch.stop();
      neverBack(watch.seen);
      await cluster.publish("calm", events);
      await cluster.process();
      assert.equal(await cluster.digest("org"), await cluster.digest("calm"));
    }));

  test("may be held twice: two processes of one name that read everything leave the rows of one", () =>
    withCluster({ partitions: "2", allowedLatenessMs: LATENESS }, async (cluster) => {
      const events = productionEvents();
      const [one, two] = [await cluster.start({ batchRows: 21 }), await cluster.start({ batchRows: 33 })];
      await cluster.publish("org", shuffled(withDuplicates(events, 0.3, seeded(4)), seeded(5)));
      await Promise.all([one.drained(), two.drained()]);
      await one.stop();
      await two.stop();
      await cluster.publish("calm", events);
      await cluster.process();
      assert.equal(await cluster.digest("org"), await cluster.digest("calm"));
      assert.equal(
        await cluster.count("SELECT count() FROM raw_streaming_events FINAL"),
        await cluster.storedCount(),
      );
    }));
});

describe("while ClickHouse takes no rows, a partition", (test) => {
  const events = productionEvents();

  /** Whoever is asked to hand over a batch that cannot be written does so after its deadline, and goes on. */
  const handedOver = (handOver: (cluster: Cluster, gate: () => void) => Promise<Running[]>) => () =>
    withCluster({ partitions: "2", allowedLatenessMs: LATENESS }, async (cluster) => {
      let isFull = true;
      const gate = () => {
        if (isFull) throw new LatecomerError("CLICKHOUSE_UNAVAILABLE", "retryable", "its disk is full");
      };
      const one = await cluster.start({ name: "one" }, gate);
      await cluster.publish("org", shuffled(events, seeded(6)));
      await eventually("it has batches in hand", () => one.processor.stalledCount === 3);
      const others = await handOver(cluster, gate);
      const left = () => cluster.journal.lines.some(({ message }) => message.startsWith("left what was in hand"));
      await Promise.race([eventually("left", left), one.processor.finished()]);
      isFull = false;
      await one.drained();
      for (const running of [one, ...others]) await running.stop();
      await cluster.publish("calm", events);
      await cluster.process();
      assert.equal(await cluster.digest("org"), await cluster.digest("calm"));
    });

  test(
    "goes to a process that joins, and the one that read it goes on with the others",
    handedOver(async (cluster, gate) => [await cluster.start({ name: "two" }, gate)]),
  );

  test(
    "is opened again under a generation that was raised, and its process goes on",
    handedOver(async ({ nc, config }) => {
      await ensureGeneration(nc, config, true);
      return [];
    }),
  );
});

describe("a process without a lease", (test) => {
  test("waits as a standby, and ends until drained when the others are done", () =>
    withCluster({ partitions: "1" }, async (cluster) => {
      const one = await cluster.start({ name: "one" });
      const two = await cluster.start({ name: "two" });
      const three = await cluster.start({ name: "three" });
      await cluster.publish("org", productionEvents());
      await Promise.all([one, two, three].map((running) => running.drained()));
      const held = () => [one, two, three].reduce((sum, { processor }) => sum + processor.held.length, 0);
      // One that is handed over is read by nobody for a moment.
      await eventually("both partitions are held", () => held() === 2);
      assert.ok(three.processor.isReady || three.processor.held.length > 0);
      assert.is(await cluster.count("SELECT count() FROM raw_streaming_events FINAL"), await cluster.storedCount());
      for (const running of [one, two, three]) await running.stop();
    }));
});
