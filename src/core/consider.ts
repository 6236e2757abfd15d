/**
 * What `select` looked at: every candidate that has the url or the wallet of an observation, with its rank, and what
 * became of it. Nothing is chosen here: the choice is `select`'s, and a candidate is compared with it by the rank that
 * `select` compares by. For people who ask why; the processor never calls it.
 */
import { type CandidateIndex, tiesOf } from "./candidates.ts";
import {
  freshnessOf,
  gradeOf,
  gradeOfLevel,
  isModelEqual,
  LEVEL,
  type Level,
  levelOf,
  outranks,
  type Rank,
} from "./evidence.ts";
import { bestItem, levelAt, type Observation, type Selection, type Ttl } from "./select.ts";
import type { Sighting } from "./sightings.ts";

/**
 * Why a candidate is not the choice. Stable, for programs; in the order in which they are decided:
 * - `outside_ttl`: its snapshot lies too far from the observation to count;
 * - `other_url`: it has the wallet, and the observation names another url;
 * - `model_incompatible`: it runs another model than the hint;
 * - `wallet_ambiguous`: eligible, and so is a candidate of another canonical address, so neither is claimed;
 * - `wallet_differs`: the choice has the observation's wallet too, this one only its url;
 * - `model_unknown`: the choice runs the hinted model, this one does not say what it runs;
 * - `less_fresh`: the choice is of the same instant, or before the observation and this one after it;
 * - `farther`: the choice lies nearer to the observation;
 * - `same_group`: of the chosen snapshot and on a par with the choice, so it counts in what may be claimed;
 * - `tie_break`: equal in all that is compared; a hash of the content decided.
 */
export type LostBy =
  | "outside_ttl"
  | "other_url"
  | "model_incompatible"
  | "wallet_ambiguous"
  | "wallet_differs"
  | "model_unknown"
  | "less_fresh"
  | "farther"
  | "same_group"
  | "tie_break";

/** A candidate: an item of a node as one snapshot saw it. */
export interface Considered extends Rank {
  readonly sighting: Sighting;
  readonly item: number;
  readonly verdict: "chosen" | LostBy;
}

/**
 * Every candidate with the url or the wallet of an observation, greatest rank first, then the nearest. `selection` is
 * what `select` returned for the same observation, candidates and TTL. Candidates that cannot be chosen rank as the
 * level to which they testify, those outside the TTL below all others.
 */
export function consider(
  observation: Observation,
  selection: Selection,
  candidates: CandidateIndex,
  ttl: Ttl,
): Considered[] {
  const { url, address, eventTimeMs } = observation;
  const sightings = new Map<number, Sighting>();
  if (url !== "") { for (const sighting of candidates.ofUrl(url)) sightings.set(sighting.place, sighting); }
  if (address !== "") { for (const sighting of candidates.ofWallet(address)) sightings.set(sighting.place, sighting); }
  const considered: Considered[] = [];
  for (const sighting of sightings.values()) {
    for (const item of sighting.node.items.keys()) {
      const rank = rankOf(observation, sighting, item, ttl);
      considered.push({
        ...rank,
        sighting,
        item,
        verdict: verdictOf(observation, selection, sighting, item, rank, ttl),
      });
    }
  }
  const distance = ({ sighting }: Considered) => Math.abs(sighting.timeMs - eventTimeMs);
  return considered.sort((a, b) => outranks(a, b) ? -1 : outranks(b, a) ? 1 : distance(a) - distance(b));
}

const NO_RANK: Rank = { grade: -1, tie: 0n };

function rankOf(observation: Observation, sighting: Sighting, item: number, ttl: Ttl): Rank {
  if (!isWithin(observation, sighting, ttl)) return NO_RANK;
  if (isElsewhere(observation, sighting)) return ofLevel(LEVEL.walletElsewhere);
  const modelEqual = modelMatchOf(observation, sighting, item);
  if (modelEqual === undefined) return ofLevel(LEVEL.modelIncompatible);
  const level = levelAt(observation, sighting);
  return { grade: gradeOf(level, modelEqual, sighting.timeMs, observation.eventTimeMs), tie: tiesOf(sighting)[item]! };
}

function ofLevel(level: Level): Rank {
  return { grade: gradeOfLevel(level), tie: 0n };
}

function verdictOf(
  observation: Observation,
  { grade, tie, chosen }: Selection,
  sighting: Sighting,
  item: number,
  own: Rank,
  ttl: Ttl,
): Considered["verdict"] {
  if (!isWithin(observation, sighting, ttl)) return "outside_ttl";
  if (isElsewhere(observation, sighting)) return "other_url";
  if (modelMatchOf(observation, sighting, item) === undefined) return "model_incompatible";
  if (chosen === undefined) return "wallet_ambiguous";
  if (chosen.sighting.place === sighting.place && chosen.item === item) return "chosen";
  if (outranks(own, { grade, tie })) throw new Error("a candidate outranks the choice, which was made among others");
  if (levelOf(own.grade) !== levelOf(grade)) return "wallet_differs";
  if (isModelEqual(own.grade) !== isModelEqual(grade)) return "model_unknown";
  if (freshnessOf(own.grade) !== freshnessOf(grade)) return "less_fresh";
  if (own.grade !== grade) return "farther";
  const { snapshotUid, node } = chosen.sighting;
  if (sighting.snapshotUid === snapshotUid && sighting.node.canonical === node.canonical) return "same_group";
  return "tie_break";
}

function isWithin({ eventTimeMs }: Observation, { timeMs }: Sighting, { beforeMs, afterMs }: Ttl): boolean {
  return timeMs >= eventTimeMs - beforeMs && timeMs <= eventTimeMs + afterMs;
}

function isElsewhere({ url }: Observation, { node }: Sighting): boolean {
  return url !== "" && node.url !== url;
}

/** As `bestItem` of one item: the hinted model, an unknown one, or `undefined` for another. */
function modelMatchOf({ hint }: Observation, { node }: Sighting, item: number): boolean | undefined {
  return bestItem([node.modelKeys[item]!], hint);
}
