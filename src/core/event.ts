/**
 * What decode yields: the events that Latecomer understands, in normal form.
 *
 * Text that is absent or null on the wire is `""` here, except where a reader must tell the two apart; then
 * the type says `null`. Addresses and URLs are normalised already (normalise.ts); ids keep their case.
 * The order of the keys is part of an event's identity (identity.ts) and must stay as it is written here.
 */

/** A message as the stream stored it. */
export interface StoredMessage {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly streamSequence: number;
  /** When the stream stored it, in milliseconds; used to refuse events from the future and to archive. */
  readonly streamTimeMs: number;
}

/** What every event has. */
export interface EventHead {
  readonly source: string;
  /** Identity within the source, see identity.ts. */
  readonly uid: string;
  /** The envelope's id, blank when it has none. */
  readonly id: string;
  readonly eventTimeMs: number;
  readonly gateway: string;
}

/** The ids that place an event in a session. */
export interface SessionIds {
  readonly streamId: string;
  readonly requestId: string;
}

export interface StatusPayload extends SessionIds {
  /** The model label that the wire calls `pipeline`, as it was sent. */
  readonly pipeline: string;
  readonly state: string;
  readonly address: string;
  readonly url: string;
  readonly outputFps: number;
  readonly inputFps: number;
  readonly restartCount: number;
  readonly lastRestartTimeMs: number | null;
  readonly lastError: string | null;
  readonly lastErrorTimeMs: number | null;
  readonly prompt: string | null;
  readonly promptWidth: number;
  readonly promptHeight: number;
  readonly paramsHash: string;
  readonly startTimeMs: number | null;
}

export interface TracePayload extends SessionIds {
  readonly traceType: string;
  readonly address: string;
  readonly url: string;
  /** The payload's own time, 0 when it has none; the event time is this one when it is above 0. */
  readonly dataTimeMs: number;
  readonly envelopeTimeMs: number;
  readonly message: string;
}

export interface StreamEventPayload extends SessionIds {
  readonly pipeline: string;
  readonly eventType: string;
  readonly message: string;
  readonly capability: string;
}

export interface IngestTrack {
  readonly jitter: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly packetLossPct: number;
  readonly rtt: number;
  readonly lastInputTs: number;
  readonly latency: number;
}

export interface IngestPayload extends SessionIds {
  readonly connectionQuality: string;
  readonly video: IngestTrack;
  readonly audio: IngestTrack;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

export interface DiscoveryPayload {
  readonly orchestrators: readonly { readonly address: string; readonly url: string; readonly latencyMs: number }[];
}

export interface PaymentPayload {
  readonly requestId: string;
  readonly sessionId: string;
  readonly manifestId: string;
  readonly sender: string;
  readonly recipient: string;
  readonly orchestrator: string;
  readonly faceValue: string;
  readonly price: string;
  readonly numTickets: string;
  readonly winProb: string;
  readonly clientIp: string;
  readonly capability: string;
}

/** One GPU of a hardware element; numbers that the wire omits are null, `minor` 0. */
export interface Gpu {
  readonly id: string;
  readonly name: string;
  readonly memoryTotal: number | null;
  readonly memoryFree: number | null;
  readonly major: number | null;
  readonly minor: number | null;
}

/** One runner container of a node. */
export interface Hardware {
  readonly pipeline: string;
  readonly model: string;
  readonly gpus: readonly Gpu[];
}

/** A model that a node says it serves under a capability. */
export interface ModelConstraint {
  readonly capabilityId: number;
  readonly model: string;
  readonly warm: boolean;
  readonly runnerVersion: string;
  /** Free slots; 0 when left out, as upstream omits it, null when it cannot be read. */
  readonly capacity: number | null;
  /** Busy slots, likewise. */
  readonly capacityInUse: number | null;
}

export interface CapabilityPrice {
  readonly capabilityId: number | null;
  readonly constraint: string;
  /** Wei per `pixelsPerUnit` pixels; 0 when left out, as upstream omits it, null when it cannot be read. */
  readonly pricePerUnit: number | null;
  readonly pixelsPerUnit: number | null;
}

/** One orchestrator node as a gateway saw it. */
export interface CapabilityEntry {
  /** Canonical on-chain wallet; blank when the entry has none, and then it names no orchestrator. */
  readonly address: string;
  /** Hot wallet: what the node's traces and samples carry. */
  readonly localAddress: string;
  readonly url: string;
  readonly version: string;
  readonly capacities: readonly (readonly [capabilityId: number, capacity: number | null])[];
  readonly constraints: readonly ModelConstraint[];
  readonly prices: readonly CapabilityPrice[];
  readonly hardware: readonly Hardware[];
}

export interface CapabilitiesPayload {
  readonly entries: readonly CapabilityEntry[];
  /** Members of the array that could not be read as an entry; they are left out and counted. */
  readonly unreadable: number;
}

interface Kind<Type extends string, Payload> {
  readonly type: Type;
  readonly head: EventHead;
  readonly payload: Payload;
}

export type StatusEvent = Kind<"ai_stream_status", StatusPayload>;
export type TraceEvent = Kind<"stream_trace", TracePayload>;
export type StreamEvent = Kind<"ai_stream_events", StreamEventPayload>;
export type IngestEvent = Kind<"stream_ingest_metrics", IngestPayload>;
export type CapabilitiesEvent = Kind<"network_capabilities", CapabilitiesPayload>;
export type DiscoveryEvent = Kind<"discovery_results", DiscoveryPayload>;
export type PaymentEvent = Kind<"create_new_payment", PaymentPayload>;

/** Every event that is decoded. */
export type TelemetryEvent =
  | StatusEvent
  | TraceEvent
  | StreamEvent
  | IngestEvent
  | CapabilitiesEvent
  | DiscoveryEvent
  | PaymentEvent;

export type EventType = TelemetryEvent["type"];
