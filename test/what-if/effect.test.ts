/** What a changed setting would do: which rows, why, and what that comes to; of each setting, both ways. */
import * as assert from "uvu/assert";
import type { StoredMessage } from "../../src/core/event.ts";
import type { Ttl } from "../../src/core/select.ts";
import { deriveWindow, type Trial } from "../../src/what-if/derive.ts";
import { type Effect, effectOf } from "../../src/what-if/effect.ts";
import { readWindow } from "../../src/what-if/window.ts";
import { ingest, node, snapshot, status, TRACE, trace, URL, type Wire } from "../helpers/events.ts";
import { storedFrom, streamOf } from "../helpers/replayed.ts";
import { describe } from "../helpers/suite.ts";
import { HOUR_MS, inOrder } from "../helpers/world.ts";

const T = 1_000 * HOUR_MS;
const PRESENT: Trial = {
  ttl: { beforeMs: 24 * HOUR_MS, afterMs: 24 * HOUR_MS },
  allowedLatenessMs: HOUR_MS,
  withoutSnapshots: [],
};

const sample = (at: number, id = `sample@${at}`): Wire => status({ at, id, wallet: "0xhot", url: URL, model: "m" });
const known = (at: number, canonical = "0xca"): Wire => snapshot(at, node(canonical, "m", ["GPU-m"]));
const idOf = ({ envelope }: Wire): string => envelope.id;

/** Everything is stored as it happens, an hour and more after the last event. */
function stored(wires: readonly Wire[]): StoredMessage[] {
  return storedFrom(1, T + 100 * HOUR_MS, wires);
}

async function effect(wires: readonly Wire[], change: Partial<Trial>, range = { fromSeq: 1, toSeq: wires.length }) {
  const changed = { ...PRESENT, ...change };
  const longest: Ttl = {
    beforeMs: Math.max(PRESENT.ttl.beforeMs, changed.ttl.beforeMs),
    afterMs: Math.max(PRESENT.ttl.afterMs, changed.ttl.afterMs),
  };
  const window = await readWindow(streamOf(stored(wires)), range, longest, () => {});
  const before = deriveWindow(window, PRESENT);
  return { window, before, found: effectOf(before, deriveWindow(window, changed), PRESENT, changed, window.snapshots) };
}

/** What happens to samples, by id. */
const samples = ({ changes }: Effect) =>
  changes.filter(({ table }) => table === "fact_stream_status_samples")
    .map(({ uid, cause }) => [uid.split("~")[0], cause]).sort();

