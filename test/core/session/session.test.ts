/** A session as a union of signals: what it takes, what it folds, and what it comes to whatever the order. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import type { TelemetryEvent } from "../../../src/core/event.ts";
import { LEVEL } from "../../../src/core/evidence.ts";
import { judge } from "../../../src/core/judge.ts";
import type { Claim, Selection } from "../../../src/core/select.ts";
import { derive } from "../../../src/core/session/derive.ts";
import { readSession, writeSession } from "../../../src/core/session/entry.ts";
import { MOST_EVENTS, Session } from "../../../src/core/session/session.ts";
import { compareK, isSessionEvent, MEANING, type SessionEvent } from "../../../src/core/session/signal.ts";
import { NAMELESS, NO_CLAIM } from "../../../src/core/session/support.ts";
import { bytesOf, stored, subjectOf, type Wire } from "../../helpers/events.ts";
import { A, B, close, error, playable, processed, request, sample, streamEvent } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";

function eventOf(wire: Wire): SessionEvent {
  const { decoded } = judge(stored(subjectOf(wire, 1), bytesOf(wire.envelope), 1, 4_000_000_000_000));
  const event: TelemetryEvent | undefined = decoded.outcome === "accepted" ? decoded.event : undefined;
  if (event === undefined || !isSessionEvent(event)) throw new Error("no event of a session");
  return event;
}

/** What is found for an event on a snapshot of this time: that this orchestrator served it. */
function found(canonical: string, snapshotTimeMs: number): { selection: Selection; claim: Claim } {
  const level = LEVEL.byNode;
  const claim: Claim = {
    ...NO_CLAIM,
    level,
    method: "node_match",
    confidence: 0.9,
    reason: "",
    canonical,
    snapshotUid: `snapshot-${snapshotTimeMs}`,
    snapshotTimeMs,
  };
  return { selection: { grade: level * 2 ** 30, tie: BigInt(snapshotTimeMs), chosen: undefined }, claim };
}

const HAPPENED: readonly Wire[] = [
  request(1_000),
  error(1_500, "boom"),
  processed(2_000, A),
  error(2_500, "WHIP disconnected"),
  playable(3_000, A),
  error(3_500, "boom"),
  sample(4_000, A),
  streamEvent("params_update", 4_000, "text"),
  sample(5_000, { ...A, lastError: "boom" }),
  close(6_000),
];
const EVENTS = HAPPENED.map(eventOf);

/** A session of events in this order; whoever names a node was served by an orchestrator that changes in the midst. */
function sessionOf(events: readonly SessionEvent[]): Session {
  const session = new Session("network", "stream-1|request-1");
  for (const event of events) session.note(event, 1, findingOf(event));
  return session;
}

function findingOf(event: SessionEvent): ReturnType<typeof found> | undefined {
  if (event.type === "ai_stream_events" || event.payload.url === "") return undefined;
  return found(event.head.eventTimeMs < 3_500 ? "0xca" : "0xcb", 500);
}

const totalsOf = (session: Session) => derive(session).totals;
const uidsOf = ({ signals }: Session) => Array.from(signals, ({ uid }) => uid);

