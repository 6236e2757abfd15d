/** A probe, and what it tells while an answer does not come. */
import * as assert from "uvu/assert";
import type { Clock } from "../../src/ports.ts";
import { Probe } from "../../src/runtime/probe.ts";
import { describe } from "../helpers/suite.ts";

/** Everything that can go on by itself has. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("a probe", (test) => {
  test("tells the last answer, nothing once the next is overdue, and asks again only when that has come", async () => {
    const pauses: (() => void)[] = [];
    const clock: Clock = {
      now: () => 0,
      sleep: (_, signal) =>
        new Promise((resolve) => {
          pauses.push(resolve);
          signal?.addEventListener("abort", () => resolve());
        }),
    };
    /** Ends the pause that began last. */
    const pass = async () => {
      pauses.at(-1)!();
      await settled();
    };
    const answers: ((answer: string) => void)[] = [];
    const probe = new Probe(() => new Promise<string>((resolve) => answers.push(resolve)), clock);
    assert.is(probe.answer, undefined);
    answers[0]!("first");
    await settled();
    assert.is(probe.answer, "first");
    await pass();
    assert.is(answers.length, 2, "asked again");
    assert.is(probe.answer, "first", "while there is time");
    await pass();
    assert.is(probe.answer, undefined);
    await pass();
    assert.is(answers.length, 2, "not asked a third time");
    answers[1]!("late");
    await settled();
    assert.is(probe.answer, "late");
    probe.stop();
    await settled();
    assert.is(answers.length, 2);
  });
});
