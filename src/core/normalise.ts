/**
 * The normal forms in which identities are compared, and for addresses and URLs also stored.
 * Rules and tables: the upstream conventions gathered in the parity list.
 */

/** Wallet addresses: trimmed, lower-case; no checksum is checked and `0x` stays. */
export function normalAddress(text: string): string {
  return text.trim().toLowerCase();
}

/** Node URLs: trimmed, lower-case, without slashes (or blanks before them) at the end. */
export function normalUrl(text: string): string {
  const url = text.trim().toLowerCase();
  // Counted, not matched: a pattern for "slashes at the end" takes quadratic time on slashes elsewhere.
  let end = url.length;
  while (end > 0 && (url[end - 1] === "/" || url[end - 1]!.trim() === "")) end--;
  return url.slice(0, end);
}

/** Labels that older clients send for a model that capabilities advertise under another name. */
const MODEL_ALIASES: ReadonlyMap<string, string> = new Map([
  ["pip_sdxl-turbo", "streamdiffusion-sdxl"],
  ["pip_sd-turbo", "streamdiffusion-sdxl"],
  ["pip_sdxl-turbo-v2v", "streamdiffusion-sdxl-v2v"],
  ["pip_sdxl-turbo-faceid", "streamdiffusion-sdxl-faceid"],
]);

/** A model's name as it is stored: trimmed, an alias replaced, otherwise the case kept as advertised. */
export function modelName(text: string): string {
  const trimmed = text.trim();
  return MODEL_ALIASES.get(trimmed.toLowerCase()) ?? trimmed;
}

/** A model as it is compared: its name in lower case; blank means unknown. */
export function modelKey(text: string): string {
  return modelName(text).toLowerCase();
}

/** The pipelines there are; anything else in a pipeline field is a model label or an external name. */
const PIPELINES: ReadonlySet<string> = new Set([
  "live-video-to-video",
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
]);

/** The pipeline that runs every `streamdiffusion…` model. */
const LIVE_PIPELINE = "live-video-to-video";

/** The canonical pipeline that a text names, in lower case; blank when it names none. */
export function canonicalPipeline(text: string): string {
  const key = text.trim().toLowerCase();
  return PIPELINES.has(key) ? key : "";
}

/**
 * The pipeline that a row states for an advertised pipeline and a claimed model: canonical, implied by the
 * model where the text names none, and blank where it only repeats the model.
 */
export function rowPipeline(text: string, model: string): string {
  const key = modelKey(model);
  const pipeline = canonicalPipeline(text) || (key.startsWith("streamdiffusion") ? LIVE_PIPELINE : "");
  return pipeline === key ? "" : pipeline;
}

/**
 * What an event's `pipeline` field says: upstream writes a model label there. A canonical pipeline is no
 * model hint (and `noop` names both).
 */
export function modelHint(text: string): string {
  const key = modelKey(text);
  return PIPELINES.has(key) && key !== "noop" ? "" : key;
}
