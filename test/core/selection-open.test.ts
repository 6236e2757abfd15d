/**
 * How long a sample stays open, where it waits, and what a restart must read again.
 */
import * as assert from "uvu/assert";
import {
  node,
  type NodeFields,
  snapshot,
  status,
  type StatusFields,
  URL,
  uuidOf,
  type Wire,
} from "../helpers/events.ts";
import { bytesOf, stored, subjectOf } from "../helpers/events.ts";
import { describe } from "../helpers/suite.ts";
import { claimsNothing, DEFAULTS, inOrder, states, World } from "../helpers/world.ts";
import { markOf, mergeEntries, readEntry } from "../../src/core/entry.ts";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { FROM_THE_START, PartitionState } from "../../src/core/step.ts";

const T = 1_000_000;
const LATENESS = 10_000;
const AFTER = 100_000;
const SETTINGS = { ttl: { beforeMs: 100_000, afterMs: AFTER }, allowedLatenessMs: LATENESS };

const sample: StatusFields = { at: T, wallet: "0xhot", url: URL, model: "m" };
const here = node("0xca", "m", ["g"]);

/** Moves F of the source: a snapshot of a node that no sample names. */
const tick = (at: number): Wire => snapshot(at, node("0xcz", "z", [], { hot: "0xz", url: "https://z" }));

/** Open after F reached this time, closed a millisecond later. */
function closesAfter(wires: Wire[], lastMs: number): void {
  const world = inOrder(wires, SETTINGS);
  assert.is(world.openCount, 1, "open at first");
  world.publish(tick(lastMs));
  world.drain();
  assert.is(world.openCount, 1, "open while F has not passed its time");
  world.publish(tick(lastMs + 1));
  world.drain();
  assert.is(world.openCount, 0, "closed when F has passed it");
  assert.is(world.unmatched.size, 0, "and nothing is kept of it");
}

describe("an open sample that is matched from before", (test) => {
  const matched = { ...sample, id: uuidOf(1) };
  const chosenMs = (world: World) => world.row(matched.id).selected_snapshot_ts;

  test("is improved by a nearer snapshot after one that is nearer still and of another model", () => {
    const other = node("0xca", "another", ["g"]);
    const world = inOrder([snapshot(T - 10, here), status(matched), snapshot(T - 2, other)], SETTINGS);
    assert.is(chosenMs(world), T - 10);
    assert.is(world.counts.get("corrections"), undefined, "the other says nothing of it");
    world.publish(snapshot(T - 5, here));
    world.drain();
    assert.is(chosenMs(world), T - 5);
    assert.is(world.counts.get("corrections"), 1);
  });

  test("is improved by a snapshot of its own instant, and by none from farther back", () => {
    const wires = [snapshot(T - 10, here), status(matched), snapshot(T, here), snapshot(T - 1, here)];
    const world = inOrder(wires, SETTINGS);
    assert.is(chosenMs(world), T);
    assert.is(world.counts.get("corrections"), 1);
  });

  test("is open once, however often it comes", () => {
    const world = inOrder([snapshot(T - 10, here), status(matched), status(matched)], { ...SETTINGS, mostSeen: 2 });
    world.publish(status({ ...matched, id: uuidOf(2) }));
    world.publish(status({ ...matched, id: uuidOf(3) }));
    world.publish(status(matched));
    world.drain();
    assert.is(world.openCount, 3);
    assert.is(world.unmatched.size, 0, "the stream has it; it needs no entry");
  });

  test("lets its session go when it closes, and the stream before it", () => {
    const world = inOrder([snapshot(T - 10, here), status(matched)], { ...SETTINGS, mostSessions: 0 });
    assert.is(world.partition().seal().progress.rewindSeq, 2);
    assert.is(world.partition().sessionCount, 1);
    world.publish(tick(T + LATENESS + 1));
    world.drain();
    assert.is(world.openCount, 0);
    for (let seal = 0; seal < 3; seal++) world.partition().seal();
    assert.is(world.partition().seal().progress.rewindSeq, 3);
    assert.is(world.partition().sessionCount, 0);
  });
});

