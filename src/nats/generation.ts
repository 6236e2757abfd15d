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

/** Throws what `ensureGeneration` would, and changes nothing. */
export async function requireGeneration(nc: NatsConnection, raise: boolean, stored: number): Promise<void> {
  const present = await read(await bucket(nc));
  if (present === undefined || raise) generationAfter(present?.value, stored);
  else known(present.value);
}

/**
 * Makes sure that there is a generation, and returns it. `raise` makes the next one under this configuration;
 * without it, another configuration's generation stays as it is. A new one is above what is `stored` in the facts:
 * the bucket can have been lost while they were not, and what it holds may be unreadable. Throws GENERATION_CORRUPT.
 */
export async function ensureGeneration(
  nc: NatsConnection,
  config: Config,
  raise: boolean,
  stored = 0,
): Promise<Generation> {
  const kv = await bucket(nc);
  const present = await read(kv);
  if (present !== undefined && !raise) return known(present.value);
  const next = { generation: generationAfter(present?.value, stored), hash: contentHash(config) };
  try {
    if (present === undefined) await kv.create(KEY, JSON.stringify(next));
    else await kv.update(KEY, JSON.stringify(next), present.revision);
  } catch (error) {
    throw natsError(error, "write the generation");
  }
  return next;
}

/** The generation after what the installation has and what is stored. Throws GENERATION_EXHAUSTED (usage). */
export function generationAfter(present: Generation | undefined, stored: number): number {
  const next = Math.max(present?.generation ?? 0, stored) + 1;
  if (next <= LAST_GENERATION) return next;
  throw new LatecomerError("GENERATION_EXHAUSTED", "usage", `generation ${LAST_GENERATION} is the last there is`);
}

async function bucket(nc: NatsConnection): Promise<KV> {
  try {
    return await nc.jetstream().views.kv("checkpoints", { bindOnly: true });
  } catch (error) {
    throw natsError(error, "open the bucket checkpoints (`latecomer init` creates it)");
  }
}

/** Undefined where there is none, or the marker that somebody's `kv del` left. */
async function read(kv: KV): Promise<{ value: Generation | undefined; revision: number } | undefined> {
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
