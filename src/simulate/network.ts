/**
 * The nodes of a synthetic network, with what makes attribution hard in the real one: an orchestrator with several nodes,
 * hot wallets that differ from the canonical one and that nodes of several orchestrators share, nodes without hardware,
 * nodes with many GPUs.
 */
import type { Draw } from "./draw.ts";

export interface Gpu {
  readonly id: string;
  readonly name: string;
  readonly memory: number;
  readonly major: number;
}

export interface Node {
  /** The orchestrator's wallet, in mixed case as capability messages have it. */
  readonly canonical: string;
  /** The wallet that status and trace events name, in mixed case. */
  readonly hot: string;
  readonly url: string;
  readonly version: string;
  readonly model: string;
  /** None for a node that tells nothing of its hardware; such a node serves no session. */
  readonly gpus: readonly Gpu[];
  readonly pricePerUnit: number;
}

/** Of the nodes that capability messages list, so many tell their hardware. */
const WITH_HARDWARE = 0.56;

/** A hot wallet of its own, or that of the node before: of the entries seen 55 % have another than the canonical one. */
const OWN_HOT_WALLET = 0.44;
const SHARED_HOT_WALLET = 0.2;
const SAME_ORCHESTRATOR = 0.3;

const MODELS = [
  ["streamdiffusion-sdxl-v2v", 51],
  ["streamdiffusion-sdxl", 41],
  ["streamdiffusion-sdxl-faceid", 5],
  ["noop", 1],
] as const;

const GPUS: readonly (readonly [kind: Omit<Gpu, "id">, weight: number])[] = [
  [{ name: "NVIDIA GeForce RTX 5090", memory: 34_190_917_632, major: 12 }, 40],
  [{ name: "NVIDIA GeForce RTX 4090", memory: 25_757_220_864, major: 8 }, 40],
  [{ name: "NVIDIA GeForce RTX 3090", memory: 25_769_803_776, major: 8 }, 10],
  [{ name: "NVIDIA A100 80GB PCIe", memory: 85_899_345_920, major: 8 }, 5],
];

/** GPUs of a node: three or four on average, twenty-four on the largest. */
const GPU_COUNTS = [[1, 50], [2, 20], [4, 18], [8, 5], [10, 3], [12, 2], [24, 1]] as const;

/** So many nodes, the first of them with hardware. */
export function networkOf(draw: Draw, count: number): Node[] {
  const nodes: Node[] = [];
  for (let at = 0; at < count; at++) {
    const before = nodes.at(-1);
    const canonical = before !== undefined && draw.chance(SAME_ORCHESTRATOR) ? before.canonical : wallet(draw);
    const own = draw.chance(OWN_HOT_WALLET) ? wallet(draw) : canonical;
    const hot = before !== undefined && draw.chance(SHARED_HOT_WALLET) ? before.hot : own;
    const model = draw.weighted(MODELS);
    const tellsHardware = draw.chance(WITH_HARDWARE) || at === 0;
    nodes.push({
      canonical,
      hot,
      url: `https://n${at}.${canonical.slice(2, 8).toLowerCase()}.example:8935`,
      version: draw.pick(["0.8.8", "0.8.9", "0.8.9-cd208259", "0.8.10"]),
      model,
      gpus: tellsHardware ? gpusOf(draw) : [],
      pricePerUnit: 1_500 + draw.below(1_500),
    });
  }
  return nodes;
}

function gpusOf(draw: Draw): Gpu[] {
  const kind = draw.weighted(GPUS);
  return Array.from({ length: draw.weighted(GPU_COUNTS) }, () => ({ id: `GPU-${draw.uuid()}`, ...kind }));
}

/** Forty hexadecimal digits, some of them in upper case: where they are is of no account here. */
function wallet(draw: Draw): string {
  return `0x${[...draw.hex(40)].map((digit) => draw.chance(0.5) ? digit.toUpperCase() : digit).join("")}`;
}

/** What a capability message says of a node. */
export function entryOf(node: Node): Record<string, unknown> {
  const { gpus, model } = node;
  const slots = Math.ceil(gpus.length / GPUS_PER_SLOT);
  const models = { [model]: { warm: true, runnerVersion: "0.14.1", capacity: slots } };
  return {
    address: node.canonical,
    local_address: node.hot,
    orch_uri: node.url,
    capabilities: {
      bitstring: [34_426_871_807],
      capacities: CAPACITIES,
      version: node.version,
      constraints: gpus.length === 0 ? {} : { PerCapability: { "35": { models } } },
    },
    capabilities_prices: gpus.length === 0
      ? null
      : [{ pricePerUnit: node.pricePerUnit, pixelsPerUnit: 1, capability: 35, constraint: model }],
    hardware: gpus.length === 0 ? null : Array.from({ length: slots }, (_, slot) => ({
      pipeline: "live-video-to-video",
      model_id: model,
      gpu_info: Object.fromEntries(
        gpus.slice(slot * GPUS_PER_SLOT, (slot + 1) * GPUS_PER_SLOT).map(({ id, name, memory, major }, nth) =>
          [nth, { id, name, major, memory_free: memory - 594_935_808, memory_total: memory }] as const
        ),
      ),
    })),
  };
}

/** GPUs of one container, as an element of `hardware` lists them. */
const GPUS_PER_SLOT = 5;

const CAPACITIES = Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 26, 35].map((id) => [id, 1]));
