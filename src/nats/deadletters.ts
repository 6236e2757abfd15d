/** The dead-letter stream: what was refused, with its original bytes and where it came from. */
import { headers, type NatsConnection } from "nats";
import type { DeadLetter } from "../core/effects.ts";
import type { DeadLetterQueue } from "../ports.ts";
import { natsError } from "./connection.ts";
import { EVENT_STREAM } from "./definitions.ts";

/** Room for subject and headers within what the server accepts as one message. */
const HEADER_ROOM = 4_096;

/** Letters under way at once. */
const WINDOW = 128;

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
    // A message as large as the server takes leaves no room for headers; its bytes are in the table all the same.
    const fits = letter.bytes.length + HEADER_ROOM <= (nc.info?.max_payload ?? 0);
    if (!fits) header.set("Latecomer-Body", "omitted");
    await js.publish(letter.subject, fits ? letter.bytes : new Uint8Array(), {
      headers: header,
      msgID: `${EVENT_STREAM}:${letter.streamSequence}`,
    });
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
