/** A bucket as a server keeps it: revisions, compare-and-set, an age limit, and whoever watches it. */
import type { Bucket, BucketEntry } from "../../src/ports.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";

interface Stored extends BucketEntry {
  readonly storedMs: number;
}

export class BucketServer {
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #ttlMs: number;
  readonly #entries = new Map<string, Stored>();
  readonly #watchers = new Set<(entry: BucketEntry) => void>();
  #revision = 0;

  /** Entries go when they were written `ttlMs` ago. */
  constructor(name: string, scheduler: Scheduler, ttlMs = Infinity) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#ttlMs = ttlMs;
  }

  get(key: string): BucketEntry | undefined {
    this.#expire();
    return this.#entries.get(key);
  }

  /** By revision. */
  list(): BucketEntry[] {
    this.#expire();
    return [...this.#entries.values()].sort((a, b) => a.revision - b.revision);
  }

  put(key: string, value: string, revision: number): number | undefined {
    if ((this.get(key)?.revision ?? 0) !== revision) return undefined;
    const entry = { key, value, revision: ++this.#revision, storedMs: this.#scheduler.nowMs };
    this.#entries.set(key, entry);
    for (const tell of this.#watchers) tell(entry);
    return entry.revision;
  }

  remove(key: string): void {
    this.#entries.delete(key);
  }

  removeUnder(token: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(`${token}.`)) this.#entries.delete(key);
  }

  /** Drops everything, as an operator's purge does. */
  purge(): void {
    this.#entries.clear();
  }

  /** Tells of every later write until the function that is returned is called. */
  watch(tell: (entry: BucketEntry) => void): () => void {
    this.#watchers.add(tell);
    return () => this.#watchers.delete(tell);
  }

  #expire(): void {
    for (const [key, { storedMs }] of this.#entries) {
      if (storedMs + this.#ttlMs < this.#scheduler.nowMs) this.#entries.delete(key);
    }
  }
}

/** The bucket as a process sees it. */
export function openBucket(server: BucketServer, process: Process): Bucket {
  const ask = <Result>(what: string, effect: () => Result) => process.call(`${what} ${server.name}`, effect);
  return {
    get: (key) => ask("get", () => server.get(key)),
    put: (key, value, revision) =>
      ask("put", () => process.faults.happens("conflict") ? undefined : server.put(key, value, revision)),
    remove: (key) => ask("remove", () => server.remove(key)),
    removeUnder: (token) => ask("clear", () => server.removeUnder(token)),
    entries: () => ask("list", () => server.list()),
  };
}
