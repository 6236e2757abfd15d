/** `latecomer digest`: the content of the facts and the rollup over a window as one number per table. */
import type { Command } from "commander";
import { digests, rollupDigest } from "../clickhouse/digest.ts";
import { configOf, type Context, printJson, printTable, withSettings, withWarehouse } from "./context.ts";
import { instant, requireWindow, TIME_FORMS } from "./time.ts";

interface DigestFlags {
  readonly source?: string;
  readonly from?: number;
  readonly to?: number;
  readonly json?: boolean;
}

export function registerDigest(program: Command, context: Context): void {
  const command = program.command("digest")
    .description("content digest per fact and of the rollup over a window, the same for the same content in any order")
    .option("--source <name>", "one source; its name is no part of the digest")
    .option("--from <time>", `event time from which on: ${TIME_FORMS}`, instant)
    .option("--to <time>", `event time before which: ${TIME_FORMS}`, instant)
    .option("--json", "one JSON document on stdout");
  withSettings(command, ["clickhouseUrl", "database"]).action(async (flags: DigestFlags) => {
    requireWindow(flags);
    const config = configOf(context, flags);
    await withWarehouse(config, async (clickhouse) => {
      const window = { source: flags.source, fromMs: flags.from, toMs: flags.to };
      const found = [
        ...await digests(clickhouse, config.database, window),
        await rollupDigest(clickhouse, config.database, window),
      ];
      if (flags.json) {
        printJson({ source: flags.source ?? null, from: flags.from ?? null, to: flags.to ?? null, digests: found });
      } else printTable(["table", "rows", "digest"], found.map((one) => [one.table, one.rows, one.digest]));
    });
  });
}
