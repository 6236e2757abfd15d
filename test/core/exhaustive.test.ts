/**
 * Small worlds, all of their schedules: every order of arrival, with every single duplication and every crash point,
 * gives one folded state, and it is the oracle's.
 *
 * Up to five events every duplication meets every crash point. With six and seven each stands alone, for every order;
 * `LATECOMER_EXHAUSTIVE=full` takes their product there too: eight million schedules, so run this file by itself then.
 */
import * as assert from "uvu/assert";
import {
  deliver,
  deliveries,
  deliverWithCrashes,
  type Delivery,
  duplications,
  type End,
  isTable,
  permutations,
} from "../helpers/exhaustive.ts";
import {
  capabilities,
  node,
  type NodeFields,
  status,
  type StatusFields,
  uuidOf,
  type Wire,
} from "../helpers/events.ts";
import { differences, verdicts } from "../helpers/oracle.ts";
import { describe } from "../helpers/suite.ts";
import { DEFAULTS, inOrder } from "../helpers/world.ts";

const IS_FULL = process.env.LATECOMER_EXHAUSTIVE === "full";

/** What depends on the runtime shows in the small ones; the other schedules take minutes, and are the same there. */
const IS_DENO = "Deno" in globalThis;

/** Up to so many events the product of duplications and crash points is everyday work. */
const MOST_IN_PRODUCT = 5;

const SECOND = 1_000;
const TTL = { beforeMs: 10 * SECOND, afterMs: 10 * SECOND };
/** No order makes a snapshot late: every instant lies within it. */
const LATENESS = 60 * SECOND;

/** Two nodes of different orchestrators that share a hot wallet, each with a model of its own. */
const A = { url: "https://a" };
const B = { url: "https://b" };
const a = (...gpus: string[]): NodeFields => node("0xca", "m-one", gpus, A);
const b = (...gpus: string[]): NodeFields => node("0xcb", "m-two", gpus, B);
const at = (second: number, nodes: readonly NodeFields[], source = "s1"): Wire =>
  capabilities({
    at: second * SECOND,
    id: `c${second}-${nodes.map((one) => one.hardware?.[0]?.gpus).join()}`,
    source,
    nodes,
  });
const sample = (id: string, second: number, fields: Partial<StatusFields>): Wire =>
  status({ id: uuidOf(id.charCodeAt(0)), at: second * SECOND, source: "s1", wallet: "0xhot", request: id, ...fields });

interface Small {
  readonly name: string;
  readonly partitions?: number;
  readonly events: readonly Wire[];
  /**
   * Schedules in the everyday suite, and in full. Of n events with c snapshots and p partitions there are n! orders, each
   * with n (n + 1) / 2 duplications and 5 (n + c p) crash points, five for every commit; a duplicate adds its own.
   */
  readonly everyday: number;
  readonly full: number;
}

const WORLDS: readonly Small[] = [
  {
    name: "3 events, a sample between two snapshots of its node",
    events: [at(20, [a("G1")]), at(24, [a("G2")]), sample("x", 22, { ...A, model: "m-one" })],
    everyday: 1_392,
    full: 1_392,
  },
  {
    name: "3 events, a sample without url that a second orchestrator makes ambiguous",
    events: [at(20, [a("G1")]), at(21, [b("G2")]), sample("x", 22, {})],
    everyday: 1_392,
    full: 1_392,
  },
  {
    name: "4 events, two snapshots of one instant that only the tie-break tells apart, two partitions",
    partitions: 2,
    events: [
      at(20, [a("G1"), b("G2")]),
      at(20, [a("G3"), b("G2")]),
      sample("x", 20, { ...A, model: "m-one" }),
      sample("y", 22, { ...B, model: "m-one" }),
    ],
    everyday: 13_224,
    full: 13_224,
  },
  {
    name: "4 events, one id in two sources that know different nodes",
    events: [
      at(20, [a("G1")]),
      at(20, [a("G2")], "s2"),
      sample("x", 22, { ...A, model: "m-one" }),
      sample("x", 22, { ...A, model: "m-one", source: "s2" }),
    ],
    everyday: 9_984,
    full: 9_984,
  },
  {
    name: "5 events, samples with and without url and hint at the ends of the TTL",
    events: [
      at(20, [a("G1"), b("G2")]),
      at(30, [a("G3")]),
      sample("x", 30, { ...A }),
      sample("y", 10, { url: "", model: "m-two" }),
      sample("z", 31, { ...A, model: "m-one" }),
    ],
    everyday: 81_720,
    full: 81_720,
  },
  {
    name: "6 events, two sources, a wallet known only elsewhere, a model that the node does not have",
    events: [
      at(20, [a("G1")]),
      at(23, [b("G2")]),
      at(22, [b("G4", "G3")], "s2"),
      sample("x", 22, { ...B, model: "m-two" }),
      sample("y", 22, { ...A, model: "m-two" }),
      sample("x", 22, { url: "", source: "s2" }),
    ],
    everyday: 48_240,
    full: 842_040,
  },
  {
    name: "7 events, two snapshots and five samples of every kind",
    events: [
      at(20, [a("G1")]),
      at(24, [a("G3"), b("G2")]),
      sample("v", 22, { model: "m-two" }),
      sample("w", 22, { ...A, model: "m-one" }),
      sample("x", 24, { ...A }),
      sample("y", 13, { url: "" }),
      sample("z", 25, { ...B, wallet: "", model: "m-one" }),
    ],
    everyday: 372_960,
    full: 7_630_560,
  },
];

/** Runs every schedule of a world and returns how many there were. */
function runAll({ events, partitions = 1 }: Small): number {
  const settings = { ...DEFAULTS, ttl: TTL, allowedLatenessMs: LATENESS, partitions };
  const reference = inOrder(events, settings);
  assert.equal(differences(reference.rows("fact_stream_status_samples"), verdicts(reference.events(), TTL)), []);
  const all = deliveries(events, partitions);
  const inProduct = IS_FULL || events.length <= MOST_IN_PRODUCT;
  let count = 0;
  const check = (order: readonly Delivery[], ends: Iterable<End>) => {
    for (const { world, crash } of ends) {
      count++;
      if (isTable(world.table, reference.table)) continue;
      const names = order.map((one) => all.indexOf(one));
      assert.equal(world.rows(), reference.rows(), JSON.stringify({ order: names, crash }));
    }
  };
  for (const order of permutations(all)) {
    check(order, deliverWithCrashes(order, settings));
    for (const twice of duplications(order)) {
      check(twice, inProduct ? deliverWithCrashes(twice, settings) : [deliver(twice, settings)]);
    }
  }
  return count;
}

describe("every schedule of a small world", (test) => {
  for (const world of WORLDS.filter(({ events }) => !IS_DENO || events.length <= MOST_IN_PRODUCT)) {
    const expected = IS_FULL ? world.full : world.everyday;
    test(`${world.name}: ${expected} schedules, one state, the oracle's`, () => {
      assert.is(runAll(world), expected);
    });
  }
});
