/**
 * What a stored message is to the processor: decode, and for a capability message whether its snapshot fits the
 * entry that it must become. The pipeline and whoever checks its work judge alike, for both ask here.
 */
import { decode, type Decoded, refuseTooLarge } from "./decode.ts";
import type { StateChange } from "./effects.ts";
import type { StoredMessage } from "./event.ts";
import { sessionStateKey } from "./session/sessions.ts";
import { isSessionEvent } from "./session/signal.ts";
import { snapshotEntry, snapshotOf } from "./snapshot.ts";
import { stateKey } from "./subject.ts";

/** What a message is; of a capability message the entry that it becomes, of a session's event the entry's key. */
export interface Judged {
  readonly decoded: Decoded;
  readonly snapshot?: StateChange;
  readonly sessionKey?: string;
}

/** Decodes a message, and a capability message on to its entry; like `decode` it depends on the message alone. */
export function judge(message: StoredMessage): Judged {
  const decoded = decode(message);
  if (decoded.outcome !== "accepted") return { decoded };
  const { event } = decoded;
  if (isSessionEvent(event)) {
    const { streamId, requestId } = event.payload;
    return { decoded, sessionKey: sessionStateKey(event.head.source, streamId, requestId, event.head.id) };
  }
  if (event.type !== "network_capabilities") return { decoded };
  const stated = snapshotOf(event);
  const value = snapshotEntry(stated);
  if (value === undefined) {
    return { decoded: refuseTooLarge(decoded, "its snapshot is too large for a bucket entry") };
  }
  return { decoded, snapshot: { bucket: "capability_snapshots", key: stateKey(stated.source, stated.uid), value } };
}
