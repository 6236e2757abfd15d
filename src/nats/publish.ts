/** Publishing envelopes, one per line of JSONL, to the event stream. */
import type { JetStreamClient, NatsConnection } from "nats";
import { decode } from "../core/decode.ts";
import { routeOf } from "../core/route.ts";
import { eventSubject } from "../core/subject.ts";
import { natsError } from "./connection.ts";

export interface PublishOptions {
  readonly source: string;
  readonly partitions: number;
  /** Sends `<source>:<uid>` as message id, so that the server drops a repeat within its window. */
  readonly messageIds: boolean;
  /** Messages per second, 0 for as fast as they are confirmed. */
  readonly rate: number;
  /** Called with the number of messages confirmed so far. */
  readonly onProgress?: (confirmed: number) => void;
}

/** Publishes awaiting their confirmation at once; at a low rate fewer, so that it stays even. */
const WINDOW = 256;
const WINDOWS_PER_SECOND = 20;

/**
 * Publishes in order and returns, when the last message is durable, how many there were. Messages are taken as they are
 * needed, so that there may be more than memory holds.
 */
export async function publishMessages(
  nc: NatsConnection,
  messages: Iterable<Uint8Array>,
  options: PublishOptions,
): Promise<number> {
  const js = nc.jetstream();
  const started = performance.now();
  try {
    const size = options.rate > 0 ? Math.min(WINDOW, Math.ceil(options.rate / WINDOWS_PER_SECOND)) : WINDOW;
    let confirmed = 0;
    for (const window of windows(messages, size)) {
      await Promise.all(window.map((bytes) => publishOne(js, bytes, options)));
      confirmed += window.length;
      options.onProgress?.(confirmed);
      if (options.rate > 0) {
        const due = started + confirmed / options.rate * 1_000;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
      }
    }
    return confirmed;
  } catch (error) {
    throw natsError(error, "publish events (`latecomer init` creates their stream)");
  }
}

function* windows(messages: Iterable<Uint8Array>, size: number): Generator<Uint8Array[]> {
  let window: Uint8Array[] = [];
  for (const message of messages) {
    if (window.push(message) < size) continue;
    yield window;
    window = [];
  }
  if (window.length > 0) yield window;
}

async function publishOne(js: JetStreamClient, bytes: Uint8Array, options: PublishOptions): Promise<void> {
  const { type, partition } = routeOf(bytes, options.partitions);
  const subject = eventSubject(options.source, type, partition);
  // Encoded, for an id may hold what no header can.
  const id = () => `${encodeURIComponent(options.source)}:${encodeURIComponent(uidOf(subject, bytes))}`;
  await js.publish(subject, bytes, options.messageIds ? { msgID: id() } : {});
}

function uidOf(subject: string, bytes: Uint8Array): string {
  return decode({ subject, bytes, streamSequence: 0, streamTimeMs: Number.MAX_SAFE_INTEGER }).envelope.uid;
}
