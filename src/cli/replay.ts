/** `latecomer replay`: derives a range of the stream again, beside the live tables or into them. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import process from "node:process";
import type { Command } from "commander";
import type { NatsConnection } from "nats";
import type { ClickHouse } from "../clickhouse/client.ts";
import { storedGeneration } from "../clickhouse/generation.ts";
import { ShadowTables } from "../clickhouse/shadow.ts";
import { requireLatecomer } from "../clickhouse/writer.ts";
import type { Config } from "../config.ts";
import { readCheckpoint } from "../core/checkpoint.ts";
import { EXIT } from "../errors.ts";
import { openBuckets } from "../nats/bucket.ts";
import { openDirtyMinutes } from "../nats/dirty.ts";
import { ensureGeneration, readGeneration } from "../nats/generation.ts";
import { resolveRange } from "../nats/range.ts";
import { openEventStream } from "../nats/stream.ts";
import type { Bucket, Log } from "../ports.ts";
import { DIFFERENCE, type DifferenceKind } from "../replay/difference.ts";
import { BucketPart } from "../replay/part.ts";
import { leaseKey, progressKey, readRecord, type ReplayRecord } from "../replay/record.ts";
import { type OnPhase, Replay, type ReplayReport } from "../replay/replay.ts";
import { systemClock } from "../runtime/clock.ts";
import { readHolder } from "../runtime/leases.ts";
import { State } from "../runtime/state.ts";
import { checkClickHouse, checkNats, requireSound } from "./checks.ts";
import {
  configOf,
  type Context,
  logOf,
  PLACES,
  printJson,
  printLine,
  printTable,
  withNats,
  withServers,
  withSettings,
} from "./context.ts";
import { Bars } from "./progress.ts";
import { PROCESSING, processingOf } from "./run.ts";
import { usage, wholeNumber } from "./values.ts";

interface ReplayFlags {
  readonly fromSeq?: number;
  readonly toSeq?: number;
  readonly backfill?: boolean;
  readonly compare?: boolean;
  readonly keep?: boolean;
  readonly shuffleSeed?: number;
  readonly json?: boolean;
}

/** Differing rows that are listed for people; `--json` has them all. */
const SHOWN = 50;

/** What decides how a replay works, beside where things are. */
const SETTINGS = PROCESSING.filter((key) => !["name", "roles", "partitions", "httpPort"].includes(key));

export function registerReplay(program: Command, context: Context): void {
  const command = program.command("replay").enablePositionalOptions()
    .description("derive a range of the stream again: into tables of its own, or into the live ones as a back-fill")
    .option("--from-seq <n>", "first stream sequence", wholeNumber)
    .option("--to-seq <n>", "last stream sequence, by default the last that the stream holds", wholeNumber)
    .option("--backfill", "write into the live tables, under a generation that is raised for it")
    .option("--compare", "list the rows that differ from the live tables; exit 1 when any does")
    .option("--keep", "keep the tables of the replay until it is dropped")
    .option("--shuffle-seed <n>", "read in an order that this seed decides, within the allowed lateness", wholeNumber)
    .option("--json", "one JSON document on stdout");
  withSettings(command, [...PLACES, ...SETTINGS]).action(async (flags: ReplayFlags) => {
    const { fromSeq } = flags;
    if (fromSeq === undefined) throw usage("--from-seq is missing: where to begin");
    if (flags.backfill && flags.compare) {
      throw usage("--compare lists what differs, --backfill mends it: choose one");
    }
    await withReplay(context, flags, async (replay, { nc, clickhouse, database }) => {
      // Told before the work and not only after it, when the rows are to be copied.
      if (flags.backfill) await requireLatecomer(clickhouse, database);
      const request = {
        id: randomBytes(4).toString("hex"),
        ...await resolveRange(await openEventStream(nc), fromSeq, flags.toSeq),
        mode: flags.backfill ? "backfill" : "shadow",
        keep: flags.keep === true,
        compare: flags.compare === true,
        shuffleSeed: flags.shuffleSeed ?? null,
      } as const;
      report(await replay.start(request), flags, context);
    });
  });
  withSettings(
    command.command("resume").description("go on with a replay that was interrupted").argument("<id>", "which one")
      .option("--json", "one JSON document on stdout"),
    [...PLACES, ...SETTINGS],
  ).action((id: string, flags: ReplayFlags) =>
    withReplay(context, flags, async (replay) => report(await replay.resume(id), flags, context))
  );
  withSettings(
    command.command("drop").description("remove a replay: its tables, its consumer and its record")
      .argument("<id>", "which one").option("--json", "one JSON document on stdout"),
    PLACES,
  ).action((id: string, flags: ReplayFlags) =>
    withReplay(context, flags, async (replay) => {
      await replay.drop(id);
      if (flags.json) printJson({ dropped: id });
      else printLine(`dropped ${id}`);
    })
  );
  withSettings(
    command.command("list").description("the replays that are under way, interrupted or kept")
      .option("--json", "one JSON document on stdout"),
    ["natsUrl", "natsCreds", "logLevel"],
  ).action(async (flags: ReplayFlags) => {
    await withNats(configOf(context, flags), async (nc) => list((await openBuckets(nc)).replays, flags));
  });
}

