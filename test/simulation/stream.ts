/**
 * The event stream as a server keeps it: messages with their sequences, a head that expires, a tail that can be lost,
 * and consumers under AckPolicy All that are gone when the server lost its last seconds.
 */
import type { StoredMessage } from "../../src/core/event.ts";
import type { Backlog, StreamBounds, StreamPosition } from "../../src/ports.ts";

/** When a run begins, in Unix milliseconds: long after its events, so that none of them comes from the future. */
export const BEGIN_MS = 4_000_000_000_000;

/** The messages of one partition, as far as they were handed out and acknowledged. */
export class Consumer {
  readonly #stream: Stream;
  readonly #partition: string;
  #next: number;
  #delivered = 0;
  #ackFloor: number;

  constructor(stream: Stream, partition: string, fromSequence: number) {
    this.#stream = stream;
    this.#partition = partition;
    this.#next = fromSequence;
    this.#ackFloor = fromSequence - 1;
  }

  /** Hands out the next messages. */
  take(most: number): StoredMessage[] {
    const messages = this.#stream.from(this.#next, this.#partition, most);
    const last = messages.at(-1);
    if (last !== undefined) {
      this.#next = last.streamSequence + 1;
      this.#delivered = last.streamSequence;
    }
    return messages;
  }

  /** Acknowledges everything up to a sequence. */
  ack(streamSequence: number): void {
    this.#ackFloor = Math.max(this.#ackFloor, streamSequence);
  }

  /** Hands out again what is not acknowledged. */
  redeliver(): void {
    this.#next = this.#ackFloor + 1;
  }

  /** The sequence of the first message that was not handed out. */
  get nextSequence(): number | undefined {
    return this.#stream.from(this.#next, this.#partition, 1)[0]?.streamSequence;
  }

  get hasPending(): boolean {
    return this.nextSequence !== undefined;
  }

  /** What is stored and not acknowledged. */
  get backlog(): Backlog {
    const waiting = this.#stream.from(this.#ackFloor + 1, this.#partition, Infinity);
    return { pending: waiting.length, oldestMs: waiting[0]?.streamTimeMs ?? 0 };
  }

  /** True while messages that were handed out are not acknowledged. */
  get hasAckPending(): boolean {
    return this.#delivered > this.#ackFloor;
  }
}

export class Stream {
  readonly consumers = new Map<string, Consumer>();
  #messages: StoredMessage[] = [];
  #lastSeq = 0;
  #expired: StoredMessage[] = [];
  #lastStoredMs = 0;
  readonly #waiting = new Set<() => void>();

  get messages(): readonly StoredMessage[] {
    return this.#messages;
  }

  /** Every message that was stored and not lost, whether it has expired or not. */
  get everything(): StoredMessage[] {
    return [...this.#expired, ...this.#messages];
  }

  get bounds(): StreamBounds {
    return { firstSeq: this.#messages[0]?.streamSequence ?? this.#lastSeq + 1, lastSeq: this.#lastSeq };
  }

  /** The last message that was stored and not lost. */
  get last(): StreamPosition {
    return { streamSequence: this.#lastSeq, storedAtMs: this.everything.at(-1)?.streamTimeMs ?? 0 };
  }

  /** Stores a message at an instant of the simulation. */
  append(nowMs: number, subject: string, bytes: Uint8Array): void {
    const streamTimeMs = Math.max(BEGIN_MS + Math.floor(nowMs), this.#lastStoredMs);
    this.#lastStoredMs = streamTimeMs;
    this.#messages.push({ subject, bytes, streamSequence: ++this.#lastSeq, streamTimeMs });
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls once when the next message is stored, unless the function that is returned is called before that. */
  onNext(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  /** Loses the last messages and every consumer, as a server does that had not synced; returns what was lost. */
  loseTail(count: number): StoredMessage[] {
    const lost = this.#messages.splice(Math.max(0, this.#messages.length - count));
    this.#lastSeq -= lost.length;
    // A server does not come back within the millisecond.
    this.#lastStoredMs += 1;
    this.consumers.clear();
    return lost;
  }

  /** Drops what is older, up to a sequence. */
  expire(upTo: number): void {
    this.#expired.push(...this.#messages.splice(0, upTo - this.#expired.length));
  }

  /** The message of a sequence. */
  at(streamSequence: number): StoredMessage | undefined {
    const message = this.#messages[streamSequence - this.#expired.length - 1];
    return message?.streamSequence === streamSequence ? message : undefined;
  }

  /** Messages of a partition from a sequence on. */
  from(streamSequence: number, partition: string, most: number): StoredMessage[] {
    const found: StoredMessage[] = [];
    for (let at = Math.max(0, streamSequence - this.#expired.length - 1); at < this.#messages.length; at++) {
      if (found.length === most) break;
      if (partitionIn(this.#messages[at]!.subject) === partition) found.push(this.#messages[at]!);
    }
    return found;
  }
}

/** The partition that a subject names. */
export function partitionIn(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}
