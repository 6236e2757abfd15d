/**
 * Attribution by brute force: all candidates × all observations, slow and plain.
 *
 * It shares no code with src/core. Taken from there are only who an event is (its uid) and the hash that settles
 * ties. Where several candidates are equal in everything but that hash, a verdict names every one of them: a row is
 * right when it equals one. A selection is the one of them with the greatest hash.
 */
import { decode } from "../../src/core/decode.ts";
import type { StoredMessage, TelemetryEvent } from "../../src/core/event.ts";
import { hash63 } from "../../src/core/hash.ts";

/** A distinct event, as it was on the wire and as it was decoded. */
export interface OracleEvent {
  readonly source: string;
  readonly uid: string;
  readonly wire: { readonly type: string; readonly timestamp: number | string; readonly data: unknown };
  readonly event: TelemetryEvent;
}

/** The distinct accepted events of some messages; who an event is, is decode's to say and not at stake here. */
export function acceptedEvents(messages: Iterable<StoredMessage>): OracleEvent[] {
  const events = new Map<string, OracleEvent>();
  for (const message of messages) {
    const decoded = decode(message);
    if (decoded.outcome !== "accepted") continue;
    const { source, uid } = decoded.envelope;
    const wire = JSON.parse(new TextDecoder().decode(message.bytes)) as OracleEvent["wire"];
    events.set(`${source}\n${uid}`, { source, uid, wire, event: decoded.event });
  }
  return [...events.values()];
}

/** The attribution columns of a status sample's row. */
export interface Attribution {
  readonly orchestrator_address: string;
  readonly orchestrator_url: string;
  readonly pipeline: string;
  readonly model_id: string | null;
  readonly gpu_id: string | null;
  readonly gpu_count: number;
  readonly is_attributed: number;
  readonly unattributed_reason: string;
  readonly gpu_attribution_method: string;
  readonly gpu_attribution_confidence: number;
  readonly evidence_level: number;
  readonly selected_snapshot_uid: string;
  readonly selected_snapshot_ts: number | null;
}

/** What the row of one observation may be: one attribution, or several that only the tie-break tells apart. */
export interface Verdict {
  readonly source: string;
  readonly uid: string;
  readonly choices: readonly Attribution[];
}

/** What an observation is attributed to, and the rank of the evidence for it. */
export interface Selected {
  readonly attribution: Attribution;
  readonly rank: bigint;
}

interface Candidate {
  readonly source: string;
  readonly snapshot: string;
  readonly at: number;
  readonly canonical: string;
  readonly hot: string;
  readonly url: string;
  readonly pipeline: string;
  readonly model: string;
  readonly gpus: readonly string[];
  /** What settles a tie: a hash of all that the snapshot says of the node's elements of this pipeline and model. */
  readonly tie: bigint;
}

/** What an event says of who served it, in the form that is compared; blank when it says nothing. */
export interface Observation {
  readonly address: string;
  readonly url: string;
  readonly hint: string;
  readonly at: number;
}

interface Ttl {
  readonly beforeMs: number;
  readonly afterMs: number;
}

type Wire = Record<string, unknown>;

const textOf = (value: unknown): string => typeof value === "string" ? value.trim() : "";
const objectOf = (value: unknown): Wire => typeof value === "object" && value !== null ? value as Wire : {};
const listOf = (value: unknown): Wire[] => Array.isArray(value) ? value : Object.values(objectOf(value)) as Wire[];

const addressOf = (value: unknown): string => textOf(value).toLowerCase();
const urlOf = (value: unknown): string => textOf(value).toLowerCase().replace(/\/$/, "");

const ALIASES: Record<string, string> = {
  "pip_sdxl-turbo": "streamdiffusion-sdxl",
  "pip_sd-turbo": "streamdiffusion-sdxl",
  "pip_sdxl-turbo-v2v": "streamdiffusion-sdxl-v2v",
  "pip_sdxl-turbo-faceid": "streamdiffusion-sdxl-faceid",
};
const modelOf = (value: unknown): string => ALIASES[textOf(value).toLowerCase()] ?? textOf(value);
const same = (a: string, b: string): boolean => a !== "" && a.toLowerCase() === b.toLowerCase();

const PIPELINES = "live-video-to-video text-to-image image-to-image image-to-video text-to-video audio-to-text " +
  "text-to-speech upscale llm image-to-text segment-anything-2 noop";
const isPipeline = (text: string): boolean => PIPELINES.split(" ").includes(text.toLowerCase());

