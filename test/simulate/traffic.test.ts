/** Synthetic load: what was counted in production, found again in what is made; one seed, one load. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { planOf } from "../../src/cli/simulate.ts";
import { decode } from "../../src/core/decode.ts";
import { LatecomerError } from "../../src/errors.ts";
import { type ArrivalOptions, arrivals, LATENESS_MS, MOST_HELD, newTally } from "../../src/simulate/arrivals.ts";
import { Draw } from "../../src/simulate/draw.ts";
import { networkOf } from "../../src/simulate/network.ts";
import { TOPICS } from "../../src/simulate/topics.ts";
import { type Event, trafficOf, type TrafficOptions } from "../../src/simulate/traffic.ts";
import { inFolder } from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";
import { subjectOf } from "../helpers/wire.ts";

const START_MS = Date.UTC(2026, 2, 1);
const PLAIN: ArrivalOptions = { seed: 1, late: 0, duplicates: 0, malformed: 0 };
const FAULTY: ArrivalOptions = { seed: 1, late: 0.2, duplicates: 0.1, malformed: 0.05 };

function* first(count: number, options: Partial<TrafficOptions> = {}): Generator<Event> {
  let left = count;
  const usual = { topic: TOPICS.network_events, seed: 1, nodes: 50, sessions: 50, startMs: START_MS };
  for (const event of trafficOf({ ...usual, ...options })) {
    if (left-- === 0) return;
    yield event;
  }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function textsOf(count: number, how: ArrivalOptions, options: Partial<TrafficOptions> = {}): string[] {
  return Array.from(arrivals(first(count, options), how, newTally()), text);
}

/** What the decoder makes of a message that was stored long after. */
const decoded = (bytes: Uint8Array) =>
  decode({ subject: subjectOf("s", bytes), bytes, streamSequence: 1, streamTimeMs: START_MS * 2 });

// deno-lint-ignore no-explicit-any -- payloads of seven shapes, looked at field by field
type Data = any;

const SAMPLE = [...first(70_000)];
const TESTERS = [...first(28_000, { topic: TOPICS.streaming_events })];
const ofType = (type: string, of = SAMPLE) => of.filter(({ envelope }) => envelope.type === type);

/** Messages of each type in 7,000 of both topics, and the least and greatest of their sizes. */
const COUNTED: readonly (readonly [
  type: string,
  users: number,
  testers: number,
  least: number,
  greatest: number,
])[] = [
  ["pipelines_api_request", 2_712, 0, 1, 1_000],
  ["webrtc_stats", 1_296, 0, 1, 1_000],
  ["stream_trace", 890, 2_992, 290, 440],
  ["stream_ingest_metrics", 788, 0, 620, 730],
  ["ai_stream_status", 672, 671, 850, 980],
  ["create_new_payment", 447, 592, 470, 540],
  ["ai_stream_events", 161, 1_444, 240, 560],
  ["network_capabilities", 24, 269, 20_000, 50_000],
  ["discovery_results", 10, 1_032, 220, 370],
];

/** Requires that of the sessions of which the sample holds beginning and end such a share has a mark. */
function marksOf(of: readonly Event[]): (type: string, expected: number) => void {
  const seen = new Map<string, Set<string>>();
  for (const { envelope } of of) {
    if (envelope.type !== "stream_trace") continue;
    const { stream_id, type } = envelope.data as Data;
    seen.set(stream_id, (seen.get(stream_id) ?? new Set()).add(type));
  }
  const whole = [...seen.values()].filter((types) =>
    types.has("gateway_receive_stream_request") && types.has("gateway_ingest_stream_closed")
  );
  assert.ok(whole.length > 300, `${whole.length}`);
  return (type, expected) => {
    const share = whole.filter((types) => types.has(type)).length / whole.length;
    assert.ok(Math.abs(share - expected) < 0.05, `${type}: ${share}`);
  };
}

