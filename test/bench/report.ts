/** What a run measured: its shape, what it is held against, and how it is shown. */
import { type Budget, ENGINE, type Stage } from "./budget.ts";
import { type Chart, svgOf } from "./chart.ts";
import type { Live } from "./live.ts";
import type { RollupCost } from "./rollup.ts";
import type { Cost } from "./sessions.ts";
import type { ObservationCost } from "./observations.ts";
import type { Steady } from "./steady.ts";
import type { Storm } from "./storm.ts";
import type { Run } from "./throughput.ts";

/** Over the runs, and as a ratio to the median of the empty consumer in the same run of the bench. */
export interface Figure {
  readonly name: string;
  readonly perSecond: { readonly min: number; readonly median: number; readonly max: number };
  readonly ofEmptyConsumer: number;
}

export interface Result {
  readonly cores: number;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Processes that wanted a core before the bench began: above 0 others use the machine. */
  readonly loadBefore: number;
  readonly workload: { readonly events: number; readonly averageBytes: number; readonly runs: number };
  readonly figures: readonly Figure[];
  readonly embedded: Run;
  readonly processes: { readonly one: Run; readonly two: Run };
  readonly budget: Budget;
  readonly live: readonly Live[];
  /** Of the empty consumer at the greatest rate of these. */
  readonly emptyRssMb: number;
  readonly storm: Storm;
  readonly starts: { readonly emptySeconds: number; readonly stateKeys: number; readonly warmSeconds: number };
  readonly observations: ObservationCost;
  readonly steady: Steady;
  readonly simulated: Steady;
  readonly sessions: {
    readonly entryBytes: number;
    readonly bounded: Cost;
    readonly resting: Cost;
    readonly open: Cost;
  };
  readonly rollup: RollupCost;
}

export interface Target {
  readonly what: string;
  readonly reached: number;
  readonly wanted: string;
  readonly isMet: boolean;
}

/** What is to be reached end to end of the rate of a consumer that does nothing. */
const [EMBEDDED_SHARE, HTTP_SHARE] = [0.4, 0.5];

/** What an open observation that is matched may take. */
const MATCHED_BYTES = 64;

/** Linger of a live batch with the default settings, in milliseconds. */
const LINGER_MS = 100;

function targetsOf(
  { figures, processes, live, storm, starts, observations, steady, simulated }: Result,
): Target[] {
  const ratio = (name: string) => figures.find((one) => one.name === name)!.ofEmptyConsumer;
  const at = (rate: number) => live.find((one) => one.rate === rate)!;
  const least = (what: string, reached: number, bound: number): Target => (
    { what, reached: rounded(reached), wanted: `at least ${bound}`, isMet: reached >= bound }
  );
  const most = (what: string, reached: number, bound: number): Target => (
    { what, reached: rounded(reached), wanted: `at most ${bound}`, isMet: reached <= bound }
  );
  return [
    least("end to end over HTTP, of the empty consumer", ratio("end to end, HTTP"), HTTP_SHARE),
    least("end to end embedded, of the empty consumer", ratio("end to end, embedded"), EMBEDDED_SHARE),
    least("two processes, of one", processes.two.perSecond / processes.one.perSecond, 1.7),
    least("corrections of a storm, of first rows", storm.correctedPerSecond / storm.firstPerSecond, 0.5),
    most("p99 from stored to queryable at 1,000 events/s, ms", at(1_000).latencyMs.p99, LINGER_MS + 250),
    most("an open observation that is matched, bytes", observations.bytesEach, MATCHED_BYTES),
    most(`RSS of the core under ${whole(steady.rate)} events/s, MiB`, steady.rssMb, 143),
    most("the same, simulated: sessions of minutes, MiB", simulated.rssMb, 143),
    most("ready from process start without state, s", at(1_000).secondsToReady, 1),
    most("restored with 100,000 open samples, s", starts.warmSeconds * 100_000 / starts.stateKeys, 3),
  ];
}

