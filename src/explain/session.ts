/** Why a session is as it is: its events in the order K with what each adds, and what they come to. */
import type { Row } from "../core/emit/row.ts";
import { sessionRow } from "../core/emit/session.ts";
import type { TelemetryEvent } from "../core/event.ts";
import type { SnapshotFeed } from "../core/feed.ts";
import { sessionKeyOf } from "../core/identity.ts";
import { edgeOf, namesOrchestrator, type ObservedEvent, sampleOf } from "../core/observed.ts";
import { claimOf, select, type Ttl } from "../core/select.ts";
import { derive } from "../core/session/derive.ts";
import { copyOf, NOTHING } from "../core/session/fold.ts";
import { Session } from "../core/session/session.ts";
import { isSessionEvent, kindOf, type SessionEvent } from "../core/session/signal.ts";
import { formatInstant } from "../core/time.ts";
import { type Contribution, readAndTell } from "./contribution.ts";
import { firstOfEach, type Material, sequencesOf } from "./material.ts";
import { latenciesOf, type Latency, type StartUp, startUpOf } from "./start-up.ts";

/** An event of a session, in its place. */
export interface SessionEventExplained {
  readonly uid: string;
  readonly id: string;
  /** A trace's own type, `status`, or `ai:` and the kind of an AI event. */
  readonly type: string;
  readonly time: string;
  readonly streamSequences: readonly number[];
  /** The segment in which it falls, from 1 on. */
  readonly segment: number;
  /** What it states itself: null of an event that names nobody. */
  readonly claim: EventClaim | null;
  /** The text of an error or of a parameter update. */
  readonly message: string;
  readonly adds: readonly Contribution[];
}

interface EventClaim {
  readonly level: number;
  readonly reason: string;
  readonly orchestrator: string;
  readonly model: string | null;
}

export interface Segment {
  readonly number: number;
  readonly start: string;
  /** Null while open. */
  readonly end: string | null;
  /** Why it is as it is: `initial`, `orchestrator_change`, `stream_closed`. */
  readonly reason: string;
  readonly orchestrator: string;
  readonly url: string;
  readonly model: string | null;
  readonly gpu: string | null;
  readonly gpuCount: number;
  readonly level: number;
  readonly unattributedReason: string;
  readonly snapshotUid: string;
  readonly snapshotTime: string | null;
  /** The event whose claim is the segment's identity; null when it is older than those that are kept apart. */
  readonly identifiedBy: string | null;
}

export interface SessionExplained {
  readonly source: string;
  readonly sessionId: string;
  readonly start: string;
  readonly end: string;
  readonly eventCount: number;
  /** Events that the session did not take: it was at its bound. */
  readonly ignored: number;
  readonly events: readonly SessionEventExplained[];
  readonly segments: readonly Segment[];
  readonly swaps: { readonly confirmed: number; readonly inferred: number; readonly edges: readonly string[] };
  readonly startUp: StartUp;
  readonly errors: { readonly total: number; readonly excusable: number; readonly beforePlayable: number };
  readonly latencies: readonly Latency[];
}

/** Explains a session by its messages; those of other sessions must not be among them, and one must be accepted. */
export function explainSession(materials: readonly Material[], feed: SnapshotFeed, ttl: Ttl): SessionExplained {
  const events = eventsOf(materials);
  const { session, ignored } = sessionOf(events, feed, ttl);
  const derived = derive(session);
  const { totals } = derived;
  const row = sessionRow(session, derived, 0);
  const { explained, identifiedBy } = readThrough(session, materials, events);
  return {
    source: session.source,
    sessionId: session.key,
    start: formatInstant(totals.startMs),
    end: formatInstant(totals.endMs),
    eventCount: totals.events,
    ignored,
    events: explained,
    segments: segmentsOf(row, identifiedBy),
    swaps: {
      confirmed: totals.swaps,
      inferred: row.inferred_orchestrator_change_count as number,
      edges: explained.filter(({ adds }) => adds.some(({ code }) => code === "swap")).map(({ uid }) => uid),
    },
    startUp: startUpOf(totals, row),
    errors: {
      total: totals.errors,
      excusable: totals.excusableErrors,
      beforePlayable: totals.errors - totals.errorsAfterPlayable,
    },
    latencies: latenciesOf(totals, row),
  };
}

