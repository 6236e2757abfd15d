/**
 * Which sessions of a range are not whole in it. What depends on a whole session may be derived from a range only when
 * the stream holds no event of it outside the range, and when its first event is not so near to a head that has expired
 * that earlier ones may be gone with it.
 */
import type { StoredMessage } from "../core/event.ts";
import { sessionKeyOf } from "../core/identity.ts";
import { judge } from "../core/judge.ts";
import { SESSION_TYPES } from "../core/route.ts";
import type { IncompleteSession, ReplayedStream, SequenceRange } from "../ports.ts";
import type { OnProgress } from "./evidence.ts";

/**
 * The incomplete sessions of a range, by source and key; reads every session event of the stream once. `quietMs` is how
 * long a session may be silent: one whose first event was stored no later than that after the first message of a stream
 * that has dropped others may have begun before. `onProgress` is told sequences of the whole stream, type by type.
 */
export async function incompleteSessions(
  stream: ReplayedStream,
  range: SequenceRange,
  quietMs: number,
  onProgress: OnProgress,
): Promise<IncompleteSession[]> {
  const { firstSeq, lastSeq } = await stream.bounds(range.toSeq);
  const headMs = firstSeq > 1 ? await stream.storedAtMs(firstSeq) : undefined;
  const census = new SessionCensus(headMs === undefined ? -Infinity : headMs + quietMs);
  let read = 0;
  const readAll = async ({ fromSeq, toSeq }: SequenceRange, note: (message: StoredMessage) => void) => {
    if (toSeq < fromSeq) return;
    for (const type of SESSION_TYPES) {
      for await (const slice of stream.messages({ fromSeq, toSeq }, `events.*.${type}.*`)) {
        for (const message of slice) note(message);
        onProgress(read + slice.at(-1)!.streamSequence - fromSeq + 1);
      }
      read += toSeq - fromSeq + 1;
    }
  };
  // The range first: of the others only what belongs to its sessions is kept.
  await readAll(range, (message) => census.noteInside(message));
  await readAll({ fromSeq: firstSeq, toSeq: range.fromSeq - 1 }, (message) => census.noteOutside(message));
  await readAll({ fromSeq: range.toSeq + 1, toSeq: lastSeq }, (message) => census.noteOutside(message));
  return census.incomplete();
}

interface Seen {
  readonly source: string;
  readonly sessionKey: string;
  firstSeq: number;
  firstStoredMs: number;
  outsideSeq: number;
}

class SessionCensus {
  readonly #headMs: number;
  readonly #sessions = new Map<string, Seen>();

  /** A session whose first event was stored at `headMs` or before may lack its beginning; `-Infinity`: none does. */
  constructor(headMs: number) {
    this.#headMs = headMs;
  }

  /** Notes a message of the range. */
  noteInside(message: StoredMessage): void {
    const session = sessionIn(message);
    if (session === undefined) return;
    const key = `${session.source}\n${session.sessionKey}`;
    const { streamSequence: firstSeq, streamTimeMs: firstStoredMs } = message;
    const seen = this.#sessions.get(key);
    if (seen === undefined) this.#sessions.set(key, { ...session, firstSeq, firstStoredMs, outsideSeq: 0 });
    else if (firstSeq < seen.firstSeq) Object.assign(seen, { firstSeq, firstStoredMs });
  }

  /** Notes a message outside the range, when all of the range is noted. */
  noteOutside(message: StoredMessage): void {
    const session = sessionIn(message);
    const seen = session && this.#sessions.get(`${session.source}\n${session.sessionKey}`);
    if (seen === undefined) return;
    seen.outsideSeq = seen.outsideSeq === 0
      ? message.streamSequence
      : Math.min(seen.outsideSeq, message.streamSequence);
  }

  /** The sessions of the range that are not whole in it, sorted by source and key. */
  incomplete(): IncompleteSession[] {
    const found: IncompleteSession[] = [];
    for (const [, { source, sessionKey, firstSeq, firstStoredMs, outsideSeq }] of [...this.#sessions].sort(byKey)) {
      if (outsideSeq > 0) found.push({ source, sessionKey, why: "outside", streamSequence: outsideSeq });
      else if (firstStoredMs <= this.#headMs) {
        found.push({ source, sessionKey, why: "expired_head", streamSequence: firstSeq });
      }
    }
    return found;
  }
}

function byKey([a]: [string, Seen], [b]: [string, Seen]): number {
  return a < b ? -1 : 1;
}

/** The session of a message; undefined when it is refused, ignored, or belongs to none. */
function sessionIn(message: StoredMessage): { readonly source: string; readonly sessionKey: string } | undefined {
  const { decoded } = judge(message);
  if (decoded.outcome !== "accepted" || !("streamId" in decoded.event.payload)) return undefined;
  const { head, payload } = decoded.event;
  return { source: head.source, sessionKey: sessionKeyOf(payload.streamId, payload.requestId, head.id) };
}
