/**
 * A source in seeded disorder, to show that order decides nothing.
 *
 * Messages are gathered into blocks, runs of the stream whose event times lie within the allowed lateness, and each
 * block is permuted by itself: so none is displaced by more than that, and no more than a block is in memory. Within a
 * block the contents are permuted and the sequences stay, for whoever reads counts on their ascending. What was read up
 * to a sequence in the midst of a block is therefore no part of the stream: a restart must begin where its block does.
 */
import { eventTimeOf } from "../core/decode.ts";
import type { StoredMessage } from "../core/event.ts";
import { judge } from "../core/judge.ts";
import type { MessageSource, StreamPosition } from "../ports.ts";
import { seeded, shuffled } from "../runtime/shuffle.ts";

/** What a block holds at most: messages, and bytes of them. */
const MOST_MESSAGES = 50_000;
const MOST_BYTES = 64 * 1_048_576;

export interface ShuffleSettings {
  readonly seed: number;
  /** The span of event time that a block may cover, in milliseconds. */
  readonly spanMs: number;
}

interface Block {
  readonly fromSeq: number;
  readonly toSeq: number;
  /** By the sequence under which a message was given: where it lies in the stream, and when what lies here was stored. */
  readonly places: ReadonlyMap<number, { readonly originSeq: number; readonly storedAtMs: number }>;
}

export class ShuffledSource implements MessageSource {
  readonly #source: MessageSource;
  readonly #settings: ShuffleSettings;
  #gathered: StoredMessage[] = [];
  #gatheredBytes = 0;
  #leastMs = Infinity;
  #greatestMs = -Infinity;
  #ready: StoredMessage[] = [];
  /** Blocks of which not everything is acknowledged, oldest first. */
  #blocks: Block[] = [];

  constructor(source: MessageSource, settings: ShuffleSettings) {
    this.#source = source;
    this.#settings = settings;
  }

  async read(most: number, waitMs: number): Promise<StoredMessage[]> {
    while (this.#ready.length === 0) {
      const messages = await this.#source.read(most, waitMs);
      for (const message of messages) this.#gather(message);
      if (messages.length > 0) continue;
      // Nothing more for now: what is there must not wait for ever.
      this.#permute();
      break;
    }
    const taken = this.#ready.slice(0, most);
    this.#ready = this.#ready.slice(most);
    return taken;
  }

  nextSequence(): number | undefined {
    return this.#ready[0]?.streamSequence ?? this.#source.nextSequence();
  }

  ack(streamSequence: number): Promise<void> {
    const upTo = this.rewindOf(streamSequence) - 1;
    this.#blocks = this.#blocks.filter(({ toSeq }) => toSeq > streamSequence);
    return this.#source.ack(upTo);
  }

  async drainedUpTo(): Promise<StreamPosition | undefined> {
    if (this.#ready.length > 0 || this.#gathered.length > 0) return undefined;
    return await this.#source.drainedUpTo();
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  /** Where to read again when everything up to a sequence was taken, by the sequences that `read` gave. */
  rewindOf(streamSequence: number): number {
    const block = this.#blockOf(streamSequence);
    return block === undefined || block.toSeq === streamSequence ? streamSequence + 1 : block.fromSeq;
  }

  /** The sequence that a message has in the stream, by the one that `read` gave it; not after its ack. */
  originOf(streamSequence: number): number | undefined {
    return this.#blockOf(streamSequence)?.places.get(streamSequence)?.originSeq;
  }

  /** When the message was stored that the stream has at a sequence; undefined unless it is read and not acknowledged. */
  storedAtMs(streamSequence: number): number | undefined {
    return this.#blockOf(streamSequence)?.places.get(streamSequence)?.storedAtMs;
  }

  #blockOf(streamSequence: number): Block | undefined {
    return this.#blocks.find(({ fromSeq, toSeq }) => fromSeq <= streamSequence && streamSequence <= toSeq);
  }

  #gather(message: StoredMessage): void {
    // What does not decode has no event time, and may stand anywhere.
    const timeMs = eventTimeOf(judge(message).decoded);
    const leastMs = Math.min(this.#leastMs, timeMs ?? Infinity);
    const greatestMs = Math.max(this.#greatestMs, timeMs ?? -Infinity);
    const isFull = this.#gathered.length >= MOST_MESSAGES || this.#gatheredBytes >= MOST_BYTES;
    if (isFull || greatestMs - leastMs > this.#settings.spanMs) {
      this.#permute();
      this.#leastMs = timeMs ?? Infinity;
      this.#greatestMs = timeMs ?? -Infinity;
    } else {
      this.#leastMs = leastMs;
      this.#greatestMs = greatestMs;
    }
    this.#gathered.push(message);
    this.#gatheredBytes += message.bytes.length;
  }

  #permute(): void {
    const gathered = this.#gathered;
    if (gathered.length === 0) return;
    const fromSeq = gathered[0]!.streamSequence;
    const order = shuffled(gathered, seeded(this.#settings.seed + fromSeq));
    const places = new Map<number, { originSeq: number; storedAtMs: number }>();
    for (const [at, { streamSequence, streamTimeMs }] of gathered.entries()) {
      const message = order[at]!;
      places.set(streamSequence, { originSeq: message.streamSequence, storedAtMs: streamTimeMs });
      this.#ready.push({ ...message, streamSequence });
    }
    this.#blocks.push({ fromSeq, toSeq: gathered.at(-1)!.streamSequence, places });
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#leastMs = Infinity;
    this.#greatestMs = -Infinity;
  }
}
