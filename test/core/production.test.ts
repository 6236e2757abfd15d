/**
 * Real events under many orders: one digest, and the digest of what the oracle says.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import type { Row } from "../../src/core/emit.ts";
import type { Envelope, Wire } from "../helpers/events.ts";
import { type Attribution, differences, verdicts } from "../helpers/oracle.ts";
import { describe } from "../helpers/suite.ts";
import { inOrder, states, World } from "../helpers/world.ts";

const FOLDER = new URL("../fixtures/production/", import.meta.url);
const SHUFFLES = 50;
const DUPLICATED = 0.3;

function eventsOf(file: string): Wire[] {
  const lines = readFileSync(new URL(file, FOLDER), "utf8").trim().split("\n");
  return lines.map((line) => ({ source: "production", envelope: JSON.parse(line) as Envelope }));
}

/** Numbers from 0 to 1 out of a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function digestOf(rows: readonly Row[]): string {
  return createHash("sha256").update(rows.map((row) => JSON.stringify(row)).sort().join("\n")).digest("hex");
}

function spanOf(events: readonly Wire[]): number {
  const times = events.map(({ envelope }) => Number(envelope.timestamp));
  return Math.max(...times) - Math.min(...times);
}

/** The events in a seeded order, three in ten of them twice, with seeded batches and application of snapshots. */
function shuffled(events: readonly Wire[], seed: number): World {
  const random = randomFrom(seed);
  const twice = events.filter(() => random() < DUPLICATED);
  const messages = [...events, ...twice].map((wire) => ({ wire, place: random() })).sort((a, b) => a.place - b.place);
  const world = new World({ allowedLatenessMs: spanOf(events), partitions: 1 + seed % 3 });
  for (const { wire } of messages) world.publish(wire, Math.floor(random() * 4));
  const pick = () => Math.floor(random() * 1_000);
  const steps = messages.flatMap(() => [
    { do: "take" as const, pick: pick() },
    ...(random() < 0.3 ? [{ do: "commit" as const, pick: pick() }] : []),
    ...(random() < 0.3 ? [{ do: "apply" as const, pick: pick() }] : []),
    ...(random() < 0.05 ? [{ do: "crash" as const, pick: pick() }] : []),
  ]);
  world.run(steps);
  world.drain();
  return world;
}

describe("production events", (test) => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl")).sort();
  test("are six files", () => assert.is(files.length, 6));

  for (const file of files) {
    test(`${file} gives one digest under ${SHUFFLES} shuffles with 30 % duplicates, and the oracle's`, () => {
      const events = eventsOf(file);
      const expected = inOrder(events, { allowedLatenessMs: spanOf(events) });
      const verdict = verdicts(expected.events(), expected.settings.ttl);
      assert.equal(differences(expected.rows(), verdict), []);
      const digest = digestOf(expected.rows());
      // No verdict on these events hangs on the tie-break, so the oracle has a digest of its own.
      assert.ok(verdict.every(({ choices }) => choices.length === 1));
      const told = new Map(verdict.map(({ uid, choices }) => [uid, choices[0] as Attribution]));
      assert.is(
        digestOf(expected.rows().map((row) => ({ ...row, ...told.get(String(row.source_event_uid)) }))),
        digest,
      );
      for (let seed = 1; seed <= SHUFFLES; seed++) {
        assert.is(digestOf(shuffled(events, seed).rows()), digest, `seed ${seed}`);
      }
    });
  }

  test("of the gateway log: exactly the seven samples before the only snapshot are corrected, and end attributed", () => {
    const events = eventsOf("gateway_log_2026-01-08.jsonl");
    const snapshotAt = events.findIndex(({ envelope }) => envelope.type === "network_capabilities");
    const early = events.slice(0, snapshotAt).filter(({ envelope }) => envelope.type === "ai_stream_status");
    assert.is(early.length, 7);
    const world = inOrder(events);
    assert.is(world.counts.get("first_rows"), 17);
    assert.is(world.counts.get("corrections"), 7);
    assert.is(world.written.length, 24);
    const corrected = world.written.filter((row, at) =>
      world.written.slice(0, at).some((before) => before.source_event_uid === row.source_event_uid)
    );
    const idsOf = (list: readonly unknown[]) => [...list].sort();
    assert.equal(idsOf(corrected.map((row) => row.source_event_id)), idsOf(early.map(({ envelope }) => envelope.id)));
    for (const row of world.written.slice(0, 7)) states(row, { is_attributed: 0, unattributed_reason: "no_snapshot" });
    for (const row of world.rows()) {
      states(row, {
        is_attributed: 1,
        evidence_level: 6,
        orchestrator_address: "0xd00354656922168815fcd1e51cbddb9e359e3c7f",
        orchestrator_url: "https://rtav-orch2.xodeapp.xyz:28935",
        model_id: "streamdiffusion-sdxl-faceid",
        pipeline: "live-video-to-video",
        gpu_id: "GPU-a8d13655-197b-2226-d09f-b4b81e07504b",
        gpu_count: 1,
      });
    }
  });
});
