/** Commands run in this process: one of their own is for what is interrupted, or is about the process. */
import { AsyncLocalStorage } from "node:async_hooks";
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
  const run = () => within(args.join(" "), program.parseAsync([...args], { from: "user" }), 60_000);
  try {
    await diverted.run({ stdout: (text) => out += text }, run);
  } catch (error) {
    [code, err] = [exitCodeOf(error), String(error)];
  }
  return { code, out, err };
}

/** Runs `latecomer …` as `main.ts` does; what it prints is kept, and not shown. */
export async function wholeProgram(env: Record<string, string>, args: readonly string[]): Promise<Ended> {
  const said = { out: "", err: "" };
  const sinks: Sinks = { stdout: (text) => said.out += text, stderr: (text) => said.err += text };
  const run = () => within(args.join(" "), runProgram(args, { ...SURROUNDINGS, env }), 60_000);
  return { code: await diverted.run(sinks, run), ...said };
}

const SURROUNDINGS = { takeSignal: () => new AbortController().signal, version: "" };

type Sinks = Partial<Record<"stdout" | "stderr", (text: string) => void>>;

/** Where a command in this process writes: each has its own, also while another runs or a test has given one up. */
const diverted = new AsyncLocalStorage<Sinks>();

for (const stream of ["stdout", "stderr"] as const) {
  const { write } = process[stream];
  process[stream].write = (text: string | Uint8Array, ...more: unknown[]) => {
    const sink = diverted.getStore()?.[stream];
    if (sink === undefined) return Reflect.apply(write, process[stream], [text, ...more]);
    sink(String(text));
    return true;
  };
}
