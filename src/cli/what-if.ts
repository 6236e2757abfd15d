/** `latecomer what-if`: what a changed setting, or a snapshot that had not come, would do to the rows of a window. Only reads. */
import type { Command } from "commander";
import type { Config } from "../config.ts";
import { formatDuration } from "../core/time.ts";
import { resolveRange } from "../nats/range.ts";
import { openEventStream } from "../nats/stream.ts";
import type { SequenceRange } from "../ports.ts";
import { deriveWindow, type Trial } from "../what-if/derive.ts";
import { type Effect, effectOf, type Rates, type RowChange } from "../what-if/effect.ts";
import { readWindow, type Window } from "../what-if/window.ts";
import { configOf, type Context, printJson, printLine, printTable, withNats, withSettings } from "./context.ts";
import { Bars } from "./progress.ts";
import { appended, usage, wholeNumber } from "./values.ts";

interface WhatIfFlags {
  readonly fromSeq?: number;
  readonly toSeq?: number;
  readonly ttlBefore?: string;
  readonly ttlAfter?: string;
  readonly allowedLateness?: string;
  readonly withoutSnapshot: readonly string[];
  readonly json?: boolean;
}

/** Rows and keys that are listed for people; `--json` has all. */
const SHOWN = 50;

export function registerWhatIf(program: Command, context: Context): void {
  const command = program.command("what-if")
    .description("what other settings, or a snapshot less, would do to the rows of a window; changes nothing")
    .option("--from-seq <n>", "first stream sequence, the first stored by default", wholeNumber)
    .option("--to-seq <n>", "last stream sequence, the last stored by default", wholeNumber)
    .option(
      "--without-snapshot <uid>",
      "as if this snapshot (uid or id) had never come; may be repeated",
      appended(String),
      [],
    )
    .option("--json", "one JSON document on stdout, with every row that would change");
  withSettings(command, ["natsUrl", "natsCreds", "ttlBeforeMs", "ttlAfterMs", "allowedLatenessMs"])
    .action(async (flags: WhatIfFlags) => {
      const { ttlBefore, ttlAfter, allowedLateness, ...rest } = flags;
      if ([ttlBefore, ttlAfter, allowedLateness, ...flags.withoutSnapshot].every((one) => one === undefined)) {
        const why = "name what is to change: --ttl-before, --ttl-after, --allowed-lateness or --without-snapshot";
        throw usage(why);
      }
      const config = configOf(context, rest);
      const present = trialOf(config, []);
      const changed = trialOf(configOf(context, flags), flags.withoutSnapshot);
      const { range, window } = await windowOf(config, flags, present, changed);
      const effect = effectOf(
        deriveWindow(window, present),
        deriveWindow(window, changed),
        present,
        changed,
        window.snapshots,
      );
      if (flags.json) printJson(documentOf(range, window, present, changed, effect));
      else print(range, window, present, changed, effect);
    });
}

function trialOf(config: Config, withoutSnapshots: readonly string[]): Trial {
  const { ttlBeforeMs: beforeMs, ttlAfterMs: afterMs, allowedLatenessMs } = config;
  return { ttl: { beforeMs, afterMs }, allowedLatenessMs, withoutSnapshots };
}

function windowOf(
  config: Config,
  { fromSeq, toSeq }: WhatIfFlags,
  present: Trial,
  changed: Trial,
): Promise<{ readonly range: SequenceRange; readonly window: Window }> {
  const bars = new Bars();
  return withNats(config, async (nc) => {
    const stream = await openEventStream(nc);
    const range = await resolveRange(stream, fromSeq, toSeq);
    const longest = {
      beforeMs: Math.max(present.ttl.beforeMs, changed.ttl.beforeMs),
      afterMs: Math.max(present.ttl.afterMs, changed.ttl.afterMs),
    };
    return { range, window: await readWindow(stream, range, longest, bars.onPhase) };
  }).finally(() => bars.stop());
}

function documentOf(range: SequenceRange, window: Window, present: Trial, changed: Trial, effect: Effect): unknown {
  const { messages, snapshots, isWhole, leftOut } = window;
  return {
    fromSeq: range.fromSeq,
    toSeq: range.toSeq,
    messages,
    snapshots: snapshots.length,
    snapshotsAreWhole: isWhole,
    leftOut,
    present: settingsOf(present),
    changed: settingsOf(changed),
    ...effect,
  };
}

