/** `latecomer init`: streams, buckets, generation and schema, made or brought up to date; twice changes nothing. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { NatsConnection } from "nats";
import type { Config } from "../config.ts";
import { writeCatalogue } from "../clickhouse/catalogue.ts";
import { embeddedFolder, openClickHouse } from "../clickhouse/client.ts";
import { requireCluster } from "../clickhouse/cluster.ts";
import {
  applyRetention,
  ensureDatabase,
  migrate,
  migrations,
  pendingMigrations,
  schemaStatements,
} from "../clickhouse/migrate.ts";
import { storedGeneration } from "../clickhouse/generation.ts";
import { ensureWriters } from "../clickhouse/writer.ts";
import { LatecomerError } from "../errors.ts";
import { openManager } from "../nats/connection.ts";
import { bucketStream } from "../nats/definitions.ts";
import { contentHash, ensureGeneration, type Generation, planGeneration } from "../nats/generation.ts";
import { applyStreams, planStreams, requireAllowed, requireReplicable, type StreamPlan } from "../nats/provision.ts";
import {
  configOf,
  type Context,
  logOf,
  PLACES,
  printJson,
  printLine,
  printTable,
  withNats,
  withSettings,
  withWarehouse,
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
    .option("--dry-run", "show what would change, refuse what would be refused, and change nothing")
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
    const config = configOf(context, options);
    if (options.print) return print(config, options);
    await withNats(config, async (nc) => {
      const plans = await planStreams(await openManager(nc), config);
      if (options.dryRun) {
        report(config, options, plans, await inspect(config, nc, plans, options));
        return requireAllowed(plans, options.force === true);
      }
      report(config, options, plans, await initialise(config, nc, plans, options));
    });
  });
}

interface InitialiseOptions {
  readonly force?: boolean;
  readonly raiseGeneration?: boolean;
}

/** What was changed beside the streams, or would be, and the generation from then on. */
interface Initialised {
  readonly migrations: readonly string[];
  readonly generation: Generation;
}

interface Inspected extends Initialised {
  /** The greatest generation of what is stored. */
  readonly stored: number;
}

/** Looks at all that `initialise` may refuse but the changes of the plans, and changes nothing. Throws what it refuses. */
async function inspect(
  config: Config,
  nc: NatsConnection,
  plans: readonly StreamPlan[],
  { raiseGeneration = false }: InitialiseOptions,
): Promise<Inspected> {
  requireReplicable(nc, config);
  const found = await inspectWarehouse(config);
  const hasBucket = plans.some(({ name, action }) => name === bucketStream("checkpoints") && action !== "create");
  const generation = await planGeneration(nc, config, { hasBucket, raise: raiseGeneration, stored: found.stored });
  return { ...found, generation };
}

async function inspectWarehouse(config: Config): Promise<Omit<Inspected, "generation">> {
  const { clickhouseUrl, database } = config;
  const folder = embeddedFolder(clickhouseUrl);
  if (folder !== undefined && config.cluster !== "") {
    const why = "the embedded engine is in no cluster: leave out --cluster, or name a server in CLICKHOUSE_URL";
    throw new LatecomerError("CLUSTER_UNKNOWN", "usage", why);
  }
  // To open it would make it.
  if (folder !== undefined && !existsSync(folder)) {
    return { migrations: migrations().map(({ name }) => name), stored: 0 };
  }
  const clickhouse = await openClickHouse(clickhouseUrl);
  try {
    const pending = await pendingMigrations(clickhouse, config);
    await requireCluster(clickhouse, config.cluster);
    return { migrations: pending.map(({ name }) => name), stored: await storedGeneration(clickhouse, database) };
  } finally {
    await clickhouse.close();
  }
}

/** Makes everything that `run` needs; what it refuses, it refuses before the first change. */
export async function initialise(
  config: Config,
  nc: NatsConnection,
  plans: readonly StreamPlan[],
  options: InitialiseOptions,
): Promise<Initialised> {
  const { stored } = await inspect(config, nc, plans, options);
  await applyStreams(await openManager(nc), plans, options.force === true);
  await ensureDatabase(config.clickhouseUrl, config);
  return await withWarehouse(config, async (clickhouse) => {
    const migrations = await migrate(clickhouse, config);
    await writeCatalogue(clickhouse);
    await ensureWriters(clickhouse, config.database);
    await applyRetention(clickhouse, config);
    const generation = await ensureGeneration(nc, config, options.raiseGeneration === true, stored);
    return { generation, migrations };
  }, logOf(config));
}

function print(config: Config, options: InitOptions): void {
  const statements = schemaStatements(config);
  if (options.json) return printJson({ statements });
  for (const statement of statements) printLine(`${statement};\n`);
}

function report(
  config: Config,
  options: InitOptions,
  plans: readonly StreamPlan[],
  { migrations, generation: { generation, hash } }: Initialised,
): void {
  if (hash !== contentHash(config)) {
    const note = "this configuration derives other rows than the generation; --raise-generation starts a new one";
    logOf(config).warn({ generation }, note);
  }
  if (options.json) {
    const streams = plans.map(({ name, action, changes }) => ({ name, action, changes }));
    return printJson({ dryRun: options.dryRun === true, streams, migrations, generation });
  }
  const does = options.dryRun
    ? { create: "would create", update: "would update", apply: "would apply" }
    : { create: "created", update: "updated", apply: "applied" };
  const outcomes = { ...does, refuse: "cannot change", keep: "unchanged" };
  printTable(
    ["stream", "", "difference"],
    plans.map(({ name, action, changes }) => [
      name,
      outcomes[action],
      changes.map(({ field, from, to, narrows }) => `${field}: ${from} → ${to}${narrows ? " (keeps less)" : ""}`).join(
        "\n",
      ),
    ]),
  );
  printLine(`schema: ${migrations.length === 0 ? "up to date" : `${does.apply} ${migrations.join(", ")}`}`);
  printLine(`generation: ${generation}`);
}
