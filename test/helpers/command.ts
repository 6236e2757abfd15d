/** Commands run in this process: one of their own is for what is interrupted, or is about the process. */
import process from "node:process";
import { Command } from "commander";
import type { Context } from "../../src/cli/context.ts";
import { exitCodeOf } from "../../src/errors.ts";
import { type Cluster, type Ended, within } from "./cluster.ts";

/** What makes a command known to the program. */
export type Register = (program: Command, context: Context) => void;

/** The environment in which a command finds an installation. */
export function environmentOf({ config }: Cluster): Record<string, string> {
  return { NATS_URL: config.natsUrl, CLICKHOUSE_URL: config.clickhouseUrl, LATECOMER_LOG_LEVEL: "error" };
}

/** Runs a command to its end; what it prints is kept, and not shown. */
export async function inProcess(
  register: Register,
  env: Record<string, string>,
  args: readonly string[],
): Promise<Ended> {
  let [code, out, err] = [0, "", ""];
  const context: Context = {
    env,
    signal: new AbortController().signal,
    version: "",
    setExitCode: (exit) => code = exit,
  };
  const program = new Command().exitOverride().enablePositionalOptions();
  register(program, context);
  const write = process.stdout.write;
  process.stdout.write = (text: string | Uint8Array) => (out += String(text)) !== "";
  try {
    await within(args.join(" "), program.parseAsync([...args], { from: "user" }), 60_000);
  } catch (error) {
    [code, err] = [exitCodeOf(error), String(error)];
  } finally {
    process.stdout.write = write;
  }
  return { code, out, err };
}
