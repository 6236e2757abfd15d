/** Fixtures moved to the present: which instants move, and that nothing else does. */
import * as assert from "uvu/assert";
import { shiftToNow } from "../../src/fixtures/shift.ts";
import { describe } from "../helpers/suite.ts";

const HOUR_MS = 3_600_000;
const THEN = 1_772_051_410_114;
const NOW = THEN + 1_000 * HOUR_MS + 1_234;

const shift = (texts: readonly string[], nowMs = NOW) => {
  const { messages, shiftMs } = shiftToNow(texts.map((text) => new TextEncoder().encode(text)), nowMs);
  return { texts: messages.map((bytes) => new TextDecoder().decode(bytes)), shiftMs };
};

/** A status with every instant there is, moved by `ms`. */
function status(ms: number, quoted = (instant: number): string => String(instant)): string {
  const at = (behind: number) => quoted(THEN + ms - behind);
  return `{"id":"a-${THEN}","type":"ai_stream_status","timestamp":${at(0)}, "gateway" : "g","data":{"timestamp" : ${
    at(1)
  },` +
    `"stream_id":"aiJobTesterStream-1772051405698156244","request_id":"r","pipeline":"p","start_time":${at(2)},` +
    `"last_status_timestamp":${at(3)},"last_state_update_time":${at(4)},"inference_status":{"fps":1.50,` +
    `"last_output_time":${at(5)},"last_error_time":null,"last_restart_time":${
      at(6)
    }.5,"last_params_hash":"1772051405698",` +
    `"last_error":"at ${THEN}"},"input_status":{"last_input_time":${at(7)}},"big":12345678901234567890}}`;
}

describe("fixtures that are moved to the present", (test) => {
  test("have every instant moved by one span, and every other byte where it was", () => {
    const { texts, shiftMs } = shift([status(0)]);
    assert.is(shiftMs, 1_000 * HOUR_MS);
    assert.is(texts[0], status(shiftMs));
  });

  test("keep instants that are text as text, in data that is text too", () => {
    const quoted = status(0, (instant) => `"${instant}"`).replace(".5,", ",");
    assert.is(shift([quoted]).texts[0], status(1_000 * HOUR_MS, (instant) => `"${instant}"`).replace(".5,", ","));
    const nested = (ms: number) => {
      const { data, ...envelope } = JSON.parse(status(ms).replace(/,"big":\d+/, "")) as Record<string, unknown>;
      return JSON.stringify({ ...envelope, timestamp: String(envelope.timestamp), data: JSON.stringify(data) });
    };
    assert.is(shift([nested(0)]).texts[0], nested(1_000 * HOUR_MS));
  });

  test("end within the hour before now, by whole hours, on or back, whatever the order of the messages", () => {
    for (const nowMs of [THEN, THEN + 1, THEN + HOUR_MS - 1, THEN + HOUR_MS, THEN - 1, THEN - HOUR_MS]) {
      const { texts, shiftMs } = shift([status(0), status(-50 * HOUR_MS), status(-1)], nowMs);
      assert.is(Math.abs(shiftMs % HOUR_MS), 0);
      const newest = THEN + shiftMs;
      assert.ok(newest <= nowMs && newest > nowMs - HOUR_MS, `${newest} for ${nowMs}`);
      assert.equal(texts, [status(shiftMs), status(shiftMs - 50 * HOUR_MS), status(shiftMs - 1)]);
    }
  });

  test("are refused when the time of a message cannot be moved", () => {
    for (const odd of ["{", status(0).replace(`"timestamp":${THEN}`, '"timestamp":1.772051410114e12')]) {
      assert.throws(() => shift([status(0), odd]), (error: Error) => "code" in error && error.code === "NOT_SHIFTED");
    }
  });
});
