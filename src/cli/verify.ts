/** `latecomer verify`: every stored event of a window, accounted for by identity; the rest is listed. */
import type { Command } from "commander";
import type { NatsConnection } from "nats";
import type { Config } from "../config.ts";
import type { ClickHouse } from "../clickhouse/client.ts";
import { retainedSince } from "../clickhouse/migrate.ts";
import {
  acceptedElsewhere,
  archivedBeyond,
  archivedMessages,
  deadLetterRows,
  eventFacts,
  sessionEventCounts,
  unknownEvents,
} from "../clickhouse/records.ts";
import { readCheckpoint } from "../core/checkpoint.ts";
import { factOf, FACTS, type FactTable } from "../core/facts.ts";
import { EXIT } from "../errors.ts";
import { openBuckets } from "../nats/bucket.ts";
import { storedLetters } from "../nats/deadletters.ts";
import { resolveRange } from "../nats/range.ts";
import { openEventStream } from "../nats/stream.ts";
import type { EventStream, SequenceRange } from "../ports.ts";
import { type Account, type Records, takeAccount } from "../verify/account.ts";
import { type Finding, type FindingKind, MEANING } from "../verify/finding.ts";
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
import { startProgress } from "./progress.ts";
import { wholeNumber } from "./values.ts";

interface VerifyFlags {
  readonly fromSeq?: number;
  readonly toSeq?: number;
  readonly json?: boolean;
}

/** Findings that are listed; --json lists all. */
const SHOWN = 50;

/** Rows behind the end of the stream that are listed; one is as telling as thousands. */
const MOST_BEYOND = 1_000;

export function registerVerify(program: Command, context: Context): void {
  const command = program.command("verify")
    .description("account for every stored event: accepted, rejected, ignored or duplicate; list the rest")
    .option("--from-seq <n>", "first stream sequence, by default the first that the stream holds", wholeNumber)
    .option("--to-seq <n>", "last stream sequence, by default the last that the stream holds", wholeNumber)
    .option("--json", "one JSON document with every finding on stdout");
  withSettings(command, PLACES).action(async (flags: VerifyFlags) => {
    const config = configOf(context, flags);
    await withNats(config, async (nc) => {
      const range = await resolveRange(await openEventStream(nc), flags.fromSeq, flags.toSeq);
      const wholeTail = flags.toSeq === undefined;
      const account = await withWarehouse(config, (clickhouse) => {
        return verify(config, nc, clickhouse, range, wholeTail, flags.json ? Infinity : SHOWN);
      });
      const sound = Object.keys(account.found).length === 0;
      report(flags, range, account, sound);
      if (!sound) context.setExitCode(EXIT.failed);
    });
  });
}

/**
 * Takes the account of a range. `wholeTail` also looks at what lies behind it: rows of messages that the stream no
 * longer holds, and checkpoints that it never reached. Changes nothing.
 */
export async function verify(
  config: Config,
  nc: NatsConnection,
  clickhouse: ClickHouse,
  range: SequenceRange,
  wholeTail: boolean,
  mostFindings: number,
): Promise<Account> {
  // Before anything is looked up: what a checkpoint covers is in its place by then, whatever goes on meanwhile.
  const checkpoints = await doneSequences(nc);
  const stream = await openEventStream(nc);
  const letters = await storedLetters(nc, range);
  const since = (table: string) => retainedSince(clickhouse, config.database, table);
  const surroundings = {
    horizons: {
      archiveMs: await since("raw_streaming_events"),
      letterRowsMs: await since("raw_streaming_events_dlq"),
      lettersMs: letters.sinceMs,
      unknownMs: await since("raw_unknown_events"),
      factsMs: await factHorizons(since),
    },
    doneSeq: (partition: string) => checkpoints.get(partition) ?? 0,
    hasLetter: letters.has,
  };
  const progress = startProgress("verifying", range.toSeq - range.fromSeq + 1);
  try {
    const account = await takeAccount(range, stream.messages(range, "events.>"), recordsOf(clickhouse), surroundings, {
      mostFindings,
      onProgress: (done) => progress.update(done),
    });
    if (wholeTail) await examineTail(stream, clickhouse, range, checkpoints, account, mostFindings);
    return account;
  } finally {
    progress.stop();
  }
}

