/** The worlds of session-traffic.ts for property tests, which make them smaller by leaving messages out. */
import fc from "fast-check";
import type { Wire } from "./events.ts";
import { GRID_MS, LAST_SLOT, sessionWires } from "./session-traffic.ts";

/** Some of the messages of a generated world, in no particular order. */
export const sessionWorld: fc.Arbitrary<Wire[]> = fc.noShrink(fc.nat())
  .chain((seed) => fc.subarray(sessionWires(seed), { minLength: 1 }));

const span = fc.constantFrom(LAST_SLOT, 0, 1, 2, 3, 5).map((slots) => slots * GRID_MS);

/** How far a snapshot may lie from an observation: from nothing at all to the whole of the world. */
export const sessionTtl = fc.record({ beforeMs: span, afterMs: span });
