/** What an entry of `workflow_sessions` keeps of a session, what it takes for one, and what two of them leave together. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import type { Row } from "../../../src/core/emit/row.ts";
import { sessionRow } from "../../../src/core/emit/session.ts";
import { hash64 } from "../../../src/core/hash.ts";
import { derive } from "../../../src/core/session/derive.ts";
import { mergeSessions, readSession, writeSession } from "../../../src/core/session/entry.ts";
import type { Session } from "../../../src/core/session/session.ts";
import { MEANING } from "../../../src/core/session/signal.ts";
import { status, streamEvent, TRACE, trace, type Wire } from "../../helpers/events.ts";
import { closedWorld, type Placed, placed } from "../../helpers/session-entries.ts";
import {
  A,
  B,
  close,
  error,
  KNOWN,
  request,
  sample,
  sent,
  streamEvent as event,
} from "../../helpers/session-events.ts";
import { sessionWires } from "../../helpers/session-traffic.ts";
import { sessionTtl } from "../../helpers/session-world.ts";
import { describe } from "../../helpers/suite.ts";
import { usualSession, usualSnapshots } from "../../helpers/usual-session.ts";
import { HOUR_MS } from "../../helpers/world.ts";

const TTL = { beforeMs: 24 * HOUR_MS, afterMs: 24 * HOUR_MS };
const RULES = { contentHash: "rules", generation: 1 };
/** As the worlds in memory have them. */
const BARE = { contentHash: "", generation: 1 };

const idOf = ({ source, workflow_session_id }: Row): string => `${source} ${workflow_session_id}`;

/** The key and the entry of the only session of some events. */
function entryOf(...wires: Wire[]): [key: string, value: string] {
  const [only, ...others] = closedWorld(placed(wires), TTL).sessions;
  assert.is(others.length, 0);
  return only!;
}

function read(key: string, value: string): Session {
  const found = readSession(key, value);
  assert.ok(found !== undefined, `${value} is an entry`);
  return found.session;
}

/** A session whose entry has something of every kind. */
const EVERYTHING: readonly Wire[] = [
  KNOWN,
  request(1_000),
  sent(1_100, A),
  sample(1_200, { ...A, model: "streamdiffusion-sdxl", state: "LOADING", fps: 0 }),
  sample(1_300, { wallet: "0xhot-b" }),
  sample(1_400, { url: "https://nowhere" }),
  sample(1_500, { wallet: "0xhot", url: "https://elsewhere" }),
  sample(1_600, { ...A, model: "another-model", startTime: 900_000_000_000 }),
  sample(1_700, { ...B, lastError: "boom", restarts: 2, state: "DEGRADED_INPUT", gateway: "gateway-2" }),
  ...Object.values(TRACE).map((type, at) => trace({ id: `=${type}`, type, at: 1_800 + at, stream: " stream-1 " })),
  error(1_900, "boom"),
  error(1_910, "WHIP disconnected"),
  event("params_update", 1_920, 'a "prompt" — with\u2028 everything \u{1f680}'),
  event("anything else", 1_930),
  streamEvent({ id: "", type: "error", at: 1_940, message: "has no id" }),
  status({ id: "59485235-0f62-4b3c-9e57-ffd1a2b3c4d5", at: 1_950, ...A, state: "DEGRADED_INFERENCE" }),
  close(2_000),
];

