/**
 * Processors that are broken on purpose, each by ports that do what a defect of the processor would: the simulation
 * must find every one of them. Beside them stand two that are broken and harmless, because the design does not rest
 * on what they break.
 */
import type { Row } from "../../src/core/emit/row.ts";
import { judge } from "../../src/core/judge.ts";
import type { LiveSource } from "../../src/ports.ts";
import type { ProcessorPorts } from "../../src/runtime/processor.ts";
import { sinkOf, type Write, writeOf } from "../helpers/sinks.ts";
import { openBucket } from "./bucket.ts";
import { minutesOf } from "./dirty.ts";
import { type OpenPorts, openPorts, type Servers } from "./installation.ts";
import type { Process } from "./process.ts";
import { bindOwn, openEventStream } from "./source.ts";
import { partitionIn } from "./stream.ts";
import type { Finding } from "./verdict.ts";

const isFact = (table: string): boolean => table.startsWith("fact_");

/** Replaces the ports' way to write rows. */
function withSink(ports: ProcessorPorts, wrap: (write: Write) => Write): ProcessorPorts {
  return { ...ports, sink: sinkOf(wrap(writeOf(ports.sink))) };
}

/** Replaces the sources that the ports open. */
function withSources(
  ports: ProcessorPorts,
  wrap: (source: LiveSource, partition: string, doneSeq: number) => Partial<LiveSource>,
): ProcessorPorts {
  const open: ProcessorPorts["stream"]["open"] = async (partition, from, reader, onRebound) => {
    const source = await ports.stream.open(partition, from, reader, onRebound);
    const sound: LiveSource = {
      read: (most, waitMs) => source.read(most, waitMs),
      nextSequence: () => source.nextSequence(),
      ack: (seq) => source.ack(seq),
      drainedUpTo: () => source.drainedUpTo(),
      backlog: () => source.backlog(),
      close: () => source.close(),
    };
    return { ...sound, ...wrap(source, partition, from.known.streamSequence) };
  };
  return { ...ports, stream: { ...ports.stream, open } };
}

/** Does something in the background until it succeeds; a crash ends it. */
function eventually(process: Process, work: () => Promise<unknown>): void {
  work().catch(() => process.clock.sleep(100).then(() => eventually(process, work)));
}

/** Each process counts the rows it writes, and calls that their version. */
const countedVersions: OpenPorts = (servers, process) => {
  let count = 0;
  return withSink(
    openPorts(servers, process),
    (write) => (table, rows) =>
      write(table, isFact(table) ? rows.map((row): Row => ({ ...row, version: `${++count}` })) : rows),
  );
};

/** Checkpoint and ack do not wait for the rows. */
const progressBeforeRows: OpenPorts = (servers, process) =>
  withSink(openPorts(servers, process), (write) => (table, rows) => {
    eventually(process, () => write(table, rows));
    return Promise.resolve();
  });

/** Checkpoint and ack do not wait for the state. */
const progressBeforeState: OpenPorts = (servers, process) =>
  openPorts(servers, process, (server) => {
    const bucket = openBucket(server, process);
    if (server.name === "checkpoints") return bucket;
    return {
      ...bucket,
      put: (key, value, revision) => {
        eventually(process, () => bucket.put(key, value, revision));
        return Promise.resolve(1);
      },
    };
  });

/** All owners of a partition pull from one durable consumer, and each goes on where the last ack was. */
const sharedDurable: OpenPorts = (servers, process) => {
  const stream = openEventStream(servers.stream, process, (stream, partition, name, fromSequence) => {
    const shared = stream.consumers.get(partition) ?? bindOwn(stream, partition, partition, fromSequence);
    stream.consumers.set(name, shared);
    shared.redeliver();
    return shared;
  });
  return { ...openPorts(servers, process), stream };
};

/** Where events are stored, by table-independent key, and the tokens of inserts, of one installation. */
interface Inserted {
  readonly places: Map<string, { readonly partition: string; readonly seq: number }>;
  readonly tokens: Set<string>;
}

