/** What a replay asks of the world, in memory: a stream, a source over messages, a bucket, a clock that does not wait. */
import type { StoredMessage } from "../../src/core/event.ts";
import type { Bucket, BucketEntry, Clock, MessageSource, ReplayedStream, StreamPosition } from "../../src/ports.ts";
import { bytesOf, stored, subjectOf, type Wire } from "./events.ts";

/** Messages as the stream stored them, from a sequence on, a second apart. */
export function storedFrom(firstSeq: number, storedMs: number, wires: readonly Wire[]): StoredMessage[] {
  return wires.map((wire, at) =>
    stored(subjectOf(wire, 1), bytesOf(wire.envelope), firstSeq + at, storedMs + at * 1_000)
  );
}

/** A stream that holds these messages, which follow each other without gaps. */
export function streamOf(messages: readonly StoredMessage[]): ReplayedStream {
  const unused = () => Promise.reject(new Error("is not asked"));
  const first = messages[0]!.streamSequence;
  return {
    bounds: () => Promise.resolve({ firstSeq: first, lastSeq: messages.at(-1)!.streamSequence }),
    storedAtMs: (seq) => Promise.resolve(messages[seq - first]?.streamTimeMs),
    firstSeqAfter: (timeMs) => {
      const next = messages.find(({ streamTimeMs }) => streamTimeMs > timeMs);
      return Promise.resolve(next?.streamSequence ?? messages.at(-1)!.streamSequence + 1);
    },
    lastSeqOf: unused,
    firstOf: unused,
    open: unused,
    openDurable: unused,
    removeDurable: unused,
    messages: async function* ({ fromSeq, toSeq }, subject) {
      const pattern = new RegExp(`^${subject.replaceAll(".", "\\.").replaceAll("*", "[^.]+").replace(">", ".+")}$`);
      for (const message of messages) {
        const isInRange = message.streamSequence >= fromSeq && message.streamSequence <= toSeq;
        if (isInRange && pattern.test(message.subject)) yield [message];
      }
    },
  };
}

/** A source over messages; it notes what is acknowledged. */
export class ListedSource implements MessageSource {
  readonly acks: number[] = [];
  #rest: readonly StoredMessage[];
  #lastSeq = 0;

  constructor(messages: readonly StoredMessage[]) {
    this.#rest = messages;
  }

  read(most: number): Promise<StoredMessage[]> {
    const taken = this.#rest.slice(0, most);
    this.#rest = this.#rest.slice(most);
    this.#lastSeq = taken.at(-1)?.streamSequence ?? this.#lastSeq;
    return Promise.resolve(taken);
  }

  nextSequence(): number | undefined {
    return this.#rest[0]?.streamSequence;
  }

  ack(streamSequence: number): Promise<void> {
    this.acks.push(streamSequence);
    return Promise.resolve();
  }

  drainedUpTo(): Promise<StreamPosition | undefined> {
    const last = { streamSequence: this.#lastSeq, storedAtMs: 0 };
    return Promise.resolve(this.#rest.length === 0 ? last : undefined);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export class MemoryBucket implements Bucket {
  readonly #entries = new Map<string, BucketEntry>();
  #revision = 0;

  get(key: string): Promise<BucketEntry | undefined> {
    return Promise.resolve(this.#entries.get(key));
  }

  put(key: string, value: string, revision: number): Promise<number | undefined> {
    if ((this.#entries.get(key)?.revision ?? 0) !== revision) return Promise.resolve(undefined);
    this.#entries.set(key, { key, value, revision: ++this.#revision });
    return Promise.resolve(this.#revision);
  }

  remove(key: string): Promise<void> {
    this.#entries.delete(key);
    return Promise.resolve();
  }

  removeUnder(token: string): Promise<void> {
    for (const key of this.#entries.keys()) if (key.startsWith(`${token}.`)) this.#entries.delete(key);
    return Promise.resolve();
  }

  entries(): Promise<BucketEntry[]> {
    return Promise.resolve([...this.#entries.values()]);
  }
}

/** A clock whose time passes by being waited for, in turns of the event loop. */
export class WaitedClock implements Clock {
  #now = 0;
  readonly #waiting: { readonly dueMs: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = { dueMs: this.#now + ms, wake: resolve };
      this.#waiting.push(waiter);
      signal?.addEventListener("abort", () => {
        const at = this.#waiting.indexOf(waiter);
        if (at >= 0) this.#waiting.splice(at, 1);
        resolve();
      });
    });
  }

  /** Lets time pass, waking whoever is due, in order. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#now + ms;
    for (;;) {
      await new Promise(setImmediate);
      const next = this.#waiting.filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) break;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.#now = Math.max(this.#now, next.dueMs);
      next.wake();
    }
    this.#now = untilMs;
  }
}
