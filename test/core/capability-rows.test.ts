/**
 * The rows of a capability message: four families in the typed tables, and the dimension of the snapshots. What upstream's
 * filling rules got wrong is here by name.
 */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { capabilityOf, CATALOGUE } from "../../src/core/catalogue.ts";
import { catalogueRows } from "../../src/core/emit/capabilities.ts";
import type { Row, Table } from "../../src/core/emit/row.ts";
import { checkCells } from "../helpers/columns.ts";
import { describe } from "../helpers/suite.ts";
import {
  CANONICAL,
  capabilitiesWire,
  entryWire,
  eventOf,
  gpuWire,
  hardwareWire,
  HOT,
  NODE,
  perCapability,
  productionLines,
  productionListing,
  rowsByTable,
  rowsIn,
  SENT_MS,
  type Wire,
} from "../helpers/wire.ts";

const messageOf = (entries: readonly unknown[]) => eventOf("network_capabilities", capabilitiesWire(entries));
const rowsOf = (table: Table, ...entries: unknown[]): Row[] => rowsIn(table, messageOf(entries));
const items = (...entries: unknown[]) => rowsOf("raw_network_capabilities", ...entries);
const advertised = (...entries: unknown[]) => rowsOf("raw_network_capabilities_advertised", ...entries);
const constraints = (...entries: unknown[]) => rowsOf("raw_network_capabilities_model_constraints", ...entries);
const prices = (...entries: unknown[]) => rowsOf("raw_network_capabilities_prices", ...entries);

/** An entry whose node runs these hardware elements and serves these models, by capability id and name. */
function nodeWith(
  hardware: readonly Wire[],
  models: Record<string, Record<string, unknown>>,
  more: Wire = {},
): Wire {
  return entryWire({
    hardware: hardware.map(hardwareWire),
    capabilities: { constraints: perCapability(models) },
    ...more,
  });
}

const priceOf = (capability: unknown, constraint: unknown, pricePerUnit: unknown, pixelsPerUnit: unknown = 1) => ({
  capability,
  constraint,
  pricePerUnit,
  pixelsPerUnit,
});

/** What a row says of its model's constraint and price. */
const claims = (row: Row) => [row.capability_id, row.runner_version, row.capacity, row.price_per_unit];

describe("capability rows: the families", (test) => {
  const { head } = messageOf([entryWire()]);
  const node = { orchestrator_address: CANONICAL, local_address: HOT, orch_uri: NODE };
  const event = { source: "cloud_spe", raw_event_uid: head.uid, source_event_id: head.id, event_timestamp: SENT_MS };
  const live = {
    capability_id: 35,
    capability_name: "Live video to video",
    capability_group: "live-video",
    capability_catalog_version: "v1",
  };

  test("a GPU of a hardware element, with the constraint and the price of its model", () => {
    assert.equal(items(entryWire()), [{
      ...event,
      ...node,
      pipeline: "live-video-to-video",
      model_id: "streamdiffusion-sdxl",
      gpu_id: "GPU-a",
      gpu_name: "NVIDIA GeForce RTX 4090",
      gpu_memory_total: 34_190_917_632,
      gpu_memory_free: 25_246_564_352,
      gpu_major: 8,
      gpu_minor: 9,
      ...live,
      runner_version: "0.14.1",
      capacity: 1,
      capacity_in_use: 0,
      warm: 1,
      price_per_unit: 2_425,
      pixels_per_unit: 1,
      orchestrator_version: "0.8.9",
    }]);
  });

  test("a capability that a node advertises", () => {
    const h264 = { capability_id: 0, capability_name: "H.264", capability_group: "transcoding" };
    assert.equal(advertised(entryWire()), [
      { ...event, ...node, ...live, ...h264, capacity: 1 },
      { ...event, ...node, ...live, capacity: 1 },
    ]);
  });

  test("a model that a node serves under a capability", () => {
    const served = {
      model_id: "streamdiffusion-sdxl",
      runner_version: "0.14.1",
      capacity: 1,
      capacity_in_use: 0,
      warm: 1,
    };
    assert.equal(constraints(entryWire()), [{ ...event, ...node, ...live, ...served }]);
  });

  test("a price that a node asks", () => {
    const price = { constraint_name: "streamdiffusion-sdxl", price_per_unit: 2_425, pixels_per_unit: 1 };
    assert.equal(prices(entryWire()), [{ ...event, ...node, ...live, ...price }]);
  });

  /** The names that differ in the dimension of the snapshots. */
  const RENAMED: Readonly<Record<string, string>> = {
    snapshot_ts: "event_timestamp",
    source_event_uid: "raw_event_uid",
    orchestrator_proxy_address: "local_address",
    orchestrator_url: "orch_uri",
  };
  /** A typed row as its dimension must have it. */
  const inDimension = (typed: Row, columns: readonly string[]) => {
    const none = capabilityOf(-1);
    const filled = { ...typed };
    filled.capability_id ??= none.id;
    filled.capability_name ??= none.name;
    filled.capability_group ??= none.group;
    return Object.fromEntries(columns.map((name) => [name, name === "region" ? null : filled[RENAMED[name] ?? name]]));
  };
  test("the snapshots say row by row what the typed table says", () => {
    for (const name of ["network", "ai-batch-byoc"] as const) {
      const rows = rowsByTable(messageOf(productionListing(name)));
      checkCells(rows);
      const snapshots = rows.get("dim_orchestrator_capability_snapshots")!;
      const columns = Object.keys(snapshots[0]!);
      assert.equal(snapshots, rows.get("raw_network_capabilities")!.map((row) => inDimension(row, columns)), name);
    }
  });
});