describe("the traffic", (test) => {
  for (const [type, users, testers, least, greatest] of COUNTED) {
    test(`has the share and the sizes of ${type}, of users and of testers`, () => {
      for (const [of, of7000] of [[SAMPLE, users], [TESTERS, testers]] as const) {
        const found = ofType(type, of);
        if (of7000 === 0) {
          assert.is(found.length, 0);
          continue;
        }
        const share = found.length / of.length;
        assert.ok(Math.abs(share / (of7000 / 7_000) - 1) < 0.02, `${share}`);
        const sizes = found.map(({ envelope }) => JSON.stringify(envelope).length);
        const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
        assert.ok(smallest >= least && largest <= greatest, `${smallest} to ${largest}`);
      }
    });
  }

  test("of testers mostly finds nobody or fails, and leaves marks for nearly all traces that were counted", () => {
    const near = marksOf(TESTERS);
    near("gateway_no_orchestrators_available", 0.77);
    near("gateway_receive_few_processed_segments", 0.23 * 0.78);
    const traces = ofType("stream_trace", TESTERS);
    const own = traces.filter(({ envelope }) => (envelope.data as Data).type === "app_send_stream_request").length;
    assert.ok(own / traces.length < 0.25, `${own / traces.length} of the traces are of no session`);
    const last = traces.at(-1)!;
    assert.ok(last.atMs - Number((last.envelope.data as Data).timestamp) < 60_000, "marks are left when they are due");
  });

  test("is read by the decoder as what it is: events, and the noise that is known", () => {
    for (const { envelope } of [...SAMPLE.slice(0, 14_000), ...TESTERS.slice(0, 7_000)]) {
      const result = decoded(new TextEncoder().encode(JSON.stringify(envelope)));
      const isNoise = COUNTED[0]![0] === envelope.type || COUNTED[1]![0] === envelope.type ||
        (envelope.data as Data).type === "app_send_stream_request";
      assert.is(result.outcome, isNoise ? "ignored" : "accepted", JSON.stringify(envelope));
      if (result.outcome === "ignored") assert.not.ok(result.unknownType);
    }
  });

  test("has events in the order of their times, about 53 a second of fifty sessions", () => {
    const times = SAMPLE.map(({ atMs }) => atMs);
    assert.equal(times, [...times].sort((a, b) => a - b));
    const perSecond = SAMPLE.length / ((times.at(-1)! - times[0]!) / 1_000);
    assert.ok(perSecond > 50 && perSecond < 55, `${perSecond}`);
  });

  test("has a sample of each session every ten seconds and, of browsers, ingest metrics every five", () => {
    for (const [type, everyMs] of [["ai_stream_status", 10_000], ["stream_ingest_metrics", 5_000]] as const) {
      const last = new Map<string, number>();
      for (const { atMs, envelope } of ofType(type)) {
        const { stream_id } = envelope.data as Data;
        const before = last.get(stream_id);
        if (before !== undefined) {
          assert.ok(Math.abs(atMs - before - everyMs) < everyMs / 10, `${type}: ${atMs - before}`);
        }
        last.set(stream_id, atMs);
      }
      assert.ok(last.size > 100);
    }
  });

  test("has sessions that find nobody, fail, swap and show frames, in the shares that were seen", () => {
    const near = marksOf(SAMPLE);
    near("gateway_no_orchestrators_available", 0.15);
    near("orchestrator_swap", 0.05 * 0.85);
    near("gateway_receive_few_processed_segments", 0.85 * 0.9);
  });

  test("has another orchestrator serve a session once the swap has named whom it leaves", () => {
    const urlsOf = new Map<string, string[]>();
    for (const { envelope } of ofType("ai_stream_status")) {
      const { stream_id, orchestrator_info } = envelope.data as Data;
      urlsOf.set(stream_id, [...urlsOf.get(stream_id) ?? [], orchestrator_info.url]);
    }
    let swapped = 0;
    for (const { envelope: { data } } of ofType("stream_trace")) {
      const { type, stream_id, orchestrator_info: left } = data as Data;
      if (type !== "orchestrator_swap") continue;
      const urls = urlsOf.get(stream_id) ?? [];
      const from = urls.findIndex((url) => url !== left.url);
      if (from < 0) continue;
      assert.ok(urls.slice(from).every((url) => url === urls[from]), urls.join());
      swapped++;
    }
    assert.ok(swapped > 5, `${swapped}`);
  });

  test("has a network as it was seen: hot wallets that differ and are shared, nodes of one orchestrator, many GPUs", () => {
    const nodes = networkOf(new Draw(7, 1), 2_000);
    const share = (of: (at: number) => boolean) => nodes.filter((_, at) => of(at)).length / nodes.length;
    const differing = share((at) => nodes[at]!.hot !== nodes[at]!.canonical);
    assert.ok(differing > 0.5 && differing < 0.62, `${differing}`);
    const canonicalsOf = new Map<string, Set<string>>();
    for (const { hot, canonical } of nodes) canonicalsOf.set(hot, (canonicalsOf.get(hot) ?? new Set()).add(canonical));
    assert.ok([...canonicalsOf.values()].filter(({ size }) => size > 1).length > 100, "shared by orchestrators");
    assert.ok(new Set(nodes.map(({ canonical }) => canonical)).size < 1_500);
    const withHardware = nodes.filter(({ gpus }) => gpus.length > 0);
    assert.ok(Math.abs(withHardware.length / nodes.length - 0.56) < 0.04);
    const gpus = withHardware.reduce((sum, node) => sum + node.gpus.length, 0) / withHardware.length;
    assert.ok(gpus > 2 && gpus < 4, `${gpus}`);
  });
});