describe("closing", (test) => {
  test("a sample that names nothing closes at once", () => {
    const world = inOrder([status({ at: T, model: "m" })], SETTINGS);
    assert.is(world.openCount, 0);
    assert.is(world.unmatched.size, 0);
  });

  test("an ambiguous wallet closes at once, on arrival and by correction", () => {
    const ambiguous = snapshot(T, here, { ...here, canonical: "0xcb" });
    for (const wires of [[ambiguous, status({ ...sample, url: "" })], [status({ ...sample, url: "" }), ambiguous]]) {
      const world = inOrder(wires, SETTINGS);
      claimsNothing(world.row(), "wallet_ambiguous", 4);
      assert.is(world.openCount, 0);
      assert.is(world.unmatched.size, 0);
    }
  });

  test("settled but for time, it closes when F passes its own time + lateness", () => {
    closesAfter([snapshot(T - 1, here), status(sample)], T + LATENESS);
  });
  test("… its chosen snapshot's time + lateness, if that is later", () => {
    closesAfter([status(sample), snapshot(T + 5_000, here)], T + 5_000 + LATENESS);
  });
  test("… F at its arrival + lateness, if that is later", () => {
    closesAfter([snapshot(T - 1, here), tick(T + 30_000), status(sample)], T + 30_000 + LATENESS);
  });
  test("a better snapshot that moves the chosen time back does not keep it open longer", () => {
    closesAfter([status(sample), snapshot(T + 5_000, here), snapshot(T - 1, here)], T + LATENESS);
  });
  test("without a wallet or a hint, what these cannot improve is not waited for", () => {
    closesAfter([snapshot(T - 1, here), status({ ...sample, wallet: "" })], T + LATENESS);
    closesAfter([snapshot(T - 1, here), status({ at: T, wallet: "0xhot", url: URL })], T + LATENESS);
  });

  const unsettled: [claim: string, sample: StatusFields, nodes: NodeFields[]][] = [
    ["nothing is known", sample, []],
    ["the wallet is known elsewhere", sample, [{ ...here, url: "https://b" }]],
    ["only incompatible models are known", sample, [node("0xca", "x", [])]],
    ["the wallet matches, and could still be ambiguous", { ...sample, url: "" }, [here]],
    ["the url matches another wallet", { ...sample, wallet: "0xz2" }, [here]],
    ["the model is unknown while it has a hint", sample, [node("0xca", "", [])]],
  ];
  for (const [claim, fields, nodes] of unsettled) {
    test(`it waits for the TTL + lateness while ${claim}`, () => {
      closesAfter([snapshot(T - 1, ...nodes), status(fields)], T + AFTER + LATENESS);
    });
  }
  test("… counted from F at its arrival, if that is later", () => {
    closesAfter([tick(T + 30_000), status(sample)], T + 30_000 + AFTER + LATENESS);
  });

  test("guaranteed: a snapshot within the lateness corrects a sample at the last moment", () => {
    const world = inOrder([snapshot(T - 1, here), status(sample), tick(T + LATENESS), snapshot(T, here)], SETTINGS);
    states(world.row(), { gpu_attribution_confidence: 1, selected_snapshot_ts: T });
  });
  test("late: a millisecond later it corrects nothing that has closed", () => {
    const world = inOrder([snapshot(T - 1, here), status(sample), tick(T + LATENESS + 1), snapshot(T, here)], SETTINGS);
    states(world.row(), { gpu_attribution_confidence: 0.9, selected_snapshot_ts: T - 1 });
  });
  test("late: it still corrects what is open", () => {
    const world = inOrder([status(sample), tick(T + LATENESS + 1), snapshot(T, here)], SETTINGS);
    states(world.row(), { gpu_attribution_confidence: 1 });
  });
  test("a snapshot is late when F has passed its time + lateness, not before", () => {
    const late = (timeMs: number) =>
      inOrder([tick(T)], SETTINGS).feed.apply({ source: "network", uid: "s", timeMs, nodes: [] });
    assert.is(late(T - LATENESS).isLate, false);
    assert.is(late(T - LATENESS - 1).isLate, true);
  });
  test("the feed of one source closes nothing of another", () => {
    const world = inOrder([snapshot(T - 1, here), status(sample)], SETTINGS);
    world.publish({ ...tick(T + 10 * AFTER), source: "other" });
    world.drain();
    assert.is(world.openCount, 1);
  });
});

