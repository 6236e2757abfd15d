/**
 * The events of a topic, in the order of their times and without end: types in the shares that were counted there,
 * status samples of each session ten seconds apart, sessions that begin, go wrong and end. What is held is the network
 * and the sessions that are alive, however many events are taken.
 */
import { MinHeap } from "../core/heap.ts";
import { Draw } from "./draw.ts";
import { networkOf, type Node } from "./network.ts";
import { type Mark, type Session, sessionOf } from "./session.ts";
import { interleaved, shareOf, type Topic } from "./topics.ts";
import {
  capabilitiesData,
  discoveryData,
  type Envelope,
  envelope,
  ingestData,
  noiseData,
  paymentData,
  statusData,
  streamEventData,
  traceData,
} from "./wire.ts";

const STATUS_EVERY_MS = 10_000;
const INGEST_EVERY_MS = 5_000;

/** Entries of a capability message at most; gateways list parts of a network. */
const LISTED = 50;

/** Of the sessions that are alive at the start. */
const LONGEST_AGE_MS = 120_000;

const GATEWAYS = ["gw-fra", "gw-sea", "gw-sin"];

export interface TrafficOptions {
  readonly topic: Topic;
  readonly seed: number;
  readonly nodes: number;
  /** How many are alive at once. */
  readonly sessions: number;
  readonly startMs: number;
}

/** An event of the topic. */
export interface Event {
  readonly atMs: number;
  readonly envelope: Envelope;
}

/** How much later each event is than the one before, in milliseconds: what keeps the samples ten seconds apart. */
export function stepOf(topic: Topic, sessions: number): number {
  return STATUS_EVERY_MS * shareOf(topic, "ai_stream_status") / sessions;
}

/** The events, in order. The same options make the same events. */
export function* trafficOf(options: TrafficOptions): Generator<Event> {
  const traffic = new Traffic(options);
  const step = stepOf(options.topic, options.sessions);
  let count = 0;
  for (const [type] of interleaved(options.topic.mix)) {
    const atMs = Math.round(options.startMs + count++ * step);
    yield { atMs, envelope: traffic.next(type, atMs) };
  }
}

class Traffic {
  readonly #topic: Topic;
  readonly #draw: Draw;
  readonly #nodes: readonly Node[];
  /** Those that serve sessions. */
  readonly #serving: readonly Node[];
  readonly #sender: string;
  /** Those that are alive, each in a place of its own; what the place is for stays when the session changes. */
  readonly #sessions: Session[];
  /** Marks that are still to be left, by their instants. */
  readonly #marks = new MinHeap<{ readonly session: Session; readonly mark: Mark }>();
  /** How many sessions send ingest metrics: those of browsers. */
  readonly #browsers: number;
  readonly #turns = new Map<string, number>();

  constructor({ topic, seed, nodes, sessions, startMs }: TrafficOptions) {
    this.#topic = topic;
    this.#draw = new Draw(seed, 1);
    this.#nodes = networkOf(this.#draw, nodes);
    this.#serving = this.#nodes.filter(({ gpus }) => gpus.length > 0);
    this.#sender = `0x${this.#draw.hex(40)}`;
    const perSample = shareOf(topic, "stream_ingest_metrics") / shareOf(topic, "ai_stream_status");
    const perSession = perSample * INGEST_EVERY_MS / STATUS_EVERY_MS;
    this.#browsers = Math.max(1, Math.round(sessions * perSession));
    // Under way already: if all of them began at once, they would go on in step.
    this.#sessions = Array.from({ length: sessions }, () => {
      return this.#begin(Math.floor(startMs - this.#draw.between(0, LONGEST_AGE_MS)), startMs);
    });
  }

  next(type: string, atMs: number): Envelope {
    const draw = this.#draw;
    if (type === "network_capabilities") {
      const from = this.#turn(type, Math.ceil(this.#nodes.length / LISTED)) * LISTED;
      const data = capabilitiesData(this.#nodes.slice(from, from + LISTED));
      return envelope(draw, type, atMs, draw.pick(GATEWAYS), data);
    }
    if (type === "discovery_results") {
      const found = Array.from({ length: 1 + draw.below(2) }, () => draw.pick(this.#serving));
      return envelope(draw, type, atMs, draw.pick(GATEWAYS), discoveryData(draw, found));
    }
    if (type === "stream_trace") return this.#trace(atMs);
    const among = type === "stream_ingest_metrics" ? this.#browsers : this.#sessions.length;
    const place = this.#turn(type, among);
    let session = this.#at(place, atMs);
    // What nobody serves leaves marks, and is over at once.
    while (session.nodes.length === 0) session = this.#sessions[place] = this.#begin(atMs);
    const { gateway } = session;
    switch (type) {
      case "ai_stream_status":
        return envelope(draw, type, atMs, gateway, statusData(draw, session, atMs));
      case "stream_ingest_metrics":
        return envelope(draw, type, atMs, gateway, ingestData(draw, session, atMs));
      case "ai_stream_events":
        return envelope(draw, type, atMs, gateway, streamEventData(draw, session, atMs));
      case "create_new_payment": {
        const data = paymentData(draw, session, atMs, this.#sender);
        session.payments++;
        return envelope(draw, type, atMs, gateway, data);
      }
      default:
        return envelope(draw, type, atMs, gateway, noiseData(draw, session, atMs));
    }
  }

  /** The mark that is due the longest; the client's own traces, which are noise, where none is due. */
  #trace(atMs: number): Envelope {
    const draw = this.#draw;
    if (this.#marks.least > atMs) {
      const session = this.#at(this.#turn("app", this.#sessions.length), atMs);
      const data = traceData(session, atMs, "app_send_stream_request", false);
      return envelope(draw, "stream_trace", atMs, session.gateway, data);
    }
    const { session, mark } = this.#marks.pop()!;
    return envelope(
      draw,
      "stream_trace",
      atMs,
      session.gateway,
      traceData(session, mark.atMs, mark.type, mark.isNamed),
    );
  }

  #turn(of: string, among: number): number {
    const turn = this.#turns.get(of) ?? 0;
    this.#turns.set(of, turn + 1);
    return turn % among;
  }

  /** The session in a place; where it has ended by then, the next one that begins there. */
  #at(place: number, atMs: number): Session {
    const session = this.#sessions[place]!;
    return session.endMs >= atMs ? session : this.#sessions[place] = this.#begin(atMs);
  }

  /** A session that begins then, and leaves its marks from an instant on. */
  #begin(atMs: number, fromMs = atMs): Session {
    const session = sessionOf(this.#draw, this.#topic, atMs, this.#draw.pick(GATEWAYS), this.#serving);
    for (const mark of session.marks) if (mark.atMs >= fromMs) this.#marks.push(mark.atMs, { session, mark });
    return session;
  }
}
