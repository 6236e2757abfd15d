/**
 * `npm run deploy:manifests`: the streams, buckets and shared consumers of `streams/` as resources of NACK, the operator
 * of NATS on Kubernetes. With `--check` it writes nothing, and ends with 1 when the file is not up to date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { stringify } from "yaml";
import { resolveConfig } from "../src/config.ts";
import { type WantedConsumer, wantedConsumers, type WantedStream, wantedStreams } from "../src/nats/definitions.ts";

const FILE = new URL("k8s/streams/streams.yaml", import.meta.url);
const HEAD =
  `# Made from streams/ by \`npm run deploy:manifests\`: change it there. Ages are those of the default settings.\n`;

/** A name that Kubernetes takes for a resource. */
function resourceName(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** Nanoseconds as Go reads a duration, which knows no days. */
function goDuration(nanos: number): string {
  return `${nanos / 1e9}s`;
}

function stream(wanted: WantedStream): unknown {
  return {
    apiVersion: "jetstream.nats.io/v1beta2",
    kind: "Stream",
    metadata: { name: resourceName(wanted.name) },
    spec: {
      name: wanted.name,
      description: wanted.description,
      subjects: wanted.subjects,
      storage: wanted.storage,
      replicas: wanted.num_replicas,
      retention: wanted.retention,
      discard: wanted.discard,
      ...(wanted.max_age > 0 ? { maxAge: goDuration(wanted.max_age) } : {}),
      ...(wanted.max_msgs_per_subject > 0 ? { maxMsgsPerSubject: wanted.max_msgs_per_subject } : {}),
      duplicateWindow: goDuration(wanted.duplicate_window),
      allowRollup: wanted.allow_rollup_hdrs,
      denyDelete: wanted.deny_delete,
      allowDirect: wanted.allow_direct,
      // What it holds outlives the resource: a stream is deleted by hand or not at all.
      preventDelete: true,
    },
  };
}

function consumer({ stream, config }: WantedConsumer): unknown {
  return {
    apiVersion: "jetstream.nats.io/v1beta2",
    kind: "Consumer",
    metadata: { name: resourceName(config.durable_name!) },
    spec: {
      streamName: stream,
      durableName: config.durable_name,
      description: config.description,
      ackPolicy: config.ack_policy,
      ackWait: goDuration(config.ack_wait!),
      deliverPolicy: config.deliver_policy,
      maxAckPending: config.max_ack_pending,
      preventDelete: true,
    },
  };
}

const resources = [...wantedStreams(resolveConfig({})).map(stream), ...wantedConsumers().map(consumer)];
const text = HEAD + resources.map((resource) => stringify(resource, { lineWidth: 0 })).join("---\n");
if (!process.argv.includes("--check")) writeFileSync(FILE, text);
else if (readFileSync(FILE, "utf8") !== text) {
  process.stderr.write("deploy/k8s/streams/streams.yaml is not what streams/ says: run npm run deploy:manifests\n");
  process.exitCode = 1;
}
