/**
 * Where the CPU goes: microseconds of an event in each stage, one stage after the other in this process, with what the
 * same stage costs when it does the least that it could. CPU and not time, so that whoever else uses the machine matters
 * little; garbage collection and the engine's threads are in it.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openClickHouse } from "../../src/clickhouse/client.ts";
import { Block, type Encoded } from "../../src/clickhouse/native.ts";
import { decode } from "../../src/core/decode.ts";
import type { Effects } from "../../src/core/effects.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import { judge, type Judged } from "../../src/core/judge.ts";
import { openBuckets } from "../../src/nats/bucket.ts";
import { ConsumerSource } from "../../src/nats/source.ts";
import { State } from "../../src/runtime/state.ts";
import { Core, messageOf, SLICE } from "./core.ts";
import { timeOf } from "./load.ts";
import type { BlockFile, FormatCost, InsertCost } from "./inserts.ts";
import { begin, printedBy, type Rig } from "./rig.ts";
import { emptyConsumer } from "./throughput.ts";
import { cpu } from "./used.ts";

export interface Stage {
  readonly stage: string;
  /** Microseconds of CPU an event. */
  readonly micros: number;
  /** The least that the stage could do on this machine, undefined where nothing less does it. */
  readonly floorMicros?: number;
  /** What the floor is, and what would bring the stage nearer to it. */
  readonly note: string;
}

export interface Budget {
  readonly stages: readonly Stage[];
  readonly volumes: Volumes;
  /** Of the stage that inserts, by table: rows and microseconds of CPU an event. */
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly micros: number }[];
  /** Microseconds of the engine's CPU to read the rows of an event in a format, and their bytes. */
  readonly formats: readonly FormatCost[];
}

/** What an event brings with it, on the average of the mix. */
export interface Volumes {
  /** In the event stream, with its header. */
  readonly streamBytes: number;
  /** Writes to buckets, and the bytes of their values; checkpoints and leases, which go by time, not among them. */
  readonly stateWrites: number;
  readonly stateBytes: number;
  readonly rows: number;
  /** On ClickHouse's disk, compressed. */
  readonly tableBytes: number;
  /** Microseconds of CPU of one capability message, decoding to rows: one process does it for all sources. */
  readonly snapshotMicros: number;
}

/** The stage that inserts. */
export const ENGINE = "insert, on the engine's side";

type Load = readonly Uint8Array[];

