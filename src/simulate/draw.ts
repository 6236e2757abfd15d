/** Choices out of a seed: the same seed makes the same choices. */
import { seeded } from "../runtime/shuffle.ts";

export class Draw {
  readonly #random: () => number;

  /** `purpose` keeps choices of one kind apart: making more of another kind leaves them as they are. */
  constructor(seed: number, purpose: number) {
    this.#random = seeded(Math.imul(seed, 0x9e3779b1) ^ purpose);
  }

  /** A number in [least, most). */
  between(least: number, most: number): number {
    return least + this.#random() * (most - least);
  }

  /** A whole number from 0 up to and without `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  /** One of the items, each as likely as its weight among all. */
  weighted<Item>(items: readonly (readonly [item: Item, weight: number])[]): Item {
    let rest = this.#random() * items.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [item, weight] of items) if ((rest -= weight) < 0) return item;
    return items.at(-1)![0];
  }

  /** A number in [least, most) whose logarithm is evenly spread: many small ones, few large ones. */
  logarithmic(least: number, most: number): number {
    return least * Math.exp(this.#random() * Math.log(most / least));
  }

  /** Digits in hexadecimal. */
  hex(digits: number): string {
    let text = "";
    while (text.length < digits) text += Math.floor(this.#random() * 0x10000).toString(16).padStart(4, "0");
    return text.slice(0, digits);
  }

  /** A random UUID, version 4. */
  uuid(): string {
    const hex = this.hex(30);
    const variant = "89ab"[this.below(4)];
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(12, 15)}-${variant}${hex.slice(15, 18)}-${
      hex.slice(18)
    }`;
  }
}
