/**
 * The resources of `deploy/k8s`: rendered by kubectl, and held against shapes of ours that know the fields and values we
 * use and no other. That Kubernetes has these fields is for its types to say (kubernetes-types.ts).
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import * as v from "valibot";
import { parseAllDocuments } from "yaml";

export const KUBERNETES_FOLDER = fileURLToPath(new URL("../../deploy/k8s/", import.meta.url));

/** The oldest kubectl whose kustomize has all that the overlays use. */
const OLDEST_MINOR = 27;

export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  // deno-lint-ignore no-explicit-any
  readonly [field: string]: any;
}

const text = v.pipe(v.string(), v.minLength(1));
const whole = v.pipe(v.number(), v.integer(), v.minValue(0));
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const portName = v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,15}$/));
const dnsName = v.pipe(v.string(), v.regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/));
const labels = v.record(
  v.pipe(v.string(), v.regex(/^([a-z0-9.-]+\/)?[A-Za-z0-9_.-]{1,63}$/)),
  v.pipe(v.string(), v.maxLength(63)),
);
const selector = v.strictObject({ matchLabels: v.optional(labels) });
const metadata = v.strictObject({ name: dnsName, namespace: v.optional(dnsName), labels: v.optional(labels) });
const quantity = v.pipe(v.string(), v.regex(/^\d+(m|Mi|Gi)?$/));
const goDuration = v.pipe(v.string(), v.regex(/^(\d+(\.\d+)?(ns|us|ms|s|m|h))+$/));

function resource<Spec extends v.GenericSchema>(apiVersion: string, kind: string, spec: Spec) {
  return v.strictObject({ apiVersion: v.literal(apiVersion), kind: v.literal(kind), metadata, spec });
}

const probe = v.strictObject({
  httpGet: v.strictObject({ path: v.pipe(v.string(), v.startsWith("/")), port: portName }),
  periodSeconds: whole,
  timeoutSeconds: v.optional(whole),
  failureThreshold: v.optional(whole),
});
const key = v.strictObject({ name: dnsName, key: text });
const container = v.strictObject({
  name: dnsName,
  image: text,
  args: v.array(text),
  envFrom: v.array(v.strictObject({ configMapRef: v.strictObject({ name: dnsName }) })),
  env: v.array(v.union([
    v.strictObject({ name: text, value: text }),
    v.strictObject({
      name: text,
      valueFrom: v.union([
        v.strictObject({ fieldRef: v.strictObject({ fieldPath: v.literal("metadata.name") }) }),
        v.strictObject({ secretKeyRef: key }),
      ]),
    }),
  ])),
  ports: v.optional(v.array(v.strictObject({ name: portName, containerPort: port }))),
  startupProbe: v.optional(probe),
  livenessProbe: v.optional(probe),
  readinessProbe: v.optional(probe),
  resources: v.strictObject({
    requests: v.strictObject({ cpu: quantity, memory: quantity }),
    limits: v.strictObject({ memory: quantity }),
  }),
  securityContext: v.strictObject({
    allowPrivilegeEscalation: v.literal(false),
    readOnlyRootFilesystem: v.literal(true),
    capabilities: v.strictObject({ drop: v.tuple([v.literal("ALL")]) }),
  }),
  volumeMounts: v.array(v.strictObject({ name: dnsName, mountPath: text, readOnly: v.literal(true) })),
});
const template = v.strictObject({
  metadata: v.strictObject({ labels }),
  spec: v.strictObject({
    serviceAccountName: dnsName,
    automountServiceAccountToken: v.literal(false),
    enableServiceLinks: v.literal(false),
    restartPolicy: v.optional(v.picklist(["Always", "OnFailure", "Never"])),
    terminationGracePeriodSeconds: v.optional(whole),
    securityContext: v.strictObject({
      runAsNonRoot: v.literal(true),
      runAsUser: v.pipe(v.number(), v.integer(), v.minValue(1)),
      runAsGroup: v.pipe(v.number(), v.integer(), v.minValue(1)),
      fsGroup: whole,
      seccompProfile: v.strictObject({ type: v.literal("RuntimeDefault") }),
    }),
    topologySpreadConstraints: v.optional(v.array(v.strictObject({
      maxSkew: whole,
      topologyKey: text,
      whenUnsatisfiable: v.picklist(["DoNotSchedule", "ScheduleAnyway"]),
      labelSelector: selector,
    }))),
    containers: v.array(container),
    volumes: v.array(v.strictObject({
      name: dnsName,
      secret: v.strictObject({ secretName: dnsName, items: v.array(v.strictObject({ key: text, path: text })) }),
    })),
  }),
});
const peer = v.strictObject({ namespaceSelector: v.optional(selector), podSelector: v.optional(selector) });
const openPort = v.strictObject({ protocol: v.picklist(["TCP", "UDP"]), port: v.union([port, portName]) });

