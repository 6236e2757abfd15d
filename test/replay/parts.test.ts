/** The pure and small parts of a replay: evidence, sessions, lease, record, differences. */
import * as assert from "uvu/assert";
import { type ErrorKind, LatecomerError } from "../../src/errors.ts";
import { differenceOf } from "../../src/replay/difference.ts";
import { Evidence, evidenceStart, surveyRange } from "../../src/replay/evidence.ts";
import { ReplayLease } from "../../src/replay/lease.ts";
import { loadRecord, type ReplayRecord, saveRecord } from "../../src/replay/record.ts";
import { incompleteSessions } from "../../src/replay/sessions.ts";
import { node, snapshot, status, type Wire } from "../helpers/events.ts";
import { MemoryBucket, storedFrom, streamOf, WaitedClock } from "../helpers/replayed.ts";
import { describe } from "../helpers/suite.ts";

const HOUR_MS = 3_600_000;
const NOW = 1_000 * HOUR_MS;
const SETTINGS = { ttl: { beforeMs: 2 * HOUR_MS, afterMs: HOUR_MS }, mostSightings: 100 };
const quiet = () => {};

async function codeOf(work: Promise<unknown>): Promise<[code: string, kind: string]> {
  try {
    await work;
  } catch (error) {
    if (error instanceof LatecomerError) return [error.code, error.kind];
    throw error;
  }
  return assert.unreachable("is refused") as never;
}

describe("the evidence of a range", (test) => {
  const wires = [
    snapshot(NOW - 2 * HOUR_MS - 1, node("0xa", "m", [])),
    snapshot(NOW - 2 * HOUR_MS, node("0xb", "m", [])),
    status({ at: NOW, id: "first" }),
    status({ at: NOW + 60_000, id: "last" }),
    snapshot(NOW + HOUR_MS + 60_000, node("0xc", "m", [])),
    snapshot(NOW + HOUR_MS + 60_001, node("0xd", "m", [])),
    snapshot(NOW - 1, node("0xlate", "m", [])),
  ];
  const range = { fromSeq: 3, toSeq: 4 };

  test("is every snapshot from TTL before its first event to TTL after its last, however late it came", async () => {
    const stream = streamOf(storedFrom(1, NOW + 2 * HOUR_MS, wires));
    const times = await surveyRange(stream, range, quiet);
    assert.equal(times, { fromMs: NOW, toMs: NOW + 60_000 });
    const begin = await evidenceStart(stream, times, SETTINGS);
    assert.equal(begin, { fromSeq: 1, isWhole: true });
    const evidence = new Evidence(SETTINGS, times, begin.fromSeq);
    await evidence.load(stream, 5, quiet);
    await evidence.load(stream, 7, quiet);
    assert.equal(evidence.snapshots.map(({ uid }) => /-(0x[^~]+?)http/.exec(uid)?.[1]), ["0xb", "0xc", "0xlate"]);
    assert.is(evidence.fromSeq, 2);
  });

  test("has the snapshots of a publisher that names a partition for them, as live traffic has", async () => {
    const stored = storedFrom(1, NOW + 2 * HOUR_MS, wires).map((message) => {
      return { ...message, subject: message.subject.replace(/network_capabilities\.all$/, "network_capabilities.0") };
    });
    const evidence = new Evidence(SETTINGS, { fromMs: NOW, toMs: NOW + 60_000 }, 1);
    await evidence.load(streamOf(stored), 7, quiet);
    assert.is(evidence.snapshots.length, 3);
  });

  test("begins an hour of stored time before the earliest snapshot that can count", async () => {
    const stream = streamOf(storedFrom(1, NOW - 4 * HOUR_MS, Array.from({ length: 7_201 }, () => wires[0]!)));
    const begin = await evidenceStart(stream, { fromMs: NOW, toMs: NOW }, SETTINGS);
    assert.equal(begin, { fromSeq: 3_601, isWhole: true });
  });

  test("is not whole when the stream has dropped what may have counted, and whole when that was older", async () => {
    const times = { fromMs: NOW, toMs: NOW };
    const young = streamOf(storedFrom(500, NOW - 3 * HOUR_MS, wires));
    assert.is((await evidenceStart(young, times, SETTINGS)).isWhole, false);
    const old = streamOf(storedFrom(500, NOW - 3 * HOUR_MS - 1, wires));
    assert.is((await evidenceStart(old, times, SETTINGS)).isWhole, true);
  });

  test("is refused when it is more than the memory bound, and is none for a range without an event", async () => {
    const stream = streamOf(storedFrom(1, NOW + 2 * HOUR_MS, wires));
    const evidence = new Evidence({ ...SETTINGS, mostSightings: 2 }, { fromMs: NOW, toMs: NOW + 60_000 }, 1);
    assert.equal(await codeOf(evidence.load(stream, 7, quiet)), ["EVIDENCE_TOO_LARGE", "usage"]);
    const nothing = streamOf([{ ...storedFrom(1, NOW, wires)[0]!, bytes: new Uint8Array([123]) }]);
    assert.is(await surveyRange(nothing, { fromSeq: 1, toSeq: 1 }, quiet), null);
    assert.equal(await evidenceStart(nothing, null, SETTINGS), { fromSeq: 2, isWhole: true });
  });
});

