/** Lines of at most 98 characters, as far as ids and urls allow. */
const WIDTH = 98;

/** A text in lines that are broken at blanks; all but the first are indented as it is, and two more. */
export function wrap(text: string): string[] {
  const indent = " ".repeat(text.length - text.trimStart().length + 2);
  const lines: string[] = [];
  let line = "";
  // Blanks stay with the word behind them, so that columns stay columns.
  for (const word of text.split(/(?<=\S)(?= )/)) {
    if (line !== "" && line.length + word.length > WIDTH) {
      lines.push(line);
      line = `${indent}${word.trimStart()}`;
    } else line += word;
  }
  return [...lines, line];
}
