/** Whether buckets still hold what a checkpoint stands on. */
import type { Checkpoint } from "../core/checkpoint.ts";
import { judge } from "../core/judge.ts";
import { PARTITION_ALL } from "../core/subject.ts";
import type { EventStream } from "../ports.ts";
import type { State } from "./state.ts";

/** Refused capability messages that are passed over in search of one that has an entry. */
const MOST_REFUSED = 64;

/** False when snapshots or sessions that a partition has written are gone from their bucket, by whatever emptied it. */
export async function hasItsState(
  partition: string,
  { doneSeq, lastSession, lastSnapshot }: Pick<Checkpoint, "doneSeq" | "lastSession" | "lastSnapshot">,
  stream: EventStream,
  state: Pick<State, "has">,
): Promise<boolean> {
  if (partition !== PARTITION_ALL) return lastSession === "" || await state.has("workflow_sessions", lastSession);
  const firstSnapshot = await firstSnapshotUpTo(doneSeq, stream);
  // Entries live as long as their messages, so that where the first of these is there the last one is, too. A bucket that
  // was purged lacks the first, also when others were written since; one that lost its end lacks the last.
  return firstSnapshot === undefined ||
    (await state.has("capability_snapshots", firstSnapshot) &&
      (lastSnapshot === "" || await state.has("capability_snapshots", lastSnapshot)));
}

/** The key of the first snapshot that the stream holds up to a sequence; undefined where none is found. */
async function firstSnapshotUpTo(doneSeq: number, stream: EventStream): Promise<string | undefined> {
  let fromSeq = 1;
  for (let tries = 0; tries < MOST_REFUSED; tries++) {
    const message = await stream.firstOf(PARTITION_ALL, "network_capabilities", fromSeq);
    if (message === undefined || message.streamSequence > doneSeq) return undefined;
    const { snapshot } = judge(message);
    if (snapshot !== undefined) return snapshot.key;
    fromSeq = message.streamSequence + 1;
  }
  return undefined;
}
