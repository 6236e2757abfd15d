/** The audit itself: it finds nothing where there is nothing, and every planted defect, in a schedule one can read. */
import * as assert from "uvu/assert";
import { Audit, type Difference, distinctInOrder } from "../../src/audit/audit.ts";
import { describeSchedule } from "../../src/audit/describe.ts";
import { fewest } from "../../src/audit/minimise.ts";
import { type Input, play, playInOrder, type Schedule, scheduleOf } from "../../src/audit/schedule.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import { DEFECTS, worldsWith } from "../helpers/defects.ts";
import { bytesOf, node, snapshot, status, stored, subjectOf, URL, type Wire } from "../helpers/events.ts";
import { differences, verdicts } from "../helpers/oracle.ts";
import { describe } from "../helpers/suite.ts";
import { DEFAULTS, HOUR_MS, inOrder } from "../helpers/world.ts";

const T = 1_700_000_000_000;
const TTL = { beforeMs: 24 * HOUR_MS, afterMs: 24 * HOUR_MS };
const SEEDS = Array.from({ length: 20 }, (_, at) => at + 1);

/** Samples of three nodes, some before and some after the snapshots, with and without url, and some other messages. */
function wires(samples: number): Wire[] {
  const url = (k: number) => `${URL}/${k}`;
  return Array.from({ length: samples }, (_, at) => {
    const k = at % 3;
    const named = at % 5 === 0 ? {} : { url: url(k) };
    const sample = status({
      at: T + at * 1_000,
      id: `s${at}`,
      wallet: `0xhot${k}`,
      model: "m",
      request: `r${at}`,
      ...named,
    });
    if (at % 8 !== 4) return [sample];
    const nodes = [0, 1, 2].map((k) =>
      node(`0xc${k}`, at % 16 === 4 ? "m" : "n", [`G${k}`], { hot: `0xhot${k}`, url: url(k) })
    );
    return [sample, snapshot(T + at * 1_000 + 7, ...nodes)];
  }).flat();
}

function window(of: readonly Wire[], firstSeq = 101): StoredMessage[] {
  return of.map((wire, at) => stored(subjectOf(wire, 3), bytesOf(wire.envelope), firstSeq + at, T + HOUR_MS));
}

const refused: StoredMessage = stored("events.network.ai_stream_status.0", new TextEncoder().encode("{"), 90, T);

function firstDifference(audit: Audit): Difference {
  for (const seed of SEEDS) for (const difference of audit.check(seed)) return difference;
  throw new Error("no schedule shows a difference");
}

const inputs: Input[] = window(wires(30)).map((message, at) => ({ message, partition: at % 4 === 0 ? "all" : at % 4 }));

describe("the audit", (test) => {
  test("of a sound core finds no row that differs, and derives the rows that the oracle has", () => {
    const of = wires(40);
    const audit = new Audit([refused, ...window(of)], TTL);
    // A fact of each sample, and one of each of their sessions.
    assert.is(audit.rows, 80);
    assert.is(audit.allowedLatenessMs, 39_000);
    for (const seed of SEEDS) assert.equal(audit.check(seed), []);
    const world = inOrder(of, { allowedLatenessMs: 39_000 });
    assert.equal(differences(world.rows("fact_stream_status_samples"), verdicts(world.events(), TTL)), []);
  });

  test("takes a window without any fact, or without any message that can be read", () => {
    for (const messages of [[], [refused], window(wires(5).slice(0, 1))]) {
      const audit = new Audit(messages, TTL);
      for (const seed of SEEDS) assert.equal(audit.check(seed), []);
    }
  });

  for (const [name, broken] of Object.entries(DEFECTS)) {
    test(`finds ${name}, and shows it in a handful of messages and steps`, () => {
      const audit = new Audit(window(wires(40)), TTL, worldsWith(broken));
      const difference = firstDifference(audit);
      const { schedule, columns, ...rest } = audit.minimal(difference);
      assert.is(rest.uid, difference.uid);
      const size = { messages: schedule.arrivals.length, steps: schedule.steps.length };
      assert.ok(size.messages >= 1 && size.messages <= 3, JSON.stringify(size));
      assert.ok(size.steps <= 5, JSON.stringify(describeSchedule(schedule)));
      assert.ok(columns.length > 0);
      for (const { inOrder, scheduled } of columns) assert.is.not(inOrder, scheduled);
      // A sound core leaves the same rows under it.
      const settings = { ...DEFAULTS, ttl: TTL, allowedLatenessMs: 39_000 };
      assert.equal(play(schedule, settings).rows(), playInOrder(distinctInOrder(schedule), settings).rows());
    });
  }

  test("tells a schedule in words", () => {
    const audit = new Audit(window(wires(40)), TTL, worldsWith(DEFECTS["a rewind that passes open samples"]!));
    const { messages, steps } = describeSchedule(audit.minimal(firstDifference(audit)).schedule);
    assert.match(messages.join("\n"), /^message 1: network \w+ \S+ of 2023-11-14T\S+Z \(stream sequence 1\d\d\)/);
    assert.match(steps.join("\n"), /the writer dies while it commits partition \w+, with .*, and starts again/);
    assert.match(steps.at(-1)!, /^the writer takes, commits and sees everything that is left$/);
  });

  test("says which row is missing on which side", () => {
    const audit = new Audit(window(wires(9)), TTL, (settings, writers) => {
      const world = worldsWith(DEFECTS["a rewind that passes open samples"]!)(settings, writers);
      // The fifth sample is lost by everybody who has a second writer.
      if (writers > 1) {
        world.table.set = (key, row) =>
          key.includes("s4~") ? world.table : Map.prototype.set.call(world.table, key, row);
      }
      return world;
    });
    const lost = SEEDS.flatMap((seed) => audit.check(seed)).find(({ uid }) => uid.startsWith("s4~"))!;
    assert.ok(lost.columns.every(({ scheduled }) => scheduled === undefined));
    assert.ok(lost.columns.some(({ column }) => column === "version"));
  });
});

