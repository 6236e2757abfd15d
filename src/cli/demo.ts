/**
 * `latecomer demo`: the main job on real production events, from stream to table, with its own servers.
 *
 * The bundled events go in twice: in order into one source, shuffled and with duplicates into another. The
 * first shows rows being corrected when a snapshot comes late; the second shows that order makes no difference:
 * both sources must have one digest, or the exit code is 1.
 */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { decode } from "../core/decode.ts";
import { EXIT } from "../errors.ts";
import type { Config } from "../config.ts";
import { linesOf } from "../jsonl.ts";
import { removeAtExit, removeNow } from "../leftovers.ts";
import type { ClickHouse } from "../clickhouse/client.ts";
import { type Digest, digests, rollupDigest } from "../clickhouse/digest.ts";
import { startNatsServer } from "../local/nats-server.ts";
import { openManager } from "../nats/connection.ts";
import { planStreams } from "../nats/provision.ts";
import { publishMessages } from "../nats/publish.ts";
import type { Processor } from "../runtime/processor.ts";
import { seeded, shuffled, withDuplicates } from "../runtime/shuffle.ts";
import { configOf, type Context, logOf, printJson, printLine, printTable, withNats, withWarehouse } from "./context.ts";
import { initialise } from "./init.ts";
import { startProcessor, startRollup } from "./run.ts";
import { wholeNumber } from "./values.ts";
import type { NatsConnection } from "nats";

const EVENTS = fileURLToPath(new URL("../../test/fixtures/production/", import.meta.url));

const IN_ORDER = "in-order";
const SHUFFLED = "shuffled";

/** Each event is repeated with this probability in the shuffled source. */
const DUPLICATES = 0.3;

interface DemoFlags {
  readonly seed: number;
  readonly json?: boolean;
}

export function registerDemo(program: Command, context: Context): void {
  program.command("demo")
    .description("the main job end to end on bundled production events, in order and shuffled")
    .option("--seed <n>", "what decides the shuffled order", wholeNumber, 42)
    .option("--json", "one JSON document on stdout")
    .action(async (flags: DemoFlags) => {
      const folder = mkdtempSync(join(tmpdir(), "latecomer-demo-"));
      removeAtExit(folder);
      try {
        const report = await demonstrate(context, folder, flags.seed);
        if (flags.json) printJson(report);
        else print(report);
        if (!report.equal) context.setExitCode(EXIT.failed);
      } finally {
        removeNow(folder);
      }
    });
}

interface Sample {
  readonly sampleTs: string;
  readonly requestId: string;
  readonly orchestrator: string;
  readonly model: string | null;
  readonly gpu: string | null;
  readonly reason: string;
  readonly method: string;
  readonly confidence: number;
  readonly corrections: number;
}

interface Session {
  readonly start: string;
  readonly requestId: string;
  readonly outcome: string;
  readonly orchestrator: string;
  readonly model: string | null;
  readonly reason: string;
  readonly samples: number;
  readonly errors: number;
  readonly swaps: number;
  readonly segments: readonly Segment[];
}

interface Segment {
  readonly start: string;
  /** Null while open. */
  readonly end: string | null;
  readonly orchestrator: string;
  readonly reason: string;
}

/** A row of `v_api_gpu_metrics`. */
interface GpuHour {
  readonly hour: string;
  readonly orchestrator: string;
  readonly model: string;
  readonly gpu: string;
  readonly gpuName: string | null;
  readonly samples: number;
  /** Frames per second, null without samples; so is the jitter, and where there is no output. */
  readonly fps: number | null;
  readonly jitter: number | null;
  readonly sessions: number;
  readonly failureRate: number | null;
}

interface Report {
  readonly events: number;
  readonly shuffledMessages: number;
  readonly seed: number;
  readonly samples: readonly Sample[];
  readonly sessions: readonly Session[];
  readonly gpus: readonly GpuHour[];
  readonly emptyKeyRate: { readonly before: number; readonly after: number };
  /** Samples whose first row had no orchestrator and whose last one has. */
  readonly repaired: number;
  readonly corrections: { readonly inOrder: number; readonly shuffled: number };
  readonly digests: { readonly inOrder: readonly Digest[]; readonly shuffled: readonly Digest[] };
  readonly equal: boolean;
  readonly seconds: number;
}

