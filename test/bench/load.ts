/** Load made of real events: the bundled ones over and over, each time as other events of other sessions; and of `simulate`. */
import { readdirSync, readFileSync } from "node:fs";
import { EVENT_TYPES } from "../../src/core/noise.ts";
import { interleaved, TOPICS } from "../../src/simulate/topics.ts";
import { stepOf, trafficOf } from "../../src/simulate/traffic.ts";

const FIXTURES = new URL("../fixtures/production/", import.meta.url);
const encoder = new TextEncoder();

/** Of the topic that nearly all of production's accepted events come from, the types that anybody reads. */
const MIX = TOPICS.network_events.mix.filter(([type]) => EVENT_TYPES.has(type));

/** Where the load's time starts, and how many events there are in a second of it. */
const START_MS = 1_767_908_945_000;
const EVENTS_IN_SECOND = 100;

/** How many events of a session follow each other before the next session's. */
const SESSION_EVENTS = 500;

type Envelope = Record<string, unknown>;

/** `count` envelopes in the order of their times; the same call makes the same bytes. */
export function productionLoad(count: number, perSecond = EVENTS_IN_SECOND): Uint8Array[] {
  return [...productionEvents(count, perSecond)].map(({ bytes }) => bytes);
}

/** The same, each made when it is asked for, with its time. */
export function* productionEvents(count: number, perSecond: number): Generator<{ bytes: Uint8Array; timeMs: number }> {
  const templates = new Map<string, Envelope[]>();
  for (const file of readdirSync(FIXTURES).filter((name) => name.endsWith(".jsonl")).sort()) {
    for (const line of readFileSync(new URL(file, FIXTURES), "utf8").trim().split("\n")) {
      const envelope = JSON.parse(line) as Envelope;
      const type = envelope.type as string;
      templates.set(type, [...templates.get(type) ?? [], envelope]);
    }
  }
  let at = 0;
  for (const [type, nth] of interleaved(MIX)) {
    if (at === count) return;
    const of = templates.get(type)!;
    const timeMs = timeOf(at, perSecond);
    yield { bytes: encoder.encode(JSON.stringify(moved(of[nth % of.length]!, at++, timeMs))), timeMs };
  }
}

/**
 * The same number of `latecomer simulate`, of which more than half is noise that is only archived: as many sessions at once
 * as their samples, ten seconds apart, make such a rate, so that a session is as long as in production; with a node for
 * every second of them.
 */
export function* simulatedEvents(count: number, perSecond: number): Generator<{ bytes: Uint8Array; timeMs: number }> {
  const topic = TOPICS.network_events;
  const sessions = Math.max(1, Math.round(perSecond * stepOf(topic, 1) / 1_000));
  const options = { topic, seed: 1, nodes: Math.ceil(sessions / 2), sessions, startMs: START_MS };
  let at = 0;
  for (const { atMs, envelope } of trafficOf(options)) {
    if (at++ === count) return;
    yield { bytes: encoder.encode(JSON.stringify(envelope)), timeMs: atMs };
  }
}

/** When the event at a place of the load happened. */
export function timeOf(at: number, perSecond = EVENTS_IN_SECOND): number {
  return START_MS + Math.floor(at * 1_000 / perSecond);
}

/** Samples of a source that sends no snapshots: every one of them waits. */
export function waitingSamples(count: number): Uint8Array[] {
  const file = readFileSync(new URL("gateway_log_2026-01-08.jsonl", FIXTURES), "utf8");
  const template = file.trim().split("\n").map((line) => JSON.parse(line) as Envelope)
    .find(({ type }) => type === "ai_stream_status")!;
  return Array.from({ length: count }, (_, at) => encoder.encode(JSON.stringify(moved(template, at, timeOf(at)))));
}

/** The same event as another one: its own id, time and, where it has one, session. */
function moved(template: Envelope, at: number, timestamp: number): Envelope {
  const held = template.data as Envelope;
  const session = `s${Math.floor(at / SESSION_EVENTS)}`;
  const data = Array.isArray(held) || template.type === "create_new_payment"
    ? held
    : { ...held, stream_id: session, request_id: String(at % 8), ...("timestamp" in held ? { timestamp } : {}) };
  // A UUID again, as in production.
  const id = `${(template.id as string).slice(0, -12)}${at.toString(16).padStart(12, "0")}`;
  return { ...template, id, timestamp: String(timestamp), data };
}
