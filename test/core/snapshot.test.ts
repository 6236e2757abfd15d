/**
 * Capability snapshots: what one capability message says of who runs what where, as candidates of attribution
 * and as rows of the capability dimension. The real listings are in snapshot-real.test.ts.
 */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { capabilityOf } from "../../src/core/catalogue.ts";
import { LARGEST_MESSAGE } from "../../src/core/decode.ts";
import type { Row } from "../../src/core/emit/row.ts";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { canonicalPipeline } from "../../src/core/normalise.ts";
import { type Item, itemsOf as linesOf, type Node, readSnapshotEntry, snapshotOf } from "../../src/core/snapshot.ts";
import { FROM_THE_START, PartitionState } from "../../src/core/step.ts";
import { describe } from "../helpers/suite.ts";
import {
  bytesOf,
  CANONICAL,
  capabilitiesWire,
  entryWire,
  eventOf,
  gpuWire,
  hardwareWire,
  HOT,
  NODE,
  outcomeOf,
  perCapability,
  rowsIn,
  SENT_MS,
  stored,
} from "../helpers/wire.ts";

const capabilities = (entries: unknown[]) => eventOf("network_capabilities", capabilitiesWire(entries));
const nodesOf = (...entries: unknown[]): readonly Node[] => snapshotOf(capabilities(entries)).nodes;
const rowsOf = (...entries: unknown[]): Row[] => rowsIn("dim_orchestrator_capability_snapshots", capabilities(entries));

/** The items of a message's only node. */
function itemsOf(entry: unknown): readonly Item[] {
  const nodes = nodesOf(entry);
  assert.is(nodes.length, 1);
  return nodes[0]!.items;
}

const withHardware = (...hardware: unknown[]) => entryWire({ hardware });
const withGpus = (gpu_info: unknown) => withHardware(hardwareWire({ gpu_info }));
/** An entry that names no hardware, with these models by capability id. */
const bare = (models: Record<string, Record<string, unknown>>) =>
  entryWire({ hardware: null, capabilities: { constraints: perCapability(models) } });

const PLACEHOLDER: Item = { pipeline: "", model: "", gpus: [] };

describe("capability snapshots: the upstream cases", (test) => {
  test("BuiltinCapabilityByNumber_UsesRepoOwnedCatalog (our catalogue does not say which are stream-only)", () => {
    assert.equal(capabilityOf(35), {
      id: 35,
      name: "Live video to video",
      group: "live-video",
      pipeline: "live-video-to-video",
    });
  });

  test("AcceptsGPUInfoArray", () => {
    const rows = rowsOf(withGpus([gpuWire("gpu-a")]));
    assert.equal(rows.map((row) => row.gpu_id), ["gpu-a"]);
    assert.equal(itemsOf(withGpus([gpuWire("gpu-a")]))[0]!.gpus, ["gpu-a"]);
  });

  test("AcceptsGPUInfoObject", () => {
    const gpus = { "1": gpuWire("gpu-one"), "0": gpuWire("gpu-zero") };
    assert.equal(rowsOf(withGpus(gpus)).map((row) => row.gpu_id), ["gpu-zero", "gpu-one"]);
    const ten = Object.fromEntries([10, 9, 2, 1, 0].map((at) => [String(at), gpuWire(`gpu-${at}`)]));
    assert.equal(rowsOf(withGpus(ten)).map((row) => row.gpu_id), ["gpu-0", "gpu-1", "gpu-2", "gpu-9", "gpu-10"]);
  });

  test("PerCapabilityPath_ProducesHardwareLessTemplates", () => {
    const entry = bare({ "33": { llama: { warm: true } }, "27": { "SG161222/RealVisXL_V4.0": { warm: true } } });
    const expected: Item[] = [
      { pipeline: "text-to-image", model: "SG161222/RealVisXL_V4.0", gpus: [] },
      { pipeline: "llm", model: "llama", gpus: [] },
    ];
    assert.equal(itemsOf(entry), expected);
    const columns = rowsOf(entry).map((row) => [row.pipeline, row.model_id, row.gpu_id, row.capability_id]);
    assert.equal(columns, [["text-to-image", "SG161222/RealVisXL_V4.0", null, 27], ["llm", "llama", null, 33]]);
  });

  test("PerCapabilityPath_IgnoresBYOCCapability37", () => {
    assert.equal(itemsOf(bare({ "37": { "openai-chat-completions": { warm: true } } })), [PLACEHOLDER]);
    assert.is(rowsOf(bare({ "37": { "openai-chat-completions": { warm: true } } })).length, 1);
  });

  test("PerCapabilityPath_WarmerModelsFirst", () => {
    const models = itemsOf(bare({ "35": { cold: {}, warm: { warm: true } } })).map((item) => item.model);
    assert.equal(models, ["warm", "cold"]);
  });

  test("FallbackPlaceholderWhenNeitherHardwareNorPerCapability (ours needs a canonical address to be a candidate)", () => {
    const nameless = { local_address: HOT };
    assert.equal(nodesOf(nameless), []);
    assert.equal(nodesOf({ ...nameless, address: CANONICAL })[0]!.items, [PLACEHOLDER]);
    const [row] = rowsOf(nameless);
    assert.equal([row!.orchestrator_proxy_address, row!.pipeline, row!.model_id, row!.gpu_id], [HOT, "", "", null]);
  });

  test("HardwarePathTakesPrecedenceOverPerCapability", () => {
    const entry = { ...bare({ "27": { other: { warm: true } } }), hardware: [hardwareWire()] };
    assert.equal(itemsOf(entry), [{ pipeline: "live-video-to-video", model: "streamdiffusion-sdxl", gpus: ["GPU-a"] }]);
    assert.is(rowsOf(entry).length, 1);
  });
});

