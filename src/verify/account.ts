/**
 * The account of a range of the event stream: page by page every stored message is judged again and compared with
 * what stands about it: archive, dead letters, facts. Typed rows and dimensions are not compared, for they say nothing
 * that the archive does not. A page is what is held in memory, beside a bounded number of events: those that may turn
 * out to be the originals of duplicates, and those that the rows of their sessions must count.
 */
import type { ArchivedMessage, FactPlace, SessionPlace } from "../clickhouse/records.ts";
import type { Outcome } from "../core/emit/archive.ts";
import type { StoredMessage } from "../core/event.ts";
import type { FactTable } from "../core/facts.ts";
import { grouped } from "../core/grouped.ts";
import { type Identity, identityKey } from "../core/identity.ts";
import type { SequenceRange } from "../ports.ts";
import { compare, type Expired, type PageRecords, type Surroundings } from "./compare.ts";
import { type Expected, expectedOf } from "./expected.ts";
import type { Finding, FindingKind } from "./finding.ts";
import { SessionTallies, type Tally } from "./sessions.ts";

/** Sequences of one page. */
const PAGE = 5_000;

/** Originals remembered; half of them at least are the latest. What is forgotten is looked up in the archive. */
const MOST_ORIGINALS = 262_144;

/** Duplicates whose originals are looked up together: each look-up reads the uids of the whole archive. */
const MOST_UNRESOLVED = 5_000;

/** What the tables say; sequences have both ends included, events are answered by their keys. */
export interface Records {
  archived(fromSeq: number, toSeq: number): Promise<readonly ArchivedMessage[]>;
  deadLetters(fromSeq: number, toSeq: number): Promise<readonly (Identity & { readonly streamSequence: number })[]>;
  unknown(events: readonly Identity[]): Promise<ReadonlySet<string>>;
  /** Which of these events have a row in a fact of events. */
  facts(table: FactTable, events: readonly FactPlace[]): Promise<ReadonlySet<string>>;
  /** How many events the rows of these sessions count, in their order; 0 for a session without a row. */
  eventCounts(sessions: readonly SessionPlace[]): Promise<readonly number[]>;
  /** Which events that are archived under these sequences are archived as accepted somewhere. */
  acceptedElsewhere(sequences: readonly number[]): Promise<ReadonlySet<string>>;
}

export interface Account {
  /** Messages that the stream holds in the range. */
  stored: number;
  /** Messages against which nothing was found, by what became of them. */
  readonly accounted: Record<Outcome, number>;
  /** Messages against which nothing was found, and of which the archive keeps nothing any more. */
  expiredMessages: number;
  /** What could not be compared, because the place keeps nothing so old. */
  readonly expired: Partial<Record<Expired, number>>;
  /** Archived messages of the range that the stream does not hold any more: removed, and accounted for. */
  removed: number;
  readonly found: Partial<Record<FindingKind, number>>;
  /** The first findings, by sequence, as many as were asked for. */
  readonly findings: Finding[];
}

export interface AccountOptions {
  /** How many findings are kept; all are counted. */
  readonly mostFindings: number;
  /** Told after each page how many sequences of the range are done. */
  readonly onProgress: (done: number) => void;
}

/** Takes the account of a range; `messages` are all that the stream holds of it, in order. */
export async function takeAccount(
  range: SequenceRange,
  messages: AsyncIterable<readonly StoredMessage[]>,
  records: Records,
  surroundings: Surroundings,
  { mostFindings, onProgress }: AccountOptions,
): Promise<Account> {
  const auditor = new Auditor(records, surroundings, mostFindings);
  let pageFrom = range.fromSeq;
  let page: Expected[] = [];
  const turn = async () => {
    const pageTo = Math.min(pageFrom + PAGE - 1, range.toSeq);
    await auditor.take(pageFrom, pageTo, page);
    page = [];
    pageFrom = pageTo + 1;
    onProgress(pageFrom - range.fromSeq);
  };
  for await (const slice of messages) {
    for (const message of slice) {
      while (message.streamSequence >= pageFrom + PAGE) await turn();
      page.push(expectedOf(message));
    }
  }
  while (pageFrom <= range.toSeq) await turn();
  return auditor.close();
}