const inserted = new WeakMap<Servers, Inserted>();

/** An insert is named by the range of messages that its rows come from, and the same name is not inserted twice. */
const tokenOfRange: OpenPorts = (servers, process) => {
  const { places, tokens } = inserted.get(servers) ?? { places: new Map(), tokens: new Set() };
  inserted.set(servers, { places, tokens });
  return withSink(openPorts(servers, process), (write) => async (table, rows) => {
    if (table === "raw_streaming_events") {
      for (const { source, uid, subject, stream_sequence: seq } of rows) {
        places.set(`${source} ${uid}`, { partition: partitionIn(String(subject)), seq: Number(seq) });
      }
    }
    if (!isFact(table)) return await write(table, rows);
    const found = rows.flatMap((row) => places.get(`${row.source} ${row.source_event_uid}`) ?? []);
    const sequences = found.map(({ seq }) => seq).sort((a, b) => a - b);
    const token = `${table} ${found[0]?.partition} ${sequences[0]}-${sequences.at(-1)}`;
    if (tokens.has(token)) return;
    await write(table, rows);
    tokens.add(token);
  });
};

/** What is read again after a restart is not written again. */
const silentWarmUp: OpenPorts = (servers, process) => {
  const doneSeqs = new Map<string, number>();
  const silent = new Set<string>();
  /** By the rows as they come: an insert that is repeated must leave out the same. */
  const told = new WeakMap<readonly Row[], readonly Row[]>();
  const ports = withSources(openPorts(servers, process), (_, partition, doneSeq) => {
    doneSeqs.set(partition, doneSeq);
    return {};
  });
  return withSink(ports, (write) => async (table, rows) => {
    if (table === "raw_streaming_events") {
      for (const { source, uid, subject, stream_sequence: seq } of rows) {
        if (Number(seq) <= doneSeqs.get(partitionIn(String(subject)))!) silent.add(`${source} ${uid}`);
      }
    }
    if (!isFact(table)) return await write(table, rows);
    const loud = told.get(rows) ?? rows.filter((row) => !silent.delete(`${row.source} ${row.source_event_uid}`));
    told.set(rows, loud);
    if (loud.length > 0) await write(table, loud);
  });
};

/** The times of the samples that a process reads count as the feed's: they close what snapshots should have closed. */
const ownEventTime: OpenPorts = (servers, process) => {
  const ports = openPorts(servers, process);
  let tell: Parameters<typeof ports.broadcast.watch>[0] = () => {};
  const broadcast: typeof ports.broadcast = {
    watch: (onSnapshot) => ports.broadcast.watch(tell = onSnapshot),
  };
  return withSources({ ...ports, broadcast }, (source) => ({
    read: async (most, waitMs) => {
      const messages = await source.read(most, waitMs);
      for (const { decoded } of messages.map(judge)) {
        if (decoded.outcome !== "accepted" || decoded.event.type !== "ai_stream_status") continue;
        const { source, eventTimeMs: timeMs } = decoded.event.head;
        // A snapshot of no node says nothing but the time.
        tell({ source, uid: `clock-${timeMs}`, timeMs, nodes: [] }, true);
      }
      return messages;
    },
  }));
};

/** A session has an entry from when the rewind passes its first event, and what comes later is not added to it. */
const entriesOnce: OpenPorts = (servers, process) =>
  openPorts(servers, process, (server) => {
    const bucket = openBucket(server, process);
    if (server.name !== "workflow_sessions") return bucket;
    return {
      ...bucket,
      put: async (key, value, revision) => server.get(key)?.revision ?? await bucket.put(key, value, revision),
    };
  });

/** Only a batch with messages marks its minutes, and not one that has nothing but corrections. */
const unmarkedCorrections: OpenPorts = (servers, process) => {
  const ports = openPorts(servers, process);
  let hasMessages = false;
  const watching = withSink(ports, (write) => (table, rows) => {
    hasMessages ||= table === "raw_streaming_events";
    return write(table, rows);
  });
  const mark: typeof ports.dirtyMinutes.mark = async (minutes) => {
    if (hasMessages) await ports.dirtyMinutes.mark(minutes);
    hasMessages = false;
  };
  return { ...watching, dirtyMinutes: { mark } };
};

