/** The broadcast of snapshots over a real server. */
import * as assert from "uvu/assert";
import { openBroadcast } from "../../src/nats/broadcast.ts";
import { openBuckets } from "../../src/nats/bucket.ts";
import { eventually, withCluster, within } from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

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
});
