/**
 * Space runs out: on the disk under the engine, on the disk under the stream store, in what JetStream may use, in the
 * event stream itself. The state is clear, nothing counts as done that is not stored, and with space it goes on.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DiscardPolicy } from "nats";
import * as assert from "uvu/assert";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { productionLoad } from "../bench/load.ts";
import { accountWith } from "../helpers/account.ts";
import {
  type Cluster,
  encode,
  eventually,
  latecomer,
  pause,
  type Running,
  withCluster,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { allIsThere, nothingIsAhead, publish } from "../helpers/delivery.ts";
import { bytesOf, node, snapshot, status, URL, uuidOf, type Wire } from "../helpers/events.ts";
import { A, KNOWN, NODE_A, request, sample, SD, swap } from "../helpers/session-events.ts";
import { mountRefusal, type SmallDisk, withSmallDisk } from "../helpers/small-disk.ts";
import { describe } from "../helpers/suite.ts";

const LOAD = productionLoad(2_000);
/** Of nodes that no snapshot names: each needs room of its own in the state. */
const STRAYS = Array.from(
  { length: 20 },
  (_, at) =>
    bytesOf(status({ id: uuidOf(at), at: 1_000 + at, stream: "stray", request: "stray", wallet: `0x${at}` }).envelope),
);
const [FIRST, SECOND, REST] = [LOAD.slice(0, 500), [...STRAYS, ...LOAD.slice(500, 900)], LOAD.slice(900)];
const EVENTS = [...FIRST, ...SECOND, ...REST];
const LANES = 8;
const DAY_MS = 86_400_000;
const PAGE_BYTES = 4_096;
const decoder = new TextDecoder();
const SETTINGS = { batchRows: "200" };

/** A server with room for this installation and little more. */
const LITTLE_ROOM = 6 << 20;

/** Not ready, with a line that says why, and nothing ahead of what is stored. */
async function stands(cluster: Cluster, running: Running, why: RegExp): Promise<void> {
  await eventually("not ready", () => !running.processor.isReady, 20_000);
  await eventually("it says why", () => cluster.journal.lines.some(({ fields }) => why.test(String(fields.error))));
  await pause(1_000);
  assert.is(running.processor.isReady, false);
  // A full account takes the checkpoint away with an entry that it stands on.
  const doneSeq = (await cluster.checkpoint("0"))?.doneSeq ?? 0;
  assert.ok(doneSeq < FIRST.length + SECOND.length, "not everything is done");
  await nothingIsAhead(cluster);
}

async function goesOn(cluster: Cluster, running: Running): Promise<void> {
  await within("published", publish(cluster, "org", REST, LANES));
  await running.drained();
  assert.is(running.processor.isReady, true);
  await nothingIsAhead(cluster);
  await running.stop();
  await allIsThere(cluster, "org", EVENTS);
}

/** Starts a processor whose inserts wait while `isHeld`. */
async function startHeld(cluster: Cluster): Promise<{ running: Running; hold: () => void; release: () => void }> {
  let held = Promise.resolve();
  let release = () => {};
  const running = await cluster.start({}, () => held);
  const hold = () => void (held = new Promise((resolve) => release = resolve));
  return { running, hold, release: () => release() };
}

const refusal = await mountRefusal();

