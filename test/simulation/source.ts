/** The event stream as a process sees it: the ports over the simulated server, as the real adapters keep them. */
import type { StoredMessage } from "../../src/core/event.ts";
import { typeOf } from "../../src/core/subject.ts";
import { LatecomerError } from "../../src/errors.ts";
import type { Backlog, EventStream, LiveSource, OnRebound, ReadFrom, StreamPosition } from "../../src/ports.ts";
import { away, type Process } from "./process.ts";
import { Consumer, partitionIn, type Stream } from "./stream.ts";

/** How a source gets its consumer, by a name of its own. */
export type Bind = (stream: Stream, partition: string, name: string, fromSequence: number) => Consumer;

/** A new consumer for every name. */
export const bindOwn: Bind = (stream, partition, name, fromSequence) => {
  const consumer = new Consumer(stream, partition, fromSequence);
  stream.consumers.set(name, consumer);
  return consumer;
};

export function openEventStream(stream: Stream, process: Process, bind: Bind = bindOwn): EventStream {
  const ask = <Result>(what: string, effect: () => Result) => process.call(what, effect);
  return {
    bounds: () => ask("bounds", () => stream.bounds),
    storedAtMs: (seq) => ask("stored at", () => stream.at(seq)?.streamTimeMs),
    firstSeqAfter: (timeMs) =>
      ask("first after", () => {
        const later = stream.messages.find((message) => message.streamTimeMs > timeMs);
        return later?.streamSequence ?? stream.bounds.lastSeq + 1;
      }),
    lastSeqOf: (partition) =>
      ask("last of", () => {
        const last = stream.messages.findLast(({ subject }) => partitionIn(subject) === partition);
        return last?.streamSequence ?? 0;
      }),
    firstOf: (partition, type, fromSeq) =>
      ask("first of", () => {
        const isIt = ({ subject, streamSequence }: StoredMessage) =>
          streamSequence >= fromSeq && partitionIn(subject) === partition && typeOf(subject) === type;
        return stream.messages.find(isIt);
      }),
    open: async (partition, from, reader, onRebound) => {
      const source = new Source(stream, process, bind, partition, from, reader, onRebound);
      await source.bind();
      return source;
    },
  };
}

class Source implements LiveSource {
  readonly #stream: Stream;
  readonly #process: Process;
  readonly #bind: Bind;
  readonly #partition: string;
  readonly #reader: string;
  readonly #onRebound: OnRebound;
  #consumer: Consumer | undefined;
  #name = "";
  #bindings = 0;
  #broken = "";
  #lastSequence: number;
  #known: StreamPosition;
  #isSameStream = false;
  /** The last sequence read of the present consumer, and the last acknowledged. */
  #readSeq = 0;
  #ackedSeq = 0;

  constructor(
    stream: Stream,
    process: Process,
    bind: Bind,
    partition: string,
    { fromSequence, known }: ReadFrom,
    reader: string,
    onRebound: OnRebound,
  ) {
    this.#stream = stream;
    this.#process = process;
    this.#bind = bind;
    this.#partition = partition;
    this.#reader = reader;
    this.#onRebound = onRebound;
    this.#lastSequence = fromSequence - 1;
    this.#known = known;
  }

