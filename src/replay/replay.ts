/**
 * REPLAY: the rows of a range of the stream, derived again.
 *
 * The range goes through the very pipeline that live traffic goes through, with other ports: a source that reads it
 * whatever the partition, tables of its own, and no state but its progress. All the evidence is applied before the
 * first message is read, so no row waits for a correction, and nothing but the progress outlives a process.
 *
 * A back-fill first raises the generation of the live processors and waits until they write under it; only then its
 * evidence is fixed. So what comes before that is in the replay, and what comes after it the processors see to.
 */
import { planStart, readCheckpoint } from "../core/checkpoint.ts";
import { SESSION_TYPES } from "../core/route.ts";
import { stateKey } from "../core/subject.ts";
import { LatecomerError } from "../errors.ts";
import type { DirtyMinutes, IncompleteSession, SequenceRange } from "../ports.ts";
import type { Digest } from "../clickhouse/digest.ts";
import type { Applied, RowPair, ShadowTables } from "../clickhouse/shadow.ts";
import { consumerOf, derive, type Derived, type DerivePorts, type DeriveSettings, expired } from "./derive.ts";
import { type DifferenceKind, differenceOf } from "./difference.ts";
import { Evidence, evidenceStart, surveyRange } from "./evidence.ts";
import { ReplayLease } from "./lease.ts";
import { loadRecord, progressKey, type ReplayRecord, saveRecord } from "./record.ts";
import { incompleteSessions } from "./sessions.ts";

export interface ReplaySettings extends DeriveSettings {
  /** Tells people who holds the lease of a replay. */
  readonly owner: string;
  /** Differing rows that a report names; all are counted. */
  readonly mostDifferences: number;
  readonly mostSightings: number;
}

/** The tables of a replay. */
export type ReplayTables = Pick<
  ShadowTables,
  | "create"
  | "begin"
  | "noteSnapshots"
  | "noteLeftOut"
  | "leftOut"
  | "digests"
  | "differences"
  | "apply"
  | "changedMinutes"
  | "drop"
>;

/** The generation of the installation. */
export interface Generations {
  current(): Promise<number>;
  /** Makes the next generation and returns it. */
  raise(): Promise<number>;
  /** Which live processors still write under an older one. */
  behind(generation: number): Promise<readonly string[]>;
}

export interface ReplayPorts extends DerivePorts {
  /** Removes what is kept of a replay's sessions. */
  readonly removeSessions: (id: string) => Promise<void>;
  readonly tables: (record: SequenceRange & { readonly id: string }) => ReplayTables;
  readonly generations: Generations;
  readonly dirtyMinutes: DirtyMinutes;
}

/** What somebody asks for. */
export type ReplayRequest = Pick<
  ReplayRecord,
  "id" | "fromSeq" | "toSeq" | "mode" | "keep" | "compare" | "shuffleSeed"
>;

/** Told how much of a phase is done. */
export type OnPhase = (
  phase: "surveying" | "reading snapshots" | "looking for sessions" | "replaying",
  done: number,
  total: number,
) => void;

/** A row that differs from the live one, and why. */
export interface Difference extends RowPair {
  readonly kind: DifferenceKind;
}

/** How far a replay came, and what it came to; of one that is not done nothing but that is there. */
export interface ReplayReport extends Derived {
  readonly digests: readonly Digest[];
  /** The sessions that the range does not hold whole, so that only what depends on their events alone was derived. */
  readonly leftOut: readonly IncompleteSession[];
  /** How many rows differ, by kind, and the first of them; undefined when nothing was compared. */
  readonly differing: Readonly<Partial<Record<DifferenceKind, number>>> | undefined;
  readonly differences: readonly Difference[];
  /** What was done to the live tables; only a back-fill does anything. */
  readonly applied: readonly Applied[];
}

/** Events of a session come every few seconds; one that was silent for longer than this is taken for over. */
export const QUIET_MS = 3_600_000;

/** How long a back-fill waits for the live processors to write under its generation. */
const ADOPTION_MS = 30_000;
const POLL_MS = 50;

export class Replay {
  readonly #settings: ReplaySettings;
  readonly #ports: ReplayPorts;
  readonly #onPhase: OnPhase;
  readonly #signal: AbortSignal;

  /** The signal stops a replay after the batch in hand. */
  constructor(settings: ReplaySettings, ports: ReplayPorts, signal: AbortSignal, onPhase: OnPhase) {
    this.#settings = settings;
    this.#ports = ports;
    this.#signal = signal;
    this.#onPhase = onPhase;
  }