/** From when on each fact is kept. */
async function factHorizons(since: (table: FactTable) => Promise<number>): Promise<Record<FactTable, number>> {
  const instants: Partial<Record<FactTable, number>> = {};
  for (const { table } of FACTS) instants[table] = await since(table);
  return instants as Record<FactTable, number>;
}

function recordsOf(clickhouse: ClickHouse): Records {
  return {
    archived: (fromSeq, toSeq) => archivedMessages(clickhouse, fromSeq, toSeq),
    deadLetters: (fromSeq, toSeq) => deadLetterRows(clickhouse, fromSeq, toSeq),
    unknown: (events) => unknownEvents(clickhouse, events),
    facts: (table, events) => eventFacts(clickhouse, factOf(table)!, events),
    eventCounts: (sessions) => sessionEventCounts(clickhouse, sessions),
    acceptedElsewhere: (sequences) => acceptedElsewhere(clickhouse, sequences),
  };
}

/** How far each partition that was ever read is done. */
export async function doneSequences(nc: NatsConnection): Promise<Map<string, number>> {
  const { checkpoints } = await openBuckets(nc);
  const done = new Map<string, number>();
  for (const { key, value } of await checkpoints.entries()) {
    // Other entries of the bucket, and a checkpoint that cannot be read, say nothing of what is done.
    const checkpoint = readCheckpoint(value);
    if (checkpoint !== undefined) done.set(key, checkpoint.doneSeq);
  }
  return done;
}

/** Rows and checkpoints behind the end of the stream: it held more once. */
async function examineTail(
  stream: EventStream,
  clickhouse: ClickHouse,
  { toSeq }: SequenceRange,
  checkpoints: ReadonlyMap<string, number>,
  account: Account,
  mostFindings: number,
): Promise<void> {
  const beyond = await archivedBeyond(clickhouse, toSeq, MOST_BEYOND);
  // Asked afterwards, so that what was stored and processed meanwhile lies before the end.
  const { lastSeq } = await stream.bounds();
  const find = (finding: Finding) => {
    account.found[finding.kind] = (account.found[finding.kind] ?? 0) + 1;
    if (account.findings.length < mostFindings) account.findings.push(finding);
  };
  for (const { source, uid, streamSequence } of beyond) {
    if (streamSequence <= lastSeq) continue;
    find({ kind: "foreign", streamSequence, source, uid, detail: `archived, and the stream ends at ${lastSeq}` });
  }
  for (const [partition, doneSeq] of checkpoints) {
    if (doneSeq <= lastSeq) continue;
    const detail = `partition ${partition} is done up to ${doneSeq}, and the stream ends at ${lastSeq}`;
    find({ kind: "checkpoint_ahead", streamSequence: doneSeq, source: "", uid: "", detail });
  }
}

function report(flags: VerifyFlags, range: SequenceRange, account: Account, sound: boolean): void {
  const { stored, accounted, expiredMessages, expired, removed, found, findings } = account;
  if (flags.json) {
    const meaning = Object.fromEntries(Object.keys(found).map((kind) => [kind, MEANING[kind as FindingKind]]));
    return printJson({
      ...range,
      sound,
      stored,
      accounted,
      expiredMessages,
      expired,
      removed,
      found,
      meaning,
      findings,
    });
  }
  printLine(`sequences ${range.fromSeq} to ${range.toSeq}: ${stored} messages`);
  printTable(["accounted for as", "messages"], Object.entries(accounted));
  const notes = Object.entries(expired).map(([what, count]) => [`too old to compare: ${what}`, count]);
  if (removed > 0) notes.push(["archived, and removed from the stream", removed]);
  if (notes.length > 0) printTable(["besides", ""], notes as [string, number][]);
  if (sound) return printLine("Every stored event is accounted for.");
  printTable(
    ["found", "", "what it means, and what to do"],
    Object.entries(found).map(([kind, count]) => [kind, count, MEANING[kind as FindingKind]]),
  );
  printTable(
    ["sequence", "source", "uid", "found", "detail"],
    findings.map(({ streamSequence, source, uid, kind, detail }) => [streamSequence, source, uid, kind, detail]),
  );
  const more = Object.values(found).reduce((sum, count) => sum + count, 0) - findings.length;
  if (more > 0) printLine(`and ${more} more; --json lists all`);
}