async function demonstrate(context: Context, folder: string, seed: number): Promise<Report> {
  const started = performance.now();
  const events = bundledEvents();
  const nats = await startNatsServer({ folder: join(folder, "nats"), exitSignal: "SIGKILL" });
  try {
    const span = events.at(-1)!.timeMs - events[0]!.timeMs;
    // Any order is to give one answer, so every snapshot may be as late as the events are long.
    const config = configOf({ ...context, env: {} }, {
      natsUrl: nats.url,
      clickhouseUrl: `chdb:${join(folder, "clickhouse")}`,
      allowedLateness: `${span}ms`,
      logLevel: "warn",
    });
    return await withNats(config, async (nc) => {
      await initialise(config, nc, await planStreams(await openManager(nc), config), {});
      const found = await withWarehouse(config, (clickhouse) => derive(config, nc, clickhouse, events, seed));
      return { ...found, seconds: (performance.now() - started) / 1_000 };
    });
  } finally {
    await nats.stop();
  }
}

async function derive(
  config: Config,
  nc: NatsConnection,
  clickhouse: ClickHouse,
  events: readonly BundledEvent[],
  seed: number,
): Promise<Omit<Report, "seconds">> {
  // Superseded rows are to be counted below, so they must not be merged away meanwhile.
  await clickhouse.command("SYSTEM STOP MERGES fact_stream_status_samples");
  const processor = await startProcessor(config, nc, clickhouse, logOf(config));
  await publishInOrder(nc, processor, config, events);
  const random = seeded(seed);
  const disordered = shuffled(withDuplicates(events.map((event) => event.bytes), DUPLICATES, random), random);
  await publish(nc, config, SHUFFLED, disordered);
  await processor.drained();
  await processor.settle();
  await processor.stop();
  const rollup = await startRollup(nc, clickhouse, logOf(config));
  await rollup.drained();
  await rollup.stop();
  const inOrder = await digestsOf(clickhouse, config.database, IN_ORDER);
  const other = await digestsOf(clickhouse, config.database, SHUFFLED);
  const equal = inOrder.some(({ rows }) => rows > 0) &&
    inOrder.every((one, at) => one.rows === other[at]?.rows && one.digest === other[at]?.digest);
  return {
    events: events.length,
    shuffledMessages: disordered.length,
    seed,
    samples: await samplesOf(clickhouse),
    sessions: await sessionsOf(clickhouse),
    gpus: await gpusOf(clickhouse),
    ...await effectOf(clickhouse),
    digests: { inOrder, shuffled: other },
    equal,
  };
}

interface BundledEvent {
  readonly bytes: Uint8Array;
  readonly timeMs: number;
  readonly isSnapshot: boolean;
}

/** All bundled events in the order of their time; those of one instant, and of one file, as they stand. */
function bundledEvents(): BundledEvent[] {
  const files = readdirSync(EVENTS).filter((file) => file.endsWith(".jsonl")).sort();
  return files
    .flatMap((file) => linesOf(readFileSync(join(EVENTS, file))))
    .map((bytes) => {
      const message = { subject: "events.x.x.x", bytes, streamSequence: 0, streamTimeMs: Date.now() };
      const { envelope } = decode(message);
      return { bytes, timeMs: envelope.timestampMs ?? 0, isSnapshot: envelope.type === "network_capabilities" };
    })
    .sort((a, b) => a.timeMs - b.timeMs);
}

/** Publishes as it happened: everything before a snapshot is processed before it, and it before everything after. */
async function publishInOrder(
  nc: NatsConnection,
  processor: Processor,
  config: Config,
  events: readonly BundledEvent[],
): Promise<void> {
  for (let from = 0; from < events.length;) {
    const next = events.findIndex((event, at) => at > from && (event.isSnapshot || events[from]!.isSnapshot));
    const to = next < 0 ? events.length : next;
    await publish(nc, config, IN_ORDER, events.slice(from, to).map((event) => event.bytes));
    await processor.drained();
    from = to;
  }
}

