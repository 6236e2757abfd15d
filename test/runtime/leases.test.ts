/** Who reads which partition, over a bucket in memory whose entries are expired by hand. */
import * as assert from "uvu/assert";
import type { Bucket } from "../../src/ports.ts";
import { Leases } from "../../src/runtime/leases.ts";
import { MemoryBucket } from "../helpers/replayed.ts";
import { describe } from "../helpers/suite.ts";

/** A bucket in memory whose entries expire when a test says so. */
class ExpiringBucket extends MemoryBucket {
  /** What the age limit does to a process that no longer renews. */
  async expire(owner: string): Promise<void> {
    for (const { key, value } of await this.entries()) if (value.includes(`"${owner}"`)) await this.remove(key);
  }
}

/** A bucket over another one, some of whose writes are disturbed. */
function disturbed(bucket: Bucket, put: Bucket["put"]): Bucket {
  return {
    get: (key) => bucket.get(key),
    put,
    remove: (key) => bucket.remove(key),
    removeUnder: (token) => bucket.removeUnder(token),
    entries: () => bucket.entries(),
  };
}

const PARTITIONS = ["all", "0", "1", "2"];
const taken = async (leases: Leases) => (await leases.round(1)).taken.map(({ partition }) => partition);

describe("leases", (test) => {
  test("all go to a process that is alone, each with the revision at which it was taken", async () => {
    const one = new Leases("one", PARTITIONS, new ExpiringBucket());
    const { taken, lost, surplus } = await one.round(1);
    assert.equal(taken.map(({ partition }) => partition), PARTITIONS);
    assert.is(new Set(taken.map(({ revision }) => revision)).size, PARTITIONS.length);
    assert.equal([lost, surplus], [[], []]);
    assert.equal(await one.round(1), { taken: [], lost: [], surplus: [] });
  });

  test("are shared fairly with a process that joins, as soon as the surplus is given up", async () => {
    const bucket = new ExpiringBucket();
    const one = new Leases("one", PARTITIONS, bucket);
    const two = new Leases("two", PARTITIONS, bucket);
    await one.round(1);
    assert.equal(await taken(two), [], "nothing is free yet");
    const { surplus } = await one.round(1);
    assert.is(surplus.length, 2);
    for (const partition of surplus) await one.release(partition);
    assert.equal(await taken(two), surplus);
    assert.equal([...one.held, ...two.held].sort(), [...PARTITIONS].sort());
    assert.equal((await one.round(1)).surplus, []);
  });

  test("leave no process idle while another has two more, and then stay where they are", async () => {
    for (const [partitions, processes] of [[4, 3], [9, 5], [9, 8], [3, 5]] as const) {
      const bucket = new ExpiringBucket();
      const all = Array.from({ length: partitions }, (_, nth) => String(nth));
      const members = Array.from({ length: processes }, (_, nth) => new Leases(`pod-${nth}`, all, bucket));
      const counts = () => members.map(({ held }) => held.length).sort().join();
      const round = async () => {
        for (const member of members) for (const one of (await member.round(1)).surplus) await member.release(one);
      };
      for (let nth = 0; nth < 3; nth++) await round();
      const least = Math.floor(partitions / processes);
      const more = partitions % processes;
      assert.is(
        counts(),
        Array.from({ length: processes }, (_, nth) => nth < processes - more ? least : least + 1).join(),
      );
      const held = () => members.map(({ held }) => held.join()).join(" ");
      const before = held();
      await round();
      assert.is(held(), before);
    }
  });

  test("move as few as can be when a process joins or goes", async () => {
    const bucket = new ExpiringBucket();
    const all = Array.from({ length: 5 }, (_, nth) => String(nth));
    const [first, second, third] = ["c", "b", "a"].map((name) => new Leases(name, all, bucket)) as [
      Leases,
      Leases,
      Leases,
    ];
    const round = async (...members: Leases[]) => {
      for (const member of members) for (const one of (await member.round(1)).surplus) await member.release(one);
    };
    for (let nth = 0; nth < 3; nth++) await round(first, second);
    const before = [first.held, second.held];
    assert.equal(before.map(({ length }) => length), [3, 2]);
    for (let nth = 0; nth < 3; nth++) await round(third, second, first);
    assert.equal([first.held, second.held, third.held.length], [before[0]!.slice(0, 2), before[1], 1]);
    await third.leave();
    for (let nth = 0; nth < 3; nth++) await round(second, first);
    assert.is(first.held.length + second.held.length, 5);
    assert.ok(before[1]!.every((one) => second.held.includes(one)));
  });

  test("that were taken before a round failed are told by the next one, or nobody would read them", async () => {
    const bucket = new MemoryBucket();
    let fails = true;
    const leases = new Leases(
      "one",
      PARTITIONS,
      disturbed(bucket, (key, value, revision) => {
        if (key === "1" && fails) return Promise.reject(new Error("away"));
        return bucket.put(key, value, revision);
      }),
    );
    await leases.round(1).then(() => assert.unreachable(), () => {});
    assert.equal(leases.held, ["all", "0"]);
    fails = false;
    assert.equal(await taken(leases), PARTITIONS);
    assert.equal(await taken(leases), []);
  });

  test("are not held any more when they are given up while they are renewed", async () => {
    const bucket = new MemoryBucket();
    let meanwhile = () => Promise.resolve();
    const leases: Leases = new Leases(
      "one",
      ["all"],
      disturbed(bucket, async (key, value, revision) => {
        const written = await bucket.put(key, value, revision);
        if (key === "all" && revision > 0) await meanwhile();
        return written;
      }),
    );
    await leases.round(1);
    meanwhile = () => leases.release("all");
    await leases.round(1);
    assert.equal(leases.held, []);
    meanwhile = () => Promise.resolve();
    assert.equal(await taken(leases), ["all"]);
  });

  test("of a process that died are taken when they have expired, and not before", async () => {
    const bucket = new ExpiringBucket();
    await new Leases("dead", PARTITIONS, bucket).round(1);
    const heir = new Leases("heir", PARTITIONS, bucket);
    assert.equal(await taken(heir), []);
    await bucket.expire("dead");
    assert.equal(await taken(heir), PARTITIONS);
  });

  test("of a process that died go at once to the one that starts under its name", async () => {
    const bucket = new ExpiringBucket();
    await new Leases("pod-0", PARTITIONS, bucket).round(1);
    assert.equal(await taken(new Leases("pod-0", PARTITIONS, bucket)), PARTITIONS);
  });

  test("tell that two processes run under one name, and no longer when one has gone", async () => {
    const bucket = new ExpiringBucket();
    const [one, two] = [new Leases("pod", PARTITIONS, bucket), new Leases("pod", PARTITIONS, bucket)];
    for (let nth = 0; nth < 4; nth++) for (const leases of [one, two]) await leases.round(1);
    assert.equal([one.hasNamesake, two.hasNamesake], [true, true]);
    for (let nth = 0; nth < 2; nth++) await two.round(1);
    assert.not(two.hasNamesake);
  });

  test("take nobody for a namesake that was there before, nor a write whose answer was lost, nor an entry that expired", async () => {
    const bucket = new ExpiringBucket();
    await new Leases("pod", PARTITIONS, bucket).round(1);
    let answers = true;
    const unsure = disturbed(bucket, async (...entry) => {
      const revision = await bucket.put(...entry);
      if (answers) return revision;
      throw new Error("no answer");
    });
    const leases = new Leases("pod", PARTITIONS, unsure);
    for (let nth = 0; nth < 12; nth++) {
      answers = nth % 3 !== 1;
      await leases.round(1).catch(() => {});
      assert.not(leases.hasNamesake);
      if (nth > 6) await bucket.expire("pod");
    }
  });

  test("are lost by a process that slept while another took them", async () => {
    const bucket = new ExpiringBucket();
    const sleeper = new Leases("sleeper", PARTITIONS, bucket);
    await sleeper.round(1);
    await bucket.expire("sleeper");
    const other = new Leases("other", PARTITIONS, bucket);
    await other.round(1);
    const { lost, taken } = await sleeper.round(1);
    assert.equal([lost, taken], [PARTITIONS, []]);
    assert.equal(sleeper.held, []);
  });

  test("are kept by a process that slept while nobody took them", async () => {
    const bucket = new ExpiringBucket();
    const sleeper = new Leases("sleeper", PARTITIONS, bucket);
    await sleeper.round(1);
    await bucket.expire("sleeper");
    assert.equal(await sleeper.round(1), { taken: [], lost: [], surplus: [] });
    assert.equal(sleeper.held, PARTITIONS);
  });

  test("are free at once when their owner leaves", async () => {
    const bucket = new ExpiringBucket();
    const one = new Leases("one", PARTITIONS, bucket);
    await one.round(1);
    await one.leave();
    assert.equal(await bucket.entries(), []);
  });

  test("that cannot be read belong to nobody, and expire like any other", async () => {
    const bucket = new ExpiringBucket();
    await bucket.put("0", "not JSON", 0);
    assert.equal(await taken(new Leases("one", PARTITIONS, bucket)), ["all", "1", "2"]);
  });
});
