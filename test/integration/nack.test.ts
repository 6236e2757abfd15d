/**
 * NACK's work, as its user under `deploy/nats`: it makes streams and consumer of `deploy/k8s/streams`, and `init` must
 * find them to be what it wants.
 */
import { type ConsumerConfig, type JetStreamManager, nanos, type StreamConfig } from "nats";
import * as assert from "uvu/assert";
import { resolveConfig } from "../../src/config.ts";
import { isNotFound } from "../../src/nats/connection.ts";
import { wantedConsumers } from "../../src/nats/definitions.ts";
import { planStreams } from "../../src/nats/provision.ts";
import { inFolder } from "../helpers/cluster.ts";
import { readManifest, type Resource } from "../helpers/kubernetes.ts";
import { withRole, withRoleServer } from "../helpers/nats-roles.ts";
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

/** True when what is loaded is there. */
async function isThere(loaded: Promise<unknown>): Promise<boolean> {
  try {
    await loaded;
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Loads what a resource stands for, and makes or updates it. NACK does so whenever it looks. */
async function reconcile({ streams, consumers }: JetStreamManager, resource: Resource): Promise<void> {
  const { kind, spec } = resource;
  if (kind === "Stream") {
    if (await isThere(streams.info(spec.name))) await streams.update(spec.name, streamOf(resource));
    else await streams.add(streamOf(resource));
  } else if (await isThere(consumers.info(spec.streamName, spec.durableName))) {
    await consumers.update(spec.streamName, spec.durableName, consumerOf(resource));
  } else {
    await consumers.add(spec.streamName, consumerOf(resource));
  }
}

describe("the manifests of streams", (test) => {
  test("make as `operator`, and make again, what init would make, so that it changes nothing", () =>
    inFolder((folder) =>
      withRoleServer(folder, async (server) => {
        await withRole(server, "operator", async (nc) => {
          const jsm = await nc.jetstreamManager();
          const resources = readManifest("streams/streams.yaml");
          for (const one of [...resources, ...resources]) await reconcile(jsm, one);
          for (const plan of await planStreams(jsm, resolveConfig({}, {}))) {
            assert.equal([plan.action, plan.changes], ["keep", []], plan.name);
          }
          const { stream, config: wanted } = wantedConsumers()[0]!;
          const { config: made } = await jsm.consumers.info(stream, wanted.durable_name!);
          for (const [field, value] of Object.entries(wanted)) {
            assert.equal((made as unknown as Record<string, unknown>)[field], value, field);
          }
        });
        assert.equal(server.refused(), []);
      })
    ));
});
