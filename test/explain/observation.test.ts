/** Why an observation is attributed as it is: each level, each reason, each way to lose, and what would attribute it. */
import * as assert from "uvu/assert";
import { node, type NodeFields, snapshot, type StatusFields, URL, type Wire } from "../helpers/events.ts";
import { explained } from "../helpers/explained.ts";
import { describe } from "../helpers/suite.ts";
import { attribute, HOUR_MS } from "../helpers/world.ts";

const T = 100 * HOUR_MS;
const OTHER_URL = "https://node-b:8935";
const sample: StatusFields = { at: T, wallet: "0xhot", url: URL, model: "m" };
const byWallet: StatusFields = { ...sample, url: "" };
const here = node("0xca", "m", ["g"]);
const elsewhere = node("0xca", "m", ["g"], { url: OTHER_URL });
const before = (...nodes: NodeFields[]): Wire => snapshot(T - 1_000, ...nodes);

/** Verdicts of all candidates, best first. */
const verdicts = (fields: StatusFields, ...snapshots: Wire[]) =>
  explained(fields, snapshots).candidates.map(({ verdict }) => verdict);

describe("an explained observation", (test) => {
  const levels: [level: number, reason: string, fields: StatusFields, nodes: NodeFields[]][] = [
    [0, "no_orchestrator", { ...sample, wallet: "", url: "" }, [here]],
    [0, "no_snapshot", sample, []],
    [1, "node_unknown", sample, [elsewhere]],
    [2, "model_incompatible", { ...sample, model: "x" }, [here]],
    [3, "", byWallet, [here]],
    [4, "wallet_ambiguous", byWallet, [here, { ...here, canonical: "0xcb" }]],
    [5, "", { ...sample, wallet: "0xstranger" }, [here]],
    [6, "", sample, [here]],
  ];
  for (const [level, reason, fields, nodes] of levels) {
    test(`of level ${level}${reason && `, ${reason},`} says what the row says`, () => {
      const snapshots = nodes.length === 0 ? [] : [before(...nodes)];
      const told = explained(fields, snapshots);
      const row = attribute(fields, snapshots);
      assert.equal([told.level, told.claim.reason], [level, reason]);
      assert.equal([row.evidence_level, row.unattributed_reason], [level, reason]);
      assert.is(told.wanted === null, reason === "");
      const chosen = told.candidates.filter(({ verdict }) => verdict === "chosen");
      assert.equal(chosen.map(({ snapshotUid }) => snapshotUid), reason === "" ? [row.selected_snapshot_uid] : []);
      assert.is(told.candidates.findIndex(({ verdict }) => verdict === "chosen"), reason === "" ? 0 : -1);
    });
  }

  const losses: [verdict: string, why: RegExp, fields: StatusFields, loser: Wire, winner: Wire | undefined][] = [
    ["outside_ttl", /1d1ms before, and 1d count/, sample, snapshot(T - 24 * HOUR_MS - 1, here), undefined],
    ["outside_ttl", /1d1ms after, and 1d count/, sample, snapshot(T + 24 * HOUR_MS + 1, here), undefined],
    ["other_url", /the wallet at https:\/\/node-b:8935/, sample, before(elsewhere), undefined],
    ["model_incompatible", /runs x, and the event hints at m/, sample, before(node("0xca", "x", [])), undefined],
    [
      "wallet_differs",
      /its wallet is 0xz and not 0xhot/,
      sample,
      before({ ...here, hot: "0xz" }),
      snapshot(T + 9, here),
    ],
    ["model_unknown", /the choice runs m/, sample, before(node("0xca", "", [])), snapshot(T + 9, here)],
    ["less_fresh", /9ms after, the choice 1s before/, sample, snapshot(T + 9, here), before(here)],
    ["less_fresh", /1s before, the choice at the same instant/, sample, before(here), snapshot(T, here)],
    ["farther", /2s before, the choice nearer: 1s before/, sample, snapshot(T - 2_000, here), before(here)],
  ];
  for (const [verdict, why, fields, loser, winner] of losses) {
    test(`says that a candidate lost by ${verdict}: ${why.source}`, () => {
      const { candidates } = explained(fields, winner === undefined ? [loser] : [loser, winner]);
      const lost = candidates.filter((one) => one.verdict === verdict);
      assert.is(lost.length, 1);
      assert.match(lost[0]!.why, why);
      assert.equal(
        candidates.filter((one) => one.verdict === "chosen").length,
        winner === undefined ? 0 : 1,
      );
    });
  }

  test("says which candidates of the chosen snapshot count in its claim, and which tied with it", () => {
    const two = { ...here, hardware: [{ model: "m", gpus: ["g1"] }, { model: "m", pipeline: "noop", gpus: ["g2"] }] };
    assert.equal(verdicts(sample, before(two)), ["chosen", "same_group"]);
    assert.is(explained(sample, [before(two)]).claim.gpuCount, 2);
    const twin = snapshot(T - 1_000, { ...here, canonical: "0xcb" });
    assert.equal(verdicts(sample, before(here), twin), ["chosen", "tie_break"]);
    assert.equal(verdicts(byWallet, before(here, { ...here, canonical: "0xcb" })), [
      "wallet_ambiguous",
      "wallet_ambiguous",
    ]);
  });

  test("puts the candidates that count first, the best of them before the others", () => {
    const snapshots = [
      snapshot(T - 25 * HOUR_MS, here),
      before(elsewhere),
      snapshot(T + 1, here),
      snapshot(T - 5, here),
    ];
    assert.equal(verdicts(sample, ...snapshots), ["chosen", "less_fresh", "other_url", "outside_ttl"]);
  });

  test("says what would attribute it, and that comes true", () => {
    const cases: [fields: StatusFields, known: Wire[], sentence: RegExp, remedy: NodeFields][] = [
      [sample, [], /lists https:\/\/node-a:8935, running m or a model that it does not name/, here],
      [sample, [before(elsewhere)], /The wallet 0xhot is known at https:\/\/node-b:8935 only/, here],
      [sample, [before(node("0xca", "x", []))], /It is known to run x only/, node("0xca", "", [])],
      [byWallet, [], /lists the wallet 0xhot/, here],
      [sample, [snapshot(T + 25 * HOUR_MS, here)], /1 further candidates lie outside of that time/, here],
    ];
    for (const [fields, known, sentence, remedy] of cases) {
      const { wanted } = explained(fields, known);
      assert.match(wanted!.sentence, sentence);
      assert.is(wanted!.isPossible, true);
      const edges = [Date.parse(wanted!.from), Date.parse(wanted!.to)];
      for (const at of edges) assert.is(attribute(fields, [...known, snapshot(at, remedy)]).is_attributed, 1);
      for (const at of [edges[0]! - 1, edges[1]! + 1]) {
        assert.is(attribute(fields, [...known, snapshot(at, remedy)]).is_attributed, 0, `${at} is too far`);
      }
    }
  });

  test("says when nothing can attribute it", () => {
    const ambiguous = explained(byWallet, [before(here, { ...here, canonical: "0xcb" })]).wanted!;
    assert.equal([ambiguous.isPossible, ambiguous.known], [false, ["0xca", "0xcb"]]);
    assert.is(explained({ ...sample, wallet: "", url: "" }, [before(here)]).wanted!.isPossible, false);
  });
});
