/** What became of a candidate, in a sentence. */
import type { Considered } from "../core/consider.ts";
import type { Observation, Ttl } from "../core/select.ts";
import { formatDuration, formatOffset } from "../core/time.ts";

/** Why a candidate is not the choice, or is it. */
export function whyNot(
  { verdict, sighting: { node, timeMs }, item }: Considered,
  chosen: Considered | undefined,
  { eventTimeMs, hint, address }: Observation,
  { beforeMs, afterMs }: Ttl,
): string {
  switch (verdict) {
    case "chosen":
      return "the greatest evidence";
    case "outside_ttl":
      return timeMs < eventTimeMs
        ? `its snapshot lies ${formatDuration(eventTimeMs - timeMs)} before, and ${formatDuration(beforeMs)} count`
        : `its snapshot lies ${formatDuration(timeMs - eventTimeMs)} after, and ${formatDuration(afterMs)} count`;
    case "other_url":
      return `it has the wallet at ${node.url || "no url"}, and the event names another url`;
    case "model_incompatible":
      return `it runs ${node.items[item]!.model}, and the event hints at ${hint}`;
    case "wallet_ambiguous":
      return "another canonical address has the wallet too, so neither is claimed";
    case "wallet_differs":
      return `its wallet is ${node.hot || node.canonical} and not ${address}, that of the choice is`;
    case "model_unknown":
      return `it does not say which model it runs, the choice runs ${hint}`;
    case "less_fresh":
      return `it lies ${formatOffset(timeMs - eventTimeMs)}, the choice ${placedOf(chosen, eventTimeMs)}`;
    case "farther":
      return `it lies ${formatOffset(timeMs - eventTimeMs)}, the choice nearer: ${placedOf(chosen, eventTimeMs)}`;
    case "same_group":
      return "of the chosen snapshot and on a par, so it counts in what may be claimed";
    case "tie_break":
      return "equal in everything that is compared; the hash of the content decided";
  }
}

function placedOf(chosen: Considered | undefined, eventTimeMs: number): string {
  return chosen === undefined ? "" : formatOffset(chosen.sighting.timeMs - eventTimeMs);
}
