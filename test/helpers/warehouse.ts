/** A world that keeps every row as the warehouse does, so that its account can be taken as verify takes it. */
import { type Stage, STAGES } from "../../src/audit/world.ts";
import type { ArchivedMessage, FactPlace, SessionPlace } from "../../src/clickhouse/records.ts";
import type { Effects } from "../../src/core/effects.ts";
import type { Outcome } from "../../src/core/emit/archive.ts";
import type { Row } from "../../src/core/emit/row.ts";
import { factKey, factOf, FACTS, type FactTable } from "../../src/core/facts.ts";
import { type Identity, identityKey } from "../../src/core/identity.ts";
import { type Account, type Records, takeAccount } from "../../src/verify/account.ts";
import type { Surroundings } from "../../src/verify/compare.ts";
import { World } from "./world.ts";

export class Warehouse extends World implements Records {
  /** By sequence, which here fits one message only. */
  readonly archive = new Map<number, ArchivedMessage>();
  readonly #letters = new Map<number, Identity>();
  readonly #unknown = new Set<string>();

  override commit(name: string, upTo: Stage = "checkpoint", writer = 0): Effects {
    const effects = super.commit(name, upTo, writer);
    if (STAGES.indexOf(upTo) < STAGES.indexOf("rows")) return effects;
    for (const row of effects.rows.get("raw_streaming_events") ?? []) this.#archive(archivedOf(row));
    for (const { source, source_offset, event_uid } of effects.rows.get("raw_streaming_events_dlq") ?? []) {
      this.#letters.set(Number(source_offset), { source: String(source), uid: String(event_uid) });
    }
    for (const { source, raw_event_uid } of effects.rows.get("raw_unknown_events") ?? []) {
      this.#unknown.add(identityKey({ source: String(source), uid: String(raw_event_uid) }));
    }
    return effects;
  }

  /** The account of a range, both ends included; by default of the whole stream, in a place that keeps everything. */
  account(fromSeq = 1, toSeq = this.stream.length, sinceMs: Partial<Record<FactTable, number>> = {}): Promise<Account> {
    const none = Object.fromEntries(FACTS.map(({ table }) => [table, 0])) as Record<FactTable, number>;
    const surroundings: Surroundings = {
      horizons: { archiveMs: 0, letterRowsMs: 0, lettersMs: 0, unknownMs: 0, factsMs: { ...none, ...sinceMs } },
      doneSeq: (partition) => this.checkpoints.get(partition)?.doneSeq ?? 0,
      hasLetter: (sequence) => this.#letters.has(sequence),
    };
    const messages = this.stream.slice(fromSeq - 1, toSeq);
    const options = { mostFindings: Infinity, onProgress: () => {} };
    return takeAccount({ fromSeq, toSeq }, slicesOf(messages), this, surroundings, options);
  }

  archived(fromSeq: number, toSeq: number): Promise<ArchivedMessage[]> {
    return Promise.resolve([...this.archive.values()].filter((row) => isWithin(row.streamSequence, fromSeq, toSeq)));
  }

  deadLetters(fromSeq: number, toSeq: number): Promise<(Identity & { readonly streamSequence: number })[]> {
    const rows = [...this.#letters].map(([streamSequence, identity]) => ({ ...identity, streamSequence }));
    return Promise.resolve(rows.filter((row) => isWithin(row.streamSequence, fromSeq, toSeq)));
  }

  unknown(events: readonly Identity[]): Promise<Set<string>> {
    return Promise.resolve(new Set(events.map(identityKey).filter((key) => this.#unknown.has(key))));
  }

  /** A row is found under its own session and time only, for by these the real tables are searched. */
  facts(table: FactTable, events: readonly FactPlace[]): Promise<Set<string>> {
    const fact = factOf(table)!;
    const found = events.filter(({ source, uid, sessionId, eventTimeMs }) => {
      const row = this.table.get(factKey(fact, { source, source_event_uid: uid }));
      return row?.workflow_session_id === sessionId && row[fact.time] === eventTimeMs;
    });
    return Promise.resolve(new Set(found.map(identityKey)));
  }

  eventCounts(sessions: readonly SessionPlace[]): Promise<number[]> {
    const fact = factOf("fact_workflow_sessions")!;
    const rowOf = ({ source, sessionId }: SessionPlace) =>
      this.table.get(factKey(fact, { source, workflow_session_id: sessionId }));
    return Promise.resolve(sessions.map((session) => Number(rowOf(session)?.event_count ?? 0)));
  }

  acceptedElsewhere(sequences: readonly number[]): Promise<Set<string>> {
    const accepted = [...this.archive.values()].filter((row) => row.outcome === "accepted").map(identityKey);
    const asked = new Set(sequences.map((sequence) => identityKey(this.archive.get(sequence)!)));
    return Promise.resolve(new Set(accepted.filter((key) => asked.has(key))));
  }

  /** Of two outcomes of one message `duplicate` is the greater version. */
  #archive(row: ArchivedMessage): void {
    if (this.archive.get(row.streamSequence)?.outcome !== "duplicate") this.archive.set(row.streamSequence, row);
  }
}

function archivedOf({ source, uid, stream_sequence, stream_ts, type, outcome }: Row): ArchivedMessage {
  return {
    source: String(source),
    uid: String(uid),
    streamSequence: Number(stream_sequence),
    streamTimeMs: Number(stream_ts),
    type: String(type),
    outcome: outcome as Outcome,
  };
}

function isWithin(sequence: number, from: number, to: number): boolean {
  return sequence >= from && sequence <= to;
}

async function* slicesOf<Message>(messages: readonly Message[]): AsyncGenerator<readonly Message[]> {
  for (let at = 0; at < messages.length; at += 100) yield messages.slice(at, at + 100);
}