describe("the arrivals", (test) => {
  test("are the same bytes in the same order for one seed, and others for another", () => {
    const once = textsOf(3_000, FAULTY);
    assert.equal(textsOf(3_000, FAULTY), once);
    assert.not.equal(textsOf(3_000, { ...FAULTY, seed: 2 }), once);
    assert.not.equal(textsOf(3_000, FAULTY, { seed: 2 }), once);
  });

  test("hold the same events with faults as without: late, twice, and what cannot be read between them", () => {
    const plain = textsOf(20_000, PLAIN);
    assert.equal(plain, [...first(20_000)].map(({ envelope }) => JSON.stringify(envelope)));
    const tally = newTally();
    const faulty = Array.from(arrivals(first(20_000), FAULTY, tally), text);
    assert.is(faulty.length, 20_000 + tally.duplicates + tally.malformed);
    assert.is(tally.events, 20_000);
    for (const [what, share] of [["late", 0.2], ["duplicates", 0.1], ["malformed", 0.05]] as const) {
      assert.ok(Math.abs(tally[what] / 20_000 / share - 1) < 0.1, `${what}: ${tally[what]}`);
    }
    const known = new Set(plain);
    const others = faulty.filter((one) => !known.has(one));
    assert.is(others.length, tally.malformed);
    for (const one of others) assert.is(decoded(new TextEncoder().encode(one)).outcome, "rejected", one);
    assert.is(new Set(faulty.filter((one) => known.has(one))).size, 20_000, "none is lost");
    assert.is(faulty.length - new Set(faulty).size, tally.duplicates);
  });

  test("are no more on their way at once than memory has room for, and the tally says which came sooner for it", () => {
    const count = MOST_HELD + 10_000;
    const tally = newTally();
    let handed = 0;
    for (const _ of arrivals(first(count, { sessions: 50_000 }), { ...PLAIN, late: 1 }, tally)) {
      assert.ok(tally.events - ++handed <= MOST_HELD);
    }
    assert.is(handed, count);
    assert.ok(tally.hastened > 0 && tally.hastened <= 10_000, `${tally.hastened}`);
    const few = newTally();
    for (const _ of arrivals(first(20_000), FAULTY, few)) assert.is(few.hastened, 0);
  });

  test("are late by seconds mostly, and never by more than what was seen", () => {
    const events = [...first(60_000)];
    const placeOf = new Map(events.map(({ envelope }, place) => [envelope.id, place]));
    const late: number[] = [];
    let newestMs = 0;
    let isEnd = false;
    for (const one of textsOf(60_000, { ...PLAIN, late: 0.1 })) {
      const place = placeOf.get(JSON.parse(one).id)!;
      // The rest is handed over at the end of the load, before its time.
      if (place === events.length - 1) isEnd = true;
      newestMs = Math.max(newestMs, events[place]!.atMs);
      if (!isEnd && newestMs > events[place]!.atMs + LATENESS_MS.least / 2) late.push(newestMs - events[place]!.atMs);
    }
    late.sort((a, b) => a - b);
    assert.ok(late.length > 3_000);
    assert.ok(late.at(-1)! <= LATENESS_MS.most + 1_000, `${late.at(-1)}`);
    assert.ok(late[late.length >> 1]! < 60_000 && late.at(-1)! > 600_000, "half of them within a minute, some by many");
  });

  test("take no more memory however many there are: 110 MB of messages in a heap of 64 MiB", () =>
    inFolder(async (folder) => {
      const script = join(folder, "take.mts");
      const of = (file: string) => JSON.stringify(new URL(`../../src/simulate/${file}`, import.meta.url).href);
      writeFileSync(
        script,
        `import { arrivals, newTally } from ${of("arrivals.ts")};
         import { TOPICS } from ${of("topics.ts")};
         import { trafficOf } from ${of("traffic.ts")};
         const tally = newTally();
         const events = trafficOf({ topic: TOPICS.network_events, seed: 1, nodes: 50, sessions: 50, startMs: 0 });
         for (const _ of arrivals(events, { seed: 1, late: 0.05, duplicates: 0.1, malformed: 0.1 }, tally)) {
           if (tally.events === 200_000) break;
         }
         console.log(tally.bytes);`,
      );
      const limit = "--max-old-space-size=64";
      const args = "Deno" in globalThis
        ? ["run", "-A", "--no-check", `--v8-flags=${limit}`, script]
        : [limit, "--import", import.meta.resolve("tsx"), script];
      const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 120_000 });
      assert.ok(Number(stdout) > 110_000_000, stdout);
    }));
});

