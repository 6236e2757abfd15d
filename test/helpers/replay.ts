/** `latecomer replay` for tests: a load to replay, the command, and what an installation looks like to it. */
import * as assert from "uvu/assert";
import { registerReplay } from "../../src/cli/replay.ts";
import { seeded } from "../../src/runtime/shuffle.ts";
import { productionLoad } from "../bench/load.ts";
import { type Cluster, type Command, type Ended, eventually, typeOf, within } from "./cluster.ts";
import { inProcess } from "./command.ts";

/** So that a shuffled replay of the range has several blocks. */
export const SETTINGS = { allowedLatenessMs: "10s" };
const EVENTS = 4_000;

/** The load with every second snapshot late by up to 5 s of event time, within the allowed lateness. */
function load(count: number): Uint8Array[] {
  const random = seeded(5);
  let nth = 0;
  const places = productionLoad(count).map((event, at) => {
    const isLate = typeOf(event) === "network_capabilities" && nth++ % 2 === 0;
    return { event, place: at + (isLate ? random() * 500 : 0) };
  });
  return places.sort((a, b) => a.place - b.place).map(({ event }) => event);
}

export const LOAD = load(EVENTS);

export function options(cluster: Cluster, more: Record<string, string> = {}) {
  return {
    cwd: cluster.folder,
    env: {
      NATS_URL: cluster.config.natsUrl,
      CLICKHOUSE_URL: cluster.config.clickhouseUrl,
      LATECOMER_ALLOWED_LATENESS: SETTINGS.allowedLatenessMs,
      ...more,
    },
  };
}

/** Runs the command in this process. */
export function replay(cluster: Cluster, ...args: string[]): Promise<Ended> {
  const env = { ...options(cluster).env, LATECOMER_LOG_LEVEL: "error" };
  return inProcess(registerReplay, env, ["replay", ...args]);
}

// deno-lint-ignore no-explicit-any
export type Json = any;

export function json(ended: Ended, code = 0): Json {
  assert.is(ended.code, code, `${ended.out}\n${ended.err}`);
  return JSON.parse(ended.out);
}

/** What must be as it was, but for what is a replay's own. */
export async function installation(cluster: Cluster): Promise<unknown> {
  const streams: unknown[] = [];
  for await (const { config, state } of cluster.jsm.streams.list()) {
    // Leases come and go by themselves while a processor runs.
    if (["KV_replays", "KV_replay_sessions"].includes(config.name)) continue;
    streams.push([config.name, state.messages, state.first_seq, state.last_seq, state.bytes]);
  }
  const consumers: string[] = [];
  for await (const { name } of cluster.jsm.consumers.list("LIVEPEER_EVENTS")) consumers.push(name);
  const tables = await cluster.rows(
    `SELECT name, total_rows AS rows FROM system.tables WHERE database = currentDatabase() ORDER BY name`,
  );
  const facts = await cluster.facts("org");
  return { streams: streams.sort(), consumers: consumers.sort(), tables, facts };
}

/** The progress of the only replay, by its record. */
export async function progressOf(cluster: Cluster): Promise<{ id: string; doneSeq: number } | undefined> {
  const bucket = await cluster.nc.jetstream().views.kv("replays", { bindOnly: true });
  const id = (await cluster.keys("replays")).find((key) => !key.includes("."));
  const entry = id === undefined ? null : await bucket.get(`${id}.progress`);
  return entry === null ? undefined : { id: id!, doneSeq: entry.json<{ doneSeq: number }>().doneSeq };
}

/** Waits until the only replay has come so far, and ends its process. */
export async function interrupt(cluster: Cluster, command: Command, at: number, signal: NodeJS.Signals) {
  let reached: Awaited<ReturnType<typeof progressOf>>;
  const isThere = async () => {
    reached = await progressOf(cluster);
    return (reached?.doneSeq ?? 0) >= at;
  };
  try {
    await eventually(`a replay at ${at}`, isThere).catch((error) => {
      throw new Error(`${error.message}; it is at ${reached?.doneSeq}\n${command.written.out}\n${command.written.err}`);
    });
    command.kill(signal);
    return { id: reached!.id, ended: await within("interrupted", command.ended) };
  } finally {
    command.kill("SIGKILL");
  }
}
