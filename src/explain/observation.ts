/** Why an observation is attributed as it is: the choice, every other candidate, and what could still attribute it. */
import type { CandidateIndex } from "../core/candidates.ts";
import { consider, type Considered } from "../core/consider.ts";
import { LEVEL, type Level, levelOf } from "../core/evidence.ts";
import { type Claim, claimOf, type Observation, select, type Ttl } from "../core/select.ts";
import { formatInstant } from "../core/time.ts";
import { whyNot } from "./verdict.ts";
import { type Wanted, wantedFor } from "./wanted.ts";

/** A candidate as it is shown. */
export interface CandidateExplained {
  /** `chosen`, or the code of what it lost by, see core/consider.ts. */
  readonly verdict: Considered["verdict"];
  /** The verdict in a sentence, with what was compared. */
  readonly why: string;
  readonly snapshotUid: string;
  readonly snapshotTime: string;
  /** Snapshot time minus event time, in milliseconds. */
  readonly distanceMs: number;
  readonly freshness: "same" | "before" | "after";
  /** What it testifies to; null outside the TTL, where it testifies to nothing. */
  readonly level: Level | null;
  /** Whether it runs the hinted model; null without a hint. */
  readonly model: "equal" | "unknown" | "incompatible" | null;
  readonly canonical: string;
  readonly hotWallet: string;
  readonly url: string;
  readonly pipeline: string;
  readonly modelId: string;
  readonly gpus: readonly string[];
}

export interface ObservationExplained {
  readonly wallet: string;
  readonly url: string;
  readonly hint: string;
  readonly level: Level;
  readonly meaning: string;
  readonly claim: Claim;
  /** Greatest evidence first. */
  readonly candidates: readonly CandidateExplained[];
  /** What would attribute it; null when it is attributed. */
  readonly wanted: Wanted | null;
}

/** What a level means, for people. */
const LEVEL_MEANING: Readonly<Record<Level, string>> = {
  [LEVEL.nothingKnown]: "nothing is known of this node or wallet",
  [LEVEL.walletElsewhere]: "the wallet is known, but only at other urls",
  [LEVEL.modelIncompatible]: "the node or wallet is known, but only with other models",
  [LEVEL.byWallet]: "matched by wallet, which has one canonical address",
  [LEVEL.walletAmbiguous]: "matched by wallet, which has more than one canonical address",
  [LEVEL.byNode]: "matched by url, the wallet blank or another",
  [LEVEL.byNodeAndWallet]: "matched by url and wallet",
};

/** Explains an observation on the candidates of its source. */
export function explainObservation(
  observation: Observation,
  candidates: CandidateIndex,
  ttl: Ttl,
): ObservationExplained {
  const selection = select(observation, candidates, ttl);
  const claim = claimOf(observation, selection, candidates);
  const considered = consider(observation, selection, candidates, ttl);
  const { address: wallet, url, hint } = observation;
  const level = levelOf(selection.grade);
  const chosen = considered.find(({ verdict }) => verdict === "chosen");
  return {
    wallet,
    url,
    hint,
    level,
    meaning: wallet === "" && url === "" ? "the event names neither wallet nor url" : LEVEL_MEANING[level],
    claim,
    candidates: considered.map((one) => candidateOf(one, observation, whyNot(one, chosen, observation, ttl))),
    wanted: claim.reason === "" ? null : wantedFor(observation, claim.reason, considered, ttl),
  };
}

/** What would attribute an observation; null when it is attributed. */
export function wantedOf(observation: Observation, candidates: CandidateIndex, ttl: Ttl): Wanted | null {
  const selection = select(observation, candidates, ttl);
  const { reason } = claimOf(observation, selection, candidates);
  return reason === "" ? null : wantedFor(observation, reason, consider(observation, selection, candidates, ttl), ttl);
}

function candidateOf(considered: Considered, { hint, eventTimeMs }: Observation, why: string): CandidateExplained {
  const { sighting: { node, timeMs, snapshotUid }, item, verdict, grade } = considered;
  const { pipeline, model, gpus } = node.items[item]!;
  const delta = timeMs - eventTimeMs;
  return {
    verdict,
    why,
    snapshotUid,
    snapshotTime: formatInstant(timeMs),
    distanceMs: delta,
    freshness: delta === 0 ? "same" : delta < 0 ? "before" : "after",
    level: grade < 0 ? null : levelOf(grade),
    model: hint === ""
      ? null
      : node.modelKeys[item] === hint
      ? "equal"
      : model.trim() === ""
      ? "unknown"
      : "incompatible",
    canonical: node.canonical,
    hotWallet: node.hot,
    url: node.url,
    pipeline,
    modelId: model,
    gpus,
  };
}
