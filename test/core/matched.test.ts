/** Observations in columns: whatever is added, improved, closed and taken, as a plain list would have it. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { Dictionary } from "../../src/core/dictionary.ts";
import { MatchedObservations } from "../../src/core/matched.ts";
import type { ObservedEvent } from "../../src/core/observed.ts";
import { Parties, type Party } from "../../src/core/parties.ts";
import { Places } from "../../src/core/places.ts";
import { type MatchedObservation, SLOTS } from "../../src/core/slab.ts";
import { describe } from "../helpers/suite.ts";

const T = 1_767_908_945_000;
const BEFORE_MS = 8;

const LATENESS_MS = 5;

const SLAB_BYTES = SLOTS * 53;
const EDGE_SLAB_BYTES = SLOTS * 37;

/** More than a slab of each kind holds. */
const MANY = 3 * SLOTS;

/** `feedAt` is where the feed stands when it comes. */
type Placed = { readonly kind: number; readonly party: number; readonly at: number; readonly feedAt: number };

const placed: fc.Arbitrary<Placed> = fc.record({
  kind: fc.nat(2),
  party: fc.nat(5),
  at: fc.nat(40),
  feedAt: fc.nat(50),
});

const columnsOf = () => new MatchedObservations("network", LATENESS_MS);

/** Ids that are told apart only by where one ends, and that have no other form in bytes. */
const IDS = [["ab", "c"], ["a", "bc"], ["", "abc"], ["\ud800", "\u0000"], ["ß", ""], ["ÿ\udfff€", "r"]] as const;

