/** The longest names that are accepted fit every subject and key that is made of them, on the real server. */
import * as assert from "uvu/assert";
import { encodeToken } from "../../src/core/subject.ts";
import { withCluster } from "../helpers/cluster.ts";
import { bytesOf } from "../helpers/events.ts";
import { A, sample } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";

describe("the longest names", (test) => {
  test("of a source, a stream, a request and an event are processed, held open, and found again", () =>
    withCluster({}, async (cluster) => {
      const source = "|".repeat(341);
      assert.is(encodeToken(source).length, 1_023);
      const ids = { stream_id: "é".repeat(128), request_id: "|".repeat(256) };
      const { envelope } = sample(1_000, A);
      const event = { ...envelope, id: "あ".repeat(256), data: { ...(envelope.data as object), ...ids } };
      await cluster.publish(source, [bytesOf(event)]);
      await cluster.process();
      const found = () => cluster.count("SELECT count() FROM fact_workflow_sessions FINAL WHERE event_count = 1");
      assert.is(await found(), 1);
      await cluster.process();
      assert.is(await found(), 1);
    }));
});
