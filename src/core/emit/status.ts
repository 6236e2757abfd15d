/** The facts of status samples. */
import { evidenceOf, versionOf } from "../evidence.ts";
import { sessionKeyOf } from "../identity.ts";
import type { Sample } from "../observed.ts";
import type { Claim, Selection } from "../select.ts";
import type { Row } from "./row.ts";

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
