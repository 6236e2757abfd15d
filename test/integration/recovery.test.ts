/**
 * What a processor starts from can be gone, broken or from another time: checkpoints, entries, the head of the stream
 * or its end. Each is noticed, said, and survived; and what cannot be read any more is named.
 */
import * as assert from "uvu/assert";
import type { Gap } from "../../src/core/checkpoint.ts";
import { checkNats } from "../../src/cli/checks.ts";
import { initialise } from "../../src/cli/init.ts";
import type { DeadLetter } from "../../src/core/effects.ts";
import { openDeadLetters } from "../../src/nats/deadletters.ts";
import { planStreams } from "../../src/nats/provision.ts";
import {
  type Cluster,
  encode,
  eventually,
  GATEWAY_LOG,
  latecomer,
  productionEvents,
  typeOf,
  withCluster,
  within,
} from "../helpers/cluster.ts";
import { withLostEnds } from "../helpers/lost-end.ts";
import { describe } from "../helpers/suite.ts";

const LOG = productionEvents(GATEWAY_LOG);
const isSnapshot = (event: Uint8Array) => typeOf(event) === "network_capabilities";
const SNAPSHOTS = LOG.filter(isSnapshot);
const SAMPLES = LOG.filter((event) => typeOf(event) === "ai_stream_status");
const OTHERS = LOG.filter((event) => !isSnapshot(event));
/** Samples, and edges that name their orchestrator. */
const OBSERVATIONS = OTHERS.filter((event) =>
  ["ai_stream_status", "stream_trace"].includes(typeOf(event)) &&
  new TextDecoder().decode(event).includes('"address":"0x')
);

const DAY_MS = 86_400_000;

const said = (cluster: Cluster, message: RegExp) => cluster.journal.lines.filter((line) => message.test(line.message));

async function kv(cluster: Cluster, bucket: string) {
  return await cluster.nc.jetstream().views.kv(bucket, { bindOnly: true });
}

async function snapshotsAreBack(cluster: Cluster): Promise<void> {
  const areBack = async () => (await cluster.keys("capability_snapshots")).length === SNAPSHOTS.length;
  await eventually("snapshots are back", areBack);
}

/** Without its snapshot, so that all its samples wait in unmatched_status; then something happens; then the snapshot. */
async function waiting(cluster: Cluster, happens: () => Promise<unknown>) {
  await cluster.publish("org", OTHERS);
  await cluster.process();
  assert.is((await cluster.keys("unmatched_status")).length, OBSERVATIONS.length);
  await happens();
  await cluster.publish("org", SNAPSHOTS);
  const processor = await cluster.process();
  const facts = await cluster.facts("org");
  assert.is(facts.length, SAMPLES.length);
  assert.ok(facts.every((row) => row.is_attributed === 1), "every sample that waited was corrected");
  return processor;
}

describe("a checkpoint", (test) => {
  test("that is lost makes its partition read from the start of the stream", () =>
    withCluster({}, async (cluster) => {
      await waiting(cluster, async () => (await kv(cluster, "checkpoints")).purge("0"));
      assert.ok(said(cluster, /^no checkpoint/).length > 0);
    }));

  test("that cannot be read is said, counted, survived and replaced", () =>
    withCluster({}, async (cluster) => {
      const { counts } = await waiting(cluster, async () => (await kv(cluster, "checkpoints")).put("0", '{"doneSeq":'));
      assert.is(counts.get("checkpoint_corrupt"), 1);
      assert.is(said(cluster, /checkpoint cannot be read/).length, 1);
      assert.ok((await cluster.checkpoint("0"))!.doneSeq > 0);
    }));

  test("whose entries were purged from unmatched_status sends its partition back to the oldest of them", () =>
    withCluster({}, async (cluster) => {
      const { counts } = await waiting(cluster, () => cluster.jsm.streams.purge("KV_unmatched_status"));
      assert.is(counts.get("entries_differ"), 1);
    }));

  test("is not misled by entries that cannot be read: they count as missing", () =>
    withCluster({}, async (cluster) => {
      const { counts } = await waiting(cluster, async () => {
        const bucket = await kv(cluster, "unmatched_status");
        for (const [at, key] of (await cluster.keys("unmatched_status")).entries()) {
          if (at < 3) await bucket.put(key, ["no JSON", "{}", '{"observed":{}}'][at]!);
        }
      });
      assert.is(counts.get("entries_differ"), 1);
    }));
});