describe("when the disk is full", (test) => {
  if (refusal !== undefined) {
    test(`nothing was tried, for no file system can be mounted here: ${refusal}`, () => {
      assert.match(refusal, /permi|denied|superuser|root|ENOENT/i);
    });
    return;
  }

  for (const [where, withEngine] of [["embedded", withCluster], ["served", withServedCluster]] as const) {
    for (
      const [what, fill, why] of [
        ["space", (disk: SmallDisk) => disk.fill(), /NOT_ENOUGH_SPACE/],
        ["a place for a file", (disk: SmallDisk) => disk.fillWithFiles(), /No space left on device/],
      ] as const
    ) {
      test(`under the ${where} engine, the batch is kept and nothing is acknowledged until there is ${what}`, () =>
        withSmallDisk(96, (disk) =>
          withEngine(SETTINGS, async (cluster) => {
            const running = await cluster.start();
            await publish(cluster, "org", FIRST, LANES);
            await running.drained();
            const { doneSeq } = (await cluster.checkpoint("0"))!;
            fill(disk);
            await publish(cluster, "org", SECOND, LANES);
            await stands(cluster, running, why);
            assert.is((await cluster.checkpoint("0"))!.doneSeq, doneSeq, "nothing could be stored");
            disk.free();
            await running.drained();
            await goesOn(cluster, running);
          }, { engineFolder: join(disk.folder, "engine") })));
    }
  }

  test("under the stream store, what was confirmed is there when the server is restarted with space", () =>
    withSmallDisk(48, (disk) => {
      const store = `jetstream: { store_dir: ${JSON.stringify(disk.folder)}, max_file_store: 1GB }`;
      return withCluster(SETTINGS, async (cluster) => {
        const { running, hold, release } = await startHeld(cluster);
        await publish(cluster, "org", FIRST, LANES);
        await running.drained();
        const { doneSeq } = (await cluster.checkpoint("0"))!;
        hold();
        await publish(cluster, "org", SECOND, LANES);
        disk.fill();
        // Larger than what may be free in the last page of a file.
        const large = encode(JSON.stringify({ id: "1", type: "large", timestamp: 1, data: "x".repeat(PAGE_BYTES) }));
        const refused = await cluster.publish("other", [large]).then(() => "", (error) => error.code);
        assert.match(refused, /^(NATS|JETSTREAM)_/, "a publisher is told");
        // Rows are stored now; the checkpoint cannot be.
        release();
        await eventually("not ready", () => !running.processor.isReady, 20_000);
        disk.free();
        // A server that could not write answers nobody any more.
        await cluster.nats.kill();
        const folder = join(cluster.folder, "nats");
        const nats = await startNatsServer({ folder, port: cluster.nats.port, configText: store });
        try {
          const isBack = () => cluster.jsm.getAccountInfo().then(() => true, () => false);
          await eventually("our own line is back", isBack);
          assert.ok((await cluster.checkpoint("0"))!.doneSeq >= doneSeq);
          await nothingIsAhead(cluster);
          await running.drained();
          await goesOn(cluster, running);
        } finally {
          await cluster.close();
          await nats.kill();
        }
      }, { startNats: (folder) => startNatsServer({ folder, configText: store }) });
    }));
});

describe("when JetStream's storage is used up", (test) => {
  const limits: Record<string, string> = {
    "of the server": `jetstream: { store_dir: "STORE", max_file_store: ${LITTLE_ROOM} }`,
    "of the account": accountWith(`max_file: ${LITTLE_ROOM}`),
  };
  for (const [whose, text] of Object.entries(limits)) {
    test(`${whose}, publishers and the log are told, nothing counts as done, and with space it goes on`, () =>
      withCluster(SETTINGS, async (cluster) => {
        const { running, hold, release } = await startHeld(cluster);
        await publish(cluster, "org", FIRST, LANES);
        await running.drained();
        hold();
        await publish(cluster, "org", SECOND, LANES);
        await useUp(cluster);
        const told = await cluster.publish("org", REST.slice(0, 1)).then(() => "", (error) => error.message);
        assert.match(told, /has used up its JetStream storage/);
        release();
        await stands(cluster, running, /has used up its JetStream storage/);
        await cluster.jsm.streams.purge("LIVEPEER_DLQ");
        await running.drained();
        await goesOn(cluster, running);
      }, {
        startNats: (folder) =>
          startNatsServer({ folder, configText: text.replace('"STORE"', JSON.stringify(join(folder, "jetstream"))) }),
      }));
  }

  test("of the account, what a refused write takes away from the state is derived again after a crash", () =>
    withCluster({ partitions: "1" }, async (cluster) => {
      const wires = (...parts: Wire[]) => parts.map(({ envelope }) => bytesOf(envelope));
      const [first, second] = [{ stream: "one", request: "one" }, { stream: "two", request: "two" }];
      const before = wires(
        request(1_000, first),
        sample(2_000, { ...first, ...A }),
        request(3_000, second),
        sample(4_000, { ...second, ...A }),
      );
      const [C, NODE_C] = [{ wallet: "0xhot-c", url: URL }, node("0xcc", SD, ["GPU-c"], { hot: "0xhot-c" })];
      // Before its snapshot: what is corrected and closed makes the entry of its session due.
      const after = wires(sample(5_000, { ...first, ...C }), swap(6_000, { ...first, ...C }), snapshot(7_000, NODE_C));
      const closing = (at: number) => wires(snapshot(at, NODE_A));
      const { running, hold, release } = await startHeld(cluster);
      await cluster.publish("org", before);
      await running.drained();
      for (const events of [wires(KNOWN), closing(DAY_MS)]) {
        await cluster.publish("org", events);
        await running.drained();
      }
      const sessions = await cluster.keys("workflow_sessions");
      assert.is(sessions.length, 2);
      hold();
      await cluster.publish("org", [...after, ...closing(2 * DAY_MS)]);
      await useUp(cluster);
      release();
      await eventually("an entry is lost", async () => (await cluster.keys("workflow_sessions")).length < 2);
      await pause(1_000);
      await running.crash();
      await cluster.jsm.streams.purge("LIVEPEER_DLQ");
      const last = wires(swap(8_000, { ...first, ...A }));
      await cluster.publish("org", last);
      await cluster.process();
      const calm = [before, wires(KNOWN), closing(DAY_MS), after, closing(2 * DAY_MS), last].flat();
      await cluster.publish("calm", calm);
      await cluster.process();
      const table = "fact_workflow_sessions";
      assert.equal(await cluster.digest("org", table), await cluster.digest("calm", table));
    }, { startNats: (folder) => startNatsServer({ folder, configText: limits["of the account"]! }) }));

  /** Fills the dead-letter stream until not even a small message finds room. */
  async function useUp(cluster: Cluster): Promise<void> {
    const js = cluster.nc.jetstream();
    for (let size = 200_000; size >= 1;) {
      const letter = js.publish("dlq.filler.none.none", new Uint8Array(size));
      if (!(await letter.then(() => true, () => false))) size = Math.floor(size / 4);
    }
  }
});