/** Runs with what replays need; the installation must be sound. */
async function withReplay(
  context: Context,
  flags: ReplayFlags,
  use: (replay: Replay, world: { nc: NatsConnection; clickhouse: ClickHouse; database: string }) => Promise<void>,
): Promise<void> {
  const config = configOf(context, flags);
  const log = logOf(config);
  const bars = new Bars();
  await withServers(config, async (nc, clickhouse) => {
    requireSound([...await checkNats(config, nc), ...await checkClickHouse(config, clickhouse)]);
    const most = flags.json ? Infinity : SHOWN;
    const replay = await openReplay(config, nc, clickhouse, log, context.takeSignal(), most, bars.onPhase);
    await use(replay, { nc, clickhouse, database: config.database });
  }, log).finally(() => bars.stop());
}

/** Wires a replay to NATS and ClickHouse. */
async function openReplay(
  config: Config,
  nc: NatsConnection,
  clickhouse: ClickHouse,
  log: Log,
  signal: AbortSignal,
  mostDifferences: number,
  onPhase: OnPhase,
): Promise<Replay> {
  const buckets = await openBuckets(nc);
  const settings = {
    owner: `process ${process.pid} on ${hostname()}`,
    mostDifferences,
    ...processingOf(config),
  };
  const ports = {
    stream: await openEventStream(nc),
    replays: buckets.replays,
    state: (id: string) => {
      const sessions = new BucketPart(buckets.replay_sessions, id);
      return new State({ ...buckets, checkpoints: buckets.replays, workflow_sessions: sessions });
    },
    removeSessions: (id: string) => buckets.replay_sessions.removeUnder(id),
    tables: (record: Pick<ReplayRecord, "id" | "fromSeq" | "toSeq">) =>
      new ShadowTables(clickhouse, config.database, record.id, record),
    generations: {
      current: async () => (await readGeneration(nc))?.generation ?? 0,
      raise: async () =>
        (await ensureGeneration(nc, config, true, await storedGeneration(clickhouse, config.database))).generation,
      behind: async (generation: number) => {
        const holders = (await buckets.leases.entries()).map(({ value }) => readHolder(value));
        return [...new Set(holders.filter((one) => one.generation < generation).map(({ owner }) => owner))];
      },
    },
    dirtyMinutes: openDirtyMinutes(nc),
    clock: systemClock,
    log,
    random: Math.random,
  };
  return new Replay(settings, ports, signal, onPhase);
}

async function list(replays: Bucket, flags: ReplayFlags): Promise<void> {
  const entries = new Map((await replays.entries()).map(({ key, value }) => [key, value]));
  const rows = [...entries.values()].map(readRecord).filter((record) => record !== undefined).map((record) => {
    const { id, fromSeq, toSeq, mode, generation, compare, shuffleSeed } = record;
    const doneSeq = readCheckpoint(entries.get(progressKey(id)) ?? "")?.doneSeq ?? fromSeq - 1;
    const owner = entries.get(leaseKey(id)) ?? null;
    return { id, mode, fromSeq, toSeq, doneSeq, isDone: doneSeq >= toSeq, generation, compare, shuffleSeed, owner };
  });
  if (flags.json) return printJson({ replays: rows });
  if (rows.length === 0) return printLine("There are no replays.");
  printTable(
    ["id", "mode", "from", "to", "done to", "generation", "held by"],
    rows.map((row) => [row.id, row.mode, row.fromSeq, row.toSeq, row.doneSeq, row.generation, row.owner ?? ""]),
  );
}