/** What a session's event observes, undefined for one that names nobody. */
export function observedOf(event: TelemetryEvent): ObservedEvent | undefined {
  if (event.type === "ai_stream_status") return sampleOf(event);
  return event.type === "stream_trace" && namesOrchestrator(event) ? edgeOf(event) : undefined;
}

/** The distinct events of a session among these messages, with their first sequences, in the order of the stream. */
function eventsOf(materials: readonly Material[]): { readonly event: SessionEvent; readonly streamSequence: number }[] {
  const found: { event: SessionEvent; streamSequence: number }[] = [];
  for (const { message: { streamSequence }, judged: { decoded } } of firstOfEach(materials)) {
    if (decoded.outcome !== "accepted" || !isSessionEvent(decoded.event)) continue;
    found.push({ event: decoded.event, streamSequence });
  }
  return found.sort((a, b) => a.streamSequence - b.streamSequence);
}

function sessionOf(
  events: ReturnType<typeof eventsOf>,
  feed: SnapshotFeed,
  ttl: Ttl,
): { readonly session: Session; readonly ignored: number } {
  const { head: { source, id }, payload: { streamId, requestId } } = events[0]!.event;
  const session = new Session(source, sessionKeyOf(streamId, requestId, id));
  const candidates = feed.candidatesOf(source);
  let ignored = 0;
  for (const { event, streamSequence } of events) {
    const observed = observedOf(event);
    const selection = observed && select(observed, candidates, ttl);
    const finding = selection && { selection, claim: claimOf(observed!, selection, candidates) };
    if (session.note(event, streamSequence, finding) === "ignored") ignored++;
  }
  return { session, ignored };
}

/** Reads the events in the order K; tells of each what it adds, and of each segment which event identifies it. */
function readThrough(session: Session, materials: readonly Material[], events: ReturnType<typeof eventsOf>) {
  const byUid = new Map(events.map(({ event }) => [event.head.uid, event]));
  const totals = copyOf(session.base?.totals ?? NOTHING);
  const identifiedBy: (string | undefined)[] = totals.runs.map(() => undefined);
  const explained = Array.from(session.signals, (signal, nth): SessionEventExplained => {
    const adds = readAndTell(totals, session, nth);
    const segment = totals.runs.length;
    // A later event with the same claim identifies it too, and is the one that counts.
    const event = byUid.get(signal.uid)!;
    const isNamed = observedOf(event) !== undefined;
    if (isNamed && totals.runs[segment - 1]!.support === signal.support) identifiedBy[segment - 1] = signal.uid;
    const { claim } = session.supports.groundOf(signal.support);
    return {
      uid: signal.uid,
      id: event.head.id,
      type: typeOf(event),
      time: formatInstant(signal.timeMs),
      streamSequences: sequencesOf(materials, signal.uid),
      segment,
      claim: isNamed
        ? { level: claim.level, reason: claim.reason, orchestrator: claim.canonical, model: claim.model }
        : null,
      message: event.type === "ai_stream_events" ? event.payload.message : "",
      adds,
    };
  });
  return { explained, identifiedBy };
}

function typeOf(event: SessionEvent): string {
  switch (event.type) {
    case "stream_trace":
      return event.payload.traceType;
    case "ai_stream_status":
      return "status";
    case "ai_stream_events":
      return `ai:${kindOf(event)}`;
  }
}

/** The segments of a session's row, which has each of their columns as a list. */
function segmentsOf(row: Row, identifiedBy: readonly (string | undefined)[]): Segment[] {
  const list = (column: string) => row[`segments.${column}`] as readonly (string | number | null)[];
  const instant = (value: string | number | null | undefined) =>
    typeof value === "number" ? formatInstant(value) : null;
  return list("start_ts").map((startMs, at): Segment => ({
    number: at + 1,
    start: instant(startMs)!,
    end: instant(list("end_ts")[at]),
    reason: String(list("reason")[at]),
    orchestrator: String(list("orchestrator_address")[at]),
    url: String(list("orchestrator_url")[at]),
    model: list("model_id")[at] as string | null,
    gpu: list("gpu_id")[at] as string | null,
    gpuCount: Number(list("gpu_count")[at]),
    level: Number(list("evidence_level")[at]),
    unattributedReason: String(list("unattributed_reason")[at]),
    snapshotUid: String(list("selected_snapshot_uid")[at]),
    snapshotTime: instant(list("selected_snapshot_ts")[at]),
    identifiedBy: identifiedBy[at] ?? null,
  }));
}
