/** A command in this process, as `latecomer` runs it: what it prints, and what it would end with. */
import process from "node:process";
import { Command } from "commander";
import type { Context } from "../../src/cli/context.ts";
import { exitCodeOf } from "../../src/errors.ts";
import { type Ended, within } from "./cluster.ts";

/** Runs `latecomer …`; `register` is the command's. A process of its own is for what is interrupted. */
export async function runHere(
  register: (program: Command, context: Context) => void,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
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
