/**
 * ATTRIBUTE: the one selection function. Given an observation and the candidates of its source, which
 * orchestrator, model and GPU may be claimed, on which evidence?
 *
 * The choice is the candidate of the greatest rank (evidence.ts) among those whose snapshot lies within the
 * TTL of the observation. It depends on the observation and on the set of snapshots, on nothing else. What is
 * claimed is less than what is chosen: a model, a node, a GPU only where the chosen snapshot leaves no doubt.
 *
 * An observation that names a URL is matched by URL and never by wallet alone. Production shows why: one hot
 * wallet serves several canonical addresses, nodes and models, and wallet + model still picks a wrong one.
 */
import type { CandidateIndex } from "./candidates.ts";
import {
  degreeOf,
  FARTHEST_MS,
  FRESHNESS,
  freshnessOf,
  type Grade,
  gradeOf,
  gradeOfLevel,
  isAttributed,
  isModelEqual,
  LEVEL,
  type Level,
  levelOf,
  type Rank,
} from "./evidence.ts";
import { modelName, rowPipeline } from "./normalise.ts";
import type { IndexedNode, Sighting } from "./sightings.ts";
import type { Track } from "./track.ts";

/** Raised whenever the same events would be attributed otherwise; part of the generation's hash. */
export const RULES_VERSION = 1;

/** What an event says of who served it. All in normal form (normalise.ts), blank when it says nothing. */
export interface Observation {
  readonly address: string;
  readonly url: string;
  /** Model hint in the form models are compared. */
  readonly hint: string;
  readonly eventTimeMs: number;
}

/** How far a snapshot may lie from an observation and still count, in milliseconds, both ends included. */
export interface Ttl {
  /** For snapshots before the observation. */
  readonly beforeMs: number;
  /** For snapshots after the observation. */
  readonly afterMs: number;
}

/** The largest TTL that closeness can express. */
export const LONGEST_TTL_MS = 37 * 3_600_000;
if (LONGEST_TTL_MS > FARTHEST_MS) throw new Error("the rank cannot hold the longest TTL");

export type Method = "node_match" | "wallet_match" | "none";

export type UnattributedReason =
  | ""
  | "no_orchestrator"
  | "no_snapshot"
  | "node_unknown"
  | "model_incompatible"
  | "wallet_ambiguous";

/** The evidence for an observation: its rank, and the candidate that has it where the level claims one. */
export interface Selection extends Rank {
  readonly chosen: Choice | undefined;
}

interface Choice {
  readonly sighting: Sighting;
  readonly item: number;
}

/** What a selection lets a row state. Identity fields are blank or null unless attributed. */
export interface Claim {
  readonly level: Level;
  readonly method: Method;
  /** 0 to 1, three decimals at most before it is divided by the number of GPUs. */
  readonly confidence: number;
  readonly reason: UnattributedReason;
  readonly canonical: string;
  readonly url: string;
  readonly pipeline: string;
  readonly model: string | null;
  readonly gpu: string | null;
  readonly gpuCount: number;
  readonly snapshotUid: string;
  readonly snapshotTimeMs: number | null;
}

/** Selects for an observation among all candidates of its source. */
export function select(observation: Observation, candidates: CandidateIndex, ttl: Ttl): Selection {
  if (observation.url !== "") return selectByUrl(observation, candidates, ttl);
  if (observation.address !== "") return selectByWallet(observation, candidates, ttl);
  return unclaimed(LEVEL.nothingKnown);
}

/** True when nothing can improve this evidence, whatever snapshots come. */
export function isFinal(observation: Observation, grade: Grade): boolean {
  return levelOf(grade) === LEVEL.walletAmbiguous || (observation.url === "" && observation.address === "");
}

/**
 * True when only freshness or closeness can still improve: the level is the highest that the observation's
 * fields allow, the model as good as its hint allows. A wallet match is never among these: a second canonical
 * address can still make it ambiguous.
 */
