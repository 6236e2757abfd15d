/** A source that ends: the messages up to a sequence, whatever the stream holds behind it. */
import type { StoredMessage } from "../core/event.ts";
import type { Clock, MessageSource } from "../ports.ts";

export class BoundedSource implements MessageSource {
  readonly #source: MessageSource;
  readonly #toSeq: number;
  readonly #clock: Clock;
  #isEnded = false;

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
    return messages.filter((message) => message.streamSequence <= this.#toSeq);
  }

  ack(streamSequence: number): Promise<void> {
    return this.#source.ack(streamSequence);
  }

  working(): void {
    this.#source.working();
  }

  async drainedUpTo(): Promise<number | undefined> {
    if (this.#isEnded) return this.#toSeq;
    // The last messages of the range may have been removed, and then none of them ends it.
    const upTo = await this.#source.drainedUpTo();
    this.#isEnded = upTo !== undefined && upTo >= this.#toSeq;
    return this.#isEnded ? this.#toSeq : undefined;
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}
