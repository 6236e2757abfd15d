/** A worker of the rollup over a queue and a store in memory: what it keeps, repeats and leaves to others. */
import * as assert from "uvu/assert";
import type { Minute } from "../../src/core/minute.ts";
import { LatecomerError } from "../../src/errors.ts";
import type { Clock, DirtyMinuteQueue, TakenMark } from "../../src/ports.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { RollupWorker } from "../../src/runtime/rollup.ts";
import { eventually, within } from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const AWAY = new LatecomerError("AWAY", "retryable", "no answer");

/** Time that passes a thousand times as fast. */
const FAST: Clock = {
  now: () => systemClock.now() * 1_000,
  sleep: (ms, signal) => systemClock.sleep(Math.ceil(ms / 1_000), signal),
};

const minute = (n: number): Minute => ({ source: "org", startMs: n * 60_000 });

/** One hand at a time, and a mark that is made again outlives the one in hand. */
class MemoryQueue implements DirtyMinuteQueue {
  readonly #waiting: (Minute | undefined)[] = [];
  readonly #inHand = new Set<TakenMark>();
  working = 0;

  mark(...minutes: (Minute | undefined)[]): void {
    this.#waiting.push(...minutes);
  }

  take(most: number): Promise<TakenMark[]> {
    const taken = this.#waiting.splice(0, most).map((of): TakenMark => {
      const mark: TakenMark = {
        minute: of,
        finish: () => void this.#inHand.delete(mark),
        working: () => void this.working++,
      };
      this.#inHand.add(mark);
      return mark;
    });
    return Promise.resolve(taken);
  }

  get inHand(): number {
    return this.#inHand.size;
  }

  backlog() {
    return Promise.resolve({ pending: this.#waiting.length + this.inHand, oldestMs: 0 });
  }
}

/** Time in which a pause has no end of its own. */
const STOPPED: Clock = {
  now: () => 0,
  sleep: (_, signal) => new Promise((resolve) => signal?.addEventListener("abort", () => resolve())),
};

/** A worker whose store does this. */
function workerOf(
  queue: MemoryQueue,
  recompute: (minutes: readonly Minute[]) => Promise<number>,
  clock = FAST,
): RollupWorker {
  return new RollupWorker({ queue, store: { recompute }, clock, log: SILENT, random: () => 0.5 });
}

describe("a worker of the rollup", (test) => {
  test("finishes marks once their rows are durable, and those of no minute too", async () => {
    const queue = new MemoryQueue();
    const done: Minute[] = [];
    const inHand: number[] = [];
    const worker = workerOf(queue, (minutes) => {
      inHand.push(queue.inHand);
      done.push(...minutes);
      return Promise.resolve(minutes.length);
    });
    queue.mark(minute(1), undefined, minute(2));
    await within("drained", worker.drained());
    queue.mark(minute(1));
    await within("drained", worker.drained());
    await within("stopped", worker.stop());
    assert.equal(done, [minute(1), minute(2), minute(1)]);
    assert.equal(inHand, [3, 1], "no mark is finished before");
    assert.equal(Object.fromEntries(worker.counts), { minutes_recomputed: 3, marks_finished: 4 });
  });

  test("takes what waits some hundred minutes at a time, without a pause between them", async () => {
    const queue = new MemoryQueue();
    const sizes: number[] = [];
    const worker = workerOf(queue, (minutes) => Promise.resolve(sizes.push(minutes.length)), STOPPED);
    queue.mark(...Array.from({ length: 900 }, (_, n) => minute(n)));
    worker.run();
    await eventually("all of them", () => sizes.reduce((sum, size) => sum + size, 0) === 900);
    await within("stopped", worker.stop());
    assert.equal(sizes, [400, 400, 100]);
  });

  test("keeps its marks while the engine is away, and takes no more", async () => {
    const queue = new MemoryQueue();
    let failures = 3;
    const asked: Minute[][] = [];
    const worker = workerOf(queue, (minutes) => {
      asked.push([...minutes]);
      return failures-- > 0 ? Promise.reject(AWAY) : Promise.resolve(minutes.length);
    });
    queue.mark(minute(1));
    await within("drained", worker.drained());
    await worker.stop();
    assert.equal(asked, [[minute(1)], [minute(1)], [minute(1)], [minute(1)]]);
  });

  test("says that it is at work while a recomputation takes long", async () => {
    const queue = new MemoryQueue();
    let end = () => {};
    const worker = workerOf(queue, (minutes) => new Promise((resolve) => end = () => resolve(minutes.length)));
    worker.run();
    queue.mark(minute(1), minute(2));
    await eventually("told for both, twice", () => queue.working >= 4);
    end();
    await within("drained", worker.drained());
    const told = queue.working;
    await FAST.sleep(60_000);
    assert.is(queue.working, told, "and no longer");
    await worker.stop();
  });

  test("leaves its marks to others when it is stopped while the engine is away", async () => {
    const queue = new MemoryQueue();
    const worker = workerOf(queue, () => Promise.reject(AWAY));
    const running = worker.run();
    queue.mark(minute(1));
    await eventually("taken", () => queue.inHand === 1);
    await within("stopped", worker.stop());
    await running;
    assert.is(queue.inHand, 1);
  });

  test("ends with what trying again does not mend, and whoever waits is told", async () => {
    const queue = new MemoryQueue();
    const broken = new LatecomerError("TABLE_MISSING", "fatal", "no such table");
    const worker = workerOf(queue, () => Promise.reject(broken));
    queue.mark(minute(1));
    for (const wait of [worker.drained(), worker.run(), worker.stop()]) {
      assert.is(await within("told", wait.then(() => undefined, (error) => error)), broken);
    }
  });
});
