/**
 * The integration harness: a fresh installation, fixtures loaded into it by the commands that users have, run until
 * drained, then all assertion packs. Each stage is timed.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { PACKS, USUAL_PACKS } from "../../src/assert/pack.ts";
import type { PackResult } from "../../src/assert/run.ts";
import { registerAssert } from "../../src/cli/assert.ts";
import type { Context } from "../../src/cli/context.ts";
import { registerExportFixtures } from "../../src/cli/export-fixtures.ts";
import { registerLoadFixtures } from "../../src/cli/load-fixtures.ts";
import { registerRun } from "../../src/cli/run.ts";
import { type Cluster, productionEvents, withServedCluster } from "./cluster.ts";
import { environmentOf, inProcess } from "./command.ts";
import { STRESS } from "./stress.ts";

/** What is loaded, and over which window of event time it is judged. */
export interface FixtureSet {
  readonly name: string;
  readonly folder: string;
  readonly from: string;
  readonly to: string;
  readonly packs: readonly string[];
}

export interface Answer {
  readonly passed: number;
  readonly warned: number;
  readonly failed: number;
  readonly packs: readonly PackResult[];
}

export interface SetReport extends Answer {
  readonly set: string;
  readonly stages: readonly { readonly stage: string; readonly ms: number }[];
}

/** The stress scenario's messages lie forty minutes apart, and none of them may be too late for any other. */
export const SETTINGS = { allowedLatenessMs: "2000h" };

/** All of the bundled production events. */
const PRODUCTION = { from: "2026-01-08", to: "2026-02-26" };

/** The fixture sets: production's events in both orders, exported into these folders, and the ordering stress. */
export function fixtureSets(exported: string): FixtureSet[] {
  const packs = PACKS.filter((pack) => pack !== "scenario_candidates");
  return [
    { name: "production, as delivered", folder: join(exported, "stream"), ...PRODUCTION, packs },
    { name: "production, capabilities first", folder: join(exported, "capabilities-first"), ...PRODUCTION, packs },
    {
      name: "ordering stress",
      folder: STRESS,
      from: "2026-02-25T19:00:00Z",
      to: "2026-02-25T22:00:00Z",
      packs: USUAL_PACKS,
    },
  ];
}

/** Writes the two production sets, from an installation that was given production's events by their publishers. */
export function exportProduction(folder: string): Promise<void> {
  if (existsSync(join(folder, "stream"))) return Promise.resolve();
  return withServedCluster(SETTINGS, async (cluster) => {
    await cluster.publish("production", productionEvents());
    await cluster.process();
    const window = ["--from", PRODUCTION.from, "--to", PRODUCTION.to];
    await command(cluster, registerExportFixtures, ["export-fixtures", ...window, "--out", join(folder, "stream")]);
    const first = ["--out", join(folder, "capabilities-first"), "--capability-precede-session"];
    await command(cluster, registerExportFixtures, ["export-fixtures", ...window, ...first]);
  });
}

/** Loads a set into a fresh installation, processes it, and asks the packs. */
export async function judge(set: FixtureSet): Promise<SetReport> {
  const stages: { stage: string; ms: number }[] = [];
  let last = performance.now();
  const done = (stage: string) => {
    const now = performance.now();
    stages.push({ stage, ms: Math.round(now - last) });
    last = now;
  };
  let answer: Answer | undefined;
  await withServedCluster(SETTINGS, async (cluster) => {
    done("stack up");
    await command(cluster, registerLoadFixtures, ["load-fixtures", set.folder]);
    done("load fixtures");
    await command(cluster, registerRun, ["run", "--until-drained", "--allowed-lateness", SETTINGS.allowedLatenessMs]);
    done("run until drained");
    answer = await ask(cluster, set);
    done("assertion packs");
  });
  done("stack down");
  return { set: set.name, stages, ...answer! };
}

/** What the packs of a set say of what was processed. */
export async function ask(cluster: Cluster, { from, to, packs }: FixtureSet): Promise<Answer> {
  const args = ["assert", ...packs, "--from", from, "--to", to, "--json"];
  return JSON.parse(await command(cluster, registerAssert, args, [0, 1]));
}

async function command(
  cluster: Cluster,
  register: (program: Command, context: Context) => void,
  args: string[],
  codes: readonly number[] = [0],
): Promise<string> {
  const { code, out, err } = await inProcess(register, environmentOf(cluster), args);
  if (!codes.includes(code ?? -1)) throw new Error(`${args.join(" ")} ended with ${code}: ${err}`);
  return out;
}
