/** Figures as bars in an SVG that needs nothing else to be shown. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The same of the baseline, drawn behind; undefined without one. */
  readonly before: number | undefined;
}

export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 880;
const LABEL = 300;
const VALUE = 150;
const ROW = 24;
const TITLE = 36;

/** Charts below each other, each with a scale of its own. */
export function svgOf(charts: readonly Chart[]): string {
  let y = 10;
  const parts = charts.map((chart) => {
    const part = drawn(chart, y);
    y += TITLE + chart.bars.length * ROW + 14;
    return part;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
${parts.join("\n")}
</svg>
`;
}

function drawn({ title, unit, bars }: Chart, top: number): string {
  const most = Math.max(...bars.flatMap(({ value, before }) => [value, before ?? 0]), 1e-9);
  const lengthOf = (value: number) => (Math.max(0, value) / most * (WIDTH - LABEL - VALUE)).toFixed(1);
  const lines = bars.map(({ label, value, before }, at) => {
    const y = top + TITLE + at * ROW;
    const shown = value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
    const behind = before === undefined
      ? ""
      : `<rect x="${LABEL}" y="${y - 8}" width="${lengthOf(before)}" height="18" fill="#d9d9d9"/>`;
    return `<text x="${LABEL - 8}" y="${y + 5}" text-anchor="end">${escaped(label)}</text>${behind}
<rect x="${LABEL}" y="${y - 5}" width="${lengthOf(value)}" height="12" fill="#2f6f9f"/>
<text x="${WIDTH - VALUE + 8}" y="${y + 5}">${shown}</text>`;
  });
  const heading = `${escaped(title)} (${escaped(unit)}${bars.some(({ before }) => before) ? "; grey: baseline" : ""})`;
  return `<text x="10" y="${top + 16}" font-weight="bold">${heading}</text>\n${lines.join("\n")}`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
