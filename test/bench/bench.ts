/**
 * `npm run bench`: how fast the processor is, as ratios within one run, since machines differ and are shared.
 *
 *     npm run bench -- [--quick] [--save-baseline]
 *
 * Writes `latest.json` and `latest.svg` into test/bench/results/, compared with `baseline.json` there where there is one;
 * `--save-baseline` puts the run in its place, with its chart. `--quick` measures less of everything, in minutes.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openClickHouse } from "../../src/clickhouse/client.ts";
import { startProcessor } from "../../src/cli/run.ts";
import type { Config } from "../../src/config.ts";
import { publishMessages } from "../../src/nats/publish.ts";
import { openLog } from "../../src/runtime/log.ts";
import { bytesOf } from "../helpers/events.ts";
import { USUAL_MS, usualSession, usualSnapshots } from "../helpers/usual-session.ts";
import { budgetOf } from "./budget.ts";
import { Core } from "./core.ts";
import type { Empty } from "./empty.ts";
import { emptyRssMb, live } from "./live.ts";
import { productionLoad, simulatedEvents, waitingSamples } from "./load.ts";
import { chartOf, type Figure, type Result, textOf } from "./report.ts";
import { beginEmpty, POD, printedBy, publish, type Rig, startRig } from "./rig.ts";
import type { RollupCost } from "./rollup.ts";
import type { Cost } from "./sessions.ts";
import type { ObservationCost } from "./observations.ts";
import type { Steady } from "./steady.ts";
import { storm } from "./storm.ts";
import { decodeAll, deriveAll, endToEnd, type Run } from "./throughput.ts";

const { values: flags } = parseArgs({
  options: { quick: { type: "boolean", default: false }, "save-baseline": { type: "boolean", default: false } },
});
const isQuick = flags.quick;

const EVENTS = Number(process.env.BENCH_EVENTS ?? (isQuick ? 20_000 : 240_000));
const RUNS = Number(process.env.BENCH_RUNS ?? (isQuick ? 1 : 3));

/** The greatest rate of live traffic, in events a second. */
const MOST_RATE = 10_000;

/** How long live traffic is measured. */
const LIVE_SECONDS = isQuick ? 5 : 20;

/** Samples that one late snapshot corrects. */
const STORM = isQuick ? 20_000 : 100_000;

/** Open samples that a processor has to restore when it starts. */
const STATE_KEYS = isQuick ? 10_000 : 100_000;

/** Sessions that a process holds at once. */
const SESSIONS = isQuick ? 10_000 : 100_000;

/**
 * How large V8's heap may become, in MiB, as a pod of 300 MB would set it. Left alone it grows to several times what lives
 * in it: 20,000 sessions at rest then had 412 MiB.
 */
const HEAP = { oldMb: 128, openOldMb: 256, semiMb: 8 };

/** Matched observations that are open at once. */
const OBSERVATIONS = isQuick ? 100_000 : 1_000_000;

/** Traffic until as many observations close as come, which takes the five minutes of allowed lateness. */
const STEADY = isQuick ? { rate: 100, seconds: 330 } : { rate: 10_000, seconds: 330 };

/** Samples of a month of synthetic facts. */
const SAMPLES = isQuick ? 500_000 : 10_000_000;

/** Beside the sources, for what is built is thrown away. */
const RESULTS = join(process.cwd(), "test", "bench", "results");

async function main(): Promise<void> {
  const loadBefore = Math.round(loadavg()[0]! * 10) / 10;
  const rig = await startRig();
  try {
    const result: Result = { ...about(loadBefore), ...await measured(rig) };
    show(result);
  } finally {
    await rig.stop();
  }
}

function about(loadBefore: number) {
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as Record<
    string,
    Record<string, string>
  >;
  return {
    cores: cpus().length,
    machine: `${cpus().length} × ${cpus()[0]?.model}, Linux ${release()}`,
    versions: { node: process.version, ...dependencies, ...optionalDependencies },
    loadBefore,
  };
}

