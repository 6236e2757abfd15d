/** The sessions of a partition: which stay in memory and how long, when their entries are due, and which have rows. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import type { Finding } from "../../../src/core/attribute.ts";
import type { StateChange } from "../../../src/core/effects.ts";
import type { Row } from "../../../src/core/emit/row.ts";
import { factKey, factOf } from "../../../src/core/facts.ts";
import { judge } from "../../../src/core/judge.ts";
import { sampleOf } from "../../../src/core/observed.ts";
import { readSession } from "../../../src/core/session/entry.ts";
import { Sessions, type SessionsSettings } from "../../../src/core/session/sessions.ts";
import { isSessionEvent, type SessionEvent } from "../../../src/core/session/signal.ts";
import { NO_CLAIM } from "../../../src/core/session/support.ts";
import { bytesOf, stored, subjectOf, type Wire } from "../../helpers/events.ts";
import {
  A,
  close,
  error,
  playable,
  processed,
  request,
  sample,
  streamEvent,
  swap,
} from "../../helpers/session-events.ts";
import { SPAN_MS } from "../../helpers/session-traffic.ts";
import { sessionTtl, sessionWorld } from "../../helpers/session-world.ts";
import { describe } from "../../helpers/suite.ts";
import { inOrder, World } from "../../helpers/world.ts";

const SETTINGS: SessionsSettings = {
  generation: 1,
  contentHash: "rules",
  mostSessions: 1_000,
  sessionLagMs: 60_000,
  leftOut: new Set(),
};

/** What is found for a sample when no snapshot names its node. */
const UNKNOWN: Finding = {
  selection: { grade: 0, tie: 0n, chosen: undefined },
  claim: { ...NO_CLAIM, reason: "no_snapshot", url: A.url },
};
const KNOWN: Finding = {
  selection: { grade: 5 * 2 ** 30, tie: 7n, chosen: undefined },
  claim: { ...UNKNOWN.claim, level: 5, method: "node_match", reason: "", canonical: "0xca", snapshotTimeMs: 500 },
};
/** Ascending: the first node by better evidence, and another by better still. */
const BETTER = [6, 7].map((tie): Finding => ({
  selection: { grade: 6 * 2 ** 30, tie: BigInt(tie), chosen: undefined },
  claim: { ...KNOWN.claim, level: 6, canonical: tie === 6 ? "0xca" : "0xcb" },
}));
const FINDINGS = [UNKNOWN, KNOWN, ...BETTER];

/** The sessions of a partition, each of whose messages is stored a second after the one before it. */
class Partition {
  readonly sessions: Sessions;
  sequence = 0;

  constructor(settings: Partial<SessionsSettings> = {}) {
    this.sessions = new Sessions({ ...SETTINGS, ...settings });
  }

  static storedAtMs(sequence: number): number {
    return 4_000_000_000_000 + sequence * 1_000;
  }

  /** Notes an event; a sample is open when it is said to be. */
  take(wire: Wire, { finding, open = false }: { finding?: Finding | undefined; open?: boolean } = {}): string {
    this.sequence++;
    const { event, key } = read(wire);
    const at = { streamSequence: this.sequence, streamTimeMs: Partition.storedAtMs(this.sequence) };
    const noted = this.sessions.note(key, event, at, finding);
    if (open && event.type === "ai_stream_status") this.sessions.opened(sampleOf(event));
    return noted;
  }

  /** Seals when the stream must be read again from `rewindBound` on, so long after the last message was stored. */
  seal({ rewindBound = this.sequence + 1, laterMs = 0 } = {}): { rows: Row[]; entries: StateChange[] } {
    const rows: Row[] = [];
    const takenAtMs = Partition.storedAtMs(this.sequence) + laterMs;
    const entries = this.sessions.seal(rewindBound, takenAtMs, (_, row) => rows.push(row));
    return { rows, entries };
  }

  /** Seals into tables, by key, without their versions: only a row that says something else is written again. */
  into(tables: Map<string, Row>): Map<string, Row> {
    this.sessions.seal(this.sequence + 1, Partition.storedAtMs(this.sequence), (table, { version: _, ...row }) => {
      tables.set(factKey(factOf(table)!, row), row);
    });
    return tables;
  }
}

