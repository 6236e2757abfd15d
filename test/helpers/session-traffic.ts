/**
 * Small worlds of sessions out of a seed: one to three sessions over a few nodes that share wallets, their signals of
 * every kind at times that are often equal, snapshots before, between and after them, and the faults of real
 * publishers: missing ids, one id with two contents, an event sent again in another encoding, clocks that disagree.
 *
 * Instants lie on a coarse grid within `SPAN_MS` after `BASE_MS`, so that equal times, equal distances and the ends
 * of a TTL are common.
 */
import { seeded } from "../../src/runtime/shuffle.ts";
import {
  capabilities,
  ingest,
  MISSING,
  NO_HINT,
  type NodeFields,
  type SessionFields,
  status,
  streamEvent,
  TRACE,
  trace,
  uuidOf,
  type Wire,
} from "./events.ts";

export const BASE_MS = Date.UTC(2026, 0, 1);
export const GRID_MS = 1_000;
export const LAST_SLOT = 8;
export const SPAN_MS = LAST_SLOT * GRID_MS;

/** Nodes of four orchestrators: two nodes of one, a hot wallet that two share, one node that names neither. */
const NODES: readonly NodeFields[] = [
  { canonical: "0xca", hot: "0xhot", url: "https://a" },
  { canonical: " 0xCA ", hot: "0xHOT", url: "https://a2/" },
  { canonical: "0xcb", hot: "0xhot", url: "https://b" },
  { canonical: "0xcc", hot: "0xother", url: "https://c" },
  { canonical: "0xcd" },
];

const MODELS = ["m-one", "M-One", "m-two", "streamdiffusion-sdxl", "pip_SDXL-turbo", "noop"];
const MESSAGES = ["", "boom", "CUDA error 901", "WHIP disconnected", "missing video", "No orchestrators available"];

