/**
 * The state of attribution as one page that needs nothing but itself. It says so to the browser, too: its policy lets
 * run its own script and style, by their hashes, and nothing else, and lets nothing be fetched.
 */
import { createHash } from "node:crypto";
import type { PackResult } from "../../assert/run.ts";
import { formatDuration } from "../../core/time.ts";
import { type Authority, type Finding, verdictOf } from "../findings.ts";
import { type Cell, cellOrder, cellText, type Section, sectionsOf, type Table } from "../sections.ts";
import type { Triage } from "../triage.ts";
import { barChart, minuteText, roundUp } from "./chart.ts";
import { html, Markup } from "./markup.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** The page; `madeAtMs` is when, in Unix milliseconds. */
export function triagePage(found: Triage, madeAtMs: number): string {
  const { scope, packs, findings, sound } = found;
  const [from, to] = [minuteText(scope.fromMs), minuteText(scope.toMs)];
  const policy = `default-src 'none'; img-src data:; style-src '${hashOf(STYLE)}'; script-src '${hashOf(SCRIPT)}'`;
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="${policy}">
        <meta name="referrer" content="no-referrer">
        <link rel="icon" href="data:,">
        <title>Attribution ${from} to ${to}</title>
        <style>${new Markup(STYLE)}</style>
      </head>
      <body>
        <header>
          <div>
            <h1>Attribution</h1>
            <p>Events from ${from} to ${to} UTC, ${scope.source === undefined
              ? "all sources"
              : html`source <code>${scope.source}</code>`}</p>
            <p class="soft">Made at ${cellText({ instantMs: madeAtMs })}</p>
          </div>
          <button id="theme" type="button" hidden>Light or dark</button>
        </header>
        <main>
    <p class="verdict ${sound ? "passed" : "failed"}">${verdictOf(findings)}</p>
    ${found.lag.unknown === ""
      ? ""
      : html`<p class="warned">NATS could not be asked: this is what ClickHouse alone knows.</p>`}
    <section aria-labelledby="findings">
    <h2 id="findings">What is wrong</h2>
    ${findings.length === 0 ? html`<p>Nothing.</p>` : findings.map((finding) => findingOf(finding, packs))}
    </section>
    ${sectionsOf(found).map((section) => sectionOf(section, found))}
        </main>
        <script>${new Markup(SCRIPT)}</script>
      </body>
    </html>
  `.text;
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

function findingOf({ state, name, file, promise, details, commands }: Finding, packs: readonly PackResult[]): Markup {
  const pack = packs.find((one) => one.file === file);
  const heading = pack === undefined ? html`${name}` : assertionLink({ pack: pack.pack, name }, packs);
  return html`
    <article class="finding">
    <h3><span class="${state}">${state}</span>: ${heading}</h3>
    ${promise === "" ? "" : html`<p>Promised: ${promise}.</p>`}
    <ul>${details.map((detail) => html`<li>${detail}</li>`)}</ul>
    ${commands.map((command) => html`<p><code>${command}</code></p>`)}
    </article>
  `;
}

/** The name of an assertion, which leads to its result, and the file in which it stands. */
function assertionLink({ pack, name }: Authority, packs: readonly PackResult[]): Markup {
  const file = packs.find((one) => one.pack === pack)?.file ?? "";
  return html`<a href="#${anchorOf(pack, name)}">${name}</a> <span class="soft">(${file})</span>`;
}

function anchorOf(pack: string, name: string): string {
  return `assertion-${pack}-${name}`;
}

function sectionOf({ id, title, note, authorities, tables }: Section, found: Triage): Markup {
  const judges = authorities.map((authority, at) =>
    html`${at === 0 ? "" : ", "}${assertionLink(authority, found.packs)}`
  );
  return html`
    <section aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    ${note === "" ? "" : html`<p>${note}</p>`}
    <p class="soft">Judged by ${judges}</p>
    ${id === "keys" ? chartsOf(found) : ""}
    ${tables.map(tableOf)}
    ${id === "parity" ? assertionTable(found.packs) : ""}
    </section>
  `;
}

function tableOf({ caption, columns, rows, whenEmpty }: Table): Markup {
  if (rows.length === 0) return whenEmpty === "" ? html`` : html`<p>${whenEmpty}</p>`;
  const isNumeric = columns.map((_, at) => typeof cellOrder(rows[0]![at]!) === "number");
  const heads = columns.map(({ name }, at) => headOf(name, isNumeric[at]!));
  const body = rows.map((row) => html`<tr>${row.map(cellOf)}</tr>\n`);
  return scrolling(caption, heads, body);
}

function scrolling(caption: string, heads: readonly Markup[], body: readonly Markup[]): Markup {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="${caption}">
      <table>
        <caption>${caption}</caption>
        <thead>
          <tr>${heads}</tr>
        </thead>
        <tbody>
    ${body}</tbody>
      </table>
    </div>
  `;
}

function headOf(name: string, isNumber: boolean): Markup {
  return html`<th scope="col" class="${isNumber ? "number" : "text"}"><button type="button">${
    name || "state"
  }</button></th>`;
}

function cellOf(cell: Cell): Markup {
  const [order, text] = [cellOrder(cell), cellText(cell)];
  if (typeof order === "number") return html`<td class="number" data-order="${order}">${text}</td>`;
  if (typeof cell === "object") return html`<td><code>${text}</code></td>`;
  return html`<td>${text}</td>`;
}

/** Every assertion with what came of it: where the links of the findings lead. */
function assertionTable(packs: readonly PackResult[]): Markup {
  const rows = packs.flatMap(({ pack, results }) =>
    results.map(({ name, what, state, failedRows }) =>
      html`
        <tr
          id="${anchorOf(pack, name)}"><td>${pack}</td><td>${name}</td><td class="${state}">${state}</td>${cellOf(
            failedRows,
          )}<td>${what}</td></tr>
      `
    )
  );
  const heads = ["pack", "assertion", "state", "rows", "promise"].map((name) => headOf(name, name === "rows"));
  return scrolling("Assertions", heads, rows);
}

function chartsOf({ scope, history: { stepMs, buckets } }: Triage): Markup {
  if (buckets.length === 0) return html``;
  const reasons = [...new Set(buckets.flatMap(({ unattributed }) => Object.keys(unattributed)))].sort();
  const missing = buckets.map(({ unattributed }) => reasons.map((reason) => unattributed[reason] ?? 0));
  const sums = buckets.map(({ attributed }, at) => missing[at]!.reduce((sum, rows) => sum + rows, attributed));
  const time = { fromMs: scope.fromMs, toMs: scope.toMs, stepMs };
  const rates = missing.map((values, at) => values.map((value) => value / sums[at]!));
  const greatest = Math.max(...rates.map((values) => values.reduce((sum, value) => sum + value, 0)));
  const per = formatDuration(stepMs);
  return html`${
    barChart({
      ...time,
      title: `Share of samples without a key, each ${per}`,
      series: reasons,
      bars: buckets.map(({ atMs }, at) => ({ atMs, values: rates[at]! })),
      most: greatest === 0 ? 1 : Math.min(1, roundUp(greatest)),
      written: (value) => cellText({ ratio: value }),
    })
  }
${
    barChart({
      ...time,
      title: `Samples, each ${per}`,
      series: [...reasons, "attributed"],
      bars: buckets.map(({ atMs, attributed }, at) => ({ atMs, values: [...missing[at]!, attributed] })),
      most: roundUp(Math.max(...sums)),
      written: (value) => String(Math.round(value)),
    })
  }`;
}
