/** Serving views against values worked out by hand, from one small set of facts in which every trap has its case. */
import * as assert from "uvu/assert";
import type { Row } from "../../src/core/emit/row.ts";
import { at, gpuRow, type Key, sampleRow, sessionRow, SOURCE, type Tables, withTables } from "../helpers/serving.ts";
import { LIVE } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";

/** Three GPUs; the first is used by two gateways. */
const A: Key = { gateway: "g1", orchestrator_address: "0xa", pipeline: LIVE, model_id: "m1", gpu_id: "G1" };
const A2: Key = { ...A, gateway: "g2" };
const B: Key = { gateway: "g2", orchestrator_address: "0xb", pipeline: LIVE, model_id: "m1", gpu_id: "G2" };
const C: Key = { gateway: "g1", orchestrator_address: "0xc", pipeline: "", model_id: null, gpu_id: "G3" };
const NOBODY: Key = { gateway: "g1", orchestrator_address: "", pipeline: "", model_id: null, gpu_id: null };

const SESSIONS: readonly Row[] = [
  sessionRow("s1|r1", A, at("10:05"), at("10:06:10"), {
    prompt_to_first_frame_ms: 500,
    startup_time_ms: 300,
    e2e_latency_ms: 800,
  }),
  // An older version, under another key: it has no part in anything.
  sessionRow("s2|r2", B, at("09:00"), at("10:31"), { version: "1" }),
  sessionRow("s2|r2", A, at("10:30"), at("10:31"), {
    version: "2",
    startup_success: 0,
    startup_unexcused: 1,
    confirmed_swap_count: 1,
    error_count: 2,
    last_error_occurred: 1,
    loading_only_session: 1,
    zero_output_fps_session: 1,
    status_error_sample_count: 1,
    health_signal_count: 1,
  }),
  sessionRow("s10|r10", A2, at("10:50"), at("10:51")),
  // Ends in a tail: its hour of 11 is the end of no service. On B that is all there is, C has another session.
  sessionRow("s3|r3", B, at("10:55"), at("11:02"), { zero_output_fps_session: 1 }),
  sessionRow("s4|r4", C, at("10:55"), at("11:02"), { zero_output_fps_session: 1 }),
  sessionRow("s5|r5", C, at("11:10"), at("11:12")),
  // Nobody served it.
  sessionRow("s6|r6", NOBODY, at("10:40"), at("10:41"), {
    startup_success: 0,
    startup_excused: 1,
    health_signal_count: 0,
  }),
  // Nobody saw its request: it counts in no ratio and in no counter that one is made of.
  sessionRow("s7|r7", A, at("10:45"), at("10:46"), {
    known_stream: 0,
    zero_output_fps_session: 1,
    confirmed_swap_count: 1,
    error_count: 1,
    health_signal_count: 2,
    health_expected_signal_count: 0,
  }),
  // Uses the request id of the first again, hours later.
  sessionRow("s9|r1", C, at("13:59"), at("14:01")),
  // Goes on in an hour in which no session starts.
  sessionRow("s11|r11", A, at("15:00"), at("16:05")),
];

const SAMPLES: readonly Row[] = [
  sampleRow("a1", "s1|r1", A, at("10:05:10"), 20),
  sampleRow("a2", "s1|r1", A, at("10:05:20"), 10),
  sampleRow("a3", "s1|r1", A, at("10:06:10"), 30),
  ...["10", "20", "30"].map((second) => sampleRow(`b${second}`, "s2|r2", A, at(`10:30:${second}`), 0)),
  sampleRow("c1", "s10|r10", A2, at("10:50:30"), 40),
  sampleRow("d1", "s3|r3", B, at("10:58"), 0),
  sampleRow("d2", "s3|r3", B, at("11:02"), 0),
  sampleRow("e1", "s4|r4", C, at("10:58"), 0),
  sampleRow("e2", "s4|r4", C, at("11:02"), 0),
  sampleRow("f1", "s5|r5", C, at("11:10:10"), 12),
  sampleRow("f2", "s5|r5", C, at("11:10:20"), 24),
  sampleRow("g1", "s6|r6", NOBODY, at("10:40:30"), 0),
  sampleRow("i1", "s11|r11", A, at("16:05"), 10),
  ...Array.from(
    { length: 19 },
    (_, n) => sampleRow(`h${n}`, "s11|r11", A, at("15:00") + n * 30_000, 10 + 10 * (n % 2)),
  ),
];

