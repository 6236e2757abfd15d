/** JSON Lines: one JSON value a line. */

/** The lines of JSONL as bytes; blank lines are no messages. */
export function linesOf(bytes: Buffer): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let from = 0; from < bytes.length;) {
    const newline = bytes.indexOf(0x0a, from);
    const to = newline < 0 ? bytes.length : newline;
    const line = bytes.subarray(from, to > from && bytes[to - 1] === 0x0d ? to - 1 : to);
    if (line.length > 0) lines.push(line);
    from = to + 1;
  }
  return lines;
}
