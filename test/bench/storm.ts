/** A late snapshot that corrects many open samples at once, against the first rows of the same samples; no I/O. */
import { judge } from "../../src/core/judge.ts";
import { bytesOf } from "../helpers/events.ts";
import { USUAL_MS, usualEvent, usualSnapshot } from "../helpers/usual-session.ts";
import { Core, messageOf } from "./core.ts";

export interface Storm {
  readonly samples: number;
  /** Rows of samples, and corrections of them, in a second, with those of their sessions; batches sealed and dropped. */
  readonly firstPerSecond: number;
  readonly correctedPerSecond: number;
}

/** Samples of a session: the places of `usualEvent` that are samples. */
const FIRST_SAMPLE = 7;
const SAMPLES = 12;

export function storm(samples: number): Storm {
  let corrected = 0;
  const core = new Core({}, { sealed: ({ counts }) => corrected += counts.get("corrections") ?? 0 });
  const sessions = Math.ceil(samples / SAMPLES);
  const load = Array.from({ length: samples }, (_, at) => {
    // In the order of their times, as they would come.
    const { envelope } = usualEvent(at % sessions, FIRST_SAMPLE + Math.floor(at / sessions));
    const bytes = bytesOf(envelope);
    return { bytes, judged: judge(messageOf(bytes, at + 1, USUAL_MS)) };
  });
  const started = performance.now();
  for (const { bytes, judged } of load) core.take(bytes, USUAL_MS, judged);
  core.seal();
  const taken = performance.now();
  if (core.state.openCount !== samples) throw new Error(`${core.state.openCount} of ${samples} samples are open`);
  core.take(bytesOf(usualSnapshot(USUAL_MS - 1_000).envelope), USUAL_MS);
  core.seal();
  const ended = performance.now();
  if (corrected !== samples) throw new Error(`${corrected} of ${samples} samples were corrected`);
  return {
    samples,
    firstPerSecond: Math.round(samples / (taken - started) * 1_000),
    correctedPerSecond: Math.round(samples / (ended - taken) * 1_000),
  };
}