export function isSettledButForTime(observation: Observation, grade: Grade): boolean {
  if (observation.url === "") return false;
  const highest = observation.address === "" ? LEVEL.byNode : LEVEL.byNodeAndWallet;
  return levelOf(grade) === highest && (observation.hint === "" || isModelEqual(grade));
}

/** True when only a snapshot that is not later than the observation can improve it: the same level, from before. */
export function isMatchedBefore(observation: Observation, grade: Grade): boolean {
  return isSettledButForTime(observation, grade) && freshnessOf(grade) !== FRESHNESS.after;
}

/**
 * The greatest grade that a node, as a snapshot of this time states it, can give an observation that names its url or one
 * of its wallets, whatever else is known; `canonical` is whom it is matched with by now, blank while nobody.
 */
export function gradeFrom(
  observation: Observation,
  node: IndexedNode,
  snapshotTimeMs: number,
  canonical: string,
): Grade {
  const { url, hint, eventTimeMs } = observation;
  if (url !== "" && url !== node.url) return gradeOfLevel(LEVEL.walletElsewhere);
  const modelEqual = bestItem(node.modelKeys, hint);
  if (modelEqual === undefined) return gradeOfLevel(LEVEL.modelIncompatible);
  if (url === "" && canonical !== node.canonical) return gradeOfLevel(LEVEL.walletAmbiguous);
  return gradeOf(levelAt(observation, { node }), modelEqual, snapshotTimeMs, eventTimeMs);
}

function unclaimed(level: Level): Selection {
  return { grade: gradeOfLevel(level), tie: 0n, chosen: undefined };
}

function selectByUrl(observation: Observation, candidates: CandidateIndex, ttl: Ttl): Selection {
  const found = best(observation, candidates, candidates.ofUrl(observation.url), ttl);
  if (found === "incompatible") return unclaimed(LEVEL.modelIncompatible);
  if (found !== undefined) return found;
  const elsewhere = observation.address !== "" && within(candidates.ofWallet(observation.address), observation, ttl);
  return unclaimed(elsewhere ? LEVEL.walletElsewhere : LEVEL.nothingKnown);
}

function selectByWallet(observation: Observation, candidates: CandidateIndex, ttl: Ttl): Selection {
  const track = candidates.ofWallet(observation.address);
  const found = best(observation, candidates, track, ttl);
  if (found === undefined) return unclaimed(LEVEL.nothingKnown);
  if (found === "incompatible") return unclaimed(LEVEL.modelIncompatible);
  const canonical = found.chosen!.sighting.node.canonical;
  const [from, to] = range(track, observation, ttl);
  for (let at = from; at < to; at++) {
    const { node } = track.at(at);
    if (node.canonical !== canonical && bestItem(node.modelKeys, observation.hint) !== undefined) {
      return unclaimed(LEVEL.walletAmbiguous);
    }
  }
  return found;
}

/** The level of an eligible candidate that has the observation's url or, where it names none, its wallet. */
export function levelAt({ url, address }: Observation, sighting: Pick<Sighting, "node">): Level {
  if (url === "") return LEVEL.byWallet;
  return isWallet(sighting, address) ? LEVEL.byNodeAndWallet : LEVEL.byNode;
}

/** A blank address never equals a blank one. */
function isWallet({ node }: Pick<Sighting, "node">, address: string): boolean {
  return address !== "" && (node.hot === address || node.canonical === address);
}

/** The part of a track within the TTL of an observation, as [from, to). */
function range(track: Track, { eventTimeMs }: Observation, ttl: Ttl): [number, number] {
  return [track.firstAfter(eventTimeMs - ttl.beforeMs - 1), track.firstAfter(eventTimeMs + ttl.afterMs)];
}

function within(track: Track, observation: Observation, ttl: Ttl): boolean {
  const [from, to] = range(track, observation, ttl);
  return from < to;
}

/** Whether a node's best item has the hinted model (`true`), an unknown one (`false`) or only others (`undefined`). */
export function bestItem(modelKeys: readonly string[], hint: string): boolean | undefined {
  if (hint === "") return modelKeys.length > 0 ? false : undefined;
  if (modelKeys.includes(hint)) return true;
  return modelKeys.includes("") ? false : undefined;
}

