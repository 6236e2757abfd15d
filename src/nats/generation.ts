/**
 * The generation: the upper bits of every version. It is one value for the whole installation, kept beside a
 * hash of everything that decides content, so that a processor with other settings does not mix its rows in.
 */
import type { KV, NatsConnection } from "nats";
import * as v from "valibot";
import { DECODER_VERSION } from "../core/decode.ts";
import { LAST_GENERATION } from "../core/evidence.ts";
import { hash64 } from "../core/hash.ts";
import { RULES_VERSION } from "../core/select.ts";
import type { Config } from "../config.ts";
import { LatecomerError } from "../errors.ts";
import { natsError } from "./connection.ts";

const KEY = "generation";

export interface Generation {
  readonly generation: number;
  readonly hash: string;
}

const schema = v.object({
  generation: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LAST_GENERATION)),
  hash: v.string(),
});

/** The hash of what decides the content of rows under this configuration. */
export function contentHash(config: Pick<Config, "ttlBeforeMs" | "ttlAfterMs">): string {
  return hash64(JSON.stringify([DECODER_VERSION, RULES_VERSION, config.ttlBeforeMs, config.ttlAfterMs]));
}

/** What the installation has, or undefined before the first `init`. Throws GENERATION_CORRUPT (unavailable). */
export async function readGeneration(nc: NatsConnection): Promise<Generation | undefined> {
  const present = await read(await bucket(nc));
  return present && known(present.value);
}

/** A generation that could be read. */
function known(value: Generation | undefined): Generation {
  if (value !== undefined) return value;
  throw new LatecomerError(
    "GENERATION_CORRUPT",
    "unavailable",
    "the key generation of the bucket checkpoints cannot be read: `latecomer init --raise-generation` writes it anew",
  );
}

/** What `ensureGeneration` would return or throw; changes nothing, and the bucket need not be there. */
export async function planGeneration(
  nc: NatsConnection,
  config: Config,
  { hasBucket, raise, stored }: { readonly hasBucket: boolean; readonly raise: boolean; readonly stored: number },
): Promise<Generation> {
  return chosen(hasBucket ? await read(await bucket(nc)) : undefined, config, raise, stored);
}

/**
 * Makes sure that there is a generation, and returns it. `raise` makes the next one under this configuration;
 * without it, another configuration's generation stays as it is. A new one is above what is `stored` in the facts:
 * the bucket can have been lost while they were not, and what it holds may be unreadable.
 * Throws GENERATION_CORRUPT (unavailable), and GENERATION_EXHAUSTED (usage) when there is none after the present one.
 */
export async function ensureGeneration(
  nc: NatsConnection,
  config: Config,
  raise: boolean,
  stored = 0,
): Promise<Generation> {
  const kv = await bucket(nc);
  const present = await read(kv);
  const next = chosen(present, config, raise, stored);
  if (present !== undefined && !raise) return next;
  try {
    if (present === undefined) await kv.create(KEY, JSON.stringify(next));
    else await kv.update(KEY, JSON.stringify(next), present.revision);
  } catch (error) {
    throw natsError(error, "write the generation");
  }
  return next;
}

/** The generation that is there, or the one after it and after all that is stored. */
function chosen(present: Present | undefined, config: Config, raise: boolean, stored: number): Generation {
  if (present !== undefined && !raise) return known(present.value);
  const generation = Math.max(present?.value?.generation ?? 0, stored) + 1;
  if (generation <= LAST_GENERATION) return { generation, hash: contentHash(config) };
  throw new LatecomerError("GENERATION_EXHAUSTED", "usage", `generation ${LAST_GENERATION} is the last there is`);
}

async function bucket(nc: NatsConnection): Promise<KV> {
  try {
    return await nc.jetstream().views.kv("checkpoints", { bindOnly: true });
  } catch (error) {
    throw natsError(error, "open the bucket checkpoints (`latecomer init` creates it)");
  }
}

/** What the key holds. */
interface Present {
  /** Undefined where it cannot be read. */
  readonly value: Generation | undefined;
  readonly revision: number;
}

/** Undefined where there is none, or the marker that somebody's `kv del` left. */
async function read(kv: KV): Promise<Present | undefined> {
  const entry = await kv.get(KEY).catch((error) => {
    throw natsError(error, "read the generation");
  });
  if (entry === null || entry.operation !== "PUT") return undefined;
  return { value: parse(entry.string()), revision: entry.revision };
}

function parse(text: string): Generation | undefined {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    return undefined;
  }
}