export function textOf(result: Result, baseline: Result | undefined): string {
  const { figures, processes, budget, live, storm, starts, observations, steady, simulated, sessions, rollup } = result;
  const lines: string[] = [];
  const say = (name: string, value: string) => lines.push(`${name.padEnd(46)} ${value}`);
  for (const { name, perSecond: { min, median, max }, ofEmptyConsumer } of figures) {
    const before = baseline?.figures.find((one) => one.name === name)?.ofEmptyConsumer;
    const change = before === undefined ? "" : ` (baseline ${before.toFixed(2)})`;
    const range = `${whole(min)} to ${whole(max)}`;
    say(name, `${whole(median)} events/s, ${range}; ${ofEmptyConsumer.toFixed(2)} of the empty consumer${change}`);
  }
  const { cpu } = result.embedded;
  say("embedded", `CPU an event: process with engine ${rounded(cpu.processors)}, nats-server ${rounded(cpu.nats)} us`);
  for (
    const [name, { perSecond, cpu }] of [["one process", processes.one], ["two processes", processes.two]] as const
  ) {
    const each = `CPU an event: processors ${rounded(cpu.processors)}, engine ${rounded(cpu.engine)}`;
    const most = result.cores * 1e6 / (cpu.processors + cpu.engine + cpu.nats);
    const limit = `with which ${result.cores} cores give at most ${whole(most)} events/s`;
    say(name, `${whole(perSecond)} events/s; ${each}, nats-server ${rounded(cpu.nats)} us, ${limit}`);
  }
  lines.push(
    "",
    "CPU an event, us",
    ...budget.stages.map(({ stage, micros, floorMicros, note }) => {
      const before = baseline?.budget.stages.find((one) => one.stage === stage)?.micros;
      const change = before === undefined ? "" : `, baseline ${before}`;
      return `  ${stage.padEnd(30)} ${String(micros).padStart(6)}  floor ${floorMicros ?? "-"}${change}: ${note}`;
    }),
  );
  lines.push(...sharesOf(result).map((line) => `  ${line}`));
  const { streamBytes, stateWrites, stateBytes, rows, tableBytes, snapshotMicros } = budget.volumes;
  lines.push(
    ...budget.tables.slice(0, 8).map(({ table, rows, micros }) =>
      `    ${table.padEnd(44)} ${String(micros).padStart(6)}  ${whole(rows)} rows`
    ),
    "  the rows of an event, read by the engine and not kept",
    ...budget.formats.map(({ format, micros, bytes }) =>
      `    ${format.padEnd(44)} ${micros} us, ${whole(bytes)} bytes`
    ),
    "",
    `An event is ${whole(streamBytes)} bytes in the stream, ${rows} rows of ${whole(tableBytes)} bytes in ClickHouse,`,
    `and ${stateWrites} writes of ${whole(stateBytes)} bytes to buckets; a capability message takes ${
      whole(snapshotMicros)
    } us`,
    "",
  );
  for (const { rate, reached, latencyMs, rssMb, heapMb, externalMb, gcMs, loopDelayMs } of live) {
    const memory = `RSS ${rssMb} MiB (heap ${heapMb}, buffers ${externalMb})`;
    const waits = `p50 ${latencyMs.p50}, p99 ${latencyMs.p99}, most ${latencyMs.max} ms`;
    const loop = `loop p99 ${loopDelayMs.p99}, most ${loopDelayMs.max} ms`;
    say(`live at ${whole(rate)} events/s, ${whole(reached)} reached`, `${waits}; ${memory}; GC ${gcMs} ms; ${loop}`);
  }
  say("storm", `${whole(storm.correctedPerSecond)} corrections/s, ${whole(storm.firstPerSecond)} first rows/s`);
  say("ready from empty state, in a process that runs", `${starts.emptySeconds.toFixed(2)} s`);
  say(`ready from ${whole(starts.stateKeys)} open samples`, `${starts.warmSeconds.toFixed(2)} s`);
  say(`${whole(observations.observations)} matched observations, open`, `${observations.bytesEach} bytes each`);
  for (const { load, rate, seconds, rssMb, open, sessions, bytesPerEvent } of [steady, simulated]) {
    say(
      `${whole(seconds)} s at ${whole(rate)} events/s, the core alone, ${load}`,
      `${rssMb} MiB RSS; ${whole(open)} open, ${whole(sessions)} sessions, ${bytesPerEvent} bytes an event`,
    );
  }
  const openMb = Math.round(steady.open * MATCHED_BYTES / 2 ** 20);
  say(
    `an empty consumer at ${whole(live.at(-1)!.rate)} events/s`,
    `${result.emptyRssMb} MiB RSS; with what is open at ${MATCHED_BYTES} bytes each ${result.emptyRssMb + openMb} MiB`,
  );
  say("entry of a session of 20 events", `${whole(sessions.entryBytes)} bytes`);
  for (const kind of ["bounded", "resting", "open"] as const) {
    const { sessions: count, rssMb, bytesPerSession } = sessions[kind];
    say(`${whole(count)} sessions in memory, ${kind}`, `${rssMb} MiB RSS, ${whole(bytesPerSession)} bytes each`);
  }
  say("v_api_gpu_metrics over 24 h of a month", `${rollup.gpuMetrics.medianMs} ms`);
  for (const { of, minutes, ms } of rollup.corrections) {
    say(`1,000 samples of ${of} corrected`, `${ms} ms for ${minutes} minutes`);
  }
  lines.push("");
  for (const { what, reached, wanted, isMet } of targetsOf(result)) {
    say(what, `${reached}, ${wanted}: ${isMet ? "met" : "not met"}`);
  }
  return lines.join("\n");
}