describe("the sessions", (test) => {
  test("are derived again from the stream when their bucket was purged", () =>
    withCluster({}, async (cluster) => {
      const running = await cluster.start();
      const first = LOG.slice(0, 40);
      await cluster.publish("org", first.filter((event) => !SNAPSHOTS.includes(event)));
      await running.drained();
      await cluster.publish("org", first.filter((event) => SNAPSHOTS.includes(event)));
      await running.drained();
      // Long after the log, it closes what the log's own snapshot has corrected: the session's entry is due.
      const closing = JSON.parse(new TextDecoder().decode(SNAPSHOTS[0]));
      const later = encode(
        JSON.stringify({ ...closing, id: "later", timestamp: String(Number(closing.timestamp) + DAY_MS) }),
      );
      await cluster.publish("org", [later]);
      await running.drained();
      await running.stop();
      assert.ok((await cluster.keys("workflow_sessions")).length > 0);
      await cluster.jsm.streams.purge("KV_workflow_sessions");
      await cluster.publish("org", LOG.slice(40));
      const { counts } = await cluster.process();
      // A partition whose lease is lost and taken again meanwhile says it again.
      assert.ok(counts.get("state_purged")! >= 1);
      const purged = await cluster.digest("org", "fact_workflow_sessions");
      await cluster.publish("undisturbed", [...LOG, later]);
      await cluster.process();
      assert.equal(await cluster.digest("undisturbed", "fact_workflow_sessions"), purged);
    }));

  test("that are settled and gone from memory are gone on with when an event comes for them", () =>
    withCluster({ allowedLatenessMs: "0s", ttlAfterMs: "1s" }, async (cluster) => {
      for (const [at, event] of LOG.entries()) {
        await cluster.publish("org", [event]);
        if (at % 7 === 0) await cluster.process();
      }
      await cluster.process();
      const parts = await cluster.digest("org", "fact_workflow_sessions");
      await cluster.publish("whole", LOG);
      await cluster.process();
      assert.equal(await cluster.digest("whole", "fact_workflow_sessions"), parts);
    }));
});

describe("the snapshots", (test) => {
  test("are not missed by a partition that has not read the first of them", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", OTHERS);
      await cluster.process();
      await cluster.publish("org", SNAPSHOTS);
      const { counts } = await cluster.process();
      assert.is(counts.get("state_purged"), undefined);
    }));

  test("are derived again from the stream when their bucket was purged", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", SNAPSHOTS);
      await cluster.process();
      await cluster.jsm.streams.purge("KV_capability_snapshots");
      const { counts } = await cluster.process();
      assert.is(counts.get("state_purged"), 1);
      assert.is((await cluster.keys("capability_snapshots")).length, SNAPSHOTS.length);
      await cluster.publish("org", OTHERS);
      await cluster.process();
      assert.ok((await cluster.facts("org")).every((row) => row.is_attributed === 1));
    }));

  test("are still to be derived again when whoever begins with it is gone before any of it is done", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", SNAPSHOTS);
      await cluster.process();
      assert.ok((await cluster.checkpoint("all"))!.rewindSeq > 1);
      await cluster.jsm.streams.purge("KV_capability_snapshots");
      const held = await cluster.start({}, () => new Promise(() => {}));
      // Told as soon as they are read, so that nobody would miss them again.
      await snapshotsAreBack(cluster);
      await held.crash();
      assert.is((await cluster.checkpoint("all"))!.rewindSeq, 1);
    }));

  test("are derived again while processes run, also for one that started after their bucket was purged", () =>
    withCluster({}, async (cluster) => {
      const earlier = await cluster.start();
      await cluster.publish("org", SNAPSHOTS);
      await earlier.drained();
      await cluster.jsm.streams.purge("KV_capability_snapshots");
      const later = await cluster.start({ name: "later" });
      await eventually("it has partitions", () => later.processor.held.length > 0);
      assert.ok(earlier.processor.held.includes("all"));
      await snapshotsAreBack(cluster);
      await cluster.publish("org", OTHERS);
      await later.drained();
      assert.ok((await cluster.facts("org")).every((row) => row.is_attributed === 1));
      await later.stop();
      await earlier.stop();
    }));

  for (const lost of ["purged, and written to since", "robbed of its end"]) {
    test(`are derived again from the stream when their bucket was ${lost}`, () =>
      withCluster({}, async (cluster) => {
        const [first, second] = ["first", "second"].map((id) => withId(SNAPSHOTS[0]!, id));
        const running = await cluster.start();
        await cluster.publish("org", [encode("refused"), first!]);
        await running.drained();
        const { jsm } = cluster;
        if (lost !== "robbed of its end") await jsm.streams.purge("KV_capability_snapshots");
        await cluster.publish("org", [second!]);
        await running.drained();
        await running.stop();
        if (lost === "robbed of its end") {
          const { lastSnapshot } = (await cluster.checkpoint("all"))!;
          await jsm.streams.purge("KV_capability_snapshots", { filter: `$KV.capability_snapshots.${lastSnapshot}` });
        }
        assert.is((await cluster.keys("capability_snapshots")).length, 1);
        const { counts } = await cluster.process();
        assert.is(counts.get("state_purged"), 1);
        assert.is((await cluster.keys("capability_snapshots")).length, 2);
        assert.is((await cluster.process()).counts.get("state_purged"), undefined);
      }));
  }

  test("that cannot be read in their bucket are passed over, and do not stop the processor", () =>
    withCluster({}, async (cluster) => {
      const bucket = await kv(cluster, "capability_snapshots");
      await bucket.put("org.spoilt", "no JSON");
      await bucket.put("org.foreign", '{"nodes":[{"canonical":1}]}');
      await cluster.publish("org", LOG);
      await cluster.process();
      assert.ok((await cluster.facts("org")).every((row) => row.is_attributed === 1));
    }));
});