function observedOf({ kind, party, at }: Placed, nth: number): ObservedEvent {
  const id = `5e3c0000-0000-4000-8000-${nth.toString(16).padStart(12, "0")}`;
  const common = {
    source: "network",
    uid: `${id}~${(nth * 2_654_435_761 % 2 ** 32).toString(16).padStart(16, "0")}`,
    id,
    eventTimeMs: T + at,
    gateway: `g${party % 2}`,
    streamId: IDS[party]![0],
    requestId: IDS[party]![1],
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
  // Far from each other now and then.
  const streamSequence = 3 * nth + 1 + Math.floor(nth / 10) * 100_000;
  return { observed, streamSequence, snapshotTimeMs, arrivalFeedMs: T + placed.feedAt };
}

function closesAfter({ observed: { eventTimeMs }, arrivalFeedMs }: MatchedObservation): number {
  return Math.max(eventTimeMs, arrivalFeedMs) + LATENESS_MS;
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
        { weight: 1, arbitrary: fc.record({ closeAt: fc.nat(60) }) },
        { weight: 1, arbitrary: fc.record({ oldest: fc.nat(4) }) },
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const columns = columnsOf();
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
    const columns = columnsOf();
    const model = new Model();
    for (let round = 0; round < 4; round++) {
      for (let nth = 0; nth < MANY; nth++) {
        const matched = matchedOf(
          { kind: nth % 3, party: nth % 6, at: nth % 41, feedAt: nth % 50 },
          round * MANY + nth,
        );
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

  test("of hundreds of nodes are each found by a snapshot of their own", () => {
    const columns = columnsOf();
    const model = new Model();
    const nodes = 700;
    for (let nth = 0; nth < MANY; nth++) {
      const matched = matchedOf({ kind: 0, party: nth % 6, at: 20, feedAt: 0 }, nth);
      const one = { ...matched, observed: { ...matched.observed, url: `https://node-${nth % nodes}` } };
      assert.ok(columns.add(one));
      model.add(one);
    }
    takeOldest(columns, model, 100);
    for (let node = 0; node < nodes; node++) improve(columns, model, T + 20, [node, nodes - 1 - node]);
  });

  test("leave no slab behind that was full when the last of it closed", () => {
    const columns = columnsOf();
    assert.ok(columns.add({ ...matchedOf({ kind: 2, party: 1, at: 0, feedAt: 0 }, 1), arrivalFeedMs: T + 100 }));
    for (let nth = 2; nth < 2 + 3 * SLOTS; nth++) {
      assert.ok(columns.add(matchedOf({ kind: 0, party: 1, at: 0, feedAt: 0 }, nth)));
      assert.is(columns.bytes, SLAB_BYTES + EDGE_SLAB_BYTES);
      if (columns.size === 1 + SLOTS) columns.close(T + LATENESS_MS + 1, () => {});
    }
  });

  test("are taken again after a pause that is longer than a slab spans", () => {
    const columns = columnsOf();
    const later = (nth: number, byMs: number) => {
      const matched = matchedOf({ kind: 0, party: 1, at: 0, feedAt: 0 }, nth);
      const eventTimeMs = T + byMs;
      return { ...matched, observed: { ...matched.observed, eventTimeMs }, snapshotTimeMs: eventTimeMs - 1 };
    };
    const edge = matchedOf({ kind: 2, party: 1, at: 0, feedAt: 0 }, 9);
    assert.ok(columns.add(later(1, 0)));
    assert.ok(columns.add({ ...edge, arrivalFeedMs: T + 2 ** 30 }), "something stays open");
    columns.close(T + LATENESS_MS + 1, () => {});
    assert.is(columns.size, 1);
    assert.ok(columns.add(later(20, 2 ** 31)));
    assert.is(columns.size, 2);
  });

  test("are all improved by a snapshot that is one too many for a slab, beside others with later ones", () => {
    const columns = columnsOf();
    const at = (nth: number, afterMs: number, snapshotTimeMs: number): MatchedObservation => {
      const matched = matchedOf({ kind: 0, party: 1, at: afterMs, feedAt: 0 }, nth);
      return { ...matched, snapshotTimeMs };
    };
    for (let nth = 0; nth < 3; nth++) assert.ok(columns.add(at(nth, 0, T - 10_000)));
    for (let nth = 0; nth < 20; nth++) assert.ok(columns.add(at(3 + nth, 100, T + 1 + nth)));
    const urls = new Set([at(0, 0, 0).observed.url]);
    for (let timeMs = T - 9_999; timeMs < T; timeMs++) {
      let found = 0;
      columns.improve(urls, timeMs, 10_000, () => ++found > 0);
      assert.is(found, 3);
    }
  });

  test("are improved by more snapshots than a slab has slots", () => {
    const columns = columnsOf();
    const model = new Model();
    for (let nth = 0; nth < 3; nth++) {
      const matched = { ...matchedOf({ kind: 0, party: 1, at: 0, feedAt: 0 }, nth), snapshotTimeMs: T - 10_000 };
      assert.ok(columns.add(matched));
      model.add(matched);
    }
    const urls = new Set([model.oldest()!.observed.url]);
    for (let timeMs = T - 9_999; timeMs < T; timeMs++) {
      let found = 0;
      columns.improve(urls, timeMs, 10_000, ({ uid }) => {
        // The others stay matched with one from long ago.
        const improves = found++ === 0 || timeMs % 4_000 === 0;
        if (improves) model.add({ ...model.all.get(uid)!, snapshotTimeMs: timeMs });
        return improves;
      });
      assert.is(found, 3);
    }
    improve(columns, model, T - 1, [1]);
    improve(columns, model, T - 2, [1]);
  });

  test("that have more labels than are told apart are refused until there are fewer", () => {
    const columns = columnsOf();
    const hinting = (nth: number) => {
      const matched = matchedOf({ kind: 0, party: nth % 6, at: 0, feedAt: 0 }, nth);
      return { ...matched, observed: { ...matched.observed, hint: `model ${nth}` } };
    };
    for (let nth = 0; nth < 1_024; nth++) assert.ok(columns.add(hinting(nth)));
    const names = columns.nameCount;
    assert.not(columns.add(hinting(1_024)));
    assert.is(columns.nameCount, names);
    columns.takeOldest();
    assert.ok(columns.add(hinting(1_024)));
    for (let nth = 1; nth <= 1_024; nth++) assert.equal(columns.takeOldest(), hinting(nth).observed);
  });

  test("that columns cannot hold are refused, and nothing of them stays", () => {
    const columns = columnsOf();
    const usual = matchedOf({ kind: 0, party: 1, at: 0, feedAt: 0 }, 1);
    assert.ok(columns.add(usual));
    const { observed } = usual;
    const refused: MatchedObservation[] = [
      { ...usual, observed: { ...observed, id: "no UUID", uid: "no UUID~0123456789abcdef" } },
      { ...usual, observed: { ...observed, id: "" } },
      { ...usual, observed: { ...observed, id: "", uid: "0123456789abcdef" } },
      { ...usual, observed: { ...observed, eventTimeMs: T - 2 ** 40 } },
    ];
    for (const one of refused) {
      assert.not(columns.add(one));
      assert.is(columns.size, 1);
      assert.is(columns.nameCount, 2);
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
  const expected = [...model.all.values()].filter((one) => closesAfter(one) < feedTimeMs);
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

describe("parties", (test) => {
  test("have the names that they were given under numbers of their own, for as long as somebody holds them", () => {
    const party: fc.Arbitrary<Party> = fc.record({
      gateway: fc.constantFrom("", "g"),
      streamId: fc.constantFrom(...IDS.map(([streamId]) => streamId)),
      requestId: fc.constantFrom(...IDS.map(([, requestId]) => requestId)),
      address: fc.constantFrom("", "0x1"),
      url: fc.constantFrom("https://a", "https://b"),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(party, fc.nat()), { maxLength: 300 }), (steps) => {
        const parties = new Parties();
        const held: { readonly number: number; readonly party: Party }[] = [];
        let most = 0;
        for (const [party, which] of steps) {
          const number = parties.hold(party);
          const same = held.find((one) => JSON.stringify(one.party) === JSON.stringify(party));
          if (same !== undefined) assert.is(number, same.number);
          held.push({ number, party });
          if (which % 3 > 0) parties.release(held.splice(which % held.length, 1)[0]!.number);
          const numbers = new Map(held.map((one) => [one.number, JSON.stringify(one.party)]));
          assert.is(parties.size, numbers.size);
          assert.is(new Set(numbers.values()).size, numbers.size);
          most = Math.max(most, numbers.size + 1);
          for (const one of held) {
            assert.equal(parties.at(one.number), { ...one.party });
            assert.is(parties.originOf(one.number).url, one.party.url);
            assert.ok(one.number < most);
          }
        }
        for (const { number } of held) parties.release(number);
        assert.is(parties.size, 0);
      }),
      { numRuns: 200 },
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
