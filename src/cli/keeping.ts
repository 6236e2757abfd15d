/** How long the server keeps things, and how durably, against what the rules of attribution need: for `doctor`. */
import { ErrorCode, type JetStreamManager, millis, type NatsConnection, NatsError, type StreamConfig } from "nats";
import type { Config } from "../config.ts";
import { formatDuration } from "../core/time.ts";
import { isNotFound, openManager } from "../nats/connection.ts";
import { DEAD_LETTER_STREAM, EVENT_STREAM } from "../nats/definitions.ts";
import { isClustered } from "../nats/provision.ts";
import { failed, type Finding, ok, unknown, warning } from "./checks.ts";

/** Within so long after each other repeats are dropped by the server, as streams/CONTRACT.md promises publishers. */
const PROMISED_WINDOW_MS = 120_000;

/** How long the server may take to tell of itself; most say at once that nobody answers. */
const PATIENCE_MS = 1_000;

type Rules = Pick<Config, "ttlBeforeMs" | "ttlAfterMs" | "allowedLatenessMs">;

/** Retention, deduplication windows and the interval of syncs, as the server has them. */
export async function checkKeeping(config: Rules, nc: NatsConnection): Promise<Finding[]> {
  const jsm = await openManager(nc);
  const events = await configOf(jsm, EVENT_STREAM);
  return [
    retentionFinding(config, events),
    windowFinding(events),
    windowFinding(await configOf(jsm, DEAD_LETTER_STREAM)),
    // More replicas of a server by itself are on no other machine.
    syncFinding(await readSync(nc), nc.info?.version ?? "", isClustered(nc) ? events.num_replicas : 1),
  ];
}

/** Replicas can be kept: those that are to be, and those that the streams have been changed to. */
export async function checkReplicas({ replicas }: Pick<Config, "replicas">, nc: NatsConnection): Promise<Finding> {
  const check = "replicas";
  if (isClustered(nc)) return ok(check, `${replicas}, in the cluster ${nc.info?.cluster}`);
  const have = await replicasOf(nc);
  if (have > 1) {
    const detail = `${EVENT_STREAM} has ${have}, and nats-server is by itself: it refuses the stream at its next start`;
    return failed(check, detail, "latecomer init --replicas 1 --force, before that");
  }
  if (replicas === 1) return ok(check, "1, on a server by itself");
  const detail = `${replicas} need a cluster of nats-servers, and this one is by itself`;
  return failed(check, detail, "leave out LATECOMER_REPLICAS, or make it one of a cluster");
}

/** How many the event stream has; 1 when it is not there. */
async function replicasOf(nc: NatsConnection): Promise<number> {
  try {
    return (await configOf(await openManager(nc), EVENT_STREAM)).num_replicas;
  } catch (error) {
    if (isNotFound(error)) return 1;
    throw error;
  }
}

async function configOf(jsm: JetStreamManager, stream: string): Promise<StreamConfig> {
  return (await jsm.streams.info(stream)).config;
}

/** What waits for a snapshot must still be in the stream when that comes: a restart reads it again from there. */
function retentionFinding({ ttlBeforeMs, ttlAfterMs, allowedLatenessMs }: Rules, { max_age }: StreamConfig): Finding {
  const check = "retention";
  const neededMs = ttlBeforeMs + ttlAfterMs + allowedLatenessMs;
  const keptMs = max_age === 0 ? Infinity : millis(max_age);
  const kept = max_age === 0 ? "everything" : `events for ${formatDuration(keptMs)}`;
  const detail = `${EVENT_STREAM} keeps ${kept}; both TTLs and the allowed lateness come to ${
    formatDuration(neededMs)
  }`;
  if (keptMs >= neededMs) return ok(check, detail);
  const fix = `latecomer init --stream-retention ${formatDuration(neededMs)}, or more, or shorter TTLs`;
  return warning(check, `${detail}: what expires before cannot be corrected again`, fix);
}

function windowFinding({ name, duplicate_window }: StreamConfig): Finding {
  const check = `deduplication of ${name}`;
  const windowMs = millis(duplicate_window);
  const detail = `repeated message ids are dropped for ${formatDuration(windowMs)}`;
  if (windowMs >= PROMISED_WINDOW_MS) return ok(check, detail);
  const more = `, ${formatDuration(PROMISED_WINDOW_MS)} are promised: later repeats are stored, and fold away`;
  return warning(check, detail + more, "latecomer init");
}

/** How JetStream writes to its disk: after each message, or every so many milliseconds; undefined when it tells nothing. */
export type Sync = { readonly always: boolean; readonly intervalMs: number } | undefined;

/** Asks the server, which tells it to users of the system account alone, and from 2.10 on. */
async function readSync(nc: NatsConnection): Promise<Sync> {
  try {
    const answer = await nc.request("$SYS.REQ.SERVER.PING.JSZ", "{}", { timeout: PATIENCE_MS });
    return syncIn(answer.json());
  } catch (error) {
    const isSilent = error instanceof NatsError &&
      [ErrorCode.NoResponders, ErrorCode.Timeout, ErrorCode.PermissionsViolation].some((code) => code === error.code);
    if (isSilent) return undefined;
    throw error;
  }
}

/** The setting in an answer of the server. */
export function syncIn(answer: unknown): Sync {
  const { data } = answer as { data?: { config?: { sync_interval?: number; sync_always?: boolean } } };
  const { sync_interval, sync_always } = data?.config ?? {};
  if (sync_interval === undefined && sync_always === undefined) return undefined;
  return { always: sync_always === true, intervalMs: millis(sync_interval ?? 0) };
}

/** What a machine loses that loses its power: replicas on other machines have it. */
export function syncFinding(sync: Sync, version: string, replicas: number): Finding {
  const check = "fsync of JetStream";
  const covered = replicas > 1 ? `${replicas} replicas cover what one machine loses` : "there is one replica";
  if (sync === undefined) {
    const isOld = /^2\.\d\./.test(version);
    const why = isOld ? `nats-server ${version} does not tell it` : "only the system account is told it";
    const fix = isOld
      ? "on 2.10 and later: sync_interval: always in the block jetstream of its configuration"
      : "look for sync_interval in the block jetstream of its configuration";
    return unknown(check, `cannot be read: ${why}; ${covered}`, fix);
  }
  if (sync.always) return ok(check, "after each message");
  const detail = `every ${formatDuration(sync.intervalMs)}; ${covered}`;
  if (replicas > 1) return ok(check, detail);
  const fix = "sync_interval: always in the block jetstream of its configuration, or LATECOMER_REPLICAS=3";
  return warning(check, `${detail}: a power cut loses what was confirmed since`, fix);
}