class Auditor {
  readonly #records: Records;
  readonly #surroundings: Surroundings;
  readonly #mostFindings: number;
  readonly #account: Account = {
    stored: 0,
    accounted: { accepted: 0, rejected: 0, ignored: 0, duplicate: 0 },
    expiredMessages: 0,
    expired: {},
    removed: 0,
    found: {},
    findings: [],
  };
  /** Events that are accepted, or should be; two generations of which the older is dropped. */
  #young = new Set<string>();
  #old = new Set<string>();
  #unresolved: Expected[] = [];
  readonly #sessions = new SessionTallies();

  constructor(records: Records, surroundings: Surroundings, mostFindings: number) {
    this.#records = records;
    this.#surroundings = surroundings;
    this.#mostFindings = mostFindings;
  }

  async take(fromSeq: number, toSeq: number, page: readonly Expected[]): Promise<void> {
    const records = await this.#read(fromSeq, toSeq, page);
    const held = new Set<number>();
    for (const expected of page) {
      held.add(expected.streamSequence);
      this.#examine(expected, records);
    }
    for (const sequence of records.archived.keys()) if (!held.has(sequence)) this.#account.removed++;
    if (this.#unresolved.length >= MOST_UNRESOLVED) await this.#resolve();
    await this.#checkSessions(this.#sessions.surplus());
  }

  async close(): Promise<Account> {
    await this.#resolve();
    await this.#checkSessions(this.#sessions.rest());
    this.#account.findings.sort((a, b) => a.streamSequence - b.streamSequence);
    return this.#account;
  }

  async #read(fromSeq: number, toSeq: number, page: readonly Expected[]): Promise<PageRecords> {
    const places = placesIn(page);
    const facts = new Map<FactTable, ReadonlySet<string>>();
    for (const [table, events] of places) facts.set(table, await this.#records.facts(table, events));
    return {
      archived: grouped(await this.#records.archived(fromSeq, toSeq), sequenceOf),
      deadLetters: grouped(await this.#records.deadLetters(fromSeq, toSeq), sequenceOf),
      unknown: await this.#records.unknown(page.filter((expected) => expected.isUnknown)),
      facts,
    };
  }

  #examine(expected: Expected, records: PageRecords): void {
    const { problems, expired, own } = compare(expected, records, this.#surroundings);
    this.#account.stored++;
    for (const what of expired) this.#expire(what);
    for (const { kind, detail, row } of problems) this.#find(kind, expected.streamSequence, row ?? expected, detail);
    if (expected.outcome === "accepted" && own?.outcome !== "duplicate") this.#remember(identityKey(expected));
    if (own !== undefined) this.#countInSession(expected, own.outcome);
    // A row of another message says nothing against this one.
    if (problems.some((problem) => problem.row === undefined)) return;
    if (own === undefined) this.#account.expiredMessages++;
    else if (own.outcome !== "duplicate") this.#account.accounted[own.outcome]++;
    else if (this.#hasOriginal(expected)) this.#account.accounted.duplicate++;
    else this.#unresolved.push(expected);
  }

  /** Duplicates need an original that counts: one of the range, or one of the archive. */
  async #resolve(): Promise<void> {
    const unresolved = this.#unresolved;
    this.#unresolved = [];
    if (unresolved.length === 0) return;
    const accepted = await this.#records.acceptedElsewhere(unresolved.map((one) => one.streamSequence));
    for (const expected of unresolved) {
      if (accepted.has(identityKey(expected)) || this.#hasOriginal(expected)) this.#account.accounted.duplicate++;
      else {
        const detail = "archived as a duplicate, and no other message of this event is accepted";
        this.#find("contradicted", expected.streamSequence, expected, detail);
      }
    }
  }

  /** Beyond the checkpoint the row of its session may still come. */
  #countInSession(expected: Expected, outcome: Outcome): void {
    const { part, partition, streamSequence } = expected;
    if (part === undefined || !part.isSignal || (outcome !== "accepted" && outcome !== "duplicate")) return;
    if (streamSequence <= this.#surroundings.doneSeq(partition)) this.#sessions.count(expected, part);
  }

  /** A session that goes on outside of the range counts more than was seen of it, never less. */
  async #checkSessions(tallies: readonly Tally[]): Promise<void> {
    if (tallies.length === 0) return;
    const counts = await this.#records.eventCounts(tallies);
    for (const [at, tally] of tallies.entries()) {
      const counted = counts[at]!;
      const seen = tally.uids.size;
      if (counted >= seen) continue;
      // Its end is that of its last event at least, and a row is kept from its end on.
      if (counted === 0 && tally.latestMs < this.#surroundings.horizons.factsMs.fact_workflow_sessions) {
        this.#expire("fact_workflow_sessions");
        continue;
      }
      const detail = counted === 0
        ? `session ${tally.sessionId} has no row; ${seen} of its events are accepted`
        : `session ${tally.sessionId} counts ${counted} events; ${seen} of them are accepted`;
      this.#find("session_short", tally.streamSequence, tally, detail);
    }
  }

  #expire(what: Expired): void {
    this.#account.expired[what] = (this.#account.expired[what] ?? 0) + 1;
  }

  #find(kind: FindingKind, streamSequence: number, { source, uid }: Identity, detail: string): void {
    this.#account.found[kind] = (this.#account.found[kind] ?? 0) + 1;
    if (this.#account.findings.length >= this.#mostFindings) return;
    this.#account.findings.push({ kind, streamSequence, source, uid, detail });
  }

  #hasOriginal(expected: Expected): boolean {
    const key = identityKey(expected);
    return this.#young.has(key) || this.#old.has(key);
  }

  #remember(key: string): void {
    if (this.#young.size >= MOST_ORIGINALS / 2) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(key);
  }
}

/** Where each fact must have rows of the events of a page. */
function placesIn(page: readonly Expected[]): Map<FactTable, FactPlace[]> {
  const places = new Map<FactTable, FactPlace[]>();
  for (const { source, uid, part } of page) {
    if (part === undefined) continue;
    const place = { source, uid, sessionId: part.sessionId, eventTimeMs: part.eventTimeMs };
    for (const table of part.facts) {
      const some = places.get(table);
      if (some === undefined) places.set(table, [place]);
      else some.push(place);
    }
  }
  return places;
}

function sequenceOf({ streamSequence }: { readonly streamSequence: number }): number {
  return streamSequence;
}
