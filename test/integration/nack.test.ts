/** The streams as the operator on Kubernetes makes them of `deploy/k8s/streams`: what `init` finds must be what it wants. */
import { type ConsumerConfig, nanos, type StreamConfig } from "nats";
import * as assert from "uvu/assert";
import { resolveConfig } from "../../src/config.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { wantedConsumers } from "../../src/nats/definitions.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { inFolder } from "../helpers/cluster.ts";
import { readManifest, type Resource } from "../helpers/kubernetes.ts";
import { describe } from "../helpers/suite.ts";

/** Seconds as Go writes them; the manifests use no other unit. */
function nanosOf(duration: string | undefined): number {
  return duration === undefined ? 0 : nanos(Number(duration.replace(/s$/, "")) * 1_000);
}

/** The fields of a resource under the names of JetStream, as the operator passes them on. */
function streamOf({ spec }: Resource): Partial<StreamConfig> {
  const { maxAge, duplicateWindow, maxMsgsPerSubject = -1, allowRollup, denyDelete, allowDirect, ...same } = spec;
  delete same.preventDelete;
  const { replicas: num_replicas, ...rest } = same;
  return {
    ...rest,
    num_replicas,
    max_age: nanosOf(maxAge),
    duplicate_window: nanosOf(duplicateWindow),
    max_msgs_per_subject: maxMsgsPerSubject,
    allow_rollup_hdrs: allowRollup,
    deny_delete: denyDelete,
    allow_direct: allowDirect,
  };
}

function consumerOf({ spec }: Resource): Partial<ConsumerConfig> {
  return {
    durable_name: spec.durableName,
    description: spec.description,
    ack_policy: spec.ackPolicy,
    ack_wait: nanosOf(spec.ackWait),
    deliver_policy: spec.deliverPolicy,
    max_ack_pending: spec.maxAckPending,
  };
}

describe("the manifests of streams", (test) => {
  test("make on a server what init would make, so that it changes nothing", () =>
    inFolder(async (folder) => {
      const nats = await startNatsServer({ folder });
      try {
        const config = resolveConfig({}, { natsUrl: nats.url });
        const nc = await connectNats(config);
        try {
          const jsm = await nc.jetstreamManager();
          const resources = readManifest("streams/streams.yaml");
          for (const one of resources.filter(({ kind }) => kind === "Stream")) await jsm.streams.add(streamOf(one));
          for (const plan of await planStreams(jsm, config)) {
            assert.equal([plan.action, plan.changes], ["keep", []], plan.name);
          }
          const [rollup] = resources.filter(({ kind }) => kind === "Consumer");
          const { stream, config: wanted } = wantedConsumers()[0]!;
          await jsm.consumers.add(rollup!.spec.streamName, consumerOf(rollup!));
          const { config: made } = await jsm.consumers.info(stream, wanted.durable_name!);
          for (const [field, value] of Object.entries(wanted)) {
            assert.equal((made as unknown as Record<string, unknown>)[field], value, field);
          }
        } finally {
          await nc.close();
        }
      } finally {
        await nats.kill();
      }
    }));
});
