/** The entries that messages leave in `workflow_sessions` once everything is closed. */
import { PARTITION_ALL } from "../../src/core/subject.ts";
import type { Ttl } from "../../src/core/select.ts";
import { bytesOf, capabilities, stored, subjectOf, type Wire } from "./events.ts";
import { SPAN_MS } from "./session-traffic.ts";
import { World } from "./world.ts";

/** Every message is stored long after its event. */
const STORED_MS = 4_000_000_000_000;

/** A message of a generated world, with its place in the stream. */
export interface Placed {
  readonly wire: Wire;
  readonly sequence: number;
}

export function placed(wires: readonly Wire[]): Placed[] {
  return wires.map((wire, at) => ({ wire, sequence: at + 1 }));
}

/** The world that some messages leave when a later snapshot of each source has closed all there is. */
export function closedWorld(messages: readonly Placed[], ttl: Ttl): World {
  const world = new World({ ttl, allowedLatenessMs: SPAN_MS });
  const append = (wire: Wire, sequence: number) => {
    const subject = subjectOf(wire, 1);
    const partition = subject.slice(subject.lastIndexOf(".") + 1);
    world.append(partition, stored(subject, bytesOf(wire.envelope), sequence, STORED_MS));
    return partition;
  };
  for (const { wire, sequence } of messages) append(wire, sequence);
  world.drain();
  const latestMs = messages.reduce((latest, { wire }) => Math.max(latest, Number(wire.envelope.timestamp)), 0);
  const afterAllMs = latestMs + 3 * (SPAN_MS + ttl.beforeMs + ttl.afterMs);
  for (const [at, source] of [...new Set(messages.map(({ wire }) => wire.source))].entries()) {
    const last = capabilities({ at: afterAllMs, id: "last", source, nodes: [{ canonical: "0xlast" }] });
    append(last, 1_000_000 + at);
  }
  while (world.take(PARTITION_ALL));
  world.drain();
  return world;
}