  async bind(): Promise<void> {
    const why = this.#broken;
    await this.close();
    this.#isSameStream = false;
    this.#name = `attributor-p${this.#partition}-${this.#reader}-${++this.#bindings}`;
    const from = this.#lastSequence + 1;
    const create = () => this.#bind(this.#stream, this.#partition, this.#name, from);
    this.#consumer = await this.#process.call(`bind ${this.#partition}`, create);
    this.#broken = "";
    this.#readSeq = this.#ackedSeq = 0;
    if (this.#bindings > 1) this.#onRebound(why);
  }

  async read(most: number, waitMs: number): Promise<StoredMessage[]> {
    const { faults } = this.#process;
    if (this.#consumer === undefined || this.#broken !== "") await this.bind();
    if (!this.#isSameStream) await this.#requireSameStream();
    const consumer = this.#consumer!;
    if (!consumer.hasPending) await this.#nextOr(waitMs);
    if (faults.happens("silent")) this.#broken = "the consumer fell silent";
    // What the server has forgotten is noticed at once or some reads later.
    else if (!this.#isThere() && faults.below(2) === 0) this.#broken = "the consumer is gone";
    if (this.#broken !== "" || !consumer.hasPending || !this.#isThere()) return [];
    const slice = 1 + faults.below(most);
    const messages = await this.#ask("read", (there) => there.take(slice)).catch(() => {
      this.#broken = "messages on their way were lost";
      return [];
    });
    const unread = messages.filter((message) => message.streamSequence > this.#lastSequence);
    const last = unread.at(-1);
    if (last !== undefined) {
      this.#lastSequence = this.#readSeq = last.streamSequence;
      this.#know({ streamSequence: last.streamSequence, storedAtMs: last.streamTimeMs });
    }
    return unread;
  }

  nextSequence(): number | undefined {
    return this.#broken === "" ? this.#consumer?.nextSequence : undefined;
  }

  async ack(streamSequence: number): Promise<void> {
    if (this.#readSeq === this.#ackedSeq) return;
    const upTo = Math.min(streamSequence, this.#readSeq);
    this.#ackedSeq = upTo;
    await this.#ask("ack", (consumer) => consumer.ack(upTo)).catch(() => {
      this.#broken = "an ack was not answered";
    });
  }

  async drainedUpTo(): Promise<StreamPosition | undefined> {
    const isQuiet = () =>
      this.#consumer !== undefined && this.#isSameStream && this.#broken === "" && this.#readSeq === this.#ackedSeq;
    if (!isQuiet()) return undefined;
    try {
      const last = await this.#process.call("last", () => this.#stream.last);
      const isThrough = await this.#ask("pending", (consumer) => !consumer.hasPending && !consumer.hasAckPending);
      if (!isThrough || !isQuiet()) return undefined;
      this.#know(last);
      return last;
    } catch {
      return undefined;
    }
  }

  backlog(): Promise<Backlog> {
    return this.#ask("backlog", (consumer) => consumer.backlog);
  }

  async close(): Promise<void> {
    if (this.#consumer === undefined) return;
    this.#consumer = undefined;
    const name = this.#name;
    await this.#process.call(`unbind ${this.#partition}`, () => this.#stream.consumers.delete(name)).catch(() => {});
  }

  /** Asks the consumer for something; no answer comes when the server has forgotten it. */
  #ask<Result>(what: string, effect: (consumer: Consumer) => Result): Promise<Result> {
    const label = `${what} ${this.#partition}`;
    const consumer = this.#consumer!;
    const name = this.#name;
    return this.#process.call(label, () => {
      if (this.#stream.consumers.get(name) !== consumer) throw away(label);
      return effect(consumer);
    });
  }

  #isThere(): boolean {
    return this.#consumer !== undefined && this.#stream.consumers.get(this.#name) === this.#consumer;
  }

  /** Waits for the next message of the stream, or so long. */
  #nextOr(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const forget = this.#stream.onNext(() => {
        this.#process.later(this.#process.faults.latencyMs(), "wake", resolve);
      });
      this.#process.later(waitMs, `wait ${this.#partition}`, () => {
        forget();
        resolve();
      });
    });
  }

  #know(position: StreamPosition): void {
    if (position.streamSequence > this.#known.streamSequence) this.#known = position;
  }

  /** A server that lost its last seconds gives their sequences to other messages, which were never read. */
  async #requireSameStream(): Promise<void> {
    const { streamSequence: seq, storedAtMs } = this.#known;
    const { lastSeq } = await this.#process.call("bounds", () => this.#stream.bounds);
    const there = await this.#process.call("stored at", () => this.#stream.at(seq)?.streamTimeMs);
    const isOther = there !== undefined && storedAtMs > 0 && there !== storedAtMs;
    this.#isSameStream = lastSeq >= seq && !isOther;
    if (this.#isSameStream) return;
    throw new LatecomerError("STREAM_REWRITTEN", "fatal", `the stream no longer holds what was read at ${seq}`);
  }
}
