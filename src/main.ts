/**
 * The command line. The only file that looks at the process around it: arguments, environment, signals, exit code.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { Command, CommanderError } from "commander";
import { registerAssert } from "./cli/assert.ts";
import { registerAudit } from "./cli/audit.ts";
import { registerCutover } from "./cli/cutover.ts";
import { registerDemo } from "./cli/demo.ts";
import { registerDev } from "./cli/dev.ts";
import { registerDigest } from "./cli/digest.ts";
import { registerDlq } from "./cli/dlq.ts";
import { registerDoctor } from "./cli/doctor.ts";
import { registerExportFixtures } from "./cli/export-fixtures.ts";
import { registerExplain } from "./cli/explain.ts";
import { registerInit } from "./cli/init.ts";
import { registerLoadFixtures } from "./cli/load-fixtures.ts";
import { registerPublish } from "./cli/publish.ts";
import { registerReplay } from "./cli/replay.ts";
import { registerRollup } from "./cli/rollup.ts";
import { registerRun } from "./cli/run.ts";
import { registerTriage } from "./cli/triage.ts";
import { registerSimulate } from "./cli/simulate.ts";
import { registerVerify } from "./cli/verify.ts";
import { registerWhatIf } from "./cli/what-if.ts";
import type { Context } from "./cli/context.ts";
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
  const program = new Command("latecomer")
    .description("Attributes Livepeer telemetry to orchestrator, model and GPU, in whatever order it arrives.")
    .version(version)
    .exitOverride()
    // A flag belongs to the command in front of it: `replay` and its subcommands have flags of one name.
    .enablePositionalOptions()
    .configureHelp({ showGlobalOptions: false });
  const register = [
    registerDev,
    registerDemo,
    registerInit,
    registerPublish,
    registerSimulate,
    registerRun,
    registerRollup,
    registerReplay,
    registerDigest,
    registerDoctor,
    registerTriage,
    registerVerify,
    registerDlq,
    registerCutover,
    registerAudit,
    registerAssert,
    registerExportFixtures,
    registerLoadFixtures,
    registerExplain,
    registerWhatIf,
  ];
  for (const one of register) one(program, context);
  for (const command of program.commands) command.exitOverride();
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
