/**
 * Messages as gateways send them, for tests: one valid message per event type, to be changed field by field,
 * and the real ones of `test/fixtures/production`.
 *
 * Field names and shapes are those of the wire. A field set to `undefined` is left out of the message.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Decoded } from "../../src/core/decode.ts";
import { decode } from "../../src/core/decode.ts";
import type { Row, Table } from "../../src/core/emit/row.ts";
import { addTypedRows } from "../../src/core/emit/typed.ts";
import { routeOf } from "../../src/core/route.ts";
import { eventSubject } from "../../src/core/subject.ts";
import type { EventType, StoredMessage, TelemetryEvent } from "../../src/core/event.ts";

/** A JSON object of the wire. */
export type Wire = Record<string, unknown>;

/** The time of every message built here; the stream stores it a second later. */
export const SENT_MS = 1_772_052_191_605;
export const STORED_MS = SENT_MS + 1_000;

export const HOT = "0x52cf2968b3dc6016778742d3539449a6597d5954";
export const CANONICAL = "0xd00354656922168815fcd1e51cbddb9e359e3c7f";
export const NODE = "https://rtav-orch2.xodeapp.xyz:28935";

const encoder = new TextEncoder();

/** The bytes of a message: bytes as they are, a text as it is, anything else as JSON. */
export function bytesOf(content: unknown): Uint8Array {
  if (content instanceof Uint8Array) return content;
  return encoder.encode(typeof content === "string" ? content : JSON.stringify(content));
}

/** A message as the stream keeps it. */
export function stored(content: unknown, at: Partial<Omit<StoredMessage, "bytes">> = {}): StoredMessage {
  const bytes = bytesOf(content);
  return { subject: subjectOf("cloud_spe", bytes), streamSequence: 1, streamTimeMs: STORED_MS, ...at, bytes };
}

/** Where a message of a source belongs. */
export function subjectOf(source: string, content: unknown): string {
  const { type, partition } = routeOf(bytesOf(content), 1);
  return eventSubject(source, type, partition);
}

/** Decodes a message that was stored a second after `SENT_MS`. */
export function decoded(content: unknown): Decoded {
  return decode(stored(content));
}

/** The event of a message that must be accepted, of the type it must have. */
export function eventOf<Type extends EventType>(
  type: Type,
  content: unknown,
): Extract<TelemetryEvent, { type: Type }> {
  const result = decoded(content);
  if (result.outcome !== "accepted") throw new Error(`not accepted: ${outcomeOf(content)}`);
  if (result.event.type !== type) throw new Error(`is a ${result.event.type}`);
  return result.event as Extract<TelemetryEvent, { type: Type }>;
}

/** The rows that an event gives in the typed tables and the capability dimensions, by table. */
export function rowsByTable(event: TelemetryEvent): Map<Table, Row[]> {
  const rows = new Map<Table, Row[]>();
  addTypedRows(event, (table) => {
    if (!rows.has(table)) rows.set(table, []);
    return rows.get(table)!;
  });
  return rows;
}

/** The rows that an event gives in one table. */
export function rowsIn(table: Table, event: TelemetryEvent): Row[] {
  return rowsByTable(event).get(table) ?? [];
}

/** What became of a message in one word: `accepted`, the reason of a refusal, or `ignored:` with its reason. */
export function outcomeOf(content: unknown): string {
  const result = decoded(content);
  if (result.outcome === "rejected") return result.rejection.reason;
  return result.outcome === "ignored" ? `ignored:${result.reason}` : "accepted";
}

function message(type: EventType, data: unknown, envelope: Wire): Wire {
  const id = "0594741e-afa4-447c-a136-a9ab16347db7";
  return { id, type, timestamp: String(SENT_MS), gateway: "gateway-a", data, ...envelope };
}

const SESSION = { stream_id: "stream-o5s73x-mk5zc8fy", request_id: "db936fab" };

export function statusWire(data: Wire = {}, envelope: Wire = {}): Wire {
  return message("ai_stream_status", {
    ...SESSION,
    type: "status",
    pipeline: "streamdiffusion-sdxl",
    pipeline_id: "",
    state: "ONLINE",
    start_time: SENT_MS - 10_000,
    timestamp: SENT_MS,
    orchestrator_info: { address: HOT, url: NODE },
    inference_status: {
      fps: 17.25,
      restart_count: 2,
      last_restart_time: SENT_MS - 20_000,
      last_error: "image fetch timeout",
      last_error_time: SENT_MS - 5_000,
      last_params: { height: 512, width: 768, prompt: "a cat" },
      last_params_hash: "99914b932bd37a50b983c5e7c90ae93b",
    },
    input_status: { fps: 20.5 },
    ...data,
  }, envelope);
}

export function traceWire(data: Wire = {}, envelope: Wire = {}): Wire {
  return message("stream_trace", {
    ...SESSION,
    type: "gateway_send_first_ingest_segment",
    timestamp: SENT_MS - 2,
    pipeline_id: "",
    orchestrator_info: { address: HOT, url: NODE },
    ...data,
  }, envelope);
}

