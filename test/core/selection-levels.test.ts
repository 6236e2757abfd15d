/**
 * The evidence levels, what each lets a row claim, and the order among candidates of one level.
 * Every case is tried with the snapshots before and after the sample, and held against the oracle.
 */
import * as assert from "uvu/assert";
import type { Row } from "../../src/core/emit/row.ts";
import {
  capabilities,
  NO_HINT,
  node,
  type NodeFields,
  snapshot,
  status,
  type StatusFields,
  URL,
  type Wire,
} from "../helpers/events.ts";
import { describe } from "../helpers/suite.ts";
import { attribute, claimsNothing, HOUR_MS, inOrder, states } from "../helpers/world.ts";

const T = 100 * HOUR_MS;
const OTHER_URL = "https://node-b:8935";
const sample: StatusFields = { at: T, wallet: "0xhot", url: URL, model: "m" };
const byWallet: StatusFields = { ...sample, url: "" };
const before = (...nodes: NodeFields[]): Wire => snapshot(T - 1_000, ...nodes);

describe("evidence levels", (test) => {
  const here = node("0xca", "m", ["g"]);
  const elsewhere = node("0xca", "m", ["g"], { url: OTHER_URL });
  const stranger = node("0xcz", "m", ["g"], { hot: "0xz", url: "https://z" });

  const unattributed: [claim: string, level: number, reason: string, sample: StatusFields, nodes: NodeFields[]][] = [
    ["nothing known of node and wallet", 0, "no_snapshot", sample, [stranger]],
    ["nothing known of the node, no wallet named", 0, "no_snapshot", { ...sample, wallet: "" }, [stranger, elsewhere]],
    ["nothing known of the wallet, no url named", 0, "no_snapshot", byWallet, [stranger]],
    ["neither wallet nor url", 0, "no_orchestrator", { ...byWallet, wallet: "" }, [here]],
    ["blanks for wallet and url", 0, "no_orchestrator", { ...sample, wallet: " ", url: " " }, [here]],
    ["the wallet only at other urls", 1, "node_unknown", sample, [elsewhere]],
    ["the wallet at other urls with another model too", 1, "node_unknown", { ...sample, model: "x" }, [elsewhere]],
    ["the node only with incompatible models", 2, "model_incompatible", { ...sample, model: "x" }, [here]],
    ["the node incompatible though the wallet fits elsewhere", 2, "model_incompatible", sample, [
      node("0xca", "x", []),
      elsewhere,
    ]],
    ["the wallet only with incompatible models", 2, "model_incompatible", { ...byWallet, model: "x" }, [here]],
    ["two canonical addresses incompatible", 2, "model_incompatible", { ...byWallet, model: "x" }, [
      here,
      { ...here, canonical: "0xcb" },
    ]],
    ["two canonical addresses eligible by wallet", 4, "wallet_ambiguous", byWallet, [
      here,
      { ...here, canonical: "0xcb" },
    ]],
    ["one canonical address has the model, one an unknown model", 4, "wallet_ambiguous", byWallet, [
      here,
      { canonical: "0xcb", hot: "0xhot" },
    ]],
  ];
  for (const [claim, level, reason, fields, nodes] of unattributed) {
    test(`level ${level}, ${reason}: ${claim}`, () => {
      claimsNothing(attribute(fields, [before(...nodes)]), reason, level, fields.url?.trim());
    });
  }

  const attributed: [claim: string, level: number, sample: StatusFields, nodes: NodeFields[]][] = [
    ["no url, one canonical address by hot wallet", 3, byWallet, [here]],
    ["no url, the canonical address itself", 3, { ...byWallet, wallet: "0xCA" }, [here]],
    ["no url, the other canonical address incompatible", 3, byWallet, [here, {
      ...node("0xcb", "x", []),
      hot: "0xhot",
    }]],
    ["the url, no wallet named", 5, { ...sample, wallet: "" }, [here]],
    ["the url, another wallet", 5, { ...sample, wallet: "0xstranger" }, [here]],
    ["the url, no wallet known", 5, { ...sample, wallet: "" }, [{ ...here, hot: "" }]],
    ["the url and the hot wallet", 6, sample, [here]],
    ["the url and the canonical address", 6, { ...sample, wallet: "0xca" }, [here]],
    ["the url and the wallet, the model unknown", 6, sample, [node("0xca", "", [])]],
  ];
  for (const [claim, level, fields, nodes] of attributed) {
    test(`level ${level}, attributed: ${claim}`, () => {
      const row = attribute(fields, [before(...nodes)]);
      states(row, {
        is_attributed: 1,
        unattributed_reason: "",
        evidence_level: level,
        orchestrator_address: "0xca",
        orchestrator_url: URL,
        gpu_attribution_method: level === 3 ? "wallet_match" : "node_match",
        gpu_attribution_confidence: level === 3 ? 0.4 : 0.9,
        selected_snapshot_ts: T - 1_000,
      });
      assert.ok(String(row.selected_snapshot_uid).startsWith("snapshot-"));
    });
  }

  test("what one source knows is nothing to another", () => {
    const foreign = capabilities({ at: T, source: "other", nodes: [here] });
    claimsNothing(attribute(sample, [foreign]), "no_snapshot", 0, URL);
    const world = inOrder([foreign, status(sample), status({ ...sample, source: "other" })]);
    states(world.row("sample", "network"), { is_attributed: 0 });
    states(world.row("sample", "other"), { is_attributed: 1 });
  });

  test("a blank never equals a blank", () => {
    const blank: NodeFields = { canonical: "0xca", hot: "", url: "", hardware: [{ model: "", gpus: ["g"] }] };
    claimsNothing(attribute({ ...sample, wallet: "" }, [before(blank)]), "no_snapshot", 0, URL);
    claimsNothing(attribute({ ...byWallet, wallet: "" }, [before(blank)]), "no_orchestrator", 0);
    const unnamed = before({ ...here, canonical: "" });
    claimsNothing(attribute(sample, [unnamed]), "no_snapshot", 0, URL);
    states(attribute({ ...byWallet, wallet: "0xca" }, [before(blank)]), { orchestrator_url: "", gpu_id: null });
  });

  test("addresses, urls and models are compared trimmed, without case, slash and alias, and stored so", () => {
    const shouting = node(" 0xCA ", " Pip_SDXL-Turbo ", ["g"], { hot: "0XHOT", url: " HTTPS://Node-A:8935/ " });
    const row = attribute({ ...sample, wallet: " 0xHot", url: `${URL}/`, model: "StreamDiffusion-SDXL" }, [
      before(shouting),
    ]);
    states(row, {
      evidence_level: 6,
      orchestrator_url: URL,
      orchestrator_address: "0xca",
      model_id: "streamdiffusion-sdxl",
    });
  });
});

