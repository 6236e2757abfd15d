/**
 * What the processor depends on fails again and again under load: NATS is killed five times, and the line to ClickHouse
 * is spoilt in five ways, longer than anything is patient. Nothing is lost or acknowledged early, memory stays bounded,
 * and what comes out is what an undisturbed run gives.
 *
 * `LATECOMER_SOAK=1` makes the load larger and every outage of ClickHouse 30 s long.
 */
import { join } from "node:path";
import process from "node:process";
import * as assert from "uvu/assert";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { productionLoad } from "../bench/load.ts";
import { eventually, neverBack, pause, within, withServedCluster } from "../helpers/cluster.ts";
import { allIsThere, nothingIsAhead, publish } from "../helpers/delivery.ts";
import { type Line, withLine } from "../helpers/line.ts";
import { describe } from "../helpers/suite.ts";

const SOAK = process.env.LATECOMER_SOAK === "1";
const OUTAGE_MS = SOAK ? 30_000 : 2_000;

/** Memory that an outage may cost, in MiB: a batch of at most 16 MiB in hand, one in the making, what was pulled. */
const MOST_GROWTH_MIB = 160;

/** Publishers at a time. */
const LANES = 32;

const rssMib = () => process.memoryUsage.rss() / 1_048_576;

describe("when NATS is killed five times under load", (test) => {
  const events = productionLoad(SOAK ? 50_000 : 5_000);
  const KILLS = 5;

  test("nothing that was confirmed is lost, and the facts are those of an undisturbed run", () =>
    withServedCluster({ batchRows: "200" }, async (cluster) => {
      const running = await cluster.start();
      const watch = await cluster.watchCheckpoints();
      let nats = cluster.nats;
      try {
        for (let kill = 0; kill < KILLS; kill++) {
          const [from, to] = [kill, kill + 1].map((at) => at * events.length / KILLS);
          let isPublishing = true;
          const publishing = publish(cluster, "org", events.slice(from, to), 2).finally(() => isPublishing = false);
          publishing.catch(() => {}); // Awaited below; when this test fails before, that failure counts.
          await eventually("in the middle", async () => await cluster.storedCount() > (2 * from! + to!) / 3);
          assert.ok(isPublishing, "the load goes on");
          await nats.kill();
          nats = await startNatsServer({ folder: join(cluster.folder, "nats"), port: nats.port });
          await within("published", publishing, 60_000);
        }
        await running.drained();
        await nothingIsAhead(cluster);
        assert.is(await cluster.storedCount(), events.length, "repeated offers were recognised by their ids");
        watch.stop();
        neverBack(watch.seen);
        await running.stop();
        await allIsThere(cluster, "org", events);
      } finally {
        await cluster.close();
        await nats.kill();
      }
    }));
});

describe(`while the line to ClickHouse is spoilt for ${OUTAGE_MS / 1_000} s under load`, (test) => {
  const events = productionLoad(SOAK ? 20_000 : 3_000);
  const faults: Record<string, (line: Line) => void | Promise<void>> = {
    "connections are refused": (line) => line.refuse(),
    "it breaks in the middle of a request": (line) => void (line.mode = "reset"),
    "it breaks when rows are stored, before the answer": (line) => void (line.mode = "swallow"),
    "every answer is 500": (line) => void (line.mode = "error"),
    "nothing moves": (line) => void (line.mode = "hang"),
  };
  for (const [what, begin] of Object.entries(faults)) {
    test(`${what}: nothing is ahead of what is stored, memory is bounded, and it goes on by itself`, () =>
      withServedCluster({ batchRows: "500" }, (cluster) =>
        withLine(cluster.config.clickhouseUrl, async (line) => {
          const running = await cluster.start({ clickhouseUrl: `http://127.0.0.1:${line.port}` });
          await publish(cluster, "org", events.slice(0, 1_000), LANES);
          await running.drained();
          const before = rssMib();
          const doneBefore = (await cluster.checkpoint("0"))!.doneSeq;
          await begin(line);
          const more = publish(cluster, "org", events.slice(1_000), LANES);
          more.catch(() => {}); // Awaited below; when this test fails before, that failure counts.
          await eventually("the batches in hand meet the fault", async () => await cluster.storedCount() > 2_000);
          // A request that is stuck is not known to fail; every other fault is.
          const isTold = what !== "nothing moves";
          if (isTold) await eventually("not ready", () => !running.processor.isReady, 10_000);
          let most = 0;
          for (const end = Date.now() + OUTAGE_MS; Date.now() < end; await pause(250)) {
            most = Math.max(most, rssMib() - before);
            if (isTold) assert.is(running.processor.isReady, false, "not ready all the while");
            await nothingIsAhead(cluster);
            assert.is((await cluster.checkpoint("0"))!.doneSeq, doneBefore, "nothing counts as done meanwhile");
          }
          assert.ok(most < MOST_GROWTH_MIB, `${Math.round(most)} MiB more in memory`);
          if (what.startsWith("it breaks when rows are stored")) {
            const archived = await cluster.count("SELECT uniqExact(stream_sequence) FROM raw_streaming_events");
            assert.ok(archived > 1_000, "rows are stored that nobody was told of");
          }
          if (what === "connections are refused") await line.listen();
          line.mode = "pass";
          await within("published", more, 60_000);
          await running.drained();
          assert.is(running.processor.isReady, true);
          await nothingIsAhead(cluster);
          await running.stop();
          console.log(`${what}: ${Math.round(most)} MiB more at most`);
          await allIsThere(cluster, "org", events);
        })));
  }
});
