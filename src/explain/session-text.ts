/** The explanation of a session as lines for people. */
import type { SessionExplanation } from "./explain.ts";
import type { Segment, SessionEventExplained, SessionExplained } from "./session.ts";
import { evidenceText, fields, rowLines, spaced, wantedLines } from "./text.ts";
import { type Lane, markAt, timeline } from "./timeline.ts";
import { wrap } from "./wrap.ts";

/** Events that are shown; --json has all. */
const SHOWN_EVENTS = 60;

export function sessionLines(explanation: SessionExplanation): string[] {
  const { source, session, readFrom, wanted, rows, evidence } = explanation;
  const { start, end, eventCount, ignored, startUp, swaps, errors, latencies, segments, events } = session;
  return [
    `session ${session.sessionId} of source ${source}`,
    ...fields([
      ["from", `${start} to ${end}, ${eventCount} events`],
      ["read from", `${readFrom.stream} messages from the stream, ${readFrom.archive} from the archive`],
      ["not taken", ignored === 0 ? "" : `${ignored} events: the session is at its bound`],
      ["start-up", `${startUp.outcome}: ${startUp.why}`],
      ["swaps", `${swaps.confirmed} confirmed, ${swaps.inferred} changes of orchestrator inferred`],
      ["errors", `${errors.total}, ${errors.excusable} of them excusable, ${errors.beforePlayable} before playable`],
    ]),
    ...latencies.flatMap(({ name, ms, from, to }) => [
      `  ${name}: ${ms ?? "none"}`,
      ...[from, to].map(({ type, time }) => `    ${time ?? "missing".padEnd(24)} ${type}`),
    ]),
    "",
    "Segments:",
    ...segments.flatMap(segmentLines),
    ...spaced(timeline(lanesOf(session), LEGEND)),
    "",
    "Events, in the order in which the session reads them:",
    ...events.slice(0, SHOWN_EVENTS).flatMap(eventLines),
    ...(events.length > SHOWN_EVENTS ? [`  and ${events.length - SHOWN_EVENTS} more; --json has all`] : []),
    ...(wanted.length === 0 ? [] : ["", "What would attribute those that are not:", ...wantedLines(wanted)]),
    ...rows.flatMap(rowLines),
    "",
    ...wrap(evidenceText(evidence)),
  ];
}

function segmentLines(segment: Segment): string[] {
  const { number, start, end, reason, orchestrator, url, model, gpu, gpuCount, identifiedBy, snapshotUid } = segment;
  const gpuText = gpu === null ? "no GPU" : gpuCount > 1 ? `${gpu} (one of ${gpuCount})` : gpu;
  const who = orchestrator === ""
    ? `unattributed, ${segment.unattributedReason}, ${url || "no url"}`
    : `${orchestrator} at ${url || "no url"}, ${model ?? "no model"}, ${gpuText}`;
  return [
    `  ${number}  ${start} to ${end ?? "open"}, ${reason}`,
    ...wrap(`     ${who}`),
    ...(identifiedBy === null ? [] : wrap(`     identified by ${identifiedBy} on snapshot ${snapshotUid || "none"}`)),
  ];
}

function eventLines({ time, type, uid, streamSequences, segment, claim, message, adds }: SessionEventExplained) {
  const said = claim === null ? "names nobody" : claim.reason === "" ? `states ${claim.orchestrator}` : claim.reason;
  return [
    `  ${time}  ${type}, segment ${segment}, sequence ${streamSequences.join(" and ")}`,
    `    ${uid}`,
    ...wrap(`    ${[said, ...adds.map(({ text }) => text)].join("; ")}`),
    ...(message === "" ? [] : [`    ${JSON.stringify(message.slice(0, 80))}`]),
  ];
}

function lanesOf({ segments, events, end }: SessionExplained): Lane[] {
  const lane = (label: string, symbolOf: (event: SessionEventExplained) => string | undefined): Lane => ({
    label,
    marks: events.flatMap((event) => {
      const symbol = symbolOf(event);
      return symbol === undefined ? [] : [markAt(Date.parse(event.time), symbol)];
    }),
  });
  const isExcused = ({ adds }: SessionEventExplained) => adds.some(({ code }) => code === "excused_error");
  return [
    lane("edges", ({ type }) => EDGES[type] ?? (type === "status" || type.startsWith("ai:") ? undefined : "t")),
    lane("samples", ({ type, claim }) => type !== "status" ? undefined : claim?.reason === "" ? "s" : "?"),
    lane("errors", (event) => event.type !== "ai:error" ? undefined : isExcused(event) ? "e" : "E"),
    lane("updates", ({ type }) => type === "ai:params_update" ? "u" : undefined),
    ...segments.map((one): Lane => ({
      label: `segment ${one.number}`,
      marks: [{
        fromMs: Date.parse(one.start),
        toMs: Date.parse(one.end ?? end),
        symbol: one.orchestrator ? "=" : ".",
      }],
    })),
  ];
}

const LEGEND = "R requested, F first processed, P playable, W swap, N no orchestrator, C closed, t other traces, " +
  "s attributed, ? unattributed samples, e excusable, E other errors, u updates";

/** Edges by the letter that stands for them in the timeline; every other trace is a `t`. */
const EDGES: Readonly<Record<string, string>> = {
  gateway_receive_stream_request: "R",
  gateway_no_orchestrators_available: "N",
  gateway_receive_first_processed_segment: "F",
  gateway_receive_few_processed_segments: "P",
  orchestrator_swap: "W",
  gateway_ingest_stream_closed: "C",
};
