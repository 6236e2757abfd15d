/**
 * What a core holds under steady traffic that another process makes; prints one line of JSON.
 *
 *     node --expose-gc steady.js RATE SECONDS production|simulated
 *
 * The real mix at a rate, its event times as far apart as the events come, with five minutes of allowed lateness and no
 * bound on what is open. After these five minutes as many observations close as come. `production`: real events, whose
 * sessions are over after 500 events. `simulated`: four of seven messages are noise, and sessions last for minutes, so that
 * many are awake, each sample with a snapshot of its own.
 */
import { keepRowsYoung } from "../../src/runtime/heap.ts";
import { Core, LATENESS_MS } from "./core.ts";
import { type LoadName, madeElsewhere } from "./made.ts";
import { peakRssMb, usedBytes } from "./used.ts";

export interface Steady {
  readonly load: LoadName;
  readonly rate: number;
  readonly seconds: number;
  readonly open: number;
  readonly sessions: number;
  /** The most that the process has had, in MiB. */
  readonly rssMb: number;
  /** What is in use at the end, of each event that came within the allowed lateness. */
  readonly bytesPerEvent: number;
}

// As a processor does.
keepRowsYoung();
const [rate, seconds] = process.argv.slice(2, 4).map(Number) as [number, number];
const load = process.argv[4] as LoadName;
const core = new Core({ allowedLatenessMs: LATENESS_MS, mostOpen: Infinity });
const before = usedBytes();
for await (const { bytes, timeMs } of madeElsewhere(load, rate * seconds, rate)) core.take(bytes, timeMs);
core.seal();
const bytesPerEvent = Math.round((usedBytes() - before) / (rate * Math.min(seconds, LATENESS_MS / 1_000)));
const rssMb = peakRssMb();
const { openCount: open, sessionCount: sessions } = core.state;
const steady: Steady = { load, rate, seconds, open, sessions, rssMb, bytesPerEvent };
console.log(JSON.stringify(steady));