describe("the stream", (test) => {
  test("whose head expired before it was read leaves a gap that is logged, counted and listed by doctor", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", OTHERS);
      await cluster.process();
      const { doneSeq } = (await cluster.checkpoint("0"))!;
      await cluster.publish("org", SAMPLES.map((event, at) => withId(event, `unread-${at}`)));
      await cluster.jsm.streams.purge("LIVEPEER_EVENTS", { seq: doneSeq + 4 });
      const { counts } = await cluster.process();
      assert.ok(counts.get("head_expired")! >= 1);
      const gaps = said(cluster, /no longer holds/).map(({ fields }) => fields) as { partition: string; gap: Gap }[];
      const { gap } = gaps.find(({ partition }) => partition === "0")!;
      assert.equal(gap, { fromSeq: doneSeq + 1, toSeq: doneSeq + 3, processed: false });
      const unread = gaps.filter(({ gap }) => !gap.processed).map(({ gap }) => gap.toSeq - gap.fromSeq + 1);
      assert.is(counts.get("stream_gap_messages"), unread.reduce((sum, size) => sum + size, 0));
      const env = { NATS_URL: cluster.config.natsUrl, CLICKHOUSE_URL: "chdb:other" };
      const doctor = await latecomer(["doctor"], { cwd: cluster.folder, env });
      assert.match(doctor.out, new RegExp(`partition 0: ${doneSeq + 1} to ${doneSeq + 3} .*never processed`));
    }));

  test("that lost its end to a crash, and gave its sequences to other messages, is read again from there", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", SAMPLES.slice(0, 5));
      const running = await cluster.start();
      await running.drained();
      await withLostEnds(cluster, async (loseEnd) => {
        // The last three are gone, and other ones take their sequences.
        await loseEnd("LIVEPEER_EVENTS", async () => {
          await cluster.publish("org", SAMPLES.slice(5, 8));
          await running.drained();
        });
        await cluster.publish("org", SAMPLES.slice(8).map((event, at) => withId(event, `later-${at}`)));
        await running.drained();
        await running.stop();
      });
      const ids = (await cluster.facts("org")).map((row) => String(row.source_event_id));
      assert.is(ids.filter((id) => id.startsWith("later-")).length, SAMPLES.length - 8);
      assert.ok(said(cluster, /lost messages that were processed|starts again/).length > 0);
    }));
});

describe("a partition that nothing comes for", (test) => {
  test("has the dead letters of both messages that had one sequence, whichever was lost", () =>
    withCluster({}, async (cluster) => {
      const letter = (uid: string): DeadLetter => ({
        subject: "dlq.org.json_parse_error.x",
        bytes: encode(uid),
        source: "org",
        uid,
        sourceSubject: "events.org.x.all",
        streamSequence: 7,
        stage: "PARSE",
        failureClass: "PARSING_FAILED",
        reason: "parse_exception",
        details: "",
      });
      const queue = openDeadLetters(cluster.nc);
      await queue.publish([letter("lost"), letter("after")]);
      await queue.publish([letter("lost")]);
      const uids = (await cluster.messages("LIVEPEER_DLQ")).map((one) => one.header("Latecomer-Uid"));
      assert.equal(uids.sort(), ["after", "lost"]);
    }));

  test("follows the stream with its checkpoint, so that an expiring head is no loss", () =>
    withCluster({ partitions: "2" }, async (cluster) => {
      const running = await cluster.start();
      await cluster.publish("org", LOG);
      await running.drained();
      const last = (await cluster.jsm.streams.info("LIVEPEER_EVENTS")).state.last_seq;
      const done = async () =>
        (await Promise.all(["all", "0", "1"].map((k) => cluster.checkpoint(k)))).map((c) => c?.doneSeq);
      await eventually("all checkpoints reach the end", async () => (await done()).every((seq) => seq === last));
      await running.stop();
      await cluster.jsm.streams.purge("LIVEPEER_EVENTS");
      await cluster.publish("org", SAMPLES.map((event, at) => withId(event, `after-${at}`)));
      const { counts } = await cluster.process();
      assert.is(counts.get("stream_gap_messages"), undefined);
    }));
});

