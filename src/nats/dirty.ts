/**
 * The minutes that the rollup has to recompute. The stream is the coalescing queue: it keeps one message per minute, so a
 * mark takes the place of an earlier one, and a mark that is made while its minute is being recomputed outlives the ack
 * of the one in hand.
 */
import { createInbox, type JetStreamManager, type Msg, type NatsConnection } from "nats";
import { minuteSubject, readMinuteSubject } from "../core/minute.ts";
import { LatecomerError } from "../errors.ts";
import type { Backlog, DirtyMinuteQueue, DirtyMinutes, TakenMark } from "../ports.ts";
import { isNotFound, natsError, openManager } from "./connection.ts";
import { DIRTY_STREAM, wantedConsumers } from "./definitions.ts";

/** Marks under way at once. */
const WINDOW = 256;

/** How long the server may take to answer. */
const ANSWER_MS = 5_000;

/** The consumer that all workers share: a mark is in one hand at a time. */
export const CONSUMER_CONFIG = wantedConsumers().find(({ stream }) => stream === DIRTY_STREAM)!.config;

const EMPTY = new Uint8Array();

export function openDirtyMinutes(nc: NatsConnection): DirtyMinutes {
  const js = nc.jetstream();
  return {
    async mark(minutes) {
      try {
        for (let at = 0; at < minutes.length; at += WINDOW) {
          await Promise.all(minutes.slice(at, at + WINDOW).map((minute) => js.publish(minuteSubject(minute), EMPTY)));
        }
      } catch (error) {
        throw natsError(error, `mark minutes in ${DIRTY_STREAM}`);
      }
    },
  };
}

export async function openDirtyMinuteQueue(nc: NatsConnection): Promise<DirtyMinuteQueue> {
  return new DirtyQueue(nc, await openManager(nc));
}

class DirtyQueue implements DirtyMinuteQueue {
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;
  #isBound = false;

  constructor(nc: NatsConnection, jsm: JetStreamManager) {
    this.#nc = nc;
    this.#jsm = jsm;
  }

  async take(most: number): Promise<TakenMark[]> {
    try {
      if (!this.#isBound) await this.#bind();
      this.#isBound = true;
      return (await this.#pull(most)).map((message) => this.#takenOf(message));
    } catch (error) {
      // It may have been removed; the next call makes it again.
      this.#isBound = false;
      throw natsError(error, `read ${DIRTY_STREAM}`);
    }
  }

  async backlog(): Promise<Backlog> {
    try {
      const { state } = await this.#jsm.streams.info(DIRTY_STREAM);
      return { pending: state.messages, oldestMs: state.messages > 0 ? Date.parse(state.first_ts) : 0 };
    } catch (error) {
      throw natsError(error, `read ${DIRTY_STREAM} (\`latecomer init\` creates it)`);
    }
  }

  async #bind(): Promise<void> {
    try {
      await this.#jsm.consumers.info(DIRTY_STREAM, CONSUMER_CONFIG.durable_name!);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await this.#jsm.consumers.add(DIRTY_STREAM, CONSUMER_CONFIG);
    }
  }

  /**
   * What is there now, by one request that waits for nothing. The client's `fetch()` waits, and one that ends early
   * leaves a request behind, whose answer nobody hears: such a mark would lie for the whole ack wait.
   */
  async #pull(most: number): Promise<Msg[]> {
    const messages: Msg[] = [];
    const inbox = createInbox();
    const subscription = this.#nc.subscribe(inbox, { max: most + 1, timeout: ANSWER_MS });
    this.#nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${DIRTY_STREAM}.${CONSUMER_CONFIG.durable_name}`,
      JSON.stringify({ batch: most, no_wait: true }),
      {
        reply: inbox,
      },
    );
    try {
      for await (const message of subscription) {
        const code = message.headers?.code ?? 0;
        if (code === 404 || code === 408) break;
        if (code > 0) throw new LatecomerError("QUEUE_LOST", "retryable", `${code} ${message.headers!.description}`);
        if (messages.push(message) === most) break;
      }
    } finally {
      subscription.unsubscribe();
    }
    return messages;
  }

  #takenOf({ subject, reply }: Msg): TakenMark {
    return {
      minute: readMinuteSubject(subject),
      finish: () => this.#nc.publish(reply!, "+ACK"),
      working: () => this.#nc.publish(reply!, "+WPI"),
    };
  }
}
