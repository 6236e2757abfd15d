/** What is told of a window, in its order: tables with their cells still typed, for a terminal and for a page. */
import { formatInstant } from "../core/time.ts";
import { explainCommand } from "./commands.ts";
import type { Corrected, Healed, Spread } from "./corrections.ts";
import { AUTHORITIES, type Authority } from "./findings.ts";
import type { Offender, OffendingSession } from "./offenders.ts";
import type { Triage } from "./triage.ts";

/** A value of a table, by how it is written and sorted. */
export type Cell =
  | string
  | number
  | { readonly instantMs: number }
  | { readonly durationMs: number }
  | { readonly ratio: number }
  | { readonly command: string };

export interface Column {
  readonly name: string;
  /** Too wide, or of no use, on a terminal. */
  readonly onlyOnPage?: boolean;
}

export interface Table {
  readonly caption: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
  /** What it means that there are no rows; `""` where another table of the section says it. */
  readonly whenEmpty: string;
}

export interface Section {
  readonly id: string;
  readonly title: string;
  /** How to read it; "" when that is plain. */
  readonly note: string;
  readonly authorities: readonly Authority[];
  readonly tables: readonly Table[];
}

export function sectionsOf(found: Triage): Section[] {
  return [keys(found), offending(found), corrected(found), letters(found), parity(found), lag(found)];
}

/** How a cell is written. */
export function cellText(cell: Cell): string {
  if (typeof cell !== "object") return String(cell);
  if ("instantMs" in cell) return formatInstant(cell.instantMs).replace(/\.\d+Z$/, "Z");
  if ("durationMs" in cell) return durationText(cell.durationMs);
  if ("ratio" in cell) return `${Number((cell.ratio * 100).toFixed(cell.ratio < 0.01 ? 2 : 1))} %`;
  return cell.command;
}

/** What a cell is sorted by: numbers as such, all else as text. */
export function cellOrder(cell: Cell): string | number {
  if (typeof cell !== "object") return cell;
  if ("instantMs" in cell) return cell.instantMs;
  if ("durationMs" in cell) return cell.durationMs;
  return "ratio" in cell ? cell.ratio : cell.command;
}

