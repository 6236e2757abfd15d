/** The dead-letter stream: what was refused, with its original bytes and where it came from. */
import { headers, type MsgHdrs, type NatsConnection } from "nats";
import type { DeadLetter } from "../core/effects.ts";
import type { DeadLetterQueue, SequenceRange } from "../ports.ts";
import { natsError, openManager } from "./connection.ts";
import { DEAD_LETTER_STREAM, EVENT_STREAM } from "./definitions.ts";
import { readStream, streamState } from "./range.ts";

const encoder = new TextEncoder();

/** Letters under way at once. */
const WINDOW = 128;

/**
 * The message id of a letter, by which the server drops a repeat. The sequence alone would not do: a server that lost
 * its last seconds gives it to another message.
 */
export function letterId({ streamSequence, uid }: Pick<DeadLetter, "streamSequence" | "uid">): string {
  return `${EVENT_STREAM}:${streamSequence}:${encodeURIComponent(uid)}`;
}

export function openDeadLetters(nc: NatsConnection): DeadLetterQueue {
  const js = nc.jetstream();
  const publish = async (letter: DeadLetter): Promise<void> => {
    const header = headers();
    header.set("Latecomer-Stream", EVENT_STREAM);
    header.set("Latecomer-Sequence", String(letter.streamSequence));
    header.set("Latecomer-Subject", letter.sourceSubject);
    header.set("Latecomer-Source", encodeURIComponent(letter.source));
    header.set("Latecomer-Uid", encodeURIComponent(letter.uid));
    header.set("Latecomer-Stage", letter.stage);
    header.set("Latecomer-Class", letter.failureClass);
    header.set("Latecomer-Reason", letter.reason);
    header.set("Latecomer-Detail", encodeURIComponent(letter.details));
    header.set("Nats-Msg-Id", letterId(letter));
    // A message as large as the server takes leaves no room for headers; its bytes are in the table all the same.
    const fits = sizeOf(header) + letter.bytes.length <= (nc.info?.max_payload ?? 0);
    if (!fits) header.set("Latecomer-Body", "omitted");
    await js.publish(letter.subject, fits ? letter.bytes : new Uint8Array(), { headers: header });
  };
  return {
    async publish(letters) {
      try {
        for (let at = 0; at < letters.length; at += WINDOW) {
          await Promise.all(letters.slice(at, at + WINDOW).map(publish));
        }
      } catch (error) {
        throw natsError(error, "publish dead letters");
      }
    },
  };
}

/** What headers take of a message, in bytes. */
function sizeOf(header: MsgHdrs): number {
  let text = "NATS/1.0\r\n\r\n";
  for (const [name, values] of header) for (const value of values) text += `${name}: ${value}\r\n`;
  return encoder.encode(text).length;
}

/** The dead letters that are stored for a range of the event stream. */
export interface StoredLetters {
  /** True when there is a letter for this sequence of the range. */
  has(streamSequence: number): boolean;
  /** A message that was stored before this instant may have had a letter that is gone; 0 when none is gone. */
  readonly sinceMs: number;
}

/** Reads which messages of a range have a dead letter; keeps one bit for each sequence of the range. */
export async function storedLetters(nc: NatsConnection, range: SequenceRange): Promise<StoredLetters> {
  const state = await streamState(await openManager(nc), DEAD_LETTER_STREAM);
  const bits = new Uint8Array(Math.ceil((range.toSeq - range.fromSeq + 1) / 8));
  const whole = { fromSeq: state.first_seq, toSeq: state.last_seq };
  for await (const letters of readStream(nc, DEAD_LETTER_STREAM, whole, "dlq.>", true)) {
    for (const { headers } of letters) {
      const at = Number(headers?.get("Latecomer-Sequence")) - range.fromSeq;
      if (headers?.get("Latecomer-Stream") !== EVENT_STREAM || !(at >= 0)) continue;
      if (at <= range.toSeq - range.fromSeq) bits[at >> 3]! |= 1 << (at & 7);
    }
  }
  // Of a stream that was emptied the first sequence is the one that comes next.
  const oldest = state.messages > 0 ? state.first_ts : state.last_ts;
  return {
    has: (streamSequence) => {
      const at = streamSequence - range.fromSeq;
      return (bits[at >> 3]! >> (at & 7) & 1) === 1;
    },
    sinceMs: state.first_seq > 1 ? Date.parse(oldest) : 0,
  };
}
