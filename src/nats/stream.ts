/** The event stream behind the port: its bounds, what it holds where, and a source for each partition. */
import { AckPolicy, DeliverPolicy, type JetStreamManager, nanos, type NatsConnection, nuid } from "nats";
import type { StoredMessage } from "../core/event.ts";
import type {
  LiveSource,
  MessageSource,
  OnRebound,
  ReadFrom,
  ReplayedStream,
  SequenceRange,
  StreamBounds,
} from "../ports.ts";
import { ignoreAbsence, natsError, openManager } from "./connection.ts";
import { EVENT_STREAM } from "./definitions.ts";
import { firstMessageFrom, messageIn, readStream, storedAtMs, storedMessage, streamState } from "./range.ts";
import { ConsumerSource, type Reading } from "./source.ts";

/** Opens the event stream. */
export async function openEventStream(nc: NatsConnection): Promise<ReplayedStream> {
  return new JetStreamEvents(nc, await openManager(nc));
}

/** When the first message of a partition behind a sequence was stored, in Unix milliseconds; undefined when none is. */
export async function firstStoredAfter(
  jsm: JetStreamManager,
  partition: string,
  doneSeq: number,
): Promise<number | undefined> {
  return (await firstMessageFrom(jsm, EVENT_STREAM, `events.*.*.${partition}`, doneSeq + 1))?.time.getTime();
}

class JetStreamEvents implements ReplayedStream {
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;

  constructor(nc: NatsConnection, jsm: JetStreamManager) {
    this.#nc = nc;
    this.#jsm = jsm;
  }

  async bounds(knownSeq = 0): Promise<StreamBounds> {
    const { first_seq, last_seq: lastSeq } = await streamState(this.#jsm, EVENT_STREAM, knownSeq);
    // A stream that never held anything begins with 0, which is no sequence.
    return { firstSeq: Math.max(1, first_seq), lastSeq };
  }

  storedAtMs(streamSequence: number): Promise<number | undefined> {
    return storedAtMs(this.#jsm, EVENT_STREAM, streamSequence);
  }

  firstSeqAfter(timeMs: number): Promise<number> {
    return translated(async () => {
      // A consumer knows where it begins as soon as it is made, and need not read anything.
      const name = `since-${nuid.next()}`;
      const { delivered } = await this.#jsm.consumers.add(EVENT_STREAM, {
        name,
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.StartTime,
        opt_start_time: new Date(timeMs + 1).toISOString(),
        inactive_threshold: nanos(1_000),
        mem_storage: true,
        num_replicas: 1,
      });
      await this.#jsm.consumers.delete(EVENT_STREAM, name).catch(() => {});
      return delivered.stream_seq + 1;
    });
  }

  async lastSeqOf(partition: string): Promise<number> {
    return (await messageIn(this.#jsm, EVENT_STREAM, { last_by_subj: `events.*.*.${partition}` }))?.seq ?? 0;
  }

  async firstOf(partition: string, type: string, fromSeq: number): Promise<StoredMessage | undefined> {
    const found = await firstMessageFrom(this.#jsm, EVENT_STREAM, `events.*.${type}.${partition}`, fromSeq);
    return found === undefined ? undefined : storedMessage(found);
  }

  async open(
    partition: string,
    from: ReadFrom,
    reader: string,
    onRebound: OnRebound,
  ): Promise<LiveSource> {
    return await this.#bound({
      subject: `events.*.*.${partition}`,
      from,
      name: `attributor-p${partition}-${reader}`,
      durable: false,
      onRebound,
    });
  }

  messages(range: SequenceRange, subject: string): AsyncIterable<StoredMessage[]> {
    return readStream(this.#nc, EVENT_STREAM, range, subject);
  }

  async openDurable(name: string, from: ReadFrom, onRebound: OnRebound): Promise<MessageSource> {
    return await this.#bound({ subject: "events.>", from, name, durable: true, onRebound });
  }

  removeDurable(name: string): Promise<void> {
    return translated(async () => {
      await this.#jsm.consumers.delete(EVENT_STREAM, name).catch(ignoreAbsence);
    });
  }

  async #bound(reading: Reading): Promise<LiveSource> {
    const source = new ConsumerSource(this.#nc, this.#jsm, reading);
    await source.bind();
    return source;
  }
}

async function translated<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw natsError(error, `read ${EVENT_STREAM}`);
  }
}
