/**
 * The entries of `workflow_sessions`: a session as compact JSON, under 2 KB for twenty events. What its signals share
 * (nodes, snapshots, supports, contexts) is written once and named by its place. A bucket is open to other hands, so an
 * entry is checked before it is believed.
 */
import * as v from "valibot";
import { fitsBucket } from "../effects.ts";
import { LEVEL } from "../evidence.ts";
import { type Claim, claimNothing, methodOf, type UnattributedReason } from "../select.ts";
import { decodeToken } from "../subject.ts";
import type { Totals } from "./fold.ts";
import { type Base, isEnd, Session } from "./session.ts";
import type { Context } from "./signal.ts";
import { MOST_MARK } from "./signals.ts";
import { NAMELESS, type Support } from "./support.ts";
import { packUid, unpackUid } from "./uid.ts";

const text = v.string();
const whole = v.pipe(v.number(), v.safeInteger());
const count = v.pipe(whole, v.minValue(0));
/** What a signal means and shows. */
const mark = v.pipe(count, v.maxValue(MOST_MARK));
const level = v.picklist(Object.values(LEVEL));

/** canonical, url, pipeline, model, gpu, how many gpus */
const nodeSchema = v.strictTuple([text, text, text, v.nullable(text), v.nullable(text), count]);
/** packed uid, time */
const snapshotSchema = v.strictTuple([text, whole]);
const contextSchema = v.union([
  /** gateway, reported start (null for none), length of the stream id: the ids are those of the session key */
  v.strictTuple([text, v.nullable(whole), count]),
  /** gateway, reported start, stream id, request id */
  v.strictTuple([text, v.nullable(whole), text, text]),
]);
const supportSchema = v.union([
  /** level, reason, own url */
  v.strictTuple([level, text, text]),
  /** level, 1 for the hinted model, confidence, node, snapshot, tie-break in base 36 */
  v.strictTuple([level, count, v.number(), count, count, text]),
]);
/** packed uid, time after the first one's, mark, support (0 is nameless), context; the text of a parameter update */
const signalSchema = v.union([
  v.strictTuple([text, whole, mark, count, count]),
  v.strictTuple([text, whole, mark, count, count, text]),
]);
/** start, last close, support, url, packed uid, trace type */
const runSchema = v.strictTuple([whole, v.nullable(whole), count, text, text, text]);
const totalsSchema = v.object({
  events: count,
  firstUid: text,
  lastUid: text,
  streamId: text,
  requestId: text,
  gateway: text,
  firstPipeline: text,
  startMs: whole,
  endMs: whole,
  /** Null for never. */
  requestMs: v.nullable(whole),
  processedMs: v.nullable(whole),
  playableMs: v.nullable(whole),
  noOrchestrator: v.boolean(),
  completed: v.boolean(),
  swaps: count,
  errors: count,
  excusableErrors: count,
  errorsAfterPlayable: count,
  excusableErrorsAfterPlayable: count,
  samples: count,
  errorSamples: count,
  seen: count,
  sawPastLoading: v.boolean(),
  runs: v.array(runSchema),
});
const entrySchema = v.object({
  /** The hash of what decided content, and the generation that it was written under. */
  hash: text,
  generation: count,
  head: count,
  base: v.optional(v.object({
    totals: totalsSchema,
    floor: v.object({ uid: text, timeMs: whole, mark: count }),
    evidence: v.pipe(text, v.regex(/^\d{1,40}$/)),
  })),
  nodes: v.array(nodeSchema),
  snapshots: v.array(snapshotSchema),
  supports: v.array(supportSchema),
  contexts: v.array(contextSchema),
  fromMs: whole,
  signals: v.array(signalSchema),
});

type Entry = v.InferOutput<typeof entrySchema>;
type StoredRun = v.InferOutput<typeof runSchema>;
export type ContextTuple = v.InferOutput<typeof contextSchema>;

/** What an entry was made under: the hash of what decides content, and the generation. */
export interface Rules {
  readonly contentHash: string;
  readonly generation: number;
}

/**
 * A session as the value of its entry. Its oldest signals are folded until the entry fits the bucket: ids are bounded
 * and mostly short, and where they are not, fewer are kept apart. One that does not fit even so ends.
 */
export function writeSession(session: Session, rules: Rules): string {
  for (;;) {
    const value = JSON.stringify(entryOf(session, rules));
    if (fitsBucket(value)) return value;
    const { length } = session.signals;
    if (length === 0) session.end();
    else session.fold(length / 2, true);
    // What better evidence may still improve goes only where all before it has gone.
    if (length > 0 && session.signals.length === length) session.fold(length / 2, false);
  }
}

