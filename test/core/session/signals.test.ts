/** Signals as records: they are what was put in, in the order K, whatever their uids, texts and times. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { compareK, type Context, type Place, type Signal } from "../../../src/core/session/signal.ts";
import { MOST_MARK, Signals } from "../../../src/core/session/signals.ts";
import { describe } from "../../helpers/suite.ts";

const HASH = "0123456789abcdef";
const digits = fc.stringMatching(/^[0-9a-f]{12}$/);
/** Mostly of few, so that some differ in one digit and some meet. */
const usual = fc.oneof(
  fc.constantFrom("000000000000", "000000000001", "00000000000f", "0000000000a0", "f00000000000"),
  digits,
).map((node) => `59485233-d40f-4b4a-8ccf-${node}~${HASH}`);
const odd = fc.oneof(fc.constantFrom("", "=", HASH), fc.string(), usual.map((uid) => uid.toUpperCase()));

const CONTEXTS: readonly Context[] = ["gateway-1", "gateway-2"].map((gateway) => {
  return { gateway, streamId: "stream", requestId: "request", startMs: Infinity };
});

const signal: fc.Arbitrary<Signal> = fc.record({
  uid: fc.oneof(usual, odd),
  timeMs: fc.oneof(fc.integer({ min: -2, max: 2 }), fc.maxSafeInteger()),
  mark: fc.oneof(fc.constantFrom(0, 16, 24), fc.integer({ min: 0, max: MOST_MARK })),
  context: fc.constantFrom(...CONTEXTS),
  text: fc.oneof(fc.constant(""), fc.string()),
  support: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
}, { noNullPrototype: true });

/** What the records must be: objects in a list that is searched from its beginning. */
class Model {
  readonly signals: Signal[] = [];
  readonly open = new Set<Signal>();
  readonly written = new Map<Signal, number>();

  find(place: Place): number {
    const at = this.signals.findIndex((one) => compareK(one, place) >= 0);
    if (at < 0) return ~this.signals.length;
    return compareK(this.signals[at]!, place) === 0 ? at : ~at;
  }
}

function both(list: readonly Signal[]): { readonly model: Model; readonly signals: Signals } {
  const model = new Model();
  const signals = new Signals();
  for (const one of list) {
    const at = model.find(one);
    assert.is(signals.find(one), at);
    if (at >= 0) continue;
    model.signals.splice(~at, 0, one);
    signals.insert(~at, one);
  }
  return { model, signals };
}

function same(signals: Signals, model: Model, from = 0): void {
  const wanted = model.signals.slice(from);
  assert.is(signals.length, wanted.length);
  assert.equal([...signals], wanted);
  for (const [nth, one] of wanted.entries()) {
    assert.is(signals.uidOf(nth), one.uid);
    assert.is(signals.timeOf(nth), one.timeMs);
    assert.is(signals.markOf(nth), one.mark);
    assert.is(signals.supportOf(nth), one.support);
    assert.is(signals.contextOf(nth), one.context, "the same object");
    assert.is(signals.isOpen(nth), model.open.has(one));
    assert.is(signals.writtenOf(nth), model.written.get(one) ?? 0);
  }
}

describe("signals of a session", (test) => {
  test("are what was put in, and are found where they are or belong", () => {
    fc.assert(fc.property(fc.array(signal, { maxLength: 60 }), fc.array(signal), (list, others) => {
      const { model, signals } = both(list);
      same(signals, model);
      for (const other of others) assert.is(signals.find(other), model.find(other));
    }));
  });

  test("keep what is noted of them wherever others are put, and without the first ones too", () => {
    const noted = fc.record({ nth: fc.nat(), open: fc.boolean(), written: fc.maxSafeInteger(), support: fc.nat() });
    fc.assert(
      fc.property(
        fc.array(signal, { minLength: 1 }),
        fc.array(noted),
        fc.nat(),
        fc.array(signal),
        (list, notes, first, more) => {
          const { model, signals } = both(list);
          for (const { nth: any, open, written, support } of notes) {
            const nth = any % model.signals.length;
            const one = { ...model.signals[nth]!, support };
            model.signals.splice(nth, 1, one);
            if (open) model.open.add(one);
            model.written.set(one, written);
            signals.setOpen(nth, open);
            signals.setWritten(nth, written);
            signals.setSupport(nth, support);
          }
          same(signals, model);
          const gone = first % (model.signals.length + 1);
          same(signals.without(gone), model, gone);
          for (const one of more) {
            const at = model.find(one);
            if (at >= 0) continue;
            model.signals.splice(~at, 0, one);
            signals.insert(~at, one);
          }
          same(signals, model);
        },
      ),
    );
  });
});
