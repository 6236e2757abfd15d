/** Wires as an explanation takes them: stored messages, judged, and the complete feed of their snapshots. */
import * as assert from "uvu/assert";
import { SnapshotFeed } from "../../src/core/feed.ts";
import { judge } from "../../src/core/judge.ts";
import type { Ttl } from "../../src/core/select.ts";
import { readSnapshotEntry } from "../../src/core/snapshot.ts";
import type { Material } from "../../src/explain/material.ts";
import { explainObservation, type ObservationExplained } from "../../src/explain/observation.ts";
import { observedOf } from "../../src/explain/session.ts";
import { bytesOf, status, type StatusFields, stored, subjectOf, type Wire } from "./events.ts";
import { DEFAULTS } from "./world.ts";

/** Long after every event, so that none comes from the future. */
const STORED_MS = 4_000_000_000_000;

/** The messages of a stream that holds these wires, all of them archived. */
export function materialsOf(wires: readonly Wire[]): Material[] {
  return wires.map((wire, at) => {
    const message = stored(subjectOf(wire, 1), bytesOf(wire.envelope), at + 1, STORED_MS + at);
    return { message, judged: judge(message), outcome: "accepted", readFrom: "stream" };
  });
}

/** The feed that has applied every snapshot among these messages. */
export function feedOf(materials: readonly Material[]): SnapshotFeed {
  const feed = new SnapshotFeed({ allowedLatenessMs: Infinity, mostSightings: Infinity });
  for (const { judged: { snapshot } } of materials) {
    if (snapshot !== undefined) feed.apply(readSnapshotEntry(snapshot.value!)!);
  }
  feed.complete();
  return feed;
}

/** The explanation of a sample on these snapshots. */
export function explained(
  fields: StatusFields,
  snapshots: readonly Wire[],
  ttl: Ttl = DEFAULTS.ttl,
): ObservationExplained {
  const [sample, ...others] = materialsOf([status(fields), ...snapshots]);
  const { decoded } = sample!.judged;
  assert.is(decoded.outcome, "accepted");
  const observed = decoded.outcome === "accepted" ? observedOf(decoded.event)! : undefined!;
  return explainObservation(observed, feedOf(others).candidatesOf(observed.source), ttl);
}
