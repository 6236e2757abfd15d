/**
 * Takes the pictures in the README again: the page of the stress scenario with one snapshot withheld, a sample of it
 * explained when the snapshot has come, and the demo.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { withBrowser } from "./helpers/browser.ts";
import { inFolder, latecomer, withServedCluster } from "./helpers/cluster.ts";
import { environmentOf } from "./helpers/command.ts";
import { EVENTS, WITHHELD } from "./helpers/stress.ts";
import { TERMINAL, terminalSvg } from "./helpers/terminal.ts";
import { settle, takePicture, writePage } from "./helpers/triage.ts";

/** Of the demo its first samples and what it comes to are shown: what lies between is longer than a page. */
const DEMO_HEAD = 15;
const DEMO_TAIL = 26;

const pictureOf = (name: string) => fileURLToPath(new URL(`../deploy/screenshots/${name}`, import.meta.url));

async function printed(cwd: string, args: readonly string[], env: Record<string, string> = {}): Promise<string[]> {
  const { code, out, err } = await latecomer(args, { cwd, env: { ...env, ...TERMINAL } }, 120_000);
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${err}`);
  return out.trimEnd().split("\n");
}

function write(name: string, command: string, lines: readonly string[]): void {
  writeFileSync(pictureOf(name), terminalSvg(command, [`$ ${command}`, ...lines]));
}

await withServedCluster({}, async (cluster) => {
  await cluster.clickhouse.command("SYSTEM STOP MERGES"); // The versions that were replaced are to be shown.
  await settle(cluster, "org", EVENTS);
  const page = await writePage(cluster, cluster.folder);
  await withBrowser((browser) => takePicture(browser, page, pictureOf("triage.png")));
  await settle(cluster, "org", WITHHELD);
  const explained = await printed(cluster.folder, ["explain", "late-status-10"], environmentOf(cluster));
  write("explain.svg", "latecomer explain late-status-10", explained);
});
await inFolder(async (folder) => {
  // The last tells how long it took here.
  const lines = (await printed(folder, ["demo"])).slice(0, -1);
  const between = `⋮ ${lines.length - DEMO_HEAD - DEMO_TAIL} lines`;
  write("demo.svg", "npm run -s demo", [...lines.slice(0, DEMO_HEAD), between, ...lines.slice(-DEMO_TAIL)]);
});