  /**
   * Begins a replay and runs it; undefined when the signal came before there was anything to resume. Until the
   * evidence was found to fit nothing is written.
   */
  async start(request: ReplayRequest): Promise<ReplayReport | undefined> {
    const { stream, generations, log } = this.#ports;
    const size = request.toSeq - request.fromSeq + 1;
    try {
      const times = await surveyRange(stream, request, (done) => this.#tell("surveying", done, size));
      const begin = await evidenceStart(stream, times, this.#settings);
      const evidence = new Evidence(this.#settings, times, begin.fromSeq);
      const { lastSeq } = await stream.bounds(request.toSeq);
      await this.#load(evidence, lastSeq, begin.fromSeq);
      const isShadow = request.mode === "shadow";
      const record: ReplayRecord = {
        ...request,
        hash: this.#settings.contentHash,
        generation: isShadow ? await generations.current() : 0,
        eventTimes: times,
        evidence: { fromSeq: evidence.fromSeq, toSeq: isShadow ? lastSeq : 0, isWhole: begin.isWhole },
        knowsSessions: false,
        isOver: false,
      };
      if (!begin.isWhole) {
        log.warn({ id: record.id }, "snapshots that count for the start of the range are gone from the stream");
      }
      return await this.#held(record.id, async (lost) => {
        await saveRecord(this.#ports.replays, record);
        try {
          return await this.#finish(await this.#run(record, evidence, lost));
        } catch (error) {
          // What was asked for cannot be, so there is nothing to resume.
          if (error instanceof LatecomerError && error.kind === "usage") await this.#remove(record);
          throw error;
        }
      });
    } catch (error) {
      if (error instanceof Stopped) return undefined;
      throw error;
    }
  }

  /** Goes on with a replay, or repeats the end of one that is done. */
  async resume(id: string): Promise<ReplayReport> {
    await loadRecord(this.#ports.replays, id);
    return await this.#held(id, async (lost) => {
      const record = await loadRecord(this.#ports.replays, id);
      await this.#requireResumable(record);
      const evidence = new Evidence(this.#settings, record.eventTimes, record.evidence.fromSeq);
      return await this.#finish(await this.#run(record, evidence, lost));
    });
  }

  /** Removes all of a replay: tables, consumer, progress and record. */
  async drop(id: string): Promise<void> {
    const record = await loadRecord(this.#ports.replays, id);
    await this.#held(id, () => this.#remove(record));
  }

  async #remove(record: ReplayRecord): Promise<void> {
    const { stream, replays, tables } = this.#ports;
    // Interrupted after this it must not be resumed: rows whose table is gone would look as if no event yielded them.
    await saveRecord(replays, { ...record, isOver: true });
    await tables(record).drop();
    await stream.removeDurable(consumerOf(record.id));
    await this.#ports.removeSessions(record.id);
    await replays.remove(progressKey(record.id));
    await replays.remove(record.id);
  }

  async #held<Result>(id: string, work: (lost: AbortSignal) => Promise<Result>): Promise<Result> {
    const { replays, clock } = this.#ports;
    const lease = await ReplayLease.take(replays, id, this.#settings.owner, clock);
    try {
      return await work(lease.lost);
    } finally {
      await lease.release();
    }
  }

  async #run(begun: ReplayRecord, evidence: Evidence, lost: AbortSignal): Promise<Derived> {
    const { tables, log } = this.#ports;
    const own = tables(begun);
    await own.create();
    let record = begun;
    try {
      record = await this.#fixEvidence(begun);
      await this.#load(evidence, record.evidence.toSeq, record.evidence.fromSeq);
      record = await this.#findSessions(record, own);
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
      return { record, isDone: false, doneSeq: record.fromSeq - 1, counts: new Map() };
    }
    await own.noteSnapshots(evidence.snapshots);
    evidence.feed.complete();
    const { id, fromSeq, toSeq, mode, generation } = record;
    // In the log and not only in the report: an interruption may leave no time for one.
    log.info(
      { id, fromSeq, toSeq, mode, generation },
      `replaying; after an interruption: latecomer replay resume ${id}`,
    );
    const leftOut = new Set((await own.leftOut()).map((one) => stateKey(one.source, one.sessionKey)));
    return await derive(record, evidence.feed, leftOut, own, this.#settings, this.#ports, {
      signal: this.#signal,
      lost,
      onProgress: (done) => this.#onPhase("replaying", done, toSeq - fromSeq + 1),
    });
  }

  /** Settles the generation and up to where snapshots count, once for all who resume. */
  async #fixEvidence(begun: ReplayRecord): Promise<ReplayRecord> {
    const { generations, replays, stream } = this.#ports;
    if (begun.evidence.toSeq > 0) return begun;
    let record = begun;
    if (record.generation === 0) {
      record = { ...record, generation: await generations.raise() };
      await saveRecord(replays, record);
    }
    await this.#adopted(record.generation);
    const { lastSeq } = await stream.bounds(record.toSeq);
    record = { ...record, evidence: { ...record.evidence, toSeq: lastSeq } };
    await saveRecord(replays, record);
    return record;
  }