/** A minute is marked before its rows are there: it can be recomputed without them, and the mark is gone. */
const marksBeforeRows: OpenPorts = (servers, process) => {
  const { dirtyMinutes, ...ports } = openPorts(servers, process);
  const marking = withSink(ports as ProcessorPorts, (write) => async (table, rows) => {
    if (table === "fact_stream_status_samples") await dirtyMinutes.mark(minutesOf(rows));
    await write(table, rows);
  });
  return { ...marking, dirtyMinutes: { mark: () => Promise.resolve() } };
};

/** A defect, and what it must be found by: a version that differs is no wrong row yet. */
export interface Mutant {
  readonly ports: OpenPorts;
  readonly foundBy: readonly Finding["kind"][];
}

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  "versions out of a counter": { ports: countedVersions, foundBy: ["content"] },
  "checkpoints and acks that do not wait for rows": { ports: progressBeforeRows, foundBy: ["content", "lost"] },
  "checkpoints and acks that do not wait for state": { ports: progressBeforeState, foundBy: ["content"] },
  "one durable consumer for all owners of a partition": { ports: sharedDurable, foundBy: ["content", "lost"] },
  "insert tokens out of the range of messages": { ports: tokenOfRange, foundBy: ["content"] },
  "a warm-up that writes nothing": { ports: silentWarmUp, foundBy: ["content"] },
  "a partition's own event time as the closing clock": { ports: ownEventTime, foundBy: ["content"] },
  "corrections that mark nothing": { ports: unmarkedCorrections, foundBy: ["lost"] },
  "marks before their rows": { ports: marksBeforeRows, foundBy: ["lost"] },
  "entries of sessions that do not keep up with the rewind": { ports: entriesOnce, foundBy: ["content"] },
};

/** Messages are acknowledged as they are read. Where an owner starts is told by the checkpoint, not by its consumer. */
const ackAtOnce: OpenPorts = (servers, process) =>
  withSources(openPorts(servers, process), (source) => ({
    read: async (most, waitMs) => {
      const messages = await source.read(most, waitMs);
      const last = messages.at(-1);
      if (last !== undefined) await source.ack(last.streamSequence);
      return messages;
    },
  }));

/** State is written before rows and marks, and the checkpoint after all: whoever starts in between reads them again. */
const stateBeforeRows: OpenPorts = (servers, process) => {
  const waiting: (() => Promise<void>)[] = [];
  let flushing = Promise.resolve();
  const flush = () => {
    flushing = flushing.catch(() => {}).then(async () => {
      for (; waiting.length > 0; waiting.shift()) await waiting[0]!();
    });
    return flushing;
  };
  const { dirtyMinutes } = openPorts(servers, process);
  const later = (work: () => Promise<void>) => {
    waiting.push(work);
    return Promise.resolve();
  };
  const ports = openPorts(servers, process, (server) => {
    const bucket = openBucket(server, process);
    if (server.name !== "checkpoints") return bucket;
    return {
      ...bucket,
      put: async (key, value, revision) => {
        await flush();
        return await bucket.put(key, value, revision);
      },
    };
  });
  const deferring = withSink(ports, (write) => (table, rows) => later(() => write(table, rows)));
  const mark: typeof dirtyMinutes.mark = (minutes) => later(() => dirtyMinutes.mark(minutes));
  return withSources({ ...deferring, dirtyMinutes: { mark } }, (source) => ({
    // A checkpoint that stays as it was is not written again.
    ack: async (seq) => {
      await flush();
      await source.ack(seq);
    },
  }));
};

export const HARMLESS: Readonly<Record<string, OpenPorts>> = {
  "acks at the moment of reading": ackAtOnce,
  "state before rows": stateBeforeRows,
};
