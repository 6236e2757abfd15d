/**
 * The typed layer: every accepted event as rows of its type's table. Nothing is looked up: a row says what its event
 * says, and where the decoder fills in for what is missing, the same.
 */
import type {
  DiscoveryEvent,
  IngestEvent,
  PaymentEvent,
  StatusEvent,
  StreamEvent,
  TelemetryEvent,
  TraceEvent,
} from "../event.ts";
import { addCapabilityRows } from "./capabilities.ts";
import type { Row, RowsOf } from "./row.ts";

/** Adds the typed rows of an event, and of a capability message those of the dimensions. */
export function addTypedRows(event: TelemetryEvent, rowsOf: RowsOf): void {
  switch (event.type) {
    case "ai_stream_status":
      rowsOf("raw_ai_stream_status").push(statusEventRow(event));
      return;
    case "stream_trace":
      rowsOf("raw_stream_trace_events").push(traceRow(event));
      return;
    case "ai_stream_events":
      rowsOf("raw_ai_stream_events").push(streamEventRow(event));
      return;
    case "stream_ingest_metrics":
      rowsOf("raw_stream_ingest_metrics").push(ingestRow(event));
      return;
    case "discovery_results":
      addDiscoveryRows(event, rowsOf("raw_discovery_results"));
      return;
    case "create_new_payment":
      rowsOf("raw_payment_events").push(paymentRow(event));
      return;
    case "network_capabilities":
      addCapabilityRows(event, rowsOf);
  }
}

function statusEventRow({ head, payload }: StatusEvent): Row {
  return {
    source: head.source,
    raw_event_uid: head.uid,
    event_timestamp: head.eventTimeMs,
    stream_id: payload.streamId,
    request_id: payload.requestId,
    gateway: head.gateway,
    orchestrator_address: payload.address,
    orchestrator_url: payload.url,
    pipeline: payload.pipeline,
    output_fps: payload.outputFps,
    input_fps: payload.inputFps,
    state: payload.state,
    restart_count: payload.restartCount,
    last_error: payload.lastError,
    last_error_time: payload.lastErrorTimeMs,
    prompt_text: payload.prompt,
    prompt_width: payload.promptWidth,
    prompt_height: payload.promptHeight,
    params_hash: payload.paramsHash,
    start_time: payload.startTimeMs,
  };
}

function traceRow({ head, payload }: TraceEvent): Row {
  return {
    source: head.source,
    raw_event_uid: head.uid,
    event_timestamp: payload.envelopeTimeMs,
    stream_id: payload.streamId,
    request_id: payload.requestId,
    gateway: head.gateway,
    orchestrator_address: payload.address,
    orchestrator_url: payload.url,
    trace_type: payload.traceType,
    data_timestamp: head.eventTimeMs,
    message: payload.message,
  };
}

function streamEventRow({ head, payload }: StreamEvent): Row {
  return {
    source: head.source,
    raw_event_uid: head.uid,
    event_timestamp: head.eventTimeMs,
    stream_id: payload.streamId,
    request_id: payload.requestId,
    gateway: head.gateway,
    pipeline: payload.pipeline,
    event_type: payload.eventType,
    message: payload.message,
    capability: payload.capability,
  };
}

function ingestRow({ head, payload }: IngestEvent): Row {
  const { video, audio } = payload;
  return {
    source: head.source,
    raw_event_uid: head.uid,
    event_timestamp: head.eventTimeMs,
    stream_id: payload.streamId,
    request_id: payload.requestId,
    gateway: head.gateway,
    connection_quality: payload.connectionQuality,
    video_jitter: video.jitter,
    video_packets_received: video.packetsReceived,
    video_packets_lost: video.packetsLost,
    video_packet_loss_pct: video.packetLossPct,
    video_rtt: video.rtt,
    video_last_input_ts: video.lastInputTs,
    video_latency: video.latency,
    audio_jitter: audio.jitter,
    audio_packets_received: audio.packetsReceived,
    audio_packets_lost: audio.packetsLost,
    audio_packet_loss_pct: audio.packetLossPct,
    audio_rtt: audio.rtt,
    audio_last_input_ts: audio.lastInputTs,
    audio_latency: audio.latency,
    bytes_received: payload.bytesReceived,
    bytes_sent: payload.bytesSent,
  };
}

function addDiscoveryRows({ head, payload }: DiscoveryEvent, rows: Row[]): void {
  for (const [position, { address, url, latencyMs }] of payload.orchestrators.entries()) {
    rows.push({
      source: head.source,
      raw_event_uid: head.uid,
      event_timestamp: head.eventTimeMs,
      position,
      gateway: head.gateway,
      orchestrator_address: address,
      orchestrator_url: url,
      latency_ms: latencyMs,
    });
  }
}

function paymentRow({ head, payload }: PaymentEvent): Row {
  return {
    source: head.source,
    raw_event_uid: head.uid,
    event_timestamp: head.eventTimeMs,
    request_id: payload.requestId,
    session_id: payload.sessionId,
    manifest_id: payload.manifestId,
    gateway: head.gateway,
    sender: payload.sender,
    recipient: payload.recipient,
    orchestrator: payload.orchestrator,
    face_value: payload.faceValue,
    price: payload.price,
    num_tickets: payload.numTickets,
    win_prob: payload.winProb,
    client_ip: payload.clientIp,
    capability: payload.capability,
  };
}
