/**
 * Parties: whom observations are of, each under a number for as long as an observation holds it. Those of a session
 * share a party, and the parties of many sessions their gateway and node, so beside its two ids a party is a few numbers.
 */
import { Dictionary } from "./dictionary.ts";
import { hash32 } from "./hash.ts";
import type { ObservedEvent } from "./observed.ts";
import { Places } from "./places.ts";

export type Party = Pick<ObservedEvent, "gateway" | "streamId" | "requestId" | "address" | "url">;

/** What the sessions of a gateway on a node have in common. */
type Origin = Pick<Party, "gateway" | "address" | "url">;

export class Parties {
  readonly #origins = new Dictionary<Origin>();
  readonly #places = new Places((party) => this.#hashOf(party));
  /** Of each party: stream id and request id as one text, and where the second begins. */
  readonly #ids: string[] = [];
  readonly #splits: number[] = [];
  readonly #originNumbers: number[] = [];
  readonly #holders: number[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#places.size;
  }

  /** The number of a party, with one holder more. Numbers are given again: none is above the most that there were at once. */
  hold(party: Party): number {
    const { gateway, streamId, requestId, address, url } = party;
    const known = this.#places.find(hashOf(streamId, requestId, url), (number) => this.#isAt(number, party));
    if (known !== undefined) {
      this.#holders[known]!++;
      return known;
    }
    const number = this.#free.pop() ?? this.#ids.length;
    // One text: added up it would hold on to its parts.
    this.#ids[number] = [streamId, requestId].join("");
    this.#splits[number] = streamId.length;
    this.#originNumbers[number] = this.#origins.hold([gateway, address, url], () => ({ gateway, address, url }));
    this.#holders[number] = 1;
    this.#places.add(number);
    return number;
  }

  /** One holder less; the number of a party that nobody holds goes to another. */
  release(number: number): void {
    if (--this.#holders[number]! > 0) return;
    this.#places.remove(number);
    this.#origins.release(this.#originNumbers[number]!);
    this.#ids[number] = "";
    this.#free.push(number);
  }

  at(number: number): Party {
    const ids = this.#ids[number]!;
    const split = this.#splits[number]!;
    const { gateway, address, url } = this.originOf(number);
    return { gateway, streamId: ids.slice(0, split), requestId: ids.slice(split), address, url };
  }

  originOf(number: number): Origin {
    return this.#origins.at(this.#originNumbers[number]!);
  }

  #isAt(number: number, { gateway, streamId, requestId, address, url }: Party): boolean {
    const ids = this.#ids[number]!;
    if (this.#splits[number] !== streamId.length || ids.length !== streamId.length + requestId.length) return false;
    if (!ids.startsWith(streamId) || !ids.endsWith(requestId)) return false;
    const origin = this.originOf(number);
    return origin.url === url && origin.address === address && origin.gateway === gateway;
  }

  #hashOf(number: number): number {
    const { streamId, requestId, url } = this.at(number);
    return hashOf(streamId, requestId, url);
  }
}

function hashOf(streamId: string, requestId: string, url: string): number {
  return Math.imul(31, Math.imul(31, hash32(streamId)) + hash32(requestId)) + hash32(url) | 0;
}