function payment(uid: string, time: string, fields: Row): Row {
  return {
    source: SOURCE,
    raw_event_uid: uid,
    event_timestamp: at(time),
    request_id: "",
    session_id: "",
    manifest_id: "",
    gateway: "g1",
    sender: "0xsender",
    recipient: "0xa",
    orchestrator: "",
    face_value: "",
    price: "",
    num_tickets: "",
    win_prob: "",
    client_ip: "",
    capability: "",
    ...fields,
  };
}

const FIRST = payment("p1", "10:05:11", { request_id: "r1", session_id: "ps1", face_value: "500000000000000000 WEI" });
const PAYMENTS: readonly Row[] = [
  FIRST,
  FIRST,
  payment("p2", "10:06:11", { session_id: "ps1", face_value: "250000000000000000 WEI" }),
  payment("p3", "14:00", { request_id: "r1", session_id: "ps3", face_value: "2000000000000000000 WEI" }),
  payment("p4", "10:10", { session_id: "lost", gateway: "g9", face_value: "1000000000000000000 WEI" }),
];

function constraint(uid: string, time: string, url: string, free: number, used: number, model = "m1"): Row {
  return {
    source: SOURCE,
    raw_event_uid: uid,
    source_event_id: uid,
    event_timestamp: at(time),
    orchestrator_address: "0xa",
    local_address: "0xhot",
    orch_uri: url,
    capability_id: 35,
    capability_name: "",
    capability_group: "",
    capability_catalog_version: "",
    model_id: model,
    runner_version: null,
    capacity: free,
    capacity_in_use: used,
    warm: 1,
  };
}

function withFacts(use: (tables: Tables) => Promise<void>): Promise<void> {
  return withTables(async (tables) => {
    await tables.write("fact_workflow_sessions", SESSIONS);
    await tables.write("fact_stream_status_samples", SAMPLES);
    // Once more as it was before a correction, and once for another source, whose keys are the same.
    await tables.write("fact_stream_status_samples", [
      sampleRow("a1", "s1|r1", B, at("10:05:10"), 20, { version: "0" }),
      sampleRow("a1", "s1|r1", A, at("10:05:10"), 5, { source: "other" }),
    ]);
    for (const row of PAYMENTS) await tables.write("raw_payment_events", [row]);
    await tables.write("raw_network_capabilities_model_constraints", [
      constraint("k1", "09:00", "https://a", 4, 0),
      constraint("k2", "09:30", "https://a", 1, 2),
      constraint("k2", "09:30", "https://a2", 1, 0),
    ]);
    await tables.write("dim_orchestrator_capability_snapshots", [
      gpuRow("k1", "09:00", { runner_version: "0.1" }),
      // What the newest snapshot does not tell is not what an older one told.
      gpuRow("k2", "09:30", { runner_version: null, gpu_minor: null }),
      gpuRow("k2", "09:30", { orchestrator_url: "https://a2", gpu_id: "G8" }),
    ]);
    await tables.rollup();
    await use(tables);
  });
}

/** Asserts some columns of a row, decimals up to what an engine's arithmetic may differ in. */
function holds(row: Record<string, unknown> | undefined, expected: Record<string, unknown>): void {
  assert.ok(row !== undefined, `no row for ${JSON.stringify(expected)}`);
  for (const [column, wanted] of Object.entries(expected)) {
    const actual = row[column];
    const isNear = typeof wanted === "number" && typeof actual === "number" && Math.abs(wanted - actual) <= 1e-6;
    if (!isNear) assert.equal(actual, wanted, `${column} of ${JSON.stringify(row)}`);
  }
}

