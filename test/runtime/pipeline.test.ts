/** What a pipeline repeats of a commit of which a part failed. */
import * as assert from "uvu/assert";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { FROM_THE_START, PartitionState } from "../../src/core/step.ts";
import { LatecomerError } from "../../src/errors.ts";
import type { Buckets, EventStream, MessageSource, Sink } from "../../src/ports.ts";
import { PartitionPipeline } from "../../src/runtime/pipeline.ts";
import { State } from "../../src/runtime/state.ts";
import { bytesOf, stored, subjectOf } from "../helpers/events.ts";
import { MemoryBucket, WaitedClock } from "../helpers/replayed.ts";
import { A, sample } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";
import { DEFAULTS } from "../helpers/world.ts";

describe("a commit", (test) => {
  test("writes a table until its rows are there, and no other again", async () => {
    const clock = new WaitedClock();
    const event = sample(1_000, A);
    const messages = [stored(subjectOf(event, 1), bytesOf(event.envelope), 1, 4_000_000_000_000)];
    const source: Partial<MessageSource> = {
      read: (_, waitMs) =>
        messages.length > 0 ? Promise.resolve(messages.splice(0)) : clock.sleep(waitMs).then(() => []),
      ack: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
    const writes = new Map<string, number>();
    const sink: Sink = {
      write: (table) => {
        const count = (writes.get(table) ?? 0) + 1;
        writes.set(table, count);
        const isThere = table !== "fact_workflow_sessions" || count > 2;
        return isThere ? Promise.resolve() : Promise.reject(new LatecomerError("AWAY", "retryable", "no answer"));
      },
    };
    const bucket = new MemoryBucket();
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const pipeline = new PartitionPipeline(
      { partition: "0", generation: 1, contentHash: "", batchRows: 10, lingerMs: 10 },
      new PartitionState(DEFAULTS, new SnapshotFeed(DEFAULTS), FROM_THE_START),
      {
        source: source as MessageSource,
        stream: {} as EventStream,
        sink,
        state: new State(
          { checkpoints: bucket, unmatched_status: bucket, workflow_sessions: bucket } as unknown as Buckets,
        ),
        deadLetters: { publish: () => Promise.resolve() },
        dirtyMinutes: { mark: () => Promise.resolve() },
        clock,
        log,
        random: () => 0.5,
      },
      new Map(),
    );
    const running = pipeline.run();
    await clock.pass(1_000);
    const stopping = pipeline.stop(1_000);
    await clock.pass(1_000);
    await Promise.all([running, stopping]);
    assert.equal(
      Object.fromEntries(writes),
      {
        raw_streaming_events: 1,
        raw_ai_stream_status: 1,
        fact_stream_status_samples: 1,
        fact_workflow_sessions: 3,
      },
    );
  });
});