describe("the sessions of a range", (test) => {
  const sample = (request: string): Wire => status({ at: NOW, request, id: request });
  const wires = ["a", "b", "c", "d", "b", "c", "e", "a"].map(sample);
  const listed = async (firstSeq: number, quietMs: number, range: [number, number]) => {
    const stream = streamOf(storedFrom(firstSeq, NOW, wires));
    const [fromSeq, toSeq] = range;
    const found = await incompleteSessions(stream, { fromSeq, toSeq }, quietMs, quiet);
    return found.map(({ sessionKey, why, streamSequence }) => [sessionKey.split("|")[1], why, streamSequence]);
  };

  test("are whole when no event of theirs lies outside, and listed with the first that does", async () => {
    assert.equal(await listed(1, HOUR_MS, [2, 6]), []);
    assert.equal(await listed(1, HOUR_MS, [3, 7]), [["b", "outside", 2]]);
    assert.equal(await listed(1, HOUR_MS, [1, 5]), [["a", "outside", 8], ["c", "outside", 6]]);
    assert.equal(await listed(1, HOUR_MS, [1, 8]), []);
  });

  test("are listed when they begin so near to a head that has expired that more may be gone", async () => {
    assert.equal(await listed(101, 1_500, [101, 108]), [["a", "expired_head", 101], ["b", "expired_head", 102]]);
    assert.equal(await listed(101, 1_500, [102, 106]), [["b", "expired_head", 102]]);
    assert.equal(await listed(101, 0, [102, 108]), [["a", "outside", 101]]);
  });

  test("are those of their source alone", async () => {
    const messages = storedFrom(1, NOW, [sample("a"), { ...sample("a"), source: "another" }]);
    assert.equal(await incompleteSessions(streamOf(messages), { fromSeq: 1, toSeq: 1 }, 0, quiet), []);
  });
});

