/**
 * Finds what an explanation is made of: the messages of an event or a session, and the snapshots that may count for
 * them. The stream has the last word; what it no longer holds comes from the archive, and what is not archived yet from
 * the part of the stream that no checkpoint covers.
 */
import type { ArchivedCopy, NamedEvent, WrittenRow } from "../clickhouse/history.ts";
import type { SessionPlace } from "../clickhouse/records.ts";
import type { StoredMessage } from "../core/event.ts";
import type { Fact } from "../core/facts.ts";
import { SnapshotFeed } from "../core/feed.ts";
import { judge, type Judged } from "../core/judge.ts";
import type { ObservedEvent } from "../core/observed.ts";
import type { Ttl } from "../core/select.ts";
import { readSnapshotEntry, type Snapshot } from "../core/snapshot.ts";
import { encodeToken, stateKey } from "../core/subject.ts";
import type { SequenceRange, StreamBounds } from "../ports.ts";
import type { Material } from "./material.ts";

/** What the tables know, see clickhouse/history.ts. */
export interface Archive {
  eventsNamed(name: string, source: string): Promise<readonly NamedEvent[]>;
  sessionsNamed(sessionId: string, source: string): Promise<readonly SessionPlace[]>;
  uidsOfSession(session: SessionPlace): Promise<readonly string[]>;
  copiesOf(source: string, uids: readonly string[]): Promise<readonly ArchivedCopy[]>;
  archivedBytes(
    source: string,
    sequences: readonly number[],
  ): Promise<readonly (StoredMessage & { readonly uid: string })[]>;
  snapshotsArchived(source: string, fromMs: number, toMs: number): Promise<readonly string[]>;
  rowsWritten(fact: Fact, session: SessionPlace, uid: string): Promise<readonly WrittenRow[]>;
}

export interface ExplainPorts {
  readonly archive: Archive;
  readonly stream: {
    bounds(): Promise<StreamBounds>;
    messageAt(streamSequence: number): Promise<StoredMessage | undefined>;
    messages(range: SequenceRange, subject: string): AsyncIterable<readonly StoredMessage[]>;
    /** The least sequence that some partition has not processed. */
    unprocessedFrom(): Promise<number>;
  };
  /** What the bucket `capability_snapshots` holds of a source. */
  snapshots(source: string): AsyncIterable<Snapshot>;
  /** Told how many of so many sequences are read. */
  onProgress(done: number, total: number): void;
}

/** What a name stands for. */
export type Match =
  | ({ readonly kind: "event" } & NamedEvent)
  | ({ readonly kind: "session" } & SessionPlace);

/** The snapshots that may count, and where they were found. */
export interface Evidence {
  readonly feed: SnapshotFeed;
  readonly bucket: number;
  readonly archive: number;
  readonly stream: number;
}

/** Snapshots so far outside the TTL are shown as well: they tell that a node was known, and when. */
const NEARBY_MS = 24 * 3_600_000;

/** Messages of the stream that are asked for together. */
const AT_ONCE = 64;

export class Gatherer {
  readonly #ports: ExplainPorts;
  /** Sequences from here on are looked at in the stream. */
  #sinceSeq = 1;

  constructor(ports: ExplainPorts) {
    this.#ports = ports;
  }

