/**
 * The parity list: what the tests of the two predecessors say of status samples, under their own names.
 *
 * Each claim says what the original expects or, where Latecomer decides otherwise, what comes out now and why.
 * Every case is tried with the snapshots before and after the sample, and held against the oracle.
 * What neither of them says is in selection-levels.test.ts and selection-open.test.ts.
 */
import * as assert from "uvu/assert";
import { capabilities, NO_HINT, node, type NodeFields, snapshot, status, URL } from "../helpers/events.ts";
import { describe } from "../helpers/suite.ts";
import { attribute, claimsNothing, HOUR_MS, inOrder, states, World } from "../helpers/world.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const T = 100 * HOUR_MS;
const SD = "streamdiffusion-sdxl";
const LIVE = "live-video-to-video";
const OTHER_URL = "https://node-b:8935";

describe("the capability selector of the parity list (§6.2)", (test) => {
  const at = { wallet: "0xhot", url: URL };

  test("selectsCompatibleCandidateInsteadOfIncompatibleLatest: the older snapshot with the hinted model is chosen", () => {
    const snapshots = [snapshot(1_000, node("0xca", "llama", ["GPU-0"])), snapshot(2_000, node("0xca", SD, ["GPU-1"]))];
    const row = attribute({ ...at, at: 2_500, model: SD }, [...snapshots, snapshot(2_400, node("0xca", "llama", []))]);
    states(row, { model_id: SD, gpu_id: "GPU-1", pipeline: LIVE, selected_snapshot_ts: 2_000 });
  });

  test("prefersNearestPriorWithinTtlOverNearestFutureWithinTtl: at equal distance the prior one is chosen", () => {
    const prior = snapshot(9_000, node("0xca", SD, ["GPU-prior"]));
    const row = attribute({ ...at, at: 10_000, model: SD }, [
      prior,
      snapshot(11_000, node("0xca", SD, ["GPU-future"])),
    ]);
    states(row, { gpu_id: "GPU-prior", gpu_attribution_confidence: 0.9 });
  });

  test("returnsNullWhenNoCompatibleCandidateExists: only an incompatible model is no attribution", () => {
    const row = attribute({ ...at, at: 2_000, model: SD }, [snapshot(1_000, node("0xca", "llama", ["GPU-0"]))]);
    claimsNothing(row, "model_incompatible", 2, URL);
  });

  test("enforcesBucketBoundAndPrunesVeryStaleCandidates: over the bound the oldest snapshots go, and it is counted", () => {
    const ages = [0, 120 * HOUR_MS, 120 * HOUR_MS + 1, 120 * HOUR_MS + 2, 120 * HOUR_MS + 3];
    const wires = ages.map((age) => snapshot(T + age, node("0xca", age === 0 ? "old-model" : "m", [])));
    const world = inOrder(wires, { mostSightings: 3 });
    const index = world.feed.candidatesOf("network");
    assert.is(index.size, 3);
    assert.is(index.forgottenUpToMs, T + 120 * HOUR_MS);
    assert.ok([...index.ofUrl(URL)].every((one) => one.node.items[0]!.model !== "old-model"));
    world.publish(status({ ...at, at: T + 120 * HOUR_MS }));
    world.drain();
    assert.is(world.counts.get("observations_starved"), 1);
  });

  const sd1 = snapshot(T + 506_612, node("0xca", SD, ["GPU-sd"]));
  const llama = snapshot(T + 509_903, node("0xca", "llama", ["GPU-llama"]));
  const sd2 = snapshot(T + 519_000, node("0xca", SD, ["GPU-sd"]));

  test("prodRegression_streamdiffusionSignalMustNotSelectLlamaCandidate: the hint picks the model 21 minutes later", () => {
    const row = attribute({ ...at, at: T + 519_000 + 21 * MINUTE_MS, model: SD }, [sd1, llama, sd2]);
    states(row, { model_id: SD, gpu_id: "GPU-sd", selected_snapshot_ts: T + 519_000 });
  });

  test("prodRegression_reproducesPrefixDriftAndValidatesPipelineFallbackFix: without a hint the nearest wins, with it sd", () => {
    states(attribute({ ...at, at: T + 510_000 }, [sd1, llama]), { model_id: "llama", gpu_id: "GPU-llama" });
    states(attribute({ ...at, at: T + 510_000, model: SD }, [sd1, llama]), { model_id: SD, gpu_id: "GPU-sd" });
  });

  test("prodRegression_incompatibleFreshSnapshotMustNotBeSelected: 97 ms earlier, yet another model", () => {
    claimsNothing(attribute({ ...at, at: T + 510_000, model: SD }, [llama]), "model_incompatible", 2, URL);
  });

  const a = snapshot(10_000, node("0xcanonical-a", SD, ["GPU-a"]));
  const b = snapshot(10_100, node("0xcanonical-b", SD, ["GPU-b"], { url: OTHER_URL }));

  test("returnsNullWhenCompatibleInTtlCandidatesSpanMultipleCanonicalOrchestrators: a wallet alone is ambiguous", () => {
    claimsNothing(attribute({ wallet: "0xhot", at: 10_120, model: SD }, [a, b]), "wallet_ambiguous", 4);
  });

  test("returnsNullWhen…SpanMultipleCanonicalOrchestrators comes out attributed when the sample names its url (D3)", () => {
    states(attribute({ ...at, at: 10_120, model: SD }, [a, b]), {
      orchestrator_address: "0xcanonical-a",
      evidence_level: 6,
    });
  });

  test("prefersExactOrchestratorUrlWhenModelAndTimeTie: the url picks the node", () => {
    const both = snapshot(9_000, node("0xca", SD, ["GPU-a"]), node("0xca", SD, ["GPU-b"], { url: OTHER_URL }));
    const row = attribute({ wallet: "0xhot", url: OTHER_URL, at: 10_000, model: SD }, [both]);
    states(row, { orchestrator_url: OTHER_URL, gpu_id: "GPU-b", gpu_count: 1 });
  });

  test("prefersGpuHintWhenUriAndModelTie: samples hint at no GPU, so the smallest id stands for both (D5)", () => {
    const row = attribute({ ...at, at: 10_000, model: SD }, [snapshot(9_000, node("0xca", SD, ["GPU-B", "GPU-A"]))]);
    states(row, { gpu_id: "GPU-A", gpu_count: 2, gpu_attribution_confidence: 0.45 });
  });

  test("preservesDistinctCandidatesWithSameModelAndTimestampDifferentSourceEventId: each node keeps its own", () => {
    const snapshots = [
      capabilities({ at: 9_000, id: "one", nodes: [node("0xca", SD, ["GPU-a"])] }),
      capabilities({ at: 9_000, id: "two", nodes: [node("0xca", SD, ["GPU-b"], { url: OTHER_URL })] }),
    ];
    states(attribute({ ...at, at: 9_500, model: SD }, snapshots), { gpu_id: "GPU-a" });
    states(attribute({ ...at, url: OTHER_URL, at: 9_500, model: SD }, snapshots), { gpu_id: "GPU-b" });
  });
});

