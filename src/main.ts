/**
 * The command line. The only file that looks at the process around it: arguments, environment, signals, exit code.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { CommanderError } from "commander";
import type { Context } from "./cli/context.ts";
import { commandLine } from "./cli/program.ts";
import { EXIT, exitCodeOf } from "./errors.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

async function main(): Promise<number> {
  let exitCode: number = EXIT.done;
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      // The first asks for a clean end; who asks again does not want to wait for it.
      if (stopping.signal.aborted) process.exit(EXIT.failed);
      stopping.abort();
    });
  }
  const context: Context = {
    env: process.env,
    signal: stopping.signal,
    version,
    setExitCode: (code) => exitCode = code,
  };
  const program = commandLine(context);
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    process.stderr.write(`latecomer: ${messageOf(error)}\n`);
    return exitCodeOf(error);
  }
  return exitCode;
}

/** The message of an error of ours says all; of a stranger the stack tells where it came from. */
function messageOf(error: unknown): string {
  const code = exitCodeOf(error);
  if (!(error instanceof Error)) return String(error);
  return code === EXIT.failed && error.name !== "LatecomerError" ? error.stack ?? error.message : error.message;
}

const code = await main();
// What a command left behind (an aborted query, a reconnecting client) must not keep the process alive.
process.exit(code);
