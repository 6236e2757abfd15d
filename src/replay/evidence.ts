/**
 * The evidence of a replay: every snapshot of the stream that can count for an event of its range.
 *
 * An event at t is attributed on snapshots from t − TTL before to t + TTL after. An event is stored no earlier than an
 * hour before its time, so nothing before the hour before the earliest such snapshot needs to be read; and since a
 * snapshot may be as late as it likes, the stream is read to the end that it has when the replay begins.
 */
import { eventTimeOf, FURTHEST_FUTURE_MS } from "../core/decode.ts";
import { SnapshotFeed } from "../core/feed.ts";
import type { StoredMessage } from "../core/event.ts";
import type { Identity } from "../core/identity.ts";
import { judge } from "../core/judge.ts";
import type { Ttl } from "../core/select.ts";
import { readSnapshotEntry, type Snapshot } from "../core/snapshot.ts";
import { LatecomerError } from "../errors.ts";
import type { ReplayedStream, SequenceRange } from "../ports.ts";

/** Where capability messages are published, also by one that takes them for part of a session. */
export const CAPABILITIES = "events.*.network_capabilities.*";

/** Event times, both ends included. */
export interface EventTimes {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface EvidenceSettings {
  readonly ttl: Ttl;
  readonly mostSightings: number;
}

/** Told how many sequences of a range are done; throws to stop. */
export type OnProgress = (done: number) => void;

/** The least and the greatest event time of a range, null when it has no event. Reads the range once. */
export async function surveyRange(
  stream: ReplayedStream,
  range: SequenceRange,
  onProgress: OnProgress,
): Promise<EventTimes | null> {
  let times: EventTimes | null = null;
  for await (const slice of stream.messages(range, "events.>")) {
    times = widened(times, slice);
    onProgress(slice.at(-1)!.streamSequence - range.fromSeq + 1);
  }
  return times;
}

/** The times, and those of these messages. */
export function widened(times: EventTimes | null, messages: readonly StoredMessage[]): EventTimes | null {
  let { fromMs, toMs } = times ?? { fromMs: Infinity, toMs: -Infinity };
  for (const message of messages) {
    const timeMs = eventTimeOf(judge(message).decoded);
    fromMs = Math.min(fromMs, timeMs ?? Infinity);
    toMs = Math.max(toMs, timeMs ?? -Infinity);
  }
  return fromMs > toMs ? null : { fromMs, toMs };
}

/** Where the snapshots that can count for a range begin, and whether all of them are still there. */
export async function evidenceStart(
  stream: ReplayedStream,
  times: EventTimes | null,
  { ttl }: Pick<EvidenceSettings, "ttl">,
): Promise<{ readonly fromSeq: number; readonly isWhole: boolean }> {
  const { firstSeq, lastSeq } = await stream.bounds();
  if (times === null) return { fromSeq: lastSeq + 1, isWhole: true };
  const earliestStoredMs = Math.max(0, times.fromMs - ttl.beforeMs - FURTHEST_FUTURE_MS);
  const headMs = await stream.storedAtMs(firstSeq);
  const isWhole = firstSeq <= 1 || (headMs !== undefined && headMs < earliestStoredMs);
  return { fromSeq: Math.max(firstSeq, await stream.firstSeqAfter(earliestStoredMs - 1)), isWhole };
}

export class Evidence {
  readonly feed: SnapshotFeed;
  readonly #settings: EvidenceSettings;
  readonly #times: EventTimes | null;
  readonly #snapshots: Identity[] = [];
  #firstSeq: number | undefined;
  #nextSeq: number;

  /** The snapshots that count for events of these times, stored from a sequence on; none is read yet. */
  constructor(settings: EvidenceSettings, times: EventTimes | null, fromSeq: number) {
    this.#settings = settings;
    this.#times = times;
    this.#nextSeq = fromSeq;
    this.feed = new SnapshotFeed({ ...settings, allowedLatenessMs: Infinity });
  }

  /** Where the first of the snapshots lies, or where it could when there is none up to here. */
  get fromSeq(): number {
    return this.#firstSeq ?? this.#nextSeq;
  }

  /** Who the snapshots are that were read. */
  get snapshots(): readonly Identity[] {
    return this.#snapshots;
  }

  /**
   * Reads on up to a sequence. Throws EVIDENCE_TOO_LARGE (usage) when the snapshots are more than the bound of memory
   * allows: what would be dropped then would depend on the order.
   */
  async load(stream: ReplayedStream, toSeq: number, onProgress: OnProgress): Promise<void> {
    const fromSeq = this.#nextSeq;
    if (toSeq < fromSeq) return;
    for await (const slice of stream.messages({ fromSeq, toSeq }, CAPABILITIES)) {
      for (const message of slice) {
        const snapshot = this.#snapshotIn(message);
        if (snapshot === undefined) continue;
        const { dropped } = this.feed.apply(snapshot);
        if (dropped > 0) throw tooLarge(this.#settings.mostSightings);
        this.#firstSeq ??= message.streamSequence;
        this.#snapshots.push({ source: snapshot.source, uid: snapshot.uid });
      }
      onProgress(slice.at(-1)!.streamSequence - fromSeq + 1);
    }
    this.#nextSeq = toSeq + 1;
  }

  /** The snapshot of a message, when it is one that can count. */
  #snapshotIn(message: StoredMessage): Snapshot | undefined {
    const { snapshot: entry } = judge(message);
    const snapshot = entry === undefined ? undefined : readSnapshotEntry(entry.value!);
    if (snapshot === undefined || this.#times === null) return undefined;
    const { beforeMs, afterMs } = this.#settings.ttl;
    const counts = snapshot.timeMs >= this.#times.fromMs - beforeMs && snapshot.timeMs <= this.#times.toMs + afterMs;
    return counts ? snapshot : undefined;
  }
}

function tooLarge(mostSightings: number): LatecomerError {
  const why = `the snapshots that count for this range hold more than ${mostSightings} node sightings of a source: ` +
    "raise LATECOMER_MAX_SIGHTINGS, or replay a smaller range";
  return new LatecomerError("EVIDENCE_TOO_LARGE", "usage", why);
}
