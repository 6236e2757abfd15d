/**
 * A signal: what a session keeps of one of its events, and the total order K in which a session reads them.
 *
 * Nothing here depends on when a signal came. Whatever a field of a session means, it is the least, the greatest or the
 * number of some signals, and "least" and "greatest" are told by K alone: event time, then source priority, then uid.
 */
import type { StatusEvent, StreamEvent, TelemetryEvent, TraceEvent } from "../event.ts";
import { isExcusable } from "./excusable.ts";

/** The events that make a session; ingest metrics belong to one and say nothing of it. */
export type SessionEvent = TraceEvent | StatusEvent | StreamEvent;

export function isSessionEvent(event: TelemetryEvent): event is SessionEvent {
  return event.type === "stream_trace" || event.type === "ai_stream_status" || event.type === "ai_stream_events";
}

/** What an event means to its session. The numbers are kept in state, so a new meaning gets a new number. */
export const MEANING = {
  gateway_receive_stream_request: 0,
  gateway_no_orchestrators_available: 1,
  gateway_send_first_ingest_segment: 2,
  runner_receive_first_ingest_segment: 3,
  runner_send_first_processed_segment: 4,
  gateway_receive_first_processed_segment: 5,
  gateway_receive_few_processed_segments: 6,
  gateway_receive_first_data_segment: 7,
  orchestrator_swap: 8,
  gateway_ingest_stream_closed: 9,
  status: 16,
  aiEvent: 24,
  error: 25,
  excusableError: 26,
  paramsUpdate: 27,
} as const;

const MEANING_BITS = 31;

/** What a signal shows, as bits above those of its meaning. */
export const SHOWS = {
  loading: 1 << 5,
  output: 1 << 6,
  error: 1 << 7,
  restart: 1 << 8,
  degradedInput: 1 << 9,
  degradedInference: 1 << 10,
  /** The event names an address or a url. */
  named: 1 << 11,
} as const;

/** Where an event came from; one object for the signals of a session that say the same. */
export interface Context {
  readonly gateway: string;
  readonly streamId: string;
  readonly requestId: string;
  /** The start that the runner reports, `Infinity` when it reports none that can be true. */
  readonly startMs: number;
}

export interface Signal {
  readonly uid: string;
  readonly timeMs: number;
  /** Its meaning and what it shows. */
  readonly mark: number;
  readonly context: Context;
  /** The text of a parameter update, blank for every other signal. */
  readonly text: string;
  /** The number of what supports it, see support.ts; that grows with evidence, and with nothing else. */
  readonly support: number;
}

/** The place of a signal in the order K. */
export type Place = Pick<Signal, "uid" | "timeMs" | "mark">;

/** A text that travels with a session is cut here: one update must not crowd out thousands of events. */
const LONGEST_TEXT = 1_000;

/** A start that a runner reports counts from here on; earlier ones are clocks that were never set. */
const EARLIEST_START_MS = Date.UTC(2000, 0, 1);

/** What is kept of an event before anything is known of its orchestrator. */
export function signalOf(event: SessionEvent, support: number, context: Context): Signal {
  const { uid, eventTimeMs: timeMs } = event.head;
  const text = event.type === "ai_stream_events" && kindOf(event) === "params_update" ? cut(event.payload.message) : "";
  return { uid, timeMs, mark: markOf(event), context, text, support };
}

function cut(text: string): string {
  // Never within a surrogate pair, whose half would become U+FFFD on its way to the table.
  const isPair = (text.codePointAt(LONGEST_TEXT - 1) ?? 0) > 0xffff;
  return text.slice(0, isPair ? LONGEST_TEXT - 1 : LONGEST_TEXT);
}

/** How many contexts are looked through: a session mostly has one of its gateway and one of its runner. */
const MOST_SHARED = 8;

