/** A source over a real server, with a connection on which messages can be made to vanish. */
import { nanos, type NatsConnection, type SubscriptionOptions } from "nats";
import * as assert from "uvu/assert";
import type { MessageSource, StreamPosition } from "../../src/ports.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import {
  type Cluster,
  eventually,
  FROM_THE_START,
  GATEWAY_LOG,
  pause,
  productionEvents,
  withCluster,
} from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

const SAMPLES = productionEvents(GATEWAY_LOG);

/** A connection whose deliveries can be lost without a sign: heartbeats and replies still come. */
function leaky(nc: NatsConnection, isLeaking: () => boolean, onLost = () => {}): NatsConnection {
  return new Proxy(nc, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (name !== "subscribe") return typeof member === "function" ? member.bind(target) : member;
      return (subject: string, options: SubscriptionOptions = {}) => {
        const pass = options.callback;
        if (pass === undefined) return target.subscribe(subject, options);
        const callback: typeof pass = (error, message) => {
          const isDelivery = error === null && message.reply?.startsWith("$JS.ACK.") === true;
          if (isDelivery && isLeaking()) onLost();
          else pass(error, message);
        };
        return target.subscribe(subject, { ...options, callback });
      };
    },
  });
}

async function sequencesOf(source: MessageSource, count: number): Promise<number[]> {
  const found: number[] = [];
  await eventually(`${count} messages`, async () => {
    const messages = await source.read(1_000, 100);
    found.push(...messages.map(({ streamSequence }) => streamSequence));
    return found.length >= count;
  });
  return found;
}

async function stored(cluster: Cluster, partition: string): Promise<number[]> {
  const messages = await cluster.messages("LIVEPEER_EVENTS");
  return messages.filter(({ subject }) => subject.endsWith(`.${partition}`)).map(({ seq }) => seq);
}

describe("a consumer that falls silent", (test) => {
  test("though it has messages is replaced, says why, and every message comes once and in order", () =>
    withCluster({}, async (cluster) => {
      let isLeaking = false;
      const why: string[] = [];
      const stream = await openEventStream(leaky(cluster.nc, () => isLeaking));
      const source = await stream.open("0", FROM_THE_START, "leaky", (reason) => (why.push(reason), isLeaking = false));
      await cluster.publish("org", SAMPLES.slice(0, 10));
      const first = await sequencesOf(source, (await stored(cluster, "0")).length);
      isLeaking = true;
      await cluster.publish("org", SAMPLES.slice(10));
      const all = await stored(cluster, "0");
      const rest = await sequencesOf(source, all.length - first.length);
      assert.equal([...first, ...rest], all);
      assert.equal(why, ["the stream has messages that do not come"]);
      await source.close();
    }));

  test("because a part of what it sent is lost is replaced at the next message, before that is handed over", () =>
    withCluster({}, async (cluster) => {
      let isLeaking = true;
      let lost = 0;
      const why: string[] = [];
      const stream = await openEventStream(leaky(cluster.nc, () => isLeaking, () => lost++));
      const source = await stream.open("0", FROM_THE_START, "leaky", (reason) => why.push(reason));
      await cluster.publish("org", SAMPLES.slice(0, 10));
      const first = await stored(cluster, "0");
      // A message is stored before it is sent on.
      await eventually("lost on their way", () => lost === first.length);
      isLeaking = false;
      await cluster.publish("org", SAMPLES.slice(10));
      const all = await stored(cluster, "0");
      assert.equal(await sequencesOf(source, all.length), all);
      assert.equal(why, ["messages on their way were lost"]);
      await source.close();
    }));
});

