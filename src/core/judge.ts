/**
 * What a stored message is to the processor: decode, and for a capability message whether its snapshot fits the
 * entry that it must become. The pipeline and whoever checks its work judge alike, for both ask here.
 */
import { decode, type Decoded, refuseTooLarge } from "./decode.ts";
import type { StateChange } from "./effects.ts";
import type { StoredMessage } from "./event.ts";
import { snapshotEntry, snapshotOf } from "./snapshot.ts";
import { stateKey } from "./subject.ts";

/** Decodes a message, and a capability message on to the entry that it becomes. */
export function judge(message: StoredMessage): { decoded: Decoded; snapshot?: StateChange } {
  const decoded = decode(message);
  if (decoded.outcome !== "accepted" || decoded.event.type !== "network_capabilities") return { decoded };
  const stated = snapshotOf(decoded.event);
  const value = snapshotEntry(stated);
  if (value === undefined) {
    return { decoded: refuseTooLarge(decoded, "its snapshot is too large for a bucket entry") };
  }
  return { decoded, snapshot: { bucket: "capability_snapshots", key: stateKey(stated.source, stated.uid), value } };
}
