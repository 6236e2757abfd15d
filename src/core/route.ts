/**
 * Where a message belongs before anybody has decoded it: its type and its partition, for publishers.
 * What cannot be read is routed all the same, so that the processor can refuse it with a reason.
 */
import { type Fields, isFields } from "./fields.ts";
import { sessionKeyOf } from "./identity.ts";
import { parseJsonBytes, parseJsonText } from "./json.ts";
import { PARTITION_ALL, partitionOf } from "./subject.ts";
import { LONGEST_ID } from "./payload.ts";

/** The types whose events belong to a session. */
export const SESSION_TYPES: ReadonlySet<string> = new Set([
  "stream_trace",
  "ai_stream_status",
  "ai_stream_events",
  "stream_ingest_metrics",
]);

export interface Route {
  /** The envelope's type, `unreadable` when there is none. */
  readonly type: string;
  readonly partition: string;
}

/** Routes a message by its bytes. */
export function routeOf(bytes: Uint8Array, partitions: number): Route {
  const parsed = parseJsonBytes(bytes);
  const root = parsed.ok ? record(parsed.value) : {};
  const type = text(root.type) || "unreadable";
  if (!SESSION_TYPES.has(type)) return { type, partition: PARTITION_ALL };
  const inner = typeof root.data === "string" ? parseJsonText(root.data) : undefined;
  const data = record(inner === undefined ? root.data : inner.ok ? inner.value : undefined);
  const key = sessionKeyOf(text(data.stream_id), text(data.request_id), text(root.id));
  return { type, partition: partitionOf(key, partitions) };
}

function record(value: unknown): Fields {
  return isFields(value) ? value : {};
}

/** Ids beyond the bound are refused by the processor; here they must only not overflow a subject. */
function text(value: unknown): string {
  return typeof value === "string" && value.length <= LONGEST_ID ? value : "";
}