describe("status attribution of the parity list (§6.7, §6.11)", (test) => {
  test("buffersUnmatchedStatusAndEmitsAttributedAfterSegmentArrives: an unattributed row comes at once, a greater one with the snapshot", () => {
    // Nothing is held back any more: the first row says why it is unattributed. The sample's own evidence
    // attributes it, so the method is node_match, not the segment's window.
    const world = inOrder([
      status({ at: 2_000, wallet: "0xhot", url: URL, model: "sd-v2v" }),
      snapshot(1_900, node("0xca", "sd-v2v", ["gpu-1"])),
    ]);
    assert.is(world.written.length, 2);
    claimsNothing(world.written[0]!, "no_snapshot", 0, URL);
    states(world.written[1]!, {
      is_attributed: 1,
      pipeline: LIVE,
      model_id: "sd-v2v",
      gpu_id: "gpu-1",
      orchestrator_address: "0xca",
      gpu_attribution_method: "node_match",
      workflow_session_id: "stream-1|request-1",
    });
    assert.ok(BigInt(world.written[0]!.version as string) < BigInt(world.written[1]!.version as string));
  });

  const alias = { wallet: "0xHOT", at: T, model: SD };
  const earlier = T - 345_000;
  const nodeA = node("0xca", SD, ["GPU-a"]);
  const nodeB = node("0xcb", SD, ["GPU-b"], { url: OTHER_URL });

  test("ResolveSelectionDecision_UsesAliasAddressToResolveCanonicalInterval: a hot wallet alone gives its canonical one", () => {
    states(attribute(alias, [snapshot(earlier, nodeA)]), {
      orchestrator_address: "0xca",
      orchestrator_url: URL,
      gpu_id: "GPU-a",
      gpu_attribution_method: "wallet_match",
      gpu_attribution_confidence: 0.4,
    });
  });

  test("IsCompatible_ModelMismatchOnlyReturnsFalse: sd-v2v is not sd", () => {
    claimsNothing(attribute({ ...alias, model: `${SD}-v2v` }, [snapshot(earlier, nodeA)]), "model_incompatible", 2);
  });

  test("IsCompatible_RecognizedPipelineMismatchReturnsFalse comes out compatible: a pipeline's name is no model hint (§6.13)", () => {
    states(attribute({ ...alias, model: "text-to-image" }, [snapshot(earlier, nodeA)]), {
      is_attributed: 1,
      model_id: SD,
    });
  });

  test("IsCompatible_AIBatchPipelineUsesCanonicalAllowList comes out compatible with any: none of its names is a model", () => {
    const sam = node("0xca", "sam2-hiera-large", [], { hardware: [{ pipeline: "segment-anything-2", model: "sam2" }] });
    for (const model of ["segment-anything-2", "text-to-image"]) {
      states(attribute({ ...alias, model }, [snapshot(earlier, sam)]), {
        pipeline: "segment-anything-2",
        model_id: "sam2",
      });
    }
  });

  test("IsCompatible_BYOCModelHintMustMatchWhenPresent: an external model must be the same, its pipeline stays blank", () => {
    const byoc = node("0xca", "", [], { hardware: [{ pipeline: "openai-chat-completions", model: "gemma" }] });
    states(attribute({ ...alias, model: "gemma" }, [snapshot(earlier, byoc)]), { model_id: "gemma", pipeline: "" });
    claimsNothing(attribute({ ...alias, model: "qwen" }, [snapshot(earlier, byoc)]), "model_incompatible", 2);
  });

  test("IsCompatible_VerbatimPipelineMatchesCaseInsensitive, …MismatchReturnsFalse: models compare without case", () => {
    const external = snapshot(earlier, node("0xca", "OpenAI-Chat", []));
    states(attribute({ ...alias, model: " openai-CHAT " }, [external]), { model_id: "OpenAI-Chat" });
    claimsNothing(attribute({ ...alias, model: "openai-image" }, [external]), "model_incompatible", 2);
  });

  test("IsCompatible_VerbatimEmptyObservedPipelineReturnsFalse comes out compatible: no hint rules nothing out", () => {
    states(attribute({ ...alias, model: " " }, [snapshot(earlier, node("0xca", "OpenAI-Chat", []))]), {
      is_attributed: 1,
    });
  });

  test("IsCompatible_VerbatimEmptyIntervalPipelineReturnsFalse comes out compatible, and the hint is not written as model", () => {
    const unknown = snapshot(earlier, node("0xca", "", ["GPU-a"]));
    states(attribute({ ...alias, url: URL }, [unknown]), {
      is_attributed: 1,
      model_id: null,
      gpu_id: null,
      gpu_count: 0,
    });
  });

  test("ResolveSelectionDecision_StaleOnlyCandidateIsStale: 36 minutes are within the default TTL, beyond one of 30 nothing is used", () => {
    const stale = [snapshot(T - 2_145_000, nodeA)];
    states(attribute(alias, stale), { is_attributed: 1 });
    const ttl = { beforeMs: 30 * MINUTE_MS, afterMs: HOUR_MS };
    claimsNothing(attribute(alias, stale, { ttl }), "no_snapshot", 0);
  });

  test("ResolveSelectionDecision_MissingURISnapshotClassifiesAliasGap: the wallet is known, the node is not", () => {
    const row = attribute({ ...alias, url: "https://new" }, [snapshot(earlier, nodeA)]);
    claimsNothing(row, "node_unknown", 1, "https://new");
  });

  test("ResolveSelectionDecision_URIPresentWithoutURIMatchDoesNotFallbackToAlias: not to the wallet of another node", () => {
    claimsNothing(attribute({ ...alias, url: URL }, [snapshot(earlier, nodeB)]), "node_unknown", 1, URL);
  });

  test("MaterializeDecision_CollapsesSameCanonicalMultiGPU: the model stays; the GPU is the smallest of two, not blank (D5)", () => {
    const row = attribute({ ...alias, url: URL }, [snapshot(earlier, node("0xca", SD, ["gpu-b", "gpu-a"]))]);
    states(row, { model_id: SD, gpu_id: "gpu-a", gpu_count: 2 });
  });

  test("MaterializeDecision_SameCanonicalAddressAcrossURIsRemainsAmbiguous comes out attributed without node and GPU: the address is not in doubt", () => {
    const row = attribute(alias, [snapshot(earlier, nodeA, { ...nodeB, canonical: "0xca" })]);
    states(row, {
      is_attributed: 1,
      orchestrator_address: "0xca",
      model_id: SD,
      orchestrator_url: "",
      gpu_id: null,
      gpu_count: 0,
      gpu_attribution_confidence: 0.4,
    });
  });

  test("MaterializeDecision_TrueDifferentCanonicalAddressesRemainAmbiguous: whatever the two snapshots are", () => {
    claimsNothing(attribute(alias, [snapshot(earlier, nodeA, nodeB)]), "wallet_ambiguous", 4);
    claimsNothing(attribute(alias, [snapshot(earlier, nodeA), snapshot(T + HOUR_MS, nodeB)]), "wallet_ambiguous", 4);
  });

  test("ResolveSelectionDecision_URIFirstOverridesAddressFallback: the shared wallet does not blur the url's node", () => {
    const row = attribute({ ...alias, url: URL }, [snapshot(earlier, nodeA, nodeB)]);
    states(row, { orchestrator_address: "0xca", orchestrator_url: URL, gpu_attribution_method: "node_match" });
  });

  test("ResolveSelectionDecision_URIAbsentAllowsAliasFallback: without a url the wallet decides", () => {
    states(attribute(alias, [snapshot(earlier, nodeB)]), { orchestrator_address: "0xcb", orchestrator_url: OTHER_URL });
  });

  test("BuildSelectionEvents_UsesExplicitModelHintField: the model is kept and implies the pipeline", () => {
    const silent = node("0xca", "", [], { hardware: [{ pipeline: "", model: `${SD}-v2v` }] });
    const row = attribute({ ...alias, model: `${SD}-v2v` }, [snapshot(earlier, silent)]);
    states(row, { model_id: `${SD}-v2v`, pipeline: LIVE });
  });

  test("AttributionGap_RealAliasAddressResolvesCanonicalInterval, NormalizeObservedHints_…: an old label is its model", () => {
    for (const [label, model] of [["pip_SDXL-turbo", SD], ["pip_SDXL-turbo-v2v", `${SD}-v2v`]] as const) {
      const row = attribute({ ...alias, url: `${URL}/`, model: label }, [snapshot(earlier, node("0xCA", model, []))]);
      states(row, { orchestrator_address: "0xca", orchestrator_url: URL, model_id: model, pipeline: LIVE });
    }
  });
});