describe("capability rows: the fan-out of real messages", (test) => {
  interface Entry {
    readonly address: string;
    readonly local_address: string;
    readonly orch_uri: string;
    readonly capabilities: {
      readonly capacities?: Readonly<Record<string, number>>;
      readonly constraints?: { readonly PerCapability?: Readonly<Record<string, { readonly models: object }>> };
    };
    readonly capabilities_prices?: readonly { readonly capability: number; readonly constraint: string }[] | null;
    readonly hardware?: readonly { readonly gpu_info?: object }[] | null;
  }

  /** What a listing states, by the plainest reading of its fields, an entry at a time. */
  function plain(entries: readonly Entry[]) {
    const advertised: string[] = [];
    const constraints: string[] = [];
    const prices: string[] = [];
    let onHardware = 0;
    for (const entry of entries) {
      const node = `${entry.address} ${entry.local_address} ${entry.orch_uri}`.toLowerCase();
      for (const id of Object.keys(entry.capabilities.capacities ?? {})) advertised.push(`${node} ${id}`);
      for (const [id, { models }] of Object.entries(entry.capabilities.constraints?.PerCapability ?? {})) {
        for (const model of Object.keys(models)) constraints.push(`${node} ${id} ${model}`);
      }
      for (const one of entry.capabilities_prices ?? []) prices.push(`${node} ${one.capability} ${one.constraint}`);
      for (const { gpu_info } of entry.hardware ?? []) onHardware += Math.max(1, Object.keys(gpu_info ?? {}).length);
    }
    return { advertised, constraints, prices, onHardware };
  }

  const nodeIn = (row: Row) => `${row.orchestrator_address} ${row.local_address} ${row.orch_uri}`;
  const checked = (entries: readonly Entry[]) => {
    const stated = plain(entries);
    const keys = {
      advertised: advertised(...entries).map((row) => `${nodeIn(row)} ${row.capability_id}`),
      constraints: constraints(...entries).map((row) => `${nodeIn(row)} ${row.capability_id} ${row.model_id}`),
      prices: prices(...entries).map((row) => `${nodeIn(row)} ${row.capability_id} ${row.constraint_name}`),
    };
    for (const family of ["advertised", "constraints", "prices"] as const) {
      assert.equal(keys[family].toSorted(), [...new Set(stated[family])].sort(), family);
    }
    return stated;
  };

  /** The counts are those of upstream's parser for the same listings, where an entry listed twice counts twice. */
  const LISTINGS = [
    { name: "network", onHardware: 22, advertised: 1_235, constraints: 18, prices: 44 },
    { name: "ai-batch-byoc", onHardware: 45, advertised: 911, constraints: 29, prices: 39 },
  ] as const;
  for (const { name, ...counts } of LISTINGS) {
    test(`the ${name} listing: ${Object.values(counts).join(", ")} rows, each told once`, () => {
      const stated = checked(productionListing(name) as unknown as Entry[]);
      const { onHardware } = stated;
      const [advertised, constraints] = [stated.advertised.length, stated.constraints.length];
      assert.equal({ onHardware, advertised, constraints, prices: stated.prices.length }, counts);
    });
  }

  test("every capability message of the logs", () => {
    const messages = productionLines().map((line) => JSON.parse(line)).filter(({ type }) =>
      type === "network_capabilities"
    );
    assert.is(messages.length, 10);
    for (const { data } of messages) checked(data);
  });
});

