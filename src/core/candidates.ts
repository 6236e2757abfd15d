/**
 * The candidates of one source: every snapshot that was applied, findable by node URL and by wallet.
 *
 * Nothing here is chosen; select.ts does that. Snapshots may be added in any order and more than once: the
 * index is a set, kept sorted by time, so what it answers does not depend on how it was filled.
 */
import { hash63 } from "./hash.ts";
import type { Claim } from "./select.ts";
import { type Sighting, Sightings } from "./sightings.ts";
import type { Snapshot } from "./snapshot.ts";
import { Track } from "./track.ts";

/** What can be found again of a sighting. */
export interface Lately {
  /** Tie-breaks of its items. */
  readonly ties: readonly bigint[];
  /** What was claimed on it: most observations of a node claim the same. */
  readonly claims: KnownClaim[];
}

/** A claim of an observation that names a url, and all that it depends on beside the sighting. */
export interface KnownClaim {
  readonly address: string;
  readonly hint: string;
  readonly item: number;
  /** Level, model match and freshness. */
  readonly degree: number;
  readonly claim: Claim;
}

/** What is kept of a snapshot beside its sightings. */
type Added = Pick<Snapshot, "timeMs"> & { readonly nodeCount: number };

const NONE = new Track(new Sightings());

/** Sightings of which something is kept that can be found again. */
const MOST_LATELY = 4_096;

/** The part of the bound that is made free when it is passed: to go through all that is held for each snapshot is too slow. */
const SPARE = 1 / 16;

export class CandidateIndex {
  readonly #snapshots = new Map<string, Added>();
  readonly #sightings = new Sightings();
  readonly #byUrl = new Map<string, Track>();
  readonly #byWallet = new Map<string, Track>();
  /** By place, in the order in which they came to be needed. */
  readonly #lately = new Map<number, Lately>();
  #forgottenUpToMs = -Infinity;

  /** The number of node sightings held: what the memory bound counts. */
  get size(): number {
    return this.#sightings.size;
  }

  /** Snapshots up to this time were dropped by the bound, `-Infinity` while nothing was. */
  get forgottenUpToMs(): number {
    return this.#forgottenUpToMs;
  }

  has(uid: string): boolean {
    return this.#snapshots.has(uid);
  }

  /** Adds a snapshot; false when it is there already or older than what the bound has dropped. */
  add(snapshot: Snapshot): boolean {
    if (this.has(snapshot.uid) || snapshot.timeMs <= this.#forgottenUpToMs) return false;
    const { uid, timeMs, nodes } = snapshot;
    this.#snapshots.set(uid, { timeMs, nodeCount: nodes.length });
    this.#sightings.add(snapshot, (place, { canonical, hot, url }) => {
      if (url !== "") this.#trackIn(this.#byUrl, url).add(place);
      this.#trackIn(this.#byWallet, canonical).add(place);
      if (hot !== "" && hot !== canonical) this.#trackIn(this.#byWallet, hot).add(place);
    });
    return true;
  }

  /** Sightings of a node URL. */
  ofUrl(url: string): Track {
    return this.#byUrl.get(url) ?? NONE;
  }

  /** Sightings of a wallet, as canonical address or as hot wallet. */
  ofWallet(wallet: string): Track {
    return this.#byWallet.get(wallet) ?? NONE;
  }

  /** What observations that choose a sighting need of it, kept until many others were chosen. */
  latelyOf(sighting: Sighting): Lately {
    let lately = this.#lately.get(sighting.place);
    if (lately === undefined) {
      if (this.#lately.size === MOST_LATELY) this.#lately.delete(this.#lately.keys().next().value!);
      lately = { ties: tiesOf(sighting), claims: [] };
      this.#lately.set(sighting.place, lately);
    }
    return lately;
  }

  /**
   * Where more than `most` sightings are held, drops the oldest snapshots and a little more of them than it must, and
   * returns how many snapshots went. From then on `forgottenUpToMs` says which observations can no longer be judged fully.
   */
  forgetOldest(most: number): number {
    if (this.size <= most) return 0;
    let left = this.size;
    let dropped = 0;
    const oldestFirst = [...this.#snapshots].sort(([, a], [, b]) => a.timeMs - b.timeMs);
    for (const [uid, { timeMs, nodeCount }] of oldestFirst) {
      // Snapshots of one instant go together: the time is what later tells kept from dropped.
      if (left <= most - Math.floor(SPARE * most) && timeMs > this.#forgottenUpToMs) break;
      this.#snapshots.delete(uid);
      this.#forgottenUpToMs = timeMs;
      left -= nodeCount;
      dropped++;
    }
    for (const tracks of [this.#byUrl, this.#byWallet]) {
      for (const [name, track] of tracks) {
        track.dropUpTo(this.#forgottenUpToMs);
        if (track.length === 0) tracks.delete(name);
      }
    }
    this.#sightings.dropUpTo(this.#forgottenUpToMs);
    // Others come to their places.
    this.#lately.clear();
    return dropped;
  }

  #trackIn(tracks: Map<string, Track>, name: string): Track {
    let track = tracks.get(name);
    if (track === undefined) tracks.set(name, track = new Track(this.#sightings));
    return track;
  }
}

/** The hash of each candidate's content, snapshot uid included. */
export function tiesOf({ node, snapshotUid }: Sighting): bigint[] {
  return node.items.map((item) => hash63(JSON.stringify([node.canonical, node.hot, node.url, item, snapshotUid])));
}
