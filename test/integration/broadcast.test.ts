/** The broadcast of snapshots over a real server. */
import * as assert from "uvu/assert";
import { snapshotEntry } from "../../src/core/snapshot.ts";
import { LatecomerError } from "../../src/errors.ts";
import { openBroadcast } from "../../src/nats/broadcast.ts";
import { openBuckets } from "../../src/nats/bucket.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { type Cluster, eventually, withCluster, within } from "../helpers/cluster.ts";
import { withLostEnds } from "../helpers/lost-end.ts";
import { describe } from "../helpers/suite.ts";

const STREAM = "KV_capability_snapshots";

/** Writes snapshots as whoever decodes them does: again, where no answer comes. */
async function tell({ nc }: Cluster, ...uids: readonly string[]): Promise<void> {
  const { capability_snapshots: bucket } = await openBuckets(nc);
  for (const uid of uids) {
    const entry = snapshotEntry({ source: "org", uid, timeMs: 1, nodes: [] })!;
    await eventually("written", () => bucket.put(`org.${uid}`, entry, 0).then(() => true, () => false));
  }
}

/** Runs with a watch that has heard of three snapshots. */
async function watched(cluster: Cluster, use: (heard: readonly string[]) => Promise<void>): Promise<void> {
  const heard: string[] = [];
  await tell(cluster, "a", "b");
  const watch = await (await openBroadcast(cluster.nc)).watch(({ uid }) => heard.push(uid));
  try {
    await within("restored", watch.restored);
    await tell(cluster, "c");
    await eventually("heard of all", () => heard.length === 3);
    await use(heard);
    await eventually("caught up", () => watch.isCaughtUp());
  } finally {
    await watch.close();
  }
}

describe("a watch of the broadcast", (test) => {
  test("is restored also when the newest snapshot was removed", () =>
    withCluster({}, async ({ nc }) => {
      const { capability_snapshots: bucket } = await openBuckets(nc);
      for (const key of ["one.snapshot", "other.snapshot"]) await bucket.put(key, "{}", 0);
      await bucket.removeUnder("other");
      const watch = await (await openBroadcast(nc)).watch(() => {});
      await within("restored", watch.restored);
      await bucket.put("one.later", "{}", 0);
      await eventually("caught up", () => watch.isCaughtUp());
      assert.is(await watch.isCaughtUp(), true);
      await watch.close();
    }));

  test("hears of what comes into a bucket that was deleted and made again, though it gives the same revisions", () =>
    withCluster({}, (cluster) =>
      watched(cluster, async (heard) => {
        const { wanted } = (await planStreams(cluster.jsm, cluster.config)).find(({ name }) => name === STREAM)!;
        // Made again before the watch has asked for it.
        await Promise.all([cluster.jsm.streams.delete(STREAM), cluster.jsm.streams.add(wanted)]);
        await tell(cluster, "d");
        await eventually("heard of it", () => heard.includes("d"));
      })));

  test("hears of what comes after its server has lost the end of the bucket", () =>
    withCluster({}, (cluster) =>
      withLostEnds(cluster, (loseEnd) =>
        watched(cluster, async (heard) => {
          await loseEnd(STREAM, async () => {
            await tell(cluster, "lost", "lost-too");
            await eventually("heard of them", () => heard.includes("lost-too"));
          });
          await tell(cluster, "later");
          await eventually("heard of what has the revision of a lost one", () => heard.includes("later"));
        }))));

  test("of a bucket that goes ends, saying so", () =>
    withCluster({}, async ({ nc, jsm }) => {
      const watch = await (await openBroadcast(nc)).watch(() => {});
      await within("restored", watch.restored);
      await jsm.streams.delete(STREAM);
      const ended = await within("ended", watch.finished.then(() => undefined, (error) => error));
      assert.instance(ended, LatecomerError);
      assert.is(ended.kind, "unavailable");
      assert.match(ended.message, /latecomer init/);
    }));
});
