/**
 * Sessions by brute force: what each set of signals amounts to, every answer a plain expression over the whole set.
 *
 * Nothing is folded and nothing is remembered from one signal to the next. Of src/core it takes the decoded events,
 * who they are and which session they belong to; what an observation is attributed to is test/helpers/oracle.ts's to
 * say. The rows that follow from all this are in fact-oracle.ts.
 */
import type { StatusEvent, StreamEvent, TelemetryEvent, TraceEvent } from "../../src/core/event.ts";
import { sessionKeyOf } from "../../src/core/identity.ts";
import { TRACE } from "./events.ts";
import { type Attribution, hintOf, type OracleEvent, type Selected, selector, unclaimed } from "./oracle.ts";

/** A distinct event of a session that counts as one of its signals, and what it lets its row claim by itself. */
export interface Signal extends Selected {
  readonly event: StatusEvent | TraceEvent | StreamEvent;
  /** True when it names a wallet or a url. */
  readonly isNamed: boolean;
  /** Its own url, "" when it names none. */
  readonly url: string;
}

/** The signals of one session, in the order K. */
export interface Session {
  readonly source: string;
  readonly key: string;
  readonly signals: readonly Signal[];
}

/** The session key of an event that belongs to a session, undefined for any other. */
export function sessionOf(event: TelemetryEvent): string | undefined {
  switch (event.type) {
    case "stream_trace":
    case "ai_stream_status":
    case "ai_stream_events":
    case "stream_ingest_metrics":
      return sessionKeyOf(event.payload.streamId, event.payload.requestId, event.head.id);
    default:
      return undefined;
  }
}

/** The sessions that have a signal, in no particular order. */
export function sessionsOf(events: readonly OracleEvent[], ttl: { beforeMs: number; afterMs: number }): Session[] {
  const select = selector(events, ttl);
  const signals = events.flatMap((one) => signalsOf(one, select));
  const keyOf = (one: Signal) => JSON.stringify([one.event.head.source, sessionOf(one.event)]);
  return [...new Set(signals.map(keyOf))].map((key) => {
    const own = signals.filter((one) => keyOf(one) === key).sort(compare);
    return { source: own[0]!.event.head.source, key: sessionOf(own[0]!.event)!, signals: own };
  });
}

function signalsOf({ event }: OracleEvent, select: ReturnType<typeof selector>): Signal[] {
  const isSignal = event.type === "ai_stream_status" || event.type === "stream_trace" ||
    event.type === "ai_stream_events";
  if (!isSignal) return [];
  // An AI event names nobody, whatever it carries; a trace hints at no model.
  const { address, url } = event.type === "ai_stream_events" ? { address: "", url: "" } : event.payload;
  const hint = event.type === "ai_stream_status" ? hintOf(event.payload.pipeline) : "";
  const selected = select(event.head.source, { address, url, hint, at: event.head.eventTimeMs });
  const isNamed = address !== "" || url !== "";
  return [{ ...selected, event, isNamed, url }];
}

const PRIORITY = { stream_trace: 1, ai_stream_status: 2, ai_stream_events: 3 } as const;

/** The total order K: time, then kind, then uid by UTF-16 code units. */
export function compare({ event: a }: Signal, { event: b }: Signal): number {
  return a.head.eventTimeMs - b.head.eventTimeMs || PRIORITY[a.type] - PRIORITY[b.type] ||
    (a.head.uid < b.head.uid ? -1 : a.head.uid > b.head.uid ? 1 : 0);
}

/** The part of a session up to one of its signals, that one included. */
export function upTo(session: Session, last: Signal): Session {
  return { ...session, signals: session.signals.filter((one) => compare(one, last) <= 0) };
}

/** The canonical address that a signal claims, "" when it is unattributed. */
export function canonicalOf(signal: Signal): string {
  return signal.attribution.orchestrator_address;
}

export function traceType(signal: Signal): string {
  return signal.event.type === "stream_trace" ? signal.event.payload.traceType : "";
}

