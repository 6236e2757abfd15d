/**
 * Events in, folded facts out: the core as a black box.
 */
import * as assert from "uvu/assert";
import type { Row } from "../../src/core/emit/row.ts";
import { FACTS, type FactTable } from "../../src/core/facts.ts";
import type { Wire } from "./events.ts";
import { inOrder, states, type World, type WorldSettings } from "./world.ts";

/** The folded rows of a run. */
export interface Facts {
  /** The rows of a table, by session or event. */
  of(table: FactTable): readonly Row[];
  /** The only row of the event with this id. */
  event(table: FactTable, id: string): Row;
  /** The only session with this request. */
  session(requestId?: string): Row;
  /** Its segments, in order. */
  segments(requestId?: string): Row[];
  /** Every table, for comparison. */
  readonly all: ReadonlyMap<FactTable, readonly Row[]>;
}

/** What a run in this order of arrival leaves, each event followed by everything it leads to. */
export function facts(wires: readonly Wire[], settings: Partial<WorldSettings> = {}): Facts {
  return factsOf(inOrder(wires, settings));
}

/** What a world holds. */
export function factsOf(world: World): Facts {
  const of = (table: FactTable) => world.rows(table);
  const only = (table: FactTable, what: string, is: (row: Row) => boolean): Row => {
    const found = of(table).filter(is);
    assert.is(found.length, 1, `${found.length} rows of ${table} for ${what}`);
    return found[0]!;
  };
  const session = (requestId = "request-1") =>
    only("fact_workflow_sessions", requestId, (row) => row.request_id === requestId);
  return {
    of,
    event: (table, id) => only(table, id, (row) => row.source_event_id === id),
    session,
    segments: (requestId) => segmentsOf(session(requestId)),
    all: new Map(FACTS.map(({ table }) => [table, of(table)])),
  };
}

/**
 * What comes out whichever way the events arrive: as they happened and in each of the other orders. The orders are
 * held against each other in every fact and every column, versions too.
 */
export function whateverOrder(
  happened: readonly Wire[],
  arrivals: readonly (readonly Wire[])[] = [[...happened].reverse()],
  settings: Partial<WorldSettings> = {},
): Facts {
  const expected = facts(happened, settings);
  for (const arrived of arrivals) assert.equal(facts(arrived, settings).all, expected.all);
  return expected;
}

/** Asserts of a row of any fact that it is not attributed, for this reason, and names nobody; an own url may stay. */
export function namesNobody(row: Row, reason: string, url = ""): void {
  states(row, {
    is_attributed: 0,
    unattributed_reason: reason,
    orchestrator_address: "",
    orchestrator_url: url,
    pipeline: "",
    model_id: null,
    gpu_id: null,
    gpu_count: 0,
    gpu_attribution_method: "none",
    gpu_attribution_confidence: 0,
    selected_snapshot_uid: "",
    selected_snapshot_ts: null,
  });
}

/** The id of the event that a uid names. */
export function idOf(uid: Row[string] | undefined): string {
  return String(uid).split("~")[0]!;
}

/** The one place that knows how a session row holds its segments: each nested column as a list. */
function segmentsOf(session: Row): Row[] {
  const prefix = "segments.";
  const nested = Object.entries(session).filter(([column]) => column.startsWith(prefix));
  const lists = nested.map(([column, list]) =>
    [column.slice(prefix.length), list as unknown as Row[string][]] as const
  );
  const count = lists[0]?.[1].length ?? 0;
  return Array.from(
    { length: count },
    (_, index) => Object.fromEntries(lists.map(([column, list]) => [column, list[index]!])),
  );
}
