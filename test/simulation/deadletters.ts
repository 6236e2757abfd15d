/** The dead-letter stream: what was refused, once for each message id within the server's window. */
import type { DeadLetter } from "../../src/core/effects.ts";
import { letterId } from "../../src/nats/deadletters.ts";
import type { DeadLetterQueue } from "../../src/ports.ts";
import type { Process } from "./process.ts";

/** As `streams/` has it. */
const WINDOW_MS = 120_000;

export class DeadLetterServer {
  readonly letters: DeadLetter[] = [];
  readonly #sentMs = new Map<string, number>();

  store(letter: DeadLetter, nowMs: number): void {
    const id = letterId(letter);
    if (nowMs - (this.#sentMs.get(id) ?? -Infinity) < WINDOW_MS) return;
    this.#sentMs.set(id, nowMs);
    this.letters.push(letter);
  }
}

export function openDeadLetters(server: DeadLetterServer, process: Process): DeadLetterQueue {
  const store = (letter: DeadLetter) =>
    process.call("dead letter", () => server.store(letter, process.scheduler.nowMs));
  return { publish: async (letters) => void await Promise.all(letters.map(store)) };
}
