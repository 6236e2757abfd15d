/** How the notebook shows rows: as tables and as pictures, every value from the data escaped. */
import * as Plot from "@observablehq/plot";
import { DOMParser } from "linkedom";

/** What Jupyter shows of a value, by media type. */
export interface Shown {
  [media: symbol]: () => Record<string, string>;
}

type Row = Readonly<Record<string, unknown>>;

const DISPLAY = Symbol.for("Jupyter.display");

/** A table of rows, with the columns of the first; without rows, the words for that. */
export function table(rows: readonly Row[], nothing: string): Shown {
  if (rows.length === 0) return shown({ "text/plain": nothing });
  const columns = Object.keys(rows[0]!);
  const line = (cell: string, values: readonly unknown[]) =>
    `<tr>${
      values.map((value) => `<${cell} style="text-align: left">${escaped(textOf(value))}</${cell}>`).join("")
    }</tr>`;
  const body = rows.map((row) => line("td", columns.map((column) => row[column])));
  return shown({
    "text/html": `<table><thead>${line("th", columns)}</thead><tbody>${body.join("")}</tbody></table>`,
    "text/plain": [columns, ...rows.map((row) => columns.map((column) => textOf(row[column])))]
      .map((values) => values.join("\t")).join("\n"),
  });
}

/** A picture: marks without a title or legend, which Plot would make of HTML around it. */
export function plot(options: Omit<Plot.PlotOptions, "document">): Shown {
  const document = new DOMParser().parseFromString("<html></html>", "text/html") as unknown;
  const { outerHTML } = Plot.plot({ ...options, document } as Plot.PlotOptions);
  return shown({ "image/svg+xml": outerHTML.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ') });
}

function shown(forms: Record<string, string>): Shown {
  return { [DISPLAY]: () => forms };
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