function read(wire: Wire): { event: SessionEvent; key: string } {
  const { decoded, sessionKey } = judge(stored(subjectOf(wire, 1), bytesOf(wire.envelope), 1, 4_000_000_000_000));
  if (decoded.outcome !== "accepted" || !isSessionEvent(decoded.event)) throw new Error("no event of a session");
  return { event: decoded.event, key: sessionKey! };
}

const observedIn = (wire: Wire) => sampleOf(read(wire).event as Extract<SessionEvent, { type: "ai_stream_status" }>);
const SAMPLE = sample(1_000, A);
const OBSERVED = observedIn(SAMPLE);
const { key: KEY } = read(SAMPLE);

/** How many events the session row among these counts; undefined when there is none. */
function eventsIn({ rows }: { rows: readonly Row[] }): unknown {
  return rows.find((row) => row.event_count !== undefined)?.event_count;
}

/** The entry that another writer leaves of these events. */
function entryOf(wires: readonly Wire[], settings: Partial<SessionsSettings> = {}): string {
  const partition = new Partition({ sessionLagMs: 0, ...settings });
  for (const wire of wires) partition.take(wire);
  return partition.seal().entries[0]!.value!;
}

describe("a session in memory", (test) => {
  test("leaves it at the seal after the one that wrote its entry, and not before", () => {
    const partition = new Partition({ sessionLagMs: 0 });
    partition.take(request(1_000));
    const { entries } = partition.seal();
    assert.equal(entries.map(({ bucket, key }) => [bucket, key]), [["workflow_sessions", KEY]]);
    assert.is(readSession(KEY, entries[0]!.value!)!.session.signals.length, 1);
    assert.ok(partition.sessions.has(KEY), "what was handed over is not durable yet");
    assert.is(partition.sessions.leastUncoveredSequence, undefined);
    partition.seal();
    assert.not(partition.sessions.has(KEY));
    assert.is(partition.sessions.size, 0);
  });

  test("stays when an event comes between the two seals", () => {
    const partition = new Partition({ sessionLagMs: 0 });
    partition.take(request(1_000));
    partition.seal();
    partition.take(close(2_000));
    assert.is(eventsIn(partition.seal()), 2);
    assert.ok(partition.sessions.has(KEY));
    partition.seal();
    assert.not(partition.sessions.has(KEY));
  });

  test("stays as long as one of its events is open, and its entry is written again when one has improved", () => {
    const partition = new Partition({ sessionLagMs: 0 });
    partition.take(SAMPLE, { finding: UNKNOWN, open: true });
    // A sample that only the stream holds is read again, so there is no hurry to write its session.
    assert.equal(partition.seal({ rewindBound: 1 }).entries, []);
    assert.is(partition.sessions.leastUncoveredSequence, 1);
    assert.is(partition.seal().entries.length, 1);
    for (let seal = 0; seal < 3; seal++) assert.equal(partition.seal(), { rows: [], entries: [] });
    partition.sessions.improve(OBSERVED, KNOWN);
    const improved = partition.seal();
    assert.is(improved.rows[0]!.orchestrator_address, "0xca");
    assert.equal(improved.entries, []);
    partition.sessions.closed(OBSERVED);
    const { entries, rows } = partition.seal();
    assert.is(rows[0]!.orchestrator_address, "0xca", "it settles");
    const { signals, supports } = readSession(KEY, entries[0]!.value!)!.session;
    assert.is(supports.at(signals.at(0).support).claim.canonical, "0xca");
    partition.seal();
    assert.not(partition.sessions.has(KEY));
  });

  test("has the same rows at each step whether it rests between them or not", () => {
    const steps = (partition: Partition): Row[][] => {
      const rows: Row[][] = [];
      const seal = () => rows.push(partition.seal().rows);
      const [first, later] = [sample(500, A), sample(3_000, A)];
      partition.take(first, { finding: UNKNOWN, open: true });
      partition.take(request(1_000));
      partition.take(SAMPLE, { finding: UNKNOWN, open: true });
      seal();
      partition.take(later, { finding: UNKNOWN, open: true });
      partition.take(close(4_000));
      for (let nth = 0; nth < 3; nth++) seal();
      partition.sessions.closed(observedIn(first));
      assert.not(partition.sessions.hasWork, "two are open still");
      // The last sample alone, which no edge is later than but the close.
      partition.sessions.improve(observedIn(later), KNOWN);
      for (let nth = 0; nth < 3; nth++) seal();
      partition.sessions.closed(OBSERVED);
      seal();
      partition.sessions.closed(OBSERVED);
      partition.sessions.closed(observedIn(later));
      for (let nth = 0; nth < 3; nth++) seal();
      return rows;
    };
    const resting = steps(new Partition({ sessionLagMs: 0 }));
    const awake = steps(new Partition({ sessionLagMs: 60_000 }));
    // When it settles depends on when its entry is due; everything before must be the same, batch by batch.
    assert.equal(resting.slice(0, 7), awake.slice(0, 7));
    assert.equal(resting.slice(7).flat(), awake.slice(7).flat());
  });

  test("has at each step the rows that all it knows comes to, though only those are written that change", () => {
    const update = (at: number) => streamEvent("params_update", at);
    const nameless = [request, processed, playable, close, swap, update];
    const event = fc.record({
      kind: fc.nat(nameless.length),
      atMs: fc.integer({ min: 1, max: 12 }),
      known: fc.constantFrom(...FINDINGS),
      improves: fc.option(fc.nat(), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 14 }), (events) => {
        const partition = new Partition();
        const taken: { readonly wire: Wire; finding: Finding | undefined }[] = [];
        const table = new Map<string, Row>();
        for (const { kind, atMs, known, improves } of events) {
          const wire = nameless[kind]?.(1_000 * atMs) ?? sample(1_000 * atMs, A);
          const one = taken.find(({ wire: { envelope } }) => envelope.id === wire.envelope.id) ??
            { wire, finding: kind === nameless.length ? known : undefined };
          if (!taken.includes(one)) taken.push(one);
          partition.take(one.wire, one);
          const sampled = taken.filter(({ finding }) => finding !== undefined);
          const raised = improves === undefined ? undefined : sampled[improves % sampled.length];
          if (raised !== undefined) {
            raised.finding = FINDINGS[FINDINGS.indexOf(raised.finding!) + 1] ?? raised.finding;
            partition.sessions.improve(observedIn(raised.wire), raised.finding!);
          }
          partition.into(table);
          const anew = new Partition();
          for (const { wire, finding } of taken) anew.take(wire, { finding });
          assert.equal(table, anew.into(new Map()));
        }
      }),
      { numRuns: 200, includeErrorInReport: true },
    );
  });

  test("settles once: all its rows are written again when its last event closes", () => {
    const partition = new Partition();
    partition.take(request(1_000));
    partition.take(SAMPLE, { finding: KNOWN, open: true });
    // The session, the edge that names nobody, and its coverage.
    assert.is(partition.seal().rows.length, 3);
    assert.equal(partition.seal().rows, []);
    partition.sessions.closed(OBSERVED);
    assert.equal(partition.seal().rows, [], "nothing that comes would be written before its last rows");
    assert.ok(partition.sessions.hasWork);
    assert.is(partition.seal().rows.length, 3);
    assert.not(partition.sessions.hasWork);
    assert.equal(partition.seal().rows, []);
  });

  test("under other settings stays as it is, whatever is found for its events", () => {
    const other = entryOf([SAMPLE], { contentHash: "other rules" });
    const partition = new Partition({ sessionLagMs: 0 });
    // The stream does not hold its first event any more.
    partition.sessions.admit(KEY, other, 2);
    partition.take(SAMPLE, { finding: UNKNOWN, open: true });
    partition.sessions.improve(OBSERVED, KNOWN);
    partition.sessions.closed(OBSERVED);
    assert.equal(partition.seal(), { rows: [], entries: [] });
  });

  test("settles with its entry when that is written", () => {
    const partition = new Partition({ sessionLagMs: 0 });
    partition.take(request(1_000));
    partition.take(SAMPLE, { finding: KNOWN, open: true });
    assert.is(partition.seal().entries.length, 1);
    partition.sessions.closed(OBSERVED);
    assert.is(partition.seal().rows.length, 3);
    assert.equal(partition.seal(), { rows: [], entries: [] });
  });

  test("does not settle while events come: each has its rows once, and all of them once more in the end", () => {
    const partition = new Partition();
    const count = 30;
    let rows = 0;
    for (let nth = 1; nth <= count; nth++) {
      partition.take(close(1_000 * nth));
      rows += partition.seal().rows.length;
    }
    assert.is(rows, 3 * count, "the session, an edge and its coverage each time");
    assert.is(partition.seal().rows.length, 1 + 2 * count);
  });
});

