/** The rows that events leave when all evidence is known: derived by the partition state that the processor drives. */
import { UNBOUNDED } from "../audit/world.ts";
import type { Row } from "../core/emit/row.ts";
import { factKey, factOf } from "../core/facts.ts";
import type { SnapshotFeed } from "../core/feed.ts";
import type { Ttl } from "../core/select.ts";
import { FROM_THE_START, PartitionState } from "../core/step.ts";
import type { Material } from "./material.ts";

/** The facts of these messages by `factKey`; the feed must be complete. */
export function rowsOf(
  materials: readonly Material[],
  feed: SnapshotFeed,
  ttl: Ttl,
  generation: number,
): Map<string, Row> {
  const state = new PartitionState(
    { ...UNBOUNDED, ttl, generation, allowedLatenessMs: 0, mostSeen: materials.length + 2 },
    feed,
    FROM_THE_START,
  );
  const inOrder = [...materials].sort((a, b) => a.message.streamSequence - b.message.streamSequence);
  for (const { message, judged } of inOrder) state.take(message, judged);
  state.settle();
  const facts = new Map<string, Row>();
  for (const [table, rows] of state.seal().rows) {
    const fact = factOf(table);
    if (fact !== undefined) { for (const row of rows) facts.set(factKey(fact, row), row); }
  }
  return facts;
}
