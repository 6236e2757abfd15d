/** What a run must have left: the facts of the undisturbed one, byte for byte, and nothing lost. */
import { judge } from "../../src/core/judge.ts";
import { difference } from "../helpers/fact-compare.ts";
import { FACTS } from "../helpers/fact-oracle.ts";
import { acceptedEvents } from "../helpers/oracle.ts";
import type { FactRow } from "../helpers/session-row-oracle.ts";
import { GENERATION, type Servers } from "./installation.ts";
import type { World } from "./world.ts";

/** One thing that is wrong. */
export interface Finding {
  readonly kind: "content" | "version" | "lost" | "contradiction" | "oracle" | "failure" | "trace";
  readonly text: string;
}

/** How a run's tables differ from those of the undisturbed run. */
export function compare(disturbed: Servers, undisturbed: Servers): Finding[] {
  const tables = new Set([...disturbed.warehouse.tables, ...undisturbed.warehouse.tables]);
  return [...tables].filter((table) => /^(fact|dim)_/.test(table)).flatMap((table) => {
    const actual = disturbed.warehouse.folded(table);
    const expected = undisturbed.warehouse.folded(table);
    return [...new Set([...actual.keys(), ...expected.keys()])]
      .filter((key) => actual.get(key) !== expected.get(key))
      .map((key) => differenceOf(table, actual.get(key), expected.get(key)));
  });
}

/** What a run must hold whatever another one holds. */
export function check({ stream, warehouse, deadLetters, dirtyMinutes }: Servers): Finding[] {
  const findings: Finding[] = [...new Set(warehouse.contradictions)].map((text) => ({ kind: "contradiction", text }));
  const archived = warehouse.folded("raw_streaming_events");
  const refused = warehouse.folded("raw_streaming_events_dlq");
  const letters = new Set(deadLetters.letters.map(({ streamSequence, uid }) => `${streamSequence} ${uid}`));
  for (const message of stream.everything) {
    const { decoded } = judge(message);
    const { source, uid } = decoded.envelope;
    const seq = message.streamSequence;
    const lost = (what: string) =>
      findings.push({ kind: "lost", text: `${what} of ${seq} (${message.subject} ${uid})` });
    if (!archived.has([source, seq, uid].join("\n"))) lost("the archive row");
    if (decoded.outcome !== "rejected") continue;
    if (!refused.has([source, seq, uid].join("\n"))) lost("the row of the dead letter");
    if (!letters.has(`${seq} ${uid}`)) lost("the dead letter");
  }
  // A rollup of such a minute could have been made before its last change, and would not be made again.
  for (const subject of dirtyMinutes.unmarked) findings.push({ kind: "lost", text: `the mark of ${subject}` });
  return findings;
}

/** Where the facts first differ from their definition. */
export function compareWithOracle({ stream, warehouse }: Servers, { ttl }: World): Finding[] {
  const rows = FACTS.flatMap((fact) => warehouse.rows(fact).map(([, row]) => row as FactRow));
  const { generation } = GENERATION;
  const text = difference(rows, acceptedEvents(stream.everything), { ttl, generation });
  return text === undefined ? [] : [{ kind: "oracle", text }];
}

function differenceOf(table: string, actual: string | undefined, expected: string | undefined): Finding {
  const isOnlyVersion = actual !== undefined && expected !== undefined &&
    withoutVersion(actual) === withoutVersion(expected);
  return { kind: isOnlyVersion ? "version" : "content", text: `${table}\n  is     ${actual}\n  wanted ${expected}` };
}

function withoutVersion(row: string): string {
  return JSON.stringify({ ...JSON.parse(row), version: "" });
}
