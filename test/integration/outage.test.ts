/**
 * What fails fails here: ClickHouse in four ways, NATS in three, the processor by SIGKILL. Nothing may be lost,
 * nothing acknowledged before it is stored, and what comes out is what an undisturbed run gives.
 */
import { join } from "node:path";
import { AckPolicy } from "nats";
import * as assert from "uvu/assert";
import { checkNats } from "../../src/cli/checks.ts";
import { LatecomerError } from "../../src/errors.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { accountWith } from "../helpers/account.ts";
import {
  type Cluster,
  type Command,
  encode,
  eventually,
  GATEWAY_LOG,
  type Journal,
  latecomer,
  pause,
  productionEvents,
  startCommand,
  typeOf,
  withCluster,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { allIsThere, nothingIsAhead, publish } from "../helpers/delivery.ts";
import { type Line, withLine } from "../helpers/line.ts";
import { reload } from "../helpers/reload.ts";
import { describe } from "../helpers/suite.ts";

const LOG = productionEvents(GATEWAY_LOG).map((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
const STATUS = LOG.find(({ type }) => type === "ai_stream_status");
const SNAPSHOT = LOG.find(({ type }) => type === "network_capabilities");
const START_MS = 1_767_900_000_000;

/** One event a second: samples of forty sessions, some of a node that nobody knows, and a snapshot every ten minutes. */
function load(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, at) => {
    const timestamp = String(START_MS + at * 1_000);
    if (at % 600 === 300) return encode(JSON.stringify({ ...SNAPSHOT, id: `snapshot-${at}`, timestamp }));
    const session = { stream_id: `stream-${at % 40}`, request_id: `request-${at % 40}` };
    const unknown = { orchestrator_info: { address: "0xnobody", url: "https://nowhere:1" } };
    const data = { ...STATUS.data, ...session, ...(at % 50 === 0 ? unknown : {}) };
    return encode(JSON.stringify({ ...STATUS, id: `sample-${at}`, timestamp, data }));
  });
}

/** A fresh installation, its engine behind HTTP or in this process. */
function withStream(served: boolean, use: (cluster: Cluster) => Promise<void>): Promise<void> {
  return served ? withServedCluster({}, use) : withCluster({}, use);
}

describe("while ClickHouse", (test) => {
  const outages: Record<string, (line: Line) => Promise<void>> = {
    "refuses connections": (line) => line.refuse(),
    "resets connections in the middle of an insert": (line) => Promise.resolve(void (line.mode = "reset")),
    "answers 500": (line) => Promise.resolve(void (line.mode = "error")),
    hangs: (line) => Promise.resolve(void (line.mode = "hang")),
  };
  for (const [what, begin] of Object.entries(outages)) {
    test(`${what}, nothing is acknowledged or lost, and it is not ready; afterwards it goes on by itself`, () =>
      withStream(true, (cluster) =>
        withLine(cluster.config.clickhouseUrl, async (line) => {
          const events = load(400);
          const running = await cluster.start({ clickhouseUrl: `http://127.0.0.1:${line.port}` });
          await publish(cluster, "org", events.slice(0, 100));
          await running.drained();
          assert.is(running.processor.isReady, true);
          await begin(line);
          const more = publish(cluster, "org", events.slice(100));
          more.catch(() => {}); // Awaited below; when this test fails before, that failure counts.
          await eventually("not ready", () => !running.processor.isReady, 10_000);
          await pause(1_000);
          await nothingIsAhead(cluster);
          if (what === "refuses connections") await line.listen();
          line.mode = "pass";
          await within("published", more);
          await running.drained();
          assert.is(running.processor.isReady, true);
          await nothingIsAhead(cluster);
          await running.stop();
          await allIsThere(cluster, "org", events);
        })));
  }

  test("hangs, a process that is told to stop leaves within the grace of a pod, and the next one loses nothing", () =>
    withStream(true, (cluster) =>
      withLine(cluster.config.clickhouseUrl, async (line) => {
        const events = load(100);
        const { natsUrl, clickhouseUrl } = cluster.config;
        const cwd = cluster.folder;
        const env = { NATS_URL: natsUrl, CLICKHOUSE_URL: `http://127.0.0.1:${line.port}`, LATECOMER_NAME: "pod" };
        const command = startCommand(["run"], { cwd, env });
        try {
          await eventually("processing", () => command.written.err.includes('"processing"'));
          line.mode = "hang";
          await publish(cluster, "org", events);
          await pause(2_000);
          command.kill("SIGTERM");
          const { code, err } = await within("ended", command.ended, 29_000);
          assert.is(code, 3, err);
          assert.match(err, "left without writing what was in hand");
        } finally {
          command.kill("SIGKILL");
        }
        const next = { ...env, CLICKHOUSE_URL: clickhouseUrl };
        const { code, err } = await latecomer(["run", "--until-drained"], { cwd, env: next });
        assert.is(code, 0, err);
        await allIsThere(cluster, "org", events);
      })));

  test("is away, it is not ready all the while, however much still arrives", () =>
    withStream(false, async (cluster) => {
      let away = true;
      const running = await cluster.start({}, () => {
        if (away) throw new LatecomerError("CLICKHOUSE_UNAVAILABLE", "retryable", "away");
      });
      await publish(cluster, "org", load(5));
      await eventually("not ready", () => !running.processor.isReady, 5_000);
      for (const event of load(50).slice(5)) {
        await publish(cluster, "org", [event]);
        await pause(20);
        assert.is(running.processor.isReady, false);
      }
      away = false;
      await running.drained();
      assert.is(running.processor.isReady, true);
      await running.stop();
    }));

  test("is away, reading pauses: what is in memory is bounded in bytes, however large the messages", () =>
    withStream(false, async (cluster) => {
      let free = () => {};
      const gate = new Promise<void>((resolve) => free = resolve);
      const running = await cluster.start({}, () => gate);
      const size = 900_000;
      const large = encode(JSON.stringify({ ...STATUS, filler: "x".repeat(size) }));
      const js = cluster.nc.jetstream();
      for (let sent = 0; sent < 200; sent++) await js.publish("events.org.ai_stream_status.0", large);
      let before = -1;
      const pulled = async () => {
        for await (const { name, delivered } of cluster.jsm.consumers.list("LIVEPEER_EVENTS")) {
          if (name.startsWith("attributor-p0-")) return delivered.consumer_seq;
        }
        return 0;
      };
      // Until it pulls no more.
      for (let now = 0; now !== before; now = await pulled()) {
        before = now;
        await pause(700);
      }
      free();
      assert.ok(
        before * size < 128 << 20,
        `${before} messages of ${size} bytes were pulled: ${before * size >> 20} MiB`,
      );
      await running.crash();
    }));
});

describe("before it is stored, nothing is acknowledged", (test) => {
  /** Takes a stream away, as an outage of its leader would, and shows that no checkpoint passes what needs it. */
  const without = (stream: string, event: Uint8Array, proof: (cluster: Cluster) => Promise<number>) => () =>
    withStream(false, async (cluster) => {
      const running = await cluster.start();
      await cluster.jsm.streams.delete(stream);
      await cluster.nc.jetstream().publish("events.org.ai_stream_status.0", event);
      await eventually("not ready", () => !running.processor.isReady, 10_000);
      await pause(200);
      assert.is((await cluster.checkpoint("0"))?.doneSeq ?? 0, 0);
      assert.is((await cluster.ackFloors())["0"], 0);
      const wanted = (await planStreams(cluster.jsm, cluster.config)).find(({ name }) => name === stream)!.wanted;
      await cluster.jsm.streams.add(wanted);
      await running.drained();
      await running.stop();
      assert.is(await proof(cluster), 1);
      assert.is((await cluster.checkpoint("0"))?.doneSeq, 1);
    });

  test("a dead letter", without("LIVEPEER_DLQ", encode("no JSON"), (cluster) => cluster.storedCount("LIVEPEER_DLQ")));

  test(
    "a sample that waits for the TTL",
    without("KV_unmatched_status", encode(JSON.stringify(STATUS)), async (cluster) => {
      return (await cluster.keys("unmatched_status")).length;
    }),
  );

  for (const table of ["raw_streaming_events", "fact_stream_status_samples", "raw_streaming_events_dlq"]) {
    test(`rows of ${table}: a crash before their insert leaves them to the successor`, () =>
      withStream(false, async (cluster) => {
        let reached = () => {};
        const blocked = new Promise<void>((resolve) => reached = resolve);
        const running = await cluster.start({}, (into) => {
          if (into !== table) return;
          reached();
          return new Promise<void>(() => {});
        });
        for (const text of ["no JSON", JSON.stringify(STATUS)]) {
          await cluster.nc.jetstream().publish("events.org.ai_stream_status.0", encode(text));
        }
        await within("insert begun", blocked);
        await pause(100);
        assert.is(await cluster.checkpoint("0"), undefined);
        assert.equal(Object.values(await cluster.ackFloors()), [0, 0]);
        await running.crash();
        await cluster.process();
        assert.is((await cluster.checkpoint("0"))?.doneSeq, 2);
        assert.is(await cluster.count(`SELECT count() FROM ${table} FINAL`), table === "raw_streaming_events" ? 2 : 1);
        assert.is(await cluster.storedCount("LIVEPEER_DLQ"), 1);
      }));
  }
});

describe("when NATS", (test) => {
  test("is stopped and restarted, then killed and restarted, the processor goes on by itself and loses nothing", () =>
    withStream(false, async (cluster) => {
      const events = load(1_200);
      const running = await cluster.start();
      let nats = cluster.nats;
      try {
        for (const [at, how] of (["stop", "kill"] as const).entries()) {
          const [from, to] = [at * 600, at * 600 + 600];
          const publishing = publish(cluster, "org", events.slice(from, to));
          publishing.catch(() => {}); // Awaited below.
          const count = () => cluster.count("SELECT uniqExact(stream_sequence) FROM raw_streaming_events");
          await eventually("in the middle", async () => await count() > from + 150);
          await nats[how]();
          nats = await startNatsServer({ folder: join(cluster.folder, "nats"), port: nats.port });
          await within("published", publishing);
        }
        await running.drained();
        await nothingIsAhead(cluster);
        await running.stop();
        await allIsThere(cluster, "org", events);
      } finally {
        await cluster.close();
        await nats.kill();
      }
    }));

  test("forgets a consumer, the processor makes itself another", () =>
    withStream(false, async (cluster) => {
      const events = load(400);
      const running = await cluster.start();
      await publish(cluster, "org", events.slice(0, 200));
      await running.drained();
      for await (const { name } of cluster.jsm.consumers.list("LIVEPEER_EVENTS")) {
        await cluster.jsm.consumers.delete("LIVEPEER_EVENTS", name);
      }
      await publish(cluster, "org", events.slice(200));
      await running.drained();
      assert.ok(running.processor.counts.get("consumers_rebound")! >= 1, "and says so");
      await running.stop();
      await allIsThere(cluster, "org", events);
    }));

  test("takes no more consumers, the processor waits and says so, and goes on by itself when it does", () => {
    const configText = accountWith("max_consumers: -1");
    return withCluster({}, async (cluster) => {
      const events = load(400);
      const folder = join(cluster.folder, "nats");
      const running = await cluster.start();
      await publish(cluster, "org", events.slice(0, 200));
      await running.drained();
      await cluster.jsm.consumers.add("KV_checkpoints", { durable_name: "foreign", ack_policy: AckPolicy.None });
      reload(folder, cluster.nats, "max_consumers: -1", "max_consumers: 1");
      const forget = async () => {
        for await (const { name } of cluster.jsm.consumers.list("LIVEPEER_EVENTS")) {
          await cluster.jsm.consumers.delete("LIVEPEER_EVENTS", name);
        }
      };
      // While it reads its configuration the server answers nobody.
      await eventually("forgotten", () => forget().then(() => true, () => false));
      await publish(cluster, "org", events.slice(200));
      const said = ({ fields }: Journal["lines"][number]) => /takes no more consumers/.test(String(fields.error));
      await eventually("it says why", () => cluster.journal.lines.some(said));
      assert.is(running.processor.isReady, false);
      const { kind, message } = await checkNats(cluster.config, cluster.nc).then(() => assert.unreachable(), (e) => e);
      assert.equal([kind, /takes no more consumers/.test(message)], ["retryable", true], "whoever starts says it too");
      reload(folder, cluster.nats, "max_consumers: 1", "max_consumers: -1");
      await running.drained();
      await nothingIsAhead(cluster);
      await running.stop();
      await allIsThere(cluster, "org", events);
    }, { startNats: (within) => startNatsServer({ folder: within, configText }) });
  });

  test("is cut off with messages on their way, these come again before anything after them is acknowledged", () =>
    withStream(false, (cluster) =>
      withLine(cluster.nats.url, async (line) => {
        const events = load(1_600);
        const running = await cluster.start({ natsUrl: `nats://127.0.0.1:${line.port}` });
        await publish(cluster, "org", events.slice(0, 300));
        await running.drained();
        for (let from = 300; from < 1_500; from += 400) {
          // The server hands out what the line then loses.
          line.mode = "hang";
          await publish(cluster, "org", events.slice(from, from + 400));
          await pause(100);
          line.cut();
          line.mode = "pass";
          await pause(700);
        }
        await publish(cluster, "org", events.slice(1_500));
        await running.drained();
        await nothingIsAhead(cluster);
        await running.stop();
        await allIsThere(cluster, "org", events);
      })));
});

describe("a processor that is ended", (test) => {
  const EVENTS = load(10_000);

  const withLoad = (use: (cluster: Cluster, start: () => Command, stored: () => Promise<number>) => Promise<void>) =>
    withStream(true, async (cluster) => {
      await cluster.publish("org", EVENTS);
      const { natsUrl, clickhouseUrl } = cluster.config;
      const env = { NATS_URL: natsUrl, CLICKHOUSE_URL: clickhouseUrl, LATECOMER_BATCH_ROWS: "500" };
      const commands: Command[] = [];
      try {
        await use(cluster, () => {
          commands.push(startCommand(["run"], { cwd: cluster.folder, env }));
          return commands.at(-1)!;
        }, () => cluster.count("SELECT uniqExact(stream_sequence) FROM raw_streaming_events"));
      } finally {
        for (const command of commands) command.kill("SIGKILL");
      }
    });

  test("by SIGTERM finishes what it has in hand: its checkpoint covers all that is stored", () =>
    withLoad(async (cluster, start, stored) => {
      const command = start();
      await eventually("some are stored", async () => await stored() > 1_500);
      command.kill("SIGTERM");
      const { code, err } = await within("ended", command.ended);
      assert.is(code, 0, err);
      assert.ok(await stored() < EVENTS.length, "it was in the middle");
      for (const partition of ["0", "all"]) {
        const { doneSeq } = (await cluster.checkpoint(partition))!;
        const [row] = await cluster.rows<{ greatest: string; n: string }>(
          `SELECT max(stream_sequence) AS greatest, uniqExact(stream_sequence) AS n FROM raw_streaming_events
           WHERE endsWith(subject, {token:String})`,
          { token: `.${partition}` },
        );
        assert.ok(Number(row!.greatest) <= doneSeq, "nothing is stored that would be read again");
        const due = EVENTS.slice(0, doneSeq).filter((event) =>
          (typeOf(event) === "network_capabilities") === (partition === "all")
        );
        assert.is(Number(row!.n), due.length, "nothing is done that is not stored");
      }
      assert.equal(await cluster.ackFloors(), {}, "its consumers went with it");
    }));

  test("by SIGKILL three times over loses nothing and counts nothing double", () =>
    withLoad(async (cluster, start, stored) => {
      for (let least = 1_500; least <= 6_500; least += 2_500) {
        const command = start();
        await eventually("further", async () => await stored() > least);
        command.kill("SIGKILL");
        assert.is((await within("ended", command.ended)).code, null);
      }
      assert.ok(await stored() < EVENTS.length, "it was in the middle");
      const env = { NATS_URL: cluster.config.natsUrl, CLICKHOUSE_URL: cluster.config.clickhouseUrl };
      const last = await latecomer(["run", "--until-drained"], { cwd: cluster.folder, env });
      assert.is(last.code, 0, last.err);
      const [row] = await cluster.rows(
        "SELECT count() AS n, uniqExact(stream_sequence) AS messages FROM raw_streaming_events FINAL",
      );
      assert.equal(row, { n: "10000", messages: "10000" });
      await cluster.publish("calm", EVENTS);
      await cluster.process();
      const calm = await cluster.digest("calm");
      assert.equal(await cluster.digest("org"), calm);
      assert.is(calm.rows, EVENTS.filter((event) => typeOf(event) === "ai_stream_status").length);
    }));
});
