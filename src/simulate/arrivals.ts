/**
 * What a network makes of events: some come late, some twice, and between them comes what nobody can read. The events
 * themselves stay as they are, so a run without any of it has the same ones in the order of their times.
 */
import { MinHeap } from "../core/heap.ts";
import { Draw } from "./draw.ts";
import type { Event } from "./traffic.ts";

export interface ArrivalOptions {
  readonly seed: number;
  /** Shares of the events, from 0 to 1. */
  readonly late: number;
  readonly duplicates: number;
  readonly malformed: number;
}

/** What was handed over so far. */
export interface Tally {
  events: number;
  late: number;
  /** Of the late and the repeated ones those that came before their time, since `MOST_HELD` others were on their way. */
  hastened: number;
  duplicates: number;
  malformed: number;
  bytes: number;
  readonly types: Record<string, number>;
  fromMs: number;
  toMs: number;
}

/** From a second to the 32 minutes that were seen in production, many of a few seconds and few of many minutes. */
export const LATENESS_MS = { least: 1_000, most: 1_920_000 } as const;

/** A publisher that gets no answer sends once more within seconds. */
const REPEAT_MS = 5_000;

/** Messages that are on their way at once; with more, the next to come is handed over before its time. */
export const MOST_HELD = 50_000;

const encoder = new TextEncoder();

export function newTally(): Tally {
  const none = { events: 0, late: 0, hastened: 0, duplicates: 0, malformed: 0, bytes: 0 };
  return { ...none, types: {}, fromMs: Infinity, toMs: -Infinity };
}

/** The messages in the order in which they arrive; `tally` is kept as they are taken. */
export function* arrivals(events: Iterable<Event>, options: ArrivalOptions, tally: Tally): Generator<Uint8Array> {
  const draw = new Draw(options.seed, 2);
  const held = new MinHeap<Uint8Array>();
  const handed = (bytes: Uint8Array) => {
    tally.bytes += bytes.length;
    return bytes;
  };
  for (const { atMs, envelope } of events) {
    while (held.least <= atMs || held.size > MOST_HELD) {
      if (held.least > atMs) tally.hastened++;
      yield handed(held.pop()!);
    }
    const text = JSON.stringify(envelope);
    const bytes = encoder.encode(text);
    tally.events++;
    tally.types[envelope.type] = (tally.types[envelope.type] ?? 0) + 1;
    tally.fromMs = Math.min(tally.fromMs, atMs);
    tally.toMs = Math.max(tally.toMs, atMs);
    if (draw.chance(options.late)) {
      tally.late++;
      held.push(atMs + draw.logarithmic(LATENESS_MS.least, LATENESS_MS.most), bytes);
    } else yield handed(bytes);
    if (draw.chance(options.duplicates)) {
      tally.duplicates++;
      held.push(atMs + draw.between(0, REPEAT_MS), bytes);
    }
    if (draw.chance(options.malformed)) {
      tally.malformed++;
      yield handed(encoder.encode(malformed(draw, text)));
    }
  }
  while (held.size > 0) yield handed(held.pop()!);
}

/** A message that is refused, each for one of the reasons that faulty publishers give. */
function malformed(draw: Draw, text: string): string {
  const envelope = { ...JSON.parse(text), id: draw.uuid() };
  switch (draw.below(5)) {
    case 0: // Cut off on its way.
      return text.slice(0, text.length - 1 - draw.below(text.length / 2));
    case 1:
      return JSON.stringify({ ...envelope, type: undefined });
    case 2:
      return JSON.stringify({ ...envelope, timestamp: new Date(Number(envelope.timestamp)).toISOString() });
    case 3: // Microseconds.
      return JSON.stringify({
        ...envelope,
        type: "discovery_results",
        timestamp: `${envelope.timestamp}000`,
        data: [{}],
      });
    default:
      return JSON.stringify({ ...envelope, type: "ai_stream_status", data: { stream_id: "s", request_id: "r" } });
  }
}