describe("capability snapshots: what the rows and candidates hold", (test) => {
  test("a node: wallets and URL in normal form, pipeline and model as advertised", () => {
    const hardware = hardwareWire({ pipeline: " Live-Video-to-Video ", model_id: " StreamDiffusion-SDXL " });
    const [node] = nodesOf(entryWire({ orch_uri: ` ${NODE.toUpperCase()}/ `, hardware: [hardware] }));
    assert.equal(node, {
      canonical: CANONICAL,
      hot: HOT,
      url: NODE,
      items: [{ pipeline: "Live-Video-to-Video", model: "StreamDiffusion-SDXL", gpus: ["GPU-a"] }],
    });
  });

  test("a row states everything that the entry says of its GPU", () => {
    const { head } = capabilities([entryWire()]);
    assert.equal(rowsOf(entryWire()), [{
      source: "cloud_spe",
      source_event_uid: head.uid,
      source_event_id: head.id,
      snapshot_ts: SENT_MS,
      orchestrator_address: CANONICAL,
      orchestrator_proxy_address: HOT,
      orchestrator_url: NODE,
      pipeline: "live-video-to-video",
      model_id: "streamdiffusion-sdxl",
      capability_id: 35,
      capability_name: "Live video to video",
      capability_group: "live-video",
      capability_catalog_version: "v1",
      gpu_id: "GPU-a",
      gpu_name: "NVIDIA GeForce RTX 4090",
      gpu_memory_total: 34_190_917_632,
      gpu_major: 8,
      gpu_minor: 9,
      runner_version: "0.14.1",
      region: null,
    }]);
  });

  test("a snapshot has the identity and the time of its message", () => {
    const event = capabilities([entryWire()]);
    const { source, uid, timeMs } = snapshotOf(event);
    assert.equal({ source, uid, timeMs }, { source: "cloud_spe", uid: event.head.uid, timeMs: SENT_MS });
  });

  test("hardware null, absent or empty: the node is kept (upstream dropped it)", () => {
    for (const hardware of [null, undefined, []]) {
      assert.equal(itemsOf(entryWire({ hardware })), [
        { pipeline: "live-video-to-video", model: "streamdiffusion-sdxl", gpus: [] },
      ]);
      assert.equal(rowsOf(entryWire({ hardware })).map((row) => row.gpu_id), [null]);
    }
  });

  test("constraints missing or empty in any way: a placeholder", () => {
    const none = [
      undefined,
      null,
      {},
      { constraints: null },
      { constraints: {} },
      { constraints: { PerCapability: {} } },
      { constraints: { PerCapability: null } },
      { constraints: perCapability({ "35": {} }) },
      { constraints: { PerCapability: { "35": {} } } },
      { constraints: { PerCapability: { "35": null } } },
    ];
    for (const capabilities of none) {
      assert.equal(itemsOf(entryWire({ hardware: null, capabilities })), [PLACEHOLDER], JSON.stringify(capabilities));
    }
  });

  test("several GPUs in one element are one candidate and a row each", () => {
    const five = Object.fromEntries([4, 3, 2, 1, 0].map((at) => [String(at), gpuWire(`GPU-${at}`)]));
    assert.equal(itemsOf(withGpus(five))[0]!.gpus, ["GPU-0", "GPU-1", "GPU-2", "GPU-3", "GPU-4"]);
    assert.is(rowsOf(withGpus(five)).length, 5);
  });

  test("elements of one model are one candidate with all their GPUs, each once", () => {
    const element = (...ids: string[]) => hardwareWire({ gpu_info: ids.map((id) => gpuWire(id)) });
    const items = itemsOf(withHardware(element("GPU-c"), element("GPU-a", "GPU-c"), element("GPU-b")));
    assert.equal(items.map((item) => item.gpus), [["GPU-a", "GPU-b", "GPU-c"]]);
    assert.is(rowsOf(withHardware(element("GPU-c"), element("GPU-a", "GPU-c"), element("GPU-b"))).length, 3);
  });

  test("two models on one GPU are two candidates and two rows", () => {
    const entry = withHardware(hardwareWire(), hardwareWire({ model_id: "streamdiffusion-sdxl-v2v" }));
    const expected = [["streamdiffusion-sdxl", "GPU-a"], ["streamdiffusion-sdxl-v2v", "GPU-a"]];
    assert.equal(itemsOf(entry).map((item) => [item.model, ...item.gpus]), expected);
    assert.equal(rowsOf(entry).map((row) => [row.model_id, row.gpu_id]), expected);
  });

  test("an element without GPUs is one candidate and one row without any", () => {
    for (const gpu_info of [null, undefined, {}, []]) {
      assert.equal(itemsOf(withGpus(gpu_info))[0]!.gpus, []);
      assert.equal(rowsOf(withGpus(gpu_info)).map((row) => row.gpu_id), [null]);
    }
  });

  test("GPUs without an id are skipped, ids are trimmed, their case is kept", () => {
    const gpus = [gpuWire(""), gpuWire("  "), { name: "nameless" }, gpuWire(" GPU-a\n")];
    assert.equal(itemsOf(withGpus(gpus))[0]!.gpus, ["GPU-a"]);
    assert.equal(rowsOf(withGpus(gpus)).map((row) => row.gpu_id), ["GPU-a"]);
    assert.equal(rowsOf(withGpus([gpuWire(" ")])).map((row) => row.gpu_id), [null]);
  });

  test("compute capability: minor is 0 where it is left out, and unknown where all of it is", () => {
    const versions = [{ major: 12, minor: undefined }, { major: undefined, minor: undefined }, { major: 8, minor: 6 }];
    const columns = versions.map((fields) => rowsOf(withGpus([gpuWire("g", fields)]))[0]!);
    assert.equal(columns.map((row) => [row.gpu_major, row.gpu_minor]), [[12, 0], [null, null], [8, 6]]);
  });

  test("numbers of a GPU that its columns could not hold are unknown, and the GPU stays", () => {
    for (
      const fields of [{ memory_total: -1, major: 256, minor: "x" }, { memory_total: 2 ** 53, major: [], minor: {} }]
    ) {
      const [row] = rowsOf(withGpus([gpuWire("g", { ...fields, name: 5 })]));
      assert.equal([row!.gpu_id, row!.gpu_memory_total, row!.gpu_major, row!.gpu_name], ["g", null, null, null]);
    }
  });

  test("models without hardware: warm first, then more free slots, then by name; missing numbers are 0", () => {
    const models = {
      b: { capacity: 1 },
      a: { capacity: 1 },
      idle: { capacity: 4 },
      busy: { capacityInUse: 4 },
      none: null,
      warm: { warm: true },
      hot: { warm: true, capacity: 2, runnerVersion: "1" },
    };
    const names = itemsOf(bare({ "35": models })).map((item) => item.model);
    assert.equal(names, ["hot", "warm", "idle", "a", "b", "busy", "none"]);
  });

  test("of the capabilities of a node without hardware only 27 to 36 tell a model", () => {
    const ids = [0, 12, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 1_000];
    const entry = bare(Object.fromEntries(ids.map((id) => [String(id), { [`m${id}`]: { warm: true } }])));
    const models = itemsOf(entry).map((item) => item.model);
    assert.equal(models.sort(), ["m27", "m28", "m29", "m30", "m31", "m32", "m33", "m34", "m35", "m36"]);
    assert.ok(itemsOf(entry).every((item) => item.pipeline !== ""));
  });

  test("the same model under two capabilities is two candidates", () => {
    const items = itemsOf(bare({ "27": { m: { warm: true } }, "28": { m: { warm: true } } }));
    assert.equal(items.map((item) => item.pipeline).sort(), ["image-to-image", "text-to-image"]);
  });

  test("an external runner's model that no constraint names has no capability id", () => {
    const entry = withHardware(hardwareWire({ pipeline: "openai-chat-completions", model_id: "x", gpu_info: null }));
    const [row] = rowsOf(entry);
    assert.equal([row!.pipeline, row!.capability_id, row!.capability_name], ["openai-chat-completions", -1, "Unused"]);
    assert.is(itemsOf(entry)[0]!.pipeline, "openai-chat-completions");
  });
});

