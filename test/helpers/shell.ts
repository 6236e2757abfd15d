/** Command lines as the documents write them: enough of the shell's grammar to tell programs from arguments. */

/** The commands of a script: a line each, unless a backslash ends it; comments and what redirects are left out. */
export function commandsIn(script: string): string[][] {
  const lines = script.replace(/\\\n\s*/g, " ").split("\n");
  return lines.flatMap((line) => {
    const commands: string[][] = [[]];
    for (const word of wordsOf(line)) {
      if (["|", "&&", "||", ";", "&"].includes(word)) commands.push([]);
      else commands.at(-1)!.push(word);
    }
    return commands.map(bare).filter((words) => words.length > 0);
  });
}

/** Without variables in front and redirections behind. */
function bare(words: readonly string[]): string[] {
  const from = words.findIndex((word) => !/^[A-Z_]+=/.test(word));
  const rest = from < 0 ? [] : words.slice(from);
  const redirected = rest.findIndex((word) => /^[0-9]?[<>]/.test(word) && !/^<.+>$/.test(word));
  return redirected < 0 ? rest : rest.slice(0, redirected);
}

function wordsOf(line: string): string[] {
  const words: string[] = [];
  // A quote may stand in the middle of a word; a comment begins behind a space.
  for (const [word] of line.matchAll(/(?:^|(?<=\s))#.*|(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\])+/g)) {
    if (word.startsWith("#")) break;
    const ended = /^(.+);$/.exec(word);
    words.push(unquoted(ended?.[1] ?? word));
    if (ended !== null) words.push(";");
  }
  return words;
}

function unquoted(word: string): string {
  return word.replace(
    /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g,
    (_, single, double, escaped) => single ?? double ?? escaped,
  );
}
