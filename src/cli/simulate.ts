/** `latecomer simulate`: synthetic load of the mix, the sizes and the faults of production, out of one seed. */
import type { Command } from "commander";
import { formatInstant } from "../core/time.ts";
import { arrivals, MOST_HELD, newTally, type Tally } from "../simulate/arrivals.ts";
import { TOPICS } from "../simulate/topics.ts";
import { type Event, stepOf, trafficOf } from "../simulate/traffic.ts";
import { configOf, type Context, printJson, printLine, printTable, withSettings } from "./context.ts";
import { publishAll } from "./publish.ts";
import { instant, TIME_FORMS } from "./time.ts";
import { positive, probability, span, usage, wholeNumber } from "./values.ts";

interface SimulateFlags {
  readonly source: string;
  readonly topic: keyof typeof TOPICS;
  readonly seed: number;
  readonly count?: number;
  readonly duration?: number;
  readonly rate: number;
  readonly nodes: number;
  readonly sessions?: number;
  readonly start?: number;
  readonly late: number;
  readonly duplicates: number;
  readonly malformed: number;
  readonly messageIds: boolean;
  readonly json?: boolean;
}

const COUNT = 10_000;
const SESSIONS = 50;

export function registerSimulate(program: Command, context: Context): void {
  const command = program.command("simulate")
    .description(
      "publish synthetic events in the mix of production; one seed makes the same messages in the same order",
    )
    .option("--source <name>", "organisation or topic the events belong to", "simulated")
    .option(
      "--topic <name>",
      "whose mix and streams: network_events, those of users, or streaming_events, of testers, which mostly fail",
      topicOf,
      "network_events",
    )
    .option("--seed <n>", "decides everything", wholeNumber, 1)
    .option(
      "--count <n>",
      `events, before duplicates and malformed ones, ${COUNT} unless there is a duration`,
      wholeNumber,
    )
    .option("--duration <time>", "span of the event times instead, such as 10m", someTime)
    .option("--rate <n>", "messages per second, 0 for as fast as they are confirmed", wholeNumber, 0)
    .option("--nodes <n>", "nodes of the network", positive, 50)
    .option(
      "--sessions <n>",
      `sessions alive at once; each makes about one event a second of event time (${SESSIONS}, or as the rate needs)`,
      positive,
    )
    .option(
      "--start <time>",
      `event time of the first: ${TIME_FORMS} (now, or as the last may be)`,
      instant,
    )
    .option("--late <p>", "share of events that arrive a second to 32 minutes late", probability, 0)
    .option("--duplicates <p>", "share of events that come twice, without message ids so that they do", probability, 0)
    .option("--malformed <p>", "messages that are refused, as a share of the events", probability, 0)
    .option("--no-message-ids", "send no Nats-Msg-Id")
    .option("--json", "one JSON document on stdout");
  withSettings(command, ["natsUrl", "natsCreds", "partitions"]).action(async (flags: SimulateFlags) => {
    const config = configOf(context, flags);
    const plan = planOf(flags, Date.now());
    const tally = newTally();
    const messages = arrivals(firstOf(trafficOf(plan), plan.count, context.takeSignal()), flags, tally);
    const started = performance.now();
    const published = await publishAll(config, messages, plan.count, {
      ...flags,
      messageIds: flags.messageIds && flags.duplicates === 0,
    });
    report(flags, plan.sessions, published, tally, (performance.now() - started) / 1_000);
  });
}

/** What the flags come to at an instant. Throws USAGE where they contradict each other. */
export function planOf(flags: SimulateFlags, nowMs: number) {
  const { seed, nodes, rate } = flags;
  const topic = TOPICS[flags.topic];
  if (flags.count !== undefined && flags.duration !== undefined) {
    throw usage("--count and --duration say the same: choose one");
  }
  // As many as make event time pass as fast as the clock does.
  const sessions = flags.sessions ?? (rate > 0 ? Math.max(1, Math.round(rate * stepOf(topic, 1) / 1_000)) : SESSIONS);
  const stepMs = stepOf(topic, sessions);
  const count = flags.count ?? (flags.duration === undefined ? COUNT : Math.ceil(flags.duration / stepMs));
  // Events of a later hour are refused. How long it takes to publish them is known only where there is a rate.
  const takesMs = rate > 0 ? count / rate * 1_000 : 0;
  const startMs = flags.start ?? Math.floor(nowMs - Math.max(0, count * stepMs - takesMs));
  if (startMs < 0) {
    const given = flags.duration === undefined ? "--count" : "--duration";
    throw usage(`${given} is too large: the first event would lie before 1970`);
  }
  return { topic, seed, nodes, sessions, startMs, count };
}

/** The first events; fewer when somebody asks to stop. */
function* firstOf(events: Iterable<Event>, count: number, signal: AbortSignal): Generator<Event> {
  let left = count;
  if (left === 0) return;
  for (const event of events) {
    yield event;
    if (--left === 0 || signal.aborted) return;
  }
}

function report(flags: SimulateFlags, sessions: number, published: number, tally: Tally, seconds: number): void {
  const { events, late, hastened, duplicates, malformed, bytes, types } = tally;
  const [from, to] = events === 0 ? [null, null] : [formatInstant(tally.fromMs), formatInstant(tally.toMs)];
  const perSecond = Math.round(published / Math.max(seconds, 0.001));
  if (flags.json) {
    const settings = { source: flags.source, topic: flags.topic, seed: flags.seed, nodes: flags.nodes, sessions };
    return printJson({
      ...settings,
      published,
      events,
      late,
      hastened,
      duplicates,
      malformed,
      bytes,
      from,
      to,
      perSecond,
      types,
    });
  }
  printTable(["type", "events"], Object.entries(types).sort(([, a], [, b]) => b - a));
  printLine(`published ${published} messages into source ${flags.source}, ${perSecond} a second, ${bytes} bytes`);
  printLine(`${late} late, ${duplicates} repeated, ${malformed} malformed; event times ${from} to ${to}`);
  if (hastened > 0) {
    printLine(
      `${hastened} came sooner than they were to: only ${MOST_HELD} are on their way at once; lower --late or --rate`,
    );
  }
}

function someTime(text: string): number {
  const ms = span(text);
  if (ms === 0) throw usage(`"${text}" is no duration such as 90s or 10m`);
  return ms;
}

function topicOf(text: string): string {
  if (Object.hasOwn(TOPICS, text)) return text;
  throw usage(`"${text}" is no topic: ${Object.keys(TOPICS).join(" or ")}`);
}