describe("end-to-end rules of the parity list (§6.15)", (test) => {
  const sample = { wallet: "0xhot", url: URL, at: T, model: SD };
  const before = (minutes: number) => T - minutes * MINUTE_MS;

  test("Attribution001 LateCapabilitySnapshotRepairsHistoricalAttribution: an event time of +30 s corrects the row", () => {
    const world = inOrder([status(sample), snapshot(T + 30 * SECOND_MS, node("0xca", SD, ["GPU-1"]))]);
    assert.equal(world.written.map((row) => row.is_attributed), [0, 1]);
    states(world.row(), { orchestrator_address: "0xca", gpu_attribution_confidence: 0.7 });
  });

  test("Smoke LateCapabilitySnapshotRepairsExistingSelection: delivered ten minutes late, by then other snapshots were applied", () => {
    const elsewhere = snapshot(T + 10 * MINUTE_MS, node("0xcz", "m", [], { hot: "0xz", url: "https://z" }));
    const world = inOrder([status(sample), elsewhere, snapshot(T + 30 * SECOND_MS, node("0xca", SD, []))]);
    states(world.row(), { is_attributed: 1, model_id: SD });
  });

  test("Smoke AutoRepairsLateHistoricalAcceptedRaw: past closing a snapshot corrects nothing but is told to be late, for a replay", () => {
    const elsewhere = snapshot(T + 30 * HOUR_MS, node("0xcz", "m", [], { hot: "0xz", url: "https://z" }));
    const world = inOrder([status(sample), elsewhere, snapshot(T, node("0xca", SD, []))]);
    claimsNothing(world.row(), "no_snapshot", 0, URL);
    const late = { source: "network", uid: "again", timeMs: T, nodes: [] };
    assert.ok(world.feed.apply(late).isLate);
  });

  test("Attribution001 HistoricalMatchUsesNearestSnapshotNotNewestOverall: −5 min beats +30 min", () => {
    const snapshots = [snapshot(before(5), node("0xca", "old", [])), snapshot(before(-30), node("0xca", "new", []))];
    states(attribute({ ...sample, model: NO_HINT }, snapshots), { model_id: "old" });
  });

  test("Attribution001 URIWinsOverConflictingObservedAddress: address of A, url of B gives B, one level lower", () => {
    const nodes = [
      node("0xca", "model-a", [], { hot: "0xhot-a" }),
      node("0xcb", "model-b", [], { hot: "0xhot-b", url: OTHER_URL }),
    ];
    const row = attribute({ ...sample, wallet: "0xca", url: OTHER_URL, model: NO_HINT }, [
      snapshot(before(1), ...nodes),
    ]);
    states(row, { orchestrator_address: "0xcb", model_id: "model-b", evidence_level: 5 });
  });

  test("Attribution001 FailSafeStates…, Attribution006 HardwareLessRowsRemainVisibleWithoutGPU: address and model, no GPU", () => {
    const bare: NodeFields = { canonical: "0xca", hot: "0xhot", url: URL, advertises: [SD] };
    states(attribute(sample, [snapshot(before(1), bare)]), {
      is_attributed: 1,
      orchestrator_address: "0xca",
      model_id: SD,
      pipeline: LIVE,
      gpu_id: null,
      gpu_count: 0,
      gpu_attribution_confidence: 0.9,
    });
    const mute: NodeFields = { canonical: "0xca", hot: "0xhot", url: URL };
    states(attribute(sample, [snapshot(before(1), mute)]), {
      orchestrator_address: "0xca",
      model_id: null,
      pipeline: "",
    });
  });

  test("Aggregate004/Serving001 HardwareUnresolvedRows…: a hardware entry without GPU gives its model", () => {
    states(attribute(sample, [snapshot(before(1), node("0xca", SD, []))]), {
      model_id: SD,
      gpu_id: null,
      gpu_count: 0,
    });
  });

  test("Attribution001 AmbiguousAndStaleRemainExplicit, Attribution004 FailSafeReasonsRemainExplicit: each reason by its name", () => {
    const ttl = { beforeMs: 10 * MINUTE_MS, afterMs: 10 * MINUTE_MS };
    const known = node("0xca", SD, []);
    claimsNothing(attribute(sample, [snapshot(before(20), known)], { ttl }), "no_snapshot", 0, URL);
    const stranger = { ...sample, wallet: "0xnobody", url: "https://nobody" };
    claimsNothing(attribute(stranger, [snapshot(before(1), known)]), "no_snapshot", 0, "https://nobody");
    const shared = snapshot(before(1), known, { ...known, canonical: "0xcb" });
    claimsNothing(attribute({ ...sample, url: "" }, [shared]), "wallet_ambiguous", 4);
  });

  test("Attribution002 PipelineAndModelStayDistinct…: neither is written into the other", () => {
    const batch = node("0xca", "", [], { hardware: [{ pipeline: "text-to-image", model: "model-a" }] });
    const row = attribute({ ...sample, model: "model-a" }, [snapshot(before(1), batch)]);
    states(row, { pipeline: "text-to-image", model_id: "model-a" });
    const noop = node("0xca", "", [], { hardware: [{ pipeline: "noop", model: "noop" }] });
    states(attribute({ ...sample, model: "noop" }, [snapshot(before(1), noop)]), { pipeline: "", model_id: "noop" });
  });

  test("Attribution002 …AllGPUEntriesFromArrayShape, …ObjectShapeAndSkipsEmptyIDs: both shapes count, blank ids do not", () => {
    for (const shape of ["object", "array"] as const) {
      const hardware = [{ model: SD, gpus: ["GPU-2", " ", "GPU-1"], shape }];
      const row = attribute(sample, [snapshot(before(1), node("0xca", SD, [], { hardware }))]);
      states(row, { gpu_id: "GPU-1", gpu_count: 2 });
    }
  });

  test("Attribution003 InWindowSnapshotWinsOverOnlyStaleEvidence: −30 s, not −20 min", () => {
    const snapshots = [
      snapshot(before(20), node("0xca", SD, ["old"])),
      snapshot(before(0.5), node("0xca", SD, ["new"])),
    ];
    states(attribute(sample, snapshots), { gpu_id: "new" });
    states(attribute(sample, snapshots, { ttl: { beforeMs: 10 * MINUTE_MS, afterMs: 0 } }), { gpu_id: "new" });
  });

  test("Attribution005 UnresolvedRowsDoNotInventCanonicalFields: the sample's own label and wallet are no identity", () => {
    claimsNothing(
      attribute({ ...sample, url: "" }, [snapshot(T, node("0xcb", SD, ["g"], { hot: "0xz" }))]),
      "no_snapshot",
      0,
    );
  });

  test("Lineage001 DuplicateEventIdCollapses / ReplayDoesNotInflate, Lineage002 StatusWithoutTraceStart…: one row, kept", () => {
    const world = new World();
    for (const encoding of [0, 1, 2, 3, 0]) world.publish(status(sample), encoding);
    world.drain();
    assert.is(world.rows("fact_stream_status_samples").length, 1);
    assert.is(world.counts.get("duplicate"), 4);
  });
});