describe("the generation", (test) => {
  test("that was lost with its bucket is made again above that of the stored rows, or new rows would be hidden", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", OTHERS);
      await cluster.process();
      await cluster.jsm.streams.purge("KV_checkpoints");
      await initialise(cluster.config, cluster.nc, await planStreams(cluster.jsm, cluster.config), {});
      await cluster.publish("org", SNAPSHOTS);
      await cluster.process();
      const facts = await cluster.facts("org");
      assert.ok(facts.every((row) => row.is_attributed === 1 && BigInt(row.version as string) >> 116n === 2n));
    }));
});

describe("a generation", (test) => {
  for (const [what, spoil] of [["garbage", "garbage"], ["of another format", "[]"]] as const) {
    test(`that is ${what} ends a process and a command that needs it, saying so, until it is raised above the rows`, () =>
      withCluster({}, async (cluster) => {
        const { config, nc, jsm, folder } = cluster;
        const running = await cluster.start();
        await cluster.publish("org", OTHERS);
        await running.drained();
        const kv = await nc.jetstream().views.kv("checkpoints", { bindOnly: true });
        await kv.put("generation", spoil);
        const ended = await within("ended", running.processor.finished().catch((error) => error));
        assert.is(ended.kind, "unavailable");
        assert.match(ended.message, /init --raise-generation/);
        const finding = (await checkNats(config, nc)).find(({ check }) => check === "generation");
        assert.equal(finding, {
          check: "generation",
          state: "failed",
          detail: "it cannot be read",
          fix: "latecomer init --raise-generation",
        });
        const env = { NATS_URL: config.natsUrl, CLICKHOUSE_URL: "chdb:other" };
        const init = await latecomer(["init"], { cwd: folder, env });
        assert.is(init.code, 3, init.err);
        await initialise(config, nc, await planStreams(jsm, config), { raiseGeneration: true });
        await cluster.publish("org", SNAPSHOTS);
        await cluster.process();
        const facts = await cluster.facts("org");
        assert.ok(facts.every((row) => row.is_attributed === 1 && BigInt(row.version as string) >> 116n === 2n));
      }));
  }

  test("that somebody deleted leaves its processes alone, and is made again above that of the rows", () =>
    withCluster({}, async (cluster) => {
      const running = await cluster.start();
      await cluster.publish("org", OTHERS);
      await running.drained();
      const kv = await cluster.nc.jetstream().views.kv("checkpoints", { bindOnly: true });
      await kv.delete("generation");
      const { generation } = await initialise(
        cluster.config,
        cluster.nc,
        await planStreams(cluster.jsm, cluster.config),
        {},
      );
      assert.is(generation.generation, 2);
      await running.drained();
      await running.stop();
    }));
});

describe("a raised generation", (test) => {
  test("is taken up by a living processor, which writes what is open under it", () =>
    withCluster({}, async (cluster) => {
      const running = await cluster.start();
      await cluster.publish("org", OTHERS);
      await running.drained();
      const env = { NATS_URL: cluster.config.natsUrl, CLICKHOUSE_URL: "chdb:other" };
      const init = await latecomer(["init", "--raise-generation"], { cwd: cluster.folder, env });
      assert.is(init.code, 0, init.err);
      const generations = async () => (await cluster.facts("org")).map((row) => BigInt(row.version as string) >> 116n);
      await eventually("open rows under it", async () => (await generations()).every((one) => one === 2n));
      await cluster.publish("org", SNAPSHOTS);
      await running.drained();
      await running.stop();
      assert.ok((await generations()).every((one) => one === 2n));
      assert.ok((await cluster.facts("org")).every((row) => row.is_attributed === 1));
    }));
});

function withId(event: Uint8Array, id: string): Uint8Array {
  return encode(JSON.stringify({ ...JSON.parse(new TextDecoder().decode(event)) as object, id }));
}
