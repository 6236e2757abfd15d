/**
 * Texts that are the same in many events, each kept once. Every event brings its own copies of the names of its gateway,
 * node and session; of what is kept of it they would be the larger part.
 */

/** Bytes: enough for the ids of thirty thousand sessions, and little to keep of sessions that are gone. */
const MOST_BYTES = 8_000_000;

/** What a text costs beside its characters, here and in itself. */
const BYTES_BESIDE = 64;

export class SharedTexts {
  readonly #texts = new Map<string, string>();
  #bytes = 0;

  /** How many texts are kept. */
  get size(): number {
    return this.#texts.size;
  }

  /** The same text, of which there mostly is one copy only. */
  share(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    const bytes = text.length + BYTES_BESIDE;
    if (this.#bytes + bytes > MOST_BYTES) {
      // What was shared stays so, and what comes begins anew.
      this.#texts.clear();
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    this.#texts.set(text, text);
    return text;
  }
}