describe("capability snapshots: the constraint of a hardware element", (test) => {
  const [entry] = capabilities([entryWire()]).payload.entries;
  const element = entry!.hardware[0]!;
  const constraint = entry!.constraints[0]!;

  test("is the only one that names its model, or the first of those that runs its pipeline", () => {
    const model = fc.constantFrom("", "a", "b", "c");
    const pipeline = fc.constantFrom("", "text-to-image", " Image-to-Image ", "live-video-to-video", "no pipeline");
    const constraints = fc.array(fc.record({ model, capabilityId: fc.constantFrom(0, 1, 27, 28, 35, 37, 1_000) }));
    fc.assert(
      fc.property(fc.array(fc.record({ model, pipeline }), { minLength: 1 }), constraints, (hardware, all) => {
        const advertises = {
          ...entry!,
          hardware: hardware.map((one) => ({ ...element, ...one })),
          constraints: all.map((one) => ({ ...constraint, ...one })),
        };
        const lines = linesOf(advertises);
        assert.is(lines.length, hardware.length);
        for (const [nth, { model, pipeline }] of hardware.entries()) {
          const naming = advertises.constraints.filter((one) => one.model === model);
          const runsIt = naming.find((one) => capabilityOf(one.capabilityId).pipeline === canonicalPipeline(pipeline));
          assert.is(lines[nth]!.constraint, naming.length < 2 ? naming[0] : runsIt);
        }
      }),
      { numRuns: 300, includeErrorInReport: true },
    );
  });

  test("is found without looking at each of the others for each element", () => {
    const COUNT = 2_000;
    for (const modelOf of [(nth: number) => `model-${nth}`, () => "one model"]) {
      let looks = 0;
      const constraints = Array.from({ length: COUNT }, (_, nth) => ({
        ...constraint,
        get model() {
          looks++;
          return modelOf(nth);
        },
        get capabilityId() {
          looks++;
          return nth;
        },
      }));
      const hardware = constraints.map((_, nth) => ({ ...element, model: modelOf(nth), pipeline: "upscale" }));
      assert.is(linesOf({ ...entry!, hardware, constraints }).length, COUNT);
      assert.ok(looks < 100 * COUNT, `${looks} looks`);
    }
  });
});

