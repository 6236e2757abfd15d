/**
 * Finds where an INSERT ends and the rows behind it begin, in what came over HTTP. The rows are bytes of any format
 * and encoding, so they must be told from the statement before either is read as text.
 */

/** An INSERT whose rows follow it; a `FROM INFILE` clause fits between `head` and `tail`. */
export interface InsertWithRows {
  /** `INSERT INTO t (a, b)`. */
  head: string;
  /** `FORMAT X`, with the SETTINGS in front of it, if any. */
  tail: string;
  rows: Uint8Array;
}

/** ClickHouse's own bound for a statement without its rows (`max_query_size`). */
const STATEMENT_MAX_BYTES = 262_144;

/** Comments, quoted text with backslash or doubled quotes, words, and any other single character. */
const TOKEN =
  /--[^\n]*|\/\*[^]*?\*\/|'(?:[^'\\]|\\[^]|'')*'|"(?:[^"\\]|\\[^]|"")*"|`(?:[^`\\]|\\[^]|``)*`|\w+|\s+|[^]/y;

/**
 * Splits `INSERT INTO t (…) [SETTINGS …] FORMAT X <rows>`. Returns `undefined` for everything else, which the engine
 * takes as text: other statements, INSERT … SELECT, VALUES, and rows that come from a file.
 */
export function splitInsert(statement: Uint8Array): InsertWithRows | undefined {
  // One character per byte, so that positions in the text are positions in the bytes.
  const text = Buffer.from(statement.subarray(0, STATEMENT_MAX_BYTES)).toString("latin1");
  let depth = 0;
  let previous = "";
  let settingsAt: number | undefined;
  for (const { word, at, end } of tokens(text)) {
    if (previous === "" && word !== "INSERT") return undefined;
    if (word === "(") depth++;
    else if (word === ")") depth--;
    // A table may be called `format`: then the word follows INTO, TABLE or the dot behind a database.
    else if (depth === 0 && !["INTO", "TABLE", "."].includes(previous)) {
      if (["SELECT", "WITH", "VALUES", "INFILE", "WATCH"].includes(word)) return undefined;
      if (word === "SETTINGS") settingsAt ??= at;
      if (word === "FORMAT") {
        const name = /^\s*(\w+)/.exec(text.slice(end));
        if (name === null || name[1]!.toUpperCase() === "VALUES") return undefined;
        const nameEnd = end + name[0].length;
        // As ClickHouse does: blanks and one line end belong to the statement, everything after to the rows.
        const gap = /^[ \t\f]*\r?\n?/.exec(text.slice(nameEnd))![0].length;
        const utf8 = (from: number, to: number) => Buffer.from(statement.subarray(from, to)).toString("utf8");
        return {
          head: utf8(0, settingsAt ?? at),
          tail: utf8(settingsAt ?? at, nameEnd),
          rows: statement.subarray(nameEnd + gap),
        };
      }
    }
    previous = word;
  }
  return undefined;
}

/** The format that a statement names at its end, or `undefined` when it leaves that to the default. */
export function namedFormat(sql: string): string | undefined {
  return /\bFORMAT\s+(\w+)\s*(?:SETTINGS\s[^]*)?;?\s*$/i.exec(sql.slice(-4_096))?.[1];
}

function* tokens(text: string): Generator<{ word: string; at: number; end: number }> {
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const word = match[0];
    const end = TOKEN.lastIndex;
    if (/^(\s|--|\/\*)/.test(word)) continue;
    yield { word: word.toUpperCase(), at: end - word.length, end };
    TOKEN.lastIndex = end;
  }
}
