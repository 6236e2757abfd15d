/** `latecomer export-fixtures`: sessions that show a scenario out of the archive, as files that can be loaded again. */
import { type Command, Option } from "commander";
import type { ClickHouse } from "../clickhouse/client.ts";
import { sourcesWithin } from "../clickhouse/fixtures.ts";
import { formatInstant } from "../core/time.ts";
import { LatecomerError } from "../errors.ts";
import { exportFixtures } from "../fixtures/export.ts";
import type { Manifest } from "../fixtures/manifest.ts";
import { configOf, type Context, printJson, printLine, printTable, withSettings, withWarehouse } from "./context.ts";
import { instant, requireWindow, TIME_FORMS } from "./time.ts";
import { type Progress, startProgress } from "./progress.ts";
import { span, usage, wholeNumber } from "./values.ts";

interface ExportFlags {
  readonly from: number;
  readonly to: number;
  readonly out: string;
  readonly source?: string;
  readonly capabilityPrecedeSession?: boolean;
  readonly limitPerScenario: number;
  readonly capabilityWindow: number;
  readonly json?: boolean;
}

export function registerExportFixtures(program: Command, context: Context): void {
  const command = program.command("export-fixtures")
    .description("write sessions that show a scenario, as the stream delivered them, into a folder")
    .requiredOption("--from <time>", `start of a session from which on: ${TIME_FORMS}`, instant)
    .requiredOption("--to <time>", `start of a session before which: ${TIME_FORMS}`, instant)
    .requiredOption("--out <folder>", "an empty folder, or one that is not there yet")
    .option("--source <name>", "by default the only one that has sessions in the window")
    .option(
      "--capability-precede-session",
      "place every capability message before the sessions; times stay as they are",
    )
    .option("--limit-per-scenario <n>", "sessions of one scenario, the newest", wholeNumber, 3)
    .addOption(
      new Option(
        "--capability-window <duration>",
        "take capability messages this long before and after a session, and those its rows rest on",
      ).argParser(span).default(600_000, "10m"),
    )
    .option("--json", "the manifest on stdout");
  withSettings(command, ["clickhouseUrl", "database"]).action(async (flags: ExportFlags) => {
    requireWindow(flags);
    let progress: Progress | undefined;
    const manifest = await withWarehouse(configOf(context, flags), async (clickhouse) => {
      return await exportFixtures(clickhouse, flags.out, {
        source: flags.source ?? await onlySource(clickhouse, flags),
        fromMs: flags.from,
        toMs: flags.to,
        order: flags.capabilityPrecedeSession ? "capabilities_first" : "stream",
        limit: flags.limitPerScenario,
        capabilityWindowMs: flags.capabilityWindow,
        onProgress: (written, messages) => (progress ??= startProgress("exporting", messages)).update(written),
      });
    }).finally(() => progress?.stop());
    if (flags.json) printJson(manifest);
    else print(manifest, flags.out);
  });
}

async function onlySource(clickhouse: ClickHouse, { from, to }: ExportFlags): Promise<string> {
  const sources = await sourcesWithin(clickhouse, from, to);
  if (sources.length === 1) return sources[0]!;
  if (sources.length === 0) {
    const window = `from ${formatInstant(from)} to ${formatInstant(to)}`;
    throw new LatecomerError("NOTHING_FOUND", "fatal", `there is no session ${window}`);
  }
  throw usage(`choose one with --source: ${sources.join(", ")}`);
}

function print({ scenarios, files, events }: Manifest, folder: string): void {
  printTable(
    ["scenario", "candidates", "taken", "requests"],
    scenarios.map(({ scenario, candidates, sessions }) => [
      scenario,
      candidates,
      sessions.length,
      sessions.map((session) => session.request_id || session.stream_id).join(", "),
    ]),
  );
  const messages = files.flatMap((file) => Object.values(file.messages)).reduce((sum, count) => sum + count, 0);
  printLine(`${messages} messages from ${events.first} to ${events.last} in ${files.length} files of ${folder}`);
}