describe("capability rows: hazards of upstream's filling rules", (test) => {
  test("first constraint: a model that no constraint names has no capability, version, capacity or price", () => {
    const named = { "30": { upscaler: { warm: true, runnerVersion: "9.9", capacity: 7 } } };
    const entry = nodeWith([{ pipeline: "audio-to-text", model_id: "whisper-large-v3-turbo" }], named, {
      capabilities_prices: [priceOf(30, "upscaler", 5)],
    });
    const [row] = items(entry);
    assert.equal(claims(row!), [null, null, null, null]);
    assert.equal([row!.capability_name, row!.warm, row!.capacity_in_use, row!.pixels_per_unit], [
      null,
      null,
      null,
      null,
    ]);
    const [inDimension] = rowsOf("dim_orchestrator_capability_snapshots", entry);
    assert.equal([inDimension!.capability_id, inDimension!.runner_version], [-1, null]);
  });

  test("first price: sdxl-v2v is not given the price of sdxl", () => {
    const models = { "35": { "streamdiffusion-sdxl-v2v": { warm: true, runnerVersion: "1", capacity: 2 } } };
    const [row] = items(nodeWith([{ model_id: "streamdiffusion-sdxl-v2v" }], models));
    assert.equal(claims(row!), [35, "1", 2, null]);
  });

  test("first price: RealVis is not given the price of the upscaler", () => {
    const [realVis, upscaler] = ["SG161222/RealVisXL_V4.0_Lightning", "stabilityai/stable-diffusion-x4-upscaler"];
    const hardware = [
      { pipeline: "text-to-image", model_id: realVis },
      { pipeline: "upscale", model_id: upscaler, gpu_info: { "0": gpuWire("GPU-b") } },
    ];
    const rows = items(nodeWith(hardware, { "27": { [realVis]: {} }, "30": { [upscaler]: {} } }, {
      capabilities_prices: [priceOf(30, upscaler, 100), priceOf(27, realVis, 7)],
    }));
    assert.equal(rows.map((row) => [row.model_id, row.price_per_unit]), [[realVis, 7], [upscaler, 100]]);
  });

  test("a price of the same model under another capability is not taken", () => {
    const models = { "27": { m: { capacity: 1 } } };
    const price = { capabilities_prices: [priceOf(28, "m", 5), priceOf(undefined, "m", 6)] };
    const [row] = items(nodeWith([{ pipeline: "text-to-image", model_id: "m" }], models, price));
    assert.equal(claims(row!), [27, null, 1, null]);
  });

  test("the first price that names both, or none", () => {
    const [capability, model] = [fc.constantFrom(27, 28, 35, -1, undefined), fc.constantFrom("a", "b", "27 a", "")];
    const priced = fc.array(fc.record({ capability, model, wei: fc.nat(9) }));
    fc.assert(
      fc.property(priced, (all) => {
        const models = { "27": { a: {} }, "28": { b: {}, "27 a": {} } };
        const hardware = ["a", "b", "27 a", "c"].map((model_id) => ({ model_id, gpu_info: null }));
        const listed = {
          capabilities_prices: all.map(({ capability, model, wei }) => priceOf(capability, model, wei)),
        };
        const rows = items(nodeWith(hardware, models, listed));
        assert.is(rows.length, hardware.length);
        for (const { capability_id, model_id, price_per_unit } of rows) {
          const price = all.find(({ capability, model }) => capability === capability_id && model === model_id);
          assert.is(price_per_unit, price?.wei ?? null);
        }
      }),
      { numRuns: 100, includeErrorInReport: true },
    );
  });

  test("an external runner is not given capability 37 by its price", () => {
    const [row] = items(nodeWith([{ pipeline: "openai-chat-completions", model_id: "qwen", gpu_info: null }], {}, {
      capabilities_prices: [priceOf(37, "openai-chat-completions", 5)],
    }));
    assert.equal(claims(row!), [null, null, null, null]);
  });

  test("a node that knows nothing of its models is given no price that names none", () => {
    const [row] = items(nodeWith([], {}, { hardware: null, capabilities_prices: [priceOf(-1, "", 5)] }));
    assert.equal([row!.model_id, ...claims(row!)], ["", null, null, null, null]);
  });

  test("a model under two capabilities is of the one whose pipeline the element runs", () => {
    const models = { "27": { m: { runnerVersion: "27" } }, "28": { m: { runnerVersion: "28" } } };
    const rows = items(
      nodeWith([{ pipeline: "image-to-image", model_id: "m" }, { pipeline: "Text-To-Image", model_id: "m" }], models),
    );
    assert.equal(rows.map((row) => [row.capability_id, row.runner_version]), [[28, "28"], [27, "27"]]);
  });

  test("a model under two capabilities, neither of which runs the element's pipeline, is of none", () => {
    const models = { "27": { m: { runnerVersion: "27" } }, "28": { m: { runnerVersion: "28" } } };
    const [row] = items(nodeWith([{ pipeline: "a-name-of-its-own", model_id: "m" }], models));
    assert.equal(claims(row!), [null, null, null, null]);
  });

  test("prices of one capability for several models all stay (upstream's key kept one)", () => {
    const list = ["a", "b", "c"].map((model, at) => priceOf(35, model, at));
    assert.equal(prices(entryWire({ capabilities_prices: list })).map((row) => row.price_per_unit), [0, 1, 2]);
  });

  test("a node without hardware keeps its models, with version, capacity and price (upstream had no row)", () => {
    const [row] = items(entryWire({ hardware: null }));
    assert.equal([row!.model_id, row!.gpu_id, ...claims(row!)], ["streamdiffusion-sdxl", null, 35, "0.14.1", 1, 2_425]);
  });
});

