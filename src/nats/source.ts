/**
 * The messages of one partition through a consumer of our own.
 *
 * Two processes that shared a consumer would split its messages, and an ack of one would cover what the other
 * has not written. So every reader makes its own, starts it where the checkpoint says, and lets it expire.
 */
import { AckPolicy, DeliverPolicy, type JetStreamManager, nanos, type NatsConnection, ReplayPolicy } from "nats";
import type { StoredMessage } from "../core/event.ts";
import type { MessageSource } from "../ports.ts";
import { isNotFound, natsError } from "./connection.ts";
import { EVENT_STREAM } from "./definitions.ts";
import { Pull, type PulledMessage } from "./pull.ts";

/** Messages and bytes handed over at once: some milliseconds of work. */
const SLICE = 128;
const SLICE_BYTES = 1_048_576;

/** The consumer goes this long after its reader has. */
const INACTIVE_MS = 5 * 60_000;

/** Longer than any pause of ours: a redelivery would come as a gap, and make another consumer. */
const ACK_WAIT_MS = 60 * 60_000;

/** How long an ack may wait for the server's reply. */
const ACK_TIMEOUT_MS = 5_000;

/** Opens a partition from a stream sequence on. `owner` makes the names of its consumers unique. */
export async function openSource(
  nc: NatsConnection,
  partition: string,
  fromSequence: number,
  owner: string,
): Promise<MessageSource> {
  const source = new ConsumerSource(nc, await nc.jetstreamManager(), partition, fromSequence, owner);
  await source.bind();
  return source;
}

class ConsumerSource implements MessageSource {
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;
  readonly #partition: string;
  readonly #owner: string;
  #pull: Pull | undefined;
  #consumer = "";
  #bindings = 0;
  #lastSequence: number;
  /** Messages of the present consumer that were read and not acknowledged, oldest first. */
  #unacknowledged: PulledMessage[] = [];

  constructor(nc: NatsConnection, jsm: JetStreamManager, partition: string, fromSequence: number, owner: string) {
    this.#nc = nc;
    this.#jsm = jsm;
    this.#partition = partition;
    this.#owner = owner;
    this.#lastSequence = fromSequence - 1;
  }

  /** Makes a consumer that begins behind what was read, and pulls from it. */
  async bind(): Promise<void> {
    await this.#unbind();
    const name = `attributor-p${this.#partition}-${this.#owner}-${++this.#bindings}`;
    try {
      await this.#jsm.consumers.add(EVENT_STREAM, {
        name,
        durable_name: name,
        ack_policy: AckPolicy.All,
        ack_wait: nanos(ACK_WAIT_MS),
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: Math.max(1, this.#lastSequence + 1),
        filter_subject: `events.*.*.${this.#partition}`,
        inactive_threshold: nanos(INACTIVE_MS),
        max_ack_pending: -1,
        replay_policy: ReplayPolicy.Instant,
      });
    } catch (error) {
      throw natsError(error, `open partition ${this.#partition}`);
    }
    this.#consumer = name;
    this.#pull = new Pull(this.#nc, EVENT_STREAM, name);
  }

  async read(most: number, waitMs: number): Promise<StoredMessage[]> {
    if (this.#pull === undefined || (this.#pull.broken !== "" && this.#pull.isEmpty)) await this.bind();
    const pull = this.#pull!;
    await pull.wait(waitMs);
    // A turn of the event loop between slices: a full buffer must not keep acks and inserts waiting for theirs.
    await new Promise(setImmediate);
    const messages = pull.take(Math.min(most, SLICE), SLICE_BYTES);
    if (messages.length === 0) return messages;
    this.#unacknowledged.push(...messages);
    this.#lastSequence = messages.at(-1)!.streamSequence;
    return messages;
  }

  async ack(streamSequence: number): Promise<void> {
    let covered = 0;
    while ((this.#unacknowledged[covered]?.streamSequence ?? Infinity) <= streamSequence) covered++;
    const last = this.#unacknowledged[covered - 1];
    if (last === undefined) return;
    this.#unacknowledged = this.#unacknowledged.slice(covered);
    try {
      // AckPolicy All: the ack of one message covers all before it. The server's reply makes it certain.
      await this.#nc.request(last.reply, "+ACK", { timeout: ACK_TIMEOUT_MS });
    } catch {
      // The checkpoint has it already; a consumer that takes no ack is of no use any more.
      this.#pull?.break("an ack was not answered");
    }
  }

  async isDrained(): Promise<boolean> {
    const pull = this.#pull;
    if (pull === undefined || pull.broken !== "" || !pull.isEmpty || this.#unacknowledged.length > 0) return false;
    try {
      const info = await this.#jsm.consumers.info(EVENT_STREAM, this.#consumer);
      return info.num_pending === 0 && info.num_ack_pending === 0 && pull.isEmpty && pull.broken === "";
    } catch (error) {
      if (isNotFound(error)) pull.break("the consumer is gone");
      // Away for now: not known to be drained.
      return false;
    }
  }

  async close(): Promise<void> {
    await this.#unbind();
  }

  async #unbind(): Promise<void> {
    this.#pull?.close();
    this.#pull = undefined;
    this.#unacknowledged = [];
    if (this.#consumer === "") return;
    const name = this.#consumer;
    this.#consumer = "";
    // Where that fails, it goes by itself when its inactivity threshold has passed.
    await this.#jsm.consumers.delete(EVENT_STREAM, name).catch(() => {});
  }
}