describe("a session", (test) => {
  test("takes each event once, and reads them in one order whatever order they came in", () => {
    const expected = sessionOf(EVENTS);
    assert.is(expected.signals.length, EVENTS.length);
    fc.assert(fc.property(fc.shuffledSubarray([...EVENTS, ...EVENTS], { minLength: 2 * EVENTS.length }), (events) => {
      const session = sessionOf(events);
      assert.is(session.evidence, expected.evidence);
      assert.equal(uidsOf(session), uidsOf(expected));
      assert.equal(totalsOf(session).events, EVENTS.length);
      assert.equal(totalsOf(session).runs.map(({ canonical }) => canonical), ["0xca", "0xcb"]);
    }));
    for (let nth = 1; nth < EVENTS.length; nth++) {
      assert.ok(compareK(expected.signals.at(nth - 1), expected.signals.at(nth)) < 0);
    }
  });

  test("keeps once where its events come from, though these places take turns", () => {
    const gateways = ["gateway-1", "gateway-2"];
    const events = Array.from({ length: 20 }, (_, at) => eventOf(sample(1_000 + at, { gateway: gateways[at % 2]! })));
    const contexts = Array.from(sessionOf(events).signals, ({ context }) => context);
    assert.equal(contexts.map(({ gateway }) => gateway), events.map(({ head }) => head.gateway));
    assert.is(new Set(contexts).size, gateways.length);
  });

  test("keeps the greatest support of an event, and its evidence only grows", () => {
    const [event] = EVENTS.filter(({ type }) => type === "ai_stream_status");
    const session = new Session("network", "key");
    assert.is(session.note(event!, 9, found("0xca", 400)), "added");
    const place = session.signals.at(0);
    const before = session.evidence;
    assert.is(session.note(event!, 9, found("0xca", 400)), "known");
    assert.is(session.improve(place, found("0xcb", 300).selection, found("0xcb", 300).claim), "known");
    const better = found("0xcc", 500);
    assert.is(session.improve(place, better.selection, better.claim), "improved");
    assert.ok(session.evidence > before);
    assert.is(session.supports.at(session.signals.at(0).support).claim.canonical, "0xcc");
    assert.is(session.improve({ ...place, uid: "nobody" }, better.selection, better.claim), "known");
  });

  test("forgets what supported its events before, and what it was offered for events that it does not take", () => {
    const session = sessionOf(EVENTS);
    const whole = sessionOf(EVENTS);
    for (const one of [session, whole]) one.fold(2, true);
    const place = session.signals.at(1);
    for (let nth = 0; nth < 1_000; nth++) {
      const better = found("0xcc", 1_000 + nth);
      assert.is(session.improve(place, better.selection, better.claim), "improved");
      assert.is(session.note(eventOf(sample(4_000, A)), 1, found("0xca", 10_000 + nth)), "ignored");
      assert.ok(session.supports.length < 100);
    }
    const best = found("0xcc", 1_999);
    whole.improve(place, best.selection, best.claim);
    assert.is(session.evidence, whole.evidence);
    assert.equal(session.supports.at(session.signals.at(1).support), whole.supports.at(whole.signals.at(1).support));
    const claimsOf = (one: Session) => totalsOf(one).runs.map(({ support }) => one.supports.at(support).claim);
    assert.equal(claimsOf(session), claimsOf(whole));
  });

  test("knows how many of its events are open, and the least sequence of any", () => {
    const session = sessionOf(EVENTS);
    const [first, second] = session.signals;
    session.setOpen(first!, true);
    session.setOpen(first!, true);
    session.setOpen(second!, true);
    session.setOpen({ ...first!, uid: "nobody" }, true);
    assert.is(session.open, 2);
    session.setOpen(first!, false);
    assert.is(session.open, 1);
    for (const sequence of [7, 3, 5]) session.rememberHead(sequence);
    assert.is(session.headSequence, 1);
  });
});

describe("a fold of a session", (test) => {
  test("changes nothing of what the session comes to", () => {
    for (let kept = 0; kept < EVENTS.length; kept++) {
      const [whole, folded] = [sessionOf(EVENTS), sessionOf(EVENTS)];
      folded.fold(kept, true);
      assert.is(folded.signals.length, kept);
      assert.is(folded.evidence, whole.evidence);
      assert.equal(totalsOf(folded), totalsOf(whole));
    }
  });

  test("makes room for nothing at or below its floor, and counts nothing twice", () => {
    const whole = sessionOf(EVENTS);
    const session = sessionOf(EVENTS);
    session.fold(4, true);
    for (const event of EVENTS.slice(0, 6)) assert.is(session.note(event, 1, findingOf(event)), "ignored");
    for (const event of EVENTS.slice(6)) assert.is(session.note(event, 1, findingOf(event)), "known");
    assert.equal(totalsOf(session), totalsOf(whole));
    assert.is(session.note(eventOf(error(1_400, "late")), 1), "ignored");
    assert.is(session.note(eventOf(error(5_500, "later")), 1), "added");
    assert.is(totalsOf(session).errors, 4);
  });

  test("stops before an event that is open, unless it must not", () => {
    const session = sessionOf(EVENTS);
    session.setOpen(session.signals.at(3), true);
    session.fold(2, true);
    assert.is(session.signals.length, EVENTS.length - 3);
    assert.is(session.open, 1);
    session.fold(2, false);
    assert.is(session.signals.length, 2);
    assert.is(session.open, 0);
    assert.equal(totalsOf(session), totalsOf(sessionOf(EVENTS)));
  });

  test("of two states that meet, the one that reaches further is taken whole, from either side", () => {
    for (const [a, b] of [[2, 7], [7, 2], [0, 9], [4, 4]] as const) {
      const [far, near] = [sessionOf(EVENTS), sessionOf(EVENTS)];
      far.fold(a, true);
      near.fold(b, true);
      far.union(near);
      assert.equal(totalsOf(far), totalsOf(sessionOf(EVENTS)));
      assert.is(far.evidence, sessionOf(EVENTS).evidence);
      assert.is(far.signals.length, Math.min(a, b));
      assert.not(far.union(near), "the second time nothing is new");
    }
  });

  test("of two states with one floor, the one that weighs more is taken", () => {
    const [all, some] = [EVENTS, EVENTS.filter(({ head }) => head.eventTimeMs !== 1_500)].map((events) => {
      const session = sessionOf(events);
      session.fold(2, true);
      return session;
    });
    const union = sessionOf([]);
    union.union(some!);
    assert.ok(union.union(all!));
    assert.not(union.union(some!));
    assert.is(union.evidence, all!.evidence);
  });
});

