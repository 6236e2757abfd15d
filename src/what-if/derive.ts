/**
 * A window derived under some settings, in the order of the stream, by the world in memory that an audit derives with. A
 * replay knows all evidence before its first message and so no lateness; here an observation closes when the feed has
 * passed it, as it does live.
 */
import { type Input, playInOrder } from "../audit/schedule.ts";
import { UNBOUNDED } from "../audit/world.ts";
import type { Row } from "../core/emit/row.ts";
import { judge } from "../core/judge.ts";
import type { Ttl } from "../core/select.ts";
import { LatecomerError } from "../errors.ts";
import { leftOutKeys, type Window } from "./window.ts";

/** What a what-if may change. */
export interface Trial {
  readonly ttl: Ttl;
  readonly allowedLatenessMs: number;
  /** Uids or ids of snapshots that are taken for never sent. */
  readonly withoutSnapshots: readonly string[];
}

/** The facts of a window under a trial, by `factKey`. Throws UNKNOWN_ID (usage) for a snapshot that it does not hold. */
export function deriveWindow(window: Window, trial: Trial): ReadonlyMap<string, Row> {
  const { ttl, allowedLatenessMs, withoutSnapshots } = trial;
  for (const name of withoutSnapshots) {
    if (window.snapshots.some(({ uid, id }) => uid === name || id === name)) continue;
    const why = `no snapshot that counts for the window is called "${name}": see latecomer explain for those that do`;
    throw new LatecomerError("UNKNOWN_ID", "usage", why);
  }
  const names = new Set(withoutSnapshots);
  const inputs = names.size === 0 ? window.inputs : window.inputs.filter((input) => !isNamed(input, names));
  const mostSeen = 2 * inputs.length + 2;
  return playInOrder(inputs, { ...UNBOUNDED, ttl, allowedLatenessMs, mostSeen, leftOut: leftOutKeys(window) }).table;
}

function isNamed({ message }: Input, names: ReadonlySet<string>): boolean {
  const { decoded, snapshot } = judge(message);
  return snapshot !== undefined && (names.has(decoded.envelope.uid) || names.has(decoded.envelope.id));
}
