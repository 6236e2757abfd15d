/**
 * The window of a what-if: the messages of a range of the stream, with the snapshots on both sides that may count for
 * them, as a replay chooses these. All of it is held in memory; nothing is written anywhere.
 */
import { type Input, inputOf } from "../audit/schedule.ts";
import { eventTimeOf } from "../core/decode.ts";
import type { StoredMessage } from "../core/event.ts";
import { SESSION_TYPES } from "../core/route.ts";
import type { Ttl } from "../core/select.ts";
import { stateKey } from "../core/subject.ts";
import type { IncompleteSession, ReplayedStream, SequenceRange } from "../ports.ts";
import { judge } from "../core/judge.ts";
import { CAPABILITIES, type EventTimes, evidenceStart, widened } from "../replay/evidence.ts";
import { QUIET_MS } from "../replay/replay.ts";
import { incompleteSessions } from "../replay/sessions.ts";

export interface Window {
  /** In the order of the stream: the range, and the snapshots around it. */
  readonly inputs: readonly Input[];
  /** Messages of the range. */
  readonly messages: number;
  /** The snapshots among the inputs, each with its id and when it was stored. */
  readonly snapshots: readonly WindowSnapshot[];
  /** True when the stream holds every snapshot that can count. */
  readonly isWhole: boolean;
  /** Sessions that the range does not hold whole: nothing that depends on all of one is derived. */
  readonly leftOut: readonly IncompleteSession[];
}

export interface WindowSnapshot {
  readonly source: string;
  readonly uid: string;
  readonly id: string;
  readonly timeMs: number;
  readonly streamSequence: number;
}

export type OnPhase = (
  phase: "reading" | "reading snapshots" | "looking for sessions",
  done: number,
  total: number,
) => void;

/** Reads a window; `ttl` is the longest that is to be tried, on either side. */
export async function readWindow(
  stream: ReplayedStream,
  range: SequenceRange,
  ttl: Ttl,
  onPhase: OnPhase,
): Promise<Window> {
  const messages: StoredMessage[] = [];
  const size = range.toSeq - range.fromSeq + 1;
  let times: EventTimes | null = null;
  for await (const slice of stream.messages(range, "events.>")) {
    for (const message of slice) messages.push(message);
    times = widened(times, slice);
    onPhase("reading", slice.at(-1)!.streamSequence - range.fromSeq + 1, size);
  }
  const { fromSeq, isWhole } = await evidenceStart(stream, times, { ttl });
  const { firstSeq, lastSeq } = await stream.bounds();
  const around: StoredMessage[] = [];
  for (const part of [{ fromSeq, toSeq: range.fromSeq - 1 }, { fromSeq: range.toSeq + 1, toSeq: lastSeq }]) {
    if (times === null || part.fromSeq > part.toSeq) continue;
    for await (const slice of stream.messages(part, CAPABILITIES)) {
      for (const message of slice) if (counts(message, times, ttl)) around.push(message);
      onPhase("reading snapshots", slice.at(-1)!.streamSequence - fromSeq + 1, lastSeq - fromSeq + 1);
    }
  }
  const total = lastSeq - firstSeq + 1;
  const leftOut = await incompleteSessions(
    stream,
    range,
    QUIET_MS,
    (done) => onPhase("looking for sessions", done, SESSION_TYPES.size * total),
  );
  const all = [...messages, ...around].sort((a, b) => a.streamSequence - b.streamSequence);
  return { inputs: all.map(inputOf), messages: messages.length, snapshots: snapshotsIn(all), isWhole, leftOut };
}

/** The keys of the sessions that are left out. */
export function leftOutKeys({ leftOut }: Window): Set<string> {
  return new Set(leftOut.map(({ source, sessionKey }) => stateKey(source, sessionKey)));
}

function counts(message: StoredMessage, { fromMs, toMs }: EventTimes, { beforeMs, afterMs }: Ttl): boolean {
  const timeMs = eventTimeOf(judge(message).decoded) ?? NaN;
  return timeMs >= fromMs - beforeMs && timeMs <= toMs + afterMs;
}

function snapshotsIn(messages: readonly StoredMessage[]): WindowSnapshot[] {
  return messages.flatMap((message) => {
    const { decoded, snapshot } = judge(message);
    if (snapshot === undefined || decoded.outcome !== "accepted") return [];
    const { source, uid, id, eventTimeMs: timeMs } = decoded.event.head;
    return [{ source, uid, id, timeMs, streamSequence: message.streamSequence }];
  });
}
