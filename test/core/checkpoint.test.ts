/** Where a partition starts, when its checkpoint fits what is found and when it does not. */
import * as assert from "uvu/assert";
import { type Checkpoint, type Found, mergeCheckpoints, planStart, readCheckpoint } from "../../src/core/checkpoint.ts";
import { FROM_THE_START } from "../../src/core/step.ts";
import { describe } from "../helpers/suite.ts";

const CHECKPOINT: Checkpoint = {
  doneSeq: 100,
  rewindSeq: 80,
  doneAtMs: 5_000,
  held: 2,
  heldSeq: 30,
  heldMark: 7,
  lastSession: "s.session",
  lastSnapshot: "s.snapshot",
  generation: 1,
  hash: "h",
};

/** What is found when all is as it was left. */
const SOUND: Found = {
  checkpoint: CHECKPOINT,
  hash: "h",
  stream: { firstSeq: 1, lastSeq: 150 },
  doneAtMs: 5_000,
  firstSeqAfterDone: 101,
  held: 2,
  heldMark: 7,
  hasItsState: true,
};

const kinds = (found: Partial<Found>) => planStart({ ...SOUND, ...found }).findings.map(({ kind }) => kind);
const startOf = (found: Partial<Found>) => {
  const { doneSeq, rewindSeq } = planStart({ ...SOUND, ...found }).at;
  return { doneSeq, rewindSeq };
};

describe("a partition", (test) => {
  test("starts where its checkpoint says when everything fits", () => {
    assert.equal(planStart(SOUND), {
      at: {
        doneSeq: 100,
        rewindSeq: 80,
        doneAtMs: 5_000,
        lastSession: "s.session",
        lastSnapshot: "s.snapshot",
        firstSeq: 1,
      },
      findings: [],
      reset: false,
    });
  });

  test("starts at the beginning without a checkpoint, and with one that cannot be read", () => {
    for (const checkpoint of [undefined, "corrupt"] as const) {
      assert.equal(planStart({ ...SOUND, checkpoint }).at, FROM_THE_START);
    }
    assert.equal(kinds({ checkpoint: undefined }), ["no_checkpoint"]);
    assert.equal(kinds({ checkpoint: "corrupt" }), ["checkpoint_corrupt"]);
    assert.ok(planStart({ ...SOUND, checkpoint: "corrupt" }).reset, "or nothing could ever be saved over it");
    assert.not(planStart({ ...SOUND, checkpoint: undefined }).reset);
  });

  test("reads from the oldest entry on when entries of unmatched_status are missing", () => {
    assert.equal(planStart({ ...SOUND, held: 1, heldMark: 3 }).findings, [
      { kind: "entries_differ", expected: 2, found: 1 },
    ]);
    assert.equal(startOf({ held: 1, heldMark: 3 }), { doneSeq: 100, rewindSeq: 30 });
  });

  test("reads from the oldest entry on when another owner's entry stands for one that is missing", () => {
    assert.equal(startOf({ heldMark: 3 }), { doneSeq: 100, rewindSeq: 30 });
  });

  test("misses no entry where it left none, whatever another owner wrote since", () => {
    const none = { ...CHECKPOINT, held: 0, heldSeq: 0, heldMark: 0 };
    assert.equal(kinds({ checkpoint: none, held: 1, heldMark: 5 }), []);
    assert.equal(startOf({ checkpoint: none, held: 1, heldMark: 5 }), { doneSeq: 100, rewindSeq: 80 });
  });

  test("reads again what took the place of messages that the stream lost", () => {
    const rewritten = { doneAtMs: 6_000, firstSeqAfterDone: 95 };
    assert.equal(planStart({ ...SOUND, ...rewritten }).findings, [
      { kind: "stream_rewritten", doneSeq: 100, fromSeq: 95 },
    ]);
    assert.equal(startOf(rewritten), { doneSeq: 94, rewindSeq: 80 });
    assert.equal(startOf({ ...rewritten, firstSeqAfterDone: 70 }), { doneSeq: 69, rewindSeq: 70 });
  });

  test("sees that the stream lost its end also before anything took its place", () => {
    const shorter = { stream: { firstSeq: 1, lastSeq: 90 }, doneAtMs: undefined, firstSeqAfterDone: 91 };
    assert.equal(kinds(shorter), ["stream_rewritten"]);
    assert.equal(startOf(shorter), { doneSeq: 90, rewindSeq: 80 });
  });

  test("does not take a message that was removed for a rewritten stream", () => {
    assert.equal(kinds({ doneAtMs: undefined }), []);
  });

  test("names what expired before it was read, and apart from it what expired before it was read again", () => {
    const found = planStart({ ...SOUND, stream: { firstSeq: 120, lastSeq: 150 }, doneAtMs: undefined });
    assert.equal(found.findings, [
      { kind: "head_expired", gap: { fromSeq: 101, toSeq: 119, processed: false } },
      { kind: "head_expired", gap: { fromSeq: 80, toSeq: 100, processed: true } },
    ]);
    const partly = planStart({ ...SOUND, stream: { firstSeq: 90, lastSeq: 150 } });
    assert.equal(partly.findings, [{ kind: "head_expired", gap: { fromSeq: 80, toSeq: 89, processed: true } }]);
  });

  test("names nothing that was to be read again where nothing was open", () => {
    const nothingOpen = { ...CHECKPOINT, rewindSeq: 101 };
    const stream = { firstSeq: 120, lastSeq: 150 };
    const found = planStart({ ...SOUND, checkpoint: nothingOpen, stream, doneAtMs: undefined });
    assert.equal(found.findings, [{ kind: "head_expired", gap: { fromSeq: 101, toSeq: 119, processed: false } }]);
  });

  test("misses nothing when the head expired just up to where it reads on", () => {
    const done = { ...CHECKPOINT, rewindSeq: 101, held: 0, heldSeq: 0, heldMark: 0 };
    assert.equal(
      kinds({ held: 0, heldMark: 0, checkpoint: done, stream: { firstSeq: 101, lastSeq: 150 }, doneAtMs: undefined }),
      [],
    );
  });

  test("derives everything again under other settings, without entries and dead letters of before", () => {
    assert.equal(kinds({ hash: "other", held: 0 }), ["other_settings"]);
    assert.equal(startOf({ hash: "other", held: 0 }), { doneSeq: 100, rewindSeq: 1 });
  });

  test("derives everything again when the state that it feeds was purged, and misses it once", () => {
    assert.equal(kinds({ hasItsState: false }), ["state_purged"]);
    assert.equal(startOf({ hasItsState: false }), { doneSeq: 100, rewindSeq: 1 });
    const { lastSession, lastSnapshot } = planStart({ ...SOUND, hasItsState: false }).at;
    assert.equal([lastSession, lastSnapshot], ["", ""]);
  });
});