function report(found: ReplayReport | undefined, flags: ReplayFlags, context: Context): void {
  const differing = Object.values(found?.differing ?? {}).reduce((sum, count) => sum + count, 0);
  // A replay that was asked for and did not come to its end is no success either.
  if (found?.isDone !== true || differing > 0) context.setExitCode(EXIT.failed);
  if (flags.json) return printJson(documentOf(found));
  if (found === undefined) return printLine("stopped before anything was written");
  const { record, isDone, doneSeq, counts, digests, leftOut, applied } = found;
  const { id, fromSeq, toSeq, generation } = record;
  if (!isDone) {
    printLine(`stopped at ${doneSeq} of ${fromSeq} to ${toSeq}; go on with: latecomer replay resume ${id}`);
    return;
  }
  const shown = [...counts].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`);
  printLine(`replay ${id}, sequences ${fromSeq} to ${toSeq}, generation ${generation}: ${shown.join(", ") || "done"}`);
  printTable(["table", "rows", "digest"], digests.map((one) => [one.table, one.rows, one.digest]));
  if (leftOut.length > 0) {
    printLine(
      `${leftOut.length} sessions are not whole in the range, so nothing that depends on all of one was derived:`,
    );
    printTable(
      ["source", "session", "why", "sequence"],
      leftOut.slice(0, SHOWN).map((one) => [one.source, one.sessionKey, one.why, one.streamSequence]),
    );
    if (leftOut.length > SHOWN) printLine(`and ${leftOut.length - SHOWN} more; --json lists all`);
  }
  if (applied.length > 0) {
    printTable(
      ["back-filled", "rows", "tombstones", "live rows kept: on snapshots that expired, or came since"],
      applied.map((one) => [one.table, one.written, one.tombstones, one.kept]),
    );
  }
  if (found.differing !== undefined) printDifferences(found, differing);
  if (record.keep) printLine(`Its tables end with __replay_${id}; latecomer replay drop ${id} removes them.`);
}

function printDifferences({ differing, differences }: ReplayReport, count: number): void {
  if (count === 0) return printLine("The live tables have the same rows.");
  printLine(`${count} rows differ from the live tables:`);
  printTable(
    ["difference", "rows", "what it means, and what to do"],
    Object.entries(differing!).map(([kind, rows]) => [kind, rows, DIFFERENCE[kind as DifferenceKind]]),
  );
  printTable(
    ["table", "key", "difference", "column", "replay", "live"],
    differences.flatMap(({ table, key, kind, columns }) =>
      columns.map((one) => [table, Object.values(key).join(" "), kind, one.column, text(one.replay), text(one.live)])
    ),
  );
  if (count > differences.length) printLine(`and ${count - differences.length} more; --json lists all`);
}

function text(value: string | null | undefined): string {
  return value === undefined ? "(no row)" : value === null ? "null" : JSON.stringify(value);
}

function documentOf(found: ReplayReport | undefined): unknown {
  if (found === undefined) return { done: false, id: null };
  const { record, isDone, doneSeq, counts, digests, leftOut, differing, differences, applied } = found;
  return {
    ...record,
    done: isDone,
    doneSeq,
    counts: Object.fromEntries([...counts].sort(([a], [b]) => a < b ? -1 : 1)),
    digests,
    leftOut,
    differing: differing ?? null,
    meaning: Object.fromEntries(Object.keys(differing ?? {}).map((kind) => [kind, DIFFERENCE[kind as DifferenceKind]])),
    differences: differences.map(({ isForeign: _, ...one }) => ({
      ...one,
      columns: one.columns.map(({ column, replay, live }) => ({ column, replay: replay ?? null, live: live ?? null })),
    })),
    applied,
  };
}
