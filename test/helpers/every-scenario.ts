/** Sessions that show every situation that the assertion packs ask for; events of one source, in the order of their times. */
import { snapshot, type Wire } from "./events.ts";
import {
  A,
  B,
  close,
  ingest,
  NODE_A,
  NODE_B,
  noOrchestrator,
  playable,
  processed,
  request,
  sample,
  SD,
  sent,
  streamEvent,
  swap,
  trace,
} from "./session-events.ts";

const START_MS = Date.UTC(2026, 1, 25, 14);
const MINUTE_MS = 60_000;

/** An instant, in minutes after the beginning. */
const at = (minute: number) => START_MS + Math.round(minute * MINUTE_MS);

/** How an event says which session it is of. */
const of = (name: string) => ({ stream: `stream-${name}`, request: `request-${name}` });

/** From the request to the first playable segments, on node A. */
function started(minute: number, name: string): Wire[] {
  const session = of(name);
  return [
    request(at(minute), session),
    sent(at(minute + 0.02), { ...session, ...A }),
    processed(at(minute + 0.05), { ...session, ...A }),
    playable(at(minute + 0.1), { ...session, ...A }),
  ];
}

/** Samples every minute, as many as there are frame rates. */
function samples(minute: number, name: string, frames: readonly number[], fields: object = A): Wire[] {
  return frames.map((fps, nth) => sample(at(minute + nth), { ...of(name), model: SD, fps, ...fields }));
}

export const EVERY_SCENARIO: readonly Wire[] = [
  ...[-1, 59, 119, 179].map((minute) => snapshot(at(minute), NODE_A, NODE_B)),
  // What is known to be noise is no failure of anything.
  ...["app_send_stream_request", "stream_stopped"].map((type) => trace(type, at(1), of("clean"))),
  // 1: a clean success.
  ...started(1, "clean"),
  ...samples(2, "clean", [20, 21, 22]),
  ingest(at(2.5), of("clean")),
  close(at(6), of("clean")),
  // 2: nobody is free.
  request(at(8), of("refused")),
  noOrchestrator(at(8.1), of("refused")),
  close(at(8.2), of("refused")),
  // 3: A is abandoned for B.
  ...started(10, "swapped"),
  ...samples(11, "swapped", [20, 19]),
  swap(at(13), { ...of("swapped"), ...A }),
  ...samples(14, "swapped", [18, 17], B),
  close(at(17), of("swapped")),
  // 4: parameters are updated.
  ...started(20, "updated"),
  streamEvent("params_update", at(21), "{}", of("updated")),
  ...samples(21, "updated", [20, 20]),
  close(at(24), of("updated")),
  // 5: a request that comes to nothing else, with errors that excuse nothing.
  request(at(26), of("lost")),
  streamEvent("error", at(26.1), "the runner crashed", of("lost")),
  // 6: within one hour, on a known GPU, no output at all.
  request(at(30), of("silent")),
  ...samples(31, "silent", [0, 0], { ...A, state: "LOADING" }),
  close(at(33.5), of("silent")),
  // Without output too, and with samples enough to be an hour of work.
  ...started(40, "black"),
  ...samples(41, "black", [0, 0, 0, 0]),
  close(at(46), of("black")),
  // 7: idle in one hour, and only closed in the next.
  ...started(55, "lingering"),
  ...samples(56, "lingering", [20, 20]),
  ...samples(90, "lingering", [0], { ...A, state: "LOADING" }),
  ...samples(121, "lingering", [0], { ...A, state: "LOADING" }),
  close(at(122.5), of("lingering")),
  // As idle, but for another orchestrator that takes over in the hour in which it ends.
  ...started(55, "moved"),
  ...samples(90, "moved", [0], { ...A, state: "LOADING" }),
  ...samples(121, "moved", [0], { ...A, state: "LOADING" }),
  ...samples(121.5, "moved", [20], B),
  close(at(122.5), of("moved")),
];
