/** `latecomer audit`: derives a window of the stream under many orders and failures. Exit 1 when any row would differ. */
import type { Command } from "commander";
import { Audit, type Difference } from "../audit/audit.ts";
import { describeSchedule } from "../audit/describe.ts";
import { type NewWorld, newWorld } from "../audit/schedule.ts";
import type { StoredMessage } from "../core/event.ts";
import { formatDuration } from "../core/time.ts";
import { EXIT } from "../errors.ts";
import { resolveRange } from "../nats/range.ts";
import { openEventStream } from "../nats/stream.ts";
import type { SequenceRange } from "../ports.ts";
import { configOf, type Context, printJson, printLine, printTable, withNats, withSettings } from "./context.ts";
import { startProgress } from "./progress.ts";
import { positive, wholeNumber } from "./values.ts";
import type { Config } from "../config.ts";

interface AuditFlags {
  readonly fromSeq?: number;
  readonly toSeq?: number;
  readonly schedules: number;
  readonly seed: number;
  readonly json?: boolean;
}

/** Differences that are reported with the smallest schedule that shows them; the others often have the same cause. */
const MOST_MINIMISED = 3;

/** Differing rows that are listed for people; `--json` has them all. */
const MOST_LISTED = 50;

/** `make` is for tests, which audit worlds that have a defect. */
export function registerAudit(program: Command, context: Context, make: NewWorld = newWorld): void {
  const command = program.command("audit")
    .description(
      "derive a window of the stream under random orders, duplications, crashes and writers; list every row that differs",
    )
    .option("--from-seq <n>", "first stream sequence, the first stored by default", wholeNumber)
    .option("--to-seq <n>", "last stream sequence, the last stored by default", wholeNumber)
    .option("--schedules <n>", "how many schedules are tried", positive, 20)
    .option("--seed <n>", "the first schedule's seed; the others follow it", wholeNumber, 1)
    .option("--json", "one JSON document on stdout");
  withSettings(command, ["natsUrl", "natsCreds", "ttlBeforeMs", "ttlAfterMs"]).action(async (flags: AuditFlags) => {
    const config = configOf(context, flags);
    const { range, messages } = await readWindow(config, flags);
    const audit = new Audit(messages, { beforeMs: config.ttlBeforeMs, afterMs: config.ttlAfterMs }, make);
    const { run, found } = await tryAll(audit, flags, context.takeSignal());
    const minimal = [...found.values()].slice(0, MOST_MINIMISED).map((difference) => audit.minimal(difference));
    const report = {
      fromSeq: range.fromSeq,
      toSeq: range.toSeq,
      messages: messages.length,
      allowedLatenessMs: audit.allowedLatenessMs,
      seed: flags.seed,
      schedules: run,
      rows: audit.rows,
      compared: run * audit.rows,
      differences: [...found.values()].map((difference, at) => ({
        source: difference.source,
        table: difference.table,
        workflow_session_id: difference.session,
        source_event_uid: difference.uid,
        seed: difference.seed,
        columns: difference.columns,
        minimal: at < minimal.length
          ? { columns: minimal[at]!.columns, ...describeSchedule(minimal[at]!.schedule) }
          : null,
      })),
    };
    if (flags.json) printJson(report);
    else print(report);
    // Schedules that were asked for and not tried prove nothing either.
    if (found.size > 0 || run < flags.schedules) context.setExitCode(EXIT.failed);
  });
}

function readWindow(
  config: Config,
  { fromSeq, toSeq }: AuditFlags,
): Promise<{ range: SequenceRange; messages: StoredMessage[] }> {
  return withNats(config, async (nc) => {
    const stream = await openEventStream(nc);
    const range = await resolveRange(stream, fromSeq, toSeq);
    const progress = startProgress("reading", range.toSeq - range.fromSeq + 1);
    const messages: StoredMessage[] = [];
    try {
      for await (const slice of stream.messages(range, "events.>")) {
        for (const message of slice) messages.push(message);
        progress.update(slice.at(-1)!.streamSequence - range.fromSeq + 1);
      }
    } finally {
      progress.stop();
    }
    return { range, messages };
  });
}

/** Tries the schedules; of each row that differs the first difference is kept. A signal ends it after the schedule in hand. */
async function tryAll(audit: Audit, { schedules, seed }: AuditFlags, signal: AbortSignal) {
  const found = new Map<string, Difference>();
  const progress = startProgress("schedules", schedules);
  let run = 0;
  try {
    while (run < schedules && !signal.aborted) {
      for (const difference of audit.check(seed + run)) {
        if (!found.has(difference.key)) found.set(difference.key, difference);
      }
      run++;
      progress.update(run);
      // The work never waits by itself: a signal and the bar need this moment.
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    progress.stop();
  }
  return { run, found };
}

interface Report {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly messages: number;
  readonly allowedLatenessMs: number;
  readonly seed: number;
  readonly schedules: number;
  readonly rows: number;
  readonly compared: number;
  readonly differences: readonly {
    readonly source: string;
    readonly table: string;
    readonly workflow_session_id: string;
    readonly source_event_uid: string;
    readonly seed: number;
    readonly columns: Difference["columns"];
    readonly minimal: (ReturnType<typeof describeSchedule> & Pick<Difference, "columns">) | null;
  }[];
}

function print({ fromSeq, toSeq, messages, allowedLatenessMs, seed, schedules, rows, compared, differences }: Report) {
  printLine(
    `${messages} messages, sequences ${fromSeq} to ${toSeq}, allowed lateness ${formatDuration(allowedLatenessMs)}; ` +
      `${schedules} schedules from seed ${seed}, ${rows} rows each, ${compared} compared`,
  );
  if (differences.length === 0) {
    printLine("Every schedule leaves the same rows.");
    return;
  }
  printLine(`${differences.length} rows differ from those in order:`);
  printTable(
    ["table", "source", "event or session", "seed", "column", "in order", "under the schedule"],
    differences.slice(0, MOST_LISTED).flatMap((one) => one.columns.map((column) => rowOf(one, column))),
  );
  if (differences.length > MOST_LISTED) {
    printLine(`and ${differences.length - MOST_LISTED} more; --json lists them all`);
  }
  for (const one of differences) {
    if (one.minimal === null) continue;
    printLine();
    printLine(`The smallest schedule found in which ${one.source} ${one.source_event_uid} differs:`);
    for (const line of [...one.minimal.messages, ...one.minimal.steps]) printLine(`  ${line}`);
    for (const { column, inOrder, scheduled } of one.minimal.columns) {
      printLine(`  ${column}: ${shown(inOrder)} in order, ${shown(scheduled)} here`);
    }
  }
}

function rowOf(one: Report["differences"][number], { column, inOrder, scheduled }: Difference["columns"][number]) {
  return [one.table, one.source, idOf(one), one.seed, column, shown(inOrder), shown(scheduled)];
}

function idOf({ source_event_uid: uid, workflow_session_id: session }: Report["differences"][number]): string {
  return uid || session;
}

function shown(value: unknown): string {
  return value === undefined ? "(no row)" : JSON.stringify(value);
}
