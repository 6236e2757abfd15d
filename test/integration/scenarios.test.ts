/** Which sessions show which scenario: one that does, and for each condition one that misses it by that alone. */
import { join } from "node:path";
import * as assert from "uvu/assert";
import { scenarioCandidates, sourcesWithin } from "../../src/clickhouse/fixtures.ts";
import { exportFixtures } from "../../src/fixtures/export.ts";
import { type Cluster, withCluster } from "../helpers/cluster.ts";
import { bytesOf, MISSING, node, snapshot, type Wire } from "../helpers/events.ts";
import {
  A,
  B,
  close,
  error,
  NODE_A,
  NODE_B,
  noOrchestrator,
  playable,
  request,
  sample,
  SD,
  streamEvent,
  swap,
} from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";

const HOUR = Date.UTC(2026, 1, 25, 10);
const at = (minute: number, second = 0) => HOUR + minute * 60_000 + second * 1_000;

/** A session of some minutes of the hour, by its request. */
type Make = (request: string) => Wire[];
const of = (name: string) => ({ stream: `stream-${name}`, request: name });

/** Requested and playable on node A, with samples of these frames per second, and what else there is. */
const success = (minute: number, fps: readonly number[], more: Make = () => []): Make => (name) => [
  request(at(minute), of(name)),
  playable(at(minute, 5), { ...of(name), ...A }),
  ...fps.map((one, nth) => sample(at(minute, 10 + nth), { ...of(name), ...A, fps: one })),
  ...more(name),
];

/** A node that no snapshot lists. */
const NOBODY = { wallet: "0xnobody", url: "https://nowhere:8935" };

/** A node without GPUs. */
const BARE = { wallet: "0xbare", url: "https://bare:8935" };
const NODE_BARE = node("0xcc", SD, [], { hot: BARE.wallet, url: BARE.url });

/** Requested and never playable, with a sample without output at each of these minutes. */
const idle = (minute: number, samples: readonly number[], fields: object = {}): Make => (name) => [
  request(at(minute), of(name)),
  ...samples.map((one) => sample(at(one), { ...of(name), ...A, fps: 0, state: "LOADING", ...fields })),
];

const SESSIONS: Readonly<Record<string, Make>> = {
  clean: success(1, [12, 13]),
  slow: success(2, [12, 12]),
  swapped: success(3, [20], (name) => [swap(at(3, 30), { ...of(name), ...A })]),
  changed: success(4, [20], (name) => [sample(at(4, 30), { ...of(name), ...B })]),
  swap_in_vain: (name) => [request(at(5), of(name)), swap(at(5, 5), { ...of(name), ...A })],
  nobody: (name) => [request(at(6), of(name)), noOrchestrator(at(6, 1), of(name)), close(at(6, 2), of(name))],
  nobody_open: (name) => [request(at(7), of(name)), noOrchestrator(at(7, 1), of(name))],
  nobody_told: (name) => [
    request(at(8), of(name)),
    error(at(8, 1), "no orchestrators available", of(name)),
    close(at(8, 2), of(name)),
  ],
  updated: success(9, [20], (name) => [streamEvent("params_update", at(9, 30), "", of(name))]),
  updated_in_vain: (name) => [request(at(10), of(name)), streamEvent("params_update", at(10, 30), "", of(name))],
  failed: idle(20, [21, 22]),
  failed_thrice: idle(23, [24, 25, 26]),
  failed_running: idle(27, [28], { state: "ONLINE" }),
  failed_working: idle(29, [30], { fps: 1 }),
  failed_elsewhere: idle(31, [32], NOBODY),
  failed_without_gpu: idle(36, [37], BARE),
  failed_but_worked_elsewhere: (name) => [
    ...idle(33, [34])(name),
    sample(at(35), { ...of(name), ...NOBODY, fps: 20 }),
  ],
  tail: idle(57, [58, 61]),
  // A session without ids is an event by itself, and no candidate.
  "": () => [request(at(40), { stream: MISSING, request: MISSING })],
  tail_before_more: (name) => [...idle(57, [58, 61])(name), close(at(121), of(name))],
  tail_elsewhere: idle(57, [58, 61], NOBODY),
  tail_after_work: (name) => [
    ...idle(57, [61])(name),
    sample(at(58), { ...of(name), ...A, fps: 20, state: "ONLINE" }),
  ],
  tail_on_another: (name) => [...idle(57, [58])(name), ...idle(57, [61], B)(name).slice(1)],
  later: idle(75, [76]),
};

