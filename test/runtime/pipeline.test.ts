/** What a pipeline repeats of a commit of which a part failed, and what does not wait for one. */
import * as assert from "uvu/assert";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { FROM_THE_START, PartitionState } from "../../src/core/step.ts";
import { LatecomerError } from "../../src/errors.ts";
import type { Buckets, EventStream, MessageSource, Sink } from "../../src/ports.ts";
import { PartitionPipeline, type PipelinePorts } from "../../src/runtime/pipeline.ts";
import { State } from "../../src/runtime/state.ts";
import { bytesOf, stored, subjectOf, type Wire } from "../helpers/events.ts";
import { MemoryBucket, WaitedClock } from "../helpers/replayed.ts";
import { A, KNOWN, sample } from "../helpers/session-events.ts";
import { sinkOf } from "../helpers/sinks.ts";
import { describe } from "../helpers/suite.ts";
import { DEFAULTS } from "../helpers/world.ts";

const AWAY = new LatecomerError("AWAY", "retryable", "no answer");

class CountedBucket extends MemoryBucket {
  puts = 0;

  override put(key: string, value: string, revision: number): Promise<number | undefined> {
    this.puts++;
    return super.put(key, value, revision);
  }
}

/** A pipeline that is given an event, over buckets in memory; the clock's time passes by `pass`. */
function pipelineOf(event: Wire, sink: Sink) {
  return pipelineFrom([event], sink, 0);
}

