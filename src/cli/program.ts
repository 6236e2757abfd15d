/** The command line as a whole: every command under one program. */
import { Command } from "commander";
import { registerAssert } from "./assert.ts";
import { registerAudit } from "./audit.ts";
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
import type { Context } from "./context.ts";

/** The program with every command; nothing runs before it is given arguments. */
export function commandLine(context: Context): Command {
  const program = new Command("latecomer")
    .description("Attributes Livepeer telemetry to orchestrator, model and GPU, in whatever order it arrives.")
    .version(context.version)
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
    registerForgetSource,
  ];
  for (const one of register) one(program, context);
  return program;
}
