/**
 * EXPLAIN: why a row is as it is. Everything that is told is derived by the core, on the messages and snapshots that are
 * still there, and compared with the rows that were written.
 */
import type { SessionPlace } from "../clickhouse/records.ts";
import type { Row } from "../core/emit/row.ts";
import type { TelemetryEvent } from "../core/event.ts";
import { factKey, factOf, type FactTable } from "../core/facts.ts";
import { sessionKeyOf } from "../core/identity.ts";
import type { ObservedEvent } from "../core/observed.ts";
import type { Ttl } from "../core/select.ts";
import { isSessionEvent } from "../core/session/signal.ts";
import { snapshotOf } from "../core/snapshot.ts";
import { formatInstant } from "../core/time.ts";
import { LatecomerError } from "../errors.ts";
import { expectedOf } from "../verify/expected.ts";
import { type Borrowed, borrowedBy } from "./borrowed.ts";
import { type Evidence, type ExplainPorts, Gatherer, type Match } from "./gather.ts";
import type { Material } from "./material.ts";
import { explainObservation, type ObservationExplained, wantedOf } from "./observation.ts";
import { rowsOf } from "./rows.ts";
import { explainSession, observedOf, type SessionExplained } from "./session.ts";
import { explainRow, type RowExplained } from "./versions.ts";
import type { Wanted } from "./wanted.ts";

export interface ExplainSettings {
  readonly ttl: Ttl;
  /** The generation of the installation. */
  readonly generation: number;
}

/** A stored message, in the order of the stream. */
export interface CopyExplained {
  readonly streamSequence: number;
  readonly storedAt: string;
  /** What the archive says became of it; null when it is not processed yet. */
  readonly outcome: string | null;
  readonly readFrom: "stream" | "archive";
}

/** Where the snapshots came from that could count, by number. */
export type EvidenceExplained = Omit<Evidence, "feed">;

/** The snapshot that a row rests on, and where it is stored. */
export interface ChosenSnapshot {
  readonly uid: string;
  readonly time: string;
  readonly streamSequence: number | null;
  readonly storedAt: string | null;
}

export interface EventExplanation {
  readonly kind: "event";
  readonly source: string;
  readonly uid: string;
  readonly id: string;
  readonly type: string;
  readonly outcome: "accepted" | "rejected" | "ignored";
  /** Why it was refused or ignored, blank otherwise. */
  readonly reason: string;
  readonly eventTime: string | null;
  readonly sessionId: string | null;
  readonly copies: readonly CopyExplained[];
  /** What was decoded; null when nothing could be. */
  readonly payload: object | null;
  /** Null for an event that names nobody by its kind or its content. */
  readonly observation: ObservationExplained | null;
  readonly chosen: ChosenSnapshot | null;
  /** Where an event that names nobody takes its identity from; null for one that needs none. */
  readonly borrowed: Borrowed | null;
  /** The nodes of a capability message. */
  readonly nodes: ReturnType<typeof snapshotOf>["nodes"] | null;
  readonly rows: readonly RowExplained[];
  readonly evidence: EvidenceExplained;
}

export interface SessionExplanation {
  readonly kind: "session";
  readonly source: string;
  readonly session: SessionExplained;
  readonly readFrom: { readonly stream: number; readonly archive: number };
  /** What would attribute those of its events that are not, and how many events each. */
  readonly wanted: readonly { readonly events: number; readonly wanted: Wanted }[];
  readonly rows: readonly RowExplained[];
  readonly evidence: EvidenceExplained;
}

export type Explanation = EventExplanation | SessionExplanation | Several;

/** More than one thing has the name. */
export interface Several {
  readonly kind: "several";
  readonly matches: readonly Match[];
}