describe("the order among candidates", (test) => {
  const at = (delta: number, model: string, gpu: string, more: Partial<NodeFields> = {}): Wire =>
    snapshot(T + delta, node("0xca", model, [gpu], more));
  const chosen = (...snapshots: Wire[]): Row => attribute(sample, snapshots);

  test("a higher level beats a better model, freshness and closeness", () => {
    states(
      chosen(at(0, "m", "g", { hot: "0xz" }), snapshot(T + HOUR_MS, { canonical: "0xcb", hot: "0xhot", url: URL })),
      {
        orchestrator_address: "0xcb",
        evidence_level: 6,
      },
    );
  });
  test("within a level an equal model beats an unknown one that is fresher", () => {
    states(chosen(at(0, "", "unknown"), at(HOUR_MS, "m", "equal")), { gpu_id: "equal" });
  });
  test("the same instant beats before, before beats after, however close", () => {
    states(chosen(at(0, "m", "same"), at(-1, "m", "before")), { gpu_id: "same", gpu_attribution_confidence: 1 });
    states(chosen(at(-HOUR_MS, "m", "before"), at(1, "m", "after")), {
      gpu_id: "before",
      gpu_attribution_confidence: 0.9,
    });
  });
  test("among before and among after the closer one is chosen", () => {
    states(chosen(at(-2, "m", "far"), at(-1, "m", "near")), { gpu_id: "near" });
    states(chosen(at(2, "m", "far"), at(1, "m", "near")), { gpu_id: "near", gpu_attribution_confidence: 0.7 });
  });
  test("a tie is settled by content: either alone loses to the winner of both, by its version", () => {
    const one = capabilities({ at: T, id: "one", nodes: [node("0xca", "m", ["GPU-1"])] });
    const two = capabilities({ at: T, id: "two", nodes: [node("0xca", "m", ["GPU-2"])] });
    const versions = [[one], [two], [one, two]].map((snapshots) =>
      BigInt(attribute(sample, snapshots).version as string)
    );
    const [first, second, both] = versions;
    assert.not.equal(first, second);
    assert.is(both, first! > second! ? first : second);
  });
  test("the TTL holds at its bounds and not a millisecond beyond, on either side", () => {
    const ttl = { beforeMs: 5_000, afterMs: 3_000 };
    for (const [delta, attributed] of [[-5_000, 1], [-5_001, 0], [3_000, 1], [3_001, 0]] as const) {
      const row = attribute(sample, [at(delta, "m", "g")], { ttl });
      states(row, { is_attributed: attributed, unattributed_reason: attributed ? "" : "no_snapshot" });
    }
  });
  test("beyond the TTL not even the wallet's other nodes count, nor its second address", () => {
    const ttl = { beforeMs: 5_000, afterMs: 5_000 };
    claimsNothing(attribute(sample, [at(-5_001, "m", "g", { url: OTHER_URL })], { ttl }), "no_snapshot", 0, URL);
    const second = snapshot(T + 5_001, node("0xcb", "m", []));
    states(attribute(byWallet, [at(0, "m", "g"), second], { ttl }), { evidence_level: 3 });
  });
});

