/**
 * A range of a stream, read without leaving anything behind: what verify, audit and replay look at, and how buckets
 * are listed. Nothing is acknowledged and no consumer of a processor is touched.
 */
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamManager,
  nanos,
  type NatsConnection,
  nuid,
  ReplayPolicy,
  type SeqMsgRequest,
  type StoredMsg,
} from "nats";
import type { StoredMessage } from "../core/event.ts";
import { LatecomerError } from "../errors.ts";
import { isNotFound, isStreamMissing, natsError } from "./connection.ts";
import { EVENT_STREAM } from "./definitions.ts";
import { pendingBehind, Pull, type PulledMessage } from "./pull.ts";

/** Sequences, both ends included. */
export interface Range {
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** What the event stream holds now; `lastSeq` is 0 before the first message. */
export interface StreamBounds {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly messages: number;
}

/** Messages handed over at once. */
const SLICE = 1_024;
const SLICE_BYTES = 4 * 1_048_576;

/** The consumer goes by itself this long after its reader has. */
const INACTIVE_MS = 60_000;

/** How long the reader waits before it looks whether the stream still holds what it waits for. */
const PATIENCE_MS = 2_000;

export async function streamBounds(nc: NatsConnection): Promise<StreamBounds> {
  try {
    const { state } = await (await nc.jetstreamManager()).streams.info(EVENT_STREAM);
    return { firstSeq: state.first_seq, lastSeq: state.last_seq, messages: state.messages };
  } catch (error) {
    throw natsError(error, `read ${EVENT_STREAM} (\`latecomer init\` creates it)`);
  }
}

/**
 * The range that a command means: everything the stream holds where a flag is missing. Throws RANGE_INVALID (usage)
 * when the ends are the wrong way round or the stream does not hold them.
 */
export function resolveRange(bounds: StreamBounds, fromSeq: number | undefined, toSeq: number | undefined): Range {
  const range = { fromSeq: fromSeq ?? bounds.firstSeq, toSeq: toSeq ?? bounds.lastSeq };
  const refuse = (why: string) => new LatecomerError("RANGE_INVALID", "usage", why);
  if (bounds.messages === 0) throw refuse(`${EVENT_STREAM} holds no messages`);
  if (range.fromSeq > range.toSeq) throw refuse(`--from-seq ${range.fromSeq} lies behind --to-seq ${range.toSeq}`);
  if (range.fromSeq < bounds.firstSeq || range.toSeq > bounds.lastSeq) {
    const held = `${EVENT_STREAM} holds ${bounds.firstSeq} to ${bounds.lastSeq}`;
    throw refuse(`sequences ${range.fromSeq} to ${range.toSeq} are not all there: ${held}`);
  }
  return range;
}

/** Reads the messages of a range of the event stream; `subject` narrows them. See `readStream`. */
export function readRange(
  nc: NatsConnection,
  range: Range,
  subject = "events.>",
): AsyncGenerator<StoredMessage[]> {
  return readStream(nc, EVENT_STREAM, range, subject);
}

/** The message that the event stream holds at a sequence, undefined when it holds none there. */
export async function messageAt(nc: NatsConnection, seq: number): Promise<StoredMessage | undefined> {
  try {
    const { subject, data, time } = await (await nc.jetstreamManager()).streams.getMessage(EVENT_STREAM, { seq });
    return { subject, bytes: data, streamSequence: seq, streamTimeMs: time.getTime() };
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw natsError(error, `read ${EVENT_STREAM}`);
  }
}

/**
 * Reads the messages of a range in the order of the stream, in slices. Messages that were removed are left out. A
 * connection that is lost is survived, and so is a consumer that skips: the reader goes on behind the last message it
 * handed over, until the stream holds none there. Without an end (`Infinity`) it is read up to a message that was the last
 * when it was sent. With `headersOnly` messages bring their headers and no bytes, else
 * bytes and no headers.
 */
export async function* readStream(
  nc: NatsConnection,
  stream: string,
  { fromSeq, toSeq }: Range,
  subject: string,
  headersOnly = false,
): AsyncGenerator<PulledMessage[]> {
  const jsm = await nc.jetstreamManager();
  for (let next = Math.max(1, fromSeq); next <= toSeq;) {
    const name = `range-${nuid.next()}`;
    /** How many messages are still to come, as the server counted them last. */
    let left = 0;
    try {
      const first = await firstMessageFrom(jsm, stream, subject, next);
      if (first === undefined || first.seq > toSeq) return;
      const { num_pending } = await jsm.consumers.add(stream, {
        name,
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: first.seq,
        filter_subject: subject,
        headers_only: headersOnly,
        inactive_threshold: nanos(INACTIVE_MS),
        replay_policy: ReplayPolicy.Instant,
        mem_storage: true,
        num_replicas: 1,
      });
      // In a cluster its member may not have yet what was found where the stream is led.
      left = Math.max(1, num_pending);
    } catch (error) {
      throw natsError(error, `read ${stream} from sequence ${next}`);
    }
    const pull = new Pull(nc, stream, name, next - 1, headersOnly);
    try {
      while (next <= toSeq) {
        // Behind the last of them nothing is waited for: the server is asked at once.
        await pull.wait(left > 0 ? PATIENCE_MS : 0);
        const taken = pull.take(SLICE, SLICE_BYTES);
        left -= taken.length;
        if (taken.length === 0) {
          if (pull.broken !== "") break;
          // Nothing came: the rest of the range may hold nothing more of this subject.
          const { num_pending } = await jsm.consumers.info(stream, name);
          if (num_pending === 0 && pull.isEmpty) break;
          left = num_pending;
          continue;
        }
        const inRange = taken.filter((message) => message.streamSequence <= toSeq);
        if (inRange.length > 0) {
          next = inRange.at(-1)!.streamSequence + 1;
          yield inRange;
          if (toSeq === Infinity && pendingBehind(inRange.at(-1)!.reply) === 0) return;
        }
        // nats-server 2.9 moves a consumer behind the last message when one of its subjects is purged.
        if (inRange.length < taken.length) break;
      }
    } catch (error) {
      throw natsError(error, `read ${stream} from sequence ${next}`);
    } finally {
      pull.close();
      await jsm.consumers.delete(stream, name).catch(() => {});
    }
  }
}

/**
 * Reads everything that a stream holds, as `readStream` does, and then what was written meanwhile, up to a message that
 * was the last when it was sent: in a bucket it may have taken the place of what was still to be read.
 */
export async function* readWhole(
  nc: NatsConnection,
  stream: string,
  subject: string,
  headersOnly = false,
): AsyncGenerator<PulledMessage[]> {
  let lastSeq;
  try {
    lastSeq = (await (await nc.jetstreamManager()).streams.info(stream)).state.last_seq;
  } catch (error) {
    throw natsError(error, `read ${stream} (\`latecomer init\` creates it)`);
  }
  yield* readStream(nc, stream, { fromSeq: 1, toSeq: lastSeq }, subject, headersOnly);
  // A second reading, not a longer one: the first looks again at what a purge made its consumer skip.
  yield* readStream(nc, stream, { fromSeq: lastSeq + 1, toSeq: Infinity }, subject, headersOnly);
}

/** The first message of a subject from a sequence on, undefined where the stream holds none. */
export async function firstMessageFrom(
  jsm: JetStreamManager,
  stream: string,
  subject: string,
  seq: number,
): Promise<StoredMsg | undefined> {
  // The client's types lack this search.
  const request: SeqMsgRequest & { readonly next_by_subj: string } = { seq, next_by_subj: subject };
  try {
    return await jsm.streams.getMessage(stream, request);
  } catch (error) {
    if (isNotFound(error) && !isStreamMissing(error)) return undefined;
    throw natsError(error, `read ${stream}`);
  }
}
