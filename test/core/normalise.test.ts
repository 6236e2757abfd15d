/** The normal forms of addresses, URLs, models and pipelines; upstream cases by their names. */
import * as assert from "uvu/assert";
import fc from "fast-check";
import {
  canonicalPipeline,
  modelHint,
  modelKey,
  modelName,
  normalAddress,
  normalUrl,
  rowPipeline,
} from "../../src/core/normalise.ts";
import { describe } from "../helpers/suite.ts";

const LIVE = "live-video-to-video";
const SDXL = "streamdiffusion-sdxl";
const PIPELINES = [
  LIVE,
  "text-to-image",
  "image-to-image",
  "image-to-video",
  "text-to-video",
  "audio-to-text",
  "text-to-speech",
  "upscale",
  "llm",
  "image-to-text",
  "segment-anything-2",
  "noop",
];

describe("normalAddress()", (test) => {
  test("trims and lower-cases, and checks nothing", () => {
    assert.is(
      normalAddress(" 0xD00354656922168815Fcd1e51CBddB9e359e3C7F\n"),
      "0xd00354656922168815fcd1e51cbddb9e359e3c7f",
    );
    assert.is(normalAddress("Free Text Name"), "free text name");
    for (const blank of ["", " ", "\t\n"]) assert.is(normalAddress(blank), "");
  });

  test("a normal form stays as it is", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.is(normalAddress(normalAddress(text)), normalAddress(text));
    }));
  });
});

describe("normalUrl()", (test) => {
  test("trims, lower-cases and drops the slash at the end; port, path and scheme stay", () => {
    assert.is(normalUrl(" HTTPS://Ai.Example.org:8935/ "), "https://ai.example.org:8935");
    assert.is(normalUrl("https://a.b:1/path/"), "https://a.b:1/path");
    assert.is(normalUrl("https://a.b:1"), "https://a.b:1");
    assert.is(normalUrl("a//b"), "a//b");
    for (const blank of ["", " ", "/", " / "]) assert.is(normalUrl(blank), "");
  });

  test("keeps different nodes of one host apart", () => {
    assert.is.not(normalUrl("https://a.b:1"), normalUrl("https://a.b:2"));
    assert.is.not(normalUrl("http://a.b:1"), normalUrl("https://a.b:1"));
  });

  test("a normal form stays as it is", () => {
    const parts = fc.constantFrom("/", " ", "\n", "a", "A", "https://", ":1");
    const url = fc.array(parts, { maxLength: 8 }).map((held) => held.join(""));
    fc.assert(fc.property(url, (text) => assert.is(normalUrl(normalUrl(text)), normalUrl(text))), { numRuns: 1_000 });
  });
});

describe("models", (test) => {
  test("NormalizeObservedHints_ModelLikePipelineAlias", () => {
    assert.is(modelHint("pip_SDXL-turbo-v2v"), "streamdiffusion-sdxl-v2v");
    assert.is(rowPipeline("", modelName("pip_SDXL-turbo-v2v")), LIVE);
  });

  test("NormalizeObservedHints_StreamdiffusionPipelineBecomesModelHint", () => {
    assert.is(modelHint(SDXL), SDXL);
    assert.is(canonicalPipeline(SDXL), "");
    assert.is(rowPipeline(SDXL, SDXL), LIVE);
  });

  test("BuildSessionCurrentRows_NormalizesFallbackHints (a hint is compared, and never written without evidence)", () => {
    assert.is(modelHint("pip_SDXL-turbo"), SDXL);
    assert.is(rowPipeline("", modelName("pip_SDXL-turbo")), LIVE);
  });

  test("every alias, in any case and between blanks", () => {
    const aliases = {
      "pip_sdxl-turbo": SDXL,
      "pip_sd-turbo": SDXL,
      "pip_sdxl-turbo-v2v": "streamdiffusion-sdxl-v2v",
      "pip_sdxl-turbo-faceid": "streamdiffusion-sdxl-faceid",
    };
    for (const [alias, model] of Object.entries(aliases)) {
      for (const spelt of [alias, alias.toUpperCase(), `  ${alias}\t`]) {
        assert.is(modelName(spelt), model);
        assert.is(modelKey(spelt), model);
        assert.is(modelHint(spelt), model);
      }
    }
    assert.is(modelName("pip_other"), "pip_other");
  });

  test("a name keeps its case, a key does not; blank stays unknown", () => {
    assert.is(modelName(" SG161222/RealVisXL_V4.0_Lightning "), "SG161222/RealVisXL_V4.0_Lightning");
    assert.is(modelKey(" SG161222/RealVisXL_V4.0_Lightning "), "sg161222/realvisxl_v4.0_lightning");
    for (const blank of ["", "  "]) assert.equal([modelName(blank), modelKey(blank), modelHint(blank)], ["", "", ""]);
  });

  test("a canonical pipeline is no model hint, but noop is both", () => {
    for (const pipeline of PIPELINES) {
      for (const spelt of [pipeline, pipeline.toUpperCase()]) {
        assert.is(modelHint(spelt), pipeline === "noop" ? "noop" : "");
      }
    }
  });
});

describe("pipelines", (test) => {
  test("NormalizeCanonicalPipeline_RecognizesAllAIBatchPipelines", () => {
    for (const pipeline of PIPELINES) {
      assert.is(canonicalPipeline(pipeline), pipeline);
      assert.is(canonicalPipeline(` ${pipeline.toUpperCase()} `), pipeline);
    }
  });

  test("NormalizeCanonicalPipeline_RejectsBYOCCapabilityString", () => {
    assert.is(canonicalPipeline("openai-chat-completions"), "");
    assert.is(rowPipeline("openai-chat-completions", "gpt"), "");
  });

  const compatible = ["SegmentAnything2", "ImageToVideo", "Upscale", "LLM", "ImageToText"];
  const names = ["segment-anything-2", "image-to-video", "upscale", "llm", "image-to-text"];
  for (const [at, suffix] of compatible.entries()) {
    test(`CompatiblePipelineHint_Recognizes${suffix}`, () => assert.is(canonicalPipeline(names[at]!), names[at]!));
  }

  test("canonicalPipelineCollapsesModelLikePipelineValue", () => {
    assert.is(rowPipeline("noop", "noop"), "");
    assert.is(rowPipeline("NOOP", " Noop "), "");
    assert.is(rowPipeline("gpt", "GPT"), "");
  });

  test("canonicalPipelineRetainsRealPipelineClass", () => {
    assert.is(rowPipeline(LIVE, SDXL), LIVE);
    assert.is(rowPipeline("Text-To-Image", "RealVis"), "text-to-image");
    assert.is(rowPipeline("llm", ""), "llm");
  });

  test("a streamdiffusion model implies its pipeline where the text names none, and never overrides one", () => {
    assert.is(rowPipeline("", "StreamDiffusion-sdturbo"), LIVE);
    assert.is(rowPipeline("text-to-image", SDXL), "text-to-image");
    assert.is(rowPipeline("", "llama"), "");
    assert.is(rowPipeline("", ""), "");
  });

  test("names of inherited properties are no pipeline and no alias", () => {
    for (const name of ["constructor", "__proto__", "toString"]) {
      assert.is(canonicalPipeline(name), "");
      assert.is(modelName(name), name);
    }
  });
});