/**
 * What the cores have for an event at each target of the rate, who took how much of it, and what the least that servers and
 * stages can take leaves for all else.
 */
function sharesOf({ cores, figures, embedded, processes, budget }: Result): string[] {
  const empty = figures.find(({ name }) => name === "empty consumer")!.perSecond.median;
  const own = budget.stages.filter(({ stage }) => stage !== ENGINE);
  const sum = (of: (stage: Stage) => number) => own.reduce((total, stage) => total + of(stage), 0);
  const least = sum(({ floorMicros }) => floorMicros ?? 0);
  const rest = sum(({ micros }) => micros) - least;
  const say = (target: number, how: string, nats: number, engine: number, took: number) => {
    const micros = cores * 1e6 / (target * empty);
    const left = micros - nats - engine - least;
    return [
      `${target} of the empty consumer, ${how}: ${cores} cores have ${rounded(micros)} us for an event;`,
      `  nats-server takes ${rounded(nats)}, the engine ${rounded(engine)}, the processor ${rounded(took)}; with ` +
      `${rounded(least)} for its floors ${rounded(left)} are left for all else, which takes ${rounded(rest)} alone`,
    ];
  };
  const { one: { cpu: over } } = processes;
  return [
    // What the engine takes of a process cannot be told; over HTTP it has the same work beside the same others.
    ...say(EMBEDDED_SHARE, "embedded", embedded.cpu.nats, over.engine, embedded.cpu.processors - over.engine),
    ...say(HTTP_SHARE, "over HTTP", over.nats, over.engine, over.processors),
  ];
}

export function chartOf({ figures, budget, live }: Result, baseline: Result | undefined): string {
  const charts: Chart[] = [
    {
      title: "Rate as a share of the empty consumer",
      unit: "ratio in one run",
      bars: figures.map(({ name, ofEmptyConsumer: value }) => (
        { label: name, value, before: baseline?.figures.find((one) => one.name === name)?.ofEmptyConsumer }
      )),
    },
    {
      title: "CPU of an event by stage",
      unit: "microseconds",
      bars: budget.stages.map(({ stage, micros: value }) => (
        { label: stage, value, before: baseline?.budget.stages.find((one) => one.stage === stage)?.micros }
      )),
    },
    {
      title: "From stored to queryable, p99",
      unit: "milliseconds",
      bars: live.map(({ rate, latencyMs }) => ({
        label: `${whole(rate)} events/s`,
        value: latencyMs.p99,
        before: baseline?.live.find((one) => one.rate === rate)?.latencyMs.p99,
      })),
    },
  ];
  return svgOf(charts);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