/** The stream must hold the load. */
export async function budgetOf(rig: Rig, load: Load): Promise<Budget> {
  const each = (micros: number) => Math.round(micros / load.length * 10) / 10;
  const own = { ...rig.config, database: "bench_budget" };
  await begin(rig, own);
  const types = await columnTypes();

  const receive = await cpu(() => receiveAll(rig, load.length));
  const receiveFloor = await cpu(() => emptyConsumer(rig.nc, load.length, 1_024));
  const texts = load.map((bytes) => new TextDecoder().decode(bytes));
  const parse = await cpu(() => texts.forEach((text) => JSON.parse(text)));
  const decoding = await cpu(() => load.forEach((bytes, at) => decode(messageOf(bytes, at + 1, timeOf(at)))));

  const spent = { judge: 0, core: 0, encode: 0, state: 0 };
  const moved = { rows: 0, stateWrites: 0, stateBytes: 0 };
  const blocks: BlockFile[] = [];
  const folder = mkdtempSync(join(rig.folder, "blocks-"));
  const state = new State(await openBuckets(rig.nc));
  const sealed: Effects[] = [];
  const handed: Effects["rows"][] = [];
  const core = new Core({}, { sealed: (effects) => sealed.push(effects), rows: (rows) => handed.push(rows) });
  const filling = new Map<string, { readonly block: Block; readonly columns: readonly string[]; rows: number }>();
  const encode = (rows: Effects["rows"]) => {
    for (const [table, list] of rows) {
      let filled = filling.get(table);
      if (filled === undefined) {
        const columns = Object.keys(list[0]!);
        const block = new Block(columns, columns.map((column) => types.get(`${table}.${column}`)!));
        filling.set(table, filled = { block, columns, rows: 0 });
      }
      filled.block.add(list);
      filled.rows += list.length;
      moved.rows += list.length;
    }
  };
  const write = async ({ rows, state: changes }: Effects) => {
    spent.encode += await cpu(() => encode(rows));
    for (const [table, { block, ...one }] of filling) {
      let encoded: Encoded;
      spent.encode += await cpu(() => encoded = block.finish());
      const file = `${blocks.length}.native`;
      writeFileSync(join(folder, file), encoded!.bytes);
      encoded!.release();
      blocks.push({ file, table, ...one });
    }
    filling.clear();
    spent.state += await cpu(() => state.write("0", changes));
    moved.stateWrites += changes.length;
    for (const { value } of changes) moved.stateBytes += value?.length ?? 0;
  };
  const snapshots: StoredMessage[] = [];
  for (let from = 0; from < load.length; from += SLICE) {
    const messages = load.slice(from, from + SLICE).map((bytes, at) =>
      messageOf(bytes, from + at + 1, timeOf(from + at))
    );
    let judged: Judged[] = [];
    spent.judge += await cpu(() => judged = messages.map((message) => judge(message)));
    spent.core += await cpu(() =>
      messages.forEach(({ bytes, streamTimeMs }, at) => core.take(bytes, streamTimeMs, judged[at]))
    );
    spent.encode += await cpu(() => handed.splice(0).forEach(encode));
    snapshots.push(...messages.filter((_, at) => judged[at]!.snapshot !== undefined));
    for (const effects of sealed.splice(0)) await write(effects);
  }
  spent.core += await cpu(() => core.seal());
  for (const effects of sealed) await write(effects);
  const snapshotMicros = await cpu(() => {
    const own = new Core();
    for (const { bytes, streamTimeMs } of snapshots) own.take(bytes, streamTimeMs);
    own.seal();
  });
  writeFileSync(join(folder, "blocks.json"), JSON.stringify(blocks));
  const inserts = JSON.parse(printedBy("inserts.js", [folder])) as InsertCost;
  const { bytes } = (await (await rig.nc.jetstreamManager()).streams.info("LIVEPEER_EVENTS")).state;
  return {
    volumes: {
      streamBytes: Math.round(bytes / load.length),
      stateWrites: each(100 * moved.stateWrites) / 100,
      stateBytes: Math.round(moved.stateBytes / load.length),
      rows: each(moved.rows),
      tableBytes: Math.round(inserts.bytes / load.length),
      snapshotMicros: Math.round(snapshotMicros / snapshots.length),
    },
    stages: [
      stage(
        "receive and ack",
        receive,
        receiveFloor,
        "the client's own consume() with one ack in 1,024; then a parser that reads no headers",
      ),
      stage(
        "decode",
        decoding,
        parse,
        "JSON.parse of text that is there already; then reading the wanted fields from the bytes",
      ),
      stage("judge", spent.judge - decoding, undefined, "session keys, and capability messages cut down to entries"),
      stage(
        "attribute, sessions, rows",
        spent.core,
        undefined,
        "then rows written to bytes at once, with no object between",
      ),
      stage("encode", spent.encode, undefined, "one loop for each column; then columns that the core fills itself"),
      stage(
        ENGINE,
        inserts.insert,
        inserts.floor,
        "the same blocks into tables that keep nothing; then fewer rows and tables: typed rows as views over the archive",
      ),
      stage(
        "state in KV",
        spent.state,
        undefined,
        "compare-and-set, one request an entry; then entries of a batch in one message",
      ),
    ],
    formats: inserts.formats.map(({ format, micros, bytes }) => (
      { format, micros: each(micros), bytes: Math.round(bytes / load.length) }
    )),
    tables: inserts.tables.map((one) => ({ ...one, micros: each(one.micros) })).toSorted((a, b) => b.micros - a.micros),
  };

  function stage(name: string, micros: number, floor: number | undefined, note: string): Stage {
    return { stage: name, micros: each(micros), ...(floor === undefined ? {} : { floorMicros: each(floor) }), note };
  }

  /** The types of all columns, by table and name. */
  async function columnTypes(): Promise<Map<string, string>> {
    const clickhouse = await openClickHouse(own.clickhouseUrl, { database: own.database });
    const found = await clickhouse.rows<{ table: string; name: string; type: string }>(
      "SELECT table, name, type FROM system.columns WHERE database = {database:String}",
      { database: own.database },
    );
    await clickhouse.close();
    return new Map(found.map(({ table, name, type }) => [`${table}.${name}`, type]));
  }
}

async function receiveAll({ nc }: Rig, count: number): Promise<void> {
  const source = new ConsumerSource(nc, await nc.jetstreamManager(), {
    subject: "events.>",
    from: { fromSequence: 1, known: { streamSequence: 0, storedAtMs: 0 } },
    name: "bench-budget",
    durable: false,
    onRebound: () => {},
  });
  for (let seen = 0; seen < count;) {
    const messages = await source.read(10_000, 100);
    seen += messages.length;
    if (messages.length > 0) await source.ack(messages.at(-1)!.streamSequence);
  }
  await source.close();
}