describe("unmatched_status", (test) => {
  test("holds a sample that waits for the TTL, from the batch of its message on", () => {
    const world = inOrder([status(sample)], SETTINGS);
    assert.is(world.unmatched.size, 1);
    assert.ok([...world.unmatched.keys()][0]!.startsWith("network.sample"));
  });
  test("holds no sample that is settled but for time, not even one that settled within its batch", () => {
    assert.is(inOrder([snapshot(T, here), status(sample)], SETTINGS).unmatched.size, 0);
    const world = inOrder([tick(T - 2)], SETTINGS);
    world.publish(status(sample));
    world.publish(snapshot(T - 1, here));
    world.take("0");
    world.take("all");
    world.commit("all");
    world.apply();
    world.commit("0");
    assert.is(world.unmatched.size, 0);
    assert.is(world.openCount, 1);
  });
  test("gives a sample up when a correction closes it", () => {
    const world = inOrder([status({ ...sample, url: "" }), snapshot(T, here)], SETTINGS);
    assert.is(world.unmatched.size, 1);
    world.publish(snapshot(T, { ...here, canonical: "0xcb" }));
    world.drain();
    assert.is(world.unmatched.size, 0);
  });
  test("that lacks what a checkpoint rests on has the stream read again from there, which opens the sample", () => {
    const world = inOrder([status(sample), tick(T + 1)], SETTINGS);
    assert.ok(world.checkpoints.get("0")!.rewindSeq > 1);
    world.unmatched.clear();
    world.crash();
    assert.is(world.openCount, 0);
    assert.is(world.nextOf("0")!.streamSequence, 1);
    world.drain();
    assert.is(world.openCount, 1);
    assert.is(world.unmatched.size, 1);
  });
  test("opens a sample again after a crash, and the sample is corrected and closed as if there had been none", () => {
    const world = inOrder([status(sample)], SETTINGS);
    world.crash();
    assert.is(world.openCount, 1);
    world.publish(snapshot(T + 1_000, node("0xca", "", [])));
    world.drain();
    world.crash();
    world.publish(snapshot(T - 1_000, here));
    world.drain();
    states(world.row(), { gpu_id: "g", gpu_attribution_confidence: 0.9 });
    world.publish(tick(T + LATENESS + 1));
    world.drain();
    assert.is(world.openCount, 0);
    assert.is(world.unmatched.size, 0);
  });
  test("keeps F at a sample's arrival, so that a restart neither shortens nor lengthens its wait", () => {
    const world = inOrder([tick(T + 30_000), status(sample), tick(T + 40_000)], SETTINGS);
    world.crash();
    world.publish(tick(T + 30_000 + AFTER + LATENESS));
    world.drain();
    assert.is(world.openCount, 1);
    world.publish(tick(T + 30_000 + AFTER + LATENESS + 1));
    world.drain();
    assert.is(world.openCount, 0);
  });
});