describe("what a group lets a row claim", (test) => {
  const two = [{ model: "m", gpus: ["g2", "g1"] }, { model: "n", gpus: ["g3"] }];

  test("with a hint: its model, and the GPUs of that model alone", () => {
    const row = attribute(sample, [before(node("0xca", "", [], { hardware: two }))]);
    states(row, { model_id: "m", gpu_id: "g1", gpu_count: 2, gpu_attribution_confidence: 0.45 });
  });
  test("without a hint and with two models: the orchestrator, no model and no GPU", () => {
    const row = attribute({ ...sample, model: NO_HINT }, [before(node("0xca", "", [], { hardware: two }))]);
    states(row, {
      orchestrator_address: "0xca",
      model_id: null,
      gpu_id: null,
      gpu_count: 0,
      gpu_attribution_confidence: 0.9,
    });
  });
  test("without a hint and with one model: that model and its GPU", () => {
    const row = attribute({ ...sample, model: NO_HINT }, [before(node("0xca", "M-Big", ["g"]))]);
    states(row, { model_id: "M-Big", gpu_id: "g", gpu_count: 1 });
  });
  test("without a hint, one model beside an unknown one is in doubt", () => {
    const hardware = [{ model: "m", gpus: ["g"] }, { model: "", gpus: ["g"] }];
    const row = attribute({ ...sample, model: NO_HINT }, [before(node("0xca", "", [], { hardware }))]);
    states(row, { model_id: null, gpu_id: null });
  });
  test("noop is a model hint, unlike every other pipeline's name", () => {
    claimsNothing(
      attribute({ ...sample, model: "noop" }, [before(node("0xca", "m", []))]),
      "model_incompatible",
      2,
      URL,
    );
  });
  test("entries of one node in one snapshot are one group; a GPU listed twice is one", () => {
    const row = attribute(sample, [before(node("0xca", "m", ["g1", "g2"]), node("0xca", "m", ["g2", "g3"]))]);
    states(row, { gpu_id: "g1", gpu_count: 3, gpu_attribution_confidence: 0.3 });
  });
  test("another canonical address at the url, another snapshot and another level are other groups", () => {
    const others = [
      before(node("0xca", "m", ["g2"]), node("0xca", "m", ["g1"], { hot: "0xother" })),
      snapshot(T - 2_000, node("0xca", "m", ["g0"])),
    ];
    states(attribute(sample, others), { gpu_id: "g2", gpu_count: 1 });
    const shared = attribute(sample, [before(node("0xca", "m", ["g2"]), node("0xcb", "m", ["g1"]))]);
    states(shared, { gpu_count: 1, gpu_id: shared.orchestrator_address === "0xca" ? "g2" : "g1" });
  });
  test("by wallet, several urls leave node and GPU open while the model stays", () => {
    const row = attribute(byWallet, [before(node("0xca", "m", ["g"]), node("0xca", "m", ["g"], { url: OTHER_URL }))]);
    states(row, { orchestrator_address: "0xca", orchestrator_url: "", model_id: "m", gpu_id: null, gpu_count: 0 });
  });
  test("by wallet, several GPUs divide the confidence of 0.4", () => {
    const row = attribute(byWallet, [before(node("0xca", "m", ["g2", "g1"]))]);
    states(row, { gpu_id: "g1", gpu_count: 2, gpu_attribution_confidence: 0.2 });
  });
});
