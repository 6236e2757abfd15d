/**
 * The one way to declare tests: uvu's suite, run as soon as it is declared and counted.
 *
 * uvu 0.5.6 passes falsely when a file forgets `.run()` or when a `before` hook throws. Here a suite cannot
 * be left unrun, there are no hooks, and when the process ends it says how many tests were declared, which
 * `test/run.ts` compares with how many passed.
 */
import { suite } from "uvu";

/** Declares one test: its name reads as a claim, its body throws when the claim is false. */
export type Declare = (claim: string, body: () => void | Promise<void>) => void;

let declared = 0;
let passed = 0;

process.on("exit", () => {
  console.log(`declared ${declared}, passed ${passed}`);
});

/** Declares and runs a suite; `subject` is what the claims are about. */
export function describe(subject: string, declare: (test: Declare) => void): void {
  const tests = suite(subject);
  declare((claim, body) => {
    declared++;
    tests(claim, async () => {
      await body();
      passed++;
    });
  });
  tests.run();
}
