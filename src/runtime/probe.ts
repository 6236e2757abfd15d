/** Asking the world something again and again, so that a page can tell the answer without waiting for it. */
import type { Clock } from "../ports.ts";

/** How often, and how long an answer may take, in milliseconds. */
const EVERY_MS = 2_000;
export const DEADLINE_MS = 3_000;

export class Probe<Answer> {
  readonly #ask: () => Promise<Answer>;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  #answer: Answer | undefined;

  /** Asks from now on until `stop`. */
  constructor(ask: () => Promise<Answer>, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
    this.#run();
  }

  /** The last answer; undefined before the first, and when the last question got none in time. */
  get answer(): Answer | undefined {
    return this.#answer;
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const asked = this.#ask().catch(() => undefined);
      const answered = new AbortController();
      const late = this.#clock.sleep(DEADLINE_MS, answered.signal).then(() => undefined);
      this.#answer = await Promise.race([asked, late]);
      answered.abort();
      // One that hangs is waited for all the same: questions must not pile up.
      this.#answer = await asked;
      await this.#clock.sleep(EVERY_MS, signal);
    }
  }
}
