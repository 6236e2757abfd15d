/**
 * The real core and runtime over simulated servers, clock and network: whatever goes wrong, the facts are those of an
 * undisturbed run, and nothing is lost. That the simulation would notice is shown by processors that are broken.
 *
 *     npm run test:simulation -- --seed N      repeats a seed that a failure names
 */
import { readdirSync, readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import { describe } from "../helpers/suite.ts";
import { type OpenPorts, openPorts } from "./installation.ts";
import { HARMLESS, MUTANTS } from "./mutants.ts";
import { type Report, type RunOptions, simulate } from "./run.ts";
import type { Finding } from "./verdict.ts";
import { foldedTables } from "./warehouse.ts";

const SEEDS = 1_000;

/** Every defect must be found within so many seeds. */
const SEEDS_FOR_MUTANTS = 200;

const chance = Math.random;

/** The first seed whose findings are of these kinds, undefined when there is none. */
async function firstFound(seeds: number, kinds: readonly Finding["kind"][], options: RunOptions) {
  for (let seed = 0; seed < seeds; seed++) {
    const { findings } = await simulate(seed, { repeats: false, ...options });
    if (findings.some(({ kind }) => kinds.includes(kind))) return seed;
  }
  return undefined;
}

function saying({ seed, findings }: Report): string {
  const [first] = findings;
  return `npm run test:simulation -- --seed ${seed}: ${first?.kind}: ${first?.text}`;
}

describe("the simulation", (test) => {
  test(`finds nothing in ${SEEDS} seeds, and those that it repeats take the same steps again`, async () => {
    let steps = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const report = await simulate(seed);
      assert.equal(report.findings.length, 0, saying(report));
      steps += report.steps;
    }
    assert.ok(steps > 200 * SEEDS, "the worlds are not empty");
  });

  for (const [defect, { ports, foundBy }] of Object.entries(MUTANTS)) {
    test(`finds ${defect}`, async () => {
      assert.type(await firstFound(SEEDS_FOR_MUTANTS, foundBy, { ports }), "number");
    });
  }

  const kinds: Finding["kind"][] = ["content", "version", "lost", "contradiction", "oracle", "failure"];
  for (const [oddity, ports] of Object.entries(HARMLESS)) {
    test(`shows that the design does not rest on the contrary of ${oddity}`, async () => {
      assert.is(await firstFound(SEEDS_FOR_MUTANTS, kinds, { ports }), undefined);
    });
  }

  test("notices what cannot be repeated", async () => {
    const ports: OpenPorts = (servers, process) => ({ ...openPorts(servers, process), random: chance });
    assert.type(await firstFound(20, ["trace"], { ports, repeats: true }), "number");
  });

  test("lets nobody ask for real time or chance", async () => {
    const clocks: [name: string, ask: () => unknown][] = [
      ["random", () => Math.random()],
      ["now", () => Date.now()],
      ["now", () => performance.now()],
      ["setTimeout", () => setTimeout(() => {}, 1)],
      ["setInterval", () => setInterval(() => {}, 1)],
    ];
    for (const [name, ask] of clocks) {
      const ports: OpenPorts = (servers, process) => {
        ask();
        return openPorts(servers, process);
      };
      const { findings } = await simulate(0, { ports, repeats: false });
      assert.match(findings[0]?.text ?? "", `${name} is not for simulations`);
    }
  });

  test("folds every table of sql/ by its key", () => {
    const sql = new URL("../../sql/", import.meta.url);
    const texts = readdirSync(sql).filter((file) => file.endsWith(".sql")).map((file) =>
      readFileSync(new URL(file, sql), "utf8")
    );
    const tables = texts.flatMap((text) => [...text.matchAll(/CREATE TABLE IF NOT EXISTS (\w+)/g)]);
    assert.equal(foldedTables().sort(), tables.map(([, table]) => table!).sort());
  });
});
