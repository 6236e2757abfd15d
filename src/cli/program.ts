/** All commands as one program, and how a call of it ends: what is said on stderr, and the exit code. */
import process from "node:process";
import { Command, CommanderError } from "commander";
import { EXIT, exitCodeOf, LatecomerError } from "../errors.ts";
import { printableLines } from "../printable.ts";
import { maskText } from "../secrets.ts";
import { registerAssert } from "./assert.ts";
import { registerAudit } from "./audit.ts";
import type { Context } from "./context.ts";
import { registerCutover } from "./cutover.ts";
import { registerDemo } from "./demo.ts";
import { registerDev } from "./dev.ts";
import { registerDigest } from "./digest.ts";
import { registerDlq } from "./dlq.ts";
import { registerDoctor } from "./doctor.ts";
import { registerExplain } from "./explain.ts";
import { registerExportFixtures } from "./export-fixtures.ts";
import { registerForgetSource } from "./forget-source.ts";
import { registerInit } from "./init.ts";
import { registerLoadFixtures } from "./load-fixtures.ts";
import { registerPublish } from "./publish.ts";
import { registerReplay } from "./replay.ts";
import { registerRollup } from "./rollup.ts";
import { registerRun } from "./run.ts";
import { registerSimulate } from "./simulate.ts";
import { registerTriage } from "./triage.ts";
import { registerVerify } from "./verify.ts";
import { registerWhatIf } from "./what-if.ts";

/** Every command, in the order of the help. */
const COMMANDS: readonly ((program: Command, context: Context) => void)[] = [
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
  registerForgetSource,
];

/** The program with every command; what it cannot parse it throws as a `CommanderError`, having said why. */
export function createProgram(context: Context): Command {
  const program = new Command("latecomer")
    .description("Attributes Livepeer telemetry to orchestrator, model and GPU, in whatever order it arrives.")
    .version(context.version)
    .exitOverride()
    // A flag belongs to the command in front of it: `replay` and its subcommands have flags of one name.
    .enablePositionalOptions()
    .configureHelp({ showGlobalOptions: false });
  for (const register of COMMANDS) register(program, context);
  return program;
}

/** Runs the command that the arguments name, and returns its exit code. Never rejects. */
export async function runProgram(args: readonly string[], context: Omit<Context, "setExitCode">): Promise<number> {
  let exitCode: number = EXIT.done;
  const program = createProgram({ ...context, setExitCode: (code) => exitCode = code });
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    process.stderr.write(`latecomer: ${printableLines(maskText(messageOf(error)))}\n`);
    return exitCodeOf(error);
  }
  return exitCode;
}

/** The message of an error of ours says all; of a stranger the stack tells where it came from. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error instanceof LatecomerError ? error.message : error.stack ?? error.message;
}
