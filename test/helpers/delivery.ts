/** A publisher that loses nothing, and what must hold of everything that it was confirmed. */
import * as assert from "uvu/assert";
import { routeOf } from "../../src/core/route.ts";
import { eventSubject } from "../../src/core/subject.ts";
import { type Cluster, pause, typeOf } from "./cluster.ts";

/** Stream sequences per partition, as the publisher was told. */
const published = new WeakMap<Cluster, Map<string, Set<number>>>();

/** How long a message is offered again before the publisher gives up, in milliseconds. */
const PATIENCE_MS = 60_000;

/** Publishes events, `lanes` at a time, and again what was not confirmed, as a publisher does who loses nothing. */
export async function publish(
  cluster: Cluster,
  source: string,
  events: readonly Uint8Array[],
  lanes = 1,
): Promise<void> {
  const js = cluster.nc.jetstream();
  const confirmed = published.get(cluster) ?? new Map<string, Set<number>>();
  published.set(cluster, confirmed);
  const queue = events[Symbol.iterator]();
  const lane = async () => {
    for (const event of queue) {
      const { id } = JSON.parse(new TextDecoder().decode(event));
      const { type, partition } = routeOf(event, cluster.config.partitions);
      const subject = eventSubject(source, type, partition);
      for (const deadline = Date.now() + PATIENCE_MS;;) {
        try {
          const { seq } = await js.publish(subject, event, { msgID: `${source}:${id}`, timeout: 1_000 });
          confirmed.set(partition, (confirmed.get(partition) ?? new Set()).add(seq));
          break;
        } catch (error) {
          if (Date.now() > deadline) throw error;
          await pause(100);
        }
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Fails when a checkpoint or an ack floor covers a message that is not in the archive. */
export async function nothingIsAhead(cluster: Cluster): Promise<void> {
  const floors = await cluster.ackFloors();
  for (const [partition, sequences] of published.get(cluster) ?? []) {
    const doneSeq = (await cluster.checkpoint(partition))?.doneSeq ?? 0;
    for (const [what, upTo] of [["checkpoint", doneSeq], ["ack floor", floors[partition] ?? 0]] as const) {
      const rows = await cluster.rows<{ seq: string }>(
        "SELECT DISTINCT stream_sequence AS seq FROM raw_streaming_events WHERE stream_sequence <= {upTo:UInt64}",
        { upTo: String(upTo) },
      );
      const stored = new Set(rows.map(({ seq }) => Number(seq)));
      const missing = [...sequences].filter((seq) => seq <= upTo && !stored.has(seq));
      assert.is(
        missing.length,
        0,
        `${missing.length} are not stored, and the ${what} ${upTo} of ${partition} covers them`,
      );
    }
  }
}

/** Everything that was published is archived once, and the facts are those of an undisturbed run. */
export async function allIsThere(cluster: Cluster, source: string, events: readonly Uint8Array[]): Promise<void> {
  const archived = await cluster.rows<{ id: string; n: string }>(
    "SELECT id, count() AS n FROM raw_streaming_events FINAL WHERE source = {source:String} GROUP BY id",
    { source },
  );
  assert.is(archived.length, events.length, "every event is archived");
  assert.equal(archived.filter(({ n }) => n !== "1"), [], "and none twice");
  await publish(cluster, "calm", events, 64);
  await cluster.process();
  const calm = await cluster.facts("calm");
  assert.is(calm.length, events.filter((event) => typeOf(event) === "ai_stream_status").length);
  assert.equal(await cluster.facts(source), calm);
}
