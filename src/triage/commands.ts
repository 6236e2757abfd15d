/** Commands to copy into a shell. */
import { formatInstant } from "../core/time.ts";
import type { Scope } from "./scope.ts";

/** Why a session is attributed as it is. */
export function explainCommand(source: string, id: string): string {
  return `latecomer explain --source ${shellWord(source)} -- ${shellWord(id)}`;
}

/** A command over a window. */
export function windowCommand(command: string, { fromMs, toMs }: Scope): string {
  return `latecomer ${command} --from ${formatInstant(fromMs)} --to ${formatInstant(toMs)}`;
}

/** A text as one word of a POSIX shell, which takes nothing in it for its own. */
export function shellWord(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
