/** The stress scenario as `triage` sees it: a helper of its tests, and of the picture in the README. */
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { registerRun } from "../../src/cli/run.ts";
import { registerTriage } from "../../src/cli/triage.ts";
import type { Triage } from "../../src/triage/triage.ts";
import type { Cluster, Ended } from "./cluster.ts";
import { openFile } from "./browser.ts";
import { environmentOf, inProcess } from "./command.ts";

/** The hours of the stress scenario. */
export const STRESS_HOURS = ["--from", "2026-02-25T19:00:00Z", "--to", "2026-02-25T22:00:00Z"];

/** Publishes messages and processes them to the end, rollup and all. */
export async function settle(cluster: Cluster, source: string, messages: readonly Uint8Array[]): Promise<void> {
  await cluster.publish(source, messages);
  const { code, err } = await inProcess(registerRun, environmentOf(cluster), ["run", "--until-drained"]);
  if (code !== 0) throw new Error(`run ended with ${code}: ${err}`);
}

/** Runs `triage` over the stress scenario; `env` adds to the environment of the installation. */
export function triageCommand(
  cluster: Cluster,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Ended> {
  return inProcess(registerTriage, { ...environmentOf(cluster), ...env }, ["triage", ...STRESS_HOURS, ...args]);
}

/** The document of `triage --json`, and its exit code. */
export async function triageJson(
  cluster: Cluster,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<{ code: number | null; found: Triage }> {
  const { code, out, err } = await triageCommand(cluster, ["--json", ...args], env);
  if (out === "") throw new Error(`triage ended with ${code}: ${err}`);
  return { code, found: JSON.parse(out) };
}

/** Writes the page of what is in a cluster into a folder. */
export async function writePage(cluster: Cluster, folder: string): Promise<string> {
  const file = join(folder, "triage.html");
  const { err } = await triageCommand(cluster, ["--html", file]);
  if (err !== "") throw new Error(err);
  return file;
}

/** Takes the picture of a page that the README shows. */
export async function takePicture(browser: Browser, page: string, picture: string): Promise<void> {
  const opened = await openFile(browser, page, { viewport: { width: 960, height: 1080 }, colorScheme: "light" });
  await opened.page.screenshot({ path: picture });
}
