/** What the subject of an ack says of its message, in the two forms that servers give it. */
import * as assert from "uvu/assert";
import { pendingBehind, readReply } from "../../src/nats/pull.ts";
import { describe } from "../helpers/suite.ts";

const SAID = "LIVEPEER_EVENTS.reader-1.3.1234567.89.1767909001123456789.42";
const READ = [89, 1_234_567, 1_767_909_001_123];

describe("the subject of an ack", (test) => {
  test("tells delivery sequence, stream sequence and stored time, with a domain and without", () => {
    assert.equal(readReply(`$JS.ACK.${SAID}`), READ);
    assert.equal(readReply(`$JS.ACK._.ACCHASH.${SAID}`), READ);
    assert.equal(readReply(`$JS.ACK.hub.ACCHASH.${SAID}.x7Yz`), READ);
  });

  test("tells how many messages are behind it", () => {
    assert.is(pendingBehind(`$JS.ACK.${SAID}`), 42);
    assert.is(pendingBehind(`$JS.ACK.hub.ACCHASH.${SAID}`), 42);
    assert.is(pendingBehind(`$JS.ACK._.ACCHASH.${SAID}.x7Yz`), 42);
  });
});
