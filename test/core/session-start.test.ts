/** What a partition makes of sessions when it starts again with less of their state than it left, or with all of it. */
import * as assert from "uvu/assert";
import { readEntry } from "../../src/core/entry.ts";
import type { Effects } from "../../src/core/effects.ts";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { judge } from "../../src/core/judge.ts";
import { readSnapshotEntry } from "../../src/core/snapshot.ts";
import { FROM_THE_START, PartitionState } from "../../src/core/step.ts";
import { bytesOf, stored, subjectOf, type Wire } from "../helpers/events.ts";
import { A, KNOWN, sample } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";
import { DEFAULTS } from "../helpers/world.ts";

const DONE = { ...FROM_THE_START, doneSeq: 7, rewindSeq: 7, doneAtMs: 4_000_000_000_000 };

const messageOf = (wire: Wire) => stored(subjectOf(wire, 1), bytesOf(wire.envelope), 7, 4_000_000_000_000);

/** The message of an event of node A, its session's key, and what the first owner of its partition left. */
function left() {
  const message = messageOf(sample(1_000, A));
  const first = new PartitionState(DEFAULTS, new SnapshotFeed(DEFAULTS), FROM_THE_START);
  first.take(message);
  const { state, progress } = first.seal();
  const valueIn = (bucket: string) => state.find((one) => one.bucket === bucket)!.value!;
  return {
    message,
    key: judge(message).sessionKey!,
    session: valueIn("workflow_sessions"),
    observation: readEntry(valueIn("unmatched_status"))!,
    progress,
  };
}

const sessionIn = ({ rows }: Effects) => rows.get("fact_workflow_sessions")?.[0];

describe("a session of a partition that starts again", (test) => {
  test("is corrected though its entry was gone while its observation was restored", () => {
    const { message, key, observation } = left();
    const feed = new SnapshotFeed(DEFAULTS);
    // Whatever need not stay in memory leaves it.
    const again = new PartitionState({ ...DEFAULTS, mostSessions: 0 }, feed, DONE);
    again.admit(key, undefined);
    again.restore(observation);
    again.take(message);
    for (let batch = 0; batch < 3; batch++) again.seal();
    const known = readSnapshotEntry(judge(messageOf(KNOWN)).snapshot!.value!)!;
    again.correct(known, feed.apply(known));
    assert.is(sessionIn(again.seal())?.orchestrator_address, "0xca");
  });

  test("is named by the progress that rests on its entry, whoever wrote it", () => {
    const { message, key, session, progress } = left();
    assert.is(progress.lastSession, key);
    const again = new PartitionState(DEFAULTS, new SnapshotFeed(DEFAULTS), DONE);
    again.admit(key, session);
    again.take(message);
    const effects = again.seal();
    assert.equal(effects.state.filter(({ bucket }) => bucket === "workflow_sessions"), []);
    assert.is(effects.progress.lastSession, key);
  });
});
