/**
 * What the user of this configuration may do, for `doctor`: each operation that a role needs is tried in a form that
 * changes nothing. A message is published on the condition that its stream is another one, which the stream refuses; a
 * sequence that no entry has is deleted; a pull is asked for in words that no consumer understands; no rows are inserted; a
 * table that is not there is dropped.
 */
import { AckPolicy, DeliverPolicy, ErrorCode, nanos, type NatsConnection, NatsError, nuid } from "nats";
import type { ClickHouse } from "../clickhouse/client.ts";
import { ClickHouseError } from "../clickhouse/errors.ts";
import { migratedTables } from "../clickhouse/migrate.ts";
import { openManager } from "../nats/connection.ts";
import { bucketStream, DEAD_LETTER_STREAM, DIRTY_STREAM, EVENT_STREAM } from "../nats/definitions.ts";
import { CONSUMER_CONFIG } from "../nats/dirty.ts";
import { type Finding, ok, unknown } from "./checks.ts";

/** Nobody's: no partition, key, stream or table has this name. */
const NOBODY = "latecomer-doctor";

const PATIENCE_MS = 2_000;

const OTHERS = "nothing, where that has a user of its own";

interface Attempt {
  /** What it is, and which command needs it. */
  readonly what: string;
  readonly role: string;
  readonly run: () => Promise<unknown>;
}

