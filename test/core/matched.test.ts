/** Observations in columns: whatever is added, improved, closed and taken, as a plain list would have it. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { Dictionary } from "../../src/core/dictionary.ts";
import { type MatchedObservation, MatchedObservations } from "../../src/core/matched.ts";
import type { ObservedEvent } from "../../src/core/observed.ts";
import { Places } from "../../src/core/places.ts";
import { SharedTexts } from "../../src/core/shared.ts";
import { describe } from "../helpers/suite.ts";

const T = 1_767_908_945_000;
const BEFORE_MS = 8;

const SLAB_BYTES = 1_024 * 64;
const EDGE_SLAB_BYTES = 1_024 * 48;

/** More than a slab of each kind holds. */
const MANY = 2_500;

type Placed = { readonly kind: number; readonly party: number; readonly at: number; readonly waits: number };

const placed: fc.Arbitrary<Placed> = fc.record({
  kind: fc.nat(2),
  party: fc.nat(5),
  at: fc.nat(40),
  waits: fc.nat(30),
});

function observedOf({ kind, party, at }: Placed, nth: number): ObservedEvent {
  const id = `5e3c0000-0000-4000-8000-${nth.toString(16).padStart(12, "0")}`;
  const common = {
    source: "network",
    uid: `${id}~${(nth * 2_654_435_761 % 2 ** 32).toString(16).padStart(16, "0")}`,
    id,
    eventTimeMs: T + at,
    gateway: `g${party % 2}`,
    streamId: `s${party}`,
    requestId: party === 0 ? "" : `r${party}`,
    address: party % 3 === 0 ? "" : `0x${party}`,
    url: `https://node-${party % 4}`,
    hint: kind === 1 ? "model" : "",
  };
  if (kind === 2) return { kind: "edge", ...common, traceType: `trace ${at}` };
  return { kind: "sample", ...common, state: kind === 0 ? "ONLINE" : "DEGRADED", outputFps: nth / 7, inputFps: -0 };
}

function matchedOf(placed: Placed, nth: number): MatchedObservation {
  const observed = observedOf(placed, nth);
  const { eventTimeMs } = observed;
  const snapshotTimeMs = eventTimeMs - 1 - nth % 10;
  return { observed, streamSequence: 3 * nth + 1, snapshotTimeMs, closesAfterMs: eventTimeMs + placed.waits };
}

/** The same by looking at all. */
class Model {
  readonly all = new Map<string, MatchedObservation>();

  add(matched: MatchedObservation): void {
    this.all.set(matched.observed.uid, matched);
  }

  improvable(urls: ReadonlySet<string>, timeMs: number): string[] {
    return [...this.all.values()]
      .filter(({ observed: { url, eventTimeMs }, snapshotTimeMs }) =>
        urls.has(url) && timeMs >= snapshotTimeMs && timeMs <= eventTimeMs && timeMs >= eventTimeMs - BEFORE_MS
      )
      .map(({ observed }) => observed.uid);
  }

  oldest(): MatchedObservation | undefined {
    return [...this.all.values()].sort((a, b) => a.streamSequence - b.streamSequence)[0];
  }
}

function check(columns: MatchedObservations, model: Model): void {
  assert.is(columns.size, model.all.size);
  assert.is(columns.leastSequence, model.oldest()?.streamSequence ?? Infinity);
}

