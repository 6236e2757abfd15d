/** `latecomer doctor`: what is wrong with the installation, and the command that mends it. Exit 1 when anything failed. */
import type { Command } from "commander";
import { ErrorCode, type NatsConnection } from "nats";
import { type Config, describeConfig } from "../config.ts";
import type { ClickHouse } from "../clickhouse/client.ts";
import { formatDuration } from "../core/time.ts";
import { EXIT } from "../errors.ts";
import { systemClock } from "../runtime/clock.ts";
import { DEADLINE_MS } from "../runtime/probe.ts";
import { checkClickHouse, checkDrift, checkFolder, checkNats, failed, type Finding, unknown } from "./checks.ts";
import { checkKeeping, checkReplicas } from "./keeping.ts";
import { checkConsumers, checkPartitions, checkRollup } from "./partitions.ts";
import { checkClickHousePermissions, checkNatsPermissions } from "./permissions.ts";
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

export function registerDoctor(program: Command, context: Context): void {
  const command = program.command("doctor")
    .description("check versions, streams, schema, permissions, clocks, lag and bounds; say what to do")
    .option("--json", "one JSON document on stdout");
  withSettings(command, [
    ...[...PLACES, "partitions", "replicas", "streamRetentionMs"] as const,
    ...["ttlBeforeMs", "ttlAfterMs", "allowedLatenessMs"] as const,
  ]);
  command.action(async (flags: { json?: boolean }) => {
    const config = configOf(context, flags);
    const findings = await examine(config);
    const failed = findings.some((finding) => finding.state === "failed");
    if (flags.json) printJson({ version: context.version, configuration: describeConfig(config), findings });
    else {
      printTable(
        ["check", "", "found", "what to do"],
        findings.map((one) => [one.check, one.state, one.detail, one.fix]),
      );
      printLine(failed ? "Something must be mended before `latecomer run` can work." : "Ready to run.");
    }
    if (failed) context.setExitCode(EXIT.failed);
  });
}

/** What a user may not look at is not known; it may be all right. */
async function whereReadable(check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (code !== ErrorCode.PermissionsViolation && code !== `NATS_${ErrorCode.PermissionsViolation}`) throw error;
    const fix = "run doctor as a user that may read it, see deploy/nats/accounts.conf";
    return [unknown(check, `this user may not look: ${message}`, fix)];
  }
}

/** What is to be said of a ClickHouse that does not answer soon: a query waits for as long as the longest may take. */
async function findSilence(clickhouse: ClickHouse): Promise<Finding[]> {
  const answered = new AbortController();
  const late = systemClock.sleep(DEADLINE_MS, answered.signal).then(() => "late");
  const outcome = await Promise.race([clickhouse.ping(), late]).finally(() => answered.abort());
  if (outcome !== "late") return [];
  const detail = `${clickhouse.description} does not answer within ${formatDuration(DEADLINE_MS)}`;
  return [failed("ClickHouse", detail, "look at its load and its log; start it again if it hangs")];
}

/** What to do about a server that is there and cannot be used, by the code of the error. */
const FIXES: Readonly<Record<string, string>> = {
  CONFIG_INVALID: "mend the setting",
  JETSTREAM_UNAVAILABLE: "enable JetStream, on the server and for the account; NATS_URL names another",
  NATS_REFUSED: "check NATS_URL, NATS_CREDS and the files for TLS",
  NATS_SILENT: "look at the log of nats-server; raise max_connections, or start it again if it hangs",
  NATS_TOO_OLD: "upgrade nats-server",
};

/** Every check that can be made; one that cannot is a finding too. */
export async function examine(config: Config): Promise<Finding[]> {
  const findings = [await checkFolder(config)];
  const attempt = async (check: string, fix: string, work: () => Promise<Finding[]>) => {
    try {
      findings.push(...await work());
    } catch (error) {
      const { code = "", message } = error as Error & { code?: string };
      findings.push(failed(check, message, FIXES[code] ?? fix));
    }
  };
  const nats = () => withNats(config, (nc) => examineNats(config, nc));
  await attempt("nats-server", "latecomer dev starts one; NATS_URL names another", nats);
  const engine = () => withWarehouse(config, (clickhouse) => examineClickHouse(config, clickhouse));
  await attempt("ClickHouse", "latecomer init creates the database; CLICKHOUSE_URL names another engine", engine);
  return findings;
}

async function examineNats(config: Config, nc: NatsConnection): Promise<Finding[]> {
  const findings = [
    ...await whereReadable("streams", () => checkNats(config, nc)),
    ...await whereReadable("replicas", async () => [await checkReplicas(config, nc)]),
  ];
  const isProvisioned = findings.some(({ check, state }) => check === "streams" && /^(ok|warning)$/.test(state));
  if (!isProvisioned) return findings;
  return [
    ...findings,
    ...await checkKeeping(config, nc),
    ...await checkNatsPermissions(nc),
    ...await whereReadable("consumers", () => checkConsumers(nc)),
    ...await whereReadable("partitions", () => checkPartitions(nc, config.partitions)),
    ...await whereReadable("rollup", async () => [await checkRollup(nc)]),
  ];
}

async function examineClickHouse(config: Config, clickhouse: ClickHouse): Promise<Finding[]> {
  const silence = await findSilence(clickhouse);
  if (silence.length > 0) return silence;
  const findings = await checkClickHouse(config, clickhouse);
  const isMigrated = findings.every(({ check, state }) => check !== "schema" || state !== "failed");
  if (!isMigrated) return findings;
  return [
    ...findings,
    ...await checkDrift(config, clickhouse),
    ...await checkClickHousePermissions(clickhouse),
  ];
}
