/** Times on the command line. */
import { LatecomerError } from "../errors.ts";

/** An instant in Unix milliseconds, from ISO 8601 or from Unix milliseconds. Throws USAGE for anything else. */
export function instant(text: string): number {
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  if (!Number.isFinite(ms)) {
    throw new LatecomerError("USAGE", "usage", `"${text}" is no time: ISO 8601 or Unix milliseconds`);
  }
  return ms;
}