/** Explains what has this uid, event id or session id. Throws UNKNOWN_ID (fatal) when nothing has. */
export async function explain(
  name: string,
  source: string,
  settings: ExplainSettings,
  ports: ExplainPorts,
): Promise<Explanation> {
  const gatherer = new Gatherer(ports);
  const matches = await gatherer.find(name, source);
  const [match] = matches;
  if (match === undefined) throw unknown(name, source);
  if (matches.length > 1) return { kind: "several", matches };
  const explainer = new Explainer(settings, ports, gatherer);
  return match.kind === "event"
    ? await explainer.event(match.source, match.uid)
    : await explainer.session({ source: match.source, sessionId: match.sessionId });
}

function unknown(name: string, source: string): LatecomerError {
  const where = source === "" ? "" : ` of source ${source}`;
  const why = `no event and no session${where} is called "${name}": neither the archive nor the stream knows it`;
  return new LatecomerError("UNKNOWN_ID", "fatal", why);
}

function expired({ source, sessionId }: SessionPlace): LatecomerError {
  const why =
    `the events of session ${sessionId} of source ${source} are kept neither by the stream nor by the archive ` +
    "any more; its row in fact_workflow_sessions is all that is left";
  return new LatecomerError("EVENTS_EXPIRED", "fatal", why);
}

class Explainer {
  readonly #settings: ExplainSettings;
  readonly #ports: ExplainPorts;
  readonly #gatherer: Gatherer;

  constructor(settings: ExplainSettings, ports: ExplainPorts, gatherer: Gatherer) {
    this.#settings = settings;
    this.#ports = ports;
    this.#gatherer = gatherer;
  }

