/**
 * The ordering stress scenario of `test/fixtures/ordering-stress` and the rows that it must come to, whatever order its
 * messages come in. The rows are written down by hand, with the reasons beside them.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { linesOf } from "../../src/jsonl.ts";
import type { Cluster } from "./cluster.ts";

const FOLDER = new URL("../fixtures/ordering-stress/", import.meta.url);
export const STRESS = fileURLToPath(FOLDER);

type Rows = Readonly<Record<string, readonly Record<string, unknown>[]>>;

/** A session: its folded rows by table, of the columns that matter, and why they are so. */
export interface StressSession {
  readonly workflow_session_id: string;
  readonly why: readonly string[];
  readonly rows: Rows;
}

export const STRESS_SESSIONS: readonly StressSession[] = JSON.parse(
  readFileSync(new URL("expected.json", FOLDER), "utf8"),
);

/** The session that nothing is known of without the snapshot in `WITHHELD`. */
export const UNKNOWN_SESSION = "stress-late|late0001";

/** Everything but one snapshot, in order, and that snapshot. */
export const EVENTS = messagesOf("events.jsonl");
export const WITHHELD = messagesOf("withheld_snapshot.jsonl");

function messagesOf(file: string): Uint8Array[] {
  return linesOf(readFileSync(new URL(file, FOLDER)));
}

/** The folded rows of a session in the columns of `like`, by what places them: the first column, then the second. */
export async function rowsLike(cluster: Cluster, source: string, session: string, like: Rows): Promise<Rows> {
  const found: Record<string, Record<string, unknown>[]> = {};
  for (const [table, rows] of Object.entries(like)) {
    const columns = rows.length === 0 ? ["workflow_session_id"] : Object.keys(rows[0]!);
    found[table] = await cluster.rows(
      `SELECT ${columns.join(", ")} FROM ${table}_current
       WHERE source = {source:String} AND workflow_session_id = {session:String}
       ORDER BY ${columns.slice(0, 2).join(", ")}`,
      { source, session },
    );
  }
  return found;
}

/** Asserts that a source has the rows of these sessions, and no other sessions. */
export async function isStressed(cluster: Cluster, source: string, sessions = STRESS_SESSIONS): Promise<void> {
  const count = `SELECT count() FROM fact_workflow_sessions_current WHERE source = {source:String}`;
  assert.is(await cluster.count(count, { source }), STRESS_SESSIONS.length);
  for (const { workflow_session_id, why, rows } of sessions) {
    const found = await rowsLike(cluster, source, workflow_session_id, rows);
    for (const table of Object.keys(rows)) {
      const message = `${source}, ${workflow_session_id}, ${table}\n${why.join("\n")}`;
      assert.is(lines(found[table]!), lines(rows[table]!), message);
    }
  }
}

function lines(rows: readonly unknown[]): string {
  return rows.map((row) => JSON.stringify(row)).join("\n");
}
