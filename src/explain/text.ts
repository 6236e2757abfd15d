/** An explanation as lines for people, narrow enough for 100 columns where ids allow. */
import { formatOffset } from "../core/time.ts";
import type { EventExplanation, EvidenceExplained, SessionExplanation } from "./explain.ts";
import type { CandidateExplained, ObservationExplained } from "./observation.ts";
import { type Lane, markAt, timeline } from "./timeline.ts";
import { type RowExplained, STANDING, type VersionStep } from "./versions.ts";
import { wrap } from "./wrap.ts";

/** Candidates and versions that are shown; --json has all. */
const SHOWN_CANDIDATES = 12;
const SHOWN_VERSIONS = 8;

export function eventLines(event: EventExplanation): string[] {
  const { type, uid, source, outcome, reason, eventTime, sessionId, observation, borrowed, chosen } = event;
  return [
    `${type || "unreadable message"} ${uid} of source ${source}`,
    ...fields([
      ["event time", eventTime ?? "none"],
      ["session", sessionId ?? ""],
      ...event.copies.map((copy) => ["stored", copyText(copy)] as const),
      ["outcome", reason === "" ? outcome : `${outcome}: ${reason}`],
    ]),
    ...(observation === null ? [] : observationLines(observation, Date.parse(eventTime!))),
    ...(borrowed === null ? [] : ["", ...wrap(`Identity: ${borrowed.sentence}${ofEvent(borrowed.from)}`)]),
    ...(chosen === null
      ? []
      : ["", ...wrap(`It rests on snapshot ${chosen.uid} of ${chosen.time}, ${placeText(chosen)}.`)]),
    ...(event.nodes ?? []).flatMap(({ canonical, hot, url, items }) =>
      wrap(`  node ${canonical}, hot wallet ${hot || "none"}, ${url || "no url"}: ${items.map(itemText).join("; ")}`)
    ),
    ...(event.payload === null ? [] : ["", "Decoded:", ...payloadLines(event.payload)]),
    ...event.rows.flatMap(rowLines),
    ...(observation === null && borrowed === null ? [] : ["", ...wrap(evidenceText(event.evidence))]),
  ];
}

function ofEvent(uid: string | null): string {
  return uid === null ? "" : ` It is what ${uid} states.`;
}

function payloadLines(payload: object): string[] {
  return wrap(`  ${Object.entries(payload).map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ")}`);
}

/** Name and value, beginning a line each, blank values left out. */
export function fields(pairs: readonly (readonly [name: string, value: string])[]): string[] {
  return pairs.filter(([, value]) => value !== "").flatMap(([name, value]) => wrap(`  ${name.padEnd(12)} ${value}`));
}

function copyText({ streamSequence, storedAt, outcome, readFrom }: EventExplanation["copies"][number]): string {
  const where = readFrom === "archive" ? ", read from the archive: the stream no longer holds it" : "";
  return `sequence ${streamSequence} at ${storedAt} (${outcome ?? "not processed yet"})${where}`;
}

function placeText({ streamSequence, storedAt }: { streamSequence: number | null; storedAt: string | null }): string {
  return streamSequence === null ? "which is not archived" : `stored at sequence ${streamSequence}, ${storedAt}`;
}

function itemText({ model, gpus }: { readonly model: string; readonly gpus: readonly string[] }): string {
  return `${model || "an unknown model"} on ${gpus.length === 0 ? "no GPU" : gpus.join(", ")}`;
}

function observationLines(observation: ObservationExplained, eventMs: number): string[] {
  const { wallet, url, hint, level, meaning, claim, candidates, wanted } = observation;
  const verdict = claim.reason === ""
    ? `attributed, ${claim.method}, confidence ${Number(claim.confidence.toFixed(3))}`
    : `unattributed, ${claim.reason}`;
  const gpu = claim.gpu === null ? "no GPU" : `${claim.gpu}${claim.gpuCount > 1 ? ` (one of ${claim.gpuCount})` : ""}`;
  return [
    ...fields([["wallet", wallet || "none"], ["url", url || "none"], ["model", hint || "none"]]),
    "",
    `Verdict: ${verdict} (level ${level}: ${meaning})`,
    ...(claim.reason === "" ? wrap(`  ${claim.canonical}, ${claim.model ?? "no model"}, ${gpu}`) : []),
    ...(wanted === null ? [] : wrap(`  ${wanted.sentence}`)),
    ...candidateLines(candidates),
    ...spaced(timeline(lanesOf(candidates, eventMs), LEGEND)),
  ];
}

