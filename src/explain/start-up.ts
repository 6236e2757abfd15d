/** How a session started, and how long that took: each with the edges that say so. */
import type { Row } from "../core/emit/row.ts";
import type { Totals } from "../core/session/fold.ts";
import { formatInstant } from "../core/time.ts";

export interface StartUp {
  readonly outcome: "success" | "excused" | "unexcused" | "not_requested";
  readonly why: string;
}

/** A latency and the edges it lies between; null where an edge is missing or they are the wrong way round. */
export interface Latency {
  readonly name: "prompt_to_first_frame_ms" | "startup_time_ms" | "e2e_latency_ms";
  readonly ms: number | null;
  readonly from: Edge;
  readonly to: Edge;
}

interface Edge {
  readonly type: string;
  readonly time: string | null;
}

/** How a session started, by the totals and by the row that was made of them. */
export function startUpOf(totals: Totals, row: Row): StartUp {
  const { requestMs, playableMs, noOrchestrator, errors, excusableErrors } = totals;
  const asked = row.known_stream === 1
    ? `requested at ${formatInstant(requestMs)}`
    : "no gateway_receive_stream_request was seen";
  if (row.startup_success === 1) {
    return { outcome: "success", why: `${asked}, playable at ${formatInstant(playableMs)}` };
  }
  if (row.known_stream === 0) return { outcome: "not_requested", why: `${asked}, so no start was asked for` };
  const failed = `${asked}, and no gateway_receive_few_processed_segments was seen`;
  if (row.startup_excused === 1) {
    const excuse = noOrchestrator ? "no orchestrator was available" : `all ${errors} of its errors are excusable`;
    return { outcome: "excused", why: `${failed}; excused: ${excuse}` };
  }
  const blame = errors === 0
    ? "no error says why"
    : `${errors - excusableErrors} of its ${errors} errors excuse nothing`;
  return { outcome: "unexcused", why: `${failed}; ${blame}` };
}

/** The latencies of a session's row, and where they come from. */
export function latenciesOf({ requestMs, processedMs, playableMs }: Totals, row: Row): Latency[] {
  const request = edge("gateway_receive_stream_request", requestMs);
  const processed = edge("gateway_receive_first_processed_segment", processedMs);
  const playable = edge("gateway_receive_few_processed_segments", playableMs);
  const latency = (name: Latency["name"], from: Edge, to: Edge) => ({ name, ms: row[name] as number | null, from, to });
  return [
    latency("prompt_to_first_frame_ms", request, processed),
    latency("startup_time_ms", processed, playable),
    latency("e2e_latency_ms", request, playable),
  ];
}

function edge(type: string, timeMs: number): Edge {
  return { type, time: timeMs === Infinity ? null : formatInstant(timeMs) };
}