/** Where an event came from; the same object as before where one of the latest of these says it. */
export function contextOf(event: SessionEvent, contexts: readonly Context[]): Context {
  const { head: { gateway }, payload: { streamId, requestId } } = event;
  const startMs = startOf(event);
  for (let place = contexts.length - 1; place >= Math.max(0, contexts.length - MOST_SHARED); place--) {
    const one = contexts[place]!;
    const isSame = one.gateway === gateway && one.streamId === streamId && one.requestId === requestId &&
      one.startMs === startMs;
    if (isSame) return one;
  }
  return { gateway, streamId, requestId, startMs };
}

/** Not after the sample, and not of a clock that was never set. */
function startOf(event: SessionEvent): number {
  const startMs = event.type === "ai_stream_status" ? event.payload.startTimeMs : null;
  return startMs !== null && startMs >= EARLIEST_START_MS && startMs <= event.head.eventTimeMs ? startMs : Infinity;
}

/** Below 0 when `a` comes before `b` in the order K, above 0 when after it, 0 for one event. */
export function compareK(a: Place, b: Place): number {
  return compareInstants(a.timeMs, a.mark, b.timeMs, b.mark) || compareUids(a.uid, b.uid);
}

/** The order K but for uids, of which two events of one instant and one priority differ in nothing else. */
export function compareInstants(aMs: number, aMark: number, bMs: number, bMark: number): number {
  return aMs !== bMs ? aMs - bMs : priorityOf(aMark) - priorityOf(bMark);
}

export function compareUids(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function meaningOf(mark: number): number {
  return mark & MEANING_BITS;
}

export function isTrace(mark: number): boolean {
  return meaningOf(mark) < MEANING.status;
}

/** The lifecycle type of a trace, blank for any other signal. */
export function traceTypeOf(mark: number): string {
  return TRACE_TYPES[meaningOf(mark)] ?? "";
}

const TRACE_TYPES: readonly string[] = Object.entries(MEANING)
  .filter(([, meaning]) => meaning < MEANING.status)
  .sort(([, a], [, b]) => a - b)
  .map(([type]) => type);

/** Of one instant traces come first, then statuses, then other events. */
function priorityOf(mark: number): number {
  const meaning = meaningOf(mark);
  return meaning < MEANING.status ? 1 : meaning < MEANING.aiEvent ? 2 : 3;
}

function markOf(event: SessionEvent): number {
  switch (event.type) {
    case "stream_trace": {
      const { traceType, address, url } = event.payload;
      return MEANING[traceType as keyof typeof MEANING] | named(address, url);
    }
    case "ai_stream_status":
      return MEANING.status | stateOf(event);
    case "ai_stream_events":
      switch (kindOf(event)) {
        case "error":
          return isExcusable(event.payload.message) ? MEANING.excusableError : MEANING.error;
        case "params_update":
          return MEANING.paramsUpdate;
        default:
          return MEANING.aiEvent;
      }
  }
}

/** What kind of ai event it is: its type trimmed, in lower case. */
export function kindOf({ payload }: StreamEvent): string {
  return payload.eventType.trim().toLowerCase();
}

const STATES: Readonly<Record<string, number>> = {
  LOADING: SHOWS.loading,
  DEGRADED_INPUT: SHOWS.degradedInput,
  DEGRADED_INFERENCE: SHOWS.degradedInference,
};

function stateOf({ payload }: StatusEvent): number {
  const { state, outputFps, lastError, lastErrorTimeMs, restartCount, lastRestartTimeMs, startTimeMs } = payload;
  const error = lastError?.trim() ?? "";
  // Both belong to the runner's process, which may have served others before this session.
  const isOld = (timeMs: number | null) => timeMs !== null && startTimeMs !== null && timeMs < startTimeMs;
  let mark = named(payload.address, payload.url) | (STATES[state.trim().toUpperCase()] ?? 0);
  if (outputFps > 0) mark |= SHOWS.output;
  if (error !== "" && error !== "null" && !isOld(lastErrorTimeMs)) mark |= SHOWS.error;
  if (restartCount > 0 && !isOld(lastRestartTimeMs)) mark |= SHOWS.restart;
  return mark;
}

function named(address: string, url: string): number {
  return address !== "" || url !== "" ? SHOWS.named : 0;
}