/** True for an AI event of this type, whatever its case. */
export function isType(event: StreamEvent, type: string): boolean {
  return event.payload.eventType.trim().toLowerCase() === type;
}

/** A flag as its column holds it. */
export function bit(holds: boolean): number {
  return holds ? 1 : 0;
}

/** A stretch of a session with one orchestrator, or with none known. */
export interface Run {
  readonly signals: readonly Signal[];
  readonly startMs: number;
  readonly endMs: number | null;
  readonly reason: "initial" | "orchestrator_change" | "stream_closed";
  readonly identity: Attribution;
  readonly sourceEventUid: string;
  readonly sourceTraceType: string;
}

/**
 * The runs of a session, in the order K. A run begins where a signal claims another canonical address than the one
 * that claimed an address before it; every signal is in the last run that does not begin after it.
 */
export function runsOf(session: Session): Run[] {
  const { signals } = session;
  const claiming = signals.filter((one) => canonicalOf(one) !== "");
  const openers = claiming.filter((one, at) => at > 0 && canonicalOf(claiming[at - 1]!) !== canonicalOf(one));
  const starts = [signals[0]!, ...openers];
  return starts.map((opener, index): Run => {
    const next = starts[index + 1];
    const own = signals.filter((one) =>
      (index === 0 || compare(one, opener) >= 0) && (next === undefined || compare(one, next) < 0)
    );
    const closes = own.filter((one) => traceType(one) === TRACE.close && one !== opener);
    const endMs = (next ?? closes.at(-1))?.event.head.eventTimeMs ?? null;
    const last = next ?? own.at(-1)!;
    return {
      signals: own,
      startMs: opener.event.head.eventTimeMs,
      endMs,
      reason: next !== undefined || (endMs === null && index > 0)
        ? "orchestrator_change"
        : endMs !== null
        ? "stream_closed"
        : "initial",
      identity: identifying(own)?.attribution ?? unattributed(session),
      sourceEventUid: last.event.head.uid,
      sourceTraceType: traceType(last) || own.map(traceType).findLast((type) => type !== "") || "",
    };
  });
}

/**
 * The signal whose claim is its run's identity: of those that claim, the greatest whose hinted model was found, else the
 * greatest that claims a model, else the greatest.
 */
function identifying(signals: readonly Signal[]): Signal | undefined {
  const claiming = signals.filter((one) => canonicalOf(one) !== "");
  return claiming.findLast(({ rank }) => (rank >> 92n) % 2n === 1n) ??
    claiming.findLast((one) => one.attribution.model_id !== null) ?? claiming.at(-1);
}

/** What a session without any claim says of itself. */
function unattributed({ signals }: Session): Attribution {
  const level = Math.max(...signals.map((one) => one.attribution.evidence_level));
  const reason = level > 0
    ? signals.find((one) => one.attribution.evidence_level === level)!.attribution.unattributed_reason
    : signals.some((one) => one.isNamed)
    ? "no_snapshot"
    : "no_orchestrator";
  return unclaimed(level, reason, signals.map((one) => one.url).findLast((url) => url !== "") ?? "");
}

/** What a signal borrows of the run it is in. */
function borrowed(identity: Attribution): Attribution {
  return { ...identity, gpu_attribution_method: "segment_window_join" };
}

/**
 * The identity of a row that has none of its own and stands at a signal: that of the run it is in, among the signals
 * that count for the row. Before the first claim there is none, and if none ever comes there is no orchestrator.
 */
export function identityAt(session: Session, counting: Session, row: Signal): Attribution {
  const hasClaim = ({ signals }: Session) => signals.some((one) => canonicalOf(one) !== "");
  if (!hasClaim(upTo(session, row))) {
    return unclaimed(0, hasClaim(session) ? "pre_assignment" : "no_orchestrator", row.url);
  }
  return borrowed(runsOf(counting).find((run) => run.signals.includes(row))!.identity);
}

/** The evidence of a session: that of each of its signals, each at least 1. */
export function evidenceOf({ signals }: Session): bigint {
  return signals.reduce((sum, one) => sum + 1n + one.rank, 0n);
}
