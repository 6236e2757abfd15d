/** Sessions at rest: what is taken up is what was laid down, to the byte of its entry. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { Cells } from "../../../src/core/cells.ts";
import { sessionRow } from "../../../src/core/emit/session.ts";
import { derive } from "../../../src/core/session/derive.ts";
import { readSession, writeSession } from "../../../src/core/session/entry.ts";
import { type Resting, RestingSessions } from "../../../src/core/session/resting.ts";
import type { Session } from "../../../src/core/session/session.ts";
import { usualBytes } from "../../../src/core/session/uid.ts";
import { uuidOf } from "../../helpers/events.ts";
import { closedWorld, placed } from "../../helpers/session-entries.ts";
import { sessionWires } from "../../helpers/session-traffic.ts";
import { sessionTtl } from "../../helpers/session-world.ts";
import { describe } from "../../helpers/suite.ts";
import { usualSession, usualSnapshots } from "../../helpers/usual-session.ts";
import { HOUR_MS } from "../../helpers/world.ts";

const RULES = { contentHash: "rules", generation: 1 };
const TTL = { beforeMs: 24 * HOUR_MS, afterMs: 24 * HOUR_MS };

/** Everything that can be read of a session. */
function account(session: Session): unknown {
  const { evidence, headSequence, open } = session;
  return {
    entry: writeSession(session, RULES),
    row: sessionRow(session, derive(session), 1),
    evidence,
    headSequence,
    open,
  };
}

const flagsOf = ({ signals }: Session) => Array.from(signals, (_, nth) => signals.isOpen(nth));

/** Another usual uid. */
const unlike = (uid: string) => uid.replace(/.$/, (last) => last === "0" ? "1" : "0");

const read = (key: string, value: string): Session => readSession(key, value)!.session;

