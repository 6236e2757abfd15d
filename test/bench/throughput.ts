/** Rates: from a consumer that does nothing to rows in ClickHouse, all of the same events. */
import { AckPolicy, DeliverPolicy, type NatsConnection } from "nats";
import type { Config } from "../../src/config.ts";
import { decode } from "../../src/core/decode.ts";
import { judge } from "../../src/core/judge.ts";
import { Core, messageOf } from "./core.ts";
import { timeOf } from "./load.ts";
import { beginEmpty, publish, requireStored, type Rig, Worker } from "./rig.ts";

/**
 * What a run took; CPU in microseconds an event, of the engine where it is a process of its own, of nats-server without
 * publishing.
 */
export interface Run {
  readonly perSecond: number;
  readonly cpu: { readonly processors: number; readonly engine: number; readonly nats: number };
}

type Load = readonly Uint8Array[];

/** The part of a load that a process reads before it is measured. */
export const WARMING = 1 / 3;

/**
 * Events a second read once through the client's own `consume()`, doing nothing with them but an ack. With an ack for
 * each it is what a consumer does that owes nobody anything else; with one ack for many the ceiling of the transport.
 */
export async function emptyConsumer(nc: NatsConnection, count: number, messagesPerAck: number): Promise<number> {
  const jsm = await nc.jetstreamManager();
  const { name } = await jsm.consumers.add("LIVEPEER_EVENTS", {
    durable_name: `empty-${Math.round(performance.now())}`,
    ack_policy: AckPolicy.All,
    deliver_policy: DeliverPolicy.All,
    max_ack_pending: -1,
  });
  const consumer = await nc.jetstream().consumers.get("LIVEPEER_EVENTS", name);
  const started = performance.now();
  const messages = await consumer.consume({ max_messages: 2_048 });
  let seen = 0;
  for await (const message of messages) {
    if (++seen % messagesPerAck === 0) message.ack();
    if (seen === count) break;
  }
  const perSecond = count / (performance.now() - started) * 1_000;
  await jsm.consumers.delete("LIVEPEER_EVENTS", name);
  return perSecond;
}

export function decodeAll(load: Load): number {
  const started = performance.now();
  let accepted = 0;
  for (const bytes of load) if (decode(messageOf(bytes, 1, Date.now())).outcome === "accepted") accepted++;
  if (accepted !== load.length) throw new Error(`${load.length - accepted} events of the load were not accepted`);
  return load.length / (performance.now() - started) * 1_000;
}

/** Events a second that are decoded already, taken and sealed, sessions and their entries included. */
export function deriveAll(load: Load): number {
  const judged = load.map((bytes, at) => judge(messageOf(bytes, at + 1, timeOf(at))));
  const core = new Core();
  const started = performance.now();
  for (const [at, bytes] of load.entries()) core.take(bytes, timeOf(at), judged[at]);
  core.seal();
  return load.length / (performance.now() - started) * 1_000;
}

/**
 * As many events through so many processors, each in a process of its own that has compiled its code on a part of them. The
 * engine is in the one process, or over HTTP in another.
 */
export async function endToEnd(rig: Rig, load: Load, own: Config, processes: 1 | 2 = 1): Promise<Run> {
  await beginEmpty(rig, own);
  const workers = Array.from({ length: processes }, () => new Worker(own));
  await Promise.all(workers.map(({ ready }) => ready));
  // A second owner gets its share of the partitions when leases are next looked at.
  if (processes > 1) await new Promise((resolve) => setTimeout(resolve, 10_000));
  const warming = Math.ceil(WARMING * load.length);
  await publish(rig, load.slice(0, warming), processes);
  const warm = await Promise.all(workers.map((worker) => worker.ask("drained")));
  // The rest waits when they go on: batches of what came between would be small, and their parts merged later.
  for (const worker of workers) worker.pause();
  await publish(rig, load.slice(warming), processes);
  const before = await rig.serversCpu();
  const started = performance.now();
  for (const worker of workers) worker.resume();
  const done = await Promise.all(workers.map((worker) => worker.ask("drained")));
  const seconds = (performance.now() - started) / 1_000;
  const after = await rig.serversCpu();
  await Promise.all(workers.map((worker) => worker.stop()));
  await requireStored(own, load.length);
  const count = load.length - warming;
  return {
    perSecond: count / seconds,
    cpu: {
      processors: done.reduce((sum, { cpuMicros }, at) => sum + cpuMicros - warm[at]!.cpuMicros, 0) / count,
      engine: (after.engine - before.engine) / count,
      nats: (after.nats - before.nats) / count,
    },
  };
}
