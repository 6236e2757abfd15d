/** The raw layer: what arrived, byte for byte, and what became of it. */
import type { Decoded, Rejection } from "../decode.ts";
import type { StoredMessage } from "../event.ts";
import type { Row } from "./row.ts";

/** What became of a stored message. */
export type Outcome = "accepted" | "rejected" | "ignored" | "duplicate";

/**
 * The archive row of a stored message: its bytes and its outcome. A duplicate is known by what the reader
 * remembers; one who remembers less calls the same message accepted, so `duplicate` is the greater version.
 */
export function archiveRow(message: StoredMessage, decoded: Decoded, outcome: Outcome): Row {
  const { envelope } = decoded;
  const reason = decoded.outcome === "rejected"
    ? decoded.rejection.reason
    : decoded.outcome === "ignored"
    ? decoded.reason
    : "";
  const [payload, encoding] = payloadOf(message.bytes, decoded);
  return {
    source: envelope.source,
    uid: envelope.uid,
    stream_sequence: message.streamSequence,
    subject: message.subject,
    stream_ts: message.streamTimeMs,
    id: envelope.id,
    type: envelope.type,
    timestamp: envelope.timestampMs ?? 0,
    gateway: envelope.gateway,
    outcome,
    reason,
    payload,
    payload_encoding: encoding,
    version: outcome === "duplicate" ? 1 : 0,
  };
}

/** The dead-letter row of a refused message, in the columns of the upstream contract. */
export function deadLetterRow(message: StoredMessage, decoded: Decoded & { outcome: "rejected" }): Row {
  const { envelope, rejection } = decoded;
  const [payload, encoding] = payloadOf(message.bytes, decoded);
  return {
    schema_version: "v1",
    source: envelope.source,
    source_topic: message.subject,
    source_partition: 0,
    source_offset: message.streamSequence,
    source_record_timestamp: message.streamTimeMs,
    event_uid: envelope.uid,
    event_id: envelope.id,
    event_type: envelope.type,
    event_version: null,
    event_timestamp: envelope.timestampMs,
    dedup_key: envelope.uid,
    dedup_strategy: envelope.id === "" ? "payload_hash" : "event_id",
    replay: 0,
    failure_stage: rejection.stage,
    failure_class: rejection.failureClass,
    failure_reason: rejection.reason,
    failure_details: rejection.details,
    payload_encoding: encoding,
    payload_body: payload,
  };
}

/** The row of a well-formed event of a type on no list. */
export function unknownRow(message: StoredMessage, decoded: Decoded): Row {
  const [payload] = payloadOf(message.bytes, decoded);
  return {
    source: decoded.envelope.source,
    raw_event_uid: decoded.envelope.uid,
    event_type: decoded.envelope.type,
    ingest_timestamp: message.streamTimeMs,
    source_topic: message.subject,
    raw_json: payload,
  };
}

/** The bytes as they came, or in base64 when they were not JSON, as the upstream contract has it. */
function payloadOf(bytes: Uint8Array, decoded: Decoded): [payload: string | Uint8Array, encoding: "json" | "base64"] {
  const isJson = decoded.outcome !== "rejected" || !isBinary(decoded.rejection);
  return isJson ? [bytes, "json"] : [base64(bytes), "base64"];
}

function isBinary({ reason }: Rejection): boolean {
  return reason === "json_parse_error" || reason === "null_payload" || reason === "record_too_large";
}

function base64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 4_095) {
    parts.push(btoa(String.fromCharCode(...bytes.subarray(at, at + 4_095))));
  }
  return parts.join("");
}
