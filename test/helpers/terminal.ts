/** What a command prints on a terminal as a picture: SVG, the text in it, in the columns and colours of the terminal. */

/** The environment in which a command takes its standard output for a terminal with colours. */
export const TERMINAL = { FORCE_COLOR: "1", NODE_OPTIONS: "--import data:text/javascript,process.stdout.isTTY=true" };

const [WIDTH, HEIGHT, MARGIN] = [8, 18, 16];
const [PAPER, INK, GREY] = ["#0d1117", "#e6edf3", "#7d8590"];

/** A stretch of a line of one look, from a column on. */
interface Run {
  readonly column: number;
  readonly text: string;
  readonly look: string;
}

/**
 * The picture of these lines. Each stretch stands at its column and fills its columns, whatever font is there.
 * Throws when a line holds an escape sequence that is none of bold and grey: a picture without it would show another output.
 */
export function terminalSvg(title: string, lines: readonly string[]): string {
  const rows = lines.map(runsOf);
  const columns = Math.max(...rows.map((runs) => runs.reduce((sum, { text }) => sum + text.length, 0)));
  const [width, height] = [2 * MARGIN + columns * WIDTH, 2 * MARGIN + lines.length * HEIGHT];
  const texts = rows.map((runs, at) => `<text y="${MARGIN + at * HEIGHT + 13}">${runs.map(tspan).join("")}</text>`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`,
    `  font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13" fill="${INK}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" rx="8" fill="${PAPER}"/>`,
    ...texts,
    "</svg>\n",
  ].join("\n");
}

/** The lines that such a picture shows, without their looks. */
export function linesIn(svg: string): string[] {
  const marks: Record<string, string> = { "&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"' };
  return [...svg.matchAll(/<text [^>]*>(.*)<\/text>/g)].map(([, inside]) =>
    inside!.replace(/<[^>]*>/g, "").replace(/&\w+;/g, (mark) => marks[mark]!).replaceAll("\u00a0", " ")
  );
}

const BEGINS: Readonly<Record<string, string>> = {
  "\x1b[1m": ' font-weight="bold"',
  "\x1b[90m": ` fill="${GREY}"`,
  "\x1b[22m": "",
  "\x1b[39m": "",
};

function runsOf(line: string): Run[] {
  const runs: Run[] = [];
  let [column, look] = [0, ""];
  // deno-lint-ignore no-control-regex
  for (const part of line.split(/(\x1b\[[\d;]*[A-Za-z])/)) {
    if (!part.startsWith("\x1b")) {
      const last = runs.at(-1);
      if (last?.look === look) runs[runs.length - 1] = { ...last, text: last.text + part };
      else if (part !== "") runs.push({ column, text: part, look });
      column += part.length;
    } else if (part in BEGINS) look = BEGINS[part]!;
    else throw new Error(`there is no picture of ${JSON.stringify(part)}`);
  }
  return runs;
}

function tspan({ column, text, look }: Run): string {
  const place = `x="${MARGIN + column * WIDTH}" textLength="${text.length * WIDTH}"`;
  // Spaces that keep their width everywhere: renderers disagree on what folds the others.
  return `<tspan ${place}${look}>${escaped(text).replaceAll(" ", "\u00a0")}</tspan>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