function publish(nc: NatsConnection, config: Config, source: string, messages: readonly Uint8Array[]): Promise<number> {
  return publishMessages(nc, messages, { source, partitions: config.partitions, messageIds: false, rate: 0 });
}

async function samplesOf(clickhouse: ClickHouse): Promise<Sample[]> {
  const rows = await clickhouse.rows<
    Omit<Sample, "corrections" | "confidence"> & { versions: string; confidence: number }
  >(
    `SELECT toString(current.sample_ts) AS sampleTs, current.request_id AS requestId,
            current.orchestrator_address AS orchestrator, current.model_id AS model, current.gpu_id AS gpu,
            current.unattributed_reason AS reason, current.gpu_attribution_method AS method,
            current.gpu_attribution_confidence AS confidence, history.versions AS versions
     FROM fact_stream_status_samples_current AS current
     INNER JOIN (
       SELECT source, source_event_uid, uniqExact(version) AS versions
       FROM fact_stream_status_samples GROUP BY source, source_event_uid
     ) AS history ON history.source = current.source AND history.source_event_uid = current.source_event_uid
     WHERE current.source = {source:String}
     ORDER BY current.sample_ts, current.source_event_uid`,
    { source: IN_ORDER },
  );
  return rows.map(({ versions, ...row }) => ({ ...row, corrections: Number(versions) - 1 }));
}

async function sessionsOf(clickhouse: ClickHouse): Promise<Session[]> {
  const sessions = await clickhouse.rows<Omit<Session, "segments"> & { readonly session: string }>(
    `SELECT workflow_session_id AS session, toString(session_start_ts) AS start, request_id AS requestId,
            multiIf(startup_success = 1, 'success', startup_excused = 1, 'excused', startup_unexcused = 1, 'failed',
                    'unknown') AS outcome,
            orchestrator_address AS orchestrator, model_id AS model, unattributed_reason AS reason,
            status_sample_count AS samples, error_count AS errors, confirmed_swap_count AS swaps
     FROM fact_workflow_sessions_current
     WHERE source = {source:String}
     ORDER BY session_start_ts, workflow_session_id`,
    { source: IN_ORDER },
  );
  const segments = await clickhouse.rows<Segment & { readonly session: string }>(
    `SELECT workflow_session_id AS session, toString(segment_start_ts) AS start, toString(segment_end_ts) AS end,
            orchestrator_address AS orchestrator, reason
     FROM fact_workflow_session_segments_current
     WHERE source = {source:String}
     ORDER BY workflow_session_id, segment_index`,
    { source: IN_ORDER },
  );
  return sessions.map(({ session, ...one }) => ({
    ...one,
    segments: segments.filter((segment) => segment.session === session).map(({ session: _, ...segment }) => segment),
  }));
}

async function digestsOf(clickhouse: ClickHouse, database: string, source: string): Promise<Digest[]> {
  return [
    ...await digests(clickhouse, database, { source }),
    await rollupDigest(clickhouse, database, { source }),
  ];
}

async function gpusOf(clickhouse: ClickHouse): Promise<GpuHour[]> {
  return await clickhouse.rows<GpuHour>(
    `SELECT toString(window_start) AS hour, orchestrator_address AS orchestrator, model_id AS model, gpu_id AS gpu,
            gpu_name AS gpuName, toUInt32(status_samples) AS samples, avg_output_fps AS fps,
            jitter_coeff_fps AS jitter, toUInt32(known_sessions) AS sessions, failure_rate AS failureRate
     FROM v_api_gpu_metrics
     WHERE source = {source:String}
     ORDER BY window_start, orchestrator_address, gpu_id`,
    { source: IN_ORDER },
  );
}

