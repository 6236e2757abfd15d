/**
 * What sessions in memory cost, in a process that does nothing else; prints one line of JSON.
 *
 *     node --expose-gc sessions.js bounded|resting|open COUNT
 *
 * `resting`: all events are closed and settled, and the entries are not due yet. `bounded`: the same, with as many in
 * memory as by default and the others in their bucket. `open`: better evidence may still come for all that name their
 * orchestrator.
 */
import { SESSION_LAG_MS } from "../../src/cli/run.ts";
import { resolveConfig } from "../../src/config.ts";
import { judge } from "../../src/core/judge.ts";
import { bytesOf, type Wire } from "../helpers/events.ts";
import { USUAL_EVENTS, USUAL_MS, usualEvent, usualSnapshot, usualSnapshots } from "../helpers/usual-session.ts";
import { Core, messageOf } from "./core.ts";
import { usedBytes } from "./used.ts";

export interface Cost {
  readonly sessions: number;
  /** The most that the process has had, in MiB, as it stood: nothing was collected for it. */
  readonly rssMb: number;
  /** What is in use for each at the end, in the heap and outside. */
  readonly bytesPerSession: number;
}

/** So many sessions happen at the same time, and the next ones so much later. */
const AT_ONCE = 1_000;
const APART_MS = 600_000;

/** Longer than all of them take. */
const LONG_MS = 20 * 86_400_000;

const [kind, given] = process.argv.slice(2);
const count = Number(given);
const core = new Core({
  allowedLatenessMs: kind === "open" ? LONG_MS : 60_000,
  sessionLagMs: kind === "open" ? SESSION_LAG_MS : Infinity,
  mostSessions: kind === "bounded" ? resolveConfig({}).maxSessions : Infinity,
  mostOpen: Infinity,
  mostSeen: 2,
});

let peakRss = 0;

function take(wire: Wire): void {
  core.take(bytesOf(wire.envelope), Number(wire.envelope.timestamp));
}

/** Takes the events of sessions that begin at this time, a millisecond after each other, in the order of their times. */
function takeSessions(from: number, to: number, startMs: number): void {
  for (const wire of usualSnapshots(startMs)) take(wire);
  core.seal();
  // One after the other, so that what the load itself needs is not counted.
  for (let place = 0; place < USUAL_EVENTS; place++) {
    for (let nth = from; nth < to; nth++) take(usualEvent(nth, place, startMs + nth - from));
    peakRss = Math.max(peakRss, process.memoryUsage.rss());
  }
  take(usualSnapshot(startMs + APART_MS / 2));
  core.seal();
}

const before = usedBytes();
for (let from = 0; from < count; from += AT_ONCE) {
  takeSessions(from, Math.min(count, from + AT_ONCE), USUAL_MS + (from / AT_ONCE) * APART_MS);
}
// Twice to settle, and once to rest, long after the last of them.
for (let seal = 0; seal < 2; seal++) core.seal();
take(usualSnapshot(USUAL_MS + LONG_MS / 2));
core.seal();
const rssMb = Math.round(Math.max(peakRss, process.memoryUsage.rss()) / 2 ** 20);
const bytes = usedBytes() - before;
for (let nth = 0; nth < (kind === "bounded" ? 0 : count); nth++) {
  const { envelope } = usualEvent(nth, 0);
  const { sessionKey } = judge(messageOf(bytesOf(envelope), 1, USUAL_MS));
  if (!core.state.knows(sessionKey!)) throw new Error("a session is not in memory");
}
if ((core.state.openCount > 0) !== (kind === "open")) throw new Error(`${core.state.openCount} observations are open`);
const cost: Cost = { sessions: count, rssMb, bytesPerSession: Math.round(bytes / count) };
console.log(JSON.stringify(cost));
