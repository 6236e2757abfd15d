/** The capability dimensions: what a capability message says of the nodes. */
import { capabilityOf, CATALOGUE_VERSION } from "../catalogue.ts";
import type { CapabilitiesEvent } from "../event.ts";
import { itemsOf } from "../snapshot.ts";
import type { Row } from "./row.ts";

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
