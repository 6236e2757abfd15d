/** Texts that are the same in many events are kept once, and not for ever. */
import * as assert from "uvu/assert";
import { edgeOf, type ObservedEvent, sampleOf, sharing } from "../../src/core/observed.ts";
import type { StatusEvent, TraceEvent } from "../../src/core/event.ts";
import { judge } from "../../src/core/judge.ts";
import { SharedTexts } from "../../src/core/shared.ts";
import { bytesOf, status, stored, subjectOf, TRACE, trace, type Wire } from "../helpers/events.ts";
import { describe } from "../helpers/suite.ts";

function observedOf(wire: Wire): ObservedEvent {
  const { decoded } = judge(stored(subjectOf(wire, 1), bytesOf(wire.envelope), 1, 4_000_000_000_000));
  if (decoded.outcome !== "accepted") throw new Error("not accepted");
  const { event } = decoded;
  return event.type === "ai_stream_status" ? sampleOf(event as StatusEvent) : edgeOf(event as TraceEvent);
}

describe("an observation that shares its texts", (test) => {
  const named = { at: 1_000, wallet: "0xhot", url: "https://node:1" };
  for (
    const [kind, wire] of [
      ["sample", status({ ...named, model: "a-model" })],
      ["edge", trace({ ...named, type: TRACE.processed })],
    ] as const
  ) {
    test(`says what it said, in the same order: a ${kind}`, () => {
      const observed = observedOf(wire);
      assert.is(observed.kind, kind);
      // As JSON, for that is what its entry is.
      assert.is(JSON.stringify(sharing(observed, new SharedTexts())), JSON.stringify(observed));
    });
  }
});

describe("shared texts", (test) => {
  test("are the same texts, and only so many are kept, fewer where they are long", () => {
    for (const [length, most] of [[12, 120_000], [4_000, 2_000]] as const) {
      const texts = new SharedTexts();
      for (let nth = 0; nth < 2 * most; nth++) {
        const text = `text-${nth}`.padEnd(length, ".");
        assert.is(texts.share(text), text);
        assert.ok(texts.size <= most);
      }
      assert.ok(texts.size > 0);
    }
  });
});
