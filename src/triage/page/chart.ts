/** Stacked bars over time as SVG, drawn when the page is written. */
import { formatInstant } from "../../core/time.ts";
import { html, type Markup } from "./markup.ts";

export interface Bars {
  readonly title: string;
  /** The whole axis of time, in Unix milliseconds, and how much of it a bar takes. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
  /** From the bottom to the top of each bar; their places choose the colours. */
  readonly series: readonly string[];
  /** The values of a bar, as many as there are series. */
  readonly bars: readonly { readonly atMs: number; readonly values: readonly number[] }[];
  /** The greatest value that the axis shows, and how a value is written. */
  readonly most: number;
  readonly written: (value: number) => string;
}

const [WIDTH, HEIGHT] = [720, 200];
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 8, 10, 26];
const [INNER_WIDTH, INNER_HEIGHT] = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];

export function barChart(chart: Bars): Markup {
  const { title, series } = chart;
  return html`
    <figure>
      <figcaption>${title}</figcaption>
      <ul class="legend">${series.map((name, at) => html`<li><span class="swatch s${at}"></span>${name}</li>`)}</ul>
      <div class="scroll" tabindex="0" role="region" aria-label="${title}">
        <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
    ${axes(chart)}
    ${chart.bars.map((bar) => barOf(chart, bar))}
        </svg>
      </div>
    </figure>
  `;
}

function barOf({ fromMs, toMs, stepMs, series, most, written }: Bars, { atMs, values }: Bars["bars"][number]): Markup {
  const perMs = INNER_WIDTH / (toMs - fromMs);
  const x = Math.max(LEFT, LEFT + (atMs - fromMs) * perMs);
  const width = Math.max(1, Math.min(stepMs * perMs - 1, WIDTH - RIGHT - x));
  let below = 0;
  const parts = values.map((value, at) => {
    const height = value / most * INNER_HEIGHT;
    below += height;
    const y = TOP + INNER_HEIGHT - below;
    return html`
      <rect class="s${at}" x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}" />
    `;
  });
  const told = values.map((value, at) => `${series[at]}: ${written(value)}`).join("\n");
  return html`<g><title>${`${minuteText(atMs)}\n${told}`}</title>${parts}</g>\n`;
}

function axes({ fromMs, toMs, most, written }: Bars): Markup {
  const lines = [0, 0.5, 1].map((part) => {
    const y = TOP + INNER_HEIGHT * (1 - part);
    return html`
      <line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" />
      <text x="${LEFT - 6}" y="${y + 4}" text-anchor="end">${written(most * part)}</text>
    `;
  });
  const times = ([[0, "start"], [0.5, "middle"], [1, "end"]] as const).map(([part, anchor]) =>
    html`<text x="${LEFT + INNER_WIDTH * part}" y="${HEIGHT - 8}" text-anchor="${anchor}">${
      minuteText(fromMs + (toMs - fromMs) * part)
    }</text>`
  );
  return html`${lines}${times}`;
}

/** An instant to the minute, in UTC. */
export function minuteText(ms: number): string {
  return formatInstant(ms).slice(0, 16).replace("T", " ");
}

function short(value: number): string {
  return value.toFixed(2);
}

/** The least round number that is not below a value: 1, 2 or 5 of some power of ten. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, Number.MIN_VALUE)));
  return ([1, 2, 5].find((digit) => digit * power >= value) ?? 10) * power;
}