/** What each distinct status sample among the events should become. */
export function verdicts(events: readonly OracleEvent[], ttl: Ttl): Verdict[] {
  const candidates = events.flatMap(candidatesOf);
  return events.filter(({ wire }) => wire.type === "ai_stream_status").map(({ source, uid, wire }) => {
    const data = dataOf(wire);
    const info = objectOf(data.orchestrator_info);
    const observation = {
      address: addressOf(info.address),
      url: urlOf(info.url),
      hint: hintOf(data.pipeline),
      at: Number(wire.timestamp),
    };
    const choices = judge(observation, within(candidates, source, observation.at, ttl));
    return { source, uid, choices: choices.map(({ attribution }) => attribution) };
  });
}

/** What the snapshots among the events let each observation of a source be attributed to. */
export function selector(events: readonly OracleEvent[], ttl: Ttl) {
  const candidates = events.flatMap(candidatesOf);
  return (source: string, observation: Observation): Selected =>
    judge(observation, within(candidates, source, observation.at, ttl))
      .reduce((best, other) => other.rank > best.rank ? other : best);
}

/** The model hint in what an event calls its pipeline. */
export function hintOf(label: unknown): string {
  const hint = modelOf(label).toLowerCase();
  return isPipeline(hint) && hint !== "noop" ? "" : hint;
}

function within(candidates: readonly Candidate[], source: string, at: number, ttl: Ttl): Candidate[] {
  return candidates.filter((one) => one.source === source && one.at >= at - ttl.beforeMs && one.at <= at + ttl.afterMs);
}

function dataOf(wire: OracleEvent["wire"]): Wire {
  return objectOf(typeof wire.data === "string" ? JSON.parse(wire.data) : wire.data);
}

/** Entry × hardware item; an entry without hardware gives the models of its built-in constraints, or one unknown. */
function candidatesOf({ source, uid, wire }: OracleEvent): Candidate[] {
  if (wire.type !== "network_capabilities") return [];
  return listOf(dataOf(wire)).filter((entry) => addressOf(entry.address) !== "").flatMap((entry) => {
    const [canonical, hot, url] = [
      addressOf(entry.address),
      addressOf(entry.local_address),
      urlOf(entry.orch_uri || entry.uri),
    ];
    const of = (pipeline: string, model: string, gpus: readonly string[], onPar: readonly string[] = gpus) => {
      const content = { pipeline, model, gpus: [...new Set(onPar)].sort() };
      return {
        source,
        snapshot: uid,
        at: Number(wire.timestamp),
        canonical,
        hot,
        url,
        pipeline: pipeline.toLowerCase(),
        model: modelOf(model),
        gpus,
        tie: hash63(JSON.stringify([canonical, hot, url, content, uid])),
      };
    };
    const hardware = listOf(entry.hardware).map((item) => ({
      pipeline: textOf(item.pipeline),
      model: textOf(item.model_id),
      gpus: listOf(item.gpu_info).map((gpu) => textOf(gpu.id)).filter((id) => id !== ""),
    }));
    if (hardware.length > 0) {
      return hardware.map(({ pipeline, model, gpus }) => {
        const alike = hardware.filter((one) => one.pipeline === pipeline && one.model === model);
        return of(pipeline, model, gpus, alike.flatMap((one) => one.gpus));
      });
    }
    const advertised = Object.entries(objectOf(objectOf(objectOf(entry.capabilities).constraints).PerCapability))
      .flatMap(([id, held]) => Object.keys(objectOf(objectOf(held).models)).map((model) => ({ id, model })))
      .filter(({ id }) => BUILT_IN[id] !== undefined)
      .map(({ id, model }) => of(BUILT_IN[id]!, textOf(model), []));
    return advertised.length > 0 ? advertised : [of("", "", [])];
  });
}

const BUILT_IN: Record<string, string> = {
  27: "text-to-image",
  28: "image-to-image",
  29: "image-to-video",
  30: "upscale",
  31: "audio-to-text",
  32: "segment-anything-2",
  33: "llm",
  34: "image-to-text",
  35: "live-video-to-video",
  36: "text-to-speech",
};