describe("capability snapshots: several entries", (test) => {
  test("an exact duplicate counts once", () => {
    assert.is(nodesOf(entryWire(), entryWire()).length, 1);
    assert.is(rowsOf(entryWire(), entryWire()).length, 1);
  });

  test("one address at several URIs is several nodes", () => {
    const urls = ["https://ai.a:1", "https://ai2.a:1", "https://ai4.a:1"];
    const entries = urls.map((orch_uri) => entryWire({ orch_uri }));
    assert.equal(nodesOf(...entries).map((node) => node.url), urls);
    assert.equal(rowsOf(...entries).map((row) => row.orchestrator_url), urls);
  });

  test("one hot wallet of two canonical ones is two nodes", () => {
    const entries = ["0xaa", "0xbb"].map((address) => entryWire({ address }));
    assert.equal(nodesOf(...entries).map((node) => [node.canonical, node.hot]), [["0xaa", HOT], ["0xbb", HOT]]);
    assert.is(rowsOf(...entries).length, 2);
  });

  test("an entry without canonical address gives a row but no node, so that no hot wallet passes for one", () => {
    for (const address of ["", "  ", null, undefined]) {
      assert.equal(nodesOf(entryWire({ address })), []);
      assert.equal(rowsOf(entryWire({ address })).map((row) => row.orchestrator_address), [""]);
    }
  });

  test("the old name of orch_uri is read where that is missing", () => {
    for (const orch_uri of [undefined, null, ""]) assert.is(nodesOf(entryWire({ orch_uri, uri: NODE }))[0]!.url, NODE);
    assert.is(nodesOf(entryWire({ uri: "https://other" }))[0]!.url, NODE);
  });

  test("an entry that cannot be read is left out and counted, and the others are used", () => {
    const unreadable = [
      { address: 5 },
      { local_address: [] },
      { orch_uri: {} },
      { hardware: "x" },
      { hardware: [5] },
      { hardware: [hardwareWire({ model_id: 5 })] },
      { hardware: [hardwareWire({ pipeline: {} })] },
      { capabilities: 5 },
    ].map(entryWire);
    for (const entry of unreadable) {
      const { payload } = capabilities([entry, entryWire({ orch_uri: "https://good" })]);
      assert.is(payload.unreadable, 1, JSON.stringify(entry).slice(0, 80));
      assert.equal(payload.entries.map((one) => one.url), ["https://good"]);
    }
    assert.is(capabilities(unreadable).payload.unreadable, unreadable.length);
  });

  test("an array where an entry's section is an object cannot be read", () => {
    for (const fields of [{ hardware: [["x"]] }, { capabilities: ["x"] }]) {
      assert.is(capabilities([entryWire(fields)]).payload.unreadable, 1, JSON.stringify(fields));
    }
  });

  test("prices and versions are side facts: unreadable ones do not hide the node", () => {
    const sides = [
      { capabilities_prices: [null] },
      { capabilities_prices: [5] },
      { capabilities_prices: { pricePerUnit: 5 } },
      { capabilities_prices: [{ pricePerUnit: "x", capability: [], constraint: 5 }] },
      {
        capabilities: { version: 5, capacities: [1], constraints: { PerCapability: { x: 1, "35": { models: [1] } } } },
      },
    ];
    for (const side of sides) assert.is(nodesOf(entryWire(side)).length, 1, JSON.stringify(side));
  });

  test("a GPU that is null is a missing one", () => {
    const gpus = { "0": null, "1": gpuWire("GPU-b") };
    assert.is(capabilities([withGpus(gpus)]).payload.unreadable, 0);
    assert.equal(itemsOf(withGpus(gpus))[0]!.gpus, ["GPU-b"]);
  });

  test("unreadable entries are counted by the partition", () => {
    const { effects } = taken([entryWire({ address: 5 }), entryWire(), entryWire({ hardware: 1 })]);
    assert.is(effects.counts.get("capability_entries_unreadable"), 2);
  });
});

