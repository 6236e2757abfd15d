/**
 * Whatever the outside does, the folded facts of sessions are one and the same, and they are what the oracle says:
 * every table, every column, the versions included.
 *
 * `LATECOMER_SEED` replays the seed that a failure prints, `LATECOMER_RUNS` sets the number of worlds.
 */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { type Input, MOST_PARTITIONS, play, scheduleOf } from "../../src/audit/schedule.ts";
import type { World as AuditWorld } from "../../src/audit/world.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import { PARTITION_ALL } from "../../src/core/subject.ts";
import { bytesOf, ENCODINGS, stored, subjectOf, type Wire } from "../helpers/events.ts";
import { difference } from "../helpers/fact-compare.ts";
import type { OracleSettings } from "../helpers/fact-oracle.ts";
import { acceptedEvents } from "../helpers/oracle.ts";
import type { FactRow } from "../helpers/session-row-oracle.ts";
import { BASE_MS, SPAN_MS } from "../helpers/session-traffic.ts";
import { sessionTtl, sessionWorld } from "../helpers/session-world.ts";
import { describe } from "../helpers/suite.ts";
import { DEFAULTS, inOrder, type Step, World } from "../helpers/world.ts";

const { LATECOMER_SEED, LATECOMER_RUNS } = process.env;

function check<Value>(worlds: fc.Arbitrary<Value>, runs: number, claim: (value: Value) => void): void {
  fc.assert(fc.property(worlds, claim), {
    includeErrorInReport: true,
    numRuns: LATECOMER_RUNS ? Number(LATECOMER_RUNS) : runs,
    ...(LATECOMER_SEED ? { seed: Number(LATECOMER_SEED) } : {}),
  });
}

/** No order makes a snapshot late. */
const LATENESS_MS = SPAN_MS;

const timeOf = ({ envelope }: Wire): number => Number(envelope.timestamp);
const byTime = (wires: readonly Wire[]): Wire[] => [...wires].sort((a, b) => timeOf(a) - timeOf(b));

/** Fails with the first difference between the folded facts and the oracle's, and the events that lead to it. */
function agree(world: AuditWorld, messages: readonly StoredMessage[], settings: OracleSettings): void {
  const rows = world.rows() as readonly FactRow[];
  const found = difference(rows, acceptedEvents(messages), settings);
  assert.ok(found === undefined, found);
}

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

/** A world, and what the outside does with it: each message once or more often, in any encoding, in any place. */
const treated = fc.record({ wires: sessionWorld, ttl: sessionTtl }).chain(({ wires, ttl }) => {
  const copy = fc.record({ encoding: fc.nat(ENCODINGS - 1), place: fc.nat(1_000) });
  const copies = fc.oneof(
    { weight: 3, arbitrary: fc.array(copy, { minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array(copy, { minLength: 2, maxLength: 3 }) },
  );
  return fc.record({
    ttl: fc.constant(ttl),
    arrivals: fc.tuple(...wires.map((wire) => copies.map((list) => list.map((one) => ({ wire, ...one }))))).map((
      lists,
    ) => lists.flat().sort((a, b) => a.place - b.place)),
    steps: fc.array(step, { minLength: 10, maxLength: 80, size: "max" }),
    partitions: fc.integer({ min: 1, max: 3 }),
  });
});

describe("convergence of sessions", (test) => {
  test("in the order of their times, the folded rows are what the oracle says", () => {
    check(fc.record({ wires: sessionWorld, ttl: sessionTtl }), 600, ({ wires, ttl }) => {
      const world = inOrder(byTime(wires), { ttl, allowedLatenessMs: LATENESS_MS });
      agree(world, world.stream, world.settings);
    });
  });

  for (const writers of [1, 2]) {
    test(`any order, duplication, batching and crash gives the same rows, with ${writers} writing`, () => {
      check(treated, 1_000, ({ arrivals, steps, ttl, partitions }) => {
        const world = new World({ ttl, allowedLatenessMs: LATENESS_MS, partitions }, writers);
        for (const { wire, encoding } of arrivals) world.publish(wire, encoding);
        world.run(steps);
        for (let writer = 0; writer < writers; writer++) world.drain(writer);
        agree(world, world.stream, world.settings);
      });
    });
  }

  test("any schedule of an audit gives the same rows", () => {
    const audited = fc.record({ wires: sessionWorld, ttl: sessionTtl, seed: fc.noShrink(fc.nat()) });
    check(audited, 600, ({ wires, ttl, seed }) => {
      const inputs = wires.map((wire, at): Input => {
        const subject = subjectOf(wire, MOST_PARTITIONS);
        const name = subject.slice(subject.lastIndexOf(".") + 1);
        const message = stored(subject, bytesOf(wire.envelope), at + 1, BASE_MS + SPAN_MS);
        return { message, partition: name === PARTITION_ALL ? PARTITION_ALL : Number(name) };
      });
      const settings = { ...DEFAULTS, ttl, allowedLatenessMs: LATENESS_MS };
      const world = play(scheduleOf(inputs, seed), settings);
      agree(world, inputs.map(({ message }) => message), settings);
    });
  });

  test("a writer that starts again when everything is done changes nothing", () => {
    check(treated, 300, ({ arrivals, steps, ttl, partitions }) => {
      const world = new World({ ttl, allowedLatenessMs: LATENESS_MS, partitions });
      for (const { wire, encoding } of arrivals) world.publish(wire, encoding);
      world.run(steps);
      world.drain();
      const before = world.rows();
      world.crash();
      world.drain();
      assert.equal(world.rows(), before);
      agree(world, world.stream, world.settings);
    });
  });
});
