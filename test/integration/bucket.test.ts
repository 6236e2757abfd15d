/** Entries of a bucket as the server keeps them. */
import * as assert from "uvu/assert";
import { openBuckets } from "../../src/nats/bucket.ts";
import { withCluster } from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

describe("an entry that is removed", (test) => {
  test("is gone without a marker, and its key can be written as one that never was", () =>
    withCluster({}, async (cluster) => {
      const { unmatched_status: bucket } = await openBuckets(cluster.nc);
      for (const key of ["org.a", "org.b", "org.c"]) assert.ok(await bucket.put(key, `old ${key}`, 0));
      await bucket.remove("org.b");
      assert.is(await bucket.get("org.b"), undefined);
      assert.equal(await cluster.keys("unmatched_status"), ["org.a", "org.c"]);
      assert.equal((await bucket.entries()).map(({ key }) => key), ["org.a", "org.c"]);
      assert.ok(await bucket.put("org.b", "new", 0));
      assert.is(await bucket.put("org.b", "newer", 0), undefined, "it is there");
      assert.is((await bucket.get("org.b"))!.value, "new");
    }));

  test("twice, or by two at once, is no error", () =>
    withCluster({}, async (cluster) => {
      const { leases: bucket } = await openBuckets(cluster.nc);
      await bucket.put("0", "{}", 0);
      await Promise.all([bucket.remove("0"), bucket.remove("0"), bucket.remove("0")]);
      await bucket.remove("0");
      assert.equal(await cluster.keys("leases"), []);
    }));
});
