/**
 * Sessions that nobody has: endless ones, ones that change their orchestrator all the time, ten thousand of one stream,
 * times that cannot be. What they come to is bounded, what is beyond the bounds is counted, and the rest is right: held
 * against a plain recount of the events.
 *
 * `LATECOMER_SOAK=1` makes the endless session 100,000 events long.
 */
import * as assert from "uvu/assert";
import type { Row } from "../../src/core/emit/row.ts";
import { readSession } from "../../src/core/session/entry.ts";
import { MOST_APART } from "../../src/core/session/session.ts";
import { PARTITION_ALL } from "../../src/core/subject.ts";
import { seeded, shuffled } from "../../src/runtime/shuffle.ts";
import { MISSING, node, snapshot, TRACE, type Wire } from "../helpers/events.ts";
import { facts, factsOf } from "../helpers/facts.ts";
import * as happens from "../helpers/session-events.ts";
import { A, B, NODE_A, NODE_B } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";
import { states, World } from "../helpers/world.ts";

const ENDLESS = process.env.LATECOMER_SOAK === "1" ? 100_000 : 20_000;

const T = Date.UTC(2026, 0, 1);
const STEP_MS = 100;
const BATCH = 1_000;
const LARGEST_ENTRY = 1_000_000;

/** A world in which events come in batches, each with a snapshot of its time that closes what came long before. */
function inBatches(events: readonly Wire[], nodes = [NODE_A, NODE_B]): World {
  const world = new World({ allowedLatenessMs: 10_000 });
  for (let from = 0; from < events.length; from += BATCH) {
    world.publish(snapshot(T + from * STEP_MS, ...nodes));
    for (const event of events.slice(from, from + BATCH)) world.publish(event);
    for (const name of [PARTITION_ALL, "0"]) {
      while (world.take(name));
      world.commit(name);
    }
    while (world.apply());
    world.commit("0");
    for (const [key, value] of world.sessions) {
      assert.ok(new TextEncoder().encode(value).length <= LARGEST_ENTRY, "an entry fits its bucket");
      assert.ok(readSession(key, value)!.session.signals.length <= 2 * MOST_APART, "few events are kept apart");
    }
  }
  world.publish(snapshot(T + (events.length + 100_000) * STEP_MS, ...nodes));
  world.drain();
  return world;
}

/** The `nth` event of a session that never ends: every tenth an edge or an event, the others samples. */
function endless(nth: number): Wire {
  const at = T + nth * STEP_MS;
  // It is served by one node and then by the other, for 1,000 events each.
  const serving = Math.floor(nth / 1_000) % 2 === 0 ? A : B;
  switch (nth % 40) {
    case 0:
      return happens.error(at, nth % 80 === 0 ? "boom" : "WHIP disconnected");
    case 10:
      return happens.streamEvent("params_update", at, `update ${nth}`);
    case 20:
      return happens.trace(TRACE.data, at);
    case 30:
      return happens.trace(TRACE.swap, at, serving);
    default:
      return happens.sample(at, { ...serving, ...(nth % 3 === 0 ? { lastError: "boom" } : {}) });
  }
}

/** 1 + the rank of an event, or the sum of these over a session. */
function evidenceIn(row: Row): bigint {
  return BigInt(row.version as string) & ((1n << 116n) - 1n);
}

const ignored = (world: World): number => world.counts.get("session_events_ignored") ?? 0;

