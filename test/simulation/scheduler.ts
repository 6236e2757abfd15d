/**
 * Virtual time. Whoever waits in a simulation has a step in one queue; the earliest runs next, and the one after it
 * only when everything that the first set off has come to rest. Nothing runs between steps, so the numbers of one
 * generator decide all of it, and a hash over the steps tells two runs apart.
 */

/** Whose step it is. */
export interface Owner {
  readonly name: string;
  /** The steps of one that is gone never run. */
  readonly isAlive: boolean;
  /** Steps that are due earlier wait for this instant. */
  readonly pausedUntilMs: number;
}

/** Whoever is no process: publishers, servers, the passing of time. */
export const OUTSIDE: Owner = { name: "outside", isAlive: true, pausedUntilMs: 0 };

interface Step {
  dueMs: number;
  /** Steps due at one instant run in the order in which they were queued. */
  readonly order: number;
  readonly owner: Owner;
  readonly label: string;
  readonly run: () => void;
}

/** A run that takes so many steps does not come to an end. */
const MOST_STEPS = 200_000;

/** Microtasks have run out when the event loop takes its next turn, however many of them there were. */
const turn = setImmediate;

export class Scheduler {
  readonly #queue: Step[] = [];
  readonly #keepsTrace: boolean;
  #nowMs = 0;
  #queued = 0;
  #steps = 0;
  #high = 0x811c9dc5;
  #low = 0x811c9dc5;
  /** Every step that ran, where they are kept. */
  readonly trace: string[] = [];

  constructor(keepsTrace = false) {
    this.#keepsTrace = keepsTrace;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#steps;
  }

  /** A hash of the steps so far: when each of them ran, whose it was and what it did. */
  get hash(): string {
    const hex = (half: number) => half.toString(16).padStart(8, "0");
    return hex(this.#high >>> 0) + hex(this.#low >>> 0);
  }

  /** Runs something for an owner after a delay. */
  schedule(delayMs: number, owner: Owner, label: string, run: () => void): void {
    this.#push({ dueMs: this.#nowMs + delayMs, order: this.#queued++, owner, label, run });
  }

  /** Resolves after a delay. */
  sleep(delayMs: number, owner: Owner, label: string): Promise<void> {
    return new Promise((resolve) => this.schedule(delayMs, owner, label, resolve));
  }

  /** Runs steps until the work is done; throws when it cannot come to an end. */
  async run<Result>(work: Promise<Result>): Promise<Result> {
    let isDone = false;
    const done = () => isDone = true;
    work.then(done, done);
    await new Promise((resolve) => turn(resolve));
    while (!isDone) {
      const step = this.#pop();
      if (step === undefined) throw new Error("nothing is left to happen, and the work is not done");
      if (!step.owner.isAlive) continue;
      if (step.owner.pausedUntilMs > step.dueMs) {
        step.dueMs = step.owner.pausedUntilMs;
        this.#push(step);
        continue;
      }
      if (++this.#steps > MOST_STEPS) throw new Error(`no end after ${MOST_STEPS} steps`);
      this.#nowMs = step.dueMs;
      this.#note(step);
      step.run();
      await new Promise((resolve) => turn(resolve));
    }
    return await work;
  }

  #note({ dueMs, owner, label }: Step): void {
    const text = `${dueMs} ${owner.name} ${label}`;
    if (this.#keepsTrace) this.trace.push(text);
    for (let at = 0; at < text.length; at++) {
      this.#high = Math.imul(this.#high ^ text.charCodeAt(at), 0x01000193);
      this.#low = Math.imul(this.#low, 0x85ebca6b) + text.charCodeAt(at) | 0;
    }
  }

  #push(step: Step): void {
    const queue = this.#queue;
    let at = queue.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(step, queue[parent]!)) break;
      queue[at] = queue[parent]!;
      at = parent;
    }
    queue[at] = step;
  }

  #pop(): Step | undefined {
    const queue = this.#queue;
    const first = queue[0];
    const last = queue.pop();
    if (last === undefined || queue.length === 0) return last;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= queue.length) break;
      if (child + 1 < queue.length && isBefore(queue[child + 1]!, queue[child]!)) child++;
      if (!isBefore(queue[child]!, last)) break;
      queue[at] = queue[child]!;
      at = child;
    }
    queue[at] = last;
    return first;
  }
}

function isBefore(a: Step, b: Step): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