/** Choices out of a generator of numbers in [0, 1). */
class Draw {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** A whole number from 0 up to and without `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<Item>(...items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  list<Item>(least: number, most: number, item: (at: number) => Item): Item[] {
    return Array.from({ length: least + this.below(most - least + 1) }, (_, at) => item(at));
  }

  /** An instant of the grid. */
  instant(): number {
    return BASE_MS + this.below(LAST_SLOT + 1) * GRID_MS;
  }
}

/** The messages of the world that belongs to a seed, in no particular order. */
export function sessionWires(seed: number): Wire[] {
  const draw = new Draw(seeded(seed));
  const nodes = NODES.map((node) => ({ ...node, ...offerOf(draw) }));
  const snapshots = draw.list(1, 4, () => snapshotOf(draw, nodes));
  const sessions = draw.list(1, 3, () => sessionOf(draw, nodes)).flat();
  const wires = [...snapshots, ...sessions];
  return [...wires, ...wires.filter(() => draw.chance(0.1)).map(sentAgain)];
}

function sourceOf(draw: Draw): string {
  return draw.chance(0.1) ? "s2" : "s1";
}

/** What a node runs: one model or two, with and without GPUs, or models that it only advertises. */
function offerOf(draw: Draw): Pick<NodeFields, "hardware" | "advertises"> {
  if (draw.chance(0.15)) return { advertises: draw.list(0, 2, () => draw.pick(...MODELS)) };
  const hardware = draw.list(1, 2, () => ({
    model: draw.pick(...MODELS, ""),
    pipeline: draw.pick(NO_HINT, NO_HINT, NO_HINT, "text-to-image", ""),
    gpus: draw.list(0, 2, () => draw.pick("GPU-1", "GPU-2", "GPU-3", "")),
  }));
  return { hardware };
}

function snapshotOf(draw: Draw, nodes: readonly NodeFields[]): Wire {
  const seen = nodes.filter(() => draw.chance(0.7)).map((one) => draw.chance(0.2) ? { ...one, ...offerOf(draw) } : one);
  return capabilities({
    at: draw.instant(),
    id: draw.pick("c1", "c2", "c3", ""),
    source: sourceOf(draw),
    nodes: seen.length > 0 ? seen : nodes.slice(0, 1),
  });
}

/** The signals and ingest metrics of one session, served by at most three of the nodes. */
function sessionOf(draw: Draw, nodes: readonly NodeFields[]): Wire[] {
  const ids = {
    source: sourceOf(draw),
    stream: draw.pick("stream-1", "stream-1", " stream-1", "stream-2", MISSING),
    request: draw.pick("request-1", "request-1", "request-2", MISSING),
  };
  const serving = draw.list(1, 3, () => draw.pick(...nodes));
  // With neither id only its event id says which session an event belongs to.
  const only = ids.stream === MISSING && ids.request === MISSING ? draw.pick("e1", "e2") : undefined;
  return draw.list(1, 12, (at) => {
    const id = only ?? draw.pick(uuidOf(1), uuidOf(2), "e3", uuidOf(at), uuidOf(at), `${at}`);
    const gateway = draw.pick("gateway-1", "gateway-1", "gateway-2", "", " ");
    return eventOf(draw, { ...ids, id, gateway, at: draw.instant() }, serving);
  });
}

function eventOf(draw: Draw, head: SessionFields & { at: number }, serving: readonly NodeFields[]): Wire {
  switch (draw.pick("edge", "edge", "edge", "edge", "status", "status", "status", "event", "event", "ingest")) {
    case "edge":
      return edgeOf(draw, head, serving);
    case "status":
      return statusOf(draw, head, draw.pick(...serving));
    case "event":
      return streamEvent({
        ...head,
        ...(draw.chance(0.1) ? { id: "" } : {}),
        type: draw.pick("error", "error", " Error", "params_update", "params_update", "Params_Update ", "other"),
        message: draw.pick(...MESSAGES),
        model: draw.pick(NO_HINT, ...MODELS),
      });
    case "ingest":
      return ingest({ ...head, videoJitter: draw.pick(0, 10.5), received: draw.below(1_000), sent: draw.below(1_000) });
  }
}

/** Who an event says served it: the node by url and wallet, by less than these, or somebody whom nobody knows. */
function namesOf(draw: Draw, { canonical, hot, url }: NodeFields): { wallet: string; url: string } {
  return {
    wallet: draw.chance(0.7) ? hot ?? canonical : draw.pick(canonical, "0xnobody", ""),
    url: draw.chance(0.75) ? url ?? "" : draw.pick("https://nowhere", "", ""),
  };
}

function edgeOf(draw: Draw, head: SessionFields & { at: number }, serving: readonly NodeFields[]): Wire {
  const kinds = Object.keys(TRACE) as (keyof typeof TRACE)[];
  const kind = draw.pick(...kinds, "request", "processed", "playable", "close", "close");
  const isNameless = draw.chance(["request", "noOrchestrators", "close"].includes(kind) ? 0.9 : 0.2);
  // A swap names the orchestrator that is left; marks of a runner carry the time of its clock.
  const node = kind === "swap" ? serving[0]! : draw.pick(...serving);
  const skewMs = kind.startsWith("runner") ? draw.pick(-3 * GRID_MS, 80, GRID_MS) : draw.pick(-2, 0);
  return trace({
    ...head,
    type: TRACE[kind],
    ...(isNameless ? {} : namesOf(draw, node)),
    ...(kind === "swap" || draw.chance(0.5) ? {} : { ownTime: draw.pick(0, head.at, head.at + skewMs) }),
    ...(kind === "swap" ? { message: "orchestrator is slow" } : {}),
  });
}

function statusOf(draw: Draw, head: SessionFields & { at: number }, node: NodeFields): Wire {
  const { at } = head;
  const models = (node.hardware ?? []).map(({ model }) => model).filter((model) => model !== "");
  const longAgo = BASE_MS - 60_000;
  const time = () => draw.pick(null, 0, longAgo, at - GRID_MS, at);
  return status({
    ...head,
    ...(draw.chance(0.1) ? { id: "" } : {}),
    ...namesOf(draw, node),
    model: draw.chance(0.8) ? draw.pick(NO_HINT, ...models) : draw.pick("m-two", "m-none", "pip_SDXL-turbo"),
    fps: draw.pick(0, 0, 17.5),
    state: draw.pick("ONLINE", "ONLINE", "LOADING", " loading", "DEGRADED_INPUT", "DEGRADED_INFERENCE", ""),
    startTime: draw.pick(time(), at + GRID_MS, Date.UTC(1999, 11, 31)),
    lastError: draw.pick(null, "", " ", "null", "boom", "boom"),
    lastErrorTime: time(),
    restarts: draw.pick(0, 3),
    lastRestartTime: time(),
  });
}

/** The same event once more, its time as text. */
function sentAgain({ source, envelope }: Wire): Wire {
  return { source, envelope: { ...envelope, timestamp: String(envelope.timestamp) } };
}