/** The shape of every resource, by its kind. */
const SHAPES: Readonly<Record<string, v.GenericSchema>> = {
  ServiceAccount: v.strictObject({
    apiVersion: v.literal("v1"),
    kind: v.literal("ServiceAccount"),
    metadata,
    automountServiceAccountToken: v.literal(false),
  }),
  ConfigMap: v.strictObject({
    apiVersion: v.literal("v1"),
    kind: v.literal("ConfigMap"),
    metadata,
    data: v.record(v.string(), v.string()),
  }),
  Service: resource(
    "v1",
    "Service",
    v.strictObject({
      clusterIP: v.literal("None"),
      publishNotReadyAddresses: v.boolean(),
      selector: labels,
      ports: v.array(v.strictObject({ name: portName, port, targetPort: portName })),
    }),
  ),
  Deployment: resource(
    "apps/v1",
    "Deployment",
    v.strictObject({
      replicas: v.optional(whole),
      revisionHistoryLimit: whole,
      selector,
      strategy: v.strictObject({
        type: v.literal("RollingUpdate"),
        rollingUpdate: v.strictObject({ maxSurge: whole, maxUnavailable: whole }),
      }),
      template,
    }),
  ),
  Job: resource(
    "batch/v1",
    "Job",
    v.strictObject({
      backoffLimit: whole,
      ttlSecondsAfterFinished: whole,
      template,
    }),
  ),
  NetworkPolicy: resource(
    "networking.k8s.io/v1",
    "NetworkPolicy",
    v.strictObject({
      podSelector: selector,
      policyTypes: v.array(v.picklist(["Ingress", "Egress"])),
      ingress: v.array(v.strictObject({ from: v.optional(v.array(peer)), ports: v.array(openPort) })),
      egress: v.array(v.strictObject({ to: v.optional(v.array(peer)), ports: v.array(openPort) })),
    }),
  ),
  PodDisruptionBudget: resource(
    "policy/v1",
    "PodDisruptionBudget",
    v.strictObject({
      maxUnavailable: whole,
      selector,
    }),
  ),
  ScaledObject: resource(
    "keda.sh/v1alpha1",
    "ScaledObject",
    v.strictObject({
      scaleTargetRef: v.strictObject({ name: dnsName }),
      minReplicaCount: whole,
      maxReplicaCount: whole,
      pollingInterval: whole,
      advanced: v.strictObject({
        horizontalPodAutoscalerConfig: v.strictObject({
          behavior: v.strictObject({ scaleDown: v.strictObject({ stabilizationWindowSeconds: whole }) }),
        }),
      }),
      fallback: v.strictObject({ failureThreshold: whole, replicas: whole }),
      triggers: v.tuple([v.strictObject({
        type: v.literal("prometheus"),
        // KEDA takes texts alone, numbers too.
        metadata: v.strictObject({
          serverAddress: v.pipe(v.string(), v.url()),
          query: text,
          threshold: v.pipe(v.string(), v.digits()),
        }),
      })]),
    }),
  ),
  ServiceMonitor: resource(
    "monitoring.coreos.com/v1",
    "ServiceMonitor",
    v.strictObject({
      selector,
      endpoints: v.array(v.strictObject({ port: portName, path: text, interval: goDuration })),
    }),
  ),
  Stream: resource(
    "jetstream.nats.io/v1beta2",
    "Stream",
    v.strictObject({
      name: v.pipe(v.string(), v.regex(/^[^.*>]+$/)),
      description: text,
      subjects: v.pipe(v.array(text), v.minLength(1)),
      storage: v.picklist(["file", "memory"]),
      replicas: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(5)),
      retention: v.picklist(["limits", "interest", "workqueue"]),
      discard: v.picklist(["old", "new"]),
      maxAge: v.optional(goDuration),
      maxMsgsPerSubject: v.optional(whole),
      duplicateWindow: goDuration,
      allowRollup: v.boolean(),
      denyDelete: v.boolean(),
      allowDirect: v.boolean(),
      preventDelete: v.boolean(),
    }),
  ),
  Consumer: resource(
    "jetstream.nats.io/v1beta2",
    "Consumer",
    v.strictObject({
      streamName: text,
      durableName: v.pipe(v.string(), v.regex(/^[^.*>]+$/)),
      description: text,
      ackPolicy: v.picklist(["none", "all", "explicit"]),
      ackWait: goDuration,
      deliverPolicy: v.picklist(["all", "last", "new", "byStartSequence", "byStartTime"]),
      maxAckPending: whole,
      preventDelete: v.boolean(),
    }),
  ),
};

