/**
 * `npm run bench`: how fast the processor is, as ratios within one run, since machines differ and are shared.
 *
 * The question is what share of the rate of an empty consumer of the same stream is left once messages are decoded,
 * attributed, written to the embedded engine and acknowledged.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AckPolicy, DeliverPolicy, type NatsConnection } from "nats";
import { openClickHouse } from "../../src/clickhouse/client.ts";
import { initialise } from "../../src/cli/init.ts";
import { startProcessor } from "../../src/cli/run.ts";
import { resolveConfig } from "../../src/config.ts";
import { decode } from "../../src/core/decode.ts";
import { judge } from "../../src/core/judge.ts";
import { ensureNatsServer, startNatsServer } from "../../src/local/nats-server.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { publishMessages } from "../../src/nats/publish.ts";
import { openLog } from "../../src/runtime/log.ts";
import { bytesOf } from "../helpers/events.ts";
import { USUAL_MS, usualSession, usualSnapshots } from "../helpers/usual-session.ts";
import { Core, messageOf } from "./core.ts";
import { productionLoad, timeOf, waitingSamples } from "./load.ts";
import type { RollupCost } from "./rollup.ts";
import type { Cost } from "./sessions.ts";

const EVENTS = Number(process.env.BENCH_EVENTS ?? 60_000);
const RUNS = Number(process.env.BENCH_RUNS ?? 3);

/** Open samples that a processor has to restore when it starts. */
const STATE_KEYS = Number(process.env.BENCH_STATE_KEYS ?? 100_000);

/** Sessions that a process holds at once, and the RSS that they may cost, in MiB: 300 MB. */
const SESSIONS = Number(process.env.BENCH_SESSIONS ?? 100_000);
const MOST_RSS_MB = 286;

/**
 * How large V8's heap may become, in MiB, as a pod of 300 MB would set it. Left alone it grows to several times what lives
 * in it: 20,000 sessions at rest then had 412 MiB.
 */
const HEAP = { oldMb: 128, openOldMb: 256, semiMb: 8 };

/** Samples of a month of synthetic facts. */
const SAMPLES = Number(process.env.BENCH_SAMPLES ?? 10_000_000);