describe("an entry", (test) => {
  test("is due when its first event has been stored for so long, and before the rewind passes it", () => {
    for (const lagMs of [0, 1_000, 60_000]) {
      const partition = new Partition({ sessionLagMs: lagMs });
      partition.take(request(1_000));
      partition.seal();
      partition.take(close(2_000));
      if (lagMs > 1_000) assert.equal(partition.seal({ laterMs: lagMs - 1_001 }).entries, []);
      assert.is(partition.seal({ laterMs: lagMs - 1_000, rewindBound: 1 }).entries.length, 0, "it is read again");
      assert.is(partition.sessions.leastUncoveredSequence, lagMs === 0 ? 2 : 1);
      assert.is(partition.seal({ laterMs: lagMs }).entries.length, 1);
      assert.is(partition.sessions.leastUncoveredSequence, undefined);
    }
  });

  test("holds events of a session that rested, and of what came for it since", () => {
    const partition = new Partition();
    partition.take(request(1_000));
    for (let seal = 0; seal < 3; seal++) partition.seal();
    assert.is(partition.sessions.size, 1);
    assert.equal(partition.seal(), { rows: [], entries: [] }, "it rests");
    partition.take(close(2_000));
    assert.is(eventsIn(partition.seal()), 2);
    for (let seal = 0; seal < 3; seal++) partition.seal();
    const { entries } = partition.seal({ laterMs: 60_000 });
    const { signals } = readSession(KEY, entries[0]!.value!)!.session;
    assert.equal(Array.from(signals, ({ timeMs }) => timeMs), [1_000, 2_000]);
    partition.seal();
    assert.is(partition.sessions.size, 0);
  });

  test("of the oldest sessions is written beyond the most that are kept, so that they leave", () => {
    const partition = new Partition({ mostSessions: 2 });
    const keys = [1, 2, 3, 4, 5].map((nth) => {
      const wire = request(nth, { request: `request-${nth}` });
      partition.take(wire);
      return read(wire).key;
    });
    const { entries } = partition.seal();
    assert.equal(entries.map(({ key }) => key), keys.slice(0, 3));
    assert.is(partition.sessions.leastUncoveredSequence, 4);
    partition.seal();
    assert.equal(keys.map((key) => partition.sessions.has(key)), [false, false, false, true, true]);
  });

  test("that had to be made smaller is what the session is from then on, also if it rests", () => {
    const partition = new Partition({ sessionLagMs: 0 });
    const id = "i".repeat(240);
    for (let nth = 1; nth <= 4_000; nth++) {
      partition.take(sample(1_000 * nth, { ...A, id: `${id}${nth}` }), { finding: UNKNOWN, open: true });
    }
    partition.seal({ rewindBound: 1 });
    const kept = readSession(KEY, partition.seal().entries[0]!.value!)!.session;
    assert.ok(kept.signals.length < 4_000);
    assert.is(partition.take(sample(1_500, A)), "ignored", "it is below the floor");
  });

  test("is not written for a session with open events, however many there are", () => {
    const partition = new Partition({ mostSessions: 1 });
    for (const nth of [1, 2, 3]) {
      partition.take(sample(nth, { ...A, request: `request-${nth}` }), { finding: UNKNOWN, open: true });
    }
    assert.equal(partition.seal().entries, []);
    assert.is(partition.sessions.size, 3);
  });
});

