/** Ten thousand mutated messages between valid ones, end to end: nothing crashes, vanishes or disturbs a valid row. */
import * as assert from "uvu/assert";
import { Chance, MUTATIONS } from "../helpers/mutate.ts";
import { describe } from "../helpers/suite.ts";
import { bytesOf, productionLines } from "../helpers/wire.ts";
import { type Cluster, productionEvents, withCluster } from "../helpers/cluster.ts";

const SEED = Number(process.env.LATECOMER_SEED ?? 20_260_225);
const MUTANTS = 10_000;

/** Mutants have a source of their own: one that is still valid must not be evidence for the valid events. */
const VALID = "valid";
const MUTANT = "mutant";

function mutants(): Uint8Array[] {
  const chance = new Chance(SEED);
  const lines = productionLines();
  return Array.from({ length: MUTANTS }, (_, at) => {
    const line = lines[chance.below(lines.length)]!;
    return bytesOf(MUTATIONS[at % MUTATIONS.length]!(line, chance));
  });
}

/** Publishes the valid events with an equal share of the mutants after each. */
async function publishBetween(
  cluster: Cluster,
  valid: readonly Uint8Array[],
  bad: readonly Uint8Array[],
): Promise<void> {
  const share = Math.ceil(bad.length / valid.length);
  for (const [at, event] of valid.entries()) {
    await cluster.publish(VALID, [event]);
    await cluster.publish(MUTANT, bad.slice(at * share, (at + 1) * share));
  }
}

describe(`ten thousand mutated messages end to end (seed ${SEED})`, (test) => {
  test("every valid row is right, every refused message is a dead letter with its reason and bytes, all are archived", () =>
    withCluster({ allowedLatenessMs: "60d" }, async (cluster) => {
      const valid = productionEvents();
      await cluster.publish("alone", valid);
      await cluster.process();
      const alone = await cluster.digest("alone");
      assert.is(alone.rows, 28);

      const bad = mutants();
      await publishBetween(cluster, valid, bad);
      const processor = await cluster.process();
      assert.equal(await cluster.digest(VALID), alone);
      assert.is(
        await cluster.count(
          "SELECT countIf(outcome = 'accepted') FROM raw_streaming_events FINAL WHERE source = 'valid'",
        ),
        valid.length,
      );

      const outcomes = await cluster.rows<{ outcome: string; n: string }>(
        "SELECT outcome, count() AS n FROM raw_streaming_events FINAL WHERE source = 'mutant' GROUP BY outcome",
      );
      const archived = outcomes.reduce((sum, one) => sum + Number(one.n), 0);
      assert.is(archived, MUTANTS);
      const rejected = Number(outcomes.find((one) => one.outcome === "rejected")?.n);
      assert.ok(rejected > MUTANTS / 4, `only ${rejected} mutants were refused`);
      assert.is(processor.counts.get("rejected"), rejected);

      assert.is(await cluster.storedCount("LIVEPEER_DLQ"), rejected);
      const table = await cluster.rows<{ seq: string; reason: string; payload: string; encoding: string }>(
        `SELECT source_offset AS seq, failure_reason AS reason, payload_body AS payload, payload_encoding AS encoding
         FROM raw_streaming_events_dlq FINAL`,
      );
      assert.is(table.length, rejected);
      const letters = new Map(
        (await cluster.messages("LIVEPEER_DLQ")).map((one) => [one.header("Latecomer-Sequence"), one]),
      );
      for (const { seq, reason, payload, encoding } of table) {
        const letter = letters.get(seq);
        assert.ok(letter, `${seq} has no dead letter`);
        assert.is(letter.header("Latecomer-Reason"), reason);
        assert.match(letter.subject, new RegExp(`^dlq\\.mutant\\.${reason}\\.`));
        const kept = encoding === "base64" ? Buffer.from(payload, "base64") : Buffer.from(payload);
        assert.ok(kept.equals(letter.data), `${seq} is kept as other bytes`);
        const original = await cluster.jsm.streams.getMessage("LIVEPEER_EVENTS", { seq: Number(seq) });
        assert.ok(kept.equals(original.data), `${seq} is not what was published`);
      }
    }));
});
