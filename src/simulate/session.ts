/** A synthetic session: who serves it, what marks it leaves when, and what its events say. */
import type { Draw } from "./draw.ts";
import type { Node } from "./network.ts";
import type { Topic } from "./topics.ts";

/** A lifecycle mark that a session leaves at an instant. */
export interface Mark {
  readonly atMs: number;
  readonly type: string;
  /** The mark names who serves the session. */
  readonly isNamed: boolean;
}

export interface Session {
  readonly stream: string;
  readonly request: string;
  readonly payment: string;
  readonly gateway: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly marks: readonly Mark[];
  /** Who serves it until and from `swapMs` on; none serves a session that finds no orchestrator. */
  readonly nodes: readonly Node[];
  readonly swapMs: number;
  readonly isFailing: boolean;
  payments: number;
}

/** The share of streams that change their orchestrator. */
const SWAPPED = 0.05;

/** The marks of a start, in milliseconds after the request; the runner's second may be sent before its first. */
const START = [
  ["gateway_send_first_ingest_segment", 2_285],
  ["runner_receive_first_ingest_segment", 2_287],
  ["runner_send_first_processed_segment", 2_390],
  ["gateway_receive_first_processed_segment", 2_655],
  ["gateway_receive_few_processed_segments", 6_744],
] as const;

/** A session that begins then. */
export function sessionOf(
  draw: Draw,
  topic: Topic,
  startMs: number,
  gateway: string,
  serving: readonly Node[],
): Session {
  const endMs = startMs + Math.round(draw.logarithmic(topic.shortestMs, topic.longestMs));
  const isServed = !draw.chance(topic.unserved);
  const isFailing = draw.chance(topic.failing);
  const isSwapped = isServed && draw.chance(SWAPPED);
  const swapMs = isSwapped ? Math.round(draw.between(startMs + 10_000, endMs)) : Infinity;
  const first = draw.pick(serving);
  const nodes = !isServed ? [] : isSwapped ? [first, draw.pick(serving)] : [first];
  const slow = draw.logarithmic(0.7, 3);
  const marks: Mark[] = [{ atMs: startMs, type: "gateway_receive_stream_request", isNamed: false }];
  if (isServed) {
    // One that fails never shows anything.
    for (const [type, afterMs] of isFailing ? START.slice(0, 2) : START) {
      marks.push({ atMs: Math.round(startMs + afterMs * slow), type, isNamed: true });
    }
  } else marks.push({ atMs: startMs + 900, type: "gateway_no_orchestrators_available", isNamed: false });
  if (isSwapped) marks.push({ atMs: swapMs, type: "orchestrator_swap", isNamed: true });
  marks.push({ atMs: isServed ? endMs : startMs + 1_000, type: "gateway_ingest_stream_closed", isNamed: false });
  return {
    stream: draw.chance(1 - topic.testers) ? `str_${draw.hex(16)}` : `aiJobTesterStream-${startMs}${draw.hex(6)}`,
    request: draw.hex(8),
    payment: draw.hex(8),
    gateway,
    startMs,
    endMs: isServed ? endMs : startMs + 1_000,
    marks,
    nodes,
    swapMs,
    isFailing,
    payments: 0,
  };
}

/** Who serves a session at an instant; a swap names whom it leaves. */
export function nodeAt({ nodes, swapMs }: Session, atMs: number): Node | undefined {
  return atMs > swapMs ? nodes[1] : nodes[0];
}
