/** Checks of the installation: at start-up the ones that must hold, in `doctor` all of them. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { nanos, type NatsConnection } from "nats";
import type { Config } from "../config.ts";
import { type ClickHouse, embeddedFolder } from "../clickhouse/client.ts";
import { schemaDrift } from "../clickhouse/drift.ts";
import { migrationStatus } from "../clickhouse/migrate.ts";
import { factWriters } from "../clickhouse/writer.ts";
import { LatecomerError } from "../errors.ts";
import { natsError, openManager } from "../nats/connection.ts";
import { contentHash, readGeneration } from "../nats/generation.ts";
import { planStreams } from "../nats/provision.ts";
import { isOlder } from "../release.ts";
import { maskUrl } from "../secrets.ts";

/** `unknown`: cannot be read here, and nothing depends on it; `warning`: it runs, and something is lost or late. */
export type Severity = "ok" | "unknown" | "warning" | "failed";

/** What a check found; anything but `ok` says what to do. */
export interface Finding {
  readonly check: string;
  readonly state: Severity;
  readonly detail: string;
  readonly fix: string;
}

/** Clocks further apart than this make times hard to read; an hour apart, events are refused as from the future. */
const TOLERATED_SKEW_MS = 5_000;
const FATAL_SKEW_MS = 3_600_000;

/**
 * The oldest nats-server for a cluster. Earlier ones take two writes on one revision when both are under way
 * (nats-server#4320), and their members may keep what others refused (nats-server#4365, #5794 of August 2024).
 */
const OLDEST_CLUSTER = [2, 10, 20] as const;

/** The oldest ClickHouse with all that the schema uses. */
const OLDEST_CLICKHOUSE = [24, 8] as const;

export const ok = (check: string, detail: string): Finding => ({ check, state: "ok", detail, fix: "" });

type Found = (check: string, detail: string, fix: string) => Finding;

export const unknown: Found = (check, detail, fix) => ({ check, state: "unknown", detail, fix });
export const warning: Found = (check, detail, fix) => ({ check, state: "warning", detail, fix });
export const failed: Found = (check, detail, fix) => ({ check, state: "failed", detail, fix });

/** The folder of the embedded engine is there and can be written. */
export async function checkFolder(config: Config): Promise<Finding> {
  const check = "folder";
  const folder = embeddedFolder(config.clickhouseUrl);
  if (folder === undefined) return ok(check, "none is needed: ClickHouse is a server");
  try {
    await access(folder, constants.W_OK);
    return ok(check, folder);
  } catch (error) {
    const isMissing = (error as { code?: string }).code === "ENOENT";
    if (isMissing) return failed(check, `there is no ${folder}`, "latecomer init");
    return failed(check, `${folder} cannot be written`, "choose another folder in CLICKHOUSE_URL");
  }
}

/** Streams, buckets and generation are those of this version and configuration. */
export async function checkNats(config: Config, nc: NatsConnection): Promise<Finding[]> {
  const findings = [serverFinding(config.natsUrl, nc.info!)];
  const plans = await planStreams(await openManager(nc), config);
  const missing = plans.filter((plan) => plan.action === "create").map((plan) => plan.name);
  const drifted = plans.filter((plan) => plan.action === "update" || plan.action === "refuse").map((
    { name, changes },
  ) => `${name} (${changes.map(({ field, from, to }) => `${field} ${from}, defined ${to}`).join("; ")})`);
  if (missing.length > 0) {
    findings.push(failed("streams", `missing: ${missing.join(", ")}`, "latecomer init"));
  } else if (drifted.length > 0) {
    const detail = `differ from their definition: ${drifted.join(", ")}`;
    findings.push(warning("streams", detail, "latecomer init --dry-run shows the difference"));
  } else {
    findings.push(ok("streams", `${plans.length} as defined`));
  }
  if (missing.length > 0) return findings;
  findings.push(await checkGeneration(config, nc));
  findings.push(clockFinding("clock of NATS", await natsClockMs(nc)));
  return findings;
}

async function checkGeneration(config: Config, nc: NatsConnection): Promise<Finding> {
  const check = "generation";
  try {
    const generation = await readGeneration(nc);
    if (generation === undefined) return failed(check, "there is none", "latecomer init");
    if (generation.hash === contentHash(config)) return ok(check, String(generation.generation));
    const detail = `${generation.generation} was made for other TTLs or another version`;
    return failed(check, detail, "restore the settings, or latecomer init --raise-generation");
  } catch (error) {
    if ((error as LatecomerError).code !== "GENERATION_CORRUPT") throw error;
    return failed(check, "it cannot be read", "latecomer init --raise-generation");
  }
}