describe("rewindSeq", (test) => {
  const progress = (world: World) => world.checkpoints.get("0")!;

  test("stays at the first open sample that only the stream holds, and moves on when it closes", () => {
    const world = inOrder([snapshot(T - 1, here), status({ ...sample, id: "a" })], SETTINGS);
    world.publish(status({ ...sample, id: "b", at: T + 50_000 }));
    world.publish(status({ at: T, id: "names nothing" }));
    world.drain();
    states({ ...progress(world) }, { doneSeq: 4, rewindSeq: 2 });
    world.publish(tick(T + LATENESS + 1));
    world.drain();
    states({ ...progress(world) }, { doneSeq: 4, rewindSeq: 3 });
    world.publish(tick(T + 50_000 + LATENESS + 1));
    world.drain();
    states({ ...progress(world) }, { doneSeq: 4, rewindSeq: 5 });
  });
  test("passes a sample that KV holds", () => {
    states({ ...progress(inOrder([status(sample)], SETTINGS)) }, { doneSeq: 1, rewindSeq: 2 });
  });
  test("does not move while warm-up has not read past it", () => {
    const world = inOrder(
      [snapshot(T - 1, here), status({ ...sample, id: "a" }), status({ ...sample, id: "b" })],
      SETTINGS,
    );
    world.crash();
    world.publish(tick(T + 1));
    world.take("all");
    world.commit("all");
    world.apply();
    world.commit("0");
    states({ ...progress(world) }, { doneSeq: 3, rewindSeq: 2 });
    world.crash();
    world.publish(snapshot(T, here));
    world.drain();
    for (const id of ["a", "b"]) states(world.row(id), { gpu_attribution_confidence: 1 });
  });
});

describe("a feed that is complete", (test) => {
  test("keeps nothing open, neither what is settled but for time nor what waits for the TTL, and nothing in KV", () => {
    const world = inOrder([snapshot(T - 1, here)], SETTINGS);
    world.feedOf().complete();
    world.publish(status(sample));
    world.publish(status({ ...sample, id: "unknown", url: "https://nowhere", wallet: "0xno" }));
    world.drain();
    assert.equal([world.openCount, world.unmatched.size], [0, 0]);
    assert.is(world.row().is_attributed, 1);
    assert.is(world.row("unknown").unattributed_reason, "no_snapshot");
  });
});

describe("bounds", (test) => {
  test("over mostOpen the oldest samples close early; what that may cost is counted with its span", () => {
    const world = inOrder([snapshot(T - 1, here)], { ...SETTINGS, mostOpen: 2 });
    for (const at of [T + 2, T, T + 1, T + 3]) world.publish(status({ ...sample, id: uuidOf(at), at }));
    world.drain();
    assert.is(world.openCount, 2);
    assert.is(world.counts.get("observations_evicted"), 2);
    const { kind, count, span } = world.costs[0]!;
    assert.equal({ kind, count, span }, { kind: "observations_evicted", count: 2, span: { fromMs: T, toMs: T + 2 } });
    assert.is(world.checkpoints.get("0")!.rewindSeq, 4);
  });
  test("of those that no snapshot matches an eighth of mostOpen stays open, and the others are left alone", () => {
    const world = inOrder([snapshot(T - 1, here)], { ...SETTINGS, mostOpen: 16 });
    const send = (ids: number[], fields: object) => {
      for (const id of ids) world.publish(status({ ...sample, id: uuidOf(id), at: T + id, ...fields }));
    };
    send([1, 2, 3], {});
    send([4, 5, 6, 7, 8], { url: "https://nowhere", wallet: "0xno" });
    world.drain();
    assert.equal([world.openCount, world.unmatched.size], [5, 2]);
    const { count, span } = world.costs[0]!;
    assert.equal({ count, span }, { count: 3, span: { fromMs: T + 4, toMs: T + 6 } });
  });
  test("the oldest closes whether the stream or KV holds it, so that waiting samples never crowd out new ones", () => {
    const world = inOrder([status({ ...sample, id: "old" })], { ...SETTINGS, mostOpen: 1 });
    assert.is(world.unmatched.size, 1);
    world.publish(status({ ...sample, id: "new" }));
    world.drain();
    assert.equal([...world.unmatched.keys()].map((key) => key.includes("new")), [true]);
  });
  test("a batch that would take a closed sample out of KV is pending, for it would not be empty", () => {
    const world = inOrder([status(sample)], SETTINGS);
    world.publish(tick(T + AFTER + LATENESS + 1));
    world.take("all");
    world.commit("all");
    world.apply();
    assert.is(world.openCount, 0);
    assert.ok(world.partition("0").pending > 0, "pending is 0 only when a batch would be empty");
  });
  test("a batch is as large as the facts that a snapshot corrects, also once these are handed over", () => {
    const ids = Array.from({ length: 20 }, (_, nth) => uuidOf(nth));
    const world = inOrder(ids.map((id) => status({ ...sample, id })), SETTINGS);
    world.publish(snapshot(T + 1, here));
    world.take("all");
    world.commit("all");
    world.apply();
    const state = world.partition("0");
    assert.is(state.pending, ids.length);
    state.takeRows();
    assert.is(state.pending, ids.length);
  });
});

