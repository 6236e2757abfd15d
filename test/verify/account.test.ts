/** The account over the real core and tables in memory: nothing is found where all is well, and each row that lacks. */
import * as assert from "uvu/assert";
import { type Fact, factKey, factOf, FACTS, type FactTable } from "../../src/core/facts.ts";
import { seeded, shuffled, withDuplicates } from "../../src/runtime/shuffle.ts";
import type { Account } from "../../src/verify/account.ts";
import { MISSING, type Wire } from "../helpers/events.ts";
import { productionEvents, productionFiles } from "../helpers/production.ts";
import { A, B, close, error, ingest, KNOWN, request, sample, streamEvent } from "../helpers/session-events.ts";
import { sessionWires } from "../helpers/session-traffic.ts";
import { describe } from "../helpers/suite.ts";
import { Warehouse } from "../helpers/warehouse.ts";
import { HOUR_MS, type WorldSettings } from "../helpers/world.ts";

const PRODUCTION = productionFiles().flatMap(productionEvents);
const SEEDS = Array.from({ length: 12 }, (_, at) => at + 1);
const SETTINGS = { partitions: 3, allowedLatenessMs: 10_000 * HOUR_MS };

const SESSIONS = factOf("fact_workflow_sessions")!;

/** Events of every kind in two sessions and a half: a nameless edge, one that names its orchestrator, an update. */
const EVERY_KIND: readonly Wire[] = [
  KNOWN,
  request(1_000),
  sample(2_000, A),
  streamEvent(" Params_Update", 2_500, "{}"),
  streamEvent("other", 2_600),
  error(2_700, "boom"),
  ingest(2_800),
  close(3_000, B),
  sample(4_000, { ...B, request: " request-2 " }),
  ingest(4_100, { request: "request-2" }),
  ingest(5_000, { request: "request-3" }),
  request(6_000, { stream: MISSING, request: MISSING }),
];

function process(wires: readonly Wire[], settings: Partial<WorldSettings> = {}): Warehouse {
  const world = new Warehouse({ ...SETTINGS, ...settings });
  for (const wire of wires) world.publish(wire);
  world.drain();
  return world;
}

/** What was found, as kind, sequence and detail. */
function found({ findings }: Account): [string, number, string][] {
  return findings.map(({ kind, streamSequence, detail }) => [kind, streamSequence, detail]);
}

/** The row of a session, with another number of events. */
function count(world: Warehouse, sessionId: string, events: number): void {
  const key = factKey(SESSIONS, { source: "network", workflow_session_id: sessionId });
  world.table.set(key, { ...world.table.get(key)!, event_count: events });
}

function remove(world: Warehouse, fact: Fact, sessionId: string): void {
  for (const [key, row] of world.table) {
    if (key.startsWith(`${fact.table}\n`) && row.workflow_session_id === sessionId) world.table.delete(key);
  }
}

describe("the account of a sound run", (test) => {
  test("finds nothing and accounts for all of production's events, in any order, batch and after any crash", async () => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const world = new Warehouse(SETTINGS);
      const kinds = ["take", "take", "take", "commit", "apply", "repeat", "crash"] as const;
      const wires = shuffled(
        withDuplicates([...PRODUCTION, ...EVERY_KIND, ...sessionWires(seed)], 0.2, random),
        random,
      );
      for (const [at, wire] of wires.entries()) {
        world.publish(wire, Math.floor(random() * 4));
        const pick = () => Math.floor(random() * 1_000);
        world.run([{ do: kinds[pick() % kinds.length]!, pick: pick() }]);
        if (at % 50 > 0) continue;
        const { found } = await world.account();
        assert.equal(Object.keys(found).filter((kind) => kind !== "not_processed"), [], "while it is at work");
      }
      world.drain();
      const whole = await world.account();
      assert.equal(found(whole), [], `seed ${seed}`);
      assert.is(whole.accounted.accepted + whole.accounted.duplicate, wires.length);
      const part = await world.account(Math.floor(wires.length / 3), Math.floor(wires.length / 2));
      assert.equal(found(part), [], "sessions that go on outside of the range count more");
    }
  });

  test("does not count an event twice that its reader had forgotten", async () => {
    const apart = Array.from({ length: 9 }, (_, at) => sample(10_000 + at, { request: "request-9" }));
    const world = process([...EVERY_KIND, ...apart, ...EVERY_KIND], { mostSeen: 4, partitions: 1 });
    const accepted = [...world.archive.values()].filter((row) => row.outcome === "accepted");
    // All but the snapshot, whose partition nothing else came in.
    assert.is(accepted.length, 2 * EVERY_KIND.length - 1 + apart.length);
    assert.equal(found(await world.account()), []);
  });
});

