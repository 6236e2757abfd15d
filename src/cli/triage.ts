/**
 * `latecomer triage`: the state of attribution over a window. Exit 1 when something is wrong, 3 when nothing that could
 * be asked is wrong and NATS could not be.
 */
import type { Command } from "commander";
import type { Config } from "../config.ts";
import { EXIT, exitCodeOf, LatecomerError } from "../errors.ts";
import { triagePage } from "../triage/page/page.ts";
import { type Lag, triage } from "../triage/triage.ts";
import { checkClickHouse, requireSound } from "./checks.ts";
import {
  configOf,
  type Context,
  PLACES,
  printJson,
  requireWritable,
  withNats,
  withSettings,
  withWarehouse,
  writeNamed,
} from "./context.ts";
import { checkPartitions, checkRollup } from "./partitions.ts";
import { hoursOf, withHours } from "./time.ts";
import { printTriage } from "./triage-text.ts";

interface TriageFlags {
  readonly source?: string;
  readonly from?: number;
  readonly to?: number;
  readonly html?: string;
  readonly json?: boolean;
}

export function registerTriage(program: Command, context: Context): void {
  const command = program.command("triage")
    .description("the state of attribution over a window: empty keys and who has them, corrections, parity, lag")
    .option("--source <name>", "one source; assertions are of all of them");
  withHours(command)
    .option("--html <file>", "also write a page that needs nothing but itself")
    .option("--json", "one JSON document on stdout");
  withSettings(command, [...PLACES, "partitions"]).action(async (flags: TriageFlags) => {
    const config = configOf(context, flags);
    const window = hoursOf(flags);
    if (flags.html !== undefined) await requireWritable(flags.html);
    await withWarehouse(config, async (clickhouse) => {
      requireSound(await checkClickHouse(config, clickhouse));
      const found = await triage(clickhouse, { ...window, source: flags.source }, await lagOf(config));
      if (flags.html !== undefined) writeNamed(flags.html, triagePage(found, Date.now()));
      if (flags.json) printJson(found);
      else printTriage(found);
      if (!found.sound) context.setExitCode(EXIT.failed);
      else if (found.lag.unknown !== "") context.setExitCode(EXIT.unavailable);
    });
  });
}

/** Without NATS the tables can still be looked at; wrong usage is not its absence. */
async function lagOf(config: Config): Promise<Lag> {
  try {
    return await withNats(config, async (nc) => {
      return { checks: [...await checkPartitions(nc, config.partitions), await checkRollup(nc)], unknown: "" };
    });
  } catch (error) {
    if (!(error instanceof LatecomerError) || exitCodeOf(error) === EXIT.usage) throw error;
    return { checks: [], unknown: error.message };
  }
}
