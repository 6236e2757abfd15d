/** Ranges of a stream are read whole, whatever is removed from it meanwhile. */
import * as assert from "uvu/assert";
import { openBuckets } from "../../src/nats/bucket.ts";
import { readStream } from "../../src/nats/range.ts";
import { pause, withCluster } from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

/** More than a reader asks for ahead of what it hands over. */
const ENTRIES = 12_000;
const VALUE = "x".repeat(2_000);

describe("a range of a stream", (test) => {
  test("is read to its end though one of its subjects is purged, and others are written, behind the reader", async () => {
    await withCluster({}, async ({ nc }) => {
      const { unmatched_status: bucket } = await openBuckets(nc);
      const keys = Array.from({ length: ENTRIES }, (_, nth) => `s.k${nth}`);
      for (let from = 0; from < ENTRIES; from += 500) {
        await Promise.all(keys.slice(from, from + 500).map((key) => bucket.put(key, VALUE, 0)));
      }
      const range = { fromSeq: 1, toSeq: ENTRIES };
      const found: number[] = [];
      for await (const slice of readStream(nc, "KV_unmatched_status", range, "$KV.unmatched_status.>")) {
        if (found.length === 0) {
          await bucket.remove(keys[0]!);
          await bucket.put("s.later", VALUE, 0);
        }
        found.push(...slice.map(({ streamSequence }) => streamSequence));
      }
      assert.equal(found, Array.from({ length: ENTRIES }, (_, nth) => nth + 1));
      assert.is((await bucket.entries()).length, ENTRIES);
    });
  });

  test("is listed with what is renewed meanwhile, when it is a bucket", async () => {
    await withCluster({}, async ({ nc }) => {
      const { leases: bucket } = await openBuckets(nc);
      const others = Array.from({ length: 2_000 }, (_, nth) => `k${nth}`);
      await Promise.all(others.map((key) => bucket.put(key, VALUE, 0)));
      let revision = await bucket.put("renewed", "", 0);
      let isListing = true;
      let renewals = 0;
      const renewing = (async () => {
        for (; isListing; renewals++) {
          revision = await bucket.put("renewed", VALUE, revision!);
          await pause(1);
        }
      })();
      try {
        for (let round = 0; round < 10; round++) {
          const before = renewals;
          assert.is((await bucket.entries()).length, others.length + 1);
          assert.ok(renewals > before);
        }
      } finally {
        isListing = false;
        await renewing;
      }
    });
  });

  test("is no range without its stream", async () => {
    await withCluster({}, async ({ nc }) => {
      const slices = readStream(nc, "NOWHERE", { fromSeq: 1, toSeq: 9 }, "nowhere.>");
      const says = await slices.next().then(() => "it was read", (error: Error) => error.message);
      assert.match(says, /read NOWHERE .*: stream not found/);
    });
  });
});
