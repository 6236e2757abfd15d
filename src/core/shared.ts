/**
 * Texts that are the same in many events, each kept once. Every event brings its own copies of the names of its gateway,
 * node and session; of what is kept of it they would be the larger part.
 */

/** Enough for the ids of thirty thousand sessions; more would keep ids long after their sessions. */
const MOST_TEXTS = 65_536;

export class SharedTexts {
  readonly #texts = new Map<string, string>();

  /** The same text, of which there mostly is one copy only. */
  share(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    // What was shared stays so, and what comes begins anew.
    if (this.#texts.size >= MOST_TEXTS) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }
}
