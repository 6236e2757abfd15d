/** The part of a bucket that belongs to one replay: its keys behind the replay's id. */
import type { Bucket, BucketEntry } from "../ports.ts";

export class BucketPart implements Bucket {
  readonly #bucket: Bucket;
  readonly #id: string;

  constructor(bucket: Bucket, id: string) {
    this.#bucket = bucket;
    this.#id = id;
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    const entry = await this.#bucket.get(this.#keyOf(key));
    return entry === undefined ? undefined : { ...entry, key };
  }

  put(key: string, value: string, revision: number): Promise<number | undefined> {
    return this.#bucket.put(this.#keyOf(key), value, revision);
  }

  remove(key: string): Promise<void> {
    return this.#bucket.remove(this.#keyOf(key));
  }

  removeUnder(token: string): Promise<void> {
    return this.#bucket.removeUnder(this.#keyOf(token));
  }

  async entries(): Promise<BucketEntry[]> {
    const own = (await this.#bucket.entries()).filter(({ key }) => key.startsWith(this.#keyOf("")));
    return own.map((entry) => ({ ...entry, key: entry.key.slice(this.#keyOf("").length) }));
  }

  #keyOf(key: string): string {
    return `${this.#id}.${key}`;
  }
}