describe("an observation that waits in unmatched_status", (test) => {
  const wire = status(sample);
  const at = (seq: number) => stored(subjectOf(wire, 1), bytesOf(wire.envelope), seq, 4_000_000_000_000);
  const open = (settings = DEFAULTS) => new PartitionState(settings, new SnapshotFeed(settings), FROM_THE_START);
  const entryOf = (state: PartitionState) => {
    const { state: changes, progress } = state.seal();
    return { text: changes.find(({ bucket }) => bucket === "unmatched_status")?.value ?? undefined, progress };
  };
  const takenAt = (seq: number) => {
    const state = open();
    state.take(at(seq));
    return entryOf(state).text!;
  };

  test("is looked for where the stream has it now, which lost its end and was offered it again", () => {
    const state = open();
    state.restore(readEntry(takenAt(8))!);
    state.take(at(6));
    const { text, progress } = entryOf(state);
    assert.is(readEntry(text!)!.streamSequence, 6);
    assert.is(progress.heldSeq, 6);
    assert.is(mergeEntries(takenAt(8), text!), text);
    assert.is(readEntry(mergeEntries(text!, takenAt(8)))!.streamSequence, 6);
  });

  test("has its place once, though the stream holds it twice", () => {
    const state = open();
    state.restore(readEntry(takenAt(6))!);
    state.take(at(8));
    const { text, progress } = entryOf(state);
    assert.is(text, undefined);
    assert.is(progress.heldSeq, 6);
  });

  test("is one of those that the checkpoint tells apart from others", () => {
    const state = open();
    state.take(at(8));
    const { text, progress } = entryOf(state);
    assert.is(progress.heldMark, markOf([readEntry(text!)!]));
    const other = open();
    const otherWire = status({ ...sample, id: "another" });
    other.take(stored(subjectOf(otherWire, 1), bytesOf(otherWire.envelope), 8, 4_000_000_000_000));
    assert.is.not(other.seal().progress.heldMark, progress.heldMark);
  });

  test("is none of them any more when it has closed", () => {
    const state = open({ ...DEFAULTS, mostOpen: 0 });
    state.restore(readEntry(takenAt(8))!);
    assert.is(entryOf(state).progress.heldMark, 0);
  });
});

describe("the least sequence that waits in unmatched_status", (test) => {
  test("is told though its entry was lost and later ones were restored before it was read again", () => {
    const open = (at = FROM_THE_START) => new PartitionState(DEFAULTS, new SnapshotFeed(DEFAULTS), at);
    const messages = [2, 5].map((seq) => {
      const wire = status({ ...sample, id: `sample-${seq}` });
      return stored(subjectOf(wire, 1), bytesOf(wire.envelope), seq, 4_000_000_000_000);
    });
    const first = open();
    for (const message of messages) first.take(message);
    const { state, progress } = first.seal();
    assert.equal([progress.held, progress.heldSeq], [2, 2]);
    const again = open({ ...FROM_THE_START, doneSeq: 5, rewindSeq: 2, doneAtMs: 4_000_000_000_000 });
    const entries = state.filter(({ bucket }) => bucket === "unmatched_status");
    again.restore(readEntry(entries[1]!.value!)!);
    again.take(messages[0]!);
    const { held, heldSeq } = again.seal().progress;
    assert.equal([held, heldSeq], [2, 2]);
  });
});
