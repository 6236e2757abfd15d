/**
 * The command line. The only file that looks at the process around it: arguments, environment, signals, exit code.
 */
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import process from "node:process";
import { runProgram } from "./cli/program.ts";
import { EXIT } from "./errors.ts";
import { keepRowsYoung } from "./runtime/heap.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

keepRowsYoung();
let unwritten: NodeJS.ErrnoException | undefined;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // A reader that leaves, as `head` does, has seen enough; what the command has to do it still does.
  if (error.code !== "EPIPE") unwritten = error;
});
process.stderr.on("error", () => {
  // There is nowhere left to say so.
});
const stopping = new AbortController();
let isTaken = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // Whoever does not look at it would not end before its work does, or what it waits for.
    if (!isTaken) process.exit(128 + constants.signals[signal]);
    // The first asks for a clean end; who asks again does not want to wait for it.
    if (stopping.signal.aborted) process.exit(EXIT.failed);
    stopping.abort();
  });
}
const takeSignal = () => {
  isTaken = true;
  return stopping.signal;
};
let code = await runProgram(process.argv.slice(2), { env: process.env, takeSignal, version });
await passedOn(process.stdout);
if (unwritten !== undefined) {
  process.stderr.write(`latecomer: cannot write to standard output: ${unwritten.message}\n`);
  code = EXIT.unavailable;
}
await passedOn(process.stderr);
// What a command left behind (an aborted query, a reconnecting client) must not keep the process alive.
process.exit(code);

/**
 * Resolves when what was written to a stream has been passed on, or never will be: a pipe takes it as its reader reads,
 * a file at once.
 */
function passedOn(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream instanceof Socket) stream.write("", () => resolve());
    else setImmediate(resolve);
  });
}