describe("capability rows: numbers", (test) => {
  const withModel = (model: unknown) => nodeWith([], { "35": { m: model } }, { hardware: null });

  test("what upstream leaves out at 0 is 0: capacity, capacity in use, price, warm", () => {
    const [row] = constraints(withModel({}));
    assert.equal([row!.capacity, row!.capacity_in_use, row!.warm, row!.runner_version], [0, 0, 0, null]);
    const [price] = prices(entryWire({ capabilities_prices: [{ capability: 35, constraint: "m", pixelsPerUnit: 1 }] }));
    assert.equal([price!.price_per_unit, price!.pixels_per_unit], [0, 1]);
  });

  const KEPT: readonly (readonly [sent: unknown, stored: number])[] = [
    [255, 255],
    [256, 256],
    [67_542, 67_542],
    [4_294_967_296, 4_294_967_296],
    [54_901_722_631, 54_901_722_631],
    [1e14, 1e14],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ["67542", 67_542],
    [2.9, 2],
  ];
  const UNKNOWN = [-1, Number.MAX_SAFE_INTEGER + 1, 1e300, "x", [], {}, true];
  for (const [sent, expected] of [...KEPT, ...UNKNOWN.map((one) => [one, null] as const)]) {
    test(`${JSON.stringify(sent)} is ${expected} as a capacity, a price and its pixels: nothing is wrapped or cut`, () => {
      const [served] = constraints(withModel({ capacity: sent, capacityInUse: sent }));
      assert.equal([served!.capacity, served!.capacity_in_use], [expected, expected]);
      const [price] = prices(entryWire({ capabilities_prices: [priceOf(35, "m", sent, sent)] }));
      assert.equal([price!.price_per_unit, price!.pixels_per_unit], [expected, expected]);
      const [capacity] = advertised(entryWire({ capabilities: { capacities: { "35": sent } } }));
      assert.is(capacity!.capacity, expected);
    });
  }

  test("an advertised capacity that is null is unknown", () => {
    const [row] = advertised(entryWire({ capabilities: { capacities: { "35": null } } }));
    assert.is(row!.capacity, null);
  });

  test("capability ids: unknown ones keep their number, keys that are none are skipped", () => {
    const capacities = { "38": 1, "-2": 1, "999999999": 1, "35": 1, "x": 1, "1.5": 1, "1e3": 1, "9999999999": 1 };
    const rows = advertised(entryWire({ capabilities: { capacities } }));
    assert.equal(rows.map((row) => [row.capability_id, row.capability_name]), [
      [-2, "Invalid"],
      [35, "Live video to video"],
      [38, "unknown"],
      [999_999_999, "unknown"],
    ]);
  });

  test("a price that names no capability has -1, one that names no model has null", () => {
    const [row] = prices(entryWire({ capabilities_prices: [priceOf(undefined, undefined, 5)] }));
    assert.equal([row!.capability_id, row!.capability_name, row!.constraint_name], [-1, "Unused", null]);
  });
});

