/**
 * Observations: events that name who served them, cut down to what their fact rows state. An observation is kept while
 * it waits for evidence, in memory and, as JSON, in `unmatched_status`.
 */
import type { StatusEvent, TraceEvent } from "./event.ts";
import { modelHint } from "./normalise.ts";
import type { Observation } from "./select.ts";
import type { SharedTexts } from "./shared.ts";

interface Observed extends Observation {
  readonly source: string;
  readonly uid: string;
  readonly id: string;
  readonly gateway: string;
  readonly streamId: string;
  readonly requestId: string;
}

/** A status sample, with the raw measures beside it. */
export interface Sample extends Observed {
  readonly kind: "sample";
  readonly state: string;
  readonly outputFps: number;
  readonly inputFps: number;
}

/** A trace edge. It hints at no model. */
export interface Edge extends Observed {
  readonly kind: "edge";
  readonly traceType: string;
}

export type ObservedEvent = Sample | Edge;

export function sampleOf({ head, payload }: StatusEvent): Sample {
  return {
    kind: "sample",
    source: head.source,
    uid: head.uid,
    id: head.id,
    eventTimeMs: head.eventTimeMs,
    gateway: head.gateway,
    streamId: payload.streamId,
    requestId: payload.requestId,
    address: payload.address,
    url: payload.url,
    hint: modelHint(payload.pipeline),
    state: payload.state,
    outputFps: payload.outputFps,
    inputFps: payload.inputFps,
  };
}

export function edgeOf({ head, payload }: TraceEvent): Edge {
  return {
    kind: "edge",
    source: head.source,
    uid: head.uid,
    id: head.id,
    eventTimeMs: head.eventTimeMs,
    gateway: head.gateway,
    streamId: payload.streamId,
    requestId: payload.requestId,
    address: payload.address,
    url: payload.url,
    hint: "",
    traceType: payload.traceType,
  };
}

/** The same observation, to be kept: with the texts that others have too. */
export function sharing(observed: ObservedEvent, texts: SharedTexts): ObservedEvent {
  const { source, gateway, streamId, requestId, address, url, hint } = observed;
  const names = {
    source: texts.share(source),
    gateway: texts.share(gateway),
    streamId: texts.share(streamId),
    requestId: texts.share(requestId),
    address: texts.share(address),
    url: texts.share(url),
    hint: texts.share(hint),
  };
  return observed.kind === "sample"
    ? { ...observed, ...names, state: texts.share(observed.state) }
    : { ...observed, ...names, traceType: texts.share(observed.traceType) };
}

/** True when a trace says who served it, so that it is an observation of its own. */
export function namesOrchestrator({ payload }: TraceEvent): boolean {
  return payload.address !== "" || payload.url !== "";
}