function candidateLines(candidates: readonly CandidateExplained[]): string[] {
  if (candidates.length === 0) return ["", "Candidates: none"];
  const rest = candidates.slice(SHOWN_CANDIDATES);
  const counts = new Map<string, number>();
  for (const { verdict } of rest) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const more = [...counts].map(([verdict, count]) => `${count} ${verdict}`).join(", ");
  return [
    "",
    `Candidates: ${candidates.length}, greatest evidence first`,
    ...candidates.slice(0, SHOWN_CANDIDATES).flatMap((one) => [
      ...wrap(`  ${one.verdict}, ${formatOffset(one.distanceMs)}${testimonyOf(one)}: ${one.why}`),
      ...wrap(`    ${one.canonical} at ${one.url || "no url"}, ${itemText({ model: one.modelId, gpus: one.gpus })}`),
      `    snapshot ${one.snapshotUid} of ${one.snapshotTime}`,
    ]),
    ...(rest.length === 0 ? [] : [`  and ${rest.length} more (${more}); --json has all`]),
  ];
}

function testimonyOf({ level, model }: CandidateExplained): string {
  return `${level === null ? "" : `, level ${level}`}${model === null ? "" : `, model ${model}`}`;
}

const LEGEND = "C chosen, o eligible, x another url or model, - outside the TTL";

const SYMBOLS: Partial<Record<CandidateExplained["verdict"], string>> = {
  chosen: "C",
  same_group: "C",
  outside_ttl: "-",
  other_url: "x",
  model_incompatible: "x",
};

function lanesOf(candidates: readonly CandidateExplained[], eventMs: number): Lane[] {
  // The best last, so that it is seen.
  const marks = candidates.map(({ verdict, distanceMs }) => markAt(eventMs + distanceMs, SYMBOLS[verdict] ?? "o"));
  return candidates.length === 0
    ? []
    : [{ label: "event", marks: [markAt(eventMs, "*")] }, { label: "candidates", marks: marks.reverse() }];
}

/** Lines with a blank one before them, if there are any. */
export function spaced(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", ...lines];
}

export function rowLines({ table, standing, identity, differs, versions }: RowExplained): string[] {
  const shown = versions.slice(-SHOWN_VERSIONS);
  const hidden = versions.length - shown.length;
  const who = Object.entries(identity).filter(([, value]) => value !== null && value !== "");
  return [
    "",
    ...wrap(`${table}: ${STANDING[standing]}`),
    ...(who.length === 0 ? [] : wrap(`  ${who.map(([column, value]) => `${column} ${value}`).join(", ")}`)),
    ...differs.map(({ column, stored, derived }) =>
      `  in the table ${column} is ${JSON.stringify(stored)}, derived ${JSON.stringify(derived)}`
    ),
    ...(hidden > 0 ? [`  ${hidden} earlier versions are left out; --json has all`] : []),
    ...shown.flatMap((step, at) => versionLines(step, hidden + at + 1)),
  ];
}

function versionLines({ version, generation, arrived, writes, isDeleted, changed }: VersionStep, nth: number) {
  const again = writes > 1 ? `, written ${writes} times` : "";
  const what = isDeleted ? ", a tombstone" : "";
  return [
    `  version ${nth}, arrived ${arrived}, generation ${generation}${again}${what}`,
    `    ${version}`,
    ...changed.map(({ column, from, to }) => `    ${column}: ${short(from)} → ${short(to)}`),
  ];
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? "none";
  return text.length > 42 ? `${text.slice(0, 40)}…` : text;
}

export function evidenceText({ bucket, archive, stream }: EvidenceExplained): string {
  const parts = [`${bucket} from the bucket capability_snapshots`];
  if (archive > 0) parts.push(`${archive} from the archive, for the bucket no longer holds them`);
  if (stream > 0) parts.push(`${stream} from the stream, not processed yet`);
  return `Snapshots within a day of the TTL: ${parts.join("; ")}.`;
}

/** What would attribute the events of a session. */
export function wantedLines(wanted: SessionExplanation["wanted"]): string[] {
  return wanted.flatMap(({ events, wanted: { sentence } }) =>
    wrap(`  ${events} ${events === 1 ? "event" : "events"}: ${sentence}`)
  );
}