/** What is to be said of a server by what it tells of itself. */
export function serverFinding(
  url: string,
  { version, cluster }: { version: string; cluster?: string | undefined },
): Finding {
  const check = "nats-server";
  const detail = `${version} at ${maskUrl(url)}`;
  if (cluster === undefined || !isOlder(version, OLDEST_CLUSTER)) return ok(check, detail);
  const risk = `members of a cluster before ${OLDEST_CLUSTER.join(".")} may come to disagree`;
  return warning(check, `${detail}: ${risk}`, "upgrade nats-server");
}

/** The schema is that of this version, and the engine's clock is ours. */
export async function checkClickHouse(config: Config, clickhouse: ClickHouse): Promise<Finding[]> {
  const [engine] = await clickhouse.rows<{ version: string; now: string }>(
    "SELECT version() AS version, toUnixTimestamp64Milli(now64(3)) AS now",
  );
  const findings = [engineFinding(engine?.version ?? "", clickhouse.description)];
  const status = await migrationStatus(clickhouse, config.database);
  const pending = status.filter((one) => one.state === "pending").map((one) => one.name);
  const changed = status.filter((one) => one.state === "changed").map((one) => one.name);
  if (changed.length > 0) {
    const fix = "use the Latecomer that made this database, or another database";
    findings.push(failed("schema", `other versions of ${changed.join(", ")}`, fix));
  } else if (pending.length > 0) {
    findings.push(failed("schema", `pending: ${pending.join(", ")}`, "latecomer init"));
  } else {
    findings.push(ok("schema", `${status.length} migrations in ${config.database}`));
    findings.push(...await checkWriters(config, clickhouse));
  }
  findings.push(clockFinding("clock of ClickHouse", Number(engine?.now)));
  return findings;
}

function engineFinding(version: string, description: string): Finding {
  if (!isOlder(version, OLDEST_CLICKHOUSE)) return ok("ClickHouse", `${version} at ${description}`);
  const detail = `${version} at ${description} is older than ${OLDEST_CLICKHOUSE.join(".")}`;
  return failed("ClickHouse", detail, "upgrade ClickHouse");
}

/** Tables and views are those of the migrations: somebody may have changed one by hand. */
export async function checkDrift(config: Config, clickhouse: ClickHouse): Promise<Finding[]> {
  const check = "tables and views";
  const drift = await schemaDrift(clickhouse, config.database);
  if (drift.length === 0) return [ok(check, "as the migrations make them")];
  return drift.map(({ name, kind, problem }) => ({
    check,
    state: problem === "missing" ? "failed" : "warning",
    detail: `${kind} ${name} ${problem === "missing" ? "is missing" : "is not what the migration makes"}`,
    fix: problem === "missing"
      ? "latecomer init"
      : kind === "view"
      ? "drop it, then latecomer init"
      : "another database, latecomer init, and latecomer replay into it",
  }));
}

/** It is certain who writes each fact. No failure: whoever is not the writer withholds its rows and goes on. */
async function checkWriters(config: Config, clickhouse: ClickHouse): Promise<Finding[]> {
  const check = "writer of the facts";
  const writers = await factWriters(clickhouse, config.database);
  const doubts = writers.flatMap(({ fact, doubt }): Finding[] =>
    doubt === undefined ? [] : [warning(check, `${fact}: ${doubt.why}`, doubt.fix)]
  );
  if (doubts.length > 0) return doubts;
  const ofOthers = writers.filter(({ writer }) => writer !== "latecomer");
  if (ofOthers.length === 0) return [ok(check, "latecomer")];
  const detail = `latecomer, but ${ofOthers.map(({ fact, writer }) => `${fact}: ${writer}`).join(", ")}`;
  return [warning(check, detail, "latecomer cutover plan tells the way to latecomer")];
}

/** Throws when a check that must hold at start-up failed; the message says what to do. */
export function requireSound(findings: readonly Finding[]): void {
  const failed = findings.filter((finding) => finding.state === "failed");
  if (failed.length === 0) return;
  const lines = failed.map(({ check, detail, fix }) => `  ${check}: ${detail}; ${fix}`);
  throw new LatecomerError("NOT_READY", "unavailable", `the installation is not ready:\n${lines.join("\n")}`);
}

function clockFinding(check: string, theirsMs: number): Finding {
  const skewMs = Math.abs(theirsMs - Date.now());
  const detail = `${Math.round(skewMs)} ms from ours`;
  if (skewMs < TOLERATED_SKEW_MS) return ok(check, detail);
  return { check, state: skewMs < FATAL_SKEW_MS ? "warning" : "failed", detail, fix: "synchronise the clocks (NTP)" };
}

/** The server's time, as it stands in its answers about a consumer; made and gone within the check. */
async function natsClockMs(nc: NatsConnection): Promise<number> {
  const jsm = await openManager(nc);
  const consumer = await jsm.consumers.add("KV_checkpoints", { inactive_threshold: nanos(1_000) }).catch((error) => {
    throw natsError(error, "ask for the clock of NATS");
  });
  await jsm.consumers.delete("KV_checkpoints", consumer.name).catch(() => {});
  return Date.parse(consumer.created);
}
