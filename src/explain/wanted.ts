/** What evidence would attribute an observation that is not attributed. */
import type { Considered } from "../core/consider.ts";
import type { Observation, Ttl, UnattributedReason } from "../core/select.ts";
import { formatInstant } from "../core/time.ts";

/** The snapshot that would attribute it. */
export interface Wanted {
  /** False when no snapshot can. */
  readonly isPossible: boolean;
  readonly sentence: string;
  /** What an entry of the snapshot must list; blank for what is not asked of it. */
  readonly url: string;
  readonly wallet: string;
  /** The model that it must run, or an unknown one; blank when any will do. */
  readonly model: string;
  /** Where the time of the snapshot must lie, both ends included. */
  readonly from: string;
  readonly to: string;
  /** What is known instead: the urls, models or canonical addresses that were not good enough. */
  readonly known: readonly string[];
}

/** What would attribute an observation that is not for this reason. */
export function wantedFor(
  observation: Observation,
  reason: Exclude<UnattributedReason, "">,
  considered: readonly Considered[],
  ttl: Ttl,
): Wanted {
  const { url, address, hint, eventTimeMs } = observation;
  const from = formatInstant(eventTimeMs - ttl.beforeMs);
  const to = formatInstant(eventTimeMs + ttl.afterMs);
  const span = `between ${from} and ${to}`;
  const runs = hint === "" ? "" : `, running ${hint} or a model that it does not name`;
  const who = url !== "" ? url : `the wallet ${address}`;
  const counted = considered.filter(({ verdict }) => verdict !== "outside_ttl");
  const asked = { url, wallet: url === "" ? address : "", model: hint, from, to };
  const possible = (known: readonly string[], because: string): Wanted => {
    const tooFar = considered.length - counted.length;
    const near = tooFar === 0 ? "" : ` ${tooFar} further candidates lie outside of that time.`;
    const sentence = `A snapshot ${span} that lists ${who}${runs}, would attribute it.${because}${near}`;
    return { ...asked, isPossible: true, sentence, known };
  };
  switch (reason) {
    case "no_orchestrator":
      return {
        ...{ url, wallet: address, model: hint, from, to, known: [] },
        isPossible: false,
        sentence: "No snapshot can: the event names neither wallet nor url. See its session.",
      };
    case "wallet_ambiguous": {
      const known = distinct(counted, ({ sighting }) => sighting.node.canonical);
      const sentence = `No snapshot can: the wallet ${address} belongs to ${known.join(" and ")}. ` +
        "An event that names its url would be told apart.";
      return { ...asked, isPossible: false, sentence, known };
    }
    case "node_unknown": {
      const known = distinct(counted, ({ sighting }) => sighting.node.url);
      return possible(known, ` The wallet ${address} is known at ${known.join(", ")} only.`);
    }
    case "model_incompatible": {
      const known = distinct(
        counted.filter(({ verdict }) => verdict === "model_incompatible"),
        ({ sighting, item }) => sighting.node.items[item]!.model,
      );
      return possible(known, ` It is known to run ${known.join(", ")} only.`);
    }
    case "no_snapshot":
      return possible([], "");
  }
}

function distinct(considered: readonly Considered[], valueOf: (one: Considered) => string): string[] {
  return [...new Set(considered.map(valueOf).filter((value) => value !== ""))].sort();
}
