/**
 * §6.16 of the parity list: what the first predecessor's assertion pack demands of facts, held against every
 * production file and against a busy session of our own that has what those lack.
 */
import * as assert from "uvu/assert";
import type { Row } from "../../../src/core/emit/row.ts";
import { FACTS, type FactTable } from "../../../src/core/facts.ts";
import { node, snapshot, type Wire } from "../../helpers/events.ts";
import { type Facts, factsOf } from "../../helpers/facts.ts";
import { productionEvents, productionFiles } from "../../helpers/production.ts";
import {
  A,
  B,
  close,
  error,
  ingest,
  NODE_A,
  playable,
  processed,
  request,
  sample,
  SD,
  sent,
  streamEvent,
  swap,
} from "../../helpers/session-events.ts";
import { describe } from "../../helpers/suite.ts";
import { HOUR_MS, inOrder, type World } from "../../helpers/world.ts";

/** Two segments with a model, a pipeline and parameters each, samples on both sides, and a session that knows nobody. */
const BUSY: Wire[] = [
  snapshot(
    500,
    NODE_A,
    node("0xcb", "", [], { hot: B.wallet, url: B.url, hardware: [{ pipeline: "text-to-image", model: "m" }] }),
  ),
  request(1_000),
  sent(2_000, A),
  sample(3_000, { ...A, model: SD }),
  streamEvent("params_update", 3_500, "{}"),
  ingest(4_000),
  processed(4_500, A),
  swap(5_000, A),
  sent(6_000, B),
  sample(7_000, { ...B, model: "m" }),
  streamEvent("params_update", 7_500, "{}"),
  playable(8_000, B),
  close(9_000),
  error(9_500, "odd"),
  request(1_000, { request: "alone" }),
  sample(2_000, { request: "alone", model: SD }),
  streamEvent("params_update", 3_000, "{}", { request: "alone" }),
];

interface Case {
  readonly world: World;
  readonly all: Facts;
  readonly sessions: readonly Row[];
}

function caseOf(wires: readonly Wire[]): Case {
  const world = inOrder(wires, { allowedLatenessMs: 100 * HOUR_MS });
  const all = factsOf(world);
  return { world, all, sessions: all.of("fact_workflow_sessions") };
}

const segmentsOf = (all: Facts, session: Row): Row[] => all.segments(String(session.request_id));

/** The values of a column, blanks left out. */
const valuesOf = (rows: readonly Row[], column: string): Set<Row[string]> =>
  new Set(rows.map((row) => row[column]!).filter((value) => value !== null && value !== ""));