describe("a session without end", (test) => {
  test("is counted to the last event, in bounded memory", () => {
    const numbers = Array.from({ length: ENDLESS }, (_, nth) => nth);
    const count = (holds: (nth: number) => boolean): number => numbers.filter(holds).length;
    const world = inBatches(numbers.map(endless));
    const all = factsOf(world);
    const isSample = (nth: number) => nth % 10 !== 0;
    const row = all.session();
    states(row, {
      event_count: ENDLESS,
      status_sample_count: count(isSample),
      status_error_sample_count: count((nth) => isSample(nth) && nth % 3 === 0),
      error_count: count((nth) => nth % 40 === 0),
      excusable_error_count: count((nth) => nth % 80 === 40),
      swap_count: count((nth) => nth % 40 === 30),
      inferred_orchestrator_change_count: 1,
      session_start_ts: T,
      session_end_ts: T + (ENDLESS - 1) * STEP_MS,
    });
    const segments = all.segments();
    assert.is(segments.length, ENDLESS / 1_000);
    assert.equal(
      segments.map(({ start_ts, orchestrator_address }) => [start_ts, orchestrator_address]),
      // The first event names nobody; every later thousand begins with an error, which names nobody either.
      segments.map((_, at) => [T + (at === 0 ? 0 : at * 1_000 + 1) * STEP_MS, at % 2 === 0 ? "0xca" : "0xcb"]),
    );
    assert.is(ignored(world), 0);
    // Each event that names its orchestrator has a row of its own evidence; the others add 1 each.
    const own = [...all.of("fact_stream_status_samples")];
    own.push(...all.of("fact_stream_trace_edges").filter(({ trace_type }) => trace_type === TRACE.swap));
    const evidence = own.reduce((sum, one) => sum + evidenceIn(one), BigInt(ENDLESS - own.length));
    assert.is(evidenceIn(row), evidence);
    assert.is(all.of("fact_workflow_param_updates").length, count((nth) => nth % 40 === 10));
    assert.is(
      all.of("fact_lifecycle_edge_coverage").length,
      count((nth) => nth % 20 === 10 && nth % 40 !== 10) +
        count((nth) => nth % 40 === 20),
    );
  });

  test("in any order never counts more than there was, and what it leaves out is counted", () => {
    const numbers = Array.from({ length: 20_000 }, (_, nth) => nth);
    const wires = numbers.map((nth) => {
      const at = T + nth * STEP_MS;
      if (nth % 2 === 0) return happens.error(at, nth % 4 === 0 ? "boom" : "WHIP disconnected");
      return happens.trace(nth % 10 === 1 ? TRACE.swap : TRACE.data, at);
    });
    const world = inBatches(shuffled(wires, seeded(1)));
    const row = factsOf(world).session();
    assert.is(Number(row.event_count) + ignored(world), wires.length);
    assert.ok(ignored(world) > 0 && Number(row.event_count) > MOST_APART);
    assert.is(evidenceIn(row), BigInt(row.event_count as number));
    const truth = { error_count: 10_000, excusable_error_count: 5_000, swap_count: 2_000 };
    for (const [column, most] of Object.entries(truth)) {
      assert.ok(Number(row[column]) <= most, column);
      // Nobody chose what was left out, so of each kind there is as much as of all.
      const share = Number(row[column]) / most - Number(row.event_count) / wires.length;
      assert.ok(Math.abs(share) < 0.05, `${column} ${share}`);
    }
  });
});

describe("a session that changes its orchestrator all the time", (test) => {
  const changing = (count: number, id = ""): Wire[] =>
    Array.from({ length: count }, (_, nth) => {
      const at = T + nth * STEP_MS;
      return happens.trace(TRACE.data, at, { ...(nth % 2 === 0 ? A : B), id: `${id}${nth}` });
    });

  test("has a segment for each change", () => {
    const world = inBatches(changing(3_000));
    const row = factsOf(world).session();
    states(row, { event_count: 3_000, inferred_orchestrator_change_count: 1 });
    assert.is(factsOf(world).segments().length, 3_000);
    assert.is(ignored(world), 0);
  });

  // Uids as long as they may be make an entry too large even without events that are kept apart.
  for (const id of ["", "é".repeat(240)]) {
    test(`takes no more when its segments are too many, with ids of ${id.length + 5} characters`, () => {
      const world = inBatches(changing(12_000, id));
      const row = factsOf(world).session();
      assert.is(Number(row.event_count) + ignored(world), 12_000);
      assert.ok(Number(row.event_count) > 1_024 && ignored(world) > 0);
      const segments = factsOf(world).segments();
      assert.is(segments.length, row.event_count);
      for (const [at, segment] of segments.entries()) {
        assert.is(segment.start_ts, T + at * STEP_MS);
        assert.is(segment.orchestrator_address, at % 2 === 0 ? "0xca" : "0xcb");
      }
    });
  }
});

