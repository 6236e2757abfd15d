/**
 * A strict reader of `deploy/Dockerfile`, and a builder that carries its steps out in folders instead of images: COPY,
 * WORKDIR and RUN as they stand, on the Node and npm of this machine. What it does not know is an error.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FILE = join(ROOT, "deploy/Dockerfile");
const KNOWN = ["FROM", "WORKDIR", "COPY", "RUN", "ENV", "LABEL", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"];

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

export interface Stage {
  readonly image: string;
  /** `""` for the stage that becomes the image. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

/** The stages in their order. Throws at an instruction that is not known, or that stands before the first FROM. */
export function readStages(): Stage[] {
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  const lines = readFileSync(FILE, "utf8").split("\n").filter((line) => !line.startsWith("#")).join("\n");
  for (const line of lines.replaceAll(/\\\n\s*/g, "").split("\n")) {
    if (line === "") continue;
    const [, name, text] = /^([A-Z]+) (.+)$/.exec(line) ?? [];
    if (name === undefined || !KNOWN.includes(name)) throw new Error(`not an instruction: ${line}`);
    const from = /^(\S+)(?: AS (\S+))?$/.exec(text!);
    if (name === "FROM") stages.push({ image: from![1]!, name: from![2] ?? "", instructions: [] });
    else stages.at(-1)!.instructions.push({ name, text: text! });
  }
  return stages;
}

/** The arguments of the one instruction of this name. */
export function only(stage: Stage, name: string): string {
  const found = stage.instructions.filter((each) => each.name === name);
  if (found.length !== 1) throw new Error(`${found.length} times ${name}`);
  return found[0]!.text;
}

export interface Copy {
  /** The stage that is copied from, `""` for the folder of the build. */
  readonly from: string;
  readonly sources: readonly string[];
  readonly target: string;
}

export function readCopy(text: string): Copy {
  const words = text.split(" ");
  const from = words[0]!.startsWith("--from=") ? words.shift()!.slice("--from=".length) : "";
  return { from, sources: words.slice(0, -1), target: words.at(-1)! };
}

/** Says what stands in for a RUN, by doing it; false to have it run. */
export type StandIn = (command: string, cwd: string) => boolean;

/** Builds every stage below `folder`; returns where the last one's working directory is. */
export function build(folder: string, standIn: StandIn): string {
  let cwd = "";
  for (const [at, stage] of readStages().entries()) {
    const root = join(folder, stage.name || "image");
    cwd = root;
    for (const { name, text } of stage.instructions) {
      if (name === "WORKDIR") mkdirSync(cwd = join(root, text), { recursive: true });
      if (name === "RUN" && !standIn(text, cwd)) run(text, cwd);
      if (name !== "COPY") continue;
      const { from, sources, target } = readCopy(text);
      for (const source of sources) {
        const into = target.endsWith("/") ? join(cwd, target, source) : join(cwd, target);
        cpSync(from === "" ? join(ROOT, source) : join(folder, from, source), into, { recursive: true });
      }
    }
    if (at === 0 && cwd === root) throw new Error("the first stage has no working directory");
  }
  return cwd;
}

function run(command: string, cwd: string): void {
  execFileSync("sh", ["-ec", command], { cwd, stdio: ["ignore", "pipe", "inherit"] });
}
