/**
 * Sightings: which node which snapshot saw. A source has up to millions of them, so each is two numbers outside the heap,
 * and its url and its wallets find it by its place: some thirty bytes in all, where objects took ninety that the garbage
 * collector went through.
 */
import { Dictionary } from "./dictionary.ts";
import { grown } from "./grown.ts";
import { modelKey } from "./normalise.ts";
import type { Node, Snapshot } from "./snapshot.ts";

/** A node as one snapshot saw it: the candidates of one entry, before the choice among its items. */
export interface Sighting {
  /** Tells it from every other, for as long as its snapshot is held. */
  readonly place: number;
  readonly node: IndexedNode;
  readonly snapshotUid: string;
  readonly timeMs: number;
}

/** A node with its models in the form they are compared, shared by all snapshots that state it alike. */
export interface IndexedNode extends Node {
  readonly modelKeys: readonly string[];
}

/** Marks a place, or the time of a number, that is free. */
const FREE = 0xffff_ffff;
const NEVER = Infinity;

const LEAST_PLACES = 64;

/** A table that doubled would be half empty more often. */
const GROWTH = 4 / 3;

export class Sightings {
  /** By place: the number of the snapshot and that of the node. */
  #snapshots = new Uint32Array(LEAST_PLACES);
  #nodes = new Uint32Array(LEAST_PLACES);
  /** Places from here on were never taken. */
  #end = 0;
  readonly #freePlaces: number[] = [];
  readonly #distinct = new Dictionary<IndexedNode>();
  /** By the number of a snapshot. */
  readonly #uids: string[] = [];
  readonly #times: number[] = [];
  readonly #freeNumbers: number[] = [];

  get size(): number {
    return this.#end - this.#freePlaces.length;
  }

  /** Adds those of a snapshot, and hands over the place of each with its node. */
  add({ uid, timeMs, nodes }: Snapshot, added: (place: number, node: Node) => void): void {
    const number = this.#freeNumbers.pop() ?? this.#uids.length;
    this.#uids[number] = uid;
    this.#times[number] = timeMs;
    for (const node of nodes) {
      const place = this.#freePlaces.pop() ?? this.#end++;
      if (place === this.#snapshots.length) this.#grow();
      this.#snapshots[place] = number;
      this.#nodes[place] = this.#distinct.hold([JSON.stringify(node)], () => indexed(node));
      added(place, node);
    }
  }

  /** Drops those of snapshots up to a time; their places go to others. */
  dropUpTo(timeMs: number): void {
    for (let place = 0; place < this.#end; place++) {
      const number = this.#snapshots[place]!;
      if (number === FREE || this.#times[number]! > timeMs) continue;
      this.#snapshots[place] = FREE;
      this.#distinct.release(this.#nodes[place]!);
      this.#freePlaces.push(place);
    }
    for (const [number, heldMs] of this.#times.entries()) {
      if (heldMs > timeMs) continue;
      this.#times[number] = NEVER;
      this.#uids[number] = "";
      this.#freeNumbers.push(number);
    }
  }

  timeAt(place: number): number {
    return this.#times[this.#snapshots[place]!]!;
  }

  at(place: number): Sighting {
    const number = this.#snapshots[place]!;
    const node = this.#distinct.at(this.#nodes[place]!);
    return { place, node, snapshotUid: this.#uids[number]!, timeMs: this.#times[number]! };
  }

  #grow(): void {
    const length = Math.ceil(GROWTH * this.#snapshots.length);
    this.#snapshots = grown(this.#snapshots, length);
    this.#nodes = grown(this.#nodes, length);
  }
}

/** A node with its models as they are compared. */
export function indexed(node: Node): IndexedNode {
  return { ...node, modelKeys: node.items.map((item) => modelKey(item.model)) };
}