function settingsOf({ ttl: { beforeMs, afterMs }, allowedLatenessMs, withoutSnapshots }: Trial) {
  return { ttlBeforeMs: beforeMs, ttlAfterMs: afterMs, allowedLatenessMs, withoutSnapshots };
}

function print(range: SequenceRange, window: Window, present: Trial, changed: Trial, effect: Effect): void {
  const { messages, snapshots, isWhole, leftOut } = window;
  printLine(
    `sequences ${range.fromSeq} to ${range.toSeq}: ${messages} messages, ${snapshots.length} snapshots may count`,
  );
  if (!isWhole) printLine("Snapshots that count for the start of the window are gone from the stream.");
  if (leftOut.length > 0) {
    printLine(`${leftOut.length} sessions are not whole in it: what depends on all of one is left out.`);
  }
  printTable(["", "present", "changed"], [
    ...settingRows(present, changed),
    ...rateRows(effect.before, effect.after),
  ]);
  printKeys(effect);
  printChanges(effect);
}

function settingRows(present: Trial, changed: Trial): string[][] {
  return [
    ["ttl before", ...[present, changed].map(({ ttl }) => formatDuration(ttl.beforeMs))],
    ["ttl after", ...[present, changed].map(({ ttl }) => formatDuration(ttl.afterMs))],
    ["allowed lateness", ...[present, changed].map((one) => formatDuration(one.allowedLatenessMs))],
    ["snapshots left out", ...[present, changed].map((one) => String(one.withoutSnapshots.length))],
  ];
}

function rateRows(before: Rates, after: Rates): string[][] {
  const percent = ({ emptyKeyRate }: Rates) => `${(emptyKeyRate * 100).toFixed(1)} %`;
  const reasons = [...new Set([...Object.keys(before.reasons), ...Object.keys(after.reasons)])].sort();
  return [
    ["samples", String(before.samples), String(after.samples)],
    ["empty-key rate", percent(before), percent(after)],
    ...reasons.map((
      reason,
    ) => [`  ${reason}`, String(before.reasons[reason] ?? 0), String(after.reasons[reason] ?? 0)]),
  ];
}

function printKeys({ keys }: Effect): void {
  const shifted = keys.filter(({ before, after }) => before !== after);
  if (shifted.length === 0) return printLine("No key has other samples than now.");
  printTable(
    ["orchestrator", "model", "GPU", "samples", "changed"],
    shifted.slice(0, SHOWN).map((one) => [one.orchestrator, one.model ?? "-", one.gpu ?? "-", one.before, one.after]),
  );
  if (shifted.length > SHOWN) printLine(`and ${shifted.length - SHOWN} more; --json lists all`);
}

function printChanges({ changes, rows, reranked }: Effect): void {
  if (changes.length === 0) {
    return printLine(`None of ${rows} rows would say anything else; of ${reranked} the evidence would be other.`);
  }
  printLine(`${changes.length} of ${rows} rows would change, and of ${reranked} more the evidence alone:`);
  printTable(
    ["table", "source", "event or session", "present", "changed", "why"],
    changes.slice(0, SHOWN).map((one) => [
      one.table,
      one.source,
      one.uid || one.sessionId,
      ...inShort(one),
      one.why,
    ]),
  );
  if (changes.length > SHOWN) printLine(`and ${changes.length - SHOWN} more; --json lists all, with every column`);
}

/** Who a row names before and after, or what else of it changes. */
function inShort({ columns }: RowChange): [before: string, after: string] {
  const who = WHO.flatMap((name) => columns.filter(({ column }) => column === name)).slice(0, 2);
  if (who.length === 0) {
    const { column, before, after } = columns[0]!;
    return [`${column} ${JSON.stringify(before)}`, `${column} ${JSON.stringify(after)}`];
  }
  const text = (values: unknown[]) => values.filter((value) => value !== "" && value !== null).join(" ") || "-";
  return [text(who.map(({ before }) => before)), text(who.map(({ after }) => after))];
}

/** What says most of a row, first. */
const WHO = ["orchestrator_address", "unattributed_reason", "model_id", "gpu_id", "selected_snapshot_uid"];
