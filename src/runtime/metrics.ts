/**
 * The metrics, as deploy/METRICS.md lists them. The core counts and the shell observes: batches when they are committed,
 * inserts and buckets by ports around ports, and the rest when the page is read. Nothing is done for a single event.
 *
 * Every label has few values: ids, urls and addresses are none, types on no list are `other`, and of the sources the
 * first `MOST_SOURCES` are told apart.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { StartFinding } from "../core/checkpoint.ts";
import { REASONS } from "../core/decode.ts";
import type { Effects } from "../core/effects.ts";
import { EVENT_TYPES } from "../core/noise.ts";
import type { Backlog, Bucket, Buckets, RollupStore } from "../ports.ts";

/** Sources whose feeds have a label of their own. */
const MOST_SOURCES = 20;

/** What the page tells of the moment; what is not known is undefined. */
export interface Readings {
  readonly isReady: boolean;
  readonly isUp: Readonly<Record<"nats" | "clickhouse", boolean>>;
  readonly generation: number;
  readonly backlogs: ReadonlyMap<string, Backlog> | undefined;
  /** F of each source, in Unix milliseconds. */
  readonly feedTimes: ReadonlyMap<string, number>;
  readonly open: { readonly stream: number; readonly bucket: number };
  readonly sessions: number;
  /** What is held up: an attempt failed and is repeated, or takes too long. */
  readonly stalled: { readonly partitions: number; readonly rollup: number };
  readonly bucketEntries: ReadonlyMap<string, number> | undefined;
  readonly dirtyMinutes: Backlog | undefined;
  readonly counts: ReadonlyMap<string, number>;
}

/** Counts that are metrics: name → metric without `latecomer_` and `_total`, and its help. */
export const COUNTED: Readonly<Record<string, readonly [metric: string, help: string]>> = {
  first_rows: ["first_rows", "Observations that were attributed when they came, or again after a start"],
  corrections: ["corrections", "Observations that better evidence has corrected"],
  id_conflict: ["id_conflicts", "Events that have the id of another event"],
  session_events_ignored: ["session_events_ignored", "Events that a session's bounds did not let in"],
  capability_entries_unreadable: ["capability_entries_unreadable", "Entries of capability messages that were left out"],
  observations_evicted: ["observations_evicted", "Open observations closed early by LATECOMER_MAX_OPEN"],
  observations_starved: ["observations_starved", "Observations whose TTL reaches back to snapshots that were dropped"],
  snapshots_dropped: ["snapshots_dropped", "Snapshots dropped by LATECOMER_MAX_SIGHTINGS"],
  late_snapshot: ["late_snapshots", "Snapshots later than the allowed lateness"],
  leases_lost: ["leases_lost", "Partitions that another process took"],
  consumers_rebound: ["consumers_rebound", "Consumers that fell silent and were replaced"],
  stream_gap_messages: ["stream_gap_messages", "Messages that the stream dropped before they were read"],
  rows_withheld: ["rows_withheld", "Rows of facts that somebody else writes"],
  attempts_failed: ["attempts_failed", "Attempts that failed and were repeated"],
  minutes_recomputed: ["minutes_recomputed", "Minutes of the rollup that were recomputed"],
  marks_finished: ["marks_finished", "Marks of minutes that were finished"],
};

/** Counts of what a start has found, told as one metric. */
const START_FINDINGS: Readonly<Record<Exclude<StartFinding["kind"], "no_checkpoint">, true>> = {
  checkpoint_corrupt: true,
  other_settings: true,
  state_purged: true,
  entries_differ: true,
  stream_rewritten: true,
  head_expired: true,
};

/** Facts whose rows say whether they are attributed, by what is observed. */
const FACT_OF = { sample: "fact_stream_status_samples", edge: "fact_stream_trace_edges" } as const;

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const DELAY_SECONDS = [1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 259_200];

