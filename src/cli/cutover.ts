/** `latecomer cutover`: who writes the facts, and handing them over between the legacy view and Latecomer. */
import type { Command } from "commander";
import type { ClickHouse } from "../clickhouse/client.ts";
import { handOver } from "../clickhouse/cutover.ts";
import { LEGACY_VIEWS } from "../clickhouse/legacy.ts";
import { type FactWriter, factWriters, type Writer } from "../clickhouse/writer.ts";
import type { Config } from "../config.ts";
import { formatInstant } from "../core/time.ts";
import { EXIT } from "../errors.ts";
import { readGeneration } from "../nats/generation.ts";
import { openEventStream } from "../nats/stream.ts";
import type { StreamBounds } from "../ports.ts";
import { systemClock } from "../runtime/clock.ts";
import { checkClickHouse, requireSound } from "./checks.ts";
import {
  configOf,
  type Context,
  PLACES,
  printJson,
  printLine,
  printTable,
  withNats,
  withSettings,
  withWarehouse,
} from "./context.ts";
import { usage } from "./values.ts";

interface CutoverFlags {
  readonly force?: boolean;
  readonly json?: boolean;
}

/** A step of a plan. */
interface Step {
  readonly command: string;
  readonly changes: string;
  readonly isDone: boolean;
}

const WAREHOUSE = ["clickhouseUrl", "database", "logLevel"] as const;
const JSON_FLAG = ["--json", "one JSON document on stdout"] as const;

export function registerCutover(program: Command, context: Context): void {
  const command = program.command("cutover").enablePositionalOptions()
    .description("move the writing of facts between the legacy view and Latecomer: one writer at any time");
  withSettings(
    command.command("status").description("who writes each fact; exit 1 when it is not certain").option(...JSON_FLAG),
    WAREHOUSE,
  ).action((flags: CutoverFlags) =>
    withSoundWarehouse(context, flags, async (clickhouse, config) => {
      const writers = await factWriters(clickhouse, config.database);
      if (writers.some(({ doubt }) => doubt !== undefined)) context.setExitCode(EXIT.failed);
      if (flags.json) return printJson({ writers: writers.map(shown) });
      printTable(
        ["fact", "writer", "since", "views that write it", "state", "what to do"],
        writers.map(shown).map((one) => [
          one.fact,
          one.writer ?? "",
          one.since ?? "",
          one.views.join(", "),
          one.why ?? "certain",
          one.fix ?? "",
        ]),
      );
    })
  );
  withSettings(
    command.command("plan").description(
      "the steps from the view to Latecomer and back, as commands for this installation",
    )
      .option(...JSON_FLAG),
    PLACES,
  ).action((flags: CutoverFlags) =>
    withSoundWarehouse(context, flags, (clickhouse, config) => plan(clickhouse, config, flags, context))
  );
  withSettings(
    command.command("to").description("make the view (mv) or Latecomer the writer")
      .argument("<writer>", "mv, latecomer", writerOf)
      .option("--force", "also when it is not certain who writes; drops every view that writes a fact")
      .option(...JSON_FLAG),
    WAREHOUSE,
  ).action((to: Writer, flags: CutoverFlags) =>
    withSoundWarehouse(context, flags, async (clickhouse, config) => {
      const order = { to, force: flags.force === true };
      const done = await handOver(clickhouse, config.database, order, systemClock, context.takeSignal());
      if (flags.json) return printJson({ writer: to, done });
      for (const line of done.length === 0 ? [`${to} is the writer already`] : done) printLine(line);
      if (to === "latecomer" && done.length > 0) {
        printLine("What the view wrote stays until it is back-filled: latecomer cutover plan");
      }
    })
  );
}

function writerOf(text: string): Writer {
  if (text === "mv" || text === "latecomer") return text;
  throw usage(`"${text}" is no writer, expected mv or latecomer`);
}

async function withSoundWarehouse(
  context: Context,
  flags: CutoverFlags,
  work: (clickhouse: ClickHouse, config: Config) => Promise<void>,
): Promise<void> {
  const config = configOf(context, flags);
  await withWarehouse(config, async (clickhouse) => {
    requireSound(await checkClickHouse(config, clickhouse));
    await work(clickhouse, config);
  });
}