/**
 * The eligible candidate of the greatest rank in a track, `"incompatible"` when the track has candidates
 * within the TTL but none is eligible, `undefined` when it has none.
 *
 * Snapshots are walked from the observation outwards, first backwards, then forwards: before beats after and
 * near beats far, so the first candidate of the best level and model that is met ends the walk.
 */
function best(
  observation: Observation,
  candidates: CandidateIndex,
  track: Track,
  ttl: Ttl,
): Selection | "incompatible" | undefined {
  const { hint, eventTimeMs } = observation;
  const [from, to] = range(track, observation, ttl);
  if (from === to) return undefined;
  const middle = track.firstAfter(eventTimeMs);
  let grade: Grade = -1;
  let tied: Sighting[] = [];
  const consider = (sighting: Sighting): void => {
    const modelEqual = bestItem(sighting.node.modelKeys, hint);
    if (modelEqual === undefined) return;
    const own = gradeOf(levelAt(observation, sighting), modelEqual, sighting.timeMs, eventTimeMs);
    if (own > grade) {
      grade = own;
      tied = [sighting];
    } else if (own === grade) {
      tied.push(sighting);
    }
  };
  const isBest = () =>
    grade >= 0 && (hint === "" || isModelEqual(grade)) &&
    (levelOf(grade) === LEVEL.byNodeAndWallet || levelOf(grade) === highestOf(observation));
  for (let at = middle - 1; at >= from; at--) {
    if (isBest() && track.timeAt(at) !== tied[0]!.timeMs) break;
    consider(track.at(at));
  }
  if (!isBest()) {
    for (let at = middle; at < to; at++) {
      if (isBest() && track.timeAt(at) !== tied[0]!.timeMs) break;
      consider(track.at(at));
    }
  }
  if (tied.length === 0) return "incompatible";
  return breakTie(grade, tied, hint, candidates);
}

/** The highest level that the fields of an observation allow. */
function highestOf(observation: Observation): Level {
  if (observation.url === "") return LEVEL.byWallet;
  return observation.address === "" ? LEVEL.byNode : LEVEL.byNodeAndWallet;
}

/** Among equal grades the content decides, by a hash, so that no order of arrival ever does. */
function breakTie(grade: Grade, tied: readonly Sighting[], hint: string, candidates: CandidateIndex): Selection {
  const wanted = isModelEqual(grade) ? hint : "";
  let selection: Selection | undefined;
  for (const sighting of tied) {
    const keys = sighting.node.modelKeys;
    const { ties } = candidates.latelyOf(sighting);
    for (let item = 0; item < keys.length; item++) {
      if (hint !== "" && keys[item] !== wanted) continue;
      const tie = ties[item]!;
      if (selection === undefined || tie > selection.tie) selection = { grade, tie, chosen: { sighting, item } };
    }
  }
  return selection!;
}

const CONFIDENCE: Readonly<Record<number, number>> = {
  [FRESHNESS.same]: 1,
  [FRESHNESS.before]: 0.9,
  [FRESHNESS.after]: 0.7,
};
const WALLET_CONFIDENCE = 0.4;

const REASONS: Readonly<Record<Level, UnattributedReason>> = {
  [LEVEL.nothingKnown]: "no_snapshot",
  [LEVEL.walletElsewhere]: "node_unknown",
  [LEVEL.modelIncompatible]: "model_incompatible",
  [LEVEL.byWallet]: "",
  [LEVEL.walletAmbiguous]: "wallet_ambiguous",
  [LEVEL.byNode]: "",
  [LEVEL.byNodeAndWallet]: "",
};

/** The claim of whoever is not attributed, for this reason; the url is its own, as raw context. */
export function claimNothing(level: Level, reason: UnattributedReason, url: string): Claim {
  return {
    level,
    method: "none",
    confidence: 0,
    reason,
    canonical: "",
    url,
    pipeline: "",
    model: null,
    gpu: null,
    gpuCount: 0,
    snapshotUid: "",
    snapshotTimeMs: null,
  };
}