  async event(source: string, uid: string): Promise<EventExplanation> {
    const materials = await this.#gatherer.event(source, uid);
    const [first] = materials;
    if (first === undefined) throw unknown(uid, source);
    const { decoded } = first.judged;
    const { id, type } = decoded.envelope;
    const told = { kind: "event", source, uid, id, type, copies: materials.map(copyOf) } as const;
    if (decoded.outcome !== "accepted") {
      const reason = decoded.outcome === "rejected"
        ? `${decoded.rejection.reason}: ${decoded.rejection.details}`
        : decoded.reason;
      return { ...told, ...NOTHING_MORE, outcome: decoded.outcome, reason };
    }
    const { event } = decoded;
    const eventTime = formatInstant(event.head.eventTimeMs);
    const accepted = { ...told, ...NOTHING_MORE, outcome: "accepted", eventTime, payload: event.payload } as const;
    if (event.type === "network_capabilities") return { ...accepted, payload: null, nodes: snapshotOf(event).nodes };
    const session = sessionOf(event);
    if (session === undefined) return accepted;
    const observed = observedOf(event);
    // The rows of a sample rest on itself alone, those of other events on their session.
    const needed = isSessionEvent(event) && event.type !== "ai_stream_status"
      ? await this.#gatherer.session(session)
      : materials;
    const { feed, ...evidence } = await this.#gatherer.evidence(source, observedIn(needed, source), this.#settings.ttl);
    const rows = rowsOf(needed, feed, this.#settings.ttl, this.#settings.generation);
    const tables = expectedOf(first.message).part?.facts ?? [];
    const derived = (table: FactTable) => rows.get(factKey(factOf(table)!, { source, source_event_uid: uid }));
    const facts = await this.#rows(tables, session, uid, derived);
    const found = observed && explainObservation(observed, feed.candidatesOf(source), this.#settings.ttl);
    return {
      ...accepted,
      sessionId: session.sessionId,
      observation: found ?? null,
      chosen: tables.length === 0 ? null : await this.#chosen(source, derived(tables[0]!)),
      borrowed: observed === undefined && isSessionEvent(event)
        ? borrowedBy(uid, explainSession(needed, feed, this.#settings.ttl), facts)
        : null,
      rows: facts,
      evidence,
    };
  }

  async session(place: SessionPlace): Promise<SessionExplanation> {
    const { ttl, generation } = this.#settings;
    const { source, sessionId } = place;
    const materials = await this.#gatherer.session(place);
    if (materials.length === 0) throw expired(place);
    const observed = observedIn(materials, source);
    const { feed, ...evidence } = await this.#gatherer.evidence(source, observed, ttl);
    const session = explainSession(materials, feed, ttl);
    const fact = factOf("fact_workflow_sessions")!;
    const derived = rowsOf(materials, feed, ttl, generation)
      .get(factKey(fact, { source, workflow_session_id: sessionId }));
    const written = await this.#ports.archive.rowsWritten(fact, place, "");
    const archived = materials.filter(({ readFrom }) => readFrom === "archive").length;
    return {
      kind: "session",
      source,
      session,
      readFrom: { stream: materials.length - archived, archive: archived },
      wanted: wantedBy(observed, (one) => wantedOf(one, feed.candidatesOf(source), ttl)),
      rows: [explainRow("fact_workflow_sessions", derived, written, generation)],
      evidence,
    };
  }

  /** The rows that are an event's own. */
  async #rows(
    tables: readonly FactTable[],
    session: SessionPlace,
    uid: string,
    derived: (table: FactTable) => Row | undefined,
  ): Promise<RowExplained[]> {
    const facts: RowExplained[] = [];
    for (const table of tables) {
      const written = await this.#ports.archive.rowsWritten(factOf(table)!, session, uid);
      facts.push(explainRow(table, derived(table), written, this.#settings.generation));
    }
    return facts;
  }

  /** The snapshot that a row rests on, undefined or a row without one for none. */
  async #chosen(source: string, row: Row | undefined): Promise<ChosenSnapshot | null> {
    const { selected_snapshot_uid: uid, selected_snapshot_ts: timeMs } = row ?? {};
    if (typeof uid !== "string" || typeof timeMs !== "number") return null;
    const place = await this.#gatherer.placeOf(source, uid);
    return {
      uid,
      time: formatInstant(timeMs),
      streamSequence: place?.streamSequence ?? null,
      storedAt: place === undefined ? null : formatInstant(place.streamTimeMs),
    };
  }
}

const NOTHING_MORE = {
  reason: "",
  eventTime: null,
  sessionId: null,
  payload: null,
  observation: null,
  chosen: null,
  borrowed: null,
  nodes: null,
  rows: [],
  evidence: { bucket: 0, archive: 0, stream: 0 },
} as const;

function copyOf({ message, outcome, readFrom }: Material): CopyExplained {
  const { streamSequence, streamTimeMs } = message;
  return { streamSequence, storedAt: formatInstant(streamTimeMs), outcome, readFrom };
}

/** The session of an event, undefined for one that belongs to none. */
function sessionOf({ head: { source, id }, payload }: TelemetryEvent): SessionPlace | undefined {
  if (!("streamId" in payload)) return undefined;
  return { source, sessionId: sessionKeyOf(payload.streamId, payload.requestId, id) };
}

function observedIn(materials: readonly Material[], source: string): ObservedEvent[] {
  const found = new Map<string, ObservedEvent>();
  for (const { judged: { decoded } } of materials) {
    const observed = decoded.outcome === "accepted" ? observedOf(decoded.event) : undefined;
    if (observed?.source === source) found.set(observed.uid, observed);
  }
  return [...found.values()];
}

/** What observations want, those that want the same together. */
function wantedBy(
  observed: readonly ObservedEvent[],
  wantedFor: (one: ObservedEvent) => Wanted | null,
): SessionExplanation["wanted"] {
  const groups = new Map<string, { events: number; wanted: Wanted }>();
  for (const one of observed) {
    const wanted = wantedFor(one);
    if (wanted === null) continue;
    const { url, wallet, model, isPossible } = wanted;
    const key = JSON.stringify([url, wallet, model, isPossible]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { events: 1, wanted });
    else group.events++;
  }
  return [...groups.values()];
}
