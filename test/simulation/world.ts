/**
 * Small worlds: some nodes that share wallets, urls and models, what gateways say of them, and what publishers make of
 * that: duplicates in other encodings, ids used twice, messages that nobody can read. Some are about samples, some about
 * sessions, some about both. Everything lies on a coarse grid of time, so that equal instants, equal distances and the
 * bounds of the TTL are common.
 */
import { TRACE_TYPES } from "../../src/core/noise.ts";
import { routeOf } from "../../src/core/route.ts";
import { eventSubject } from "../../src/core/subject.ts";
import {
  bytesOf,
  capabilities,
  ENCODINGS,
  NO_HINT,
  type NodeFields,
  status,
  uuidOf,
  type Wire,
} from "../helpers/events.ts";
import { BASE_MS, GRID_MS, LAST_SLOT, sessionWires, SPAN_MS } from "../helpers/session-traffic.ts";
import { discoveryWire, ingestWire, paymentWire, streamEventWire, traceWire } from "../helpers/wire.ts";

/** A message to be published. */
export interface Message {
  readonly source: string;
  /** The event's time, in milliseconds of the grid; that of a message without one is 0. */
  readonly timeMs: number;
  readonly isSnapshot: boolean;
  readonly bytes: Uint8Array;
}

export interface World {
  /** In the order in which they are published. */
  readonly messages: readonly Message[];
  readonly ttl: { readonly beforeMs: number; readonly afterMs: number };
  /**
   * Where it is less than the span of all events, no snapshot may be published before those are stored that are older
   * by more than it.
   */
  readonly allowedLatenessMs: number;
  readonly partitions: number;
  readonly processes: number;
  readonly batchRows: number;
  readonly lingerMs: number;
  readonly mostSeen: number;
  readonly mostSessions: number;
  readonly sessionLagMs: number;
}

const encoder = new TextEncoder();

/** The world of a generator of numbers in [0, 1). */
export function worldOf(random: () => number): World {
  const below = (bound: number) => Math.floor(random() * bound);
  const one = <Item>(...items: readonly Item[]): Item => items[below(items.length)]!;
  const many = <Item>(least: number, most: number, make: () => Item): Item[] =>
    Array.from({ length: least + below(most - least + 1) }, make);

  const at = () => BASE_MS + below(LAST_SLOT + 1) * GRID_MS;
  const source = () => one("s1", "s1", "s1", "s1", "s1", "s1", "s2");
  const id = () => one(uuidOf(1), uuidOf(2), uuidOf(3), uuidOf(4), uuidOf(5), "e6", "");
  const model = () => one("m-one", "M-One", "m-one", "m-two", "streamdiffusion-sdxl", "pip_SDXL-turbo", "noop");
  const request = () => one("r1", "r2", "r3", "r4");
  const hot = () => one("0xhot", "0xHOT", "0xhot", "0xother", "0xca", "");

  const hardware = () => ({
    model: one(model(), model(), model(), ""),
    pipeline: one(NO_HINT, NO_HINT, "text-to-image", "noop", ""),
    gpus: ["GPU-3", "GPU-1", "GPU-2"].filter(() => random() < 0.5),
  });
  const node = (): NodeFields => ({
    canonical: one("0xca", "0xca", " 0xCA ", "0xca", "0xcb", ""),
    hot: hot(),
    url: one("https://a", "https://A/", "https://a", "https://b", ""),
    ...random() < 0.75 ? { hardware: many(1, 2, hardware) } : { advertises: [...new Set(many(0, 2, model))] },
  });
  const snapshot = () => capabilities({ at: at(), id: id(), source: source(), nodes: many(1, 3, node) });
  const sample = () =>
    status({
      at: at(),
      id: id(),
      source: source(),
      wallet: one("0xhot", "0xHot", "0xhot", "0xca", "0xcb", "0xnobody", ""),
      url: one("https://a", "https://a/", "https://a", "https://b", "https://nowhere", "", "", ""),
      model: one(model(), model(), NO_HINT, "m-none"),
      request: request(),
    });
  const other = (): Wire => {
    const session = { stream_id: "stream-1", request_id: request() };
    const timestamp = at();
    const envelope = { id: id(), timestamp };
    const info = { address: hot(), url: one("https://a", "https://b", "") };
    const made = [
      () => traceWire({ ...session, timestamp, type: one(...TRACE_TYPES), orchestrator_info: info }, envelope),
      () => streamEventWire(session, envelope),
      () => ingestWire({ ...session, timestamp }, envelope),
      () => discoveryWire([{ address: "0xhot", latency_ms: "7", url: "https://a" }], envelope),
      () => paymentWire({}, envelope),
    ];
    return { source: source(), envelope: one(made[0]!, ...made)() as unknown as Wire["envelope"] };
  };
  /** What is refused, or of no known type. */
  const odd = (): Message => {
    const content = one(
      `{"id":"${id()}","type":`,
      JSON.stringify({ id: id(), type: "no_such_type", timestamp: at(), gateway: "g", data: {} }),
      JSON.stringify({ id: id(), type: "ai_stream_status", timestamp: "soon", gateway: "g", data: {} }),
      JSON.stringify({ ...sample().envelope, timestamp: 5_000_000_000_000 }),
      "null",
    );
    return { source: source(), timeMs: 0, isSnapshot: false, bytes: encoder.encode(content) };
  };

  const ofSamples = () => [...many(2, 7, snapshot), ...many(4, 12, sample), ...many(0, 4, other)];
  const ofSessions = () => sessionWires(below(2 ** 31));
  const ofBoth = () => [...many(0, 3, snapshot), ...ofSessions(), ...many(0, 4, sample), ...many(0, 4, other)];
  const wires = one(ofSamples, ofSessions, ofBoth)();
  const copies = wires.flatMap((wire) => many(1, random() < 0.25 ? 3 : 1, () => messageOf(wire, below(ENCODINGS))));
  const isBounded = random() < 0.4;
  const allowedLatenessMs = isBounded ? below(4) * GRID_MS : SPAN_MS;
  const span = () => one(0, 1, 2, 3, 5, LAST_SLOT, LAST_SLOT) * GRID_MS;
  // A snapshot comes later than its time by at most the lateness; everything else comes whenever it likes.
  const placed = [...copies, ...many(0, 3, odd)].map((message) => ({
    message,
    place: message.isSnapshot && isBounded ? message.timeMs + random() * allowedLatenessMs : random() * SPAN_MS,
  }));
  return {
    messages: placed.sort((a, b) => a.place - b.place).map(({ message }) => message),
    ttl: { beforeMs: span(), afterMs: span() },
    allowedLatenessMs,
    partitions: 1 + below(4),
    processes: one(1, 1, 2, 2, 3),
    batchRows: one(1, 2, 3, 5, 100),
    lingerMs: one(20, 100, 100, 400),
    mostSeen: one(4, 1_000),
    mostSessions: one(1, 2, 5, Infinity),
    sessionLagMs: one(0, 0, 300, 3_000, 60_000),
  };
}

/** The subject that a publisher chooses. */
export function subjectOf({ source, bytes }: Message, partitions: number): string {
  const { type, partition } = routeOf(bytes, partitions);
  return eventSubject(source, type, partition);
}

function messageOf(wire: Wire, encoding: number): Message {
  return {
    source: wire.source,
    timeMs: Number(wire.envelope.timestamp) - BASE_MS,
    isSnapshot: wire.envelope.type === "network_capabilities",
    bytes: bytesOf(wire.envelope, encoding),
  };
}