describe("a session that has an entry", (test) => {
  const before = [request(1_000), error(1_500, "boom")];

  test("is gone on with", () => {
    const partition = new Partition();
    partition.sessions.admit(KEY, entryOf(before), 1);
    assert.is(partition.take(close(2_000)), "added");
    assert.is(partition.take(request(1_000)), "known");
    const { rows } = partition.seal();
    assert.is(eventsIn({ rows }), 3);
    assert.is(rows.find((row) => row.event_count !== undefined)!.error_count, 1);
  });

  test("of other settings is derived anew where the stream still has its head", () => {
    const partition = new Partition();
    partition.sessions.admit(KEY, entryOf(before, { contentHash: "other rules" }), 1);
    assert.not(partition.sessions.has(KEY));
    assert.is(partition.take(close(2_000)), "added");
    assert.is(eventsIn(partition.seal()), 1);
  });

  test("of other settings stays as it is where the stream has lost its head", () => {
    const partition = new Partition({ sessionLagMs: 0 });
    partition.sessions.admit(KEY, entryOf(before, { contentHash: "other rules" }), 2);
    assert.ok(partition.sessions.has(KEY));
    assert.is(partition.take(close(2_000)), "ignored");
    partition.sessions.settleAll();
    assert.equal(partition.seal(), { rows: [], entries: [] });
    partition.seal();
    assert.not(partition.sessions.has(KEY), "and leaves the memory like any other");
  });

  test("that cannot be read, or none, is none", () => {
    for (const value of [undefined, "{"]) {
      const partition = new Partition();
      partition.sessions.admit(KEY, value, 2);
      assert.not(partition.sessions.has(KEY));
    }
  });

  test("of another writer is taken in, whether it is in memory or not", () => {
    for (const own of [[], [close(2_000)]]) {
      const partition = new Partition();
      for (const wire of own) partition.take(wire);
      partition.seal();
      partition.sessions.adopt(KEY, entryOf(before));
      assert.ok(partition.sessions.hasWork);
      assert.is(eventsIn(partition.seal()), before.length + own.length);
      // What only its entry holds has settled; what has events besides settles as it rests.
      if (own.length > 0) partition.seal();
      partition.sessions.adopt(KEY, entryOf(before));
      assert.not(partition.sessions.hasWork, "nothing is new the second time");
    }
  });

  test("of another writer under other settings, or no entry, is not taken in", () => {
    const partition = new Partition();
    partition.take(close(2_000));
    for (let seal = 0; seal < 2; seal++) partition.seal();
    for (const value of [entryOf(before, { contentHash: "other rules" }), "{"]) partition.sessions.adopt(KEY, value);
    assert.not(partition.sessions.hasWork);
  });
});

