/** What NATS holds of one source, and its removal. Where a source stands is in the second token of every subject. */
import type { JetStreamManager, NatsConnection } from "nats";
import { encodeToken, sourceOf } from "../core/subject.ts";
import { LatecomerError } from "../errors.ts";
import { ignoreAbsence, natsError, openManager } from "./connection.ts";
import { bucketStream, DEAD_LETTER_STREAM, DIRTY_STREAM, EVENT_STREAM, wantedConsumers } from "./definitions.ts";

/** Messages or entries of a source in one stream, under one filter. */
export interface Holding {
  readonly stream: string;
  readonly filter: string;
  readonly count: number;
}

/**
 * Where a source's messages and entries are, those of replays left out; empty when there are none. Throws
 * SOURCE_IS_WILDCARD (usage) where a publisher has written the source as a wildcard.
 */
export async function holdingsOf(nc: NatsConnection, source: string): Promise<Holding[]> {
  try {
    const jsm = await openManager(nc);
    const own = encodeToken(source);
    // A foreign publisher may have written the source otherwise than we do; what we derive of it is written our way.
    const subjects = [...(await countsOf(jsm, EVENT_STREAM, "events.>")).keys()];
    const tokens = new Set(subjects.filter((one) => sourceOf(one) === source).map((one) => one.split(".")[1]!));
    if (tokens.has("*") || tokens.has(">")) {
      const why =
        `its events are under "events.${source}.…", and a purge of that would remove those of every source: ` +
        `remove them one by one, with nats stream rmm ${EVENT_STREAM} SEQUENCE`;
      throw new LatecomerError("SOURCE_IS_WILDCARD", "usage", why);
    }
    const wanted = [
      ...[...tokens].map((token) => ({ stream: EVENT_STREAM, filter: `events.${token}.>` })),
      { stream: DEAD_LETTER_STREAM, filter: `dlq.${own}.>` },
      { stream: DIRTY_STREAM, filter: `dirty.${own}.>` },
      ...["capability_snapshots", "unmatched_status", "workflow_sessions"].map((bucket) => ({
        stream: bucketStream(bucket),
        filter: `$KV.${bucket}.${own}.>`,
      })),
    ];
    const holdings: Holding[] = [];
    for (const { stream, filter } of wanted) {
      const count = [...(await countsOf(jsm, stream, filter)).values()].reduce((sum, one) => sum + one, 0);
      if (count > 0) holdings.push({ stream, filter, count });
    }
    return holdings;
  } catch (error) {
    throw natsError(error, "look for what NATS holds of a source (`latecomer init` creates its streams)");
  }
}

/**
 * Removes what was found. No process may read meanwhile: nats-server 2.9 moves the consumers of a stream behind its last
 * message when a part of it is purged, so the one that workers share goes first, and the next worker makes it again. Left
 * there it would never hand out the marks of other sources.
 */
export async function purgeHoldings(nc: NatsConnection, holdings: readonly Holding[]): Promise<void> {
  try {
    const jsm = await openManager(nc);
    for (const { stream, config } of wantedConsumers()) {
      await jsm.consumers.delete(stream, config.durable_name!).catch(ignoreAbsence);
    }
    for (const { stream, filter } of holdings) await jsm.streams.purge(stream, { filter });
  } catch (error) {
    throw natsError(error, "remove what NATS holds of a source");
  }
}

/** The keys of a bucket under a filter, such as `costs.>`; to be asked of buckets with few keys. */
export async function keysOf(nc: NatsConnection, bucket: string, filter: string): Promise<string[]> {
  const prefix = `$KV.${bucket}.`;
  try {
    const subjects = await countsOf(await openManager(nc), bucketStream(bucket), prefix + filter);
    return [...subjects.keys()].map((subject) => subject.slice(prefix.length)).sort();
  } catch (error) {
    throw natsError(error, `list the keys of ${bucket} (\`latecomer init\` creates it)`);
  }
}

async function countsOf(jsm: JetStreamManager, stream: string, filter: string): Promise<ReadonlyMap<string, number>> {
  const { state } = await jsm.streams.info(stream, { subjects_filter: filter });
  return new Map(Object.entries(state.subjects ?? {}));
}
