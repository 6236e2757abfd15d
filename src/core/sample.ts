/**
 * A status sample cut down to what its fact row states: the observation, and the raw measures beside it.
 * Its JSON is kept in `unmatched_status` while the sample waits for evidence.
 */
import type { StatusEvent } from "./event.ts";
import { modelHint } from "./normalise.ts";
import type { Observation } from "./select.ts";

export interface Sample extends Observation {
  readonly source: string;
  readonly uid: string;
  readonly id: string;
  readonly gateway: string;
  readonly streamId: string;
  readonly requestId: string;
  readonly state: string;
  readonly outputFps: number;
  readonly inputFps: number;
}

export function sampleOf({ head, payload }: StatusEvent): Sample {
  return {
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
