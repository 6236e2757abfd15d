/** What several writers of one checkpoint and of one session leave, over buckets in memory. */
import * as assert from "uvu/assert";
import type { Checkpoint } from "../../src/core/checkpoint.ts";
import type { Cost } from "../../src/core/effects.ts";
import { judge } from "../../src/core/judge.ts";
import { readSession } from "../../src/core/session/entry.ts";
import { Sessions } from "../../src/core/session/sessions.ts";
import type { SessionEvent } from "../../src/core/session/signal.ts";
import { LatecomerError } from "../../src/errors.ts";
import type { Bucket, Buckets } from "../../src/ports.ts";
import { readCosts, readGaps, State } from "../../src/runtime/state.ts";
import { bytesOf, stored, subjectOf, type Wire } from "../helpers/events.ts";
import { request, swap } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";
import { DEFAULTS } from "../helpers/world.ts";
import { BucketServer } from "../simulation/bucket.ts";
import { Scheduler } from "../simulation/scheduler.ts";

const FOUND: Checkpoint = {
  doneSeq: 20,
  rewindSeq: 21,
  doneAtMs: 5_000,
  held: 0,
  heldSeq: 0,
  heldMark: 0,
  lastSession: "",
  lastSnapshot: "",
  generation: 1,
  hash: "rules",
};
const PLANNED = { ...FOUND, doneSeq: 15, rewindSeq: 10, doneAtMs: 4_000 };

const bucketOf = (server: BucketServer): Pick<Bucket, "get" | "put"> => ({
  get: (key) => Promise.resolve(server.get(key)),
  put: (key, value, revision) => Promise.resolve(server.put(key, value, revision)),
});

function stateOf(text: string): State {
  const server = new BucketServer("checkpoints", new Scheduler());
  server.put("0", text, 0);
  return new State({ checkpoints: bucketOf(server) } as unknown as Buckets);
}

/** The entry of the session of some events. */
function entryOf(...wires: Wire[]) {
  const sessions = new Sessions(DEFAULTS);
  for (const wire of wires) {
    const message = stored(subjectOf(wire, 1), bytesOf(wire.envelope), 1, 4_000_000_000_000);
    const { decoded, sessionKey } = judge(message);
    if (decoded.outcome === "accepted") sessions.note(sessionKey!, decoded.event as SessionEvent, message);
  }
  const [change] = sessions.seal(2, 4_000_000_000_000, () => {});
  return change!;
}

const uidsIn = (key: string, value: string) =>
  Array.from(readSession(key, value)!.session.signals, ({ uid }) => uid).sort();

describe("moving a checkpoint", (test) => {
  const moved = (doneSeq: number): Checkpoint => ({ ...FOUND, doneSeq, rewindSeq: doneSeq + 1 });

  test("asks once what is there, and never offers what has to be refused", async () => {
    const server = new BucketServer("checkpoints", new Scheduler());
    server.put("0", JSON.stringify(FOUND), 0);
    const calls: string[] = [];
    const counted: Pick<Bucket, "get" | "put"> = {
      get: (key) => (calls.push("get"), bucketOf(server).get(key)),
      put: async (key, value, revision) => {
        const written = await bucketOf(server).put(key, value, revision);
        calls.push(written === undefined ? "refused" : "put");
        return written;
      },
    };
    const state = new State({ checkpoints: counted } as unknown as Buckets);
    for (const doneSeq of [30, 40, 50]) await state.saveCheckpoint("0", moved(doneSeq));
    assert.equal(calls, ["get", "put", "put", "put"]);
    assert.equal(await state.loadCheckpoint("0"), moved(50));
  });

  test("leaves what another writer moved further meanwhile, and goes on from there", async () => {
    const state = stateOf(JSON.stringify(FOUND));
    await state.saveCheckpoint("0", moved(30));
    await state.forReader().saveCheckpoint("0", moved(60));
    await state.saveCheckpoint("0", moved(40));
    assert.equal(await state.loadCheckpoint("0"), moved(60));
    await state.saveCheckpoint("0", moved(70));
    assert.equal(await state.loadCheckpoint("0"), moved(70));
  });
});