describe("sessions", (test) => {
  test("that are left out have no rows and no entries, and others have", () => {
    const partition = new Partition({ leftOut: new Set([KEY]), sessionLagMs: 0 });
    assert.ok(partition.sessions.has(KEY), "their entries are not asked for");
    assert.is(partition.take(request(1_000)), "ignored");
    assert.is(partition.take(request(1_000, { request: "request-2" })), "added");
    const { rows, entries } = partition.seal();
    assert.equal(new Set(rows.map((row) => row.workflow_session_id)), new Set(["stream-1|request-2"]));
    assert.is(entries.length, 1);
  });

  test("are all written once more when they are to settle, those that rest too, and the same", () => {
    const partition = new Partition();
    for (const nth of [1, 2, 3]) partition.take(request(nth, { request: `request-${nth}` }));
    const { rows } = partition.seal();
    for (let seal = 0; seal < 3; seal++) partition.seal();
    partition.sessions.settleAll();
    assert.ok(partition.sessions.hasWork);
    assert.equal(partition.seal().rows, rows);
  });

  test("leave the same rows whether they rest between their events, leave the memory, or neither", () => {
    fc.assert(
      fc.property(sessionWorld, sessionTtl, (wires, ttl) => {
        const settings = { ttl, allowedLatenessMs: SPAN_MS };
        const undisturbed = new World({ ...settings, sessionLagMs: Infinity });
        for (const wire of wires) undisturbed.publish(wire);
        undisturbed.drain();
        for (const other of [{ sessionLagMs: Infinity }, { sessionLagMs: 0 }, { sessionLagMs: 0, mostSessions: 0 }]) {
          assert.equal(inOrder(wires, { ...settings, ...other }).rows(), undisturbed.rows());
        }
      }),
      { numRuns: 150, includeErrorInReport: true },
    );
  });
});
