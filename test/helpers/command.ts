/** Commands run in this process: one of their own is for what is interrupted, or is about the process. */
import process from "node:process";
import { Command } from "commander";
import type { Context } from "../../src/cli/context.ts";
import { runProgram } from "../../src/cli/program.ts";
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
  const context: Context = { ...SURROUNDINGS, env, setExitCode: (exit) => code = exit };
  const program = new Command().exitOverride().enablePositionalOptions();
  register(program, context);
  const restore = divert("stdout", (text) => out += text);
  try {
    await within(args.join(" "), program.parseAsync([...args], { from: "user" }), 60_000);
  } catch (error) {
    [code, err] = [exitCodeOf(error), String(error)];
  } finally {
    restore();
  }
  return { code, out, err };
}

/** Runs `latecomer …` as `main.ts` does; what it prints is kept, and not shown. */
export async function wholeProgram(env: Record<string, string>, args: readonly string[]): Promise<Ended> {
  const said = { out: "", err: "" };
  const restores = [divert("stdout", (text) => said.out += text), divert("stderr", (text) => said.err += text)];
  try {
    const code = await within(args.join(" "), runProgram(args, { ...SURROUNDINGS, env }), 60_000);
    return { code, ...said };
  } finally {
    for (const restore of restores) restore();
  }
}

const SURROUNDINGS = { signal: new AbortController().signal, version: "" };

/** Hands on what is written to a stream of this process, until what it returns is called. */
function divert(stream: "stdout" | "stderr", to: (text: string) => void): () => void {
  const { write } = process[stream];
  process[stream].write = (text: string | Uint8Array) => {
    to(String(text));
    return true;
  };
  return () => process[stream].write = write;
}