describe("the lease of a replay", (test) => {
  test("is refused to others while its holder renews it, and theirs at once when it is given up", async () => {
    const [bucket, clock] = [new MemoryBucket(), new WaitedClock()];
    const lease = await ReplayLease.take(bucket, "r", "one", clock);
    const other = codeOf(ReplayLease.take(bucket, "r", "two", clock));
    await clock.pass(10_000);
    assert.equal(await other, ["REPLAY_HELD", "unavailable"]);
    await lease.release();
    assert.equal(await bucket.entries(), []);
    await (await ReplayLease.take(bucket, "r", "two", clock)).release();
  });

  test("of one that died goes to the next, who waited; who comes back finds it lost", async () => {
    const [bucket, frozen, clock] = [new MemoryBucket(), new WaitedClock(), new WaitedClock()];
    const dead = await ReplayLease.take(bucket, "r", "dead", frozen);
    const next = ReplayLease.take(bucket, "r", "next", clock);
    await clock.pass(10_000);
    const lease = await next;
    await frozen.pass(2_000);
    assert.ok(dead.lost.aborted);
    await dead.release();
    assert.is((await bucket.get("r.lease"))?.value, "next", "what is lost is not given up");
    await lease.release();
  });

  test("is kept where a renewal came through and its answer did not", async () => {
    const [bucket, clock] = [new MemoryBucket(), new WaitedClock()];
    const lease = await ReplayLease.take(bucket, "r", "one", clock);
    const put = bucket.put.bind(bucket);
    bucket.put = async (...entry) => {
      bucket.put = put;
      await put(...entry);
      throw new LatecomerError("NATS_UNREACHABLE", "retryable", "does not answer");
    };
    await clock.pass(5_000);
    assert.not.ok(lease.lost.aborted);
    await lease.release();
    assert.equal(await bucket.entries(), []);
  });

  test("is kept while the bucket is away, and lost where it cannot be renewed at all", async () => {
    const [bucket, clock] = [new MemoryBucket(), new WaitedClock()];
    const lease = await ReplayLease.take(bucket, "r", "one", clock);
    const fails = (kind: ErrorKind) => () => Promise.reject(new LatecomerError("NATS", kind, "does not answer"));
    bucket.put = fails("retryable");
    await clock.pass(10_000);
    assert.not.ok(lease.lost.aborted);
    bucket.put = fails("fatal");
    await clock.pass(1_000);
    assert.ok(lease.lost.aborted);
    await lease.release();
  });
});

describe("the record of a replay", (test) => {
  const record: ReplayRecord = {
    id: "abc1",
    fromSeq: 1,
    toSeq: 9,
    mode: "shadow",
    keep: false,
    compare: true,
    shuffleSeed: null,
    hash: "h",
    generation: 3,
    eventTimes: { fromMs: 1, toMs: 2 },
    evidence: { fromSeq: 1, toSeq: 9, isWhole: true },
    knowsSessions: true,
    isOver: false,
  };

  test("is read as it was written, and an unknown or damaged one is refused", async () => {
    const bucket = new MemoryBucket();
    await saveRecord(bucket, record);
    await saveRecord(bucket, { ...record, generation: 4 });
    assert.equal(await loadRecord(bucket, "abc1"), { ...record, generation: 4 });
    await bucket.put("broken", "{", 0);
    for (const id of ["nosuch", "broken", "abc1.progress", "../x", ""]) {
      assert.equal(await codeOf(loadRecord(bucket, id)), ["REPLAY_UNKNOWN", "usage"], id);
    }
  });
});

describe("why a derived row and the live one differ", (test) => {
  const version = (generation: number, evidence: number) => String((BigInt(generation) << 116n) | BigInt(evidence));
  const cases: [string, string | null, string | null, boolean][] = [
    ["missing_live", version(2, 7), null, false],
    ["missing_replay", null, version(2, 7), false],
    ["changed", version(2, 7), version(2, 7), false],
    ["changed", version(2, 7), version(2, 7), true],
    ["less_evidence", version(2, 7), version(2, 6), true],
    ["more_evidence", version(2, 7), version(2, 8), false],
    ["evidence_expired", version(2, 7), version(2, 8), true],
    ["evidence_expired", version(2, 7), version(1, 8), true],
    ["other_generation", version(2, 7), version(1, 7), false],
    ["other_generation", version(2, 7), version(1, 6), true],
  ];
  for (const [kind, replayVersion, liveVersion, isExpired] of cases) {
    test(`is ${kind} for ${replayVersion} and ${liveVersion}${isExpired ? ", its snapshot gone" : ""}`, () => {
      assert.is(differenceOf({ replayVersion, liveVersion, isExpired }), kind);
    });
  }
});
