/**
 * Capability snapshots: the real listings and messages, against an independent reading of their fields that
 * shares no code with the decoder.
 */
import * as assert from "uvu/assert";
import { capabilityOf } from "../../src/core/catalogue.ts";
import type { Row } from "../../src/core/emit/row.ts";
import { snapshotOf } from "../../src/core/snapshot.ts";
import { describe } from "../helpers/suite.ts";
import { capabilitiesWire, eventOf, productionLines, productionListing, rowsIn, SENT_MS } from "../helpers/wire.ts";

/** What the real entries hold; nothing here is optional that is always there. */
interface Entry {
  readonly address: string;
  readonly local_address: string;
  readonly orch_uri: string;
  readonly capabilities: {
    readonly constraints?: { readonly PerCapability?: Readonly<Record<string, { readonly models: object }>> };
  };
  readonly hardware?:
    | readonly {
      readonly pipeline: string;
      readonly model_id: string;
      readonly gpu_info?: Readonly<Record<string, { readonly id: string }>>;
    }[]
    | null;
}

const listingOf = (name: Parameters<typeof productionListing>[0]) => productionListing(name) as unknown as Entry[];
const capabilities = (entries: readonly unknown[]) => eventOf("network_capabilities", capabilitiesWire(entries));
const rowsOf = (...entries: unknown[]): Row[] => rowsIn("dim_orchestrator_capability_snapshots", capabilities(entries));

/** Every (node, pipeline, model, GPU) that a listing states, by the plainest reading of its fields. */
function plainKeys(entries: readonly Entry[]): Set<string> {
  const keys = new Set<string>();
  for (const entry of entries) {
    const node = [entry.address, entry.local_address, entry.orch_uri].map((text) => String(text).toLowerCase());
    let lines = 0;
    for (const element of entry.hardware ?? []) {
      const gpus: (string | null)[] = Object.values(element.gpu_info ?? {}).map((gpu) => gpu.id);
      for (const gpu of gpus.length > 0 ? gpus : [null]) {
        keys.add(JSON.stringify([...node, element.pipeline, element.model_id, gpu]));
        lines++;
      }
    }
    const byId = lines > 0 ? {} : entry.capabilities?.constraints?.PerCapability ?? {};
    for (const id of Object.keys(byId)) {
      if (Number(id) < 27 || Number(id) > 36) continue;
      for (const model of Object.keys(byId[id]!.models)) {
        keys.add(JSON.stringify([...node, capabilityOf(Number(id)).pipeline, model, null]));
        lines++;
      }
    }
    if (lines === 0) keys.add(JSON.stringify([...node, "", "", null]));
  }
  return keys;
}

function keyOf(row: Row): string {
  const node = [row.orchestrator_address, row.orchestrator_proxy_address, row.orchestrator_url];
  return JSON.stringify([...node, row.pipeline, row.model_id, row.gpu_id]);
}

describe("capability snapshots: the real ones", (test) => {
  /** Rows with hardware are those that upstream's own parser made of the same two listings. */
  const listings = [
    { name: "network", entries: 53, withHardware: 22 },
    { name: "ai-batch-byoc", entries: 40, withHardware: 45 },
  ] as const;
  for (const { name, entries, withHardware } of listings) {
    test(`the ${name} listing gives a row for everything that a plain reading finds, and nothing else`, () => {
      const listing = listingOf(name);
      assert.is(listing.length, entries);
      const rows = rowsOf(...listing);
      assert.equal(rows.map(keyOf).sort(), [...plainKeys(listing)].sort());
      const onHardware = listing.filter((entry) => entry.hardware?.length);
      assert.is(rowsOf(...onHardware).length, withHardware);
    });

    test(`the ${name} listing gives one node per distinct entry, each with something to run`, () => {
      const listing = listingOf(name);
      const nodes = snapshotOf(capabilities(listing)).nodes;
      const distinct = new Set(
        listing.map((entry) => [entry.address, entry.local_address, entry.orch_uri].join().toLowerCase()),
      );
      assert.is(nodes.length, distinct.size);
      for (const { items } of nodes) assert.ok(items.length > 0);
      const gpus = new Set(nodes.flatMap(({ items }) => items.flatMap((item) => item.gpus)));
      assert.equal(
        gpus,
        new Set(rowsOf(...listing).flatMap((row) => typeof row.gpu_id === "string" ? [row.gpu_id] : [])),
      );
    });
  }

  test("so does every capability message of the logs", () => {
    const messages = productionLines().map((line) => JSON.parse(line)).filter(({ type }) =>
      type === "network_capabilities"
    );
    assert.is(messages.length, 10);
    for (const message of messages) {
      const event = eventOf("network_capabilities", { ...message, timestamp: SENT_MS });
      assert.equal(
        rowsIn("dim_orchestrator_capability_snapshots", event).map(keyOf).sort(),
        [...plainKeys(message.data)].sort(),
      );
    }
  });
});