describe("a schedule", (test) => {
  const all = Array.from({ length: 200 }, (_, seed) => scheduleOf(inputs, seed));

  test("is decided by its seed", () => {
    assert.equal(scheduleOf(inputs, 7), scheduleOf(inputs, 7));
    assert.not.equal(scheduleOf(inputs, 7), scheduleOf(inputs, 8));
  });

  test("delivers every message once or twice, in many orders", () => {
    for (const { arrivals } of all) {
      const copies = inputs.map((input) => arrivals.filter((one) => one.input === input).length);
      assert.ok(copies.every((count) => count === 1 || count === 2));
      assert.equal(arrivals.map(({ place }) => place), arrivals.map((_, at) => at + 1));
    }
    const orders = new Set(all.map(({ arrivals }) => arrivals.map(({ input }) => inputs.indexOf(input)).join()));
    assert.is(orders.size, all.length);
  });

  test("has, among others, each kind of step, each stage of a crash, two writers, one who stops, several partitions", () => {
    const kinds = new Set(all.flatMap(({ steps }) => steps.map((step) => step.do === "crash" ? step.stage : step.do)));
    const stages = ["nothing", "half the rows", "rows", "state", "checkpoint"];
    assert.equal([...kinds].sort(), ["apply", "commit", "repeat", "take", ...stages].sort());
    assert.equal([...new Set(all.map(({ writers }) => writers))].sort(), [1, 2]);
    assert.equal([...new Set(all.map(({ partitions }) => partitions))].sort(), [1, 2, 4]);
    assert.ok(all.some(({ survivors, writers }) => survivors.length < writers));
    const both = (schedule: Schedule) =>
      new Set(schedule.steps.flatMap((step) => step.do === "take" && step.partition === "0" ? [step.writer] : []))
        .size > 1;
    assert.ok(all.some(both), "two writers on one partition");
  });
});

describe("fewest", (test) => {
  const numbers = Array.from({ length: 100 }, (_, at) => at);
  const cases: [what: string, wanted: number[]][] = [
    ["nothing", []],
    ["one of many", [57]],
    ["the first and the last", [0, 99]],
    ["neighbours", [41, 42, 43]],
    ["items far apart", [3, 30, 60, 98]],
  ];
  for (const [what, wanted] of cases) {
    test(`keeps ${what}, in order, and no more`, () => {
      assert.equal(fewest(numbers, (items) => wanted.every((one) => items.includes(one))), wanted);
    });
  }

  test("keeps no item that can go once a later one has gone", () => {
    const needsFirst = (items: readonly string[]) => !items.includes("second") || items.includes("first");
    assert.equal(fewest(["first", "second"], needsFirst), []);
  });

  test("needs few trials for a long list", () => {
    let trials = 0;
    const long = Array.from({ length: 10_000 }, (_, at) => at);
    fewest(long, (items) => (trials++, items.includes(123) && items.includes(9_876)));
    assert.ok(trials < 200, `${trials} trials`);
  });
});