/** The same of several events, each read for so long; while there are more they are at hand. */
function pipelineFrom(events: readonly Wire[], sink: Sink, readingMs: number, isAhead?: PipelinePorts["isAhead"]) {
  const clock = new WaitedClock();
  const messages = events.map((event, at) =>
    stored(subjectOf(event, 1), bytesOf(event.envelope), at + 1, 4_000_000_000_000)
  );
  const source: Partial<MessageSource> = {
    nextSequence: () => messages[0]?.streamSequence,
    read: async (_, waitMs) => {
      await clock.sleep(messages.length > 0 ? readingMs : waitMs);
      return messages.splice(0, 1);
    },
    drainedUpTo: () => Promise.resolve(undefined),
    ack: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const stream: Partial<EventStream> = { bounds: () => Promise.resolve({ firstSeq: 1, lastSeq: events.length }) };
  const [bucket, checkpoints, snapshots] = [new MemoryBucket(), new MemoryBucket(), new CountedBucket()];
  const buckets: Partial<Buckets> = {
    checkpoints,
    unmatched_status: bucket,
    workflow_sessions: bucket,
    capability_snapshots: snapshots,
  };
  const pipeline = new PartitionPipeline(
    { partition: "0", generation: 1, contentHash: "", batchRows: () => 10, lingerMs: 10 },
    new PartitionState(DEFAULTS, new SnapshotFeed(DEFAULTS), FROM_THE_START),
    {
      source: source as MessageSource,
      stream: stream as EventStream,
      sink,
      state: new State(buckets as Buckets),
      deadLetters: { publish: () => Promise.resolve() },
      dirtyMinutes: { mark: () => Promise.resolve() },
      clock,
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
      random: () => 0.5,
      ...(isAhead === undefined ? {} : { isAhead }),
    },
    new Map(),
  );
  const running = pipeline.run();
  const stop = async () => {
    const ended = Promise.allSettled([running, pipeline.stop(1_000)]);
    await clock.pass(1_000);
    return await ended;
  };
  return { clock, checkpoints, snapshots, stop };
}

describe("a commit", (test) => {
  test("stores the same batch until its rows are there, and only then goes on", async () => {
    const stored: Record<string, number>[] = [];
    const checkpointsThen: number[] = [];
    const { clock, checkpoints, stop } = pipelineOf(sample(1_000, A), {
      begin: () => {
        const batch: Record<string, number> = {};
        return {
          add: (table, rows) => {
            batch[table] = (batch[table] ?? 0) + rows.length;
          },
          store: async () => {
            stored.push(batch);
            checkpointsThen.push((await checkpoints.entries()).length);
            if (stored.length < 3) throw AWAY;
          },
        };
      },
    });
    await clock.pass(1_000);
    assert.ok((await stop()).every(({ status }) => status === "fulfilled"));
    const rows = {
      raw_streaming_events: 1,
      raw_ai_stream_status: 1,
      fact_stream_status_samples: 1,
      fact_workflow_sessions: 1,
    };
    assert.equal(stored.slice(0, 3), [rows, rows, rows]);
    assert.equal(checkpointsThen.slice(0, 3), [0, 0, 0]);
    assert.is((await checkpoints.entries()).length, 1);
  });
});

describe("a commit that takes long", (test) => {
  // The next batch is full, or only due.
  for (const count of [20, 14]) {
    test(`has none beside it of the ${count - 10} messages since: their checkpoint would pass what is not stored`, async () => {
      const sizes: number[] = [];
      let finish = () => {};
      const first = new Promise<void>((resolve) => finish = resolve);
      const sink = sinkOf((table, rows) => {
        if (table !== "raw_streaming_events") return Promise.resolve();
        return sizes.push(rows.length) === 1 ? first : Promise.resolve();
      });
      const events = Array.from({ length: count }, (_, at) => sample(1_000 + at, A));
      const { clock, checkpoints, stop } = pipelineFrom(events, sink, 1);
      await clock.pass(1_000);
      assert.equal(sizes, [10]);
      assert.equal(await checkpoints.entries(), []);
      finish();
      await clock.pass(1_000);
      assert.ok((await stop()).every(({ status }) => status === "fulfilled"));
      assert.equal(sizes, [10, count - 10]);
    });
  }
});

describe("a batch that is due", (test) => {
  /** How many events each batch had, of some that take two of its lingers each to read; ten are the most. */
  async function batchesOf(events: readonly Wire[]): Promise<number[]> {
    const sizes: number[] = [];
    const sink = sinkOf((table, rows) => {
      if (table === "raw_streaming_events") sizes.push(rows.length);
      return Promise.resolve();
    });
    const { clock, stop } = pipelineFrom(events, sink, 20);
    await clock.pass(1_000);
    assert.ok((await stop()).every(({ status }) => status === "fulfilled"));
    return sizes;
  }

  test("waits for what is at hand, until it is full", async () => {
    const events = Array.from({ length: 24 }, (_, at) => sample(1_000 + at, A));
    assert.equal(await batchesOf(events), [10, 10, 4]);
  });

  test("is full too when its messages hold as many KiB: large ones take no more memory", async () => {
    const events = Array.from({ length: 8 }, (_, at) => sample(1_000 + at, { ...A, gateway: "g".repeat(4_096) }));
    assert.equal(await batchesOf(events), [3, 3, 2]);
  });
});

describe("a partition that is ahead of the snapshots", (test) => {
  test("reads nothing until it is not, but no read waits for longer than what hangs", async () => {
    let stored = 0;
    let isAhead = true;
    const sink = sinkOf((table, rows) => {
      if (table === "raw_streaming_events") stored += rows.length;
      return Promise.resolve();
    });
    const events = Array.from({ length: 24 }, (_, at) => sample(1_000 + at, A));
    const { clock, stop } = pipelineFrom(events, sink, 0, () => isAhead);
    await clock.pass(22_000);
    // One message a read, with five seconds before each; what was read waits as long for the next one.
    assert.is(stored, 3);
    isAhead = false;
    await clock.pass(20);
    assert.ok((await stop()).every(({ status }) => status === "fulfilled"));
    assert.is(stored, 24);
  });
});

describe("a snapshot", (test) => {
  test("is told while no row can be written", async () => {
    const { clock, snapshots, stop } = pipelineOf(KNOWN, sinkOf(() => Promise.reject(AWAY)));
    await clock.pass(1_000);
    assert.is((await snapshots.entries()).length, 1);
    await stop();
  });

  test("is not told once more with its batch", async () => {
    const { clock, snapshots, stop } = pipelineOf(KNOWN, sinkOf(() => Promise.resolve()));
    await clock.pass(1_000);
    assert.ok((await stop()).every(({ status }) => status === "fulfilled"));
    assert.is(snapshots.puts, 1);
  });
});
