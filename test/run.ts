/**
 * Runs the test files, each in a process of its own with a time limit, and closes with `N passed, N failed`.
 *
 *     npm test [-- PATTERN …]        the everyday suite on Node
 *     deno task test [PATTERN …]     the same under Deno
 *     npm run test:soak              what fails, in its full length
 *
 * A file fails when its process fails, when it runs out of time, when it declares no test, or when fewer
 * tests passed than were declared (see helpers/suite.ts for why the exit code alone proves nothing).
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureNatsServer } from "../src/local/nats-install.ts";
import { temporaryFolder } from "./helpers/temporary.ts";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);

/** How long one file may take, in milliseconds: more than twice what the longest takes on a quiet core, for machines are shared. */
const TIME_LIMIT_MS = { everyday: 600_000, soak: 1_200_000 };

interface Result {
  file: string;
  passed: number;
  failed: number;
  seconds: number;
  output: string;
  why: string;
}

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "fixtures" ? [] : testFiles(path);
    return entry.name.endsWith(".test.ts") ? [path] : [];
  });
}

function commandFor(file: string, deno: boolean): [string, string[]] {
  return deno
    ? [process.execPath, ["run", "-A", "--no-check", file]]
    : [process.execPath, ["--import", "tsx", "--no-warnings", file]];
}

function runFile(file: string, folder: string, deno: boolean, soak: boolean): Promise<Result> {
  const started = performance.now();
  const limit = TIME_LIMIT_MS[soak ? "soak" : "everyday"];
  const [command, args] = commandFor(file, deno);
  return new Promise((resolve) => {
    const env = { ...process.env, TMPDIR: folder, ...(soak ? { LATECOMER_SOAK: "1" } : {}) };
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    let why = "";
    child.stdout.on("data", (chunk) => output += chunk);
    child.stderr.on("data", (chunk) => output += chunk);
    // The whole process group goes, so that no server started by a test outlives it.
    const stop = () => {
      try {
        process.kill(-child.pid!, "SIGKILL");
      } catch {
        // The group is gone already.
      }
    };
    const timer = setTimeout(() => {
      why = `ran longer than ${limit / 1000} s`;
      stop();
    }, limit);
    child.on("close", (code) => {
      clearTimeout(timer);
      stop();
      const counts = /^declared (\d+), passed (\d+)$/m.exec(output);
      const declared = Number(counts?.[1] ?? 0);
      const passed = Number(counts?.[2] ?? 0);
      if (why === "" && counts === null) why = "ended without a count of its tests";
      if (why === "" && declared === 0) why = "declares no test";
      if (why === "" && code !== 0) why = `exit ${code}`;
      if (why === "" && passed !== declared) why = `${declared - passed} of ${declared} tests did not pass`;
      const failed = why === "" ? 0 : Math.max(1, declared - passed);
      resolve({
        file: relative(here, file),
        passed,
        failed,
        seconds: (performance.now() - started) / 1000,
        output,
        why,
      });
    });
  });
}

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  const deno = args.includes("--deno");
  const soak = args.includes("--soak");
  const named = args.filter((arg) => !arg.startsWith("--"));
  // What depends on the runtime is the arithmetic of the core and one way through all adapters.
  const patterns = named.length === 0 && deno
    ? [`${sep}core${sep}`, `${sep}runtime${sep}`, `${sep}engines.test.ts`]
    : named;
  const files = testFiles(here)
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
    .sort();
  // Once, before two files would try to install it at the same time.
  if (files.some((file) => file.includes(`${sep}integration${sep}`))) await ensureNatsServer();
  const results: Result[] = [];
  const folder = mkdtempSync(join(temporaryFolder(), "latecomer-tests-"));
  const queue = [...files];
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file, folder, deno, soak);
      results.push(result);
      const mark = result.failed === 0 ? "ok  " : "FAIL";
      console.log(`${mark} ${result.file}  ${result.passed} tests, ${result.seconds.toFixed(1)} s  ${result.why}`);
      for (const line of result.output.match(/^skipped: .*$/gm) ?? []) console.log(`     ${line}`);
      // A soak is run for its figures.
      if (result.failed > 0 || soak) console.log(result.output.replace(/^/gm, "     "));
    }
  };
  await Promise.all(Array.from({ length: soak ? 1 : Math.min(2, availableParallelism()) }, worker));
  rmSync(folder, { recursive: true, force: true });
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  if (files.length === 0) console.log("no test file matches");
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

process.exitCode = await main();