  /** Everything that a uid, an event id or a session id stands for, in any source when that is empty. */
  async find(name: string, source: string): Promise<Match[]> {
    const { archive, stream } = this.#ports;
    const found = new Map<string, Match>();
    const add = (match: Match) => {
      found.set(
        JSON.stringify([match.kind, match.source, match.kind === "event" ? match.uid : match.sessionId]),
        match,
      );
    };
    for (const event of await archive.eventsNamed(name, source)) add({ kind: "event", ...event });
    for (const session of await archive.sessionsNamed(name, source)) add({ kind: "session", ...session });
    // What is nowhere in the tables may have been lost there.
    this.#sinceSeq = found.size === 0 ? 1 : await stream.unprocessedFrom();
    for (
      const { judged: { decoded, sessionKey } } of await this.#unprocessed(source || undefined, "*", (judged) => {
        const { envelope } = judged.decoded;
        return envelope.uid === name || envelope.id === name || judged.sessionKey === stateKey(envelope.source, name);
      })
    ) {
      const { source, uid, id, type } = decoded.envelope;
      if (uid === name || id === name) add({ kind: "event", source, uid, id, type });
      if (sessionKey === stateKey(source, name)) add({ kind: "session", source, sessionId: name });
    }
    return [...found.values()];
  }

  /** The messages of an event. */
  async event(source: string, uid: string): Promise<Material[]> {
    const waiting = await this.#unprocessed(source, "*", ({ decoded }) => decoded.envelope.uid === uid);
    return merged(await this.#stored(source, [uid]), waiting);
  }

  /** The messages of a session, those that were refused left out. */
  async session({ source, sessionId }: SessionPlace): Promise<Material[]> {
    const key = stateKey(source, sessionId);
    const waiting = await this.#unprocessed(source, "*", ({ sessionKey }) => sessionKey === key);
    const stored = await this.#stored(source, await this.#ports.archive.uidsOfSession({ source, sessionId }));
    return merged(stored.filter(({ judged }) => judged.sessionKey === key), waiting);
  }

  /** The snapshots that may count for observations of a source; of each the nodes that concern any of them. */
  async evidence(source: string, observed: readonly ObservedEvent[], ttl: Ttl): Promise<Evidence> {
    const feed = new SnapshotFeed({ allowedLatenessMs: Infinity, mostSightings: Infinity });
    const counts = { bucket: 0, archive: 0, stream: 0 };
    if (observed.length > 0) {
      const times = observed.map(({ eventTimeMs }) => eventTimeMs);
      const fromMs = times.reduce((least, time) => Math.min(least, time)) - ttl.beforeMs - NEARBY_MS;
      const toMs = times.reduce((greatest, time) => Math.max(greatest, time)) + ttl.afterMs + NEARBY_MS;
      const known = new Set<string>();
      const take = (snapshot: Snapshot | undefined, from: keyof typeof counts) => {
        if (snapshot === undefined || known.has(snapshot.uid)) return;
        known.add(snapshot.uid);
        if (snapshot.timeMs < fromMs || snapshot.timeMs > toMs) return;
        counts[from]++;
        feed.apply(concerning(snapshot, observed));
      };
      for await (const snapshot of this.#ports.snapshots(source)) take(snapshot, "bucket");
      const archived = await this.#ports.archive.snapshotsArchived(source, fromMs, toMs);
      for (const { judged } of await this.#stored(source, archived.filter((uid) => !known.has(uid)))) {
        take(snapshotIn(judged), "archive");
      }
      for (const { judged } of await this.#unprocessed(source, "network_capabilities", () => true)) {
        take(snapshotIn(judged), "stream");
      }
    }
    feed.complete();
    return { feed, ...counts };
  }

  /** Where the first message of an event is stored, undefined when that is not known. */
  async placeOf(source: string, uid: string): Promise<{ streamSequence: number; streamTimeMs: number } | undefined> {
    const [copy] = await this.#ports.archive.copiesOf(source, [uid]);
    if (copy !== undefined) return copy;
    const [waiting] = await this.#unprocessed(source, "*", ({ decoded }) => decoded.envelope.uid === uid);
    return waiting?.message;
  }

  /** Archived messages: from the stream, and where it holds another or none from the archive. */
  async #stored(source: string, uids: readonly string[]): Promise<Material[]> {
    const { archive, stream } = this.#ports;
    const copies = await archive.copiesOf(source, uids);
    const materials: Material[] = [];
    const gone = new Map<string, ArchivedCopy>();
    for (let from = 0; from < copies.length; from += AT_ONCE) {
      const some = copies.slice(from, from + AT_ONCE);
      const messages = await Promise.all(some.map(({ streamSequence }) => stream.messageAt(streamSequence)));
      for (const [at, copy] of some.entries()) {
        const message = messages[at];
        const judged = message && judge(message);
        const isIt = judged?.decoded.envelope.uid === copy.uid && judged.decoded.envelope.source === source;
        if (isIt) materials.push({ message: message!, judged, outcome: copy.outcome, readFrom: "stream" });
        else gone.set(placeKey(copy), copy);
      }
    }
    const sequences = [...new Set([...gone.values()].map(({ streamSequence }) => streamSequence))];
    for (const { uid, ...message } of await archive.archivedBytes(source, sequences)) {
      const copy = gone.get(placeKey({ uid, streamSequence: message.streamSequence }));
      if (copy === undefined) continue;
      materials.push({ message, judged: judge(message), outcome: copy.outcome, readFrom: "archive" });
    }
    return materials;
  }

  /** What no checkpoint covers, of a source or of all and of a type or of all (`*`), as far as it is asked for. */
  async #unprocessed(
    source: string | undefined,
    type: string,
    isAskedFor: (judged: Judged) => boolean,
  ): Promise<Material[]> {
    const { stream, onProgress } = this.#ports;
    const { firstSeq, lastSeq } = await stream.bounds();
    const fromSeq = Math.max(firstSeq, this.#sinceSeq);
    const found: Material[] = [];
    if (fromSeq > lastSeq) return found;
    const subject = `events.${source === undefined ? "*" : encodeToken(source)}.${type}.*`;
    for await (const slice of stream.messages({ fromSeq, toSeq: lastSeq }, subject)) {
      for (const message of slice) {
        const judged = judge(message);
        if (isAskedFor(judged)) found.push({ message, judged, outcome: null, readFrom: "stream" });
      }
      onProgress(slice.at(-1)!.streamSequence - fromSeq + 1, lastSeq - fromSeq + 1);
    }
    return found;
  }
}

/** Both in the order of the stream; of a message that is in both, the archived one. */
function merged(stored: readonly Material[], waiting: readonly Material[]): Material[] {
  const known = new Set(stored.map(({ message }) => message.streamSequence));
  return [...stored, ...waiting.filter(({ message }) => !known.has(message.streamSequence))]
    .sort((a, b) => a.message.streamSequence - b.message.streamSequence);
}

function placeKey({ uid, streamSequence }: { readonly uid: string; readonly streamSequence: number }): string {
  return `${streamSequence} ${uid}`;
}

function snapshotIn({ snapshot }: Judged): Snapshot | undefined {
  return snapshot === undefined ? undefined : readSnapshotEntry(snapshot.value!);
}

/** A snapshot without the nodes that have neither url nor wallet of any of these observations. */
function concerning(snapshot: Snapshot, observed: readonly ObservedEvent[]): Snapshot {
  const urls = new Set(observed.map(({ url }) => url));
  const wallets = new Set(observed.map(({ address }) => address));
  const nodes = snapshot.nodes.filter(({ url, hot, canonical }) =>
    (url !== "" && urls.has(url)) || (hot !== "" && wallets.has(hot)) || wallets.has(canonical)
  );
  return { ...snapshot, nodes };
}
