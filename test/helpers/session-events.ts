/**
 * The events of a session in one line each, for tests that are about their order: kind, time, and what else matters.
 *
 * An event that is given no id is named after its kind and time, so that tests can find its row.
 */
import * as wire from "./events.ts";
import { NO_HINT, node, type SessionFields, snapshot, TRACE, URL, type Wire } from "./events.ts";

/** The model that every node of these tests runs. */
export const SD = "streamdiffusion-sdxl";

/** The pipeline that it implies, and that these nodes advertise. */
export const LIVE = NO_HINT;

/** How events name node A and node B. */
export const A = { wallet: "0xhot", url: URL };
export const B = { wallet: "0xhot-b", url: "https://node-b:8935" };

/** Two nodes, each with a wallet, a canonical address and a GPU of its own. */
export const NODE_A = node("0xca", SD, ["GPU-a"]);
export const NODE_B = node("0xcb", SD, ["GPU-b"], { hot: B.wallet, url: B.url });

/** Both nodes are known from here on. */
export const KNOWN_AT = 500;
export const KNOWN = snapshot(KNOWN_AT, NODE_A, NODE_B);

/** What is left to say of an event once its time is. */
type Rest<Fields> = Omit<Fields, "at" | "type" | "ownTime" | "message">;

export interface EdgeFields extends Rest<wire.TraceFields> {
  /** When its envelope was sent, if that is not when the edge happened. */
  readonly sentAt?: number;
}

/** A lifecycle edge that happened at this time. */
export function trace(type: string, at: number, { sentAt, ...fields }: EdgeFields = {}): Wire {
  return wire.trace({ id: `${type}@${at}`, ...fields, type, at: sentAt ?? at, ownTime: at });
}

type Edge = (at: number, fields?: EdgeFields) => Wire;
const edge = (type: string): Edge => (at, fields) => trace(type, at, fields);

export const request = edge(TRACE.request);
export const sent = edge(TRACE.ingest);
export const processed = edge(TRACE.processed);
export const playable = edge(TRACE.playable);
export const noOrchestrator = edge(TRACE.noOrchestrators);
export const swap = edge(TRACE.swap);
export const close = edge(TRACE.close);

/** A status sample; a model is hinted at only when one is given. */
export function sample(at: number, fields: Rest<wire.StatusFields> = {}): Wire {
  return wire.status({ id: `sample@${at}`, ...fields, at });
}

/** What a gateway says of a stream: `error`, `params_update` or any other kind. */
export function streamEvent(type: string, at: number, message = "", fields: Rest<wire.StreamEventFields> = {}): Wire {
  return wire.streamEvent({ id: `${type}@${at}`, ...fields, type, at, message });
}

export const error = (at: number, message: string, fields?: Rest<SessionFields>): Wire =>
  streamEvent("error", at, message, fields);

/** Transport figures of a stream. */
export function ingest(at: number, fields: Rest<wire.IngestFields> = {}): Wire {
  return wire.ingest({ id: `ingest@${at}`, ...fields, at });
}