/** Two units at most: nobody reads the milliseconds of an hour. */
function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 2_880) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1_440)} d ${Math.floor(minutes % 1_440 / 60)} h`;
}

function columns(names: readonly string[], onlyOnPage: readonly string[] = []): Column[] {
  return names.map((name) => (onlyOnPage.includes(name) ? { name, onlyOnPage: true } : { name }));
}

function keys({ rates, reasons }: Triage): Section {
  return {
    id: "keys",
    title: "Empty keys",
    note:
      "Rows that name an orchestrator and have none. Where an event names nobody, or comes before its session knows one, " +
      "nothing is missing.",
    authorities: AUTHORITIES.keys,
    tables: [
      {
        caption: "Rows without a key",
        columns: columns(["fact", "rows that name somebody", "without a key", "rate"]),
        rows: rates.map(({ fact, attributable, unattributed }) => [
          ...[fact, attributable, unattributed],
          { ratio: unattributed / Math.max(1, attributable) },
        ]),
        whenEmpty: "The window has no samples, edges or sessions.",
      },
      {
        caption: "Rows by reason",
        columns: columns(["fact", "reason", "rows"]),
        rows: reasons.map(({ fact, reason, rows }) => [fact, reason === "" ? "attributed" : reason, rows]),
        whenEmpty: "",
      },
    ],
  };
}

function offending({ offenders, sessions }: Triage): Section {
  const byKind = (kind: Offender["kind"], caption: string): Table => ({
    caption,
    columns: columns(
      ["source", kind, "samples", "edges", "sessions", "why", "last", "look into"],
      ["last", "look into"],
    ),
    rows: offenders.filter((one) => one.kind === kind).map((one) => [
      ...[one.source, one.name, one.samples, one.edges, one.sessions, reasonsText(one.reasons)],
      ...[{ instantMs: one.lastMs }, { command: explainCommand(one.source, one.exampleSession) }],
    ]),
    whenEmpty: `No ${kind} has rows without a key.`,
  });
  return {
    id: "offenders",
    title: "Who has no key",
    note:
      "Samples and edges without a key, by what their events name. The model is the hint of the sample, as it was sent.",
    authorities: [...AUTHORITIES.keys, ...AUTHORITIES.corrections],
    tables: [
      byKind("wallet", "Wallets"),
      byKind("url", "Nodes"),
      byKind("model", "Models"),
      {
        caption: "Sessions",
        columns: columns(
          ["source", "session", "samples", "edges", "why", "besides", "wallets", "first", "last", "look into"],
          ["wallets", "first", "last", "look into"],
        ),
        rows: sessions.map((one: OffendingSession) => [
          ...[one.source, one.session, one.samples, one.edges, reasonsText(one.reasons)],
          ...[one.outcomes.join(", "), one.wallets.join(", "), { instantMs: one.firstMs }, { instantMs: one.lastMs }],
          { command: explainCommand(one.source, one.session) },
        ]),
        whenEmpty: "No session has rows without a key.",
      },
    ],
  };
}

function reasonsText(reasons: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(reasons).sort(([, a], [, b]) => b - a);
  return sorted.map(([reason, rows]) => `${reason} ${rows}`).join(", ");
}

function corrected({ corrections, late }: Triage): Section {
  return {
    id: "corrections",
    title: "Corrections",
    note:
      "A row is written at once and again when better evidence comes. The tables hold replaced versions only until the " +
      "database merges them; what the archive says of late snapshots stays.",
    authorities: AUTHORITIES.corrections,
    tables: [
      {
        caption: "Versions that the tables hold",
        columns: columns(["fact", "rows", "corrected", "healed", "median delay", "95th percentile", "longest"]),
        rows: corrections.map(({ fact, rows, corrected, healed, delay }: Corrected) => [
          ...[fact, rows, corrected, healed],
          ...spreadCells(delay),
        ]),
        whenEmpty: "The window has no rows.",
      },
      {
        caption: "Samples and edges whose snapshot came after them",
        columns: columns(["rows", "sessions", "median wait", "95th percentile", "longest"]),
        rows: late.rows === 0 ? [] : [[late.rows, late.sessions, ...spreadCells(late.wait)]],
        whenEmpty: "No row waited for its snapshot.",
      },
      {
        caption: "Sessions that were healed so, the longest wait first",
        columns: columns(
          ["source", "session", "rows", "orchestrator", "model", "GPU", "wait", "look into"],
          ["model", "GPU", "look into"],
        ),
        rows: late.healed.map((one: Healed) => [
          ...[one.source, one.session, one.rows, one.orchestrator, one.model, one.gpu],
          ...[{ durationMs: one.waitedMs }, { command: explainCommand(one.source, one.session) }],
        ]),
        whenEmpty: "No session waited for a snapshot.",
      },
    ],
  };
}

function spreadCells(spread: Spread | undefined): Cell[] {
  if (spread === undefined) return ["", "", ""];
  return [spread.medianMs, spread.p95Ms, spread.mostMs].map((durationMs) => ({ durationMs }));
}

function letters({ refused }: Triage): Section {
  return {
    id: "letters",
    title: "Dead letters",
    note: "Messages that were refused, by the time of their event or of their arrival.",
    authorities: AUTHORITIES.letters,
    tables: [{
      caption: "Refused messages by reason",
      columns: columns(
        ["source", "reason", "type", "letters", "newest", "its sequence", "details"],
        ["newest", "its sequence", "details"],
      ),
      rows: refused.map((one) => [
        ...[one.source, one.reason, one.type, one.letters],
        ...[{ instantMs: one.newestMs }, one.newestSequence, one.details],
      ]),
      whenEmpty: "Nothing was refused.",
    }],
  };
}

function parity({ packs, scope }: Triage): Section {
  const all = packs.flatMap(({ pack, file, results }) => results.map((result) => ({ pack, file, ...result })));
  const count = (pack: string, state: string) => all.filter((one) => one.pack === pack && one.state === state).length;
  return {
    id: "parity",
    title: "Overlap and parity",
    note: "Whether tables, rollup and views say the same, as the assertion packs judge it" +
      (scope.source === undefined ? "." : "; they are asked of all sources."),
    authorities: AUTHORITIES.parity,
    tables: [{
      caption: "Assertion packs",
      columns: columns(["pack", "file", "passed", "warned", "failed"], ["file"]),
      rows: packs.map(({ pack, file }) => [
        ...[pack, file, count(pack, "passed"), count(pack, "warned"), count(pack, "failed")],
      ]),
      whenEmpty: "",
    }],
  };
}

function lag({ lag, freshness }: Triage): Section {
  return {
    id: "lag",
    title: "Lag",
    note: lag.unknown === ""
      ? ""
      : `NATS cannot be asked, so how far the processors are is not known, nor which minutes wait: ${lag.unknown}`,
    authorities: AUTHORITIES.rollup,
    tables: [
      {
        caption: "Stream against checkpoints, and minutes that wait for the rollup",
        columns: columns(["what", "state", "found"]),
        rows: lag.checks.map(({ check, state, detail }) => [check, state, detail]),
        whenEmpty: lag.unknown === "" ? "No partition was ever read." : "Not known.",
      },
      {
        caption: "Newest instant of each table, whatever the window",
        columns: columns(["source", "table", "newest", "ago"]),
        rows: freshness.map(({ source, table, newestMs, lagMinutes }) => [
          ...[source, table, { instantMs: newestMs }, { durationMs: lagMinutes * 60_000 }],
        ]),
        whenEmpty: "The tables are empty.",
      },
    ],
  };
}
