/** Trying again: how long it pauses, and when it stops. */
import * as assert from "uvu/assert";
import { LatecomerError } from "../../src/errors.ts";
import type { Clock } from "../../src/ports.ts";
import { BACKOFF, Retries } from "../../src/runtime/retry.ts";
import { describe } from "../helpers/suite.ts";

const AWAY = new LatecomerError("AWAY", "retryable", "it is away");
const BROKEN = new LatecomerError("BROKEN", "fatal", "it is broken");

/** Retries whose pauses take no time and are noted; `random` is always the same. */
function noted(random: number) {
  const pauses: number[] = [];
  const stopping = new AbortController();
  const clock: Clock = { now: () => 0, sleep: (ms) => Promise.resolve(void pauses.push(ms)) };
  const told: number[] = [];
  const onRetry = (_: Error, attempt: number) => told.push(attempt);
  return {
    pauses,
    told,
    stopping,
    retries: new Retries({ clock, random: () => random, signal: stopping.signal, onRetry }),
  };
}

/** Work that fails so many times before it succeeds. */
function failing(times: number, error: Error = AWAY): () => Promise<string> {
  let left = times;
  return () => left-- > 0 ? Promise.reject(error) : Promise.resolve("done");
}

describe("work that is tried again", (test) => {
  test("pauses twice as long each time, never longer than the longest, and at least half of that", async () => {
    for (const [random, part] of [[0, 0.5], [1 - Number.EPSILON, 1]] as const) {
      const { pauses, told, retries } = noted(random);
      assert.is(await retries.run(failing(20)), "done");
      const ceilings = pauses.map((_, at) => Math.min(BACKOFF.firstMs * 2 ** at, BACKOFF.longestMs));
      assert.equal(pauses, ceilings.map((ms) => Math.round(ms * part)));
      assert.equal(told, pauses.map((_, at) => at + 1));
    }
  });

  test("begins with the first pause each time, and fails only while one of them does", async () => {
    const { pauses, retries } = noted(0);
    assert.is(retries.areFailing, false);
    await retries.run(failing(3));
    assert.is(retries.areFailing, false);
    await retries.run(() => (assert.is(retries.areFailing, false), Promise.resolve()));
    pauses.length = 0;
    let isFailing = false;
    const work = failing(1);
    await retries.run(() => (isFailing = retries.areFailing, work()));
    assert.is(isFailing, true);
    assert.equal(pauses, [BACKOFF.firstMs / 2]);
  });

  test("is not tried again when that mends nothing, nor once it is to stop", async () => {
    const { pauses, stopping, retries } = noted(0);
    const codeOf = (work: () => Promise<string>) => retries.run(work).catch(({ code }) => code);
    assert.is(await codeOf(failing(1, BROKEN)), "BROKEN");
    stopping.abort();
    assert.is(await codeOf(failing(1)), "AWAY");
    assert.equal(pauses, []);
    assert.is(retries.areFailing, false);
  });
});
