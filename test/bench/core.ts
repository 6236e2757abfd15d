/** The core of a processor with no world around it: messages in, effects out, none of them carried out. */
import { resolveConfig } from "../../src/config.ts";
import { SnapshotFeed } from "../../src/core/feed.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import { judge, type Judged } from "../../src/core/judge.ts";
import { readSnapshotEntry } from "../../src/core/snapshot.ts";
import type { Effects } from "../../src/core/effects.ts";
import { FROM_THE_START, PartitionState, type StepSettings } from "../../src/core/step.ts";
import { SESSION_LAG_MS } from "../../src/cli/run.ts";

const config = resolveConfig({}, { natsUrl: "nats://nowhere", clickhouseUrl: "http://nowhere" });

/** Of allowed lateness five minutes, for which the bound of memory is told. */
export const LATENESS_MS = 5 * 60_000;

/** Messages after which a pipeline takes rows over, as many as it reads at once. */
export const SLICE = 128;

/** What a core hands over: each batch, and before that its rows a few at a time. */
interface Handed {
  readonly sealed?: (effects: Effects) => void;
  readonly rows?: (rows: Effects["rows"]) => void;
}

export class Core {
  readonly state: PartitionState;
  readonly #feed: SnapshotFeed;
  readonly #handed: Handed;
  #sequence = 0;

  /** With the settings that a processor has when it is given none, but for these. */
  constructor(settings: Partial<StepSettings> = {}, handed: Handed = {}) {
    this.#handed = handed;
    const all: StepSettings = {
      ttl: { beforeMs: config.ttlBeforeMs, afterMs: config.ttlAfterMs },
      allowedLatenessMs: config.allowedLatenessMs,
      generation: 1,
      contentHash: "0123456789abcdef",
      mostOpen: config.maxOpen,
      mostSessions: config.maxSessions,
      sessionLagMs: SESSION_LAG_MS,
      leftOut: new Set(),
      mostSeen: config.maxSeen,
      ...settings,
    };
    this.#feed = new SnapshotFeed({ ...all, mostSightings: config.maxSightings });
    this.state = new PartitionState(all, this.#feed, FROM_THE_START);
  }

  /** Takes a message that is stored at this time, and seals once a batch is full. */
  take(bytes: Uint8Array, streamTimeMs: number, judged?: Judged): void {
    const message = messageOf(bytes, ++this.#sequence, streamTimeMs);
    const own = judged ?? judge(message);
    this.state.take(message, own);
    // The broadcast brings it within milliseconds.
    if (own.snapshot !== undefined) {
      const snapshot = readSnapshotEntry(own.snapshot.value!)!;
      this.state.correct(snapshot, this.#feed.apply(snapshot));
    }
    if (this.#sequence % SLICE === 0) this.#handOver();
    // The share of one of two partitions.
    if (this.state.pending >= config.batchRows / 2) this.seal();
  }

  #handOver(): void {
    const rows = this.state.takeRows();
    this.#handed.rows?.(rows);
  }

  /** Ends a batch. */
  seal(): Effects {
    const effects = this.state.seal();
    this.#handed.sealed?.(effects);
    return effects;
  }
}

/** A message of the benchmark's source; its subject need only tell a capability message, and is made while one measures. */
export function messageOf(bytes: Uint8Array, streamSequence: number, streamTimeMs: number): StoredMessage {
  const type = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, HEAD)).includes(CAPABILITIES)
    ? CAPABILITIES
    : "x";
  return { subject: `events.bench.${type}.0`, bytes, streamSequence, streamTimeMs };
}

const CAPABILITIES = "network_capabilities";

/** An envelope's id and type lie within so many bytes. */
const HEAD = 160;
