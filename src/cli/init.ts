/** `latecomer init`: streams, buckets, generation and schema, made or brought up to date; twice changes nothing. */
import type { Command } from "commander";
import type { NatsConnection } from "nats";
import type { Config } from "../config.ts";
import { writeCatalogue } from "../clickhouse/catalogue.ts";
import { applyRetention, ensureDatabase, migrate, schemaStatements } from "../clickhouse/migrate.ts";
import { storedGeneration } from "../clickhouse/generation.ts";
import { ensureWriters } from "../clickhouse/writer.ts";
import { connectNats } from "../nats/connection.ts";
import { contentHash, ensureGeneration, type Generation } from "../nats/generation.ts";
import { applyStreams, planStreams, requireReplicable, type StreamPlan } from "../nats/provision.ts";
import {
  configOf,
  type Context,
  logOf,
  openWarehouse,
  PLACES,
  printJson,
  printLine,
  printTable,
  withSettings,
} from "./context.ts";

interface InitOptions {
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly raiseGeneration?: boolean;
  readonly print?: boolean;
  readonly json?: boolean;
}

export function registerInit(program: Command, context: Context): void {
  const command = program.command("init")
    .description("create or update streams, buckets and schema, showing every difference")
    .option("--dry-run", "show what would change and change nothing")
    .option("--force", "also make changes that keep less than today")
    .option("--raise-generation", "start a new generation: what is derived from now on replaces what was before")
    .option("--print", "write the statements of the schema to stdout, and do nothing else")
    .option("--json", "one JSON document on stdout");
  withSettings(command, [
    ...PLACES,
    "cluster",
    "replicas",
    "streamRetentionMs",
    "tableRetention",
    "ttlBeforeMs",
    "ttlAfterMs",
  ]).action(async (options: InitOptions) => {
    const config = configOf(context, { ...options });
    if (options.print) return print(config, options);
    const nc = await connectNats(config);
    try {
      const plans = await planStreams(await nc.jetstreamManager(), config);
      if (options.dryRun) return report(options, plans, [], undefined);
      const applied = await initialise(config, nc, plans, options);
      const { generation, migrations } = applied;
      report(options, plans, migrations, generation);
      if (generation.hash !== contentHash(config)) {
        const note = "this configuration derives other rows than the generation; --raise-generation starts a new one";
        logOf(config).warn({ generation: generation.generation }, note);
      }
    } finally {
      await nc.close();
    }
  });
}

/** Makes everything that `run` needs. */
export async function initialise(
  config: Config,
  nc: NatsConnection,
  plans: readonly StreamPlan[],
  options: { readonly force?: boolean; readonly raiseGeneration?: boolean },
): Promise<{ generation: Generation; migrations: string[] }> {
  requireReplicable(nc, config);
  await applyStreams(await nc.jetstreamManager(), plans, options.force === true);
  await ensureDatabase(config.clickhouseUrl, config);
  const clickhouse = await openWarehouse(config, logOf(config));
  try {
    const migrations = await migrate(clickhouse, config);
    await writeCatalogue(clickhouse);
    await ensureWriters(clickhouse, config.database);
    await applyRetention(clickhouse, config);
    const stored = await storedGeneration(clickhouse);
    const generation = await ensureGeneration(nc, config, options.raiseGeneration === true, stored);
    return { generation, migrations };
  } finally {
    await clickhouse.close();
  }
}

function print(config: Config, options: InitOptions): void {
  const statements = schemaStatements(config);
  if (options.json) return printJson({ statements });
  for (const statement of statements) printLine(`${statement};\n`);
}

function report(
  options: InitOptions,
  plans: readonly StreamPlan[],
  migrations: readonly string[],
  generation: Generation | undefined,
): void {
  if (options.json) {
    const streams = plans.map(({ name, action, changes }) => ({ name, action, changes }));
    printJson({ dryRun: options.dryRun === true, streams, migrations, generation: generation?.generation ?? null });
    return;
  }
  const done = options.dryRun
    ? { create: "would create", update: "would update" }
    : { create: "created", update: "updated" };
  printTable(
    ["stream", "", "difference"],
    plans.map(({ name, action, changes }) => [
      name,
      action === "create"
        ? done.create
        : action === "update"
        ? done.update
        : action === "refuse"
        ? "cannot change"
        : "unchanged",
      changes.map(({ field, from, to, narrows }) => `${field}: ${from} → ${to}${narrows ? " (keeps less)" : ""}`).join(
        "\n",
      ),
    ]),
  );
  if (options.dryRun) return;
  printLine(`schema: ${migrations.length === 0 ? "up to date" : `applied ${migrations.join(", ")}`}`);
  if (generation !== undefined) printLine(`generation: ${generation.generation}`);
}
