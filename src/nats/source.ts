/**
 * The messages of one partition through a consumer of our own.
 *
 * Two processes that shared a consumer would split its messages, and an ack of one would cover what the other
 * has not written. So every reader makes its own, starts it where the checkpoint says, and lets it expire.
 */
import {
  AckPolicy,
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamManager,
  type JsMsg,
  millis,
  nanos,
  type NatsConnection,
  ReplayPolicy,
} from "nats";
import type { StoredMessage } from "../core/event.ts";
import type { MessageSource } from "../ports.ts";
import { natsError } from "./connection.ts";
import { EVENT_STREAM } from "./definitions.ts";

/** How many messages are asked for ahead; with the buffer below this bounds what is in memory. */
const PREFETCH = 2_048;

/** Messages handed over at once: some milliseconds of work. */
const SLICE = 128;

/** Bytes of messages read ahead of the processor before pulling pauses. */
const MOST_BUFFERED_BYTES = 32 * 1_048_576;

/** The consumer goes this long after its reader has. */
const INACTIVE_MS = 5 * 60_000;

/** Longer than any pause of ours: what is redelivered was read already and is skipped. */
const ACK_WAIT_MS = 10 * 60_000;

/** Opens a partition from a stream sequence on. `owner` makes the consumer's name unique. */
export async function openSource(
  nc: NatsConnection,
  partition: string,
  fromSequence: number,
  owner: string,
): Promise<MessageSource> {
  const jsm = await nc.jetstreamManager();
  const name = `attributor-p${partition}-${owner}`;
  try {
    await jsm.consumers.add(EVENT_STREAM, {
      name,
      durable_name: name,
      ack_policy: AckPolicy.All,
      ack_wait: nanos(ACK_WAIT_MS),
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: Math.max(1, fromSequence),
      filter_subject: `events.*.*.${partition}`,
      inactive_threshold: nanos(INACTIVE_MS),
      max_ack_pending: -1,
      replay_policy: ReplayPolicy.Instant,
    });
    const consumer = await nc.jetstream().consumers.get(EVENT_STREAM, name);
    return new ConsumerSource(jsm, name, await Pump.start(consumer), fromSequence - 1);
  } catch (error) {
    throw natsError(error, `open partition ${partition}`);
  }
}

/** Moves messages from the client's iterator into a buffer, and stops pulling while the buffer is full. */
class Pump {
  readonly buffer: JsMsg[] = [];
  failure: unknown;
  #bytes = 0;
  #wakeReader: (() => void) | undefined;
  #wakePump: (() => void) | undefined;
  readonly #messages: ConsumerMessages;

  static async start(consumer: Consumer): Promise<Pump> {
    return new Pump(await consumer.consume({ max_messages: PREFETCH, idle_heartbeat: 5_000, expires: 30_000 }));
  }

  constructor(messages: ConsumerMessages) {
    this.#messages = messages;
    this.#run().catch((error) => this.failure = error).finally(() => this.#wakeReader?.());
  }

  async #run(): Promise<void> {
    for await (const message of this.#messages) {
      this.buffer.push(message);
      this.#bytes += message.data.length;
      this.#wakeReader?.();
      if (this.#bytes > MOST_BUFFERED_BYTES) await new Promise<void>((resolve) => this.#wakePump = resolve);
    }
  }

  take(most: number): JsMsg[] {
    const taken = this.buffer.splice(0, most);
    for (const message of taken) this.#bytes -= message.data.length;
    this.#wakePump?.();
    return taken;
  }

  /** Resolves when a message is there or the time is up. */
  async wait(waitMs: number): Promise<void> {
    if (this.buffer.length > 0 || this.failure !== undefined) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wakeReader = resolve;
      timer = setTimeout(resolve, waitMs);
    });
    clearTimeout(timer);
    this.#wakeReader = undefined;
  }

  async close(): Promise<void> {
    this.#wakePump?.();
    await this.#messages.close();
  }
}

class ConsumerSource implements MessageSource {
  readonly #jsm: JetStreamManager;
  readonly #name: string;
  readonly #pump: Pump;
  /** Messages that were read and not acknowledged, oldest first; an ack needs the message itself. */
  #unacknowledged: JsMsg[] = [];
  #lastSequence: number;

  constructor(jsm: JetStreamManager, name: string, pump: Pump, lastSequence: number) {
    this.#jsm = jsm;
    this.#name = name;
    this.#pump = pump;
    this.#lastSequence = lastSequence;
  }

  async read(most: number, waitMs: number): Promise<StoredMessage[]> {
    await this.#pump.wait(waitMs);
    // A turn of the event loop between slices: a full buffer must not keep acks and inserts waiting for theirs.
    await new Promise(setImmediate);
    if (this.#pump.failure !== undefined) throw natsError(this.#pump.failure, `read ${this.#name}`);
    const messages: StoredMessage[] = [];
    for (const message of this.#pump.take(Math.min(most, SLICE))) {
      // What is redelivered was read before, or a restart would have made another consumer.
      if (message.seq <= this.#lastSequence) continue;
      this.#lastSequence = message.seq;
      this.#unacknowledged.push(message);
      messages.push({
        subject: message.subject,
        bytes: message.data,
        streamSequence: message.seq,
        streamTimeMs: millis(message.info.timestampNanos),
      });
    }
    return messages;
  }

  async ack(streamSequence: number): Promise<void> {
    let last: JsMsg | undefined;
    let covered = 0;
    for (; covered < this.#unacknowledged.length; covered++) {
      const message = this.#unacknowledged[covered]!;
      if (message.seq > streamSequence) break;
      last = message;
    }
    if (last === undefined) return;
    try {
      // AckPolicy All: the ack of one message covers all before it. The server's reply makes it certain.
      await last.ackAck();
    } catch (error) {
      throw natsError(error, `acknowledge ${streamSequence}`);
    }
    this.#unacknowledged = this.#unacknowledged.slice(covered);
  }

  async isDrained(): Promise<boolean> {
    if (this.#pump.buffer.length > 0 || this.#unacknowledged.length > 0) return false;
    try {
      const info = await this.#jsm.consumers.info(EVENT_STREAM, this.#name);
      return info.num_pending === 0 && info.num_ack_pending === 0 && this.#pump.buffer.length === 0;
    } catch (error) {
      throw natsError(error, `read consumer ${this.#name}`);
    }
  }

  async close(): Promise<void> {
    await this.#pump.close();
    try {
      await this.#jsm.consumers.delete(EVENT_STREAM, this.#name);
    } catch {
      // It goes by itself when its inactivity threshold has passed.
    }
  }
}