describe("matched observations", (test) => {
  test("come back as they were, and are found, improved and closed like those of a list", () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 8, arbitrary: fc.record({ add: placed }) },
        { weight: 2, arbitrary: fc.record({ snapshotAt: fc.nat(45), nodes: fc.array(fc.nat(4), { maxLength: 3 }) }) },
        { weight: 1, arbitrary: fc.record({ closeAt: fc.nat(80) }) },
        { weight: 1, arbitrary: fc.record({ oldest: fc.nat(4) }) },
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const columns = new MatchedObservations("network", new SharedTexts());
        const model = new Model();
        for (const [nth, step] of all.entries()) {
          if ("add" in step) {
            const matched = matchedOf(step.add, nth);
            assert.not(columns.has(matched.observed.uid));
            assert.ok(columns.add(matched));
            assert.ok(columns.has(matched.observed.uid));
            model.add(matched);
          } else if ("snapshotAt" in step) improve(columns, model, T + step.snapshotAt, step.nodes);
          else if ("closeAt" in step) close(columns, model, T + step.closeAt);
          else takeOldest(columns, model, step.oldest);
          check(columns, model);
        }
        close(columns, model, Infinity);
        check(columns, model);
      }),
      { numRuns: 300 },
    );
  });

  test("of more than a slab come and go, and their places are given again", () => {
    const columns = new MatchedObservations("network", new SharedTexts());
    const model = new Model();
    for (let round = 0; round < 4; round++) {
      for (let nth = 0; nth < MANY; nth++) {
        const matched = matchedOf({ kind: nth % 3, party: nth % 6, at: nth % 41, waits: nth % 7 }, round * MANY + nth);
        assert.ok(columns.add(matched));
        model.add(matched);
      }
      check(columns, model);
      improve(columns, model, T + 20, [0, 1, 2]);
      // Not those that the one before has improved.
      improve(columns, model, T + 18, [0, 1, 2]);
      takeOldest(columns, model, 50);
      close(columns, model, T + 30);
      check(columns, model);
      for (const uid of model.all.keys()) assert.ok(columns.has(uid));
      close(columns, model, Infinity);
      check(columns, model);
      assert.is(columns.bytes, 0);
      assert.is(columns.nameCount, 0);
    }
  });

  test("leave no slab behind that was full when the last of it closed", () => {
    const columns = new MatchedObservations("network", new SharedTexts());
    assert.ok(columns.add({ ...matchedOf({ kind: 2, party: 1, at: 0, waits: 0 }, 1), closesAfterMs: T + 100 }));
    for (let nth = 2; nth < 2 + 3 * 1_024; nth++) {
      assert.ok(columns.add(matchedOf({ kind: 0, party: 1, at: 0, waits: 0 }, nth)));
      assert.is(columns.bytes, SLAB_BYTES + EDGE_SLAB_BYTES);
      if (columns.size === 1 + 1_024) columns.close(T + 1, () => {});
    }
  });

  test("are taken again after a pause that is longer than a slab spans", () => {
    const columns = new MatchedObservations("network", new SharedTexts());
    const later = (nth: number, byMs: number) => {
      const matched = matchedOf({ kind: 0, party: 1, at: 0, waits: 0 }, nth);
      const eventTimeMs = T + byMs;
      const observed = { ...matched.observed, eventTimeMs };
      return { ...matched, observed, snapshotTimeMs: eventTimeMs - 1, closesAfterMs: eventTimeMs };
    };
    const edge = matchedOf({ kind: 2, party: 1, at: 0, waits: 0 }, 9);
    assert.ok(columns.add(later(1, 0)));
    assert.ok(columns.add({ ...edge, closesAfterMs: T + 2 ** 30 }), "something stays open");
    columns.close(T + 1, () => {});
    assert.is(columns.size, 1);
    assert.ok(columns.add(later(20, 2 ** 31)));
    assert.is(columns.size, 2);
  });

  test("that columns cannot hold are refused, and nothing of them stays", () => {
    const columns = new MatchedObservations("network", new SharedTexts());
    const usual = matchedOf({ kind: 0, party: 1, at: 0, waits: 0 }, 1);
    assert.ok(columns.add(usual));
    const { observed } = usual;
    const refused: MatchedObservation[] = [
      { ...usual, observed: { ...observed, id: "no UUID", uid: "no UUID~0123456789abcdef" } },
      { ...usual, observed: { ...observed, id: "" } },
      { ...usual, observed: { ...observed, id: "", uid: "0123456789abcdef" } },
      { ...usual, closesAfterMs: Infinity },
      { ...usual, closesAfterMs: T + 2 ** 31 },
      { ...usual, observed: { ...observed, eventTimeMs: T - 2 ** 40 } },
      { ...usual, streamSequence: 2 ** 40 },
    ];
    for (const one of refused) {
      assert.not(columns.add(one));
      assert.is(columns.size, 1);
    }
    assert.equal(columns.takeOldest(), observed);
    assert.is(columns.leastSequence, Infinity);
  });
});

