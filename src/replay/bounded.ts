/** A source that ends: the messages up to a sequence, whatever the stream holds behind it. */
import type { StoredMessage } from "../core/event.ts";
import type { Clock, EventStream, MessageSource, SequenceRange, StreamPosition } from "../ports.ts";

export interface Bounds {
  /** The last sequence of the range. */
  readonly toSeq: number;
  /** The last that was read before, undefined when none was. */
  readonly readTo: number | undefined;
}

export interface BoundedPorts {
  readonly stream: Pick<EventStream, "bounds">;
  readonly clock: Clock;
  /** The error to throw when the stream drops these sequences before they are read. */
  readonly dropped: (gap: SequenceRange) => Error;
}

export class BoundedSource implements MessageSource {
  readonly #source: MessageSource;
  readonly #toSeq: number;
  readonly #ports: BoundedPorts;
  #readTo: number | undefined;
  #unchecked: StoredMessage[] | undefined;
  #isEnded = false;
  #lastStoredMs = 0;

  /**
   * The messages of `source` up to a sequence, that one included. What the stream drops before the first is read is no
   * part of them; where it drops any later, reading throws what `dropped` makes of it.
   */
  constructor(source: MessageSource, { toSeq, readTo }: Bounds, ports: BoundedPorts) {
    this.#source = source;
    this.#toSeq = toSeq;
    this.#readTo = readTo;
    this.#ports = ports;
  }

  async read(most: number, waitMs: number): Promise<StoredMessage[]> {
    if (this.#isEnded) {
      await this.#ports.clock.sleep(waitMs);
      return [];
    }
    // Kept until the stream has answered: whoever reads again after an error must not miss them.
    const messages = this.#unchecked ??= await this.#source.read(most, waitMs);
    await this.#requireWhole(messages.map(({ streamSequence }) => streamSequence));
    this.#unchecked = undefined;
    this.#isEnded = (messages.at(-1)?.streamSequence ?? 0) >= this.#toSeq;
    const own = messages.filter((message) => message.streamSequence <= this.#toSeq);
    this.#lastStoredMs = own.at(-1)?.streamTimeMs ?? this.#lastStoredMs;
    return own;
  }

  nextSequence(): number | undefined {
    return this.#isEnded ? undefined : this.#source.nextSequence();
  }

  ack(streamSequence: number): Promise<void> {
    return this.#source.ack(streamSequence);
  }

  async drainedUpTo(): Promise<StreamPosition | undefined> {
    if (!this.#isEnded) {
      // The last messages of the range may have been removed, and then none of them ends it.
      const last = await this.#source.drainedUpTo();
      if (last !== undefined && last.streamSequence >= this.#toSeq) {
        await this.#requireWhole([this.#toSeq + 1]);
        this.#isEnded = true;
      }
    }
    return this.#isEnded ? { streamSequence: this.#toSeq, storedAtMs: this.#lastStoredMs } : undefined;
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  /** A sequence that is passed over was removed long ago, or dropped by a head that has overtaken the reader. */
  async #requireWhole(sequences: readonly number[]): Promise<void> {
    let firstSeq: number | undefined;
    for (const sequence of sequences) {
      const fromSeq = (this.#readTo ?? sequence - 1) + 1;
      if (sequence > fromSeq && fromSeq <= this.#toSeq) {
        firstSeq ??= (await this.#ports.stream.bounds(fromSeq - 1)).firstSeq;
        if (firstSeq > fromSeq) {
          throw this.#ports.dropped({ fromSeq, toSeq: Math.min(firstSeq - 1, sequence - 1, this.#toSeq) });
        }
      }
      this.#readTo = sequence;
    }
  }
}
