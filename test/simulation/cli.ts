/**
 * Simulates seeds one after the other; those that find something are printed, each with the command that repeats it.
 *
 *     npm run test:simulation -- --seeds 1000           seeds 0 to 999
 *     npm run test:simulation -- --seed 17 [--trace]    one seed, with every step that it takes
 *     npm run test:simulation -- --seeds 1000 --seed 5000
 */
import { parseArgs } from "node:util";
import { simulate } from "./run.ts";

const { values } = parseArgs({
  options: { seeds: { type: "string" }, seed: { type: "string" }, trace: { type: "boolean", default: false } },
});
const MOST_SHOWN = 5;

const first = Number(values.seed ?? 0);
const count = Number(values.seeds ?? 1);
const started = performance.now();
let [steps, failed] = [0, 0];
for (let seed = first; seed < first + count; seed++) {
  const { findings, steps: taken, trace } = await simulate(seed, { keepsTrace: values.trace });
  steps += taken;
  for (const step of trace) console.log(step);
  if (seed % 10_000 === 9_999) console.error(`${seed + 1 - first} seeds, ${failed} failed`);
  if (findings.length === 0) continue;
  failed++;
  console.log(`seed ${seed}: npm run test:simulation -- --seed ${seed}`);
  for (const { kind, text } of findings.slice(0, MOST_SHOWN)) console.log(`  ${kind}: ${text}`);
  if (findings.length > MOST_SHOWN) console.log(`  and ${findings.length - MOST_SHOWN} more`);
}
const seconds = ((performance.now() - started) / 1_000).toFixed(1);
console.log(`${count} seeds, ${failed} failed; ${steps} steps, ${seconds} s`);
process.exitCode = failed > 0 ? 1 : 0;