describe("sessions without number", (test) => {
  test("of one stream are told apart by their requests", () => {
    const wires = Array.from({ length: 10_000 }, (_, nth) => {
      const ids = { request: `request-${nth}` };
      return [happens.request(T + nth, { ...ids, id: `request-${nth}` }), happens.sample(T + nth, { ...A, ...ids })];
    }).flat();
    const world = inBatches(wires);
    const rows = world.rows("fact_workflow_sessions");
    assert.is(rows.length, 10_000);
    assert.is(new Set(rows.map((row) => row.request_id)).size, 10_000);
    for (const row of rows) {
      states(row, { stream_id: "stream-1", event_count: 2, status_sample_count: 1, orchestrator_address: "0xca" });
    }
    assert.is(world.sessions.size, 10_000);
    assert.is(ignored(world), 0);
  });

  test("of one stream without requests are one session, without either each event is its own", () => {
    const none = { request: MISSING };
    const wires = Array.from(
      { length: 2_000 },
      (_, nth) =>
        happens.error(T + nth, "boom", { ...none, id: `${nth}`, ...(nth < 1_000 ? {} : { stream: MISSING }) }),
    );
    const rows = inBatches(wires).rows("fact_workflow_sessions");
    assert.is(rows.length, 1 + 1_000);
    assert.equal(rows.map((row) => row.event_count).filter((count) => count !== 1), [1_000]);
  });

  test("of ten thousand nodes that nobody knows are unattributed, each with its own url", () => {
    const wires = Array.from({ length: 10_000 }, (_, nth) => happens.sample(T + nth, { url: `https://${nth}` }));
    const world = inBatches(wires, [node("0xcz", "model", ["GPU"], { hot: "0xz", url: "https://z" })]);
    states(factsOf(world).session(), {
      event_count: 10_000,
      is_attributed: 0,
      unattributed_reason: "no_snapshot",
      orchestrator_url: "https://9999",
    });
  });
});

describe("what cannot be", (test) => {
  const moment = (timestamp: number | string): Wire => {
    const wire = happens.error(T, "boom", { id: `${timestamp}` });
    return { ...wire, envelope: { ...wire.envelope, timestamp } };
  };

  test("a time that is none, or lies after the message was stored, is refused and counted", () => {
    const world = new World();
    const refused = [
      "NaN",
      NaN,
      Infinity,
      -1,
      "",
      "2100-01-01",
      1e300,
      Date.UTC(2100, 0, 1),
      `${Date.UTC(2100, 0, 1)}`,
    ];
    for (const timestamp of refused) world.publish(moment(timestamp));
    world.publish(moment(T));
    world.drain();
    assert.is(world.counts.get("rejected"), refused.length);
    assert.is(world.counts.get("rejected:missing_timestamp"), refused.length - 2);
    assert.is(world.counts.get("rejected:time_in_future"), 2);
    states(factsOf(world).session(), { event_count: 1, session_start_ts: T, session_end_ts: T });
  });

  test("the year 1970 is a time like any other, but no start that a runner reports", () => {
    const row = facts([moment(0), moment(1), happens.sample(T, { startTime: 1_000, id: "sample" })]).session();
    states(row, {
      event_count: 3,
      session_start_ts: 0,
      session_end_ts: T,
      source_first_event_uid: row.source_first_event_uid,
    });
    states(facts([happens.sample(T, { startTime: 1_000 })]).session(), { session_start_ts: T });
  });

  test("the text of a parameter update is cut at 1,000 characters, and never in the middle of one", () => {
    const messageOf = (message: string) =>
      facts([happens.streamEvent("params_update", T, message, { id: "params" })])
        .event("fact_workflow_param_updates", "params").message;
    const most = "x".repeat(999);
    assert.is(messageOf(`${most}yz`), `${most}y`);
    assert.is(messageOf(`${most}\u{1f680}`), most, "half a surrogate pair is no text");
    assert.is(messageOf(`x${most}\u{1f680}`), `x${most}`);
    assert.is(messageOf(`${most.slice(1)}\u{1f680}`), `${most.slice(1)}\u{1f680}`);
  });

  test("types that are unknown make no session; an AI event of any type belongs to its own", () => {
    const world = new World();
    const other = happens.request(T, { request: "request-2" });
    world.publish({ ...other, envelope: { ...other.envelope, type: "what_is_this" } });
    world.publish(happens.trace("what_is_this", T, { request: "request-3" }));
    world.publish(happens.streamEvent("what_is_this", T));
    world.drain();
    assert.equal(world.rows("fact_workflow_sessions").map((row) => row.request_id), ["request-1"]);
    assert.is(world.counts.get("ignored"), 2);
    states(factsOf(world).session(), { event_count: 1, error_count: 0 });
  });
});