/** What NATS forbids. Everything is tried in the form in which the command does it: users may have no more than that. */
export async function checkNatsPermissions(nc: NatsConnection): Promise<Finding[]> {
  const jsm = await openManager(nc);
  const publish = (what: string, role: string, subject: string): Attempt => ({
    what,
    role,
    run: () =>
      nc.jetstream().publish(subject, new Uint8Array(), { expect: { streamName: NOBODY }, timeout: PATIENCE_MS }),
  });
  const read = (role: string, stream: string, subject: string): Attempt => ({
    what: `read ${stream}`,
    role,
    run: async () => {
      const name = `${NOBODY}-${nuid.next()}`;
      await jsm.consumers.add(stream, {
        name,
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.New,
        filter_subject: subject,
        inactive_threshold: nanos(1_000),
        mem_storage: true,
        num_replicas: 1,
      });
      // Where that is forbidden it goes by itself.
      await jsm.consumers.delete(stream, name).catch(() => {});
    },
  });
  const look = (bucket: string): Attempt => ({
    what: `read entries of ${bucket}`,
    role: "run",
    run: () => jsm.streams.getMessage(bucketStream(bucket), { last_by_subj: `$KV.${bucket}.${NOBODY}` }),
  });
  const remove = (bucket: string): Attempt => ({
    what: `remove entries of ${bucket}`,
    role: "run",
    run: () => jsm.streams.deleteMessage(bucketStream(bucket), Number.MAX_SAFE_INTEGER),
  });
  const acknowledge = (role: string, stream: string, consumer: string): Attempt => ({
    what: `acknowledge messages of ${stream}`,
    role,
    // Of no message: an acknowledgement names one by five more words.
    run: () => say(nc, `$JS.ACK.${stream}.${consumer}.${NOBODY}`),
  });
  const pull = (role: string, stream: string, consumer: string): Attempt => ({
    what: `pull from ${stream}`,
    role,
    // No request that a consumer could read, so it hands out nothing.
    run: () => say(nc, `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, "{"),
  });
  const rollup = CONSUMER_CONFIG.durable_name!;
  const attempts: Attempt[] = [
    read("run", EVENT_STREAM, `events.*.*.${NOBODY}`),
    pull("run", EVENT_STREAM, NOBODY),
    acknowledge("run", EVENT_STREAM, NOBODY),
    publish("write dead letters", "run", `dlq.${NOBODY}.none.none`),
    publish("mark minutes", "run", `dirty.${NOBODY}.0`),
    ...["capability_snapshots", "unmatched_status", "workflow_sessions"].map((bucket) =>
      publish(`write ${bucket}`, "run", `$KV.${bucket}.${NOBODY}.none`)
    ),
    ...["checkpoints", "leases"].map((bucket) => publish(`write ${bucket}`, "run", `$KV.${bucket}.${NOBODY}`)),
    ...["capability_snapshots", "unmatched_status", "leases"].map((bucket) =>
      read("run", bucketStream(bucket), `$KV.${bucket}.${NOBODY}`)
    ),
    ...["workflow_sessions", "checkpoints"].map(look),
    pull("run", bucketStream("capability_snapshots"), NOBODY),
    ...["unmatched_status", "leases"].map(remove),
    pull("run (rollup)", DIRTY_STREAM, rollup),
    acknowledge("run (rollup)", DIRTY_STREAM, rollup),
    read("dlq", DEAD_LETTER_STREAM, `dlq.${NOBODY}.none.none`),
    publish("publish events", "publish, simulate, dlq republish", `events.${NOBODY}.none.all`),
    ...["replays", "replay_sessions"].map((bucket) =>
      publish(`write ${bucket}`, "replay", `$KV.${bucket}.${NOBODY}.none`)
    ),
  ];
  const fix = "grant it to the NATS user of this configuration (NATS_URL, NATS_CREDS)";
  return await findings("permissions in NATS", attempts, isForbiddenInNats, fix);
}

/** Says something that has no effect. Rejects when it may not be said. */
async function say(nc: NatsConnection, subject: string, text = ""): Promise<void> {
  const answer = nc.request(subject, text, { timeout: PATIENCE_MS });
  answer.catch(() => {}); // That nobody answers is no news, but for the race.
  // The server says no behind the answer to the first flush (seen on 2.9), and before that to the second.
  await nc.flush();
  await Promise.race([answer, nc.flush()]);
}

/** What ClickHouse forbids. */
export async function checkClickHousePermissions(clickhouse: ClickHouse): Promise<Finding[]> {
  const attempts = migratedTables().flatMap((table): Attempt[] => [
    {
      what: `insert into ${table}`,
      role: "run",
      run: () => clickhouse.command(`INSERT INTO ${table} SELECT * FROM ${table} WHERE 0`),
    },
  ]);
  attempts.push(
    {
      what: "create tables",
      role: "init, replay",
      run: () => clickhouse.command("CREATE TABLE IF NOT EXISTS schema_migrations (name String) ENGINE = Memory"),
    },
    {
      what: "drop tables",
      role: "replay, cutover",
      run: () => clickhouse.command("DROP TABLE IF EXISTS latecomer_doctor"),
    },
  );
  const fix = "GRANT it to the user in CLICKHOUSE_URL";
  return await findings("permissions in ClickHouse", attempts, isForbiddenInClickHouse, fix);
}

/** One finding for each attempt that is forbidden, and one when none is. */
async function findings(
  check: string,
  attempts: readonly Attempt[],
  isForbidden: (error: unknown) => boolean,
  fix: string,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const isWrite = ({ role, what }: Attempt) => role === "run" && what.startsWith("write");
  let writes = attempts.filter(isWrite).length;
  for (const attempt of attempts) {
    const { what, role, run } = attempt;
    try {
      await run();
    } catch (error) {
      // Any other refusal is what was asked for, or is told by another check.
      if (!isForbidden(error)) continue;
      if (isWrite(attempt)) writes--;
      const detail = `may not ${what}, which ${role} needs`;
      // A processor needs nothing but its own: other commands may have other users.
      const isOwn = role.startsWith("run");
      found.push({ check, state: isOwn ? "failed" : "unknown", detail, fix: isOwn ? fix : OTHERS });
    }
  }
  // Somebody who only looks, with a user of their own, is not who will run.
  if (writes === 0 && attempts.some(isWrite)) {
    const detail = "this user may write nothing of what run writes, so it is for looking";
    return [unknown(check, detail, "run doctor as the processor's user")];
  }
  return found.length > 0 ? found : [ok(check, `${attempts.length} operations may be done`)];
}

/** The server says so to whoever publishes; a request whose answer may not be heard is silent. */
function isForbiddenInNats(error: unknown): boolean {
  const code = error instanceof NatsError ? error.code : "";
  return code === ErrorCode.PermissionsViolation || code === ErrorCode.Timeout;
}

/** READONLY and ACCESS_DENIED. */
function isForbiddenInClickHouse(error: unknown): boolean {
  return error instanceof ClickHouseError && (error.serverCode === 164 || error.serverCode === 497);
}