describe("the account of a run with rows that lack", (test) => {
  test("finds each row of each fact that is gone, and nothing else", async () => {
    const world = process([...PRODUCTION, ...EVERY_KIND]);
    const lost = new Map<string, number>();
    for (const [key, row] of [...world.table]) {
      const table = key.slice(0, key.indexOf("\n"));
      const isSession = table === "fact_workflow_sessions";
      world.table.delete(key);
      const { findings } = await world.account();
      world.table.set(key, row);
      assert.is(findings.length, 1, key);
      const { kind, source, uid, streamSequence, detail } = findings[0]!;
      assert.equal([kind, source], [isSession ? "session_short" : "no_fact", row.source], key);
      assert.is(world.archive.get(streamSequence)?.uid, uid);
      const expected = isSession
        ? `session ${row.workflow_session_id} has no row; ${row.event_count} of its events are accepted`
        : `no row in ${table}`;
      assert.is(detail, expected);
      if (!isSession) assert.is(uid, row.source_event_uid);
      lost.set(table, (lost.get(table) ?? 0) + 1);
    }
    assert.equal([...lost.keys()].sort(), FACTS.map(({ table }) => table).sort());
    assert.is(lost.get("fact_stream_trace_edges"), lost.get("fact_lifecycle_edge_coverage"));
    assert.equal(found(await world.account()), []);
  });

  test("finds a session that counts fewer events than there are, not one that counts more", async () => {
    const id = "stream-1|request-1";
    const world = process(EVERY_KIND);
    count(world, id, 5);
    const short = `session ${id} counts 5 events; 6 of them are accepted`;
    assert.equal(found(await world.account()), [["session_short", 2, short]]);
    // The range holds five of them: an ingest sample is none of a session's events.
    assert.equal(found(await world.account(3, 8)), []);
    count(world, id, 4);
    const shorter = `session ${id} counts 4 events; 5 of them are accepted`;
    assert.equal(found(await world.account(3)), [["session_short", 3, shorter]]);
    count(world, id, 7);
    assert.equal(found(await world.account()), []);
  });

  test("finds a session that is gone also where the range holds only second copies of its events", async () => {
    const world = process([...EVERY_KIND, ...EVERY_KIND]);
    remove(world, SESSIONS, "stream-1|request-1");
    const { found: kinds, findings } = await world.account(EVERY_KIND.length + 1);
    assert.equal(kinds, { session_short: 1 });
    assert.match(findings[0]!.detail, "has no row; 6 of its events are accepted");
  });

  test("expects no session where there are ingest samples alone", async () => {
    const world = process(EVERY_KIND);
    const ids = world.rows("fact_workflow_sessions").map((row) => row.workflow_session_id);
    assert.equal(ids.includes("stream-1|request-3"), false);
    remove(world, factOf("fact_stream_ingest_samples")!, "stream-1|request-3");
    assert.equal(found(await world.account()), [["no_fact", 11, "no row in fact_stream_ingest_samples"]]);
  });

  test("leaves to the archive what the archive lacks, and to the future what no checkpoint covers", async () => {
    const world = process(EVERY_KIND);
    for (const fact of FACTS) remove(world, fact, "stream-1|request-1");
    const checkpoints = [...world.checkpoints];
    world.checkpoints.clear();
    // Two ai events leave no fact of their own.
    assert.equal((await world.account()).found, { not_processed: 5 });
    for (const [partition, checkpoint] of checkpoints) world.checkpoints.set(partition, checkpoint);
    const session = EVERY_KIND.map((_, at) => at + 1).slice(1, 8);
    for (const sequence of session) world.archive.delete(sequence);
    assert.equal((await world.account()).found, { missing: session.length });
  });

  test("tells rows that their table no longer keeps from rows that are lost, each by its own retention", async () => {
    const world = process(EVERY_KIND);
    for (const fact of FACTS) remove(world, fact, "stream-1|request-1");
    const { found: lost } = await world.account();
    assert.equal(lost, { no_fact: 7, session_short: 1 });
    const rows: Partial<Record<FactTable, number>> = {
      fact_stream_status_samples: 1,
      fact_stream_trace_edges: 2,
      fact_lifecycle_edge_coverage: 2,
      fact_workflow_param_updates: 1,
      fact_stream_ingest_samples: 1,
      fact_workflow_sessions: 1,
    };
    for (const { table } of FACTS) {
      const of = table === "fact_workflow_sessions" ? "session_short" : "no_fact";
      const left = { ...lost, [of]: lost[of]! - rows[table]! };
      const old = await world.account(undefined, undefined, { [table]: 3_001 });
      assert.equal(old.expired, { [table]: rows[table] });
      assert.equal(old.found, left[of] === 0 ? { no_fact: 7 } : left);
    }
    // A session is kept as long as its last event: 3000.
    const young = await world.account(undefined, undefined, { fact_workflow_sessions: 3_000 });
    assert.equal([young.found, young.expired], [lost, {}]);
    // What is there is compared, however old it is.
    const there = process(EVERY_KIND);
    count(there, "stream-1|request-1", 1);
    const old = await there.account(undefined, undefined, { fact_workflow_sessions: 9_000 });
    assert.equal([old.found, old.expired], [{ session_short: 1 }, {}]);
  });
});