async function measured(rig: Rig): Promise<Omit<Result, keyof ReturnType<typeof about>>> {
  const load = productionLoad(EVENTS);
  const mixed = Array.from(simulatedEvents(EVENTS, MOST_RATE), ({ bytes }) => bytes);
  const bytes = load.reduce((sum, message) => sum + message.length, 0);
  const runs: Record<string, number[]> = {};
  const note = (name: string, perSecond: number) => (runs[name] ??= []).push(perSecond);
  const within: Run[] = [];
  const remote: Run[] = [];
  const over: Config = { ...rig.config, clickhouseUrl: rig.httpUrl };
  for (let run = 0; run < RUNS; run++) {
    progress(`rates, run ${run + 1} of ${RUNS}`);
    await beginEmpty(rig, rig.config);
    await publish(rig, load);
    note("empty consumer", emptyRate(rig, 1));
    note("empty consumer, one ack in 1,024", emptyRate(rig, 1_024));
    note("decode", decodeAll(load));
    note("the core after decode, no I/O", deriveAll(load));
    const inOne = await endToEnd(rig, load, { ...rig.config, database: `bench_embedded_${run}` });
    note("end to end, embedded", inOne.perSecond);
    within.push(inOne);
    const one = await endToEnd(rig, load, { ...over, database: `bench_http_${run}` });
    note("end to end, HTTP", one.perSecond);
    remote.push(one);
    const all = await endToEnd(rig, mixed, { ...over, database: `bench_mixed_${run}` });
    note("the same of the whole mix, with its noise", all.perSecond);
  }
  progress("two processes");
  const two = await endToEnd(rig, load, { ...over, database: "bench_two", partitions: 2 }, 2);
  progress("budget");
  await beginEmpty(rig, rig.config);
  await publish(rig, load);
  const budget = await budgetOf(rig, load);
  const lives = [];
  for (const rate of [1_000, MOST_RATE]) {
    progress(`live at ${rate} events/s`);
    lives.push(await live(rig, productionLoad(rate * LIVE_SECONDS, rate), rate, `bench_live_${rate}`));
  }
  const emptyRss = await emptyRssMb(rig, productionLoad(MOST_RATE * LIVE_SECONDS, MOST_RATE), MOST_RATE);
  progress("storm, starts, sessions");
  const stormed = storm(STORM);
  const starts = await warmUp(rig);
  const observations = JSON.parse(printedBy("observations.js", [OBSERVATIONS])) as ObservationCost;
  const steadyOf = (load: string) =>
    JSON.parse(printedBy("steady.js", [STEADY.rate, STEADY.seconds, load], POD)) as Steady;
  const steady = steadyOf("production");
  const simulated = steadyOf("simulated");
  const sessions = {
    entryBytes: entryBytes(),
    bounded: costOf("bounded", SESSIONS),
    resting: costOf("resting", SESSIONS),
    // They cost ten times as much, and no installation has so many of them.
    open: costOf("open", SESSIONS / 10, HEAP.openOldMb),
  };
  progress("rollup");
  const empty = median(runs["empty consumer"]!);
  return {
    workload: { events: EVENTS, averageBytes: Math.round(bytes / EVENTS), runs: RUNS },
    figures: Object.entries(runs).map(([name, of]): Figure => ({
      name,
      perSecond: { min: Math.min(...of), median: median(of), max: Math.max(...of) },
      ofEmptyConsumer: median(of) / empty,
    })),
    embedded: medianOf(within),
    processes: { one: medianOf(remote), two },
    budget,
    live: lives,
    emptyRssMb: emptyRss,
    storm: stormed,
    starts,
    observations,
    steady,
    simulated,
    sessions,
    rollup: JSON.parse(printedBy("rollup.js", [SAMPLES])) as RollupCost,
  };
}

function show(result: Result): void {
  const path = join(RESULTS, "baseline.json");
  const baseline = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) as Result : undefined;
  mkdirSync(RESULTS, { recursive: true });
  const json = `${JSON.stringify(result, null, 2)}\n`;
  writeFileSync(join(RESULTS, "latest.json"), json);
  writeFileSync(join(RESULTS, "latest.svg"), chartOf(result, baseline));
  if (flags["save-baseline"]) {
    writeFileSync(path, json);
    writeFileSync(join(RESULTS, "baseline.svg"), chartOf(result, undefined));
  }
  console.log(textOf(result, baseline));
}

function progress(what: string): void {
  console.error(`${(performance.now() / 1_000).toFixed(0).padStart(5)} s  ${what}`);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function medianOf(runs: readonly Run[]): Run {
  return runs.toSorted((a, b) => a.perSecond - b.perSecond)[runs.length >> 1]!;
}

/** The rate of an empty consumer, in a process of its own as the processors are. */
function emptyRate({ config }: Rig, messagesPerAck: number): number {
  return (JSON.parse(printedBy("empty.js", [config.natsUrl, EVENTS, messagesPerAck])) as Empty).perSecond;
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

/** What sessions in memory cost. */
function costOf(kind: "bounded" | "resting" | "open", count: number, oldMb = HEAP.oldMb): Cost {
  const flags = [`--max-old-space-size=${oldMb}`, `--max-semi-space-size=${HEAP.semiMb}`];
  return JSON.parse(printedBy("sessions.js", [kind, count], { ...POD, flags })) as Cost;
}

/** Seconds until a processor reads its partitions: with nothing to restore, and with samples that all wait. */
async function warmUp(rig: Rig) {
  const { nc } = rig;
  const own = { ...rig.config, database: "bench_starts" };
  await beginEmpty(rig, own);
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