describe("entry of a session", (test) => {
  test("keeps every signal, its support, its context and its text", () => {
    const [key, value] = entryOf(...EVERYTHING);
    const session = read(key, value);
    const signals = [...session.signals];
    assert.is(signals.length, EVERYTHING.length - 1);
    assert.is(new Set(signals.map(({ mark }) => mark & 31)).size, Object.keys(MEANING).length);
    const reasons = new Set(signals.map(({ support }) => session.supports.at(support).claim.reason));
    const found = ["", "model_incompatible", "no_orchestrator", "no_snapshot", "node_unknown"];
    assert.equal([...reasons].sort(), found);
    assert.ok(signals.some(({ uid }) => uid.startsWith("=")));
    assert.is(writeSession(session, BARE), value);
  });

  test("keeps a base with its floor, its totals and its evidence, wherever it begins", () => {
    const [key, value] = entryOf(...EVERYTHING);
    const whole = derive(read(key, value));
    for (let kept = 0; kept < EVERYTHING.length - 1; kept++) {
      const folded = read(key, value);
      folded.fold(kept, false);
      assert.is(folded.signals.length, kept);
      const again = read(key, writeSession(folded, RULES));
      assert.is(again.evidence, folded.evidence);
      assert.equal(again.base!.floor, folded.base!.floor);
      assert.is(writeSession(again, RULES), writeSession(folded, RULES));
      assert.equal(sessionRow(again, derive(again), 1), sessionRow(again, { ...whole, dependents: [] }, 1));
    }
  });

  test("says the same of any session, and derives the row that is stored", () => {
    fc.assert(
      fc.property(fc.noShrink(fc.nat()), sessionTtl, (seed, ttl) => {
        const world = closedWorld(placed(sessionWires(seed)), ttl);
        const rows = new Map(world.rows("fact_workflow_sessions").map((row) => [idOf(row), row]));
        assert.is(world.sessions.size, rows.size);
        for (const [key, value] of world.sessions) {
          const session = read(key, value);
          assert.is(writeSession(session, BARE), value);
          for (const kept of [Infinity, 2, 0]) {
            session.fold(kept, false);
            const again = read(key, writeSession(session, RULES));
            const row = sessionRow(again, derive(again), 1);
            assert.equal(row, rows.get(idOf(row)));
          }
        }
      }),
      { numRuns: 60, includeErrorInReport: true },
    );
  });

  test("of a usual session with twenty events and four snapshots is at most 2,048 bytes", () => {
    const [key, bare] = entryOf(...usualSnapshots(), ...usualSession(7));
    const session = read(key, bare);
    const value = writeSession(session, { contentHash: hash64("what decides content"), generation: 1 });
    assert.is(session.signals.length, 20);
    assert.is(session.signals.at(0).context.streamId.length, 46);
    const snapshots = new Set(
      Array.from(session.signals, ({ support }) => session.supports.at(support).claim.snapshotUid),
    );
    assert.is(snapshots.size, 1 + 4);
    const bytes = new TextEncoder().encode(value).length;
    assert.ok(bytes <= 2_048, `${bytes} bytes`);
  });

  test("is refused when it is foreign or corrupt, and never throws", () => {
    const [key, value] = entryOf(...EVERYTHING);
    const entry = JSON.parse(value);
    const folded = read(key, value);
    folded.fold(3, false);
    const based = JSON.parse(writeSession(folded, RULES));
    const [signal] = entry.signals;
    const [support] = entry.supports;
    const [run] = based.base.totals.runs;
    const changes: [string, unknown][] = [
      ["no object", []],
      ["no hash", { ...entry, hash: undefined }],
      ["a head that is no sequence", { ...entry, head: -1 }],
      ["a time that is no number", { ...entry, fromMs: "0" }],
      ["a signal too short", { ...entry, signals: [signal.slice(0, 4)] }],
      ["a signal with a blank uid that is packed", { ...entry, signals: [["=", ...signal.slice(1)]] }],
      ["a support that is not there", { ...entry, signals: [[signal[0], 0, 0, 99, 0]] }],
      ["a context that is not there", { ...entry, signals: [[signal[0], 0, 0, 0, 99]] }],
      ["a node that is not there", { ...entry, nodes: [] }],
      ["a snapshot that is not there", { ...entry, snapshots: [] }],
      ["a level that is not there", {
        ...entry,
        supports: entry.supports.map((one: unknown[]) => [7, ...one.slice(1)]),
      }],
      ["a tie-break of 14 digits", { ...entry, supports: [[...support.slice(0, -1), "z".repeat(14)]] }],
      ["a tie-break of more than 63 bits", {
        ...entry,
        supports: [[...support.slice(0, -1), (2n ** 63n).toString(36)], ...entry.supports.slice(1)],
      }],
      ["a mark of more than 30 bits", { ...entry, signals: [[...signal.slice(0, 2), 2 ** 30, ...signal.slice(3)]] }],
      ["evidence that is no number", { ...based, base: { ...based.base, evidence: "-1" } }],
      ["a base without a floor", { ...based, base: { ...based.base, floor: undefined } }],
      ["a count below 0", { ...based, base: { ...based.base, totals: { ...based.base.totals, errors: -1 } } }],
      ["totals without a run", { ...based, base: { ...based.base, totals: { ...based.base.totals, runs: [] } } }],
      ["a run of no known support", {
        ...based,
        base: { ...based.base, totals: { ...based.base.totals, runs: [[run[0], run[1], 99, ...run.slice(3)]] } },
      }],
    ];
    const greatest = {
      ...entry,
      supports: [[...support.slice(0, -1), (2n ** 63n - 1n).toString(36)], ...entry.supports.slice(1)],
      signals: [[...signal.slice(0, 2), 2 ** 30 - 1, ...signal.slice(3)]],
    };
    for (const kept of [based, greatest]) assert.ok(readSession(key, JSON.stringify(kept)) !== undefined);
    for (const [what, changed] of changes) assert.is(readSession(key, JSON.stringify(changed)), undefined, what);
    for (const text of ["", "null", "{", value.slice(0, -1), "\u0000"]) assert.is(readSession(key, text), undefined);
    // Cut or overwritten anywhere it is an entry or none, and what is read can be written.
    fc.assert(
      fc.property(fc.nat(value.length - 1), fc.constantFrom("", "0", '"', "]", "-", "=9"), (at, by) => {
        const found = readSession(key, value.slice(0, at) + by + value.slice(at + 1));
        if (found !== undefined) assert.type(writeSession(found.session, RULES), "string");
      }),
      { numRuns: 500, includeErrorInReport: true },
    );
  });

  /** A session of so many orchestrators by turns, whose entry would take twice what a bucket does. */
  function large(orchestrators: number): { readonly key: string; readonly session: Session } {
    const [key, value] = entryOf(...EVERYTHING);
    const session = read(key, value);
    const context = session.signals.at(0).context;
    const claims = Array.from(session.signals, ({ support }) => session.supports.at(support).claim);
    const claim = claims.find(({ canonical }) => canonical !== "")!;
    for (let at = 0; at < 4_000; at++) {
      const uid = `${"é".repeat(250)}-${at}`;
      const wide = { ...context, gateway: `gateway-${at}` };
      const support = session.supports.add({
        claim: { ...claim, canonical: `0xc${at % orchestrators}` },
        modelEqual: false,
        tie: BigInt(at),
      });
      session.add({ uid, timeMs: 3_000 + at, mark: 1, context: wide, text: "", support });
    }
    return { key, session };
  }

  test("keeps apart what better evidence may still improve, where all of that fits", () => {
    const { key, session } = large(1);
    const signals = [...session.signals];
    for (const signal of signals.slice(-1_300)) session.setOpen(signal, true);
    assert.is(read(key, writeSession(session, RULES)).signals.length, 1_300);
    assert.is(session.open, 1_300);
    // Where it does not fit it goes too.
    const { session: open } = large(1);
    for (const signal of [...open.signals]) open.setOpen(signal, true);
    assert.is(read(key, writeSession(open, RULES)).signals.length, open.open);
    assert.ok(open.open > 0 && open.open < signals.length / 2);
  });

  test("never grows beyond what a bucket takes, whatever its events hold", () => {
    const { key, session } = large(7);
    const written = writeSession(session, RULES);
    assert.ok(new TextEncoder().encode(written).length <= 1_000_000);
    assert.ok(readSession(key, written) !== undefined);
  });
});

