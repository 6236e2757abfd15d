/**
 * What a capability message says of the nodes: four families of rows in the typed tables, and the dimension of the first.
 * The dimensions of the others are views.
 *
 * What a message says twice is one row, and where it contradicts itself the first counts: within a message a row's key
 * is its node and what its family tells apart. A listing of fifty nodes advertises over a thousand capabilities, so
 * their rows are made in place: a spread of an object costs more than the row.
 */
import { capabilityOf, CATALOGUE, CATALOGUE_VERSION, NO_CAPABILITY } from "../catalogue.ts";
import type { CapabilitiesEvent, CapabilityEntry, CapabilityPrice, EventHead } from "../event.ts";
import { type AdvertisedItem, itemsOf } from "../snapshot.ts";
import type { Cell, Row, RowsOf } from "./row.ts";

/** Adds the rows of a capability message. */
export function addCapabilityRows({ head, payload }: CapabilitiesEvent, rowsOf: RowsOf): void {
  const nodes = new Map<string, Said>();
  for (const entry of payload.entries) {
    const node = JSON.stringify([entry.address, entry.localAddress, entry.url]);
    let said = nodes.get(node);
    if (said === undefined) nodes.set(node, said = new Said());
    addItems(head, entry, said, rowsOf);
    addAdvertised(head, entry, said, rowsOf);
    addConstraints(head, entry, said, rowsOf);
    addPrices(head, entry, said, rowsOf);
  }
}

/** What a message has said of a node, by family. */
class Said {
  readonly items = new Set<string>();
  readonly advertised = new Set<number>();
  readonly constraints = new Set<string>();
  readonly prices = new Set<string>();
}

/** Whether it says this for the first time. */
function isNew<What>(said: Set<What>, what: What): boolean {
  const before = said.size;
  return said.add(what).size > before;
}

/** The rows of `dim_capability_catalogue`: the whole catalogue. */
export function catalogueRows(): Row[] {
  return CATALOGUE.map(({ id, name, group, pipeline }) => ({
    capability_catalog_version: CATALOGUE_VERSION,
    capability_id: id,
    capability_name: name,
    capability_group: group,
    pipeline,
  }));
}

function addItems(head: EventHead, entry: CapabilityEntry, { items }: Said, rowsOf: RowsOf): void {
  const prices = pricesOf(entry);
  for (const item of itemsOf(entry)) {
    const { pipeline, model, gpu, capabilityId } = item;
    if (!isNew(items, JSON.stringify([pipeline, model, capabilityId, gpu?.id]))) continue;
    rowsOf("raw_network_capabilities").push(itemRow(head, item, prices.get(priceKey(capabilityId, model))));
    rowsOf("dim_orchestrator_capability_snapshots").push(itemSnapshotRow(head, item));
  }
}

/** The prices of an entry, by the capability and the model that each is of. */
function pricesOf(entry: CapabilityEntry): Map<string, CapabilityPrice> {
  const prices = new Map<string, CapabilityPrice>();
  for (const price of entry.prices) {
    const key = priceKey(price.capabilityId, price.constraint);
    if (!prices.has(key)) prices.set(key, price);
  }
  return prices;
}

function priceKey(capabilityId: number | null, model: string): string {
  return `${capabilityId} ${model}`;
}

