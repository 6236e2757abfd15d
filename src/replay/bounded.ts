/** A source that ends: the messages up to a sequence, whatever the stream holds behind it. */
import type { StoredMessage } from "../core/event.ts";
import type { Clock, MessageSource, StreamPosition } from "../ports.ts";

export class BoundedSource implements MessageSource {
  readonly #source: MessageSource;
  readonly #toSeq: number;
  readonly #clock: Clock;
  #isEnded = false;
  #lastStoredMs = 0;

  /** The messages of `source` up to `toSeq`, that one included. */
  constructor(source: MessageSource, toSeq: number, clock: Clock) {
    this.#source = source;
    this.#toSeq = toSeq;
    this.#clock = clock;
  }

  async read(most: number, waitMs: number): Promise<StoredMessage[]> {
    if (this.#isEnded) {
      await this.#clock.sleep(waitMs);
      return [];
    }
    const messages = await this.#source.read(most, waitMs);
    this.#isEnded = (messages.at(-1)?.streamSequence ?? 0) >= this.#toSeq;
    const own = messages.filter((message) => message.streamSequence <= this.#toSeq);
    this.#lastStoredMs = own.at(-1)?.streamTimeMs ?? this.#lastStoredMs;
    return own;
  }

  hasMore(): boolean {
    return !this.#isEnded && this.#source.hasMore();
  }

  ack(streamSequence: number): Promise<void> {
    return this.#source.ack(streamSequence);
  }

  async drainedUpTo(): Promise<StreamPosition | undefined> {
    if (!this.#isEnded) {
      // The last messages of the range may have been removed, and then none of them ends it.
      const last = await this.#source.drainedUpTo();
      this.#isEnded = last !== undefined && last.streamSequence >= this.#toSeq;
    }
    return this.#isEnded ? { streamSequence: this.#toSeq, storedAtMs: this.#lastStoredMs } : undefined;
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}