function shown({ fact, writer, sinceMs, views, doubt }: FactWriter) {
  const since = writer === undefined ? null : formatInstant(sinceMs);
  return { fact, writer: writer ?? null, since, views, why: doubt?.why ?? null, fix: doubt?.fix ?? null };
}

async function plan(clickhouse: ClickHouse, config: Config, flags: CutoverFlags, context: Context): Promise<void> {
  const { bounds, generation } = await withNats(config, async (nc) => {
    const bounds = await (await openEventStream(nc)).bounds();
    return { bounds, generation: (await readGeneration(nc))?.generation ?? 0 };
  });
  const writers = await factWriters(clickhouse, config.database);
  const doubtful = writers.filter(({ doubt }) => doubt !== undefined);
  const ofView = writers.some(({ writer }) => writer === "mv");
  const left = await rowsOfViews(clickhouse, bounds.firstSeq);
  const steps = stepsOf({ ofView, bounds, generation, left });
  const mending = doubtful.map(({ fact, doubt }): Step => ({
    command: doubt!.fix,
    changes: `${fact}: ${doubt!.why}`,
    isDone: false,
  }));
  if (mending.length > 0) context.setExitCode(EXIT.failed);
  const { firstSeq: fromSeq, lastSeq: toSeq } = bounds;
  if (flags.json) {
    return printJson({
      fromSeq,
      toSeq,
      generation,
      rowsOfView: left.rows,
      outOfReach: left.outOfReach,
      mending,
      steps,
    });
  }
  if (mending.length > 0) printLine("It is not certain who writes. First:");
  for (const { command, changes } of mending) printLine(`   ${command}\n      ${changes}`);
  for (const [at, { command, changes, isDone }] of steps.entries()) {
    printLine(`${at + 1}. ${command}${isDone ? "   (done)" : ""}\n      ${changes}`);
  }
}

interface Situation {
  readonly ofView: boolean;
  readonly bounds: StreamBounds;
  readonly generation: number;
  readonly left: { readonly rows: number; readonly outOfReach: number };
}

function stepsOf({ ofView, bounds: { firstSeq, lastSeq }, generation, left }: Situation): Step[] {
  const range = `sequences ${firstSeq} to ${lastSeq} and what comes until then`;
  const isDone = !ofView;
  return [
    { command: "latecomer cutover status", changes: "nothing: exit 0 when it is certain who writes", isDone },
    {
      command: "latecomer cutover to latecomer",
      changes: `drops ${LEGACY_VIEWS.map(({ name }) => name).join(", ")}; processors write the fact again`,
      isDone,
    },
    {
      command: `latecomer replay --from-seq ${firstSeq} --backfill`,
      changes: `derives ${range} again under generation ${generation + 1} and replaces ${
        left.rows - left.outOfReach
      } of the ${left.rows} samples that stand as the view wrote them; the other ${left.outOfReach} are older than the stream`,
      isDone: isDone && left.rows === left.outOfReach,
    },
    {
      command: `latecomer replay --from-seq ${firstSeq} --compare`,
      changes: `nothing: exit 0 when the live rows of ${range} are the derived ones`,
      isDone: false,
    },
    {
      command: "latecomer cutover to mv",
      changes: "the way back: processors withhold the fact, the view writes what is new; rows of Latecomer stay",
      isDone: false,
    },
  ];
}

/** The samples that stand as a view wrote them, and how many of them the stream has no more. */
async function rowsOfViews(clickhouse: ClickHouse, firstSeq: number): Promise<Situation["left"]> {
  const found = { rows: 0, outOfReach: 0 };
  for (const { fact } of LEGACY_VIEWS) {
    const [row] = await clickhouse.rows<{ rows: string; outOfReach: string }>(
      `SELECT count() AS rows,
              countIf((source, source_event_uid) NOT IN
                (SELECT source, uid FROM raw_streaming_events WHERE stream_sequence >= {first:UInt64})) AS outOfReach
       FROM ${fact} FINAL WHERE version = 1`,
      { first: firstSeq },
    );
    found.rows += Number(row?.rows);
    found.outOfReach += Number(row?.outOfReach);
  }
  return found;
}