/** What may be claimed on a selection that `select` made from the same observation and candidates. */
export function claimOf(observation: Observation, selection: Selection, candidates: CandidateIndex): Claim {
  const level = levelOf(selection.grade);
  if (!isAttributed(level)) {
    const named = observation.address !== "" || observation.url !== "";
    return claimNothing(level, named ? REASONS[level] : "no_orchestrator", observation.url);
  }
  const { sighting, item } = selection.chosen!;
  // Without a url the group is another one than that of the node.
  if (observation.url === "") return claimOfGroup(observation, selection, candidates);
  const { address, hint } = observation;
  const degree = degreeOf(selection.grade);
  const { claims } = candidates.latelyOf(sighting);
  const known = claims.find((one) =>
    one.degree === degree && one.item === item && one.hint === hint && one.address === address
  );
  if (known !== undefined) return known.claim;
  const claim = claimOfGroup(observation, selection, candidates);
  if (claims.length < MOST_CLAIMS) claims.push({ address, hint, item, degree, claim });
  return claim;
}

/** Claims kept with a sighting: names come from outside, and what is kept of them has a bound. */
const MOST_CLAIMS = 16;

function claimOfGroup(observation: Observation, selection: Selection, candidates: CandidateIndex): Claim {
  const level = levelOf(selection.grade);
  const { sighting } = selection.chosen!;
  const group = groupOf(observation, selection, candidates);
  const only = (values: Set<string>): string => values.size === 1 ? [...values][0]! : "";
  const url = observation.url || only(group.urls);
  const model = group.models.size === 1 ? modelName(selectedModel(selection)) : "";
  const gpus = url !== "" && model !== "" ? [...group.gpus].sort() : [];
  const base = level === LEVEL.byWallet ? WALLET_CONFIDENCE : CONFIDENCE[freshnessOf(selection.grade)]!;
  return {
    level,
    method: methodOf(level),
    confidence: base / Math.max(gpus.length, 1),
    reason: "",
    canonical: sighting.node.canonical,
    url,
    pipeline: rowPipeline(only(group.pipelines), model),
    model: model === "" ? null : model,
    gpu: gpus[0] ?? null,
    gpuCount: gpus.length,
    snapshotUid: sighting.snapshotUid,
    snapshotTimeMs: sighting.timeMs,
  };
}

/** How a level attributes, of those that do. */
export function methodOf(level: Level): Method {
  return level === LEVEL.byWallet ? "wallet_match" : "node_match";
}

function selectedModel({ chosen }: Selection): string {
  return chosen!.sighting.node.items[chosen!.item]!.model;
}

/**
 * The candidates that the chosen snapshot puts on a par with the chosen one: its level, model match and
 * canonical address and, when the observation names a URL, its URL.
 */
function groupOf(observation: Observation, selection: Selection, candidates: CandidateIndex) {
  const { sighting } = selection.chosen!;
  const { hint, url, address } = observation;
  const wanted = isModelEqual(selection.grade) ? hint : "";
  const track = url !== "" ? candidates.ofUrl(url) : candidates.ofWallet(address);
  const group = {
    models: new Set<string>(),
    pipelines: new Set<string>(),
    urls: new Set<string>(),
    gpus: new Set<string>(),
  };
  for (let at = track.firstAfter(sighting.timeMs) - 1; at >= 0 && track.timeAt(at) === sighting.timeMs; at--) {
    const other = track.at(at);
    const onPar = other.snapshotUid === sighting.snapshotUid && other.node.canonical === sighting.node.canonical &&
      (url === "" || isWallet(other, address) === isWallet(sighting, address));
    if (!onPar) continue;
    for (const [item, key] of other.node.modelKeys.entries()) {
      if (hint !== "" && key !== wanted) continue;
      const { pipeline, gpus } = other.node.items[item]!;
      group.models.add(key);
      group.pipelines.add(pipeline.toLowerCase());
      group.urls.add(other.node.url);
      for (const gpu of gpus) group.gpus.add(gpu);
    }
  }
  return group;
}