async function effectOf(clickhouse: ClickHouse): Promise<Pick<Report, "emptyKeyRate" | "repaired" | "corrections">> {
  const rows = await clickhouse.rows<
    Record<"source" | "samples" | "emptyFirst" | "emptyLast" | "repaired" | "corrections", string>
  >(
    `SELECT source, count() AS samples, countIf(first = '') AS emptyFirst, countIf(last = '') AS emptyLast,
            countIf(first = '' AND last != '') AS repaired, sum(versions - 1) AS corrections
     FROM (
       SELECT source, source_event_uid, argMin(orchestrator_address, version) AS first,
              argMax(orchestrator_address, version) AS last, uniqExact(version) AS versions
       FROM fact_stream_status_samples GROUP BY source, source_event_uid
     ) GROUP BY source`,
  );
  const of = (source: string) => rows.find((row) => row.source === source);
  const inOrder = of(IN_ORDER);
  const rate = (empty: string | undefined) => Number(empty ?? 0) / Math.max(1, Number(inOrder?.samples ?? 0));
  return {
    emptyKeyRate: { before: rate(inOrder?.emptyFirst), after: rate(inOrder?.emptyLast) },
    repaired: Number(inOrder?.repaired ?? 0),
    corrections: { inOrder: Number(inOrder?.corrections ?? 0), shuffled: Number(of(SHUFFLED)?.corrections ?? 0) },
  };
}

function print(report: Report): void {
  const percent = (rate: number) => `${(rate * 100).toFixed(1)} %`;
  const short = (text: string) => text.length > 14 ? `${text.slice(0, 12)}…` : text;
  printTable(
    ["sample (UTC)", "request", "orchestrator", "model", "GPU", "reason or method", "confidence", "corrections"],
    report.samples.map((sample) => [
      sample.sampleTs,
      sample.requestId,
      short(sample.orchestrator) || "-",
      sample.model ?? "-",
      short(sample.gpu ?? "-"),
      sample.reason || sample.method,
      Number(sample.confidence.toFixed(3)),
      sample.corrections,
    ]),
  );
  printLine();
  printTable(
    ["session (UTC)", "request", "outcome", "orchestrator", "model or reason", "samples", "errors", "swaps"],
    report.sessions.map((session) => [
      session.start,
      session.requestId,
      session.outcome,
      short(session.orchestrator) || "-",
      session.model ?? (session.reason || "-"),
      session.samples,
      session.errors,
      session.swaps,
    ]),
  );
  printLine();
  printTable(
    ["segment (UTC)", "until", "request", "orchestrator", "reason"],
    report.sessions.flatMap(({ requestId, segments }) =>
      segments.map(({ start, end, orchestrator, reason }) => [
        start,
        end ?? "open",
        requestId,
        short(orchestrator) || "-",
        reason,
      ])
    ),
  );
  printLine();
  const decimal = (value: number | null) => value === null ? "-" : Number(value.toFixed(3));
  printTable(
    ["hour (UTC)", "orchestrator", "model", "GPU", "", "samples", "fps", "jitter", "sessions", "failure rate"],
    report.gpus.map((one) => [
      one.hour,
      short(one.orchestrator),
      one.model,
      short(one.gpu),
      one.gpuName ?? "-",
      one.samples,
      decimal(one.fps),
      decimal(one.jitter),
      one.sessions,
      decimal(one.failureRate),
    ]),
  );
  printLine();
  printLine(
    `${report.events} production events in order, then ${report.shuffledMessages} messages: the same, shuffled (seed ${report.seed}) with duplicates.`,
  );
  printLine(
    `Samples without an orchestrator: ${percent(report.emptyKeyRate.before)} when first written, ${
      percent(report.emptyKeyRate.after)
    } after corrections.`,
  );
  printLine(
    `Corrections: ${report.corrections.inOrder} in order (${report.repaired} filled an empty key), ${report.corrections.shuffled} shuffled.`,
  );
  for (const [at, one] of report.digests.inOrder.entries()) {
    printLine(`${one.table}, ${one.rows} ${one.rows === 1 ? "row" : "rows"}`);
    printLine(`  in order  ${one.digest}`);
    printLine(`  shuffled  ${report.digests.shuffled[at]?.digest}`);
  }
  printLine(report.equal ? "The digests are equal: order made no difference." : "THE DIGESTS DIFFER.");
  printLine(`Took ${report.seconds.toFixed(1)} s.`);
}
