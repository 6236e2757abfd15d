/**
 * EMIT: events and claims become rows. A row is a function of its arguments: no clock, no counter.
 *
 * Each table has its columns spelled out once, in the order of its migration; inserts name them all.
 * Instants are whole milliseconds, which ClickHouse reads into `DateTime64(3)`; 128-bit versions are decimal
 * text, for a JSON number would lose digits.
 */
import { capabilityOf, CATALOGUE_VERSION } from "./catalogue.ts";
import type { Decoded, Rejection } from "./decode.ts";
import type { CapabilitiesEvent, StoredMessage } from "./event.ts";
import { evidenceOf, versionOf } from "./evidence.ts";
import type { FactTable } from "./facts.ts";
import { sessionKeyOf } from "./identity.ts";
import type { Sample } from "./sample.ts";
import type { Claim, Selection } from "./select.ts";
import { itemsOf } from "./snapshot.ts";

/** Bytes stand for text that is kept as it came. */
export type Cell = string | number | null | Uint8Array;
export type Row = Readonly<Record<string, Cell>>;

/** The tables that the processor writes. */
export type Table =
  | "raw_streaming_events"
  | "raw_streaming_events_dlq"
  | "raw_unknown_events"
  | "dim_orchestrator_capability_snapshots"
  | FactTable;

/** The fact row of a status sample on the evidence at hand. */
export function statusRow(sample: Sample, claim: Claim, selection: Selection, generation: number): Row {
  return {
    source: sample.source,
    source_event_uid: sample.uid,
    source_event_id: sample.id,
    sample_ts: sample.eventTimeMs,
    workflow_session_id: sessionKeyOf(sample.streamId, sample.requestId, sample.id),
    stream_id: sample.streamId,
    request_id: sample.requestId,
    gateway: sample.gateway,
    orchestrator_address: claim.canonical,
    orchestrator_url: claim.url,
    pipeline: claim.pipeline,
    model_id: claim.model,
    gpu_id: claim.gpu,
    gpu_count: claim.gpuCount,
    region: null,
    state: sample.state,
    output_fps: sample.outputFps,
    input_fps: sample.inputFps,
    is_attributed: claim.reason === "" ? 1 : 0,
    unattributed_reason: claim.reason,
    gpu_attribution_method: claim.method,
    gpu_attribution_confidence: claim.confidence,
    evidence_level: claim.level,
    selected_snapshot_uid: claim.snapshotUid,
    selected_snapshot_ts: claim.snapshotTimeMs,
    version: versionOf(generation, evidenceOf(selection)).toString(),
    is_deleted: 0,
  };
}

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

/** The rows of `dim_orchestrator_capability_snapshots` that one capability message gives. */
export function snapshotRows({ head, payload }: CapabilitiesEvent): Row[] {
  const rows = new Map<string, Row>();
  for (const { entry, pipeline, model, gpu, capabilityId, constraint } of payload.entries.flatMap(itemsOf)) {
    const capability = capabilityOf(capabilityId);
    const row: Row = {
      source: head.source,
      source_event_uid: head.uid,
      source_event_id: head.id,
      snapshot_ts: head.eventTimeMs,
      orchestrator_address: entry.address,
      orchestrator_proxy_address: entry.localAddress,
      orchestrator_url: entry.url,
      pipeline,
      model_id: model,
      capability_id: capabilityId,
      capability_name: capability.name,
      capability_group: capability.group,
      capability_catalog_version: CATALOGUE_VERSION,
      gpu_id: gpu?.id ?? null,
      gpu_name: gpu?.name || null,
      gpu_memory_total: gpu?.memoryTotal ?? null,
      gpu_major: gpu?.major ?? null,
      gpu_minor: gpu?.minor ?? null,
      runner_version: constraint?.runnerVersion || null,
      region: null,
    };
    // Two elements that differ in nothing a row states are one row, as two entries are that are equal.
    const key = [entry.address, entry.localAddress, entry.url, pipeline, model, capabilityId, row.gpu_id];
    rows.set(JSON.stringify(key), row);
  }
  return [...rows.values()];
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