describe("resetting a checkpoint", (test) => {
  test("takes the place of the one that was found, though it lies behind it, or could not be read", async () => {
    for (const [text, found] of [[JSON.stringify(FOUND), FOUND], ["{", "corrupt"]] as const) {
      const state = stateOf(text);
      await state.resetCheckpoint("0", found, PLANNED);
      assert.equal(await state.loadCheckpoint("0"), PLANNED);
    }
  });

  test("takes the place of what another writer left, whatever this one wrote before", async () => {
    const state = stateOf(JSON.stringify(FOUND));
    await state.saveCheckpoint("0", { ...FOUND, doneSeq: 30, rewindSeq: 31 });
    const found = { ...FOUND, doneSeq: 40, rewindSeq: 41 };
    await state.forReader().saveCheckpoint("0", found);
    await state.resetCheckpoint("0", found, PLANNED);
    assert.equal(await state.loadCheckpoint("0"), PLANNED);
  });

  test("leaves what another writer has reached since it was found", async () => {
    const reached = { ...FOUND, doneSeq: 22, rewindSeq: 23, doneAtMs: 6_000 };
    const state = stateOf(JSON.stringify(reached));
    await state.resetCheckpoint("0", FOUND, PLANNED);
    assert.equal(await state.loadCheckpoint("0"), reached);
  });
});

describe("what is remembered for doctor", (test) => {
  const remembering = () => {
    const server = new BucketServer("checkpoints", new Scheduler());
    return { state: new State({ checkpoints: bucketOf(server) } as unknown as Buckets), server };
  };
  const cost = (kind: Cost["kind"], source: string, count: number, fromMs: number, toMs: number): Cost => {
    return { kind, source, count, span: { fromMs, toMs } };
  };

  test("costs of one kind and source are one, of all of them and over the whole span, whichever came first", async () => {
    const { state, server } = remembering();
    await state.noteCosts("0", [
      cost("observations_evicted", "a", 1, 50, 60),
      cost("observations_evicted", "b", 7, 5, 6),
    ]);
    await state.noteCosts("0", [
      cost("observations_evicted", "a", 2, 10, 20),
      cost("observations_starved", "a", 4, 1, 2),
    ]);
    await state.noteCosts("0", [cost("observations_evicted", "a", 3, 40, 90)]);
    assert.equal(readCosts(server.get("costs.0")!.value), [
      cost("observations_evicted", "b", 7, 5, 6),
      cost("observations_starved", "a", 4, 1, 2),
      cost("observations_evicted", "a", 6, 10, 90),
    ]);
  });

  test("the newest stay where there are too many, and a gap that is found again is the same", async () => {
    const { state, server } = remembering();
    const all = Array.from({ length: 30 }, (_, nth) => nth);
    const gaps = all.map((nth) => ({ fromSeq: 10 * nth + 1, toSeq: 10 * nth + 5, processed: false }));
    for (const gap of gaps) for (let time = 0; time < 2; time++) await state.noteGap("0", gap);
    assert.equal(readGaps(server.get("gaps.0")!.value), gaps.slice(-20));
    const costs = all.map((nth) => cost("observations_starved", `source ${nth}`, 1, nth, nth));
    for (const one of costs) await state.noteCosts("0", [one]);
    assert.equal(readCosts(server.get("costs.0")!.value), costs.slice(-20));
  });
});

describe("the entry of a session", (test) => {
  const [one, other] = [entryOf(request(1_000)), entryOf(swap(2_000))];
  const both = uidsIn(one.key, entryOf(request(1_000), swap(2_000)).value!);
  const server = () => new BucketServer("workflow_sessions", new Scheduler());
  const left = (bucket: BucketServer) => uidsIn(one.key, bucket.get(one.key)!.value);

  test("is merged with what another reader of the same process wrote", async () => {
    const bucket = server();
    const state = new State({ workflow_sessions: bucketOf(bucket) } as unknown as Buckets);
    const [earlier, later] = [state.forReader(), state.forReader()];
    await earlier.sessions([one.key]);
    await later.sessions([one.key]);
    await later.write("0", [other]);
    const merged = await earlier.write("0", [one]);
    assert.equal(left(bucket), both);
    assert.equal(uidsIn(one.key, merged[0]!.value!), both);
  });

  test("is merged and told again when the write in which it was merged failed, and is repeated", async () => {
    const bucket = server();
    bucket.put(other.key, other.value!, 0);
    let away = true;
    const unmatched: Pick<Bucket, "put"> = {
      put: () => {
        if (!away) return Promise.resolve(1);
        away = false;
        return Promise.reject(new LatecomerError("AWAY", "retryable", "no answer"));
      },
    };
    const buckets = { workflow_sessions: bucketOf(bucket), unmatched_status: unmatched };
    const state = new State(buckets as unknown as Buckets);
    const write = () => state.write("0", [one, { bucket: "unmatched_status", key: "s.uid", value: "{}" }]);
    await write().then(() => assert.unreachable(), () => {});
    // What was begun comes to its end.
    await new Promise((resolve) => setImmediate(resolve));
    const merged = await write();
    assert.equal(left(bucket), both);
    assert.is(merged.length, 1);
  });
});
