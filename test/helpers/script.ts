/** Programs of a test in a process of their own, and whether a process lives. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie that nobody has waited for yet is dead, too.
    return !existsSync("/proc/self") || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** What a script imports a file of the project by. */
export function moduleUrl(path: string): string {
  return pathToFileURL(join(root, path)).href;
}

export interface Child {
  readonly pid: number;
  /** What it has said so far. */
  readonly output: string;
  /** Resolves with its exit code when it has ended. */
  readonly ended: Promise<number | null>;
  /** Resolves when its output holds the text; rejects when it ends first or after 30 s. */
  said(text: string): Promise<void>;
  kill(): Promise<void>;
}

/** Runs TypeScript in another process on the runtime that runs this test. */
export function runScript(folder: string, code: string): Child {
  const file = join(folder, "script.ts");
  // On Node a module's kind depends on its folder; this one has no package.json.
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(file, code);
  const args = "Deno" in globalThis
    ? ["run", "-A", "--no-check", "--config", join(root, "deno.json"), file]
    : ["--import", "tsx", "--no-warnings", file];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  let output = "";
  let listener = () => {};
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
      listener();
    });
  }
  return {
    pid: child.pid!,
    get output() {
      return output;
    },
    ended,
    said: (text) =>
      new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`never said "${text}": ${output}`)), 30_000);
        listener = () => {
          if (!output.includes(text)) return;
          clearTimeout(timer);
          resolve();
        };
        listener();
        ended.then(() => {
          clearTimeout(timer);
          reject(new Error(`ended without saying "${text}": ${output}`));
        });
      }),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
