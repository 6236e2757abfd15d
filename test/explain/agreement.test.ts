/** What an explanation derives is what the processor derives, in whatever world. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { consider } from "../../src/core/consider.ts";
import { outranks } from "../../src/core/evidence.ts";
import type { FactTable } from "../../src/core/facts.ts";
import { select, type Ttl } from "../../src/core/select.ts";
import type { Material } from "../../src/explain/material.ts";
import { rowsOf } from "../../src/explain/rows.ts";
import { explainSession, observedOf } from "../../src/explain/session.ts";
import type { Wire } from "../helpers/events.ts";
import { feedOf, materialsOf } from "../helpers/explained.ts";
import { sessionTtl, sessionWorld } from "../helpers/session-world.ts";
import { describe } from "../helpers/suite.ts";
import { HOUR_MS, inOrder, states } from "../helpers/world.ts";

function check(runs: number, claim: (wires: Wire[], ttl: Ttl) => void): void {
  fc.assert(fc.property(sessionWorld, sessionTtl, claim), { numRuns: runs, includeErrorInReport: true });
}

/** The messages of each session, by its key. */
function sessionsIn(materials: readonly Material[]): Map<string, Material[]> {
  const sessions = new Map<string, Material[]>();
  for (const material of materials) {
    const { sessionKey } = material.judged;
    if (sessionKey !== undefined) sessions.set(sessionKey, [...sessions.get(sessionKey) ?? [], material]);
  }
  return sessions;
}

/** Facts of single events that a session's messages leave, and its own. */
const TABLES: readonly FactTable[] = [
  "fact_stream_status_samples",
  "fact_stream_trace_edges",
  "fact_lifecycle_edge_coverage",
  "fact_workflow_param_updates",
  "fact_workflow_sessions",
];

describe("what an explanation derives", (test) => {
  test("names the choice of select as the one that won, above all others, and none where nothing is claimed", () =>
    check(150, (wires, ttl) => {
      const materials = materialsOf(wires);
      const feed = feedOf(materials);
      for (const { judged: { decoded } } of materials) {
        const observed = decoded.outcome === "accepted" ? observedOf(decoded.event) : undefined;
        if (observed === undefined) continue;
        const candidates = feed.candidatesOf(observed.source);
        const selection = select(observed, candidates, ttl);
        const considered = consider(observed, selection, candidates, ttl);
        const chosen = considered.filter(({ verdict }) => verdict === "chosen");
        if (selection.chosen === undefined) {
          assert.equal(chosen, []);
          // The level is that of the best candidate, unless several of one level tell against each other.
          const [best] = considered;
          const isAmbiguous = best?.verdict === "wallet_ambiguous";
          assert.ok(isAmbiguous || (best === undefined ? 0 : Math.max(best.grade, 0)) === selection.grade);
          continue;
        }
        const { sighting, item } = selection.chosen;
        assert.equal(chosen.map((one) => [one.sighting.snapshotUid, one.item]), [[sighting.snapshotUid, item]]);
        assert.equal([chosen[0]!.grade, chosen[0]!.tie], [selection.grade, selection.tie]);
        for (const other of considered) assert.not.ok(outranks(other, selection));
      }
    }));

  test("gives every row of a session, byte for byte and version for version", () =>
    check(50, (wires, ttl) => {
      const world = inOrder(wires, { ttl, allowedLatenessMs: 1_000 * HOUR_MS });
      const materials = materialsOf(wires);
      const feed = feedOf(materials);
      const derived = new Map([...sessionsIn(materials).values()].flatMap((own) => [...rowsOf(own, feed, ttl, 1)]));
      for (const table of TABLES) {
        const own = [...derived].filter(([key]) => key.startsWith(`${table}\n`)).sort(([a], [b]) => a < b ? -1 : 1);
        assert.equal(own.map(([, row]) => row), world.rows(table), table);
      }
    }));

  test("tells of a session what its row says, and of every event something or that it adds nothing", () =>
    check(50, (wires, ttl) => {
      const materials = materialsOf(wires);
      const feed = feedOf(materials);
      for (const own of sessionsIn(materials).values()) {
        if (own.every(({ judged: { decoded } }) => decoded.envelope.type === "stream_ingest_metrics")) continue;
        const told = explainSession(own, feed, ttl);
        const rows = [...rowsOf(own, feed, ttl, 1).values()];
        const row = rows.find((one) => one.event_count !== undefined)!;
        states(row, {
          workflow_session_id: told.sessionId,
          event_count: told.events.length,
          confirmed_swap_count: told.swaps.confirmed,
          inferred_orchestrator_change_count: told.swaps.inferred,
          error_count: told.errors.total,
          excusable_error_count: told.errors.excusable,
          startup_success: told.startUp.outcome === "success" ? 1 : 0,
          startup_excused: told.startUp.outcome === "excused" ? 1 : 0,
          startup_unexcused: told.startUp.outcome === "unexcused" ? 1 : 0,
          "segments.orchestrator_address": told.segments.map(({ orchestrator }) => orchestrator),
          ...Object.fromEntries(told.latencies.map(({ name, ms }) => [name, ms])),
        });
        // Each count is the number of events that are said to add to it.
        const adding = (...codes: string[]) =>
          told.events.filter(({ adds }) => adds.some(({ code }) => codes.includes(code))).length;
        states(row, {
          confirmed_swap_count: adding("swap"),
          error_count: adding("error", "excused_error"),
          excusable_error_count: adding("excused_error"),
          status_sample_count: adding("sample"),
          status_error_sample_count: adding("error_sample"),
          completed: Math.min(1, adding("completed")),
        });
        assert.is(adding("opens_segment"), told.segments.length);
        for (const { identifiedBy, orchestrator, model, level } of told.segments) {
          const event = told.events.find(({ uid }) => uid === identifiedBy);
          assert.ok(event === undefined || event.claim !== null, "an event that names nobody identifies nothing");
          if (orchestrator !== "") assert.equal(event?.claim, { level, reason: "", orchestrator, model });
        }
      }
    }));
});
