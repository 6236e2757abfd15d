/**
 * The grammar of our subjects and keys.
 *
 *     events.<source>.<type>.<partition>    input; partition is `<k>` for what belongs to a session, else `all`
 *     dlq.<source>.<reason>.<type>          dead letters
 *     dirty.<source>.<minute>               minutes of the rollup to recompute, see minute.ts
 *     <source>.<uid>                        keys of the state buckets
 *
 * A token may hold any text: what NATS does not allow in a subject is escaped, reversibly, byte by byte as
 * `=XX` (UTF-8, upper-case hexadecimal), and a blank field is `=` alone. `=` and `-` are allowed in keys of
 * KV buckets as well, which `%` is not.
 */
import { fnv1a32 } from "./hash.ts";

const SPECIAL = /[^A-Za-z0-9_-]+/g;
const encoder = new TextEncoder();

/** The partition of events that belong to no session: capabilities, discovery, payments and the unknown. */
export const PARTITION_ALL = "all";

/** The partitions of an installation with so many for what belongs to a session; the one of all else first. */
export function partitionNames(count: number): string[] {
  return [PARTITION_ALL, ...Array.from({ length: count }, (_, k) => String(k))];
}

/** Escapes a text into one token. Lone surrogates must not occur: decode refuses them. */
export function encodeToken(text: string): string {
  return text === "" ? "=" : text.replace(SPECIAL, escape);
}

function escape(text: string): string {
  // Session keys have a single `|`, so this is the common case.
  if (text.length === 1 && text < "\x80") return ESCAPED[text.charCodeAt(0)]!;
  let token = "";
  for (const byte of encoder.encode(text)) token += ESCAPED[byte]!;
  return token;
}

/** Each byte escaped; every key of a session has one. */
const ESCAPED = Array.from({ length: 256 }, (_, byte) => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`);

/** Reads a token back; a token that `encodeToken` never writes stands for itself. */
export function decodeToken(token: string): string {
  if (token === "=") return "";
  if (!token.includes("=")) return token;
  try {
    const text = decodeURIComponent(token.replaceAll("=", "%"));
    return encodeToken(text) === token ? text : token;
  } catch {
    return token; // Not UTF-8: a foreign publisher's own use of `=`.
  }
}

/** The partition of a session: nats-server's `partition()` over the encoded session key. */
export function partitionOf(sessionKey: string, partitions: number): string {
  return String(fnv1a32(encodeToken(sessionKey)) % partitions);
}

/** The subject an event is published on. */
export function eventSubject(source: string, type: string, partition: string): string {
  return `events.${encodeToken(source)}.${encodeToken(type)}.${partition}`;
}

/** The longest token of a source, as we write it: keys and subjects have more to hold, and NATS bounds them. */
const LONGEST_SOURCE = 1_024;

/** So many characters are no longer even where each becomes three bytes of three characters. */
const SURELY_SHORT = Math.floor(LONGEST_SOURCE / 9);

/** The source named by a subject of the event stream; an odd subject, or a longer name, gives the blank source. */
export function sourceOf(subject: string): string {
  const from = subject.indexOf(".") + 1;
  const to = subject.indexOf(".", from);
  const token = from === 0 ? "" : to < 0 ? subject.slice(from) : subject.slice(from, to);
  const source = decodeToken(token);
  // A foreign publisher's own token may be longer in ours.
  return token.length <= SURELY_SHORT || encodeToken(source).length <= LONGEST_SOURCE ? source : "";
}

/** The type named by a subject of the event stream. */
export function typeOf(subject: string): string {
  return decodeToken(subject.split(".")[2] ?? "");
}

/** The subject a dead letter is published on. */
export function deadLetterSubject(source: string, reason: string, type: string): string {
  return `dlq.${encodeToken(source)}.${encodeToken(reason)}.${encodeToken(type)}`;
}

/** The key of an entry that belongs to one event or snapshot of a source. */
export function stateKey(source: string, uid: string): string {
  return `${encodeToken(source)}.${encodeToken(uid)}`;
}