interface Figure {
  readonly name: string;
  readonly perSecond: { readonly min: number; readonly median: number; readonly max: number };
  readonly ofEmptyConsumer: number;
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "latecomer-bench-"));
  await ensureNatsServer();
  const nats = await startNatsServer({ folder: join(folder, "nats") });
  try {
    const load = productionLoad(EVENTS);
    const bytes = load.reduce((sum, message) => sum + message.length, 0);
    const config = resolveConfig({}, {
      natsUrl: nats.url,
      clickhouseUrl: `chdb:${join(folder, "clickhouse")}`,
      logLevel: "error",
    });
    const nc = await connectNats(config);
    await initialise(config, nc, await planStreams(await nc.jetstreamManager(), config), {});
    await publishMessages(nc, load, { source: "bench", partitions: 1, messageIds: false, rate: 0 });
    const rates: Record<string, number[]> = {
      "empty consumer": [],
      "empty consumer, one ack in 1,024": [],
      decode: [],
      "the core after decode, no I/O": [],
      "end to end, embedded engine": [],
    };
    for (let run = 0; run < RUNS; run++) {
      rates["empty consumer"]!.push(EVENTS / await emptyConsumer(nc, 1));
      rates["empty consumer, one ack in 1,024"]!.push(EVENTS / await emptyConsumer(nc, 1_024));
      rates.decode!.push(EVENTS / decodeAll(load));
      rates["the core after decode, no I/O"]!.push(EVENTS / deriveAll(load));
      rates["end to end, embedded engine"]!.push(EVENTS / await endToEnd(config, nc, run));
    }
    const starts = await warmUp(config, nc);
    const sessions = {
      entryBytes: entryBytes(),
      bounded: costOf("bounded", SESSIONS),
      resting: costOf("resting", SESSIONS),
      // They cost ten times as much, and no installation has so many of them.
      open: costOf("open", SESSIONS / 10, HEAP.openOldMb),
    };
    const rollup = rollupCost();
    await nc.close();
    const empty = median(rates["empty consumer"]!);
    const figures: Figure[] = Object.entries(rates).map(([name, of]) => ({
      name,
      perSecond: { min: Math.min(...of), median: median(of), max: Math.max(...of) },
      ofEmptyConsumer: median(of) / empty,
    }));
    const result = {
      machine: `${cpus().length} × ${cpus()[0]?.model}`,
      node: process.version,
      events: EVENTS,
      averageBytes: Math.round(bytes / EVENTS),
      runs: RUNS,
      figures,
      starts,
      sessions,
      rollup,
      peakRssMb: Math.round(process.resourceUsage().maxRSS / 1_024),
    };
    console.log(JSON.stringify(result, null, 2));
    for (const { name, perSecond, ofEmptyConsumer } of figures) {
      const rate = Math.round(perSecond.median).toLocaleString("en");
      console.error(
        `${name.padEnd(34)} ${rate.padStart(10)} events/s   ${ofEmptyConsumer.toFixed(2)} of the empty consumer`,
      );
    }
    console.error(`ready from empty state                 ${starts.emptySeconds.toFixed(2)} s`);
    console.error(
      `ready from ${starts.stateKeys.toLocaleString("en")} open samples        ${starts.warmSeconds.toFixed(2)} s`,
    );
    console.error(`entry of a session of 20 events        ${sessions.entryBytes.toLocaleString("en")} bytes`);
    const { bounded, resting, open } = sessions;
    for (const [kind, cost] of Object.entries({ bounded, resting, open })) {
      const count = cost.sessions.toLocaleString("en");
      const each = cost.bytesPerSession.toLocaleString("en");
      const bound = kind === "open" ? "" : ` of at most ${MOST_RSS_MB}`;
      console.error(
        `${`${count} sessions in memory, ${kind}`.padEnd(38)} ${cost.rssMb} MiB RSS${bound}, ${each} bytes each`,
      );
    }
    console.error(`v_api_gpu_metrics over 24 h of a month         ${rollup.gpuMetrics.medianMs} ms`);
    for (const { of, minutes, ms } of rollup.corrections) {
      console.error(`${`1,000 samples of ${of} corrected`.padEnd(46)} ${ms} ms for ${minutes} minutes`);
    }
  } finally {
    await nats.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

/**
 * Seconds to read every message once through the client's own `consume()`, doing nothing with it but an ack.
 * With an ack for each message it is what a consumer does that owes nobody anything else; with one ack for many it
 * is the ceiling of the transport.
 */
async function emptyConsumer(nc: NatsConnection, messagesPerAck: number): Promise<number> {
  const jsm = await nc.jetstreamManager();
  const { name } = await jsm.consumers.add("LIVEPEER_EVENTS", {
    durable_name: `empty-${Math.round(performance.now())}`,
    ack_policy: AckPolicy.All,
    deliver_policy: DeliverPolicy.All,
    max_ack_pending: -1,
  });
  const consumer = await nc.jetstream().consumers.get("LIVEPEER_EVENTS", name);
  const started = performance.now();
  const messages = await consumer.consume({ max_messages: 2_048 });
  let seen = 0;
  for await (const message of messages) {
    if (++seen % messagesPerAck === 0) message.ack();
    if (seen === EVENTS) break;
  }
  const seconds = (performance.now() - started) / 1_000;
  await jsm.consumers.delete("LIVEPEER_EVENTS", name);
  return seconds;
}

function decodeAll(load: readonly Uint8Array[]): number {
  const started = performance.now();
  let accepted = 0;
  for (const bytes of load) {
    const message = { subject: "events.bench.x.0", bytes, streamSequence: 1, streamTimeMs: Date.now() };
    if (decode(message).outcome === "accepted") accepted++;
  }
  if (accepted !== load.length) throw new Error(`${load.length - accepted} events of the load were not accepted`);
  return (performance.now() - started) / 1_000;
}

/** Seconds to take messages that are decoded already and to seal their batches, sessions and their entries included. */
function deriveAll(load: readonly Uint8Array[]): number {
  const judged = load.map((bytes, at) => judge(messageOf(bytes, at + 1, timeOf(at))));
  const core = new Core();
  const started = performance.now();
  for (const [at, bytes] of load.entries()) core.take(bytes, timeOf(at), judged[at]);
  core.seal();
  return (performance.now() - started) / 1_000;
}

/** The size of the entry of a session of twenty events on four snapshots. */
function entryBytes(): number {
  const core = new Core({ sessionLagMs: 0, allowedLatenessMs: 0 });
  for (const { envelope } of [...usualSnapshots(), ...usualSession(0)]) {
    core.take(bytesOf(envelope), USUAL_MS + 3_600_000);
    if (envelope.type === "network_capabilities") core.seal();
  }
  const { value } = core.seal().state.find(({ bucket }) => bucket === "workflow_sessions")!;
  return new TextEncoder().encode(value!).length;
}

/** What rollup and serving cost; an engine of its own, so that a process of its own. */
function rollupCost(): RollupCost {
  const script = fileURLToPath(new URL("rollup.js", import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [script, String(SAMPLES)], { encoding: "utf8" })) as RollupCost;
}

/** What sessions in memory cost; the process is one of its own, so that nothing else is counted. */
function costOf(kind: "bounded" | "resting" | "open", count: number, oldMb = HEAP.oldMb): Cost {
  const script = fileURLToPath(new URL("sessions.js", import.meta.url));
  const flags = ["--expose-gc", `--max-old-space-size=${oldMb}`, `--max-semi-space-size=${HEAP.semiMb}`];
  const printed = execFileSync(process.execPath, [...flags, script, kind, String(count)], { encoding: "utf8" });
  return JSON.parse(printed) as Cost;
}

/** Seconds from the start of a processor without state until every row is stored and every message acknowledged. */
async function endToEnd(config: ReturnType<typeof resolveConfig>, nc: NatsConnection, run: number): Promise<number> {
  // A database of its own for each run, so that what is counted below is what this run stored.
  const own = { ...config, database: `bench_${run}` };
  const jsm = await nc.jetstreamManager();
  await forgetAll(nc);
  await initialise(own, nc, await planStreams(jsm, own), {});
  const clickhouse = await openClickHouse(own.clickhouseUrl, { database: own.database });
  const started = performance.now();
  const processor = await startProcessor(own, nc, clickhouse, openLog("error", false));
  await processor.drained();
  const seconds = (performance.now() - started) / 1_000;
  await processor.stop();
  const [stored] = await clickhouse.rows<{ n: string }>("SELECT count() AS n FROM raw_streaming_events FINAL");
  await clickhouse.close();
  // Success of an insert proves nothing here; rows do.
  if (Number(stored?.n) !== EVENTS) throw new Error(`${stored?.n} of ${EVENTS} messages are in the archive`);
  return seconds;
}

/** Without state, as if nothing had ever been processed. */
async function forgetAll(nc: NatsConnection): Promise<void> {
  const jsm = await nc.jetstreamManager();
  for (const bucket of ["checkpoints", "unmatched_status", "capability_snapshots", "leases"]) {
    await jsm.streams.purge(`KV_${bucket}`);
  }
}

/** Seconds until a processor reads its partitions: with nothing to restore, and with samples that all wait. */
async function warmUp(config: ReturnType<typeof resolveConfig>, nc: NatsConnection) {
  const own = { ...config, database: "bench_starts" };
  const jsm = await nc.jetstreamManager();
  await forgetAll(nc);
  await jsm.streams.purge("LIVEPEER_EVENTS");
  await initialise(own, nc, await planStreams(jsm, own), {});
  const clickhouse = await openClickHouse(own.clickhouseUrl, { database: own.database });
  const secondsToStart = async () => {
    const started = performance.now();
    const processor = await startProcessor(own, nc, clickhouse, openLog("error", false));
    return { processor, seconds: (performance.now() - started) / 1_000 };
  };
  const empty = await secondsToStart();
  await publishMessages(nc, waitingSamples(STATE_KEYS), {
    source: "waiting",
    partitions: 1,
    messageIds: false,
    rate: 0,
  });
  await empty.processor.drained();
  await empty.processor.stop();
  const warm = await secondsToStart();
  const { openCount } = warm.processor;
  await warm.processor.stop();
  await clickhouse.close();
  if (openCount !== STATE_KEYS) throw new Error(`${openCount} of ${STATE_KEYS} samples are open again`);
  return { stateKeys: STATE_KEYS, emptySeconds: empty.seconds, warmSeconds: warm.seconds };
}

await main();
process.exit(0);
