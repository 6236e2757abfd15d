/** The messages of gateways, field by field as they travel. */
import type { Draw } from "./draw.ts";
import { entryOf, type Node } from "./network.ts";
import { nodeAt, type Session } from "./session.ts";

export interface Envelope {
  readonly id: string;
  readonly type: string;
  readonly timestamp: string;
  readonly gateway: string;
  readonly data: unknown;
}

export function envelope(draw: Draw, type: string, atMs: number, gateway: string, data: unknown): Envelope {
  return { id: draw.uuid(), type, timestamp: String(atMs), gateway, data };
}

const idsOf = ({ stream, request }: Session) => ({ pipeline_id: "", request_id: request, stream_id: stream });

function infoOf(node: Node | undefined) {
  return { address: node?.hot.toLowerCase() ?? "", url: node?.url ?? "" };
}

export function traceData(session: Session, atMs: number, type: string, isNamed: boolean) {
  const node = isNamed ? nodeAt(session, atMs) : undefined;
  const data = { orchestrator_info: infoOf(node), ...idsOf(session), type };
  if (type !== "orchestrator_swap") return { ...data, timestamp: atMs };
  return { ...data, pipeline: node?.model ?? "", message: "orchestrator is slow" };
}

export function statusData(draw: Draw, session: Session, atMs: number) {
  const node = nodeAt(session, atMs);
  const isUp = !session.isFailing && atMs - session.startMs > 8_000;
  const fps = isUp ? draw.between(8, 22) : 0;
  const inputFps = draw.between(15, 25);
  const state = !isUp
    ? "LOADING"
    : draw.weighted([["ONLINE", 75], ["DEGRADED_INPUT", 24], ["DEGRADED_INFERENCE", 3]] as const);
  return {
    inference_status: {
      fps,
      last_error: session.isFailing ? "image fetch timeout" : null,
      last_error_time: session.isFailing ? atMs - 2_000 : null,
      last_output_time: atMs - 73,
      last_params: { height: 512, width: 512 },
      last_params_hash: "f2f41bce75e30de92f8c308a6722859b",
      last_params_update_time: session.startMs,
      last_restart_logs: null,
      last_restart_time: null,
      restart_count: 0,
    },
    input_status: { fps: inputFps, last_input_time: atMs - 91 },
    last_state_update_time: atMs - 2_137,
    last_status_timestamp: session.startMs,
    orchestrator_info: infoOf(node),
    pipeline: node?.model ?? "noop",
    ...idsOf(session),
    start_time: session.startMs,
    state,
    timestamp: atMs + 2,
    type: "status",
  };
}

export function ingestData(draw: Draw, session: Session, atMs: number) {
  const seconds = (atMs - session.startMs) / 1_000;
  const track = (type: string, packets: number) => ({
    type,
    jitter: draw.between(4, 20),
    packets_lost: 0,
    packets_received: Math.round(seconds * packets),
    packet_loss_pct: 0,
    rtt: 0,
    last_input_ts: Math.round(seconds * 1_000) / 1_000,
    last_output_ts: 0,
    latency: 0,
  });
  const bytes = { BytesReceived: Math.round(seconds * 95_578), BytesSent: Math.round(seconds * 803) };
  return {
    stats: {
      peer_conn_stats: { ID: "iceTransport", ...bytes },
      track_stats: [track("video", 82), track("audio", 50)],
      conn_quality: "good",
    },
    ...idsOf(session),
    timestamp: atMs,
  };
}

export function streamEventData(draw: Draw, session: Session, atMs: number) {
  const node = nodeAt(session, atMs);
  const head = { pipeline: node?.model ?? "noop", capability: "", ...idsOf(session) };
  if (!session.isFailing && draw.chance(0.7)) {
    const params = { prompt: "a harbour in the style of a woodcut", guidance_scale: draw.between(1, 2) };
    return { ...head, type: "params_update", message: "", params, orchestrator_info: infoOf(node) };
  }
  const message = session.isFailing ? "Error publishing: connection reset by peer" : "whip disconnected";
  return { ...head, type: "error", message };
}

export function paymentData(draw: Draw, session: Session, atMs: number, sender: string) {
  const node = nodeAt(session, atMs);
  const isFirst = session.payments === 0;
  return {
    capability: "",
    clientIP: "",
    faceValue: "2402400000000000 WEI",
    manifestID: isFirst ? `35_${node?.model ?? "noop"}` : draw.hex(8),
    numTickets: isFirst ? "2" : "1",
    orchestrator: node?.url ?? "https://none.example:8935",
    price: `${1_500 + draw.below(1_500)}.021 wei/pixel`,
    recipient: node?.canonical ?? sender,
    requestID: isFirst ? session.request : "",
    sender,
    sessionID: session.payment,
    winProb: "0.0009990010",
  };
}

export function capabilitiesData(nodes: readonly Node[]) {
  return nodes.map(entryOf);
}

export function discoveryData(draw: Draw, nodes: readonly Node[]) {
  return nodes.map(({ hot, url }) => ({
    address: hot.toLowerCase(),
    latency_ms: String(Math.round(draw.logarithmic(43, 935))),
    url,
  }));
}

/** What a type holds that nobody reads; its true shape is documented nowhere. */
export function noiseData(draw: Draw, session: Session, atMs: number) {
  return { stream_id: session.stream, timestamp: atMs, payload: draw.hex(200) };
}
