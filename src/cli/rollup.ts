/** `latecomer rollup`: recompute the minutes of a window from the facts as they stand; twice changes nothing. */
import type { Command } from "commander";
import { minutesWithin, openRollups } from "../clickhouse/rollup.ts";
import { wholeMinutes } from "../core/minute.ts";
import { formatInstant } from "../core/time.ts";
import { EXIT } from "../errors.ts";
import { configOf, type Context, logOf, printJson, printLine, withSettings, withWarehouse } from "./context.ts";
import { instant, requireWindow, TIME_FORMS } from "./time.ts";
import { startProgress } from "./progress.ts";

interface RollupFlags {
  readonly source?: string;
  readonly from: number;
  readonly to: number;
  readonly json?: boolean;
}

/** Minutes between two looks at whether to stop. */
const SLICE = 400;

export function registerRollup(program: Command, context: Context): void {
  const command = program.command("rollup")
    .description("recompute the rollup of a window from the facts as they stand")
    .requiredOption("--from <time>", `event time from which on: ${TIME_FORMS}`, instant)
    .requiredOption(
      "--to <time>",
      `event time before which: ${TIME_FORMS}. The window is widened to whole minutes`,
      instant,
    )
    .option("--source <name>", "one source, all of them otherwise")
    .option("--json", "one JSON document on stdout");
  withSettings(command, ["clickhouseUrl", "database", "logLevel"]).action(async (flags: RollupFlags) => {
    requireWindow(flags);
    const { fromMs, toMs } = wholeMinutes({ fromMs: flags.from, toMs: flags.to });
    const config = configOf(context, flags);
    await withWarehouse(config, async (clickhouse) => {
      const minutes = await minutesWithin(clickhouse, { source: flags.source, fromMs, toMs });
      const rollups = openRollups(clickhouse);
      const progress = startProgress("minutes", minutes.length);
      const stopping = context.takeSignal();
      let done = 0;
      for (; done < minutes.length && !stopping.aborted; done += SLICE) {
        await rollups.recompute(minutes.slice(done, done + SLICE));
        progress.update(Math.min(done + SLICE, minutes.length));
      }
      progress.stop();
      const recomputed = Math.min(done, minutes.length);
      // What was asked for and did not come to its end is no success; asked for again it begins anew.
      if (recomputed < minutes.length) context.setExitCode(EXIT.failed);
      if (flags.json) {
        const window = { source: flags.source ?? null, from: fromMs, to: toMs };
        return printJson({ ...window, minutes: minutes.length, recomputed });
      }
      printLine(
        `${recomputed} of ${minutes.length} minutes recomputed, ${formatInstant(fromMs)} to ${formatInstant(toMs)}`,
      );
    }, logOf(config));
  });
}
