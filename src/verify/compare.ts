/**
 * The comparison of one message with what stands about it in the tables and the dead-letter stream. Pure: it looks
 * nothing up, and what it cannot tell alone (whether a duplicate has its original) it leaves to the caller.
 */
import type { ArchivedMessage } from "../clickhouse/records.ts";
import type { FactTable } from "../core/facts.ts";
import { type Identity, identityKey } from "../core/identity.ts";
import type { Expected } from "./expected.ts";
import type { FindingKind } from "./finding.ts";

/** What the tables say of a page of sequences. */
export interface PageRecords {
  readonly archived: ReadonlyMap<number, readonly ArchivedMessage[]>;
  readonly deadLetters: ReadonlyMap<number, readonly Identity[]>;
  /** Keys of events. */
  readonly unknown: ReadonlySet<string>;
  readonly facts: ReadonlyMap<FactTable, ReadonlySet<string>>;
}

/** From which instant on each place still holds what was put there, in Unix milliseconds. */
export interface Horizons {
  readonly archiveMs: number;
  readonly letterRowsMs: number;
  readonly lettersMs: number;
  readonly unknownMs: number;
  readonly factsMs: Readonly<Record<FactTable, number>>;
}

/** What is the same for the whole range. */
export interface Surroundings {
  readonly horizons: Horizons;
  /** Up to where a partition is done; 0 without a checkpoint. */
  readonly doneSeq: (partition: string) => number;
  readonly hasLetter: (streamSequence: number) => boolean;
}

/** What was expected and could not be, for it is older than what a place keeps. */
export type Expired = "archive" | "dead_letter" | "dead_letter_row" | "unknown_row" | FactTable;

export interface Problem {
  readonly kind: FindingKind;
  readonly detail: string;
  /** Whose row it is, where the row is that of another message. */
  readonly row?: Identity;
}

export interface Verdict {
  readonly problems: readonly Problem[];
  readonly expired: readonly Expired[];
  /** The row of the message, undefined when it has none. */
  readonly own: ArchivedMessage | undefined;
}

/** Compares a message with its records. */
export function compare(expected: Expected, records: PageRecords, surroundings: Surroundings): Verdict {
  const { streamSequence, streamTimeMs, partition, outcome, part } = expected;
  const { horizons, doneSeq } = surroundings;
  const key = identityKey(expected);
  const rows = records.archived.get(streamSequence) ?? [];
  const own = rows.find((row) => identityKey(row) === key);
  const wrong = wrongRows(expected, rows, own);
  const lacking: Problem[] = [];
  const expired: Expired[] = [];
  const lack = (kind: FindingKind, detail: string, sinceMs: number, timeMs: number, what: Expired) => {
    if (timeMs < sinceMs) expired.push(what);
    else lacking.push({ kind, detail });
  };
  if (own === undefined && !wrong.some((problem) => problem.kind === "contradicted")) {
    lack("missing", `${outcome}, and in no row`, horizons.archiveMs, streamTimeMs, "archive");
  }
  const inTable = records.deadLetters.get(streamSequence) ?? [];
  if (outcome === "rejected") {
    if (!inTable.some((row) => identityKey(row) === key)) {
      const detail = "no row in raw_streaming_events_dlq";
      lack("no_dead_letter", detail, horizons.letterRowsMs, streamTimeMs, "dead_letter_row");
    }
    if (!surroundings.hasLetter(streamSequence)) {
      lack("no_dead_letter", "no message in LIVEPEER_DLQ", horizons.lettersMs, streamTimeMs, "dead_letter");
    }
  } else {
    if (inTable.length > 0) wrong.push({ kind: "stray_dead_letter", detail: "a row in raw_streaming_events_dlq" });
    if (surroundings.hasLetter(streamSequence)) {
      wrong.push({ kind: "stray_dead_letter", detail: "a message in LIVEPEER_DLQ" });
    }
  }
  if (expected.isUnknown && !records.unknown.has(key)) {
    lack("no_unknown_row", "archived, and not kept apart", horizons.unknownMs, streamTimeMs, "unknown_row");
  }
  // Where the archive lacks the event, that is the finding; a duplicate has the facts of its original.
  if (own?.outcome === "accepted" && part !== undefined) {
    for (const table of part.facts) {
      if (records.facts.get(table)?.has(key)) continue;
      lack("no_fact", `no row in ${table}`, horizons.factsMs[table], part.eventTimeMs, table);
    }
  }
  const done = doneSeq(partition);
  if (lacking.length > 0 && streamSequence > done) {
    const detail = done === 0
      ? `partition ${partition} has no checkpoint`
      : `partition ${partition} is done up to ${done}`;
    return { problems: [...wrong, { kind: "not_processed", detail }], expired, own };
  }
  return { problems: [...wrong, ...lacking], expired, own };
}

/** What stands under the sequence and should not stand there so. */
function wrongRows(expected: Expected, rows: readonly ArchivedMessage[], own: ArchivedMessage | undefined): Problem[] {
  const problems: Problem[] = [];
  const { outcome } = expected;
  if (own !== undefined && own.outcome !== outcome && !(own.outcome === "duplicate" && outcome === "accepted")) {
    problems.push({ kind: "contradicted", detail: `archived as ${own.outcome}, and is ${outcome}` });
  }
  for (const row of rows) {
    if (identityKey(row) === identityKey(expected)) continue;
    const { source, uid } = row;
    // The moment at which it was stored tells a message from the one that had its sequence before.
    if (row.streamTimeMs !== expected.streamTimeMs) {
      const stored = new Date(row.streamTimeMs).toISOString();
      problems.push({ kind: "foreign", detail: `archived as stored at ${stored}; the stream holds another`, row });
    } else if (own === undefined) {
      problems.push({ kind: "contradicted", detail: `archived as ${source} ${uid}` });
    } else problems.push({ kind: "counted_twice", detail: `archived as ${source} ${uid} too` });
  }
  return problems;
}