export function streamEventWire(data: Wire = {}, envelope: Wire = {}): Wire {
  return message("ai_stream_events", {
    ...SESSION,
    type: "error",
    message: "whip disconnected",
    pipeline: "streamdiffusion-sdxl",
    capability: "",
    ...data,
  }, envelope);
}

export function ingestWire(data: Wire = {}, envelope: Wire = {}): Wire {
  return message("stream_ingest_metrics", {
    ...SESSION,
    timestamp: SENT_MS,
    stats: {
      conn_quality: "good",
      peer_conn_stats: { ID: "iceTransport", BytesReceived: 477_890, BytesSent: 4_013 },
      track_stats: [
        {
          type: "video",
          jitter: 10.5,
          packets_lost: 1,
          packets_received: 413,
          packet_loss_pct: 0.25,
          last_input_ts: 5,
        },
        { type: "audio", jitter: 4, packets_received: 250, rtt: 0, latency: 0 },
      ],
    },
    ...data,
  }, envelope);
}

export function discoveryWire(data: unknown = [{ address: HOT, latency_ms: "77", url: NODE }], envelope: Wire = {}) {
  return message("discovery_results", data, envelope);
}

export function paymentWire(data: Wire = {}, envelope: Wire = {}): Wire {
  return message("create_new_payment", {
    requestID: "db936fab",
    sessionID: "01b55632",
    manifestID: "35_streamdiffusion-sdxl-faceid",
    sender: "0x5aE4E42dB3671370a0c25AfF451E7482aAEc3D0B",
    recipient: "0xd00354656922168815Fcd1e51CBddB9e359e3C7F",
    orchestrator: NODE,
    faceValue: "2402400000000000 WEI",
    price: "1635.021 wei/pixel",
    numTickets: "2",
    winProb: "0.0009990010",
    capability: "",
    clientIP: "",
    ...data,
  }, envelope);
}

export function capabilitiesWire(data: unknown = [entryWire()], envelope: Wire = {}): Wire {
  return message("network_capabilities", data, envelope);
}

/** One orchestrator entry: a node that runs one model on one GPU. */
export function entryWire(fields: Wire = {}): Wire {
  return {
    address: "0xD00354656922168815Fcd1e51CBddB9e359e3C7F",
    local_address: "0x52Cf2968b3dc6016778742d3539449a6597d5954",
    orch_uri: NODE,
    capabilities: {
      bitstring: [34_426_871_807],
      capacities: { "0": 1, "35": 1 },
      version: "0.8.9",
      constraints: perCapability({
        "35": { "streamdiffusion-sdxl": { warm: true, runnerVersion: "0.14.1", capacity: 1 } },
      }),
    },
    capabilities_prices: [{
      capability: 35,
      constraint: "streamdiffusion-sdxl",
      pricePerUnit: 2_425,
      pixelsPerUnit: 1,
    }],
    hardware: [hardwareWire()],
    ...fields,
  };
}

/** The `constraints` block for models by capability id and name. */
export function perCapability(byId: Record<string, Record<string, unknown>>): Wire {
  const held = Object.entries(byId).map(([id, models]) => [id, { models }]);
  return { PerCapability: Object.fromEntries(held) };
}

export function hardwareWire(fields: Wire = {}): Wire {
  return {
    pipeline: "live-video-to-video",
    model_id: "streamdiffusion-sdxl",
    gpu_info: { "0": gpuWire("GPU-a") },
    ...fields,
  };
}

export function gpuWire(id: string, fields: Wire = {}): Wire {
  const memory = { memory_total: 34_190_917_632, memory_free: 25_246_564_352 };
  return { id, name: "NVIDIA GeForce RTX 4090", ...memory, major: 8, minor: 9, ...fields };
}

/** One valid message of every type. */
export const VALID: Readonly<Record<EventType, () => Wire>> = {
  stream_trace: () => traceWire(),
  ai_stream_status: () => statusWire(),
  ai_stream_events: () => streamEventWire(),
  stream_ingest_metrics: () => ingestWire(),
  network_capabilities: () => capabilitiesWire(),
  discovery_results: () => discoveryWire(),
  create_new_payment: () => paymentWire(),
};

/** The same message with its `data` as JSON text, as the archive exports it. */
export function withDataAsText(wire: Wire): Wire {
  return { ...wire, data: JSON.stringify(wire.data) };
}

/** The same value with the keys of every object in reverse order. */
export function withKeysReversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withKeysReversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).reverse().map(([key, held]) => [key, withKeysReversed(held)]));
}

const fixtures = new URL("../fixtures/production/", import.meta.url);

/** The real messages, line by line, in the order of their files. */
export function productionLines(): string[] {
  return readdirSync(fixtures)
    .filter((name) => name.endsWith(".jsonl"))
    .sort()
    .flatMap((name) => readFileSync(new URL(name, fixtures), "utf8").split("\n"))
    .filter((line) => line !== "");
}

/** The entries of a real capability listing. */
export function productionListing(name: "network" | "ai-batch-byoc"): Wire[] {
  const text = readFileSync(new URL(`capabilities_${name}.json`, fixtures), "utf8");
  return JSON.parse(text).orchestrators;
}
