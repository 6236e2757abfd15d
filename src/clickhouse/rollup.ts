/**
 * ROLLUP: minutes of `agg_stream_performance_1m`, each recomputed whole from the newest versions of its samples. A minute
 * that is recomputed twice, or by two at once, ends the same: its rows are a function of its samples, and so is their
 * version. Nothing is ever added to a minute: what a correction moves from one key to another would stay under both.
 */
import type { Minute } from "../core/minute.ts";
import type { Window } from "../core/time.ts";
import type { RollupStore } from "../ports.ts";
import type { ClickHouse } from "./client.ts";
import { bySource } from "./records.ts";

/** Minutes that one query names: parameters travel in the URL, and some servers take 16 KiB of it. */
const MOST_MINUTES = 400;

/** Samples that one statement holds in memory, in their newest versions: some hundred megabytes. */
const MOST_SAMPLES = 200_000;

/**
 * The samples of some minutes, found by the order of the table. Reads follow every insert that was acknowledged, on
 * whatever replica, where the tables are replicated: a minute that is read too early would be written without its last
 * samples, and its mark would be gone.
 */
const SELECTED = `source = {source:String}
    AND toStartOfHour(sample_ts) IN {hours:Array(DateTime('UTC'))}
    AND toStartOfMinute(sample_ts) IN {minutes:Array(DateTime('UTC'))}`;
const CONSISTENT = "SETTINGS select_sequential_consistency = 1";

const RECOMPUTE = `
  INSERT INTO agg_stream_performance_1m
  (
    source, window_start, gateway, orchestrator_address, pipeline, model_id, gpu_id, region,
    sessions_uniq_state, streams_uniq_state, output_fps_avg_state, output_fps_p95_state,
    fps_jitter_num_state, fps_jitter_den_state, sample_count_state,
    sessions.workflow_session_id, sessions.samples, sessions.active_samples, version
  )
  SELECT
    source, window_start, key.1, key.2, key.3, key.4, key.5, key.6,
    arrayReduce('uniqExactState', session_counts.1),
    arrayReduce('uniqExactState', streams),
    arrayReduce('avgState', fps),
    arrayReduce('quantileTDigestState(0.95)', fps),
    arrayReduce('stddevPopState', CAST(fps, 'Array(Float64)')),
    arrayReduce('avgState', fps),
    arrayReduce('countState', fps),
    session_counts.1, session_counts.2, session_counts.3,
    sum(evidence) OVER (PARTITION BY source, window_start)
  FROM
  (
    SELECT
      source,
      toStartOfMinute(sample_ts) AS window_start,
      if(is_served, (gateway, orchestrator_address, pipeline, model_id, gpu_id, region), ('', '', '', '', '', '')) AS key,
      sumMapIf([workflow_session_id], [toUInt64(1)], [toUInt64(is_active)], is_served) AS session_counts,
      arraySort(groupUniqArrayIf(stream_id, is_served)) AS streams,
      arraySort(groupArrayIf(output_fps, is_served)) AS fps,
      sum(1 + toUInt256(version)) AS evidence
    FROM serving_samples
    WHERE ${SELECTED}
    GROUP BY source, window_start, key
  )
  ${CONSISTENT}`;

export function openRollups(clickhouse: ClickHouse): RollupStore {
  const recompute = async (source: string, minutes: readonly number[]): Promise<number> => {
    const sizes = await clickhouse.rows<{ minute: string; samples: string }>(
      `SELECT toUnixTimestamp(toStartOfMinute(sample_ts)) AS minute, count() AS samples
       FROM fact_stream_status_samples WHERE ${SELECTED} GROUP BY minute ORDER BY minute ${CONSISTENT}`,
      paramsOf(source, minutes),
    );
    for (const group of groupsOf(sizes)) await clickhouse.command(RECOMPUTE, paramsOf(source, group));
    return sizes.length;
  };
  return {
    async recompute(minutes) {
      let written = 0;
      for (const [source, some] of bySource(minutes)) {
        const starts = some.map(({ startMs }) => startMs / 1_000);
        for (let at = 0; at < starts.length; at += MOST_MINUTES) {
          written += await recompute(source, starts.slice(at, at + MOST_MINUTES));
        }
      }
      return written;
    },
  };
}

/** The minutes that hold samples in a window of whole minutes. */
export async function minutesWithin(
  clickhouse: ClickHouse,
  { source, fromMs, toMs }: Window & { readonly source?: string | undefined },
): Promise<Minute[]> {
  const rows = await clickhouse.rows<{ source: string; minute: string }>(
    `SELECT DISTINCT source, toUnixTimestamp(toStartOfMinute(sample_ts)) AS minute
     FROM fact_stream_status_samples
     WHERE sample_ts >= fromUnixTimestamp64Milli({from:Int64})
       AND sample_ts < fromUnixTimestamp64Milli({to:Int64})
       AND (source = {source:String} OR {anySource:UInt8} = 1)
     ORDER BY source, minute`,
    { source: source ?? "", anySource: source === undefined ? 1 : 0, from: String(fromMs), to: String(toMs) },
  );
  return rows.map((row) => ({ source: row.source, startMs: Number(row.minute) * 1_000 }));
}

function paramsOf(source: string, minutes: readonly number[]) {
  const hours = new Set(minutes.map((seconds) => Math.floor(seconds / 3_600) * 3_600));
  return { source, hours: [...hours], minutes };
}

/** Minutes in groups of a bounded number of samples; one that holds more is a group of its own. */
function groupsOf(sizes: readonly { readonly minute: string; readonly samples: string }[]): number[][] {
  const groups: number[][] = [];
  let room = 0;
  for (const { minute, samples } of sizes) {
    if (groups.length === 0 || Number(samples) > room) {
      groups.push([]);
      room = MOST_SAMPLES;
    }
    groups.at(-1)!.push(Number(minute));
    room -= Number(samples);
  }
  return groups;
}