async function requests(
  cluster: Cluster,
  fromMs: number,
  toMs: number,
  limit = 100,
): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const one of await scenarioCandidates(cluster.clickhouse, { source: "org", fromMs, toMs, limit })) {
    (found[one.scenario] ??= []).push(one.requestId);
  }
  return found;
}

describe("candidates of the scenarios", (test) => {
  test("are the sessions that show them, newest first, and no other ones", () =>
    withCluster({}, async (cluster) => {
      const wires = [
        snapshot(HOUR, NODE_A, NODE_B, NODE_BARE),
        ...Object.entries(SESSIONS).flatMap(([name, make]) => make(name)),
      ];
      await cluster.publish("org", wires.map(({ envelope }) => bytesOf(envelope)));
      await cluster.process();
      assert.equal(await requests(cluster, HOUR, at(60)), {
        scenario_1_clean_success_no_swap_fps_gt_12: ["updated", "changed", "clean"],
        scenario_2_no_orchestrator_then_closed: ["nobody"],
        scenario_3_success_with_swap: ["changed", "swapped"],
        scenario_4_success_with_param_updates: ["updated"],
        scenario_5_out_of_category_baseline: [
          ...["tail_after_work", "tail_before_more", "tail_elsewhere", "tail_on_another", "tail"],
          ...["failed_without_gpu", "failed_but_worked_elsewhere"],
          ...["failed_elsewhere", "failed_working", "failed_running"],
          ...["failed_thrice", "failed", "updated_in_vain", "nobody_told", "nobody_open", "swap_in_vain", "slow"],
        ],
        scenario_6_same_hour_failed_no_output_retained: ["failed"],
        scenario_7_rollover_terminal_tail_filtered_prev_hour_no_work: ["tail"],
      });
      assert.equal(
        await requests(cluster, at(60), at(120)),
        {
          scenario_5_out_of_category_baseline: ["later"],
          scenario_6_same_hour_failed_no_output_retained: ["later"],
          scenario_7_rollover_terminal_tail_filtered_prev_hour_no_work: ["tail"],
        },
        "a tail belongs to both its hours, everything else to that of its start",
      );
      const three = await scenarioCandidates(cluster.clickhouse, {
        source: "org",
        fromMs: HOUR,
        toMs: at(60),
        limit: 2,
      });
      const counted = three.map(({ scenario, candidates }) => [scenario.slice(0, "scenario_n".length), candidates]);
      assert.equal(counted.filter(([scenario]) => scenario === "scenario_5"), [["scenario_5", 17], ["scenario_5", 17]]);
      assert.equal(await requests(cluster, at(-60), HOUR), {});
      assert.equal(await sourcesWithin(cluster.clickhouse, at(60), at(61)), ["org"]);
      assert.equal(await sourcesWithin(cluster.clickhouse, at(-60), HOUR), []);

      // One that shows two scenarios is listed under both, and its messages are in one file.
      const { scenarios, files } = await exportFixtures(cluster.clickhouse, join(cluster.folder, "out"), {
        source: "org",
        fromMs: HOUR,
        toMs: at(60),
        order: "stream",
        limit: 100,
        capabilityWindowMs: 0,
      });
      const taken = scenarios.flatMap(({ sessions }) => sessions);
      const updated = taken.filter((one) => one.request_id === "updated");
      assert.is(updated.length, 2);
      for (const { file } of updated) assert.is(file, "scenario_1_clean_success_no_swap_fps_gt_12.jsonl");
      const total = (counts: readonly Record<string, number>[]) =>
        counts.flatMap((one) => Object.values(one)).reduce((sum, count) => sum + count, 0);
      const distinct = [...new Map(taken.map((one) => [one.request_id, one.messages])).values()];
      assert.is(total(files.map((file) => file.messages)), total(distinct) + 1, "each once, and the snapshot");
    }));
});
