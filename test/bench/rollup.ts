/**
 * What rollup and serving cost over a month of synthetic facts, in an engine of its own; prints one line of JSON.
 *
 *     node rollup.js SAMPLES
 *
 * Forty GPUs of twenty orchestrators, each with a session every five minutes, all of it spread evenly over thirty days.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClickHouse, openClickHouse } from "../../src/clickhouse/client.ts";
import { ensureDatabase, migrate } from "../../src/clickhouse/migrate.ts";
import { minutesWithin, openRollups } from "../../src/clickhouse/rollup.ts";
import type { Minute } from "../../src/core/minute.ts";

export interface RollupCost {
  readonly samples: number;
  readonly samplesOfDay: number;
  /** Of the whole month, from the facts alone. */
  readonly minutesPerSecond: number;
  /** Milliseconds to read all columns of the view over 24 h: of the runs the least and the median. */
  readonly gpuMetrics: { readonly leastMs: number; readonly medianMs: number; readonly rows: number };
  /** Milliseconds to recompute the minutes that a correction of a thousand samples touches. */
  readonly corrections: readonly { readonly of: string; readonly minutes: number; readonly ms: number }[];
}

const PROFILE = { database: "bench_rollup", cluster: "" };
const START_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;
const MONTH_MS = 30 * DAY_MS;
/** The day that is looked at. */
const DAY = { fromMs: START_MS + 14 * DAY_MS, toMs: START_MS + 15 * DAY_MS };
const GPUS = 40;
const SESSION_MS = 300_000;
const CORRECTED = 1_000;
const RUNS = 7;

/** What the rows of a GPU and a slot of time have in common; `gpu`, `slot` and `ms` are defined in front of it. */
const KEY = `
  lower(hex(sipHash64(gpu, slot))) AS session,
  concat('s-', session) AS stream_id,
  concat('r-', session) AS request_id,
  concat(stream_id, '|', request_id) AS workflow_session_id,
  concat('gateway-', toString(gpu % 2)) AS gateway,
  concat('0x', leftPad(toString(gpu % 20), 40, '0')) AS orchestrator_address,
  'live-video-to-video' AS pipeline,
  concat('model-', toString(gpu % 3)) AS model_id,
  concat('GPU-', toString(gpu)) AS gpu_id`;

const SAMPLES = `
  INSERT INTO fact_stream_status_samples
  (source, source_event_uid, source_event_id, sample_ts, workflow_session_id, stream_id, request_id, gateway,
   orchestrator_address, pipeline, model_id, gpu_id, gpu_count, state, output_fps, is_attributed, evidence_level, version)
  WITH number % ${GPUS} AS gpu, ${START_MS} + intDiv(number * ${MONTH_MS}, {samples:UInt64}) AS ms,
       intDiv(ms, ${SESSION_MS}) AS slot, ${KEY}
  SELECT 'bench', concat('e', toString(number)), toString(number), fromUnixTimestamp64Milli(toInt64(ms)),
         workflow_session_id, stream_id, request_id, gateway, orchestrator_address, pipeline, model_id, gpu_id, 1,
         'ONLINE', 10 + (number % 97) / 10, 1, 6, bitShiftLeft(toUInt128(1), 116) + number
  FROM numbers({from:UInt64}, {count:UInt64})`;

const SESSIONS = `
  INSERT INTO fact_workflow_sessions
  (source, workflow_session_id, stream_id, request_id, gateway, orchestrator_address, pipeline, model_id, gpu_id,
   is_attributed, session_start_ts, session_end_ts, known_stream, startup_success, health_signal_count,
   health_expected_signal_count, prompt_to_first_frame_ms, startup_time_ms, e2e_latency_ms, version)
  WITH number % ${GPUS} AS gpu, intDiv(${START_MS}, ${SESSION_MS}) + intDiv(number, ${GPUS}) AS slot,
       fromUnixTimestamp64Milli(toInt64(slot * ${SESSION_MS})) AS start, ${KEY}
  SELECT 'bench', workflow_session_id, stream_id, request_id, gateway, orchestrator_address, pipeline, model_id, gpu_id,
         1, start, start + INTERVAL 299 SECOND, 1, 1, 3, 3, 700 + number % 300, 300 + number % 200, 1000 + number % 500,
         bitShiftLeft(toUInt128(1), 116) + 1
  FROM numbers(${GPUS * MONTH_MS / SESSION_MS})`;