function entryOf(session: Session, { contentHash: hash, generation }: Rules): Entry {
  const shared = new Shared(session);
  const fromMs = session.signals.length === 0 ? 0 : session.signals.timeOf(0);
  const signals = Array.from(
    session.signals,
    ({ uid, timeMs, mark, support, context, text }): Entry["signals"][number] => {
      const head = [packUid(uid), timeMs - fromMs, mark, shared.support(support), shared.context(context)] as const;
      return text === "" ? [...head] : [...head, text];
    },
  );
  const { base, headSequence: head } = session;
  return {
    hash,
    generation,
    head,
    ...(base === undefined ? {} : { base: shared.base(base) }),
    ...shared.tables,
    fromMs,
    signals,
  };
}

export interface ReadEntry {
  readonly rules: Rules;
  readonly session: Session;
}

/** Reads the value of a session's entry by its key; undefined when it is none. */
export function readSession(key: string, value: string): ReadEntry | undefined {
  try {
    const entry = v.parse(entrySchema, JSON.parse(value));
    const rules = { contentHash: entry.hash, generation: entry.generation };
    return { rules, session: sessionOf(key, entry) };
  } catch {
    return undefined;
  }
}

/** What two writers leave together: the union of what they know under one hash, else what the greater generation knows. */
export function mergeSessions(key: string, present: string, wanted: string): string {
  const own = readSession(key, wanted);
  const other = readSession(key, present);
  if (own === undefined || other === undefined) return wanted;
  const generation = Math.max(own.rules.generation, other.rules.generation);
  const { contentHash } = own.rules;
  if (contentHash !== other.rules.contentHash) return own.rules.generation === generation ? wanted : present;
  // A union is the same from either side, so that what is there stays, byte for byte, when it holds all.
  return other.session.union(own.session) ? writeSession(other.session, { contentHash, generation }) : present;
}

/** A session without events, by the key of its entry. */
export function emptySession(key: string): Session {
  const [source = "", id = ""] = key.split(".");
  return new Session(decodeToken(source), decodeToken(id));
}

function sessionOf(key: string, entry: Entry): Session {
  const session = emptySession(key);
  const supports = [
    NAMELESS,
    ...entry.supports.map((one) => session.supports.add(readSupport(one, entry))),
  ];
  if (entry.base !== undefined) session.standOn(readBase(entry.base, session, supports));
  const contexts = entry.contexts.map((one) => readContext(one, session.key));
  for (const [packed, afterMs, mark, support, context, text = ""] of entry.signals) {
    const uid = unpackUid(packed);
    const timeMs = entry.fromMs + afterMs;
    const known = { support: at(supports, support), context: at(contexts, context) };
    session.add({ uid, timeMs, mark, text, ...known });
  }
  session.rememberHead(entry.head);
  return session;
}

/** A context as entries have it, by the session key. */
export function contextTuple({ gateway, streamId, requestId, startMs }: Context, key: string): ContextTuple {
  const start = never(startMs);
  const isKey = `${streamId}|${requestId}` === key;
  return isKey ? [gateway, start, streamId.length] : [gateway, start, streamId, requestId];
}

/** Reads what `contextTuple` returned. */
export function readContext([gateway, start, stream, requestId]: ContextTuple, key: string): Context {
  const startMs = start ?? Infinity;
  if (typeof stream === "string") return { gateway, startMs, streamId: stream, requestId: requestId! };
  return { gateway, startMs, streamId: key.slice(0, stream), requestId: key.slice(stream + 1) };
}

function readSupport(one: Entry["supports"][number], { nodes, snapshots }: Entry): Support {
  if (one.length === 3) {
    const [level, reason, url] = one;
    return { claim: claimNothing(level, reason as UnattributedReason, url), modelEqual: false, tie: 0n };
  }
  const [level, modelEqual, confidence, node, snapshot, tie] = one;
  const [canonical, url, pipeline, model, gpu, gpuCount] = at(nodes, node);
  const [packed, snapshotTimeMs] = at(snapshots, snapshot);
  const identity = { canonical, url, pipeline, model, gpu, gpuCount, snapshotUid: unpackUid(packed), snapshotTimeMs };
  const claim: Claim = { level, method: methodOf(level), confidence, reason: "", ...identity };
  return { claim, modelEqual: modelEqual === 1, tie: readTie(tie) };
}

