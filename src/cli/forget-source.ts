/** `latecomer forget-source`: everything that there is of one source, shown, and with `--apply` removed. */
import type { Command } from "commander";
import type { NatsConnection } from "nats";
import type { ClickHouse } from "../clickhouse/client.ts";
import { deleteRowsOfSource, rowsOfSource } from "../clickhouse/forget.ts";
import { requireProfile } from "../clickhouse/migrate.ts";
import type { Config } from "../config.ts";
import { EXIT, LatecomerError } from "../errors.ts";
import { openBuckets } from "../nats/bucket.ts";
import { holdingsOf, keysOf, purgeHoldings } from "../nats/forget.ts";
import type { Bucket } from "../ports.ts";
import { readCosts } from "../runtime/state.ts";
import { checkClickHouse, requireSound } from "./checks.ts";
import {
  configOf,
  type Context,
  logOf,
  PLACES,
  printJson,
  printLine,
  printTable,
  withServers,
  withSettings,
} from "./context.ts";

interface ForgetFlags {
  readonly apply?: boolean;
  readonly json?: boolean;
}

/** How much of the source is where. */
interface Found {
  readonly place: string;
  readonly count: number;
}

export function registerForgetSource(program: Command, context: Context): void {
  const command = program.command("forget-source")
    .description("remove one source from streams, buckets and tables; shows what there is until told to apply")
    .argument("<source>", "the source, as `--source` names it")
    .option("--apply", "remove it: nothing brings it back")
    .option("--json", "one JSON document on stdout");
  withSettings(command, [...PLACES, "cluster"]).action(async (source: string, flags: ForgetFlags) => {
    const config = configOf(context, flags);
    await withServers(config, async (nc, clickhouse) => {
      requireSound(await checkClickHouse(config, clickhouse));
      await requireProfile(clickhouse, config);
      const found = await look(nc, clickhouse, config, source);
      if (flags.apply) await requireStillness(nc);
      // Of a name that nobody has, nothing is touched.
      if (flags.apply && found.length > 0) await forget(nc, clickhouse, config, source);
      const left = flags.apply ? await look(nc, clickhouse, config, source) : found;
      report(source, flags, found, left);
      if (flags.apply && left.length > 0) context.setExitCode(EXIT.failed);
    }, logOf(config));
  });
}

async function look(nc: NatsConnection, clickhouse: ClickHouse, config: Config, source: string): Promise<Found[]> {
  const { checkpoints } = await openBuckets(nc);
  const costs = await costsOf(nc, checkpoints, source);
  return [
    ...(await holdingsOf(nc, source)).map(({ stream, filter, count }) => ({ place: `${stream}, ${filter}`, count })),
    ...costs.map(({ key, count }) => ({ place: `KV_checkpoints, ${key}`, count })),
    ...(await rowsOfSource(clickhouse, config.database, source)).map(({ table, count }) => ({ place: table, count })),
  ];
}

/**
 * Removes everything, in an order in which whatever interrupts it leaves nothing that would bring a part of it back, so
 * that doing it again ends it: first the checkpoints, then what rows are derived from, then the rows.
 */
async function forget(nc: NatsConnection, clickhouse: ClickHouse, config: Config, source: string): Promise<void> {
  const { checkpoints } = await openBuckets(nc);
  // They speak of messages and entries that will be gone: whoever starts next reads what the stream then holds.
  for (const key of await keysOf(nc, "checkpoints", "*")) if (/^(all|\d+)$/.test(key)) await checkpoints.remove(key);
  await purgeHoldings(nc, await holdingsOf(nc, source));
  // Whoever has started meanwhile may have been moved past what others sent. Rows remain, so that doing it again mends it.
  await requireStillness(nc);
  for (const { key, kept, revision } of await costsOf(nc, checkpoints, source)) {
    if (kept.length === 0) await checkpoints.remove(key);
    else await checkpoints.put(key, JSON.stringify(kept), revision);
  }
  const tables = (await rowsOfSource(clickhouse, config.database, source)).map(({ table }) => table);
  await deleteRowsOfSource(clickhouse, config, tables, source);
}

/** A processor has sessions and open samples in memory and would write them again, a replay has rows in its tables. */
async function requireStillness(nc: NatsConnection): Promise<void> {
  const running = await keysOf(nc, "leases", ">");
  if (running.length > 0) {
    const why = `processors run (${
      running.join(", ")
    }): stop all of them, and wait five seconds for what a dead one left`;
    throw new LatecomerError("PROCESSORS_RUN", "unavailable", why);
  }
  const replays = await keysOf(nc, "replays", "*");
  if (replays.length > 0) {
    const commands = replays.map((id) => `latecomer replay drop ${id}`).join(", ");
    throw new LatecomerError("REPLAYS_KEPT", "usage", `replays keep rows of all sources: ${commands}`);
  }
}

/** The entries of `costs.…` that name a source, and what of them is of others. */
async function costsOf(nc: NatsConnection, checkpoints: Bucket, source: string) {
  const found = [];
  for (const key of await keysOf(nc, "checkpoints", "costs.>")) {
    const entry = await checkpoints.get(key);
    const costs = readCosts(entry?.value ?? "");
    const kept = costs.filter((cost) => cost.source !== source);
    const count = costs.length - kept.length;
    if (entry !== undefined && count > 0) found.push({ key, count, kept, revision: entry.revision });
  }
  return found;
}

function report(source: string, flags: ForgetFlags, found: readonly Found[], left: readonly Found[]): void {
  const applied = flags.apply === true;
  if (flags.json) return printJson({ source, applied, found, left: applied ? left : null });
  if (found.length + left.length === 0) return printLine(`There is nothing of the source "${source}".`);
  printTable(["where", applied ? "removed" : "there"], found.map(({ place, count }) => [place, count]));
  if (!applied) return printLine("Nothing was removed; --apply does it.");
  if (left.length === 0) return printLine("Nothing of it is left.");
  printTable(["where", "came meanwhile"], left.map(({ place, count }) => [place, count]));
  printLine("Stop who publishes it, and all processes with the role rollup, then do it again.");
}