const HERE = `WHERE source = '${SOURCE}'`;

describe("serving views", (test) => {
  test("v_api_gpu_metrics() tells of each GPU and hour what it put out and what became of its sessions", () =>
    withFacts(async (tables) => {
      const rows = await tables.rows(`SELECT * FROM v_api_gpu_metrics ${HERE} ORDER BY window_start, gpu_id`);
      const places = rows.map((row) => `${String(row.window_start).slice(11, 13)} ${row.gpu_id}`);
      // Not B's hour of 11: it has nothing but a tail. C's hour of 14 has a session and no sample.
      assert.equal(places, ["10 G1", "10 G2", "10 G3", "11 G3", "13 G3", "15 G1", "16 G1"]);
      const [first, , , shared, bare, , going] = rows;
      holds(first, {
        orchestrator_address: "0xa",
        pipeline: LIVE,
        model_id: "m1",
        region: "",
        gpu_name: "RTX 4090",
        gpu_memory_total: 24,
        runner_version: null,
        cuda_version: null,
        status_samples: 7,
        avg_output_fps: 100 / 7,
        jitter_coeff_fps: Math.sqrt(3000 / 7 - (100 / 7) ** 2) / (100 / 7),
        prompt_to_first_frame_ms: 500,
        startup_time_ms: 300,
        startup_time_s: 0.3,
        e2e_latency_ms: 800,
        p95_e2e_latency_ms: 800,
        valid_prompt_to_first_frame_count: 1,
        valid_startup_time_count: 1,
        valid_e2e_latency_count: 1,
        known_sessions: 3,
        startup_success_sessions: 2,
        excused_sessions: 0,
        unexcused_sessions: 1,
        confirmed_swapped_sessions: 1,
        inferred_orchestrator_change_sessions: 0,
        swapped_sessions: 1,
        sessions_with_errors: 1,
        sessions_with_last_error: 1,
        loading_only_sessions: 1,
        zero_output_fps_sessions: 1,
        status_error_samples: 1,
        health_signal_count: 7,
        health_expected_signal_count: 9,
        health_completeness_ratio: 7 / 9,
        failure_rate: 1 / 3,
        swap_rate: 1 / 3,
      });
      holds(shared, { model_id: "", pipeline: "", status_samples: 3, avg_output_fps: 12, known_sessions: 1 });
      holds(bare, {
        status_samples: 0,
        avg_output_fps: null,
        p95_output_fps: null,
        jitter_coeff_fps: null,
        e2e_latency_ms: null,
        p95_e2e_latency_ms: null,
        valid_e2e_latency_count: 0,
        known_sessions: 1,
        gpu_name: null,
      });
      holds(going, { status_samples: 1, known_sessions: 0, failure_rate: null, health_completeness_ratio: 1 });
    }));

  test("v_api_network_demand() counts who was served and who was not, and loses no payment", () =>
    withFacts(async (tables) => {
      const rows = await tables.rows(
        `SELECT * FROM v_api_network_demand ${HERE} ORDER BY window_start, gateway, model_id`,
      );
      const places = rows.map((row) => `${String(row.window_start).slice(11, 13)} ${row.gateway} ${row.model_id}`);
      assert.equal(places, [
        "10 g1 ",
        "10 g1 m1",
        "10 g2 m1",
        "10 g9 ",
        "11 g1 ",
        "11 g2 m1",
        "13 g1 ",
        "14 g1 ",
        "15 g1 m1",
        "16 g1 m1",
      ]);
      const [unserved, served, second, unknown, , , , later] = rows;
      // Of s6, whom nobody served, and of s4 on C, of which nobody knows a model.
      holds(unserved, {
        known_sessions: 2,
        served_sessions: 1,
        unserved_sessions: 1,
        missing_capacity_count: 1,
        total_demand_sessions: 2,
        total_sessions: 1,
        startup_success_ratio: 1,
        success_ratio: 0.5,
        fee_payment_eth: 0,
      });
      holds(served, {
        total_streams: 2,
        total_sessions: 2,
        total_minutes: 0.1,
        avg_output_fps: 10,
        known_sessions: 2,
        unserved_sessions: 0,
        unexcused_sessions: 1,
        startup_success_ratio: 0.5,
        success_ratio: 0.5,
        health_completeness_ratio: 4 / 6,
        fee_payment_eth: 0.75,
      });
      holds(second, { total_sessions: 2, avg_output_fps: 20, known_sessions: 2, success_ratio: 0.5 });
      holds(unknown, {
        known_sessions: 0,
        startup_success_ratio: null,
        success_ratio: null,
        avg_output_fps: null,
        health_completeness_ratio: 1,
        fee_payment_eth: 1,
      });
      holds(later, { fee_payment_eth: 2, total_sessions: 0 });
    }));

  test("a payment of an unknown request is not that of a session without a request id", () =>
    withFacts(async (tables) => {
      await tables.write("fact_workflow_sessions", [
        sessionRow("s8|_missing_request", A, at("10:01"), at("10:02"), { request_id: "" }),
      ]);
      const [lost] = await tables.rows(`SELECT * FROM serving_payments ${HERE} AND source_event_uid = 'p4'`);
      holds(lost, { workflow_session_id: "", gateway: "g9", orchestrator_address: "", fee_payment_eth: 1 });
    }));

  test("a payment that came before all that is known of its session is that session's, and one long before is not", () =>
    withFacts(async (tables) => {
      await tables.write("fact_workflow_sessions", [sessionRow("s12|r12", A, at("10:20"), at("10:21"))]);
      await tables.write("raw_payment_events", [
        payment("q1", "10:10", { request_id: "r12", session_id: "ps11", face_value: "1 WEI" }),
        payment("q2", "10:19:50", { request_id: "r12", session_id: "ps12", face_value: "1 WEI" }),
        payment("q3", "10:20:50", { session_id: "ps12", face_value: "1 WEI" }),
      ]);
      const rows = await tables.rows(
        `SELECT workflow_session_id AS session FROM serving_payments ${HERE} AND startsWith(source_event_uid, 'q')
         ORDER BY source_event_uid`,
      );
      assert.equal(rows.map(({ session }) => session), ["", "s12|r12", "s12|r12"]);
    }));

  test("a fee is the number that the face value begins with, however it is written, and nothing that no sum survives", () =>
    withTables(async (tables) => {
      const FEES: readonly (readonly [faceValue: string, eth: number])[] = [
        ["2402400000000000 WEI", 0.0024024],
        ["500000000000000000", 0.5],
        // As it is kept of a JSON number of 22 digits.
        ["1e+21", 1_000],
        ["2.5E17 WEI", 0.25],
        ["1500000000000000000.75 WEI", 1.5],
        [" 500000000000000000 WEI", 0.5],
        ["WEI 5", 0],
        ["-500000000000000000", 0],
        ["9".repeat(400), 0],
        ["1e400 WEI", 0],
      ];
      await tables.write(
        "raw_payment_events",
        FEES.map(([face_value], nth) => payment(`p${nth}`, "10:00", { session_id: `ps${nth}`, face_value })),
      );
      const rows = await tables.rows(
        `SELECT fee_payment_eth AS fee FROM serving_payments ${HERE} ORDER BY toUInt32(substring(source_event_uid, 2))`,
      );
      for (const [nth, [faceValue, fee]] of FEES.entries()) {
        assert.ok(Math.abs(Number(rows[nth]!.fee) - fee) < 1e-9, `${faceValue.slice(0, 30)}: ${rows[nth]!.fee}`);
      }
    }));

  test("v_api_network_demand_by_gpu() shares capacity among the rows that use it", () =>
    withFacts(async (tables) => {
      const rows = await tables.rows(
        `SELECT * FROM v_api_network_demand_by_gpu ${HERE} AND toHour(window_start) = 10 ORDER BY gpu_id, gateway`,
      );
      assert.equal(rows.map(({ gateway, gpu_id }) => `${gateway} ${gpu_id}`), ["g1 G1", "g2 G1", "g2 G2", "g1 G3"]);
      // The newest snapshot of each node: 1 + 2 slots of one, 1 of the other.
      holds(rows[0], {
        gpu_type: "RTX 4090",
        total_sessions: 2,
        used_inference_minutes: 0.1,
        inference_minutes_by_gpu_type: 0.1,
        available_capacity_minutes: 120,
        capacity_rate: 0.1 / 120,
        known_sessions: 2,
        unexcused_sessions: 1,
        missing_capacity_count: 0,
        fee_payment_eth: 0.75,
      });
      holds(rows[1], { available_capacity_minutes: 120, total_sessions: 1 });
      holds(rows[2], { gpu_type: "unknown", available_capacity_minutes: null, capacity_rate: null });
    }));

  test("the capacity of a node is what its newest snapshot says: a model that it has given up has none there", () =>
    withFacts(async (tables) => {
      await tables.write("raw_network_capabilities_model_constraints", [
        constraint("k3", "09:40", "https://a2", 5, 0, "m2"),
      ]);
      await tables.write("dim_orchestrator_capability_snapshots", [
        gpuRow("k3", "09:40", { orchestrator_url: "https://a2", model_id: "m2", gpu_id: "G9" }),
      ]);
      const slots = () =>
        tables.rows(`SELECT model_id AS model, slots FROM serving_capacity ${HERE} AND slots > 0 ORDER BY model`);
      assert.equal(await slots(), [{ model: "m1", slots: 3 }, { model: "m2", slots: 5 }]);
      // Then it runs nothing at all; of the other node this snapshot says nothing.
      await tables.write("dim_orchestrator_capability_snapshots", [
        gpuRow("k4", "09:50", { orchestrator_url: "https://a2", model_id: "", gpu_id: null, capability_id: -1 }),
      ]);
      assert.equal(await slots(), [{ model: "m1", slots: 3 }]);
    }));

  test("v_api_sla_compliance() counts a session in every hour that served it, and in no tail", () =>
    withFacts(async (tables) => {
      const rows = await tables.rows(`SELECT * FROM v_api_sla_compliance ${HERE} ORDER BY window_start, gpu_id`);
      const places = rows.map((row) => `${String(row.window_start).slice(11, 13)} ${row.gpu_id}`);
      assert.equal(places, ["10 G1", "10 G2", "10 G3", "11 G3", "15 G1", "16 G1"]);
      holds(rows[0], {
        known_sessions: 3,
        startup_success_sessions: 2,
        unexcused_sessions: 1,
        swapped_sessions: 1,
        health_completeness_ratio: 7 / 9,
        startup_success_ratio: 2 / 3,
        success_ratio: 2 / 3,
        no_swap_ratio: 2 / 3,
        sla_score: 100 * (7 / 9) * (2 / 3),
      });
      // s3 has no output, which costs 40 of 100.
      holds(rows[1], { known_sessions: 1, success_ratio: 0, startup_success_ratio: 1, sla_score: 60 });
      holds(rows[3], { known_sessions: 1, success_ratio: 1, sla_score: 100 });
    }));

  test("v_api_jitter_5m() leaves out windows of fewer than ten samples", () =>
    withFacts(async (tables) => {
      const rows = await tables.rows(`SELECT * FROM v_api_jitter_5m ${HERE}`);
      assert.is(rows.length, 1);
      holds(rows[0], {
        window_start_5m: "2026-02-01 15:00:00",
        gpu_id: "G1",
        status_samples: 10,
        avg_output_fps: 15,
        jitter_coeff_fps: 1 / 3,
      });
    }));

  test("tell the jitter of a stream that hardly jitters, and of one that does not", () =>
    withTables(async (tables) => {
      // An hour of a sample every ten seconds: 24.69 and 24.71 in turn on A, 24.7 all the time on B.
      const samples = Array.from({ length: 360 }, (_, n) => [
        sampleRow(`a${n}`, "s1|r1", A, at("10:00") + n * 10_000, 24.7 + (n % 2 === 0 ? 0.01 : -0.01)),
        sampleRow(`b${n}`, "s2|r2", B, at("10:00") + n * 10_000, 24.7),
      ]);
      await tables.write("fact_stream_status_samples", samples.flat());
      await tables.rollup();
      const of = (view: string) =>
        tables.rows(`SELECT gpu_id, jitter_coeff_fps AS jitter FROM ${view} ORDER BY gpu_id`);
      for (const { gpu_id, jitter } of [...await of("v_api_gpu_metrics"), ...await of("v_api_jitter_5m")]) {
        holds({ jitter }, { jitter: gpu_id === "G1" ? 0.01 / 24.7 : 0 });
      }
    }));

  test("v_api_session_identity() and v_health_rollup_freshness() tell who a session is and how fresh a table", () =>
    withFacts(async (tables) => {
      const [session] = await tables.rows(`SELECT * FROM v_api_session_identity WHERE request_id = 'r2'`);
      holds(session, {
        workflow_session_id: "s2|r2",
        orchestrator_address: "0xa",
        session_start_ts: "2026-02-01 10:30:00.000",
        latest_version: 2,
      });
      const watched = await tables.rows(`SELECT * FROM v_health_rollup_freshness ${HERE} ORDER BY table_name`);
      assert.equal(watched.map(({ table_name, max_event_ts }) => `${table_name} ${max_event_ts}`), [
        "agg_stream_performance_1m 2026-02-01 16:05:00.000",
        "fact_stream_status_samples 2026-02-01 16:05:00.000",
        "fact_workflow_sessions 2026-02-01 15:00:00.000",
      ]);
      assert.ok(watched.every(({ lag_minutes }) => Number(lag_minutes) > 0));
    }));

  test("agg_reliability_1h and agg_latency_kpis_1m count a session once, whatever its versions", () =>
    withFacts(async (tables) => {
      const [sums] = await tables.rows(
        `SELECT sumMerge(known_sessions_state) AS known, sumMerge(unexcused_sessions_state) AS unexcused
         FROM agg_reliability_1h ${HERE} AND window_start = '2026-02-01 10:00:00' AND gpu_id = 'G1'`,
      );
      holds(sums, { known: 3, unexcused: 1 });
      const [latency] = await tables.rows(
        `SELECT avgMerge(e2e_latency_ms_avg_state) AS mean, sumMerge(valid_e2e_latency_state) AS valid
         FROM agg_latency_kpis_1m ${HERE} AND toStartOfHour(window_start) = '2026-02-01 10:00:00' AND gpu_id = 'G1'`,
      );
      holds(latency, { mean: 800, valid: 1 });
    }));

  test("have the same rows for a user whose outer joins fill with NULL", () =>
    withFacts(async (tables) => {
      const views = ["gpu_metrics", "network_demand", "network_demand_by_gpu", "sla_compliance", "jitter_5m"];
      for (const view of views) {
        const rows = (nulls: number) =>
          tables.rows(`SELECT * FROM v_api_${view} ${HERE} ORDER BY ALL SETTINGS join_use_nulls = ${nulls}`);
        const usual = await rows(0);
        assert.ok(usual.length > 0, view);
        assert.equal(await rows(1), usual, view);
      }
    }));

  test("have the key columns of the contract, all of one type", () =>
    withTables(async (tables) => {
      const rows = await tables.rows(
        `SELECT table, name, replaceRegexpOne(type, '^LowCardinality\\\\((.*)\\\\)$', '\\\\1') AS type
         FROM system.columns
         WHERE database = currentDatabase() AND match(table, '^(v_api_[gnsj]|serving_|agg_)')
           AND table != 'v_api_session_identity'
           AND name IN ('source', 'gateway', 'orchestrator_address', 'pipeline', 'model_id', 'gpu_id', 'region')`,
      );
      assert.ok(rows.length > 60);
      assert.equal(rows.filter(({ type }) => type !== "String"), []);
    }));
});