describe("the plan", (test) => {
  const FLAGS = {
    source: "s",
    topic: "network_events",
    seed: 1,
    rate: 0,
    nodes: 5,
    late: 0,
    duplicates: 0,
    malformed: 0,
    messageIds: true,
  } as const;
  const NOW = START_MS;

  test("makes event time pass as fast as the clock where there is a rate, and ends now where there is none", () => {
    const real = planOf({ ...FLAGS, rate: 1_000, duration: 60_000 }, NOW);
    assert.is(real.sessions, 960);
    assert.ok(Math.abs(real.count - 60_000) <= 60);
    assert.ok(Math.abs(real.startMs - NOW) < 100);
    const flatOut = planOf({ ...FLAGS, count: 53 * 60 }, NOW);
    assert.ok(Math.abs(NOW - flatOut.startMs - 60_000) < 3_000, `${NOW - flatOut.startMs}`);
    assert.is(planOf({ ...FLAGS, start: 5 }, NOW).startMs, 5);
    assert.is(planOf({ ...FLAGS, sessions: 7, rate: 1_000 }, NOW).sessions, 7);
  });

  const isRefused = (flags: Partial<Parameters<typeof planOf>[0]>, says: RegExp) =>
    assert.throws(
      () => planOf({ ...FLAGS, ...flags }, NOW),
      (error: unknown) => error instanceof LatecomerError && error.kind === "usage" && says.test(error.message),
    );

  test("cannot have both a count and a duration", () => {
    isRefused({ count: 1, duration: 1 }, /choose one/);
  });

  test("cannot begin before 1970", () => {
    const { startMs, count } = planOf({ ...FLAGS, duration: NOW }, NOW);
    assert.ok(startMs >= 0 && startMs < 1_000, `${startMs}`);
    isRefused({ count: count + 1_000 }, /--count is too large: .* before 1970/);
    isRefused({ duration: NOW + 86_400_000 }, /--duration is too large: .* before 1970/);
    assert.is(planOf({ ...FLAGS, count: count + 1_000, start: 0 }, NOW).startMs, 0);
  });
});
