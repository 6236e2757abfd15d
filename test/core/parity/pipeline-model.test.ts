/**
 * §6.3 of the parity list: what the text that the wire calls `pipeline` means. There is one mode, upstream's default:
 * it is a model label, compared with what a node runs and never written. The two tests of the canonical pipeline are
 * in normalise.test.ts.
 */
import { snapshot } from "../../helpers/events.ts";
import { whateverOrder } from "../../helpers/facts.ts";
import { A, KNOWN, KNOWN_AT, LIVE, NODE_A, sample, SD } from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { states } from "../../helpers/world.ts";

describe("PipelineModelResolverTest (§6.3)", (test) => {
  test("legacyModeUsesCapabilityPipelineAndModel: both are the snapshot's", () => {
    const all = whateverOrder([KNOWN, sample(1_000, { ...A, model: SD })]);
    for (const row of [all.session(), ...all.segments()]) states(row, { pipeline: LIVE, model_id: SD });
  });

  test("nativeModePrefersSignalPipelineButUsesHintForModelCompatibility comes out without its mode: a model that the node does not run claims nothing", () => {
    const hinted = whateverOrder([KNOWN, sample(1_000, { ...A, model: "SG161222/RealVisXL_V4.0_Lightning" })]);
    states(hinted.session(), {
      is_attributed: 0,
      unattributed_reason: "model_incompatible",
      evidence_level: 2,
      pipeline: "",
      model_id: null,
    });
    // A pipeline's name in the same field is no hint, and does not replace the pipeline that the node runs.
    const named = whateverOrder([snapshot(KNOWN_AT, NODE_A), sample(1_000, { ...A, model: "text-to-image" })]);
    states(named.session(), { is_attributed: 1, pipeline: LIVE, model_id: SD });
  });
});
