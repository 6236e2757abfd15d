/**
 * A range of a stream, read without leaving anything behind: what verify, audit and replay look at, and how buckets
 * are listed. Nothing is acknowledged and no consumer of a processor is touched.
 */
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamManager,
  type LastForMsgRequest,
  nanos,
  type NatsConnection,
  nuid,
  ReplayPolicy,
  type SeqMsgRequest,
  type StoredMsg,
  type StreamState,
} from "nats";
import type { StoredMessage } from "../core/event.ts";
import { LatecomerError } from "../errors.ts";
import type { EventStream, SequenceRange } from "../ports.ts";
import { isNotFound, isStreamMissing, natsError, openManager } from "./connection.ts";
import { EVENT_STREAM } from "./definitions.ts";
import { pendingBehind, Pull, type PulledMessage } from "./pull.ts";

/** Messages handed over at once. */
const SLICE = 1_024;
const SLICE_BYTES = 4 * 1_048_576;

/** The consumer goes by itself this long after its reader has. */
const INACTIVE_MS = 60_000;

/** How long a member that begins to lead may take to catch up before what it lacks counts as lost; how often it is asked. */
const CATCH_UP_MS = 5_000;
const LOOK_AGAIN_MS = 100;

/** How long the reader waits before it looks whether the stream still holds what it waits for. */
const PATIENCE_MS = 2_000;

/**
 * The range that a command means: everything the event stream holds where a flag is missing. Throws RANGE_INVALID (usage)
 * when the ends are the wrong way round or the stream does not hold them.
 */
export async function resolveRange(
  stream: Pick<EventStream, "bounds">,
  fromSeq: number | undefined,
  toSeq: number | undefined,
): Promise<SequenceRange> {
  const bounds = await stream.bounds();
  const range = { fromSeq: fromSeq ?? bounds.firstSeq, toSeq: toSeq ?? bounds.lastSeq };
  const refuse = (why: string) => new LatecomerError("RANGE_INVALID", "usage", why);
  if (bounds.lastSeq < bounds.firstSeq) throw refuse(`${EVENT_STREAM} holds no messages`);
  if (fromSeq !== undefined && toSeq !== undefined && fromSeq > toSeq) {
    throw refuse(`--from-seq ${fromSeq} lies behind --to-seq ${toSeq}`);
  }
  for (const seq of [range.fromSeq, range.toSeq]) {
    if (seq >= bounds.firstSeq && seq <= bounds.lastSeq) continue;
    throw refuse(`sequence ${seq} is not there: ${EVENT_STREAM} holds ${bounds.firstSeq} to ${bounds.lastSeq}`);
  }
  return range;
}

/**
 * Reads the messages of a range in the order of the stream, in slices. Messages that were removed are left out. A
 * connection that is lost is survived, and so is a consumer that skips: the reader goes on behind the last message it
 * handed over, until the stream holds none there. With `headersOnly` messages bring their headers and no bytes, else
 * bytes and no headers.
 */
export async function* readStream(
  nc: NatsConnection,
  stream: string,
  { fromSeq, toSeq }: SequenceRange,
  subject: string,
  headersOnly = false,
): AsyncGenerator<PulledMessage[]> {
  const jsm = await openManager(nc);
  for (let next = Math.max(1, fromSeq); next <= toSeq;) {
    const name = `range-${nuid.next()}`;
    /** How many messages are still to come, as the server counted them last. */
    let left = 0;
    try {
      const first = await firstWithin(jsm, stream, subject, { fromSeq: next, toSeq });
      if (first === undefined) return;
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
 * Reads everything that a bucket's stream holds, as `readStream` does, and then what was written meanwhile: it may have
 * taken the place of what was still to be read. Every entry that was stored before the call comes with a value that it
 * had since then.
 */
export async function* readBucket(
  nc: NatsConnection,
  stream: string,
  subject: string,
): AsyncGenerator<PulledMessage[]> {
  const jsm = await openManager(nc);
  const { last_seq: toSeq } = await streamState(jsm, stream);
  // Two readings, not a longer one: the first looks again at what a purge made its consumer skip.
  yield* readStream(nc, stream, { fromSeq: 1, toSeq }, subject);
  const { last_seq: atLeast } = await streamState(jsm, stream);
  if (atLeast <= toSeq) return;
  for await (const slice of readStream(nc, stream, { fromSeq: toSeq + 1, toSeq: Infinity }, subject)) {
    yield slice;
    const { streamSequence, reply } = slice.at(-1)!;
    // The last one when it was sent, by a member that had all that the first reading can have missed.
    if (streamSequence >= atLeast && pendingBehind(reply) === 0) return;
  }
}

/**
 * What a stream holds. A member of a cluster that has just begun to lead may not have caught up with what is confirmed, so
 * where a cluster's stream ends before a sequence that it is known to have held, it is asked again for a while.
 */
export async function streamState(jsm: JetStreamManager, stream: string, knownSeq = 0): Promise<StreamState> {
  try {
    for (const until = performance.now() + CATCH_UP_MS;;) {
      const { state, cluster } = await jsm.streams.info(stream);
      if (cluster === undefined || state.last_seq >= knownSeq || performance.now() > until) return state;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  } catch (error) {
    throw natsError(error, `read ${stream} (\`latecomer init\` creates it)`);
  }
}

/** The first message within a range, undefined where the stream holds none. */
async function firstWithin(
  jsm: JetStreamManager,
  stream: string,
  subject: string,
  { fromSeq, toSeq }: SequenceRange,
): Promise<StoredMsg | undefined> {
  let first = await firstMessageFrom(jsm, stream, subject, fromSeq);
  if (first === undefined && toSeq < Infinity) {
    await streamState(jsm, stream, toSeq);
    first = await firstMessageFrom(jsm, stream, subject, fromSeq);
  }
  return first !== undefined && first.seq <= toSeq ? first : undefined;
}

/** The first message of a subject from a sequence on, undefined where the stream holds none. */
export function firstMessageFrom(
  jsm: JetStreamManager,
  stream: string,
  subject: string,
  seq: number,
): Promise<StoredMsg | undefined> {
  // The client's types lack this search.
  const request: SeqMsgRequest & { readonly next_by_subj: string } = { seq, next_by_subj: subject };
  return messageIn(jsm, stream, request);
}

/** The message that a request means, undefined where the stream holds none. */
export async function messageIn(
  jsm: JetStreamManager,
  stream: string,
  request: SeqMsgRequest | LastForMsgRequest,
): Promise<StoredMsg | undefined> {
  // The server calls 0 a bad request.
  if ("seq" in request && request.seq < 1) return undefined;
  try {
    return await jsm.streams.getMessage(stream, request);
  } catch (error) {
    if (isNotFound(error) && !isStreamMissing(error)) return undefined;
    throw natsError(error, `read ${stream} (\`latecomer init\` creates it)`);
  }
}

/** A message that was found, as the core takes it. */
export function storedMessage({ subject, data: bytes, seq: streamSequence, time }: StoredMsg): StoredMessage {
  return { subject, bytes, streamSequence, streamTimeMs: time.getTime() };
}

/** When the message of a sequence was stored, to the millisecond; undefined when it is not there. */
export async function storedAtMs(jsm: JetStreamManager, stream: string, seq: number): Promise<number | undefined> {
  return (await messageIn(jsm, stream, { seq }))?.time.getTime();
}
