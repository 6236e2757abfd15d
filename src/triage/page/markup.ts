/**
 * HTML in which every value is escaped. There is no way around it for text: `html` takes what its template says as
 * markup, and every value that is not markup itself as text.
 */

/** A piece of HTML. */
export class Markup {
  readonly text: string;

  /** Takes a text for markup as it is: for texts that we wrote ourselves. */
  constructor(text: string) {
    this.text = text;
  }
}

export type Value = Markup | string | number | readonly Value[];

/** A piece of HTML out of a template. Values stand in text or in quoted attributes. */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return new Markup(strings.map((text, at) => at === 0 ? text : textOf(values[at - 1]!) + text).join(""));
}

function textOf(value: Value): string {
  if (value instanceof Markup) return value.text;
  if (typeof value === "object") return value.map(textOf).join("");
  return escaped(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Control characters have no form in HTML; line breaks and tabs have. */
function escaped(text: string): string {
  // deno-lint-ignore no-control-regex
  const printable = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffe\uffff]/g, "\ufffd");
  return printable.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
