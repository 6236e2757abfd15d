/**
 * A whole installation for one test: nats-server, the embedded engine, streams and schema, in a folder of its own
 * that goes when the test has ended, however it ended.
 *
 * Every processor has a connection of its own, so that it can be lost as in a crash; and the warehouse it writes to
 * can be steered, so that a test decides when an insert goes through.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { JetStreamManager, NatsConnection } from "nats";
import * as assert from "uvu/assert";
import { initialise } from "../../src/cli/init.ts";
import { startProcessor } from "../../src/cli/run.ts";
import { type ClickHouse, openClickHouse } from "../../src/clickhouse/client.ts";
import { digests } from "../../src/clickhouse/digest.ts";
import { type Config, type Overrides, resolveConfig } from "../../src/config.ts";
import { LatecomerError } from "../../src/errors.ts";
import { serveClickHouse } from "../../src/local/clickhouse-http.ts";
import { type LocalNats, startNatsServer } from "../../src/local/nats-server.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { publishMessages } from "../../src/nats/publish.ts";
import type { Checkpoint } from "../../src/core/checkpoint.ts";
import type { Log, LogFields, ReadFrom } from "../../src/ports.ts";
import type { Processor } from "../../src/runtime/processor.ts";

const PRODUCTION = new URL("../fixtures/production/", import.meta.url);

/** Longer than anything here takes on a loaded machine, shorter than the runner's patience. */
const DEADLINE_MS = 60_000;