/** A session of an error every second, so many of them, whose rows are written after every so many. */
function longSession(
  count: number,
  batch: number,
  extra: readonly [after: number, event: SessionEvent][] = [],
): Session {
  const session = new Session("network", "stream-1|request-1");
  for (let nth = 1; nth <= count; nth++) {
    session.note(eventOf(error(1_000_000 + 1_000 * nth, "boom")), nth);
    for (const [after, event] of extra) if (after === nth) session.note(event, nth);
    if (nth % batch === 0) session.foldPassing();
  }
  session.foldPassing();
  return session;
}

describe("the bounds of a session", (test) => {
  test("beyond 8,192 events the earliest are a sum, and which it takes does not depend on batches", () => {
    // Too old for the one who has folded, and not for the one who is about to.
    const late = eventOf(error(1_000_500, "too late"));
    const early = eventOf(error(1_000_501, "in time"));
    const [small, large] = [1, 4_096].map((batch) => longSession(8_400, batch, [[8_192, early], [8_250, late]]));
    assert.is(totalsOf(small!).events, 8_401);
    assert.is(small!.evidence, 8_401n);
    assert.ok(small!.signals.length < 8_192);
    assert.equal(totalsOf(large!), totalsOf(small!));
    assert.is(large!.signals.length, small!.signals.length);
    assert.is(large!.evidence, small!.evidence);
  });

  test("open events are kept apart, up to twice as many", () => {
    const session = new Session("network", "stream-1|request-1");
    for (let nth = 1; nth <= 16_385; nth++) {
      const event = eventOf(error(1_000_000 + 1_000 * nth, "boom"));
      session.note(event, nth);
      session.foldPassing();
      if (nth === 1) session.setOpen(session.signals.at(0), true);
      if (nth === 16_384) assert.is(session.signals.length, nth);
    }
    assert.is(session.signals.length, 8_192);
    assert.is(totalsOf(session).events, 16_385);
  });

  test("a session of too many segments takes no more, and what it has stays where it is written and read", () => {
    const session = new Session("network", "stream-1|request-1");
    const count = 8_192 + 2_049;
    for (let nth = 1; nth <= count; nth++) {
      const event = eventOf(sample(1_000 * nth, nth % 2 === 0 ? A : B));
      const { selection, claim } = found(nth % 2 === 0 ? "0xca" : "0xcb", 500);
      session.note(event, nth, { selection, claim });
    }
    session.foldPassing();
    assert.ok(session.base!.totals.runs.length > 1_024);
    const rules = { contentHash: "", generation: 1 };
    const value = writeSession(session, rules);
    const again = readSession("network.stream-1=7Crequest-1", value)!.session;
    assert.is(again.signals.length, session.signals.length);
    assert.is(again.evidence, session.evidence);
    assert.is(session.note(eventOf(sample(1e8, A)), 1, found("0xca", 500)), "ignored");
  });

  test("events beyond the most that its evidence can count are ignored, those that it has are known", () => {
    const session = sessionOf(EVENTS);
    session.fold(2, true);
    const { totals, floor, evidence } = session.base!;
    session.standOn({ totals: { ...totals, events: MOST_EVENTS - 3 }, floor, evidence });
    assert.is(session.note(eventOf(error(7_000, "boom")), 1), "added");
    assert.is(session.note(eventOf(error(8_000, "boom")), 1), "ignored");
    assert.is(session.note(eventOf(error(7_000, "boom")), 1), "known");
    assert.is(totalsOf(session).events, MOST_EVENTS);
  });

  test("one that has ended takes nothing, and whoever meets it ends too", () => {
    const session = sessionOf(EVENTS);
    session.fold(0, false);
    assert.not(session.hasEnded);
    session.end();
    assert.ok(session.hasEnded);
    const last = { uid: "z", timeMs: 253_402_300_799_999, mark: MEANING.aiEvent };
    const signal = {
      ...last,
      context: { gateway: "", streamId: "", requestId: "", startMs: Infinity },
      text: "",
    };
    assert.is(session.add({ ...signal, support: NAMELESS }), "ignored");
    const other = sessionOf(EVENTS);
    assert.ok(other.union(session));
    assert.ok(other.hasEnded);
    assert.not(session.union(sessionOf(EVENTS)));
  });
});
