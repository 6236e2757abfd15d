/** The commands of `deploy/RUNBOOK.md`, carried out as they stand there. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Cluster, Ended } from "./cluster.ts";
import { environmentOf } from "./command.ts";
import { readPage } from "./markdown.ts";

const PATH = "deploy/RUNBOOK.md";
const TSX = import.meta.resolve("tsx");
const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const NATS = fileURLToPath(new URL("nats-command.ts", import.meta.url));

/** The scripts of a section, in their order. */
export function scriptsOf(heading: string): string[] {
  const text = readFileSync(new URL(`../../${PATH}`, import.meta.url), "utf8");
  const section = text.split(/^## /m).find((one) => one.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`${PATH} has no section ${heading}`);
  return readPage(PATH, section).code.filter(({ language }) => language === "sh").map((one) => one.text);
}

/**
 * Has a shell carry out a script in a folder, over an installation, up to the first command that fails. `run` ends when
 * everything is processed; values stand in for the page's placeholders.
 */
export function carryOut(
  script: string,
  cwd: string,
  cluster?: Cluster,
  values: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  let text = script.replace(/^latecomer run$/gm, "latecomer run --until-drained");
  for (const [placeholder, value] of Object.entries(values)) text = text.replaceAll(placeholder, value);
  const settings = cluster === undefined ? {} : { ...environmentOf(cluster), LATECOMER_TABLE_RETENTION: "none" };
  const env = { ...process.env, ...settings, PATH: `${programs(cwd)}:${process.env.PATH}` };
  // Asynchronously: the engine may be served by this process.
  const child = spawn("sh", ["-e", "-c", text], { cwd, env });
  const written = { out: "", err: "" };
  child.stdout.on("data", (chunk) => written.out += chunk);
  child.stderr.on("data", (chunk) => written.err += chunk);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, ...written })));
}

/** A folder with `latecomer`, and with a stand-in for `nats` where that is not installed. */
function programs(folder: string): string {
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  const program = (name: string, main: string) => {
    const path = join(bin, name);
    writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" --import "${TSX}" --no-warnings "${main}" "$@"\n`);
    chmodSync(path, 0o755);
  };
  program("latecomer", MAIN);
  if (spawnSync("nats", ["--version"]).error !== undefined) program("nats", NATS);
  return bin;
}