describe("capability rows: what a message says twice", (test) => {
  const FAMILIES = { items, advertised, constraints, prices };
  for (const [name, rowsFor] of Object.entries(FAMILIES)) {
    test(`an entry that is listed twice gives its ${name} once`, () => {
      // Two messages are two events, so their rows differ in the uid.
      const contents = (...entries: unknown[]) => rowsFor(...entries).map((row) => ({ ...row, raw_event_uid: "" }));
      assert.equal(contents(entryWire(), entryWire()), contents(entryWire()));
    });

    test(`the same of another node of the same orchestrator is another row of the ${name}`, () => {
      const other = entryWire({ orch_uri: "https://other" });
      assert.is(rowsFor(entryWire(), other).length, 2 * rowsFor(entryWire()).length);
    });
  }

  test("of two entries of one node that contradict each other the first counts", () => {
    const one = entryWire({ capabilities: { capacities: { "35": 1 } } });
    const other = entryWire({ capabilities: { capacities: { "35": 2, "36": 3 } } });
    assert.equal(advertised(one, other).map((row) => [row.capability_id, row.capacity]), [[35, 1], [36, 3]]);
  });

  test("of two prices for one thing the first counts, in both tables", () => {
    const entry = entryWire({
      capabilities_prices: [priceOf(35, "streamdiffusion-sdxl", 5), priceOf(35, " streamdiffusion-sdxl ", 6)],
    });
    assert.equal([...prices(entry), ...items(entry)].map((row) => row.price_per_unit), [5, 5]);
  });

  test("names that hold a separator are not taken for one another", () => {
    const models = { "3": { "5 m": {} }, "35": { m: {} } };
    assert.is(constraints(nodeWith([], models, { hardware: null })).length, 2);
  });
});

describe("capability rows: the upstream cases", (test) => {
  test("Attribution001 CapabilitySnapshotsNormalizeAndConverge: a row per snapshot, under one lower-case key", () => {
    const older = messageOf([entryWire({ address: "0xABC", capabilities: { version: "0.7.9" } })]);
    const newer = messageOf([entryWire({ address: " 0xAbc ", capabilities: { version: "0.8.0" } })]);
    const rows = [older, newer].flatMap((event) => rowsIn("raw_network_capabilities", event));
    assert.equal(rows.map((row) => [row.orchestrator_address, row.orchestrator_version]), [
      ["0xabc", "0.7.9"],
      ["0xabc", "0.8.0"],
    ]);
    assert.is.not(rows[0]!.raw_event_uid, rows[1]!.raw_event_uid);
  });

  test("Attribution002 PipelineAndModelStayDistinct", () => {
    const entry = nodeWith([{ pipeline: "text-to-image", model_id: "model-a" }], { "27": { "model-a": {} } });
    for (const table of ["raw_network_capabilities", "dim_orchestrator_capability_snapshots"] as const) {
      assert.equal(rowsOf(table, entry).map((row) => [row.pipeline, row.model_id]), [["text-to-image", "model-a"]]);
    }
  });

  test("Attribution002 AllGPUEntriesFromArrayShape", () => {
    const entry = nodeWith([{ gpu_info: [gpuWire("gpu-a"), gpuWire("gpu-b")] }], {});
    assert.equal(items(entry).map((row) => row.gpu_id), ["gpu-a", "gpu-b"]);
  });

  test("Attribution002 ObjectShapeAndSkipsEmptyIDs", () => {
    const entry = nodeWith([{ gpu_info: { "0": gpuWire(" "), "1": gpuWire("gpu-a"), "2": gpuWire("gpu-b") } }], {});
    assert.equal(items(entry).map((row) => row.gpu_id), ["gpu-a", "gpu-b"]);
  });

  test("Aggregate004/Serving001 HardwareUnresolvedRows: hardware without a GPU keeps its model, the GPU is null", () => {
    const entry = nodeWith([{ gpu_info: null }], { "35": { "streamdiffusion-sdxl": {} } });
    for (const table of ["raw_network_capabilities", "dim_orchestrator_capability_snapshots"] as const) {
      const rows = rowsOf(table, entry);
      assert.equal(rows.map((row) => [row.model_id, row.gpu_id, row.gpu_name]), [["streamdiffusion-sdxl", null, null]]);
    }
  });
});

describe("the capability catalogue as rows", (test) => {
  test("has every capability once, as the rows that quote it say", () => {
    const rows = catalogueRows();
    assert.is(rows.length, CATALOGUE.length);
    assert.is(new Set(rows.map((row) => row.capability_id)).size, rows.length);
    for (const row of rows) {
      const { name, group, pipeline } = capabilityOf(row.capability_id as number);
      assert.equal([row.capability_name, row.capability_group, row.pipeline], [name, group, pipeline]);
      assert.is(row.capability_catalog_version, "v1");
    }
  });
});
