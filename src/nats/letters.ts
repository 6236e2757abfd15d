/**
 * The dead letters as whoever triages them sees them. A letter stays where it is; that its event was published again is
 * a message beside it, the *receipt*, which lives at least as long.
 */
import { headers, type MsgHdrs, type NatsConnection } from "nats";
import { deadLetterSubject, decodeToken, encodeToken } from "../core/subject.ts";
import { idOf } from "../core/identity.ts";
import { LatecomerError } from "../errors.ts";
import { natsError, openManager } from "./connection.ts";
import { letterId } from "./deadletters.ts";
import { DEAD_LETTER_STREAM, EVENT_STREAM } from "./definitions.ts";
import { messageIn, readStream, streamState } from "./range.ts";

/** Where a reason stands in the subject of a letter, the subject of a receipt has this word. */
const RECEIPT = "republished";

/** A letter, all but its bytes. */
export interface Letter {
  /** Its own sequence, in `LIVEPEER_DLQ`: its number. */
  readonly number: number;
  readonly writtenAtMs: number;
  /** The same for every copy of a letter. */
  readonly letterId: string;
  readonly source: string;
  /** Of the refused message. */
  readonly uid: string;
  /** The envelope's id, blank when it had none that could be read. */
  readonly id: string;
  /** The envelope's type, blank when it had none that could be read. */
  readonly type: string;
  readonly stage: string;
  readonly failureClass: string;
  readonly reason: string;
  readonly details: string;
  /** Where it was published, and its sequence in `LIVEPEER_EVENTS`. */
  readonly subject: string;
  readonly streamSequence: number;
  /** False where the letter had no room for the bytes of the message. */
  readonly hasBytes: boolean;
}

export interface WholeLetter extends Letter {
  /** Empty also where the letter has no bytes. */
  readonly bytes: Uint8Array;
}

/** Which letters; all of them where a field is missing. Times are those of the letters, [from, to). */
export interface LetterFilter {
  readonly source?: string | undefined;
  readonly reason?: string | undefined;
  readonly type?: string | undefined;
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** True for a letter that a filter lets through. */
export function isLetterOf(letter: Letter, { source, reason, type, fromMs, toMs }: LetterFilter): boolean {
  return (source ?? letter.source) === letter.source && (reason ?? letter.reason) === letter.reason &&
    (type ?? letter.type) === letter.type && (fromMs ?? -Infinity) <= letter.writtenAtMs &&
    letter.writtenAtMs < (toMs ?? Infinity);
}

/** The letters, oldest first, in slices of about a thousand. Only headers are read. */
export async function* readLetters(nc: NatsConnection, filter: LetterFilter): AsyncGenerator<Letter[]> {
  const token = (text: string | undefined) => text === undefined ? "*" : encodeToken(text);
  const subject = `dlq.${token(filter.source)}.${token(filter.reason)}.${token(filter.type)}`;
  for await (const slice of readAll(nc, subject)) {
    const letters = slice.flatMap(({ subject, streamSequence, streamTimeMs, headers }) =>
      letterOf(subject, streamSequence, streamTimeMs, headers) ?? []
    );
    yield letters.filter((letter) => isLetterOf(letter, filter));
  }
}

/** One letter with its bytes. Throws LETTER_UNKNOWN (usage) where there is none of this number. */
export async function readLetter(nc: NatsConnection, number: number): Promise<WholeLetter> {
  const found = await messageIn(await openManager(nc), DEAD_LETTER_STREAM, { seq: number });
  const letter = found && letterOf(found.subject, found.seq, found.time.getTime(), found.header);
  if (letter !== undefined) return { ...letter, bytes: found!.data };
  const why = `${DEAD_LETTER_STREAM} holds no letter ${number}; \`latecomer dlq list\` names those it holds`;
  throw new LatecomerError("LETTER_UNKNOWN", "usage", why);
}

/** As whom the events of letters were published again: their uids, by letter id. */
export async function readReceipts(nc: NatsConnection): Promise<Map<string, string[]>> {
  const receipts = new Map<string, string[]>();
  for await (const slice of readAll(nc, `dlq.*.${RECEIPT}.*`)) {
    for (const { headers } of slice) {
      const letter = headers?.get("Latecomer-Letter") ?? "";
      receipts.set(letter, [...receipts.get(letter) ?? [], decoded(headers?.get("Latecomer-Uid") ?? "")]);
    }
  }
  return receipts;
}

/** Leaves the receipt of a letter whose event was published as `uid`; one that is there already may be written again. */
export async function writeReceipt(nc: NatsConnection, letter: Letter, uid: string): Promise<void> {
  const header = headers();
  header.set("Latecomer-Letter", letter.letterId);
  header.set("Latecomer-Uid", encodeURIComponent(uid));
  try {
    await nc.jetstream().publish(deadLetterSubject(letter.source, RECEIPT, letter.type), new Uint8Array(), {
      headers: header,
      msgID: `${RECEIPT}:${letter.letterId}:${encodeURIComponent(uid)}`,
    });
  } catch (error) {
    throw natsError(error, "write the receipt of a letter");
  }
}

async function* readAll(nc: NatsConnection, subject: string) {
  const state = await streamState(await openManager(nc), DEAD_LETTER_STREAM);
  const whole = { fromSeq: state.first_seq, toSeq: state.last_seq };
  yield* readStream(nc, DEAD_LETTER_STREAM, whole, subject, true);
}

/** Reads the headers of a letter; undefined for a message that is none. */
function letterOf(
  subject: string,
  number: number,
  writtenAtMs: number,
  headers: MsgHdrs | undefined,
): Letter | undefined {
  const read = (name: string) => headers?.get(`Latecomer-${name}`) ?? "";
  if (read("Stream") !== EVENT_STREAM) return undefined;
  const streamSequence = Number(read("Sequence"));
  const uid = decoded(read("Uid"));
  return {
    number,
    writtenAtMs,
    letterId: letterId({ streamSequence, uid }),
    source: decoded(read("Source")),
    uid,
    id: idOf(uid),
    type: decodeToken(subject.split(".")[3] ?? ""),
    stage: read("Stage"),
    failureClass: read("Class"),
    reason: read("Reason"),
    details: decoded(read("Detail")),
    subject: read("Subject"),
    streamSequence,
    hasBytes: read("Body") !== "omitted",
  };
}

/** A header as it was before it was URI-encoded; one that never was stands for itself. */
function decoded(header: string): string {
  try {
    return decodeURIComponent(header);
  } catch {
    return header;
  }
}
