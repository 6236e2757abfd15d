/**
 * Whatever the outside does, the folded facts are one and the same, and they are what the oracle says.
 *
 * `LATECOMER_SEED` replays the seed that a failure prints, `LATECOMER_RUNS` sets the number of worlds.
 */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { capabilities, ENCODINGS, NO_HINT, status, uuidOf, type Wire } from "../helpers/events.ts";
import { differences, verdicts } from "../helpers/oracle.ts";
import { describe } from "../helpers/suite.ts";
import { inOrder, type Step, World, type WorldSettings } from "../helpers/world.ts";

const { LATECOMER_SEED, LATECOMER_RUNS } = process.env;

function check<Value>(worlds: fc.Arbitrary<Value>, runs: number, claim: (value: Value) => void): void {
  fc.assert(fc.property(worlds, claim), {
    includeErrorInReport: true,
    numRuns: LATECOMER_RUNS ? Number(LATECOMER_RUNS) : runs,
    ...(LATECOMER_SEED ? { seed: Number(LATECOMER_SEED) } : {}),
  });
}

/** Instants lie on a coarse grid, so that equal times, equal distances and the bounds of the TTL are common. */
const GRID_MS = 1_000;
const LAST_SLOT = 8;
const SPAN_MS = LAST_SLOT * GRID_MS;

const at = fc.integer({ min: 0, max: LAST_SLOT }).map((slot) => slot * GRID_MS);
const source = fc.constantFrom(...Array<string>(7).fill("s1"), "s2");
const model = fc.constantFrom("m-one", "M-One", "m-one", "m-two", "streamdiffusion-sdxl", "pip_SDXL-turbo", "noop");

const node = fc.record({
  canonical: fc.constantFrom("0xca", "0xca", " 0xCA ", "0xca", "0xcb", ""),
  hot: fc.constantFrom("0xhot", "0xHOT", "0xhot", "0xother", "0xca", ""),
  url: fc.constantFrom("https://a", "https://A/", "https://a", "https://b", ""),
}, { noNullPrototype: true });
const hardware = fc.record({
  model: fc.oneof(model, fc.constant("")),
  pipeline: fc.constantFrom(NO_HINT, NO_HINT, "text-to-image", "noop", ""),
  gpus: fc.subarray(["GPU-3", "GPU-1", "", "GPU-2"]),
}, { noNullPrototype: true });
const entry = fc.tuple(
  node,
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ hardware: fc.array(hardware, { minLength: 1, maxLength: 2 }) }) },
    { weight: 1, arbitrary: fc.record({ advertises: fc.uniqueArray(model, { maxLength: 2 }) }) },
  ),
).map(([who, what]) => ({ ...who, ...what }));

/** Few ids, so that sources share them and one id has several contents. */
const id = fc.constantFrom(uuidOf(1), uuidOf(2), uuidOf(3), "e4", "");
const snapshot = fc.record({ at, id, source, nodes: fc.array(entry, { minLength: 1, maxLength: 3 }) }).map(
  capabilities,
);
const sample = fc.record({
  at,
  id,
  source,
  wallet: fc.constantFrom("0xhot", "0xHot", "0xhot", "0xca", "0xcb", "0xnobody", ""),
  url: fc.constantFrom("https://a", "https://a/", "https://a", "https://b", "https://nowhere", "", "", ""),
  model: fc.oneof(model, fc.constantFrom(NO_HINT, NO_HINT, NO_HINT, "m-none")),
  request: fc.constantFrom("r1", "r2", "r3", "r4"),
}).map(status);

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(
    ...Array<Step["do"]>(8).fill("take"),
    ...Array<Step["do"]>(3).fill("commit"),
    ...Array<Step["do"]>(3).fill("apply"),
    "repeat" as const,
    "crash" as const,
  ),
  pick: fc.nat(1_000),
});

const span = fc.constantFrom(0, 1, 2, 3, 5, LAST_SLOT).map((slots) => slots * GRID_MS);
const ttl = fc.record({ beforeMs: span, afterMs: span });

interface Arrival {
  readonly wire: Wire;
  readonly encoding: number;
  /** Where the message comes in the stream: later than others by as much as it is greater. */
  readonly place: number;
}