function judge(observation: Observation, near: readonly Candidate[]): Selected[] {
  const { address, url, hint, at } = observation;
  if (address === "" && url === "") return [unattributed(0, "no_orchestrator", url)];
  const isWallet = (one: Candidate) => same(one.hot, address) || same(one.canonical, address);
  const isEligible = (one: Candidate) => hint === "" || one.model === "" || same(one.model, hint);

  let level: number;
  let levelOf: (one: Candidate) => number;
  if (url !== "") {
    levelOf = (one) => !same(one.url, url) ? (isWallet(one) ? 1 : 0) : !isEligible(one) ? 2 : isWallet(one) ? 6 : 5;
    level = Math.max(0, ...near.map(levelOf));
  } else {
    levelOf = (one) => !isWallet(one) ? 0 : isEligible(one) ? 3 : 2;
    level = Math.max(0, ...near.map(levelOf));
    const addresses = new Set(near.filter((one) => levelOf(one) === 3).map((one) => one.canonical));
    if (addresses.size > 1) level = 4;
  }
  if (level === 0) return [unattributed(0, "no_snapshot", url)];
  if (level === 1) return [unattributed(1, "node_unknown", url)];
  if (level === 2) return [unattributed(2, "model_incompatible", url)];
  if (level === 4) return [unattributed(4, "wallet_ambiguous", url)];

  const isModelEqual = (one: Candidate) => same(one.model, hint);
  const freshness = (one: Candidate) => one.at === at ? 2 : one.at < at ? 1 : 0;
  const compare = (a: Candidate, b: Candidate) =>
    Number(isModelEqual(b)) - Number(isModelEqual(a)) || freshness(b) - freshness(a) ||
    Math.abs(a.at - at) - Math.abs(b.at - at);
  const contenders = near.filter((one) => levelOf(one) === level).sort(compare);
  return contenders.filter((one) => compare(one, contenders[0]!) === 0).map((chosen) => {
    const group = contenders.filter((one) =>
      one.snapshot === chosen.snapshot && one.canonical === chosen.canonical &&
      isModelEqual(one) === isModelEqual(chosen) && (url === "" || one.url === chosen.url)
    );
    const models = new Set(group.map((one) => one.model.toLowerCase()));
    const pipelines = new Set(group.map((one) => one.pipeline));
    const urls = new Set(group.map((one) => one.url));
    const model = models.size === 1 ? chosen.model : "";
    const node = url !== "" ? url : urls.size === 1 ? chosen.url : "";
    const isSure = node !== "" && model !== "";
    const gpus = isSure ? [...new Set(group.flatMap((one) => one.gpus))].sort() : [];
    const confidence = level === 3 ? 0.4 : [0.7, 0.9, 1][freshness(chosen)]!;
    const attribution = {
      orchestrator_address: chosen.canonical,
      orchestrator_url: node,
      pipeline: pipelineOf(pipelines.size === 1 ? chosen.pipeline : "", model),
      model_id: model === "" ? null : model,
      gpu_id: gpus[0] ?? null,
      gpu_count: gpus.length,
      is_attributed: 1,
      unattributed_reason: "",
      gpu_attribution_method: level === 3 ? "wallet_match" : "node_match",
      gpu_attribution_confidence: confidence / Math.max(gpus.length, 1),
      evidence_level: level,
      selected_snapshot_uid: chosen.snapshot,
      selected_snapshot_ts: chosen.at,
    };
    const closeness = 2 ** 27 - 1 - Math.abs(chosen.at - at);
    const grade = level * 2 ** 30 + Number(isModelEqual(chosen)) * 2 ** 29 + freshness(chosen) * 2 ** 27 + closeness;
    return { attribution, rank: BigInt(grade) * 2n ** 63n + chosen.tie };
  });
}

/** A pipeline of the list, else what the model implies; a pipeline that only repeats the model is none. */
function pipelineOf(advertised: string, model: string): string {
  const implied = model.toLowerCase().startsWith("streamdiffusion") ? "live-video-to-video" : "";
  const pipeline = isPipeline(advertised) ? advertised : implied;
  return same(pipeline, model) ? "" : pipeline;
}

/** Levels that claim nothing of a candidate rank as the level alone. */
function unattributed(level: number, reason: string, url: string): Selected {
  return { attribution: unclaimed(level, reason, url), rank: BigInt(level) * 2n ** 93n };
}

/** The attribution columns of a row that claims nothing. */
export function unclaimed(level: number, reason: string, url: string): Attribution {
  return {
    orchestrator_address: "",
    orchestrator_url: url,
    pipeline: "",
    model_id: null,
    gpu_id: null,
    gpu_count: 0,
    is_attributed: 0,
    unattributed_reason: reason,
    gpu_attribution_method: "none",
    gpu_attribution_confidence: 0,
    evidence_level: level,
    selected_snapshot_uid: "",
    selected_snapshot_ts: null,
  };
}

/** Says how folded rows differ from the verdicts; an empty list means that they agree. */
export function differences(
  rows: readonly Readonly<Record<string, unknown>>[],
  expected: readonly Verdict[],
): string[] {
  const byKey = new Map(rows.map((row) => [`${row.source} ${row.source_event_uid}`, row]));
  const wrong = rows.length === expected.length ? [] : [`${rows.length} rows for ${expected.length} observations`];
  for (const { source, uid, choices } of expected) {
    const row = byKey.get(`${source} ${uid}`);
    const actual = row && JSON.stringify(Object.keys(choices[0]!).map((column) => [column, row[column]]));
    if (choices.some((choice) => JSON.stringify(Object.entries(choice)) === actual)) continue;
    wrong.push(`${source} ${uid}: ${actual}, expected ${JSON.stringify(choices)}`);
  }
  return wrong;
}