/** The same samples of the day in a greater version and on another GPU, a thousand of them. */
const CORRECTION = (which: string) => `
  INSERT INTO fact_stream_status_samples
  SELECT * REPLACE (concat(gpu_id, '-corrected') AS gpu_id, version + 1 AS version)
  FROM fact_stream_status_samples AS sample FINAL
  WHERE sample_ts >= fromUnixTimestamp64Milli(${DAY.fromMs}) AND sample_ts < fromUnixTimestamp64Milli(${DAY.toMs})
    AND NOT endsWith(sample.gpu_id, '-corrected')
  ORDER BY ${which} LIMIT ${CORRECTED}`;

/** Inserts are made in slices that an engine holds in memory. */
const SLICE = 1_000_000;

async function measure(clickhouse: ClickHouse, samples: number): Promise<RollupCost> {
  for (let from = 0; from < samples; from += SLICE) {
    await clickhouse.command(SAMPLES, { samples, from, count: Math.min(SLICE, samples - from) });
  }
  await clickhouse.command(SESSIONS);
  const rollups = openRollups(clickhouse);
  const all = await minutesWithin(clickhouse, { fromMs: START_MS, toMs: START_MS + MONTH_MS });
  const wholeMs = await msOf(() => rollups.recompute(all));
  const counted = await countsOf(clickhouse);
  if (counted.rolled !== samples) throw new Error(`${counted.rolled} of ${samples} samples are in the rollup`);

  const query = `SELECT * FROM v_api_gpu_metrics WHERE source = 'bench'
    AND window_start >= fromUnixTimestamp64Milli(${DAY.fromMs}) AND window_start < fromUnixTimestamp64Milli(${DAY.toMs})`;
  let rows: { status_samples: string }[] = [];
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) times.push(await msOf(async () => rows = await clickhouse.rows(query)));
  times.sort((a, b) => a - b);
  const samplesOfDay = rows.reduce((sum, row) => sum + Number(row.status_samples), 0);

  const corrections = [];
  for (
    const [of, which] of [["one node", "gpu_id, sample_ts"], ["all nodes, scattered", "cityHash64(source_event_uid)"]]
  ) {
    await clickhouse.command(CORRECTION(which!));
    const before = await countsOf(clickhouse);
    const minutes = await correctedMinutes(clickhouse);
    const ms = await msOf(() => rollups.recompute(minutes));
    const after = await countsOf(clickhouse);
    if (after.corrected - before.corrected !== CORRECTED || after.rolled !== samples) {
      throw new Error(
        `a correction of ${CORRECTED} moved ${after.corrected - before.corrected}, ${after.rolled} in all`,
      );
    }
    corrections.push({ of: of!, minutes: minutes.length, ms: Math.round(ms) });
  }
  return {
    samples,
    samplesOfDay,
    minutesPerSecond: Math.round(all.length / wholeMs * 1_000),
    gpuMetrics: { leastMs: Math.round(times[0]!), medianMs: Math.round(times[RUNS >> 1]!), rows: rows.length },
    corrections,
  };
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** The minutes of the samples whose correction is not in the rollup yet. */
async function correctedMinutes(clickhouse: ClickHouse): Promise<Minute[]> {
  const rows = await clickhouse.rows<{ minute: string }>(
    `SELECT toUnixTimestamp(toStartOfMinute(sample_ts)) AS minute
     FROM fact_stream_status_samples FINAL
     WHERE endsWith(gpu_id, '-corrected')
     GROUP BY minute
     HAVING (minute, count()) NOT IN (
       SELECT toUnixTimestamp(window_start), countMerge(sample_count_state) FROM agg_stream_performance_1m_current
       WHERE endsWith(gpu_id, '-corrected') GROUP BY window_start)
     ORDER BY minute`,
  );
  return rows.map(({ minute }) => ({ source: "bench", startMs: Number(minute) * 1_000 }));
}

async function countsOf(clickhouse: ClickHouse): Promise<{ readonly rolled: number; readonly corrected: number }> {
  const [row] = await clickhouse.rows<{ rolled: string; corrected: string }>(
    `SELECT countMerge(sample_count_state) AS rolled,
            countMergeIf(sample_count_state, endsWith(gpu_id, '-corrected')) AS corrected
     FROM agg_stream_performance_1m_current`,
  );
  return { rolled: Number(row?.rolled), corrected: Number(row?.corrected) };
}

const folder = mkdtempSync(join(tmpdir(), "latecomer-bench-"));
try {
  const url = `chdb:${join(folder, "clickhouse")}`;
  await ensureDatabase(url, PROFILE);
  const clickhouse = await openClickHouse(url, { database: PROFILE.database });
  await migrate(clickhouse, PROFILE);
  console.log(JSON.stringify(await measure(clickhouse, Number(process.argv[2]))));
  await clickhouse.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