describe("a session at rest", (test) => {
  test("is the same again, whichever others rest beside it and however often", () => {
    const resting = new RestingSessions();
    fc.assert(
      fc.property(fc.noShrink(fc.nat()), sessionTtl, (seed, ttl) => {
        const entries = [...closedWorld(placed(sessionWires(seed)), ttl).sessions];
        let laid = entries.map(([key, value]): [string, Resting] => [key, resting.put(read(key, value))]);
        for (let round = 0; round < 2; round++) {
          laid = laid.toReversed().map(([key, one]) => [key, resting.put(resting.take(key, one))]);
        }
        const values = new Map(entries);
        for (const [key, one] of laid) {
          assert.equal(account(resting.take(key, one)), account(read(key, values.get(key)!)));
        }
      }),
      { numRuns: 60, includeErrorInReport: true },
    );
  });

  test("keeps texts, odd uids and odd contexts as they are", () => {
    const [[key, value]] = [...closedWorld(placed([...usualSnapshots(), ...usualSession(7)]), TTL).sessions] as [
      [string, string],
    ];
    const session = read(key, value);
    const [first] = session.signals;
    const context = { gateway: "\ufeff", streamId: "\ud800", requestId: "", startMs: -5 };
    for (const [nth, uid] of ["", "\udc00", "=é", `${first!.uid} `, first!.uid.toUpperCase()].entries()) {
      session.add({ ...first!, timeMs: -7 - nth % 2, uid, context, text: `${uid}\n` });
    }
    const resting = new RestingSessions();
    assert.equal(account(resting.take(key, resting.put(session))), account(session));
  });

  test("knows which of its events are open, whichever close while it rests", () => {
    const [[key, value]] = [...closedWorld(placed([...usualSnapshots(), ...usualSession(7)]), TTL).sessions] as [
      [string, string],
    ];
    const places = [...Array(20).keys()];
    fc.assert(
      fc.property(fc.subarray(places), fc.array(fc.nat(19)), fc.boolean(), (open, closing, hasOdd) => {
        const session = read(key, value);
        // A uid without bytes, first of all, so that the others lie elsewhere.
        if (hasOdd) session.add({ ...session.signals.at(0), timeMs: 5, uid: "odd" });
        const signals = [...session.signals];
        for (const nth of open) session.setOpen(signals[nth]!, true);
        const resting = new RestingSessions();
        const laid = resting.put(session);
        const other = resting.put(session);
        assert.is(laid.open, session.open);
        for (const nth of closing) {
          const signal = signals[nth]!;
          if (signal.uid === "odd") continue;
          resting.close(laid, signal.uid);
          session.setOpen(signal, false);
          assert.is(laid.open, session.open);
        }
        resting.close(laid, unlike(signals[19]!.uid));
        for (const again of [resting.read(key, laid), resting.take(key, laid)]) {
          assert.equal(flagsOf(again), flagsOf(session));
          assert.equal(account(again), account(session));
        }
        assert.is(resting.take(key, other).open, open.length, "another is as it was");
      }),
      { numRuns: 100, includeErrorInReport: true },
    );
  });

  test("of many open events is as if each closing had been noted by itself, and reads its record seldom for them", () => {
    const [[key, value]] = [...closedWorld(placed([...usualSnapshots(), ...usualSession(7)]), TTL).sessions] as [
      [string, string],
    ];
    const COUNT = 500;
    const large = (): Session => {
      const session = read(key, value);
      const signal = session.signals.at(6);
      for (let nth = 0; nth < COUNT; nth++) {
        // Some end like others.
        const hash = (nth * 7 % 256).toString(16).padStart(16, "0");
        const uid = nth % 50 === 7 ? `odd-${nth}` : `${uuidOf(1e6 + nth)}~${hash}`;
        const one = { ...signal, timeMs: signal.timeMs + nth % 300, uid };
        session.add(one);
        if (nth % 9 > 0) session.setOpen(one, true);
      }
      return session;
    };
    const closings = fc.array(fc.oneof(fc.nat(COUNT + 19), fc.constant("read"), fc.constant("unknown")));
    fc.assert(
      fc.property(fc.nat(2 * COUNT), fc.nat(COUNT), closings, (most, from, others) => {
        const session = large();
        const resting = new RestingSessions();
        const laid = resting.put(session);
        const signals = [...session.signals];
        const agree = (again: Session) => assert.equal(account(again), account(session));
        // Also some that are not open or have closed before, and then in another order.
        const many = Array.from({ length: most }, (_, nth) => (from + nth * 7) % signals.length);
        for (const which of [...many, ...others]) {
          if (which === "read") agree(resting.read(key, laid));
          else if (which === "unknown") resting.close(laid, unlike(signals[0]!.uid));
          else if (usualBytes(signals[which as number]!.uid) !== undefined) {
            resting.close(laid, signals[which as number]!.uid);
            session.setOpen(signals[which as number]!, false);
          }
          assert.is(laid.open > 0, session.open > 0);
        }
        for (const again of [resting.read(key, laid), resting.take(key, laid)]) {
          assert.equal(flagsOf(again), flagsOf(session));
          agree(again);
        }
      }),
      { numRuns: 15, includeErrorInReport: true },
    );

    const resting = new RestingSessions();
    const session = large();
    const laid = resting.put(session);
    const { read: readCells } = Cells.prototype;
    let reads = 0;
    Cells.prototype.read = function (place) {
      reads++;
      return readCells.call(this, place);
    };
    try {
      for (const { uid } of session.signals) if (usualBytes(uid) !== undefined) resting.close(laid, uid);
    } finally {
      Cells.prototype.read = readCells;
    }
    assert.ok(reads < 200, `${reads} reads`);
  });

  test("keeps its supports when many others have come since", () => {
    const [[key, value]] = [...closedWorld(placed([...usualSnapshots(), ...usualSession(7)]), TTL).sessions] as [
      [string, string],
    ];
    const resting = new RestingSessions();
    const usual = resting.put(read(key, value));
    for (let nth = 0; nth < 10_000; nth++) {
      const other = read(key, value);
      const [signal] = other.signals;
      const claim = { ...other.supports.at(signal!.support).claim, reason: "" as const, url: `https://${nth}` };
      const support = other.supports.add({ claim, modelEqual: false, tie: 1n });
      other.add({ ...signal!, uid: "other", support });
      const laid = resting.put(other);
      assert.ok(laid.supports.length < 5_000, "a table ends");
      if (nth % 1_000 === 0) assert.equal(account(resting.take(key, laid)), account(other));
    }
    assert.equal(account(resting.take(key, usual)), account(read(key, value)));
  });
});