function readBase(
  { totals, floor, evidence }: NonNullable<Entry["base"]>,
  session: Session,
  supports: readonly number[],
): Base {
  const { requestMs, processedMs, playableMs } = totals;
  if (totals.runs.length === 0 && !isEnd(floor)) throw new RangeError("totals of events have a run");
  const read: Totals = {
    ...totals,
    requestMs: requestMs ?? Infinity,
    processedMs: processedMs ?? Infinity,
    playableMs: playableMs ?? Infinity,
    runs: totals.runs.map(([startMs, closedMs, place, url, uid, traceType]) => {
      const support = at(supports, place);
      const { canonical } = session.supports.groundOf(support).claim;
      return { canonical, startMs, closedMs, support, url, uid: unpackUid(uid), traceType };
    }),
  };
  return { totals: read, floor, evidence: BigInt(evidence) };
}

/** What the parts of an entry share, in the order in which it is first needed. */
class Shared {
  readonly tables: Pick<Entry, "nodes" | "snapshots" | "supports" | "contexts"> = {
    nodes: [],
    snapshots: [],
    supports: [],
    contexts: [],
  };
  readonly #session: Session;
  /** Where supports, by their numbers, and contexts stand that were met before. */
  readonly #met = new Map<number | Context, number>([[NAMELESS, 0]]);
  /** Where tuples stand, by their JSON; those of two tables are never alike. */
  readonly #places = new Map<string, number>();

  constructor(session: Session) {
    this.#session = session;
  }

  /** 0 is for what names nobody, which has no tuple. */
  support(support: number): number {
    const tuple = () => this.#supportTuple(this.#session.supports.at(support));
    return this.#once(support, () => this.#place(this.tables.supports, tuple()) + 1);
  }

  context(context: Context): number {
    return this.#once(context, () => this.#place(this.tables.contexts, contextTuple(context, this.#session.key)));
  }

  base({ totals, floor, evidence }: Base): NonNullable<Entry["base"]> {
    const runs = totals.runs.map(({ canonical, startMs, closedMs, support, url, uid, traceType }): StoredRun => {
      // What a run's events name themselves is only stated while nothing else is known.
      return [startMs, closedMs, this.support(support), canonical === "" ? url : "", packUid(uid), traceType];
    });
    const { requestMs, processedMs, playableMs } = totals;
    const edges = { requestMs: never(requestMs), processedMs: never(processedMs), playableMs: never(playableMs) };
    return { totals: { ...totals, ...edges, runs }, floor, evidence: evidence.toString() };
  }

  #supportTuple({ claim, modelEqual, tie }: Support): Entry["supports"][number] {
    const { level, confidence, reason, snapshotUid, snapshotTimeMs } = claim;
    if (snapshotTimeMs === null) return [level, reason, claim.url];
    const { canonical, url, pipeline, model, gpu, gpuCount } = claim;
    const node = this.#place(this.tables.nodes, [canonical, url, pipeline, model, gpu, gpuCount]);
    const snapshot = this.#place(this.tables.snapshots, [packUid(snapshotUid), snapshotTimeMs]);
    return [level, modelEqual ? 1 : 0, confidence, node, snapshot, tie.toString(36)];
  }

  #once(met: number | Context, place: () => number): number {
    let known = this.#met.get(met);
    if (known === undefined) {
      known = place();
      this.#met.set(met, known);
    }
    return known;
  }

  #place<Item>(items: Item[], item: Item): number {
    const key = JSON.stringify(item);
    let place = this.#places.get(key);
    if (place === undefined) {
      place = items.push(item) - 1;
      this.#places.set(key, place);
    }
    return place;
  }
}

function never(ms: number): number | null {
  return ms === Infinity ? null : ms;
}

function at<Item>(items: readonly Item[], place: number): Item {
  const item = items[place];
  if (item === undefined) throw new RangeError("an entry names a place that it does not have");
  return item;
}

/** A number in base 36 of at most 63 bits. */
function readTie(digits: string): bigint {
  if (!/^[0-9a-z]{1,13}$/.test(digits)) throw new RangeError("a tie-break is a number in base 36");
  const tie = [...digits].reduce((sum, digit) => sum * 36n + BigInt(Number.parseInt(digit, 36)), 0n);
  if (tie >= 1n << 63n) throw new RangeError("a tie-break has 63 bits");
  return tie;
}