describe("the assertion pack (§6.16)", (test) => {
  const cases = [BUSY, ...productionFiles().map(productionEvents)].map(caseOf);
  const rowsOf = (table: FactTable): Row[] => cases.flatMap(({ all }) => all.of(table));

  /** A claim about every session; `least` is how many it must have been tried on. */
  function eachSession(least: number, applies: (session: Row) => boolean, check: (session: Row, all: Facts) => void) {
    const found = cases.flatMap(({ all, sessions }) => sessions.filter(applies).map((session) => ({ session, all })));
    assert.ok(found.length >= least, `${found.length} sessions`);
    for (const { session, all } of found) check(session, all);
  }

  test("status / trace / ingest raw_to_silver_projection: every accepted event has one row, and no row is without event", () => {
    const projections: [type: string, table: FactTable][] = [
      ["ai_stream_status", "fact_stream_status_samples"],
      ["stream_trace", "fact_stream_trace_edges"],
      ["stream_ingest_metrics", "fact_stream_ingest_samples"],
    ];
    for (const [type, table] of projections) {
      assert.ok(rowsOf(table).length > 10 || table === "fact_stream_ingest_samples");
      for (const { world, all } of cases) {
        const raw = world.events().filter(({ wire }) => wire.type === type).map(({ uid }) => uid);
        assert.equal(all.of(table).map((row) => row.source_event_uid), raw.sort());
      }
    }
    assert.is(rowsOf("fact_stream_ingest_samples").length, 35);
  });

  test("session_final_uniqueness; workflow_session_has_identifier: one row per session, and every session has a name", () => {
    for (const { sessions } of cases) {
      const ids = sessions.map((row) => `${row.source} ${row.workflow_session_id}`);
      assert.is(new Set(ids).size, ids.length);
    }
    eachSession(8, () => true, (session) => assert.ok(String(session.workflow_session_id).length > 1));
  });

  test("swap_signal_split_consistency: a swap is a confirmed one", () => {
    eachSession(8, () => true, (session) => assert.is(session.swap_count, session.confirmed_swap_count));
    assert.is(rowsOf("fact_workflow_sessions").filter((row) => row.swap_count === 1).length, 2);
  });

  test("swapped_sessions_have_evidence: an edge for a confirmed swap, two orchestrators for an inferred one", () => {
    eachSession(2, (session) => session.confirmed_swap_count !== 0, (session, all) => {
      const edges = all.of("fact_stream_trace_edges").filter((row) =>
        row.workflow_session_id === session.workflow_session_id && row.is_swap_event === 1
      );
      assert.is(edges.length, session.confirmed_swap_count);
    });
    eachSession(1, (session) => session.inferred_orchestrator_change_count !== 0, (session, all) => {
      assert.ok(valuesOf(segmentsOf(all, session), "orchestrator_address").size > 1);
    });
  });

  test("gold_sessions_use_canonical_orchestrator_identity: no address that no snapshot calls canonical", () => {
    for (const { world, all } of cases) {
      const canonical = new Set(
        world.events().filter(({ wire }) => wire.type === "network_capabilities")
          .flatMap(({ wire }) => (wire.data as { address: string }[]).map(({ address }) => address.toLowerCase())),
      );
      const rows = [...all.of("fact_workflow_sessions"), ...all.of("fact_stream_trace_edges")];
      for (const address of valuesOf(rows, "orchestrator_address")) assert.ok(canonical.has(String(address)));
    }
    assert.ok(valuesOf(rowsOf("fact_workflow_sessions"), "orchestrator_address").size >= 5);
  });

  test("param_updates_reference_existing_session: every marker has its session", () => {
    assert.is(rowsOf("fact_workflow_param_updates").length, 3);
    for (const { all, sessions } of cases) {
      const ids = valuesOf(sessions, "workflow_session_id");
      for (const row of all.of("fact_workflow_param_updates")) assert.ok(ids.has(row.workflow_session_id!));
    }
  });

  test("lifecycle_session_pipeline_model_compatible; lifecycle_unattributed_pipeline_not_model_id: a pipeline is never a model", () => {
    const tables = FACTS.map(({ table }) => table);
    const rows = tables.filter((table) => table !== "fact_stream_ingest_samples").flatMap(rowsOf);
    assert.ok(valuesOf(rows, "pipeline").size >= 2);
    for (const row of rows) {
      if (row.model_id !== null) assert.is.not(row.pipeline, row.model_id);
      if (row.is_attributed === 0) assert.equal([row.pipeline, row.model_id], ["", null]);
    }
  });

  test("session_to_segment / session_to_latency consistency: a session's identity is its last segment's", () => {
    const identity = ["orchestrator_address", "pipeline", "model_id", "gpu_id", "gpu_count", "is_attributed"];
    eachSession(8, () => true, (session, all) => {
      const last = segmentsOf(all, session).at(-1)!;
      for (const column of identity) assert.is(last[column], session[column]);
    });
  });

  test("session_to_status_projection_consistency; status_vs_segment / latency_vs_segment identity: samples agree with the segment they fall in", () => {
    let compared = 0;
    for (const { all, sessions } of cases) {
      for (const row of all.of("fact_stream_status_samples").filter((one) => one.is_attributed === 1)) {
        const session = sessions.find((one) => one.workflow_session_id === row.workflow_session_id)!;
        const segment = segmentsOf(all, session).filter((one) => one.start_ts! <= row.sample_ts!).at(-1)!;
        for (const column of ["orchestrator_address", "model_id", "pipeline"]) assert.is(row[column], segment[column]);
        compared++;
      }
    }
    assert.is(compared, 2 + 4 + 2 + 5 + 17);
  });

  test("session_summary_change_flags_consistency: a flag stands for segments that differ", () => {
    eachSession(8, () => true, (session, all) => {
      const segments = segmentsOf(all, session);
      assert.is(session.has_model_change, valuesOf(segments, "model_id").size > 1 ? 1 : 0);
      assert.is(session.has_pipeline_change, valuesOf(segments, "pipeline").size > 1 ? 1 : 0);
    });
    assert.is(rowsOf("fact_workflow_sessions").filter((row) => row.has_model_change === 1).length, 1);
  });

  test("trace_edge_pipeline_model_coverage: an attributed session has an edge with pipeline and model", () => {
    eachSession(5, (session) => session.is_attributed === 1, (session, all) => {
      const edges = all.of("fact_stream_trace_edges").filter((row) =>
        row.workflow_session_id === session.workflow_session_id
      );
      assert.ok(edges.some((row) => row.pipeline !== "" && row.model_id !== null));
    });
  });

  test("proxy_to_canonical_multiplicity_guard: a wallet at a url is one orchestrator, though the wallet alone may be several", () => {
    const byNode = new Map<string, Set<string>>();
    const byWallet = new Map<string, Set<string>>();
    const add = (map: Map<string, Set<string>>, key: string, value: string) =>
      map.set(key, new Set([...map.get(key) ?? [], value]));
    for (const { world } of cases) {
      for (const { wire } of world.events().filter((one) => one.wire.type === "network_capabilities")) {
        for (const entry of wire.data as { address: string; local_address: string; orch_uri: string }[]) {
          add(byNode, `${entry.local_address} ${entry.orch_uri}`, entry.address);
          add(byWallet, entry.local_address, entry.address);
        }
      }
    }
    assert.ok([...byNode.values()].every((addresses) => addresses.size === 1));
    assert.ok([...byWallet.values()].some((addresses) => addresses.size === 2));
    // Where the network breaks the rule, one of the two is chosen, and it is the same one in every order.
    const twins = [node("0xca", SD, ["g"]), node("0xcb", SD, ["g"])];
    const shared = [snapshot(500, ...twins), sent(1_000, A), sample(2_000, A), sample(3_000, A)];
    const { sessions } = caseOf(shared);
    assert.equal(caseOf([...shared].reverse()).sessions, sessions);
    assert.is(valuesOf(sessions, "orchestrator_address").size, 1);
  });

  test("latest_sessions_vs_segment_session_ids: segments are part of their session, and no session is without", () => {
    eachSession(8, () => true, (session, all) => assert.ok(segmentsOf(all, session).length > 0));
  });
});
