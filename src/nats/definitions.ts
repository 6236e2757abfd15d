/**
 * The streams and buckets of `streams/`, read and checked, as the configurations that JetStream knows. A bucket is
 * a stream with a convention; provisioning compares and applies both in one way.
 */
import { readdirSync, readFileSync } from "node:fs";
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "nats";
import * as v from "valibot";
import { parseDuration } from "../core/time.ts";
import { LatecomerError } from "../errors.ts";

/** The name of the event stream. */
export const EVENT_STREAM = "LIVEPEER_EVENTS";

/** The name of the dead-letter stream. */
export const DEAD_LETTER_STREAM = "LIVEPEER_DLQ";

/** The name of the stream of the minutes that the rollup has to recompute. */
export const DIRTY_STREAM = "LIVEPEER_DIRTY_MINUTES";

/** The stream behind a bucket. */
export function bucketStream(bucket: string): string {
  return `KV_${bucket}`;
}

/** The settings that the definitions leave to the installation. */
export interface ProvisionSettings {
  readonly replicas: number;
  readonly streamRetentionMs: number;
}

const FOLDER = new URL("../../streams/", import.meta.url);

const definitionSchema = v.variant("kind", [
  v.strictObject({
    kind: v.literal("stream"),
    name: v.string(),
    description: v.string(),
    subjects: v.array(v.string()),
    retention: v.picklist(["limits", "workqueue"]),
    discard: v.picklist(["old", "new"]),
    max_age: v.string(),
    max_msgs_per_subject: v.optional(v.number(), -1),
    duplicate_window: v.string(),
  }),
  v.strictObject({ kind: v.literal("bucket"), name: v.string(), description: v.string(), ttl: v.string() }),
  v.strictObject({
    kind: v.literal("consumer"),
    name: v.string(),
    description: v.string(),
    stream: v.string(),
    ack_wait: v.string(),
    max_ack_pending: v.number(),
  }),
]);
type Definition = v.InferOutput<typeof definitionSchema>;

/** The fields of a stream's configuration that a definition decides. */
export type WantedStream = Pick<
  StreamConfig,
  | "name"
  | "description"
  | "subjects"
  | "retention"
  | "storage"
  | "discard"
  | "max_age"
  | "max_msgs_per_subject"
  | "duplicate_window"
  | "num_replicas"
  | "allow_rollup_hdrs"
  | "deny_delete"
  | "allow_direct"
>;

/** A consumer that many processes share, and that must look the same to all of them. */
export interface WantedConsumer {
  readonly stream: string;
  readonly config: Pick<
    ConsumerConfig,
    "durable_name" | "description" | "ack_policy" | "deliver_policy" | "ack_wait" | "max_ack_pending"
  >;
}

/** Every stream and bucket, in the order of their files. */
export function wantedStreams(settings: ProvisionSettings): WantedStream[] {
  return definitions().flatMap(({ file, definition }) =>
    definition.kind === "consumer" ? [] : [wantedStream(file, definition, settings)]
  );
}

/** Every shared consumer; whoever needs one and finds none makes it. */
export function wantedConsumers(): WantedConsumer[] {
  return definitions().flatMap(({ file, definition }) =>
    definition.kind === "consumer" ? [wantedConsumer(file, definition)] : []
  );
}

function definitions(): { readonly file: string; readonly definition: Definition }[] {
  return readdirSync(FOLDER).filter((file) => file.endsWith(".json")).sort().map((file) => {
    const parsed = v.safeParse(definitionSchema, JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")));
    if (parsed.success) return { file, definition: parsed.output };
    const issue = parsed.issues[0];
    throw new LatecomerError("STREAM_DEFINITION", "fatal", `streams/${file}: ${v.getDotPath(issue)}: ${issue.message}`);
  });
}

function durationOf(file: string, text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return nanos(ms);
  throw new LatecomerError("STREAM_DEFINITION", "fatal", `streams/${file}: "${text}" is no duration`);
}

function wantedConsumer(file: string, definition: Extract<Definition, { kind: "consumer" }>): WantedConsumer {
  return {
    stream: definition.stream,
    config: {
      durable_name: definition.name,
      description: definition.description,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: durationOf(file, definition.ack_wait),
      max_ack_pending: definition.max_ack_pending,
    },
  };
}

function wantedStream(
  file: string,
  definition: Exclude<Definition, { kind: "consumer" }>,
  settings: ProvisionSettings,
): WantedStream {
  const age = (text: string) => text === "retention" ? nanos(settings.streamRetentionMs) : durationOf(file, text);
  const common = { description: definition.description, storage: StorageType.File, num_replicas: settings.replicas };
  if (definition.kind === "stream") {
    return {
      ...common,
      name: definition.name,
      subjects: definition.subjects,
      retention: definition.retention === "workqueue" ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
      discard: definition.discard === "new" ? DiscardPolicy.New : DiscardPolicy.Old,
      max_age: age(definition.max_age),
      max_msgs_per_subject: definition.max_msgs_per_subject,
      duplicate_window: age(definition.duplicate_window),
      allow_rollup_hdrs: false,
      deny_delete: false,
      allow_direct: false,
    };
  }
  const ttl = age(definition.ttl);
  return {
    ...common,
    name: bucketStream(definition.name),
    subjects: [`$KV.${definition.name}.>`],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    max_age: ttl,
    max_msgs_per_subject: 1,
    // The server wants a window no longer than the age of what it keeps; 2 min is its own default.
    duplicate_window: ttl === 0 ? nanos(120_000) : Math.min(ttl, nanos(120_000)),
    allow_rollup_hdrs: true,
    deny_delete: false,
    allow_direct: true,
  };
}