/** What is wrong with a resource, one line for each field; empty when nothing is. */
export function flawsOf(resource: Resource): string[] {
  const shape = SHAPES[resource.kind];
  if (shape === undefined) return [`${resource.kind} is no kind that is used here`];
  const { issues = [] } = v.safeParse(shape, resource);
  return issues.map((issue) => `${resource.kind} ${resource.metadata.name}: ${v.getDotPath(issue)}: ${issue.message}`);
}

/** The documents of a YAML text. Throws at what is no YAML, or has a key twice. */
function readDocuments(yaml: string): Resource[] {
  return parseAllDocuments(yaml).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as Resource;
  });
}

export function readManifest(name: string): Resource[] {
  return readDocuments(readFileSync(join(KUBERNETES_FOLDER, name), "utf8"));
}

/** The settings that an overlay gives the processes, out of its files. */
export function settingsOf(overlay: string): NodeJS.Dict<string> {
  const [{ configMapGenerator = [] }] = readManifest(`overlays/${overlay}/kustomization.yaml`) as [Resource];
  const changed: string[] = configMapGenerator.flatMap(({ literals = [] }: { literals?: string[] }) => literals);
  return parseEnv([readFileSync(join(KUBERNETES_FOLDER, "base/settings.env"), "utf8"), ...changed].join("\n"));
}

/** What kubectl makes of an overlay; undefined, said on stdout, where there is none that is new enough. */
export function render(overlay: string): Resource[] | undefined {
  const { stdout, error } = spawnSync("kubectl", ["version", "--client", "-o", "json"], { encoding: "utf8" });
  const version = error === undefined ? /"minor": "(\d+)/.exec(stdout)?.[1] : undefined;
  if (version === undefined || Number(version) < OLDEST_MINOR) {
    console.log(`${overlay} is not rendered: ${version === undefined ? "no kubectl" : `kubectl 1.${version}`} is here`);
    return undefined;
  }
  const built = spawnSync("kubectl", ["kustomize", join(KUBERNETES_FOLDER, "overlays", overlay)], { encoding: "utf8" });
  if (built.status !== 0) throw new Error(built.stderr);
  return readDocuments(built.stdout);
}