/** Every event once or several times, in any of its encodings, each time at a place of its own. */
function arrivals(events: readonly Wire[]): fc.Arbitrary<Arrival[]> {
  const copy = fc.record({ encoding: fc.nat(ENCODINGS - 1), place: fc.nat(1_000) });
  return fc.tuple(...events.map((wire) =>
    fc.oneof(
      { weight: 2, arbitrary: fc.array(copy, { minLength: 1, maxLength: 1 }) },
      { weight: 1, arbitrary: fc.array(copy, { minLength: 2, maxLength: 3 }) },
    ).map((copies) => copies.map((one) => ({ wire, ...one })))
  )).map((lists) => lists.flat().sort((a, b) => a.place - b.place));
}

const world = fc.tuple(
  fc.array(snapshot, { minLength: 1, maxLength: 5 }),
  fc.array(sample, { minLength: 1, maxLength: 6 }),
).chain(
  ([snapshots, samples]) =>
    fc.record({
      events: fc.constant([...snapshots, ...samples]),
      messages: arrivals([...snapshots, ...samples]),
      steps: fc.array(step, { minLength: 10, maxLength: 60, size: "max" }),
      ttl,
      partitions: fc.integer({ min: 1, max: 3 }),
    }),
);

function outcomeOf(
  messages: readonly Arrival[],
  steps: readonly Step[],
  settings: Partial<WorldSettings>,
  writers = 1,
): World {
  const result = new World(settings, writers);
  for (const { wire, encoding } of messages) result.publish(wire, encoding);
  result.run(steps);
  for (let writer = 0; writer < writers; writer++) result.drain(writer);
  return result;
}

const timeOf = ({ wire }: Arrival): number => Number(wire.envelope.timestamp);

describe("convergence", (test) => {
  test("in the order of their times, the folded rows are what the oracle says", () => {
    check(world, 800, ({ events, ttl }) => {
      const result = inOrder(events, { ttl, allowedLatenessMs: SPAN_MS });
      assert.equal(differences(result.rows("fact_stream_status_samples"), verdicts(result.events(), ttl)), []);
    });
  });

  test("any order, duplication, batching, application of snapshots and crash gives the same folded rows", () => {
    check(world, 1_800, ({ events, messages, steps, ttl, partitions }) => {
      const settings = { ttl, allowedLatenessMs: SPAN_MS };
      const expected = inOrder(events, settings);
      const result = outcomeOf(messages, steps, { ...settings, partitions });
      assert.equal(result.rows(), expected.rows());
      assert.equal(differences(result.rows("fact_stream_status_samples"), verdicts(result.events(), ttl)), []);
    });
  });

  test("two writers that share everything but their memory leave the rows of one, crashes or not", () => {
    check(world, 800, ({ events, messages, steps, ttl, partitions }) => {
      const settings = { ttl, allowedLatenessMs: SPAN_MS };
      const result = outcomeOf(messages, steps, { ...settings, partitions }, 2);
      assert.equal(result.rows(), inOrder(events, settings).rows());
    });
  });

  test("no closing changes a row while snapshots are no later than the allowed lateness, crashes or not", () => {
    let closed = 0;
    const bounded = fc.record({ world, lateness: fc.integer({ min: 0, max: 3 }).map((slots) => slots * GRID_MS) });
    check(bounded, 1_800, ({ world: { events, messages, steps, ttl, partitions }, lateness }) => {
      // A snapshot comes later than its time by at most the lateness; samples come whenever they like.
      const place = (one: Arrival) =>
        one.wire.envelope.type === "network_capabilities"
          ? timeOf(one) + one.place / 1_000 * lateness
          : one.place / 1_000 * SPAN_MS;
      const bySnapshot = [...messages].sort((a, b) => place(a) - place(b));
      const result = outcomeOf(bySnapshot, steps, { ttl, allowedLatenessMs: lateness, partitions });
      const expected = inOrder(events, { ttl, allowedLatenessMs: SPAN_MS });
      assert.equal(result.rows(), expected.rows());
      if (result.openCount < expected.openCount) closed++;
    });
    if (!LATECOMER_RUNS) assert.ok(closed > 300, `only ${closed} worlds closed anything`);
  });

  test("a pod that starts again after everything is done writes the same rows again and no other", () => {
    check(world, 300, ({ messages, steps, ttl, partitions }) => {
      const result = outcomeOf(messages, steps, { ttl, allowedLatenessMs: SPAN_MS, partitions });
      const before = result.rows();
      const writtenBefore = result.written.length;
      result.crash();
      result.drain();
      assert.equal(result.rows(), before);
      const known = new Set(before.map((row) => JSON.stringify(row)));
      for (const row of result.written.slice(writtenBefore)) assert.ok(known.has(JSON.stringify(row)));
    });
  });
});
