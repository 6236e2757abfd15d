/**
 * Who an event is and which session it belongs to; every identity has its source beside it.
 *
 * The uid of an event is its id joined with a hash of its decoded, normalised record, so that two encodings
 * of one event are one event, and one id with two contents is two events. Rejected: the id alone (ids are
 * reused by faulty publishers, and the second content would vanish) and the bytes (a replayed export differs
 * in key order and in the type of its timestamp).
 */
import { hash64OfValue } from "./hash.ts";

const MISSING_STREAM = "_missing_stream";
const MISSING_REQUEST = "_missing_request";
const MISSING_EVENT = "_missing_event";

/** An event within its installation. */
export interface Identity {
  readonly source: string;
  readonly uid: string;
}

/** One text for an event, to look it up by. */
export function identityKey({ source, uid }: Identity): string {
  return `${source}\n${uid}`;
}

/** The uid of an event with this id (blank when it has none) and this hash of its content. */
export function uidOf(id: string, contentHash: string): string {
  // Joined it is one text; a template's would go on holding its parts, half as much again, as long as it is kept.
  return id === "" ? contentHash : [id, contentHash].join("~");
}

/** The id in a uid, blank for an event that has none; a hash holds no `~`. */
export function idOf(uid: string): string {
  return uid.slice(0, Math.max(0, uid.lastIndexOf("~")));
}

/**
 * The hash of a decoded event. What is hashed begins with the type, which fixes the keys of the payload and their
 * order (event.ts), so values alone tell two events apart.
 */
export function contentHashOf(type: string, timestampMs: number, gateway: string, payload: unknown): string {
  return hash64OfValue([type, timestampMs, gateway, payload]);
}

/**
 * The session key of an event: both ids trimmed, case kept, a missing one by name. With neither id the event
 * is a session of its own, named by its event id.
 */
export function sessionKeyOf(streamId: string, requestId: string, eventId: string): string {
  const stream = streamId.trim();
  const request = requestId.trim();
  if (stream === "" && request === "") {
    return `${MISSING_STREAM}|${MISSING_REQUEST}|${eventId.trim() || MISSING_EVENT}`;
  }
  return `${stream || MISSING_STREAM}|${request || MISSING_REQUEST}`;
}