export class Metrics {
  readonly registry = new Registry();
  readonly #ready = this.#gauge("ready", "1 when the process is ready, as /readyz says");
  readonly #up = this.#gauge("dependency_up", "1 when the dependency answers", "dependency");
  readonly #generation = this.#gauge("generation", "The generation that rows are written under");
  readonly #lag = this.#gauge(
    "lag_messages",
    "Messages stored and not acknowledged, of the partitions held",
    "partition",
  );
  readonly #lagAge = this.#gauge("lag_seconds", "How long the oldest of these has been stored", "partition");
  readonly #feedDelay = this.#gauge(
    "snapshot_feed_delay_seconds",
    "Age of the newest snapshot, by event time",
    "source",
  );
  readonly #open = this.#gauge(
    "open_observations",
    "Observations that evidence may correct, by where they wait",
    "kept",
  );
  readonly #sessions = this.#gauge("sessions", "Sessions in memory");
  readonly #stalled = this.#gauge("stalled", "Partitions and rollups whose work is held up", "work");
  readonly #entries = this.#gauge("bucket_entries", "Entries of a bucket, those of all processes", "bucket");
  readonly #dirty = this.#gauge("dirty_minutes", "Minutes that wait to be recomputed, for all workers");
  readonly #dirtyAge = this.#gauge("dirty_minutes_seconds", "How long the oldest of these has waited");
  readonly #events = this.#counter("events", "Messages processed", "outcome", "type");
  readonly #attributions = this.#counter("attribution_rows", "Rows of observations, corrections too", "fact", "result");
  readonly #deadLetters = this.#counter("dead_letters", "Messages refused", "reason");
  readonly #rows = this.#counter("rows_inserted", "Rows that ClickHouse has accepted", "table");
  readonly #findings = this.#counter("start_findings", "What did not fit when a partition was started", "finding");
  readonly #counted = new Map(
    Object.entries(COUNTED).map(([name, [metric, help]]) => [name, this.#counter(metric, help)]),
  );
  readonly #correction = this.#histogram(
    "correction_delay_seconds",
    "From an event's time to its correction",
    DELAY_SECONDS,
  );
  readonly #insert = this.#histogram("insert_seconds", "Inserts, those that failed too", REQUEST_SECONDS, "table");
  readonly #bucket = this.#histogram("bucket_seconds", "Requests to buckets", REQUEST_SECONDS, "bucket", "operation");
  readonly #recompute = this.#histogram("rollup_recompute_seconds", "Recomputing the minutes in hand", REQUEST_SECONDS);

  constructor() {
    // Prometheus sees no increase in a series that begins with its first letters.
    for (const reason of Object.keys(REASONS)) this.#deadLetters.inc({ reason }, 0);
  }

  /** Observes a batch that was committed. */
  readonly committed = ({ messages, findings, deadLetters, correctedMs }: Effects): void => {
    for (const [outcome, types] of messages) {
      for (const [type, count] of types) {
        this.#events.inc({ outcome, type: EVENT_TYPES.has(type) ? type : "other" }, count);
      }
    }
    for (const [kind, reasons] of findings) {
      for (const [reason, count] of reasons) {
        this.#attributions.inc({ fact: FACT_OF[kind], result: reason === "" ? "attributed" : reason }, count);
      }
    }
    for (const { reason } of deadLetters) this.#deadLetters.inc({ reason });
    const nowMs = Date.now();
    for (const eventTimeMs of correctedMs) this.#correction.observe(secondsBetween(eventTimeMs, nowMs));
  };

  /** Observes an insert; of one that failed no row was accepted. */
  readonly inserted = (table: string, rowCount: number, tookMs: number): void => {
    this.#insert.observe({ table }, tookMs / 1_000);
    this.#rows.inc({ table }, rowCount);
  };

  /** The same buckets, each request timed. */
  buckets(buckets: Buckets): Buckets {
    const timed = Object.entries(buckets).map(([name, bucket]) => [name, this.#timed(name, bucket as Bucket)]);
    return Object.fromEntries(timed) as Buckets;
  }

  /** The same store, what it recomputes timed. */
  rollups(store: RollupStore): RollupStore {
    return { recompute: timing(this.#recompute, (minutes) => store.recompute(minutes)) };
  }

  /** The page, in Prometheus' text format. */
  async page(readings: Readings): Promise<string> {
    const { isReady, isUp, generation, backlogs, feedTimes, open, sessions, stalled, bucketEntries, dirtyMinutes } =
      readings;
    const nowMs = Date.now();
    this.#ready.set(isReady ? 1 : 0);
    for (const [dependency, up] of Object.entries(isUp)) this.#up.set({ dependency }, up ? 1 : 0);
    this.#generation.set(generation);
    // What is no longer held or not known must not stand as it was.
    for (const gauge of [this.#lag, this.#lagAge, this.#feedDelay, this.#entries]) gauge.reset();
    for (const [partition, { pending, oldestMs }] of backlogs ?? []) {
      this.#lag.set({ partition }, pending);
      this.#lagAge.set({ partition }, pending === 0 ? 0 : secondsBetween(oldestMs, nowMs));
    }
    const feeds = [...feedTimes].filter(([_, timeMs]) => Number.isFinite(timeMs)).slice(0, MOST_SOURCES);
    for (const [source, timeMs] of feeds) this.#feedDelay.set({ source }, secondsBetween(timeMs, nowMs));
    for (const [kept, count] of Object.entries(open)) this.#open.set({ kept }, count);
    this.#sessions.set(sessions);
    for (const [work, count] of Object.entries(stalled)) this.#stalled.set({ work }, count);
    for (const [bucket, count] of bucketEntries ?? []) this.#entries.set({ bucket }, count);
    this.#dirty.set(dirtyMinutes?.pending ?? NaN);
    this.#dirtyAge.set(dirtyMinutes?.pending === 0 ? 0 : secondsBetween(dirtyMinutes?.oldestMs ?? NaN, nowMs));
    this.#tellCounts(readings.counts);
    return await this.registry.metrics();
  }

  #tellCounts(counts: ReadonlyMap<string, number>): void {
    for (const [name, counter] of this.#counted) {
      counter.reset();
      counter.inc(counts.get(name) ?? 0);
    }
    this.#findings.reset();
    for (const finding of Object.keys(START_FINDINGS)) this.#findings.inc({ finding }, counts.get(finding) ?? 0);
  }

  #timed(name: string, bucket: Bucket): Bucket {
    const timer = (operation: string) => this.#bucket.labels(name, operation);
    return {
      get: timing(timer("get"), (key) => bucket.get(key)),
      put: timing(timer("put"), (key, value, revision) => bucket.put(key, value, revision)),
      remove: timing(timer("remove"), (key) => bucket.remove(key)),
      removeUnder: timing(timer("remove"), (token) => bucket.removeUnder(token)),
      entries: timing(timer("entries"), () => bucket.entries()),
    };
  }

  #gauge(name: string, help: string, ...labelNames: string[]): Gauge {
    return new Gauge({ name: `latecomer_${name}`, help, labelNames, registers: [this.registry] });
  }

  #counter(name: string, help: string, ...labelNames: string[]): Counter {
    return new Counter({ name: `latecomer_${name}_total`, help, labelNames, registers: [this.registry] });
  }

  #histogram(name: string, help: string, buckets: number[], ...labelNames: string[]): Histogram {
    return new Histogram({ name: `latecomer_${name}`, help, buckets, labelNames, registers: [this.registry] });
  }
}

/** Does the same, and observes how long it took, also when it failed: what timed out is what matters. */
function timing<Arguments extends unknown[], Result>(
  histogram: { observe(seconds: number): void },
  work: (...given: Arguments) => Promise<Result>,
): (...given: Arguments) => Promise<Result> {
  return async (...given) => {
    const started = performance.now();
    try {
      return await work(...given);
    } finally {
      histogram.observe((performance.now() - started) / 1_000);
    }
  };
}

function secondsBetween(fromMs: number, toMs: number): number {
  return Math.max(0, toMs - fromMs) / 1_000;
}
