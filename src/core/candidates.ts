/**
 * The candidates of one source: every snapshot that was applied, findable by node URL and by wallet.
 *
 * Nothing here is chosen; select.ts does that. Snapshots may be added in any order and more than once: the
 * index is a set, kept sorted by time, so what it answers does not depend on how it was filled.
 */
import { hash63 } from "./hash.ts";
import type { Node, Snapshot } from "./snapshot.ts";
import { modelKey } from "./normalise.ts";
import type { Claim } from "./select.ts";

/** A node as one snapshot saw it: the candidates of one entry, before the choice among its items. */
export class Sighting {
  readonly node: IndexedNode;
  readonly #snapshot: Added;
  /** What was needed of it lately; few of all that there are have it. */
  lately: Lately | undefined;

  constructor(snapshot: Added, node: IndexedNode) {
    this.#snapshot = snapshot;
    this.node = node;
  }

  get timeMs(): number {
    return this.#snapshot.timeMs;
  }

  get snapshotUid(): string {
    return this.#snapshot.uid;
  }
}

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

/** A node with its models in the form they are compared, shared by all snapshots that state it alike. */
export interface IndexedNode extends Node {
  readonly modelKeys: readonly string[];
}

/** What is kept of a snapshot itself: its nodes are those of its sightings, which others state alike. */
interface Added {
  readonly uid: string;
  readonly timeMs: number;
  readonly nodeCount: number;
}

const NONE: readonly Sighting[] = [];

/** Sightings of which something is kept that can be found again. */
const MOST_LATELY = 4_096;

export class CandidateIndex {
  readonly #snapshots = new Map<string, Added>();
  readonly #byUrl = new Map<string, Sighting[]>();
  readonly #byWallet = new Map<string, Sighting[]>();
  readonly #nodes = new Map<string, IndexedNode>();
  /** A ring: who comes takes the place of who has been here for longest. */
  readonly #lately: Sighting[] = [];
  #nextLately = 0;
  #sightings = 0;
  #forgottenUpToMs = -Infinity;

  /** The number of node sightings held: what the memory bound counts. */
  get size(): number {
    return this.#sightings;
  }

  /** Snapshots up to this time were dropped by the bound, `-Infinity` while nothing was. */
  get forgottenUpToMs(): number {
    return this.#forgottenUpToMs;
  }

  /** Adds a snapshot; false when it is there already or older than what the bound has dropped. */
  add(snapshot: Snapshot): boolean {
    if (this.#snapshots.has(snapshot.uid) || snapshot.timeMs <= this.#forgottenUpToMs) return false;
    const { uid, timeMs, nodes } = snapshot;
    const added = { uid, timeMs, nodeCount: nodes.length };
    this.#snapshots.set(uid, added);
    for (const node of nodes) {
      const sighting = new Sighting(added, this.#intern(node));
      this.#sightings++;
      if (node.url !== "") insertInto(this.#byUrl, node.url, sighting);
      insertInto(this.#byWallet, node.canonical, sighting);
      if (node.hot !== "" && node.hot !== node.canonical) insertInto(this.#byWallet, node.hot, sighting);
    }
    return true;
  }

  /** Sightings of a node URL, sorted by time. */
  ofUrl(url: string): readonly Sighting[] {
    return this.#byUrl.get(url) ?? NONE;
  }

  /** Sightings of a wallet, as canonical address or as hot wallet, sorted by time. */
  ofWallet(wallet: string): readonly Sighting[] {
    return this.#byWallet.get(wallet) ?? NONE;
  }

  /** What observations that choose a sighting need of it, kept until many others were chosen. */
  latelyOf(sighting: Sighting): Lately {
    if (sighting.lately === undefined) {
      const before = this.#lately[this.#nextLately];
      if (before !== undefined) before.lately = undefined;
      this.#lately[this.#nextLately] = sighting;
      this.#nextLately = (this.#nextLately + 1) % MOST_LATELY;
      sighting.lately = { ties: tiesOf(sighting), claims: [] };
    }
    return sighting.lately;
  }

  /**
   * Drops the oldest snapshots until at most `most` sightings are left, and returns how many snapshots went.
   * From then on `forgottenUpToMs` says which observations can no longer be judged fully.
   */
  forgetOldest(most: number): number {
    if (this.#sightings <= most) return 0;
    const oldestFirst = [...this.#snapshots].sort(([, a], [, b]) => a.timeMs - b.timeMs);
    let dropped = 0;
    for (const [uid, { timeMs, nodeCount }] of oldestFirst) {
      // Snapshots of one instant go together: the time is what later tells kept from dropped.
      if (this.#sightings <= most && timeMs > this.#forgottenUpToMs) break;
      this.#snapshots.delete(uid);
      this.#sightings -= nodeCount;
      this.#forgottenUpToMs = timeMs;
      dropped++;
    }
    const kept = this.#forgottenUpToMs;
    for (const tracks of [this.#byUrl, this.#byWallet]) {
      for (const [key, track] of tracks) {
        track.splice(0, firstAfter(track, kept));
        if (track.length === 0) tracks.delete(key);
      }
    }
    this.#nodes.clear();
    return dropped;
  }

  #intern(node: Node): IndexedNode {
    const key = JSON.stringify(node);
    let indexed = this.#nodes.get(key);
    if (indexed === undefined) {
      indexed = { ...node, modelKeys: node.items.map((item) => modelKey(item.model)) };
      this.#nodes.set(key, indexed);
    }
    return indexed;
  }
}

/** The hash of each candidate's content, snapshot uid included. */
export function tiesOf({ node, snapshotUid }: Sighting): bigint[] {
  return node.items.map((item) => hash63(JSON.stringify([node.canonical, node.hot, node.url, item, snapshotUid])));
}

function insertInto(tracks: Map<string, Sighting[]>, key: string, sighting: Sighting): void {
  const track = tracks.get(key);
  if (track === undefined) tracks.set(key, [sighting]);
  else track.splice(firstAfter(track, sighting.timeMs), 0, sighting);
}

/** The position of the first sighting later than an instant; snapshots mostly come in order, so the end is tried first. */
export function firstAfter(track: readonly Sighting[], timeMs: number): number {
  if (track.length === 0 || track[track.length - 1]!.timeMs <= timeMs) return track.length;
  let low = 0;
  let high = track.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (track[middle]!.timeMs > timeMs) high = middle;
    else low = middle + 1;
  }
  return low;
}
