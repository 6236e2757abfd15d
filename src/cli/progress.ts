/** Progress of long work on stderr: a bar on a terminal, nothing when piped. */
import { Presets, SingleBar } from "cli-progress";

export interface Progress {
  update(done: number): void;
  stop(): void;
}

export function startProgress(what: string, total: number): Progress {
  if (process.stderr.isTTY !== true) return { update: () => {}, stop: () => {} };
  const format = `${what} {bar} {percentage}% | {value}/{total}, {rate}/s | {duration_formatted}, {eta_formatted} left`;
  const bar = new SingleBar({ format, stream: process.stderr, hideCursor: true }, Presets.rect);
  bar.start(total, 0, { rate: 0 });
  const started = performance.now();
  // What was done before, as by a process that was interrupted, is no part of the rate.
  let before: number | undefined;
  const rateOf = (done: number) => {
    before ??= done;
    return Math.round((done - before) / Math.max(0.001, (performance.now() - started) / 1_000));
  };
  return { update: (done) => bar.update(done, { rate: rateOf(done) }), stop: () => bar.stop() };
}

/** One bar after the other, as the phases follow each other. */
export class Bars {
  #phase = "";
  #bar: Progress | undefined;

  readonly onPhase = (phase: string, done: number, total: number): void => {
    if (phase !== this.#phase) {
      this.stop();
      this.#bar = startProgress(phase, total);
      this.#phase = phase;
    }
    this.#bar?.update(done);
  };

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