describe("when a bucket takes no entry as large as what is to be kept", (test) => {
  test("the log says so, nothing counts as done, and it goes on when the limit is raised", () =>
    withCluster(SETTINGS, async (cluster) => {
      const running = await cluster.start();
      await publish(cluster, "org", FIRST, LANES);
      await running.drained();
      const { doneSeq } = (await cluster.checkpoint("0"))!;
      await cluster.jsm.streams.update("KV_checkpoints", { max_msg_size: 50 });
      await publish(cluster, "org", SECOND, LANES);
      await stands(cluster, running, /takes no message so large/);
      assert.is((await cluster.checkpoint("0"))!.doneSeq, doneSeq);
      await cluster.jsm.streams.update("KV_checkpoints", { max_msg_size: -1 });
      await running.drained();
      await goesOn(cluster, running);
    }));
});

describe("when the event stream has reached its limit", (test) => {
  test("and refuses new messages, publishers are told, and the processor does what is there", () =>
    withCluster(SETTINGS, async (cluster) => {
      await cluster.jsm.streams.update("LIVEPEER_EVENTS", { max_msgs: 600, discard: DiscardPolicy.New });
      const running = await cluster.start();
      const env = { NATS_URL: cluster.config.natsUrl };
      writeFileSync(join(cluster.folder, "events.jsonl"), EVENTS.map((event) => `${decoder.decode(event)}\n`).join(""));
      const args = ["publish", "events.jsonl", "--source", "org"];
      const { code, err } = await latecomer(args, { cwd: cluster.folder, env });
      assert.is(code, 3, err);
      assert.match(err, /the stream takes no more \(maximum messages exceeded\)/);
      await running.drained();
      assert.is(running.processor.isReady, true);
      assert.is(await cluster.count("SELECT count() FROM raw_streaming_events FINAL"), 600);
      await cluster.jsm.streams.update("LIVEPEER_EVENTS", { max_msgs: -1 });
      const again = await latecomer(args, { cwd: cluster.folder, env });
      assert.is(again.code, 0, again.err);
      await running.drained();
      await running.stop();
      await allIsThere(cluster, "org", EVENTS);
    }));

  test("and drops the oldest before they were read, all others are processed, and the gap is told", () =>
    withCluster(SETTINGS, async (cluster) => {
      await publish(cluster, "org", FIRST, LANES);
      await cluster.process();
      await cluster.jsm.streams.update("LIVEPEER_EVENTS", { max_msgs: 700, discard: DiscardPolicy.Old });
      await publish(cluster, "org", EVENTS.slice(FIRST.length), LANES);
      await cluster.process();
      const { first_seq } = (await cluster.jsm.streams.info("LIVEPEER_EVENTS")).state;
      assert.is(first_seq, EVENTS.length - 700 + 1);
      const [row] = await cluster.rows(
        `SELECT count() AS n, countIf(stream_sequence <= {done:UInt64}) AS early,
                countIf(stream_sequence >= {first:UInt64}) AS late FROM raw_streaming_events FINAL`,
        { done: String(FIRST.length), first: String(first_seq) },
      );
      assert.equal(row, { n: "1200", early: "500", late: "700" }, "missing: what lies between, and nothing else");
      const gaps = cluster.journal.lines
        .filter(({ message }) => /no longer holds/.test(message))
        .map(({ fields }) => ({ partition: fields.partition, ...fields.gap as { toSeq: number; processed: boolean } }));
      for (const partition of ["0", "all"]) {
        const gap = gaps.find((one) => one.partition === partition && !one.processed);
        assert.is(gap?.toSeq, first_seq - 1, `the gap of partition ${partition}`);
      }
    }));
});