/** Some of the messages of a generated world, three times, and where each has its place in the stream. */
const threeParts = fc.record({ seed: fc.noShrink(fc.nat()), ttl: sessionTtl }).chain(({ seed, ttl }) => {
  const all = placed(sessionWires(seed));
  const part = fc.subarray(all);
  return fc.record({ all: fc.constant(all), ttl: fc.constant(ttl), parts: fc.tuple(part, part, part) });
});

const isSnapshot = ({ wire }: Placed) => wire.envelope.type === "network_capabilities";

/** True when nothing tells which base to take: one floor, one weight, and yet other signals below it. */
function isOneWeight(key: string, ...values: (string | undefined)[]): boolean {
  const [a, b] = values.map((value) => value === undefined ? undefined : read(key, value).base);
  return a !== undefined && b !== undefined && a.floor.uid === b.floor.uid && a.evidence === b.evidence;
}

/** What merging leaves where only one side may have an entry. */
function merged(key: string, ...values: (string | undefined)[]): string | undefined {
  return values.reduce((present, wanted) =>
    present === undefined || wanted === undefined ? present ?? wanted : mergeSessions(key, present, wanted)
  );
}

describe("merge of two entries", (test) => {
  test("is a union: neither order nor repetition nor grouping matters", () => {
    fc.assert(
      fc.property(threeParts, fc.nat(5), fc.nat(5), ({ ttl, parts }, keptA, keptB) => {
        const [as, bs, cs] = parts.map((part) => closedWorld(part, ttl).sessions);
        for (const key of new Set([...as!.keys(), ...bs!.keys(), ...cs!.keys()])) {
          // Those of two are folded, each to a floor of its own.
          const folded = (value: string | undefined, kept: number) => {
            if (value === undefined) return undefined;
            const session = read(key, value);
            session.fold(kept, false);
            return writeSession(session, BARE);
          };
          const [a, b, c] = [folded(as!.get(key), 3 + keptA), folded(bs!.get(key), 3 + keptB), cs!.get(key)];
          if (isOneWeight(key, a, b)) continue;
          const ab = merged(key, a, b);
          assert.is(merged(key, b, a), ab, "commutative");
          assert.is(merged(key, ab, b), ab, "what is there already changes nothing");
          assert.is(merged(key, a, a), a, "idempotent");
          assert.is(merged(key, ab, c), merged(key, a, merged(key, b, c)), "associative");
        }
      }),
      { numRuns: 60, includeErrorInReport: true },
    );
  });

  test("is what a writer leaves that knows the events of both", () => {
    fc.assert(
      fc.property(threeParts, ({ all, ttl, parts: [a, b] }) => {
        const some = (part: readonly Placed[]) => all.filter((one) => isSnapshot(one) || part.includes(one));
        const [as, bs, both] = [a, b, [...a, ...b]].map((part) => closedWorld(some(part), ttl).sessions);
        for (const [key, value] of both!) assert.is(merged(key, as!.get(key), bs!.get(key)), value);
      }),
      { numRuns: 60, includeErrorInReport: true },
    );
  });

  test("of different floors takes the totals that reach further whole, and counts nothing twice", () => {
    const [key, value] = entryOf(...EVERYTHING);
    const [far, near] = [read(key, value), read(key, value)];
    far.fold(5, false);
    near.fold(12, false);
    for (
      const union of [
        mergeSessions(key, writeSession(far, RULES), writeSession(near, RULES)),
        mergeSessions(key, writeSession(near, RULES), writeSession(far, RULES)),
      ]
    ) {
      assert.is(union, writeSession(far, RULES));
    }
  });

  test("of entries under two hashes is that of the greater generation, of one generation the one that is wanted", () => {
    const [key, value] = entryOf(...EVERYTHING);
    const under = (generation: number) => writeSession(read(key, value), { contentHash: "other rules", generation });
    assert.is(mergeSessions(key, value, under(0)), value, "a process that has not heard of the new rules comes late");
    assert.is(mergeSessions(key, value, under(2)), under(2));
    const raised = writeSession(read(key, value), { ...BARE, generation: 2 });
    const more = read(key, value);
    more.add({ ...more.signals.at(0), uid: "one-more~0123456789abcdef" });
    const merged = readSession(key, mergeSessions(key, raised, writeSession(more, BARE)))!;
    assert.equal(merged.rules, { ...BARE, generation: 2 }, "under one hash a union, whatever the generations");
    assert.is(merged.session.signals.length, more.signals.length);
  });

  test("of entries under two hashes, or of no entry, is the one that is wanted", () => {
    const [key, value] = entryOf(...EVERYTHING);
    const other = writeSession(read(key, value), { contentHash: "other rules", generation: 1 });
    assert.is(mergeSessions(key, other, value), value);
    assert.is(mergeSessions(key, value, other), other);
    assert.is(mergeSessions(key, "{", value), value);
  });
});
