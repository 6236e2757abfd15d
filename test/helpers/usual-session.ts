/**
 * Sessions as production has them: twenty events with UUIDs for ids, and the snapshots that they are attributed on. For
 * what is said of sizes.
 */
import { capabilities, status, streamEvent, TRACE, trace, uuidOf, type Wire } from "./events.ts";

/** When a session begins where nothing else is said. */
export const USUAL_MS = Date.UTC(2026, 1, 25, 20, 40);

/** How long after each other snapshots are taken. */
const SNAPSHOT_EVERY_MS = 30_000;

/** Events of a session, and how far apart they are. */
export const USUAL_EVENTS = 20;
const STEP_MS = 6_000;

const MODEL = "streamdiffusion-sdxl-faceid";
const NODE = {
  canonical: "0xd00354656922168815fcd1e51cbddb9e359e3c7f",
  hot: "0x52cf2968b3dc6016778742d3539449a6597d5954",
  url: "https://rtav-orch2.xodeapp.xyz:28935",
  hardware: [{ model: MODEL, gpus: ["GPU-a8d13655-197b-2226-d09f-b4b81e07504b"] }],
};
const NAMED = { wallet: NODE.hot, url: NODE.url };

/** The snapshot of a time. */
export function usualSnapshot(at: number): Wire {
  return capabilities({ at, id: uuidOf(at), nodes: [NODE] });
}

/** The four snapshots that a session which begins then is attributed on. */
export function usualSnapshots(startMs = USUAL_MS): Wire[] {
  return [0, 1, 2, 3].map((nth) => usualSnapshot(startMs + (nth - 0.5) * SNAPSHOT_EVERY_MS));
}

const EDGES = [
  TRACE.request,
  TRACE.ingest,
  TRACE.runnerIngest,
  TRACE.runnerProcessed,
  TRACE.processed,
  TRACE.playable,
] as const;

/** One of the twenty events of the `nth` session, counted from 0 in the order of their times. */
export function usualEvent(nth: number, place: number, startMs = USUAL_MS): Wire {
  const fields = {
    at: startMs + place * STEP_MS,
    id: uuidOf(nth * USUAL_EVENTS + place),
    gateway: "gateway-prod-fra-1",
    stream: `stream-${uuidOf(2 ** 41 + nth)}-ml`,
    request: uuidOf(2 ** 42 + nth),
  };
  const edge = EDGES[place];
  if (edge !== undefined) return trace({ ...fields, type: edge, ...(place === 0 ? {} : NAMED) });
  if (place === EDGES.length) {
    return streamEvent({ ...fields, type: "params_update", message: '{"prompt":"a cat in the style of a painting"}' });
  }
  if (place === USUAL_EVENTS - 1) return trace({ ...fields, type: TRACE.close });
  return status({ ...fields, ...NAMED, model: MODEL });
}

/** The `nth` session, which begins then: two minutes from request to close, in the order of the times. */
export function usualSession(nth: number, startMs = USUAL_MS): Wire[] {
  return Array.from({ length: USUAL_EVENTS }, (_, place) => usualEvent(nth, place, startMs));
}