/** What the owner of the capability partition does with a message. */
function taken(entries: unknown[]) {
  const feed = new SnapshotFeed({ allowedLatenessMs: 3_600_000, mostSightings: 100_000 });
  const ttl = { beforeMs: 86_400_000, afterMs: 86_400_000 };
  const bounds = { mostSessions: 100, sessionLagMs: 0, leftOut: new Set<string>(), mostOpen: 100, mostSeen: 100 };
  const settings = { ttl, allowedLatenessMs: 3_600_000, generation: 1, contentHash: "", ...bounds };
  const state = new PartitionState(settings, feed, FROM_THE_START);
  state.take(stored(capabilitiesWire(entries)));
  return { effects: state.seal() };
}

describe("capability snapshots: their entry in the bucket", (test) => {
  test("is the snapshot as JSON, under its source and uid", () => {
    const event = capabilities([entryWire()]);
    const [change] = taken([entryWire()]).effects.state;
    assert.is(change!.bucket, "capability_snapshots");
    assert.is(change!.key, `cloud_spe.${event.head.uid.replace("~", "=7E")}`);
    assert.equal(readSnapshotEntry(change!.value!), snapshotOf(event));
  });

  test("stays below the 1 MiB that a server takes, however many entries a message packs", () => {
    const entries = Array.from({ length: 40_000 }, (_, at) => ({ address: `0x${at}` }));
    assert.ok(bytesOf(capabilitiesWire(entries)).length < LARGEST_MESSAGE);
    if (outcomeOf(capabilitiesWire(entries)) !== "accepted") return;
    for (const { value } of taken(entries).effects.state) {
      assert.ok(value!.length < 1_048_576, `${value!.length} characters`);
    }
  });
});
