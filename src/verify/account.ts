/**
 * The account of a range of the event stream: page by page every stored message is judged again and compared with
 * what stands about it: archive, dead letters, facts. Typed rows and dimensions are not compared, for they say nothing
 * that the archive does not. A page is what is held in memory, beside a bounded number of events that may turn out to
 * be the originals of duplicates.
 */
import type { ArchivedMessage, FactPlace } from "../clickhouse/records.ts";
import type { Outcome } from "../core/emit/archive.ts";
import type { StoredMessage } from "../core/event.ts";
import { type Identity, identityKey } from "../core/identity.ts";
import type { Range } from "../nats/range.ts";
import { compare, type Expired, type PageRecords, type Surroundings } from "./compare.ts";
import { type Expected, expectedOf } from "./expected.ts";
import type { Finding, FindingKind } from "./finding.ts";

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
  facts(samples: readonly FactPlace[]): Promise<ReadonlySet<string>>;
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
  range: Range,
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
  }

  async close(): Promise<Account> {
    await this.#resolve();
    this.#account.findings.sort((a, b) => a.streamSequence - b.streamSequence);
    return this.#account;
  }

  async #read(fromSeq: number, toSeq: number, page: readonly Expected[]): Promise<PageRecords> {
    const samples = page.flatMap(({ source, uid, fact }) => fact === undefined ? [] : [{ source, uid, ...fact }]);
    return {
      archived: bySequence(await this.#records.archived(fromSeq, toSeq)),
      deadLetters: bySequence(await this.#records.deadLetters(fromSeq, toSeq)),
      unknown: await this.#records.unknown(page.filter((expected) => expected.isUnknown)),
      facts: await this.#records.facts(samples),
    };
  }

  #examine(expected: Expected, records: PageRecords): void {
    const { problems, expired, own } = compare(expected, records, this.#surroundings);
    this.#account.stored++;
    for (const what of expired) this.#account.expired[what] = (this.#account.expired[what] ?? 0) + 1;
    for (const { kind, detail, row } of problems) this.#find(kind, expected.streamSequence, row ?? expected, detail);
    if (expected.outcome === "accepted" && own?.outcome !== "duplicate") this.#remember(identityKey(expected));
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

function bySequence<One extends { readonly streamSequence: number }>(ones: readonly One[]): Map<number, One[]> {
  const groups = new Map<number, One[]>();
  for (const one of ones) {
    const group = groups.get(one.streamSequence);
    if (group === undefined) groups.set(one.streamSequence, [one]);
    else group.push(one);
  }
  return groups;
}