describe("two writers of one checkpoint", (test) => {
  test("leave the further one's as it is, for the rewind of one does not rest on the entries of the other", () => {
    const further = { ...CHECKPOINT, doneSeq: 120, rewindSeq: 70, doneAtMs: 6_000, held: 1 };
    assert.is(mergeCheckpoints(CHECKPOINT, further), further);
    assert.is(mergeCheckpoints(further, CHECKPOINT), further);
  });

  test("leave what was stored later, though a stream that was lost meanwhile had come further", () => {
    for (const doneSeq of [95, 100]) {
      const rewritten = { ...CHECKPOINT, doneSeq, rewindSeq: 90, doneAtMs: 6_000 };
      assert.is(mergeCheckpoints(CHECKPOINT, rewritten), rewritten);
      assert.is(mergeCheckpoints(rewritten, CHECKPOINT), rewritten);
    }
  });

  test("under different settings leave the one of the newer generation", () => {
    const newer = { ...CHECKPOINT, doneSeq: 5, rewindSeq: 1, generation: 2, hash: "other" };
    assert.is(mergeCheckpoints(CHECKPOINT, newer), newer);
    assert.is(mergeCheckpoints(newer, CHECKPOINT), newer);
  });
});

describe("the entry of a checkpoint", (test) => {
  test("is read back, and is none when a field is missing, negative, broken or of another type", () => {
    assert.equal(readCheckpoint(JSON.stringify(CHECKPOINT)), CHECKPOINT);
    for (const spoilt of [{ doneSeq: -1 }, { rewindSeq: "80" }, { hash: 1 }, { held: 1.5 }, { doneAtMs: null }]) {
      assert.is(readCheckpoint(JSON.stringify({ ...CHECKPOINT, ...spoilt })), undefined);
    }
    for (const text of ["", "null", "[]", "{", '{"doneSeq":1,"rewindSeq":1,"generation":1}']) {
      assert.is(readCheckpoint(text), undefined);
    }
  });
});
