/** Facts put into the tables by hand, for whoever checks what rollups and serving views make of them. */
import type { ClickHouse } from "../../src/clickhouse/client.ts";
import { minutesWithin, openRollups } from "../../src/clickhouse/rollup.ts";
import type { Row } from "../../src/core/emit/row.ts";
import { LIVE } from "./session-events.ts";
import { withSchema } from "./schema.ts";

/** The source of every row that does not name another. */
export const SOURCE = "hand";

/** Who served: the columns that a key is made of. */
export interface Key {
  readonly gateway: string;
  readonly orchestrator_address: string;
  readonly pipeline: string;
  readonly model_id: string | null;
  readonly gpu_id: string | null;
}

/** A warehouse with a schema and nothing else. */
export class Tables {
  readonly clickhouse: ClickHouse;

  constructor(clickhouse: ClickHouse) {
    this.clickhouse = clickhouse;
  }

  write(table: string, rows: readonly Row[]): Promise<void> {
    return this.clickhouse.insert(table, Object.keys(rows[0]!), rows);
  }

  /** Recomputes every minute that holds samples. */
  async rollup(source?: string): Promise<void> {
    const minutes = await minutesWithin(this.clickhouse, { source, fromMs: 0, toMs: 4_000_000_000_000 });
    await openRollups(this.clickhouse).recompute(minutes);
  }

  /** Rows as the engine gives them, numbers as numbers. */
  async rows(sql: string): Promise<Record<string, unknown>[]> {
    const rows = await this.clickhouse.rows(sql);
    return rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([column, value]) => [
          column,
          typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value,
        ]),
      )
    );
  }
}

/** Runs with an embedded engine of its own. */
export function withTables(use: (tables: Tables) => Promise<void>): Promise<void> {
  return withSchema((clickhouse) => use(new Tables(clickhouse)));
}

/** An instant of the first of February 2026, in Unix milliseconds: `at("10:05:20")`. */
export function at(time: string): number {
  return Date.parse(`2026-02-01T${time.padEnd(8, ":00")}Z`);
}

/** A status sample of a session; attributed to its key unless that has no orchestrator. */
export function sampleRow(uid: string, session: string, key: Key, sampleMs: number, fps: number, rest: Row = {}): Row {
  const isAttributed = key.orchestrator_address !== "";
  return {
    source: SOURCE,
    source_event_uid: uid,
    source_event_id: uid,
    sample_ts: sampleMs,
    workflow_session_id: session,
    stream_id: session.split("|")[0]!,
    request_id: session.split("|")[1]!,
    orchestrator_url: "",
    gpu_count: key.gpu_id === null ? 0 : 1,
    region: null,
    state: fps > 0 ? "ONLINE" : "OFFLINE",
    output_fps: fps,
    input_fps: 0,
    is_attributed: isAttributed ? 1 : 0,
    unattributed_reason: isAttributed ? "" : "no_snapshot",
    gpu_attribution_method: isAttributed ? "node_match" : "none",
    gpu_attribution_confidence: 0,
    evidence_level: 6,
    selected_snapshot_uid: "",
    selected_snapshot_ts: null,
    version: "1",
    is_deleted: 0,
    ...key,
    ...rest,
  };
}

/** A session that was requested and served, unless `rest` says otherwise. */
export function sessionRow(session: string, key: Key, startMs: number, endMs: number, rest: Row = {}): Row {
  return {
    source: SOURCE,
    workflow_session_id: session,
    stream_id: session.split("|")[0]!,
    request_id: session.split("|")[1]!,
    session_start_ts: startMs,
    session_end_ts: endMs,
    known_stream: 1,
    startup_success: 1,
    startup_excused: 0,
    startup_unexcused: 0,
    confirmed_swap_count: 0,
    inferred_orchestrator_change_count: 0,
    error_count: 0,
    last_error_occurred: 0,
    loading_only_session: 0,
    zero_output_fps_session: 0,
    status_error_sample_count: 0,
    health_signal_count: 3,
    health_expected_signal_count: 3,
    prompt_to_first_frame_ms: null,
    startup_time_ms: null,
    e2e_latency_ms: null,
    version: "1",
    is_deleted: 0,
    ...key,
    ...rest,
  };
}

/** A GPU of a node as a snapshot of this name saw it, with the model that runs on it. */
export function gpuRow(uid: string, time: string, fields: Row): Row {
  return {
    source: SOURCE,
    source_event_uid: uid,
    source_event_id: uid,
    snapshot_ts: at(time),
    orchestrator_address: "0xa",
    orchestrator_proxy_address: "0xhot",
    orchestrator_url: "https://a",
    pipeline: LIVE,
    model_id: "m1",
    capability_id: 35,
    capability_name: "",
    capability_group: "",
    capability_catalog_version: "",
    gpu_id: "G1",
    gpu_name: "RTX 4090",
    gpu_memory_total: 24,
    gpu_major: 8,
    gpu_minor: 9,
    runner_version: "0.1",
    region: null,
    ...fields,
  };
}