function improve(columns: MatchedObservations, model: Model, timeMs: number, nodes: readonly number[]): void {
  const urls = new Set(nodes.map((node) => `https://node-${node}`));
  const expected = model.improvable(urls, timeMs);
  const found: string[] = [];
  columns.improve(urls, timeMs, BEFORE_MS, (observed) => {
    assert.equal(observed, model.all.get(observed.uid)?.observed);
    found.push(observed.uid);
    return found.length % 2 === 0;
  });
  assert.equal(found.toSorted(), expected.toSorted());
  const improved = found.filter((_, nth) => nth % 2 === 1);
  for (const uid of improved) model.add({ ...model.all.get(uid)!, snapshotTimeMs: timeMs });
}

function close(columns: MatchedObservations, model: Model, feedTimeMs: number): void {
  const expected = [...model.all.values()].filter(({ closesAfterMs }) => closesAfterMs < feedTimeMs);
  const closed = new Map<string, ObservedEvent>();
  columns.close(feedTimeMs, (observed) => closed.set(observed.uid, observed));
  assert.is(closed.size, expected.length);
  for (const { observed } of expected) {
    assert.equal(closed.get(observed.uid), observed);
    assert.not(columns.has(observed.uid));
    model.all.delete(observed.uid);
  }
}

function takeOldest(columns: MatchedObservations, model: Model, count: number): void {
  for (let nth = 0; nth < Math.min(count, model.all.size); nth++) {
    const { observed } = model.oldest()!;
    assert.equal(columns.takeOldest(), observed);
    model.all.delete(observed.uid);
  }
}

describe("places", (test) => {
  test("are found by their hashes like those of a map, however many have one hash", () => {
    const hashes = fc.array(fc.constantFrom(0, 1, 63, 64, -1, 2 ** 31 - 1, -(2 ** 31), 127), { minLength: 1 });
    fc.assert(
      fc.property(hashes, fc.array(fc.tuple(fc.nat(300), fc.boolean()), { maxLength: 600 }), (of, steps) => {
        const hashOf = (place: number) => of[place % of.length]! + Math.floor(place / of.length);
        const places = new Places(hashOf);
        const inside = new Set<number>();
        for (const [place, isAdded] of steps) {
          if (isAdded && !inside.has(place)) {
            places.add(place);
            inside.add(place);
          } else if (!isAdded && inside.delete(place)) places.remove(place);
          assert.is(places.size, inside.size);
          const found = places.find(hashOf(place), (one) => one === place);
          assert.is(found, inside.has(place) ? place : undefined);
        }
        for (const place of inside) assert.is(places.find(hashOf(place), (one) => one === place), place);
      }),
    );
  });
});

describe("a dictionary", (test) => {
  test("keeps a value for as long as somebody holds it, and gives its number again", () => {
    const names = new Dictionary<string>();
    const first = names.hold(["a", "bc"], () => "one");
    assert.is(names.hold(["a", "bc"], () => "never made"), first);
    const other = names.hold(["ab", "c"], () => "two");
    assert.is.not(other, first, "the same texts, cut elsewhere");
    names.release(first);
    assert.is(names.at(first), "one");
    names.release(first);
    assert.is(names.size, 1);
    assert.is(names.hold(["d"], () => "three"), first);
    assert.equal([names.at(first), names.at(other)], ["three", "two"]);
  });
});