describe("a what-if", (test) => {
  test("tells which samples a shorter TTL leaves without their snapshot, and which a longer one gives one", async () => {
    const wires = [known(T), sample(T + HOUR_MS), sample(T + 3 * HOUR_MS), sample(T + 30 * HOUR_MS)];
    const shorter = await effect(wires, { ttl: { beforeMs: 2 * HOUR_MS, afterMs: 0 } });
    assert.equal(samples(shorter.found), [[`sample@${T + 3 * HOUR_MS}`, "expires"]]);
    assert.match(shorter.found.changes[0]!.why, "its snapshot lies 3h before, and only 2h count");
    assert.equal([shorter.found.before.emptyKeyRate, shorter.found.after.emptyKeyRate], [1 / 3, 2 / 3]);
    assert.equal(shorter.found.after.reasons, { no_snapshot: 2 });
    assert.equal(shorter.found.keys, [{ orchestrator: "0xca", model: "m", gpu: "GPU-m", before: 2, after: 1 }]);
    const longer = await effect(wires, { ttl: { beforeMs: 36 * HOUR_MS, afterMs: 0 } });
    assert.equal(samples(longer.found), [[`sample@${T + 30 * HOUR_MS}`, "counts"]]);
    assert.is(longer.found.after.emptyKeyRate, 0);
  });

  test("tells the same of snapshots that come after the sample", async () => {
    const wires = [sample(T), sample(T + 10 * HOUR_MS), known(T + 12 * HOUR_MS)];
    const { found } = await effect(wires, { ttl: { beforeMs: 0, afterMs: 5 * HOUR_MS } });
    assert.equal(samples(found), [[`sample@${T}`, "expires"]]);
  });

  test("tells what an allowed lateness closes and opens again", async () => {
    // Two hours behind the feed: the first sample is settled by its own snapshot and closed by then.
    const wires = [known(T), sample(T + HOUR_MS), known(T + 3 * HOUR_MS, "0xcb"), known(T + HOUR_MS - 1)];
    const longer = await effect(wires, { allowedLatenessMs: 5 * HOUR_MS });
    assert.equal(samples(longer.found), [[`sample@${T + HOUR_MS}`, "reopened"]]);
    const late = [known(T), sample(T + HOUR_MS), known(T + HOUR_MS + 1_800_000, "0xcb"), known(T + HOUR_MS - 1)];
    const shorter = await effect(late, { allowedLatenessMs: 1_000 });
    assert.equal(samples(shorter.found), [[`sample@${T + HOUR_MS}`, "closed"]]);
    assert.equal(samples((await effect(late, { allowedLatenessMs: HOUR_MS })).found), []);
  });

  test("tells what a snapshot is worth, by its uid or its id, and knows those that are not there", async () => {
    const [first, second] = [known(T), known(T + HOUR_MS, "0xcb")];
    const wires = [first, second, sample(T + 60_000), sample(T + 2 * HOUR_MS)];
    const { found, window } = await effect(wires, { withoutSnapshots: [idOf(second)] });
    assert.equal(samples(found), [[`sample@${T + 2 * HOUR_MS}`, "left_out"]]);
    assert.equal(found.keys.map(({ orchestrator, before, after }) => [orchestrator, before, after]), [
      ["0xca", 1, 2],
      ["0xcb", 1, 0],
    ]);
    const { uid } = window.snapshots.find(({ id }) => id === idOf(second))!;
    assert.equal((await effect(wires, { withoutSnapshots: [uid] })).found, found);
    const both = await effect(wires, { withoutSnapshots: [idOf(first), idOf(second)] });
    assert.is(both.found.after.emptyKeyRate, 1);
    await effect(wires, { withoutSnapshots: ["nothing"] }).then(
      () => assert.unreachable(),
      ({ code, message }) => assert.equal([code, /"nothing"/.test(message)], ["UNKNOWN_ID", true]),
    );
  });

  test("tells of a rival that is gone, and of what follows from a session's other events", async () => {
    const wires = [
      known(T),
      snapshot(T + 1_000, node("0xcb", "m", ["GPU-n"])),
      trace({ at: T + 1_500, type: TRACE.request }),
      status({ at: T + 2_000, wallet: "0xhot", model: "m" }),
      ingest({ at: T + 3_000 }),
    ];
    const { found } = await effect(wires, { withoutSnapshots: [idOf(wires[1]!)] });
    assert.equal(samples(found), [["sample", "rivals"]], "the wallet was ambiguous");
    const causes = new Set(found.changes.slice(1).map(({ table, cause }) => `${table} ${cause}`));
    assert.ok(causes.has("fact_workflow_sessions session"), [...causes].join());
    assert.not.ok([...causes].some((one) => one.includes("fact_stream_ingest_samples")));
  });

  test("derives under the present settings what the processor derives", async () => {
    const wires = [known(T), sample(T + HOUR_MS), trace({ at: T, type: TRACE.request }), known(T + HOUR_MS)];
    const { before, found } = await effect(wires, {});
    assert.equal([found.changes, found.reranked, found.rows], [[], 0, 4]);
    assert.equal([...before.values()].sort(byVersion), [...inOrder(wires).rows()].sort(byVersion));
  });

  test("uses snapshots as far before and after its range as the longer TTL of that side reaches", async () => {
    const wires = [known(T), sample(T + 30 * HOUR_MS), known(T + 60 * HOUR_MS)];
    const sequences = async (ttl: Ttl) => {
      const { window } = await effect(wires, { ttl }, { fromSeq: 2, toSeq: 2 });
      return window.inputs.map(({ message }) => message.streamSequence);
    };
    assert.equal(await sequences({ beforeMs: 36 * HOUR_MS, afterMs: 0 }), [1, 2]);
    assert.equal(await sequences({ beforeMs: 0, afterMs: 36 * HOUR_MS }), [2, 3]);
  });

  test("uses the snapshots around its range and no other message, and leaves out sessions that are not whole", async () => {
    const wires = [known(T), sample(T + 1, "outside"), sample(T + 2, "inside"), known(T + 3), known(T + 60 * HOUR_MS)];
    const { window, before } = await effect(wires, {}, { fromSeq: 3, toSeq: 3 });
    assert.equal(window.inputs.map(({ message }) => message.streamSequence), [1, 3, 4]);
    assert.equal([window.messages, window.snapshots.length], [1, 2]);
    assert.equal(window.leftOut.map(({ why, streamSequence }) => [why, streamSequence]), [["outside", 2]]);
    assert.equal([...before.values()].map((row) => row.source_event_id), ["inside"]);
  });
});

function byVersion(a: { version?: unknown }, b: { version?: unknown }): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