describe("messages that are sent again", (test) => {
  test("are read through another consumer without a repeat", () =>
    withCluster({}, async (cluster) => {
      const why: string[] = [];
      const stream = await openEventStream(cluster.nc);
      const source = await stream.open("0", FROM_THE_START, "slow", (reason) => why.push(reason));
      // The server's patience is cut down to a second.
      const { name } = await cluster.jsm.consumers.info("LIVEPEER_EVENTS", "attributor-p0-slow-1");
      await cluster.jsm.consumers.update("LIVEPEER_EVENTS", name, { ack_wait: nanos(1_000) });
      await cluster.publish("org", SAMPLES.slice(0, 20));
      const all = await stored(cluster, "0");
      assert.equal(await sequencesOf(source, all.length), all);
      for (let at = 0; at < 10; at++) assert.equal(await source.read(1_000, 300), []);
      await source.ack(all.at(-1)!);
      assert.is((await source.drainedUpTo())?.streamSequence, (await stream.bounds()).lastSeq);
      await source.close();
      assert.equal(why, ["messages came again"]);
    }));
});

describe("a consumer that begins too early", (test) => {
  // As on a member of a cluster that lags behind: the server begins at the end of what it has.
  test("hands over nothing from before where it was told to begin", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", SAMPLES.slice(0, 10));
      const stream = await openEventStream(cluster.nc);
      const { lastSeq } = await stream.bounds();
      const from = { ...FROM_THE_START, fromSequence: lastSeq + 5 };
      const source = await stream.open("0", from, "early", () => {});
      await cluster.publish("org", SAMPLES.slice(10));
      const all = await stored(cluster, "0");
      const wanted = all.filter((seq) => seq >= from.fromSequence);
      assert.ok(all.some((seq) => seq > lastSeq && seq < from.fromSequence), "there is something to pass over");
      assert.equal(await sequencesOf(source, wanted.length), wanted);
      await source.close();
    }));
});

describe("a stream that does not hold what is known of it", (test) => {
  test("is refused before anything is read, wherever reading begins", () =>
    withCluster({}, async (cluster) => {
      await cluster.publish("org", SAMPLES.slice(0, 10));
      const stream = await openEventStream(cluster.nc);
      const storedAtMs = (await stream.storedAtMs(5))!;
      const readWith = async (known: StreamPosition) => {
        const source = await stream.open("0", { fromSequence: 1, known }, `known-${known.storedAtMs}`, () => {});
        return await source.read(1_000, 1_000).finally(() => source.close());
      };
      const kinds = [{ streamSequence: 5, storedAtMs: storedAtMs - 1 }, { streamSequence: 99, storedAtMs }];
      for (const known of kinds) {
        const refused = await readWith(known).then(() => undefined, (error) => error);
        assert.is(refused?.code, "STREAM_REWRITTEN");
      }
      for (const known of [{ streamSequence: 5, storedAtMs }, { streamSequence: 5, storedAtMs: 0 }]) {
        assert.ok((await readWith(known)).length > 0);
      }
    }));
});

describe("an idle source", (test) => {
  test("keeps its consumer, and knows up to where there is nothing for it", () =>
    withCluster({}, async (cluster) => {
      const why: string[] = [];
      const stream = await openEventStream(cluster.nc);
      const source = await stream.open("1", FROM_THE_START, "idle", (reason) => why.push(reason));
      await cluster.publish("org", SAMPLES);
      const { lastSeq } = await stream.bounds();
      const until = performance.now() + 8_000;
      while (performance.now() < until) assert.equal(await source.read(1_000, 500), []);
      assert.is((await source.drainedUpTo())?.streamSequence, lastSeq);
      assert.equal(why, []);
      await source.close();
    }));
});

describe("a stream asked for what was stored after an instant", (test) => {
  test("names the first message later than that, to the millisecond, and the one to come where there is none", () =>
    withCluster({}, async (cluster) => {
      const stream = await openEventStream(cluster.nc);
      for (const from of [0, 2, 4]) {
        await cluster.publish("org", SAMPLES.slice(from, from + 2));
        await pause(20);
      }
      const { firstSeq, lastSeq } = await stream.bounds();
      const times = new Map<number, number>();
      for (let seq = firstSeq; seq <= lastSeq; seq++) times.set(seq, (await stream.storedAtMs(seq))!);
      for (const instant of [...times.values()].flatMap((time) => [time - 1, time, time + 1])) {
        const wanted = [...times].find(([, time]) => time > instant)?.[0] ?? lastSeq + 1;
        assert.is(await stream.firstSeqAfter(instant), wanted);
      }
    }));
});
