/** A timeline in characters: lanes of marks and spans over one axis, for terminals of 100 columns. */
import { formatDuration, formatInstant } from "../core/time.ts";
import { wrap } from "./wrap.ts";

export interface Mark {
  readonly fromMs: number;
  /** The end of a span; of a mark the same instant. */
  readonly toMs: number;
  /** One character. */
  readonly symbol: string;
}

/** Of marks in one place the last is seen. */
export interface Lane {
  readonly label: string;
  readonly marks: readonly Mark[];
}

const LABEL = 12;
const WIDTH = 80;

export function markAt(timeMs: number, symbol: string): Mark {
  return { fromMs: timeMs, toMs: timeMs, symbol };
}

/**
 * Draws the lanes that have marks, from the first instant to the last, with what the symbols mean; nothing where there is
 * only one instant.
 */
export function timeline(lanes: readonly Lane[], legend: string): string[] {
  const shown = lanes.filter(({ marks }) => marks.length > 0);
  const marks = shown.flatMap((lane) => lane.marks);
  const fromMs = marks.reduce((least, mark) => Math.min(least, mark.fromMs), Infinity);
  const toMs = marks.reduce((greatest, mark) => Math.max(greatest, mark.toMs), -Infinity);
  if (!(toMs > fromMs)) return [];
  const cellOf = (timeMs: number) => Math.round((timeMs - fromMs) / (toMs - fromMs) * (WIDTH - 1));
  const drawn = shown.map((lane) => {
    const cells = Array<string>(WIDTH).fill(" ");
    for (const mark of lane.marks) cells.fill(mark.symbol, cellOf(mark.fromMs), cellOf(mark.toMs) + 1);
    return `${lane.label.slice(0, LABEL).padEnd(LABEL)} |${cells.join("")}|`;
  });
  const [from, to] = [formatInstant(fromMs), formatInstant(toMs)];
  const span = formatDuration(toMs - fromMs);
  const gap = WIDTH - from.length - to.length;
  const middle = span.padStart(Math.ceil((gap + span.length) / 2)).padEnd(gap);
  const indent = " ".repeat(LABEL + 2);
  return [...drawn, `${indent}${from}${middle}${to}`, ...wrap(`${indent}${legend}`)];
}
