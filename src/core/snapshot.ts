/**
 * A capability snapshot: what one capability message says of who runs what where, cut down to what
 * attribution compares and claims. Its JSON is the value of a `capability_snapshots` entry, so every reader
 * of the bucket sees exactly what the owner of the capability partition decoded.
 */
import * as v from "valibot";
import { capabilityOf, NO_CAPABILITY } from "./catalogue.ts";
import { DECODER_VERSION } from "./decode.ts";
import { fitsBucket } from "./effects.ts";
import type { CapabilitiesEvent, CapabilityEntry, Gpu, Hardware, ModelConstraint } from "./event.ts";
import { canonicalPipeline } from "./normalise.ts";

/** One thing a node runs. A node whose models are unknown has one item with a blank model. */
export interface Item {
  readonly pipeline: string;
  /** As advertised, trimmed; blank when unknown. */
  readonly model: string;
  /** Ids of its GPUs, sorted, without repeats; empty when the node tells no hardware. */
  readonly gpus: readonly string[];
}

/** One orchestrator entry of a snapshot. */
export interface Node {
  /** Canonical address, never blank: an entry without one names no orchestrator. */
  readonly canonical: string;
  /** Hot wallet; blank when the entry has none. */
  readonly hot: string;
  /** Node URL; blank when the entry has none. */
  readonly url: string;
  readonly items: readonly Item[];
}

export interface Snapshot {
  readonly source: string;
  readonly uid: string;
  readonly timeMs: number;
  readonly nodes: readonly Node[];
}

/** One line of the capability dimension: an entry's hardware element, per GPU, or its hardware-less model. */
export interface AdvertisedItem {
  readonly entry: CapabilityEntry;
  readonly pipeline: string;
  readonly model: string;
  /** The GPU of this line, or undefined for a line without one. */
  readonly gpu: Gpu | undefined;
  readonly capabilityId: number;
  readonly constraint: ModelConstraint | undefined;
}

/** Built-in AI capabilities: the only ones whose constraints tell the models of a node without hardware. */
const FIRST_BUILT_IN = 27;
const LAST_BUILT_IN = 36;

/**
 * What an entry advertises: its hardware elements when it lists any, else the models of its built-in
 * constraints (warm first, then more free slots, then by name), else one blank line: the node is known, and
 * nothing else is.
 */
export function itemsOf(entry: CapabilityEntry): AdvertisedItem[] {
  if (entry.hardware.length > 0) {
    const byModel = constraintsByModel(entry);
    return entry.hardware.flatMap((element): AdvertisedItem[] => {
      const constraint = constraintOf(element, byModel.get(element.model) ?? []);
      const line = {
        entry,
        pipeline: element.pipeline,
        model: element.model,
        capabilityId: constraint?.capabilityId ?? NO_CAPABILITY,
        constraint,
      };
      const gpus = element.gpus.filter((gpu) => gpu.id !== "");
      return gpus.length === 0 ? [{ ...line, gpu: undefined }] : gpus.map((gpu) => ({ ...line, gpu }));
    });
  }
  const builtIn = entry.constraints
    .filter((one) => one.capabilityId >= FIRST_BUILT_IN && one.capabilityId <= LAST_BUILT_IN)
    .toSorted((a, b) =>
      Number(b.warm) - Number(a.warm) || (b.capacity ?? 0) - (a.capacity ?? 0) ||
      (a.model < b.model ? -1 : a.model > b.model ? 1 : 0)
    );
  if (builtIn.length === 0) {
    return [{ entry, pipeline: "", model: "", gpu: undefined, capabilityId: NO_CAPABILITY, constraint: undefined }];
  }
  return builtIn.map((constraint) => ({
    entry,
    pipeline: pipelineOf(constraint),
    model: constraint.model,
    gpu: undefined,
    capabilityId: constraint.capabilityId,
    constraint,
  }));
}

/** Of each model the constraints that name it, as far as it matters which: the first two, and the first of each pipeline. */
function constraintsByModel({ constraints }: CapabilityEntry): Map<string, ModelConstraint[]> {
  const byModel = new Map<string, ModelConstraint[]>();
  for (const constraint of constraints) {
    const naming = byModel.get(constraint.model);
    if (naming === undefined) byModel.set(constraint.model, [constraint]);
    else if (naming.length < 2 || naming.every((one) => pipelineOf(one) !== pipelineOf(constraint))) {
      naming.push(constraint);
    }
  }
  return byModel;
}

/**
 * Of the constraints that name a hardware element's model the one that speaks of the element: where there are several,
 * it is the one that runs its pipeline. Undefined when that is in doubt: another's version and price are wrong.
 */
function constraintOf({ pipeline }: Hardware, naming: readonly ModelConstraint[]): ModelConstraint | undefined {
  if (naming.length < 2) return naming[0];
  return naming.find((one) => pipelineOf(one) === canonicalPipeline(pipeline));
}

function pipelineOf({ capabilityId }: ModelConstraint): string {
  return capabilityOf(capabilityId).pipeline;
}

const text = v.string();
const entrySchema = v.object({
  source: text,
  uid: text,
  timeMs: v.number(),
  nodes: v.array(v.object({
    canonical: text,
    hot: text,
    url: text,
    items: v.array(v.object({ pipeline: text, model: text, gpus: v.array(text) })),
  })),
  decoder: v.literal(DECODER_VERSION),
});

/** Reads the value of an entry; undefined when it is none, or when another version of the decoder wrote it. */
export function readSnapshotEntry(value: string): Snapshot | undefined {
  try {
    const { source, uid, timeMs, nodes } = v.parse(entrySchema, JSON.parse(value));
    return { source, uid, timeMs, nodes };
  } catch {
    return undefined;
  }
}

/** A snapshot as the value of its entry, or undefined when it is too large to be one. */
export function snapshotEntry(snapshot: Snapshot): string | undefined {
  const value = JSON.stringify({ ...snapshot, decoder: DECODER_VERSION });
  return fitsBucket(value) ? value : undefined;
}

/** The snapshot that a capability message states. Exact duplicates among its entries count once. */
export function snapshotOf(event: CapabilitiesEvent): Snapshot {
  const nodes = new Map<string, Node>();
  for (const entry of event.payload.entries) {
    if (entry.address === "") continue;
    const node = nodeOf(entry);
    nodes.set(JSON.stringify(node), node);
  }
  const { source, uid, eventTimeMs } = event.head;
  return { source, uid, timeMs: eventTimeMs, nodes: [...nodes.values()] };
}

function nodeOf(entry: CapabilityEntry): Node {
  const items = new Map<string, { pipeline: string; model: string; gpus: Set<string> }>();
  const elements = entry.hardware.length > 0
    ? entry.hardware.map((element) => ({ ...element, gpus: element.gpus.map((gpu) => gpu.id).filter(Boolean) }))
    : itemsOf(entry).map(({ pipeline, model }) => ({ pipeline, model, gpus: [] as string[] }));
  for (const { pipeline, model, gpus } of elements) {
    const key = JSON.stringify([pipeline, model]);
    const item = items.get(key) ?? { pipeline, model, gpus: new Set<string>() };
    for (const gpu of gpus) item.gpus.add(gpu);
    items.set(key, item);
  }
  return {
    canonical: entry.address,
    hot: entry.localAddress,
    url: entry.url,
    items: [...items.values()].map(({ pipeline, model, gpus }) => ({ pipeline, model, gpus: [...gpus].sort() })),
  };
}
