/** What a stored message must have left in the tables; small, so that a page of them costs little memory. */
import type { StoredMessage, TelemetryEvent } from "../core/event.ts";
import { sessionKeyOf } from "../core/identity.ts";
import { judge } from "../core/judge.ts";
import { sampleOf } from "../core/observed.ts";

export interface Expected {
  readonly streamSequence: number;
  readonly streamTimeMs: number;
  readonly partition: string;
  readonly source: string;
  readonly uid: string;
  readonly outcome: "accepted" | "rejected" | "ignored";
  /** Of a type on no list: it has a row of its own. */
  readonly isUnknown: boolean;
  /** Where the fact of a status sample lies. */
  readonly fact: { readonly sessionId: string; readonly sampleTimeMs: number } | undefined;
}

/** Judges a message as the processor does. */
export function expectedOf(message: StoredMessage): Expected {
  const { streamSequence, streamTimeMs, subject } = message;
  const { decoded } = judge(message);
  const { source, uid } = decoded.envelope;
  return {
    streamSequence,
    streamTimeMs,
    partition: subject.slice(subject.lastIndexOf(".") + 1),
    source,
    uid,
    outcome: decoded.outcome,
    isUnknown: decoded.outcome === "ignored" && decoded.unknownType,
    fact: decoded.outcome === "accepted" ? factOf(decoded.event) : undefined,
  };
}

function factOf(event: TelemetryEvent): Expected["fact"] {
  if (event.type !== "ai_stream_status") return undefined;
  const { streamId, requestId, id, eventTimeMs } = sampleOf(event);
  return { sessionId: sessionKeyOf(streamId, requestId, id), sampleTimeMs: eventTimeMs };
}