  /** Looks once for the sessions that the range does not hold whole. */
  async #findSessions(record: ReplayRecord, tables: ReplayTables): Promise<ReplayRecord> {
    if (record.knowsSessions) return record;
    const { stream, replays } = this.#ports;
    const { firstSeq, lastSeq } = await stream.bounds(record.toSeq);
    const total = SESSION_TYPES.size * (lastSeq - firstSeq + 1);
    const found = await incompleteSessions(
      stream,
      record,
      QUIET_MS,
      (done) => this.#tell("looking for sessions", done, total),
    );
    await tables.noteLeftOut(found);
    const known = { ...record, knowsSessions: true };
    await saveRecord(replays, known);
    return known;
  }

  async #adopted(generation: number): Promise<void> {
    const { clock, generations } = this.#ports;
    for (const since = clock.now();;) {
      const behind = await generations.behind(generation);
      if (behind.length === 0) return;
      if (this.#signal.aborted) throw new Stopped();
      if (clock.now() - since > ADOPTION_MS) {
        const why = `${
          behind.join(", ")
        } does not write under generation ${generation}: stop it, then resume the replay`;
        throw new LatecomerError("GENERATION_NOT_ADOPTED", "unavailable", why);
      }
      await clock.sleep(POLL_MS, this.#signal);
    }
  }

  async #load(evidence: Evidence, toSeq: number, fromSeq: number): Promise<void> {
    const total = toSeq - fromSeq + 1;
    await evidence.load(this.#ports.stream, toSeq, (done) => this.#tell("reading snapshots", done, total));
  }

  /** Looks at what was derived, puts it in its place, and removes what is not to be kept. */
  async #finish(derived: Derived): Promise<ReplayReport> {
    const { record, isDone } = derived;
    const report = { ...derived, digests: [], leftOut: [], differing: undefined, differences: [], applied: [] };
    if (!isDone) return report;
    const tables = this.#ports.tables(record);
    const digests = await tables.digests();
    const leftOut = await tables.leftOut();
    const compared = record.compare ? await this.#compare(record, tables) : {};
    const applied = record.mode === "backfill" ? await this.#apply(record, tables) : [];
    if (record.keep) {
      await this.#ports.stream.removeDurable(consumerOf(record.id));
      await this.#ports.removeSessions(record.id);
    }
    if (!record.keep) await this.#remove(record);
    return { ...report, digests, leftOut, ...compared, applied };
  }

  /** Repeated, it writes and marks the same again: before the marks are durable the replay is not over. */
  async #apply(record: ReplayRecord, tables: ReplayTables): Promise<Applied[]> {
    await this.#requireHighest(record);
    const { generation } = record;
    const applied = await tables.apply(generation);
    await this.#ports.dirtyMinutes.mark(await tables.changedMinutes(generation));
    return applied;
  }

  async #compare({ evidence }: ReplayRecord, tables: ReplayTables) {
    const differing: Partial<Record<DifferenceKind, number>> = {};
    const differences: Difference[] = [];
    for await (const pairs of tables.differences()) {
      for (const pair of pairs) {
        const kind = differenceOf({ ...pair, isExpired: pair.isForeign && !evidence.isWhole });
        differing[kind] = (differing[kind] ?? 0) + 1;
        if (differences.length < this.#settings.mostDifferences) differences.push({ ...pair, kind });
      }
    }
    return { differing, differences };
  }

  /** Refuses a back-fill whose generation was passed: by whoever raises it, also while the rows are derived. */
  async #requireHighest({ id, mode, generation }: ReplayRecord): Promise<void> {
    const current = await this.#ports.generations.current();
    if (mode !== "backfill" || generation === 0 || current <= generation) return;
    const why = `the generation ${generation} of replay ${id} is below the installation's ${current}, so its rows ` +
      "would be hidden: drop it and start another";
    throw new LatecomerError("GENERATION_NOT_HIGHER", "usage", why);
  }

  async #requireResumable(record: ReplayRecord): Promise<void> {
    const { stream, replays } = this.#ports;
    const { id, hash, evidence, isOver } = record;
    if (isOver) {
      const why =
        `replay ${id} is over, or was being dropped: \`latecomer replay drop ${id}\` removes what is left of it`;
      throw new LatecomerError("REPLAY_OVER", "usage", why);
    }
    if (hash !== this.#settings.contentHash) {
      const why = `replay ${id} was begun under other TTLs or by another version: restore them, or drop it`;
      throw new LatecomerError("REPLAY_OF_OTHER_SETTINGS", "usage", why);
    }
    await this.#requireHighest(record);
    const checkpoint = readCheckpoint((await replays.get(progressKey(id)))?.value ?? "");
    const bounds = await stream.bounds(checkpoint?.doneSeq);
    if (bounds.firstSeq > Math.min(evidence.fromSeq, checkpoint?.rewindSeq ?? record.fromSeq)) {
      throw expired(id, `sequences before ${bounds.firstSeq}`);
    }
    if (checkpoint === undefined) return;
    const { findings } = planStart({
      checkpoint,
      hash,
      stream: bounds,
      doneAtMs: await stream.storedAtMs(checkpoint.doneSeq),
      firstSeqAfterDone: await stream.firstSeqAfter(checkpoint.doneAtMs),
      held: 0,
      heldMark: 0,
      hasItsState: true,
    });
    if (findings.length > 0) throw expired(id, "messages that the replay has read");
  }

  #tell(phase: Parameters<OnPhase>[0], done: number, total: number): void {
    if (this.#signal.aborted) throw new Stopped();
    this.#onPhase(phase, done, total);
  }
}

/** Thrown where the signal ends a phase that leaves nothing half done. */
class Stopped extends Error {}
