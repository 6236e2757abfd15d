/** What became of dead letters: which wait, which were published again, and which events are accepted by now. */
import type { ClickHouse } from "../clickhouse/client.ts";
import { type AcceptedEvent, acceptedEvents, bySource, refusedBytes } from "../clickhouse/records.ts";
import type { Decoded } from "../core/decode.ts";
import { judge } from "../core/judge.ts";
import { routeOf } from "../core/route.ts";
import { eventSubject } from "../core/subject.ts";
import type { Letter, WholeLetter } from "../nats/letters.ts";

/**
 * - `waiting`: nothing came of it yet;
 * - `republished`: its event was published again, and is not archived as accepted;
 * - `recovered`: its event is archived as accepted.
 */
export type LetterState = "waiting" | "republished" | "recovered";

export interface Standing {
  readonly state: LetterState;
  /** The event that was accepted in the place of the refused message. */
  readonly accepted: AcceptedEvent | undefined;
}

/** The uids under which the events of letters were published again, by letter id. */
export type Receipts = ReadonlyMap<string, readonly string[]>;

/**
 * How letters stand, in their order; some thousand at a time. Accepted is an event that a receipt names, or a later one
 * of the same id and type: a publisher that mended its message sent it under its id.
 */
export async function standingOf(
  clickhouse: ClickHouse,
  receipts: Receipts,
  letters: readonly Letter[],
): Promise<Standing[]> {
  const uidsOf = ({ letterId }: Letter) => receipts.get(letterId) ?? [];
  const accepted = new Map<string, AcceptedEvent[]>();
  for (const [source, some] of bySource(letters)) {
    const uids = [...new Set(some.flatMap(uidsOf))];
    const ids = [...new Set(some.map(({ id }) => id).filter((id) => id !== ""))];
    const afterSeq = some.reduce((least, { streamSequence }) => Math.min(least, streamSequence), Infinity);
    for (const event of await acceptedEvents(clickhouse, source, uids, ids, afterSeq)) {
      for (const key of [`uid\n${source}\n${event.uid}`, `id\n${source}\n${event.id}`]) {
        accepted.set(key, [...accepted.get(key) ?? [], event]);
      }
    }
  }
  return letters.map((letter) => {
    const published = uidsOf(letter).flatMap((uid) => accepted.get(`uid\n${letter.source}\n${uid}`) ?? []);
    const sentAgain = letter.id === ""
      ? []
      : (accepted.get(`id\n${letter.source}\n${letter.id}`) ?? []).filter((one) =>
        one.streamSequence > letter.streamSequence && (letter.type === "" || one.type === letter.type)
      );
    const event = published[0] ?? sentAgain[0];
    const isPublished = uidsOf(letter).length > 0;
    return { state: event !== undefined ? "recovered" : isPublished ? "republished" : "waiting", accepted: event };
  });
}

/** The bytes of the refused message: those of the letter, or of its row where the letter had no room for them. */
export async function bytesOf(clickhouse: ClickHouse, letter: WholeLetter): Promise<Uint8Array | undefined> {
  return letter.hasBytes ? letter.bytes : await refusedBytes(clickhouse, letter, letter.streamSequence);
}

/** What becomes of these bytes if they are published now in the place of a letter's, where they belong. */
export function judgedNow({ source, streamSequence }: Letter, bytes: Uint8Array): Decoded {
  const { type, partition } = routeOf(bytes, 1); // Any number will do: the partition decides nothing.
  const subject = eventSubject(source, type, partition);
  return judge({ subject, bytes, streamSequence, streamTimeMs: Date.now() }).decoded;
}
