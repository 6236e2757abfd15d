/** What a page of Markdown says that can be checked: its anchors, its links, and its code. */

/** Code in a page: a span in a sentence, or a block with its language (`""` for none). */
export interface Code {
  readonly text: string;
  readonly line: number;
  /** Undefined for a span. */
  readonly language?: string;
}

export interface Page {
  /** Its path in the repository. */
  readonly path: string;
  readonly text: string;
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly { readonly target: string; readonly line: number }[];
  readonly code: readonly Code[];
}

const FENCE = /^( *)(```+)(\w*)[^\n]*\n([^]*?)^ *\2`*[ \t]*$/gm;
/** A span may go over the end of a line, and not over that of a paragraph. */
const SPAN = /(?<!`)(`+)(?!`)((?:(?!\n[ \t]*\n)[^])+?)(?<!`)\1(?!`)/g;
const LINK = /\[(?:[^\]\\]|\\.)*\]\(([^)\s]+)\)/g;

/** Reads a page. */
export function readPage(path: string, text: string): Page {
  const lineAt = (index: number) => text.slice(0, index).split("\n").length;
  /** As long as what it stands for, so that places stay. */
  const blank = (found: string) => found.replace(/[^\n]/g, " ");
  const code: Code[] = [];
  const sentences = text.replace(FENCE, (block, indent: string, _, language: string, body: string, at: number) => {
    code.push({ text: body.replaceAll(new RegExp(`^${indent}`, "gm"), ""), line: lineAt(at) + 1, language });
    return blank(block);
  });
  const prose = sentences.replace(SPAN, (span, _, body: string, at: number) => {
    // In a table a bar is written with a backslash.
    code.push({ text: body.replace(/\s*\n\s*/g, " ").replaceAll("\\|", "|").trim(), line: lineAt(at) });
    return blank(span);
  });
  const links = [...prose.matchAll(LINK)].map((found) => ({ target: found[1]!, line: lineAt(found.index) }));
  return { path, text, anchors: anchorsOf(sentences), links, code: code.sort((a, b) => a.line - b.line) };
}

/** The anchors of the headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of text.matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const bare = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = bare.replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
    let [unique, repeat] = [anchor, 0];
    while (anchors.has(unique)) unique = `${anchor}-${++repeat}`;
    anchors.add(unique);
  }
  return anchors;
}
