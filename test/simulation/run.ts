/** One seed: its world under all its faults, and undisturbed; what they leave is compared. */
import { seeded } from "../../src/runtime/shuffle.ts";
import { withoutRealTime } from "./guard.ts";
import { type OpenPorts, openPorts } from "./installation.ts";
import { Scenario } from "./scenario.ts";
import { Scheduler } from "./scheduler.ts";
import { check, compare, compareWithOracle, type Finding } from "./verdict.ts";
import { type World, worldOf } from "./world.ts";

/** What a seed came to. */
export interface Report {
  readonly seed: number;
  readonly findings: readonly Finding[];
  readonly steps: number;
  /** The steps of the run, where they were asked for. */
  readonly trace: readonly string[];
}

export interface RunOptions {
  /** The processes' way to the servers; a defect has another. */
  readonly ports?: OpenPorts;
  /** Whether a second run shows that the first can be repeated; where nothing is said, that of every eighth seed does. */
  readonly repeats?: boolean;
  readonly keepsTrace?: boolean;
}

/** What cannot be repeated is seldom one seed's alone, and a repeat costs as much as the run. */
const EVERY = 8;

/** Simulates a seed; the same seed gives the same report. */
export function simulate(seed: number, options: RunOptions = {}): Promise<Report> {
  const { ports = openPorts, repeats = seed % EVERY === 0, keepsTrace = false } = options;
  return withoutRealTime(async () => {
    const [scenario, scheduler, world, findings] = await play(seed, ports, keepsTrace);
    if (repeats) {
      const [, again] = await play(seed, ports, false);
      if (again.hash !== scheduler.hash) {
        findings.push({ kind: "trace", text: `${again.hash} after ${scheduler.hash}` });
      }
    }
    const [calm, , , failures] = await playUndisturbed(world, ports);
    findings.push(...failures, ...check(scenario.servers), ...compare(scenario.servers, calm.servers));
    findings.push(...compareWithOracle(calm.servers, world));
    return { seed, findings, steps: scheduler.steps, trace: scheduler.trace };
  });
}

type Played = [scenario: Scenario, scheduler: Scheduler, world: World, findings: Finding[]];

async function play(seed: number, ports: OpenPorts, keepsTrace: boolean): Promise<Played> {
  const random = seeded(seed);
  const world = worldOf(random);
  return await carryOut(world, random, ports, keepsTrace, (scenario) => scenario.disturbed());
}

function playUndisturbed(world: World, ports: OpenPorts): Promise<Played> {
  const alone = { ...world, partitions: 1, batchRows: 100, lingerMs: 100, mostSessions: Infinity, sessionLagMs: 0 };
  return carryOut(alone, seeded(0), ports, false, (scenario) => scenario.undisturbed());
}

async function carryOut(
  world: World,
  random: () => number,
  ports: OpenPorts,
  keepsTrace: boolean,
  work: (scenario: Scenario) => Promise<void>,
): Promise<Played> {
  const scheduler = new Scheduler(keepsTrace);
  const scenario = new Scenario(scheduler, world, random, ports);
  const findings: Finding[] = [];
  try {
    await scheduler.run(work(scenario));
  } catch (error) {
    findings.push({ kind: "failure", text: (error as Error).stack! });
  }
  findings.push(...scenario.failures.map((text): Finding => ({ kind: "failure", text })));
  return [scenario, scheduler, world, findings];
}