/** Rejects, saying what was waited for, when the work takes too long. */
export async function within<Result>(what: string, work: Promise<Result>, ms = DEADLINE_MS): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${ms} ms still not: ${what}`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until something holds. */
export async function eventually(what: string, holds: () => Promise<boolean> | boolean, ms = DEADLINE_MS) {
  for (const deadline = Date.now() + ms; !(await holds());) {
    if (Date.now() > deadline) throw new Error(`after ${ms} ms still not: ${what}`);
    await pause(20);
  }
}

/** Runs with a temporary folder. */
export async function inFolder<Result>(run: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "latecomer-test-"));
  try {
    return await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The envelopes of the production files, as bytes; one file, or all of them in the order of their names. */
export function productionEvents(file?: string): Uint8Array[] {
  const files = readdirSync(PRODUCTION).filter((name) => name.endsWith(".jsonl") && (file ?? name) === name).sort();
  return files.flatMap((name) => readFileSync(new URL(name, PRODUCTION), "utf8").trim().split("\n").map(encode));
}

export const GATEWAY_LOG = "gateway_log_2026-01-08.jsonl";

export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function typeOf(bytes: Uint8Array): string {
  return (JSON.parse(new TextDecoder().decode(bytes)) as { type: string }).type;
}

/** A log that is kept to be looked at. */
export class Journal implements Log {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: LogFields }[] = [];

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: "debug", message, fields });
  }
  info(fields: LogFields, message: string): void {
    this.lines.push({ level: "info", message, fields });
  }
  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: "warn", message, fields });
  }
  error(fields: LogFields, message: string): void {
    this.lines.push({ level: "error", message, fields });
  }
}

/** What happens before an insert: returns to let it through, waits or throws to hold it up. */
export type BeforeInsert = (table: string, rows: number) => Promise<void> | void;

/** A processor in this process. */
export interface Running {
  readonly processor: Processor;
  /** Resolves when everything stored is processed. */
  drained(): Promise<void>;
  /** Drains what it has in hand and leaves. */
  stop(): Promise<void>;
  /** Vanishes without a last word: nothing of it reaches NATS or ClickHouse any more. */
  crash(): Promise<void>;
}

/** Where a source begins of which nothing is known. */
export const FROM_THE_START: ReadFrom = { fromSequence: 1, known: { streamSequence: 0, storedAtMs: 0 } };

export interface PublishedAs {
  readonly messageIds?: boolean;
  readonly partitions?: number;
}

/** A checkpoint at some moment. */
export interface Progress extends Checkpoint {
  readonly partition: string;
  readonly revision: number;
}

/**
 * Fails when a checkpoint has moved back. Looked at by revision: where the leader of a bucket is killed, a watch begins
 * again on one that may not have applied all it has, and tells again what it had told.
 */
export function neverBack(seen: readonly Progress[]): void {
  const last = new Map<string, Progress>();
  for (const now of seen.toSorted((a, b) => a.revision - b.revision)) {
    const before = last.get(now.partition) ?? now;
    const change = `${JSON.stringify(before)} → ${JSON.stringify(now)}`;
    assert.ok(now.doneSeq >= before.doneSeq, change);
    assert.ok(now.rewindSeq >= before.rewindSeq, change);
    last.set(now.partition, now);
  }
}

export class Cluster {
  readonly folder: string;
  readonly nats: LocalNats;
  readonly config: Config;
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly clickhouse: ClickHouse;
  readonly journal = new Journal();
  readonly #running = new Set<Running>();

  constructor(parts: Pick<Cluster, "folder" | "nats" | "config" | "nc" | "jsm" | "clickhouse">) {
    ({ folder: this.folder, nats: this.nats, config: this.config } = parts);
    ({ nc: this.nc, jsm: this.jsm, clickhouse: this.clickhouse } = parts);
  }

  /**
   * Starts a processor; `beforeInsert` steers its inserts. All have one name unless `settings` say otherwise, so each
   * has the leases of the one before it at once, dead or not.
   */
  async start(settings: Partial<Config> = {}, beforeInsert: BeforeInsert = () => {}): Promise<Running> {
    const config = { ...this.config, ...settings };
    const nc = await connectNats(config);
    const isOurs = config.clickhouseUrl === this.config.clickhouseUrl;
    const clickhouse = isOurs
      ? this.clickhouse
      : await openClickHouse(config.clickhouseUrl, { database: config.database });
    let vanish = () => {};
    const gone = new Promise<never>((_, reject) => {
      vanish = () => reject(new LatecomerError("CRASHED", "fatal", "this processor is no more"));
    });
    gone.catch(() => {});
    const steered: ClickHouse = {
      ...clickhouse,
      prepare: (table, columns) => {
        const insert = clickhouse.prepare(table, columns);
        return {
          get rowCount() {
            return insert.rowCount;
          },
          add: (rows) => insert.add(rows),
          run: async () => {
            await Promise.race([gone, beforeInsert(table, insert.rowCount)]);
            await Promise.race([gone, Promise.resolve()]);
            await insert.run();
          },
        };
      },
    };
    const release = async () => {
      await nc.close();
      if (!isOurs) await clickhouse.close();
    };
    const starting = within("processor started", startProcessor(config, nc, steered, this.journal));
    // A connection that is left open keeps the test from ending.
    const processor = await starting.catch(async (error) => {
      await release();
      throw error;
    });
    const leave = async () => {
      this.#running.delete(running);
      await release();
    };
    const running: Running = {
      processor,
      drained: () => within("drained", processor.drained().then(() => processor.settle())),
      stop: async () => {
        try {
          await within("processor stopped", processor.stop());
        } finally {
          await leave();
        }
      },
      crash: async () => {
        vanish();
        const left = leave();
        // Cut off from both sides it can do nothing any more; this ends its loops.
        await within("processor gone", Promise.allSettled([left, processor.stop()]));
      },
    };
    this.#running.add(running);
    return running;
  }

  /** Starts a processor, lets it process everything stored, and stops it. */
  async process(settings: Partial<Config> = {}): Promise<Processor> {
    const running = await this.start(settings);
    await running.drained();
    await running.stop();
    return running.processor;
  }

  async publish(source: string, messages: readonly Uint8Array[], as: PublishedAs = {}): Promise<void> {
    const { messageIds = false, partitions = this.config.partitions } = as;
    await within("published", publishMessages(this.nc, messages, { source, partitions, messageIds, rate: 0 }));
  }

  rows<Row = Record<string, unknown>>(sql: string, params: Record<string, unknown> = {}): Promise<Row[]> {
    return within("query answered", this.clickhouse.rows<Row>(sql, params));
  }

  /** One number out of the warehouse. */
  async count(sql: string, params: Record<string, unknown> = {}): Promise<number> {
    const [row] = await this.rows(sql, params);
    return Number(Object.values(row ?? {})[0]);
  }

  /** The digest of a source's facts in one table. */
  async digest(source: string, table = "fact_stream_status_samples"): Promise<{ rows: number; digest: string }> {
    const all = await digests(this.clickhouse, this.config.database, { source });
    const { rows, digest } = all.find((one) => one.table === table)!;
    return { rows, digest };
  }

  /** The folded facts of a source, versions and all, in one order. */
  facts(source: string): Promise<Record<string, unknown>[]> {
    return this.rows(
      `SELECT * EXCEPT (source, ingestion_timestamp) FROM fact_stream_status_samples_current
       WHERE source = {source:String} ORDER BY sample_ts, source_event_uid`,
      { source },
    );
  }

  /** Keys of a bucket, sorted. */
  async keys(bucket: string): Promise<string[]> {
    const prefix = `$KV.${bucket}.`;
    const { state } = await this.jsm.streams.info(`KV_${bucket}`, { subjects_filter: ">" });
    return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length)).sort();
  }

  async checkpoint(partition: string): Promise<Checkpoint | undefined> {
    const kv = await this.nc.jetstream().views.kv("checkpoints", { bindOnly: true });
    return (await kv.get(partition))?.json<Checkpoint>();
  }

  /** Every value that a checkpoint has, from now on. */
  async watchCheckpoints(): Promise<{ seen: Progress[]; stop: () => void }> {
    const kv = await this.nc.jetstream().views.kv("checkpoints", { bindOnly: true });
    const entries = await kv.watch();
    const seen: Progress[] = [];
    (async () => {
      for await (const entry of entries) {
        if (/^(all|\d+)$/.test(entry.key)) {
          seen.push({ ...entry.json<Checkpoint>(), partition: entry.key, revision: entry.revision });
        }
      }
    })();
    return { seen, stop: () => entries.stop() };
  }

  async storedCount(stream = "LIVEPEER_EVENTS"): Promise<number> {
    return (await this.jsm.streams.info(stream)).state.messages;
  }

  /** Every message of a stream, oldest first. */
  async messages(stream: string): Promise<{ seq: number; subject: string; data: Uint8Array; header: Header }[]> {
    const { state } = await this.jsm.streams.info(stream);
    const found = [];
    for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
      const message = await this.jsm.streams.getMessage(stream, { seq });
      found.push({
        seq,
        subject: message.subject,
        data: message.data,
        header: (name: string) => message.header?.get(name),
      });
    }
    return found;
  }

  /** The ack floors of the attributors' consumers, by partition; the greatest of each. */
  async ackFloors(): Promise<Record<string, number>> {
    const floors: Record<string, number> = {};
    for await (const { name, ack_floor } of this.jsm.consumers.list("LIVEPEER_EVENTS")) {
      const partition = /^attributor-p([^-]+)-/.exec(name)?.[1];
      if (partition === undefined) continue;
      floors[partition] = Math.max(floors[partition] ?? 0, ack_floor.stream_seq);
    }
    return floors;
  }

  /** Ends the processors that a test left behind. */
  async close(): Promise<void> {
    for (const running of [...this.#running]) await running.crash();
  }
}

type Header = (name: string) => string | undefined;

/** Where the parts of an installation are, when not in the folder that goes with the test. */
export interface Places {
  /** Starts NATS, other than as a single server. */
  readonly startNats?: (folder: string) => Promise<LocalNats>;
  /** The engine's folder. */
  readonly engineFolder?: string;
}

/** Runs with a fresh installation. `settings` are texts as in the environment. */
export function withCluster(
  settings: Overrides,
  use: (cluster: Cluster) => Promise<void>,
  places: Places = {},
): Promise<void> {
  return inFolder((folder) => {
    const engine = places.engineFolder ?? join(folder, "clickhouse");
    return install(folder, settings, `chdb:${engine}`, use, places);
  });
}

/** The same with the engine behind HTTP, so that other processes can use it, and lines can be cut. */
export function withServedCluster(
  settings: Overrides,
  use: (cluster: Cluster) => Promise<void>,
  places: Places = {},
): Promise<void> {
  return inFolder(async (folder) => {
    const server = await serveClickHouse(places.engineFolder ?? join(folder, "clickhouse"));
    try {
      await install(folder, { tableRetention: "none", ...settings }, server.url, use, places);
    } finally {
      await server.close();
    }
  });
}

async function install(
  folder: string,
  settings: Overrides,
  clickhouseUrl: string,
  use: (cluster: Cluster) => Promise<void>,
  { startNats = (within) => startNatsServer({ folder: within }) }: Places,
): Promise<void> {
  const nats = await startNats(join(folder, "nats"));
  try {
    const config = resolveConfig({}, { natsUrl: nats.url, clickhouseUrl, lingerMs: "20ms", name: "one", ...settings });
    const nc = await connectNats(config);
    try {
      const jsm = await nc.jetstreamManager();
      await initialise(config, nc, await planStreams(jsm, config), {});
      const clickhouse = await openClickHouse(config.clickhouseUrl, { database: config.database });
      try {
        const cluster = new Cluster({ folder, nats, config, nc, jsm, clickhouse });
        try {
          await use(cluster);
        } finally {
          await cluster.close();
        }
      } finally {
        await clickhouse.close();
      }
    } finally {
      await nc.close();
    }
  } finally {
    await nats.kill();
  }
}

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
/** By its address: the commands run in other folders, where its name means nothing. */
const TSX = import.meta.resolve("tsx");
/** `latecomer` as a program and its first arguments. */
export const PROGRAM = [process.execPath, "--import", TSX, "--no-warnings", MAIN] as const;

export interface CommandOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads from standard input. */
  readonly input?: string;
}

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A command that runs. */
export interface Command {
  readonly pid: number;
  /** What it has written so far. */
  readonly written: { out: string; err: string };
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts `latecomer …` as a process of its own, with none of our environment's settings. */
export function startCommand(args: readonly string[], { cwd, env = {}, input }: CommandOptions): Command {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(LATECOMER_|NATS_|CLICKHOUSE_)/.test(name));
  const child = spawn(PROGRAM[0], [...PROGRAM.slice(1), ...args], {
    cwd,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const written = { out: "", err: "" };
  child.stdout.on("data", (chunk) => written.out += chunk);
  child.stderr.on("data", (chunk) => written.err += chunk);
  child.stdin.on("error", () => {}); // It need not read what it is given.
  child.stdin.end(input ?? "");
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, ...written })));
  return { pid: child.pid!, written, ended, kill: (signal) => child.kill(signal) };
}

/** Runs `latecomer …` to its end, or kills it at the deadline. */
export async function latecomer(args: readonly string[], options: CommandOptions, ms = 60_000): Promise<Ended> {
  const command = startCommand(args, options);
  try {
    return await within(`latecomer ${args.join(" ")}`, command.ended, ms);
  } finally {
    command.kill("SIGKILL");
  }
}
