/**
 * What an open observation that is matched costs, in a process that does nothing else; prints one line of JSON.
 *
 *     node --expose-gc observations.js COUNT
 */
import { decode } from "../../src/core/decode.ts";
import { MatchedObservations } from "../../src/core/matched.ts";
import { edgeOf, type ObservedEvent, sampleOf } from "../../src/core/observed.ts";
import { bytesOf } from "../helpers/events.ts";
import { USUAL_EVENTS, USUAL_MS, usualEvent } from "../helpers/usual-session.ts";
import { LATENESS_MS, messageOf } from "./core.ts";
import { usedBytes } from "./used.ts";

export interface ObservationCost {
  readonly observations: number;
  /** In the heap and outside, with the names that the observations of a session share. */
  readonly bytesEach: number;
}

const count = Number(process.argv[2]);
const observations = new MatchedObservations("bench", LATENESS_MS);
const before = usedBytes();
let last = "";
for (let event = 0; observations.size < count; event++) {
  const observed = observedOf(event);
  if (observed === undefined) continue;
  last = observed.uid;
  const { eventTimeMs } = observed;
  const streamSequence = event + 1;
  // The feed stands at the snapshot that it is matched with.
  const snapshotTimeMs = eventTimeMs - 1_000;
  const isKept = observations.add({ observed, streamSequence, snapshotTimeMs, arrivalFeedMs: snapshotTimeMs });
  if (!isKept) throw new Error("an observation did not fit");
}
const bytesEach = Math.round((usedBytes() - before) / count);
// Asked for after they were counted, so that they were there.
if (!observations.has(last)) throw new Error("an observation was lost");
const cost: ObservationCost = { observations: count, bytesEach };
console.log(JSON.stringify(cost));

/** Those of usual sessions, one session after the other. */
function observedOf(event: number): ObservedEvent | undefined {
  const wire = usualEvent(Math.floor(event / USUAL_EVENTS), event % USUAL_EVENTS);
  const decoded = decode(messageOf(bytesOf(wire.envelope), event + 1, USUAL_MS));
  if (decoded.outcome !== "accepted") throw new Error("an event of a session was not accepted");
  if (decoded.event.type === "ai_stream_status") return sampleOf(decoded.event);
  return decoded.event.type === "stream_trace" && decoded.event.payload.url !== "" ? edgeOf(decoded.event) : undefined;
}