/** Null stands for "no constraint names the model", where the dimension has `NO_CAPABILITY`. */
function itemRow(head: EventHead, item: AdvertisedItem, itsPrice: CapabilityPrice | undefined): Row {
  const { entry, pipeline, model, gpu, capabilityId, constraint } = item;
  const capability = constraint && capabilityOf(capabilityId);
  // Of no other capability and no other model: a node lists prices for what it does not run.
  const price = constraint && itsPrice;
  return {
    source: head.source,
    raw_event_uid: head.uid,
    source_event_id: head.id,
    event_timestamp: head.eventTimeMs,
    orchestrator_address: entry.address,
    local_address: entry.localAddress,
    orch_uri: entry.url,
    pipeline,
    model_id: model,
    gpu_id: gpu?.id ?? null,
    gpu_name: gpu?.name || null,
    gpu_memory_total: gpu?.memoryTotal ?? null,
    gpu_memory_free: gpu?.memoryFree ?? null,
    gpu_major: gpu?.major ?? null,
    gpu_minor: gpu?.minor ?? null,
    capability_id: capability?.id ?? null,
    capability_name: capability?.name ?? null,
    capability_group: capability?.group ?? null,
    capability_catalog_version: CATALOGUE_VERSION,
    runner_version: constraint?.runnerVersion || null,
    capacity: constraint?.capacity ?? null,
    capacity_in_use: constraint?.capacityInUse ?? null,
    warm: constraint ? Number(constraint.warm) : null,
    price_per_unit: price?.pricePerUnit ?? null,
    pixels_per_unit: price?.pixelsPerUnit ?? null,
    orchestrator_version: entry.version,
  };
}

function itemSnapshotRow(head: EventHead, item: AdvertisedItem): Row {
  const { entry, gpu, constraint } = item;
  const capability = capabilityOf(item.capabilityId);
  return {
    source: head.source,
    source_event_uid: head.uid,
    source_event_id: head.id,
    snapshot_ts: head.eventTimeMs,
    orchestrator_address: entry.address,
    orchestrator_proxy_address: entry.localAddress,
    orchestrator_url: entry.url,
    pipeline: item.pipeline,
    model_id: item.model,
    capability_id: capability.id,
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
}

function addAdvertised(head: EventHead, entry: CapabilityEntry, { advertised }: Said, rowsOf: RowsOf): void {
  const rows = rowsOf("raw_network_capabilities_advertised");
  for (const [capabilityId, capacity] of entry.capacities) {
    if (!isNew(advertised, capabilityId)) continue;
    const row = capabilityColumns(head, entry, capabilityId);
    row.capacity = capacity;
    rows.push(row);
  }
}

function addConstraints(head: EventHead, entry: CapabilityEntry, { constraints }: Said, rowsOf: RowsOf): void {
  for (const { capabilityId, model, runnerVersion, capacity, capacityInUse, warm } of entry.constraints) {
    if (!isNew(constraints, `${capabilityId} ${model}`)) continue;
    const row = capabilityColumns(head, entry, capabilityId);
    row.model_id = model;
    row.runner_version = runnerVersion || null;
    row.capacity = capacity;
    row.capacity_in_use = capacityInUse;
    row.warm = Number(warm);
    rowsOf("raw_network_capabilities_model_constraints").push(row);
  }
}

function addPrices(head: EventHead, entry: CapabilityEntry, { prices }: Said, rowsOf: RowsOf): void {
  for (const price of entry.prices) {
    const capabilityId = price.capabilityId ?? NO_CAPABILITY;
    if (!isNew(prices, `${capabilityId} ${price.constraint}`)) continue;
    const row = capabilityColumns(head, entry, capabilityId);
    row.constraint_name = price.constraint || null;
    row.price_per_unit = price.pricePerUnit;
    row.pixels_per_unit = price.pixelsPerUnit;
    rowsOf("raw_network_capabilities_prices").push(row);
  }
}

/** What the rows of the three families of a capability have in common. */
function capabilityColumns(head: EventHead, entry: CapabilityEntry, capabilityId: number): Record<string, Cell> {
  const capability = capabilityOf(capabilityId);
  return {
    source: head.source,
    raw_event_uid: head.uid,
    source_event_id: head.id,
    event_timestamp: head.eventTimeMs,
    orchestrator_address: entry.address,
    local_address: entry.localAddress,
    orch_uri: entry.url,
    capability_id: capabilityId,
    capability_name: capability.name,
    capability_group: capability.group,
    capability_catalog_version: CATALOGUE_VERSION,
  };
}
