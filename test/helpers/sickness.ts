/** Facts put into the tables by hand: a source that has everything that an alert rule asks for, and one that has nothing. */
import { at, gpuRow, type Key, sampleRow, sessionRow, type Tables } from "./serving.ts";
import { LIVE } from "./session-events.ts";

const MINUTE_MS = 60_000;

interface Health {
  readonly source: string;
  readonly pipeline: string;
  /** The output of the nth sample. */
  readonly fps: (nth: number) => number;
  readonly samples: number;
  readonly unattributedSamples: number;
  readonly startupMs: number;
  readonly refusedMessages: number;
  /** How long after the newest minute of the rollup the newest sample lies. */
  readonly behindMs: number;
}

/** 5,500 samples are 92 minutes of the 60 that its only slot has. */
export const SICK: Health = {
  source: "sick",
  pipeline: "",
  fps: (nth) => nth % 2 * 30,
  samples: 5_500,
  unattributedSamples: 600,
  startupMs: 6_000,
  refusedMessages: 2,
  behindMs: 10 * MINUTE_MS,
};

export const WELL: Health = {
  source: "well",
  pipeline: LIVE,
  fps: () => 20,
  samples: 300,
  unattributedSamples: 3,
  startupMs: 1_000,
  refusedMessages: 1,
  behindMs: 0,
};

/** An hour of a source, with its rollup. */
export async function writeHour(tables: Tables, health: Health): Promise<void> {
  const { source, pipeline, samples, unattributedSamples } = health;
  const served: Key = { gateway: "g1", orchestrator_address: "0xa", pipeline, model_id: "m1", gpu_id: "G1" };
  const nobody: Key = { gateway: "g1", orchestrator_address: "", pipeline: "", model_id: null, gpu_id: null };
  const everyMs = 3_600_000 / samples;
  const rows = Array.from({ length: samples }, (_, nth) => {
    return sampleRow(`${source}-${nth}`, "s1|r1", served, Math.floor(at("10:00") + nth * everyMs), health.fps(nth), {
      source,
    });
  });
  const unknown = Array.from({ length: unattributedSamples }, (_, nth) => {
    return sampleRow(`${source}-u${nth}`, "s2|r2", nobody, at("10:30") + nth, 0, { source });
  });
  await tables.write("fact_stream_status_samples", [...rows, ...unknown]);
  await tables.write("fact_workflow_sessions", [
    sessionRow("s1|r1", served, at("10:00"), at("10:59"), { source, startup_time_ms: health.startupMs }),
  ]);
  await tables.write("raw_network_capabilities_model_constraints", [{
    source,
    raw_event_uid: "c1",
    source_event_id: "c1",
    event_timestamp: at("10:00"),
    orchestrator_address: "0xa",
    local_address: "0xhot",
    orch_uri: "https://a",
    capability_id: 35,
    capability_name: "",
    capability_group: "",
    capability_catalog_version: "",
    model_id: "m1",
    runner_version: null,
    capacity: 1,
    capacity_in_use: 0,
    warm: 1,
  }]);
  await tables.write("dim_orchestrator_capability_snapshots", [gpuRow("c1", "10:00", { source })]);
  await tables.write(
    "raw_streaming_events",
    Array.from({ length: 100 }, (_, nth) => ({
      source,
      uid: `m${nth}`,
      stream_sequence: nth + 1,
      subject: "",
      stream_ts: at("10:00") + nth,
      id: "",
      type: "ai_stream_status",
      timestamp: at("10:00"),
      gateway: "g1",
      outcome: nth < health.refusedMessages ? "rejected" : "accepted",
      reason: nth < health.refusedMessages ? "invalid_json" : "",
      payload: "{}",
      payload_encoding: "json",
      version: 1,
    })),
  );
  await tables.rollup(source);
  if (health.behindMs === 0) return;
  await tables.write("fact_stream_status_samples", [
    sampleRow(`${source}-newest`, "s1|r1", served, at("10:59") + health.behindMs, 20, { source }),
  ]);
}
