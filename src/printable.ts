/**
 * Texts as they may stand on a terminal. Names come from events: what would steer the terminal or turn a line around is
 * shown as a replacement mark.
 */

/** A text that is to stay within its line. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}

/** A text that has lines, and tabs. */
export function printableLines(text: string): string {
  return text.split(/([\n\t])/).map((part) => part === "\n" || part === "\t" ? part : printable(part)).join("");
}
