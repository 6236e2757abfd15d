/** The manifests of `deploy/k8s`: their shapes, what they say of each other, and that they are what `streams/` says. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { WHOLE_SHARE } from "../../src/core/attribute.ts";
import { MOST_FREE_BYTES } from "../../src/clickhouse/pieces.ts";
import { resolveConfig } from "../../src/config.ts";
import { POD } from "../bench/rig.ts";
import { flawsOf, KUBERNETES_FOLDER, readManifest, render, type Resource, settingsOf } from "../helpers/kubernetes.ts";
import { typeErrorsOf, typesOf } from "../helpers/kubernetes-types.ts";
import { documentedMetrics, promProblems } from "../helpers/prometheus.ts";
import { scriptsOf } from "../helpers/runbook.ts";
import { describe } from "../helpers/suite.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const OVERLAYS = ["single", "ha"];

/** What Node takes beside heap and buffers, which were 100 and 63 of 211 MiB (10,000 events/s). */
const BESIDE_MIB = 64;
/** Of a message in a batch: while one is in flight, the next is in the making. */
const BATCH_BYTES = 2 * 1_800;
/**
 * What one takes outside the heap, in bytes (deploy/CONFIGURATION.md, src/core/matched.ts, src/core/seen.ts); what is open
 * with the records of its signal and its support in a session that is awake (src/core/session/).
 */
const OPEN_BYTES = 64;
const EVENT_BYTES = 56 + 48;
const BYTES_OF_ONE = { maxOpen: OPEN_BYTES + EVENT_BYTES, maxSessions: 1_400, maxSeen: 40 } as const;
/** What an observation that is kept whole takes of the heap, in bytes: measured, with its places in lookups. */
const WHOLE_BYTES = 650;
/** Of events in the mix of production, what is open: 8,167 of 20,000 (test/bench/results/baseline.json). */
const OPEN_SHARE = 0.408;
/** What a node as one snapshot saw it takes, in bytes, in heap and beside it: measured, with its part of the snapshot. */
const SIGHTING_BYTES = 45;

const files = (readdirSync(KUBERNETES_FOLDER, { recursive: true }) as string[]).filter((file) =>
  file.endsWith(".yaml")
);
const kustomizations = files.filter((file) => file.endsWith("kustomization.yaml"));
/** Whole resources; a patch is a part of one. */
const manifests = files.filter((file) => !kustomizations.includes(file) && !file.endsWith("spread.yaml"));

/** The resources of a folder, as its files have them. */
function resourcesOf(folder: string): Resource[] {
  return manifests.filter((file) => dirname(file) === folder).flatMap(readManifest);
}

const base = resourcesOf("base");
const ha = resourcesOf("overlays/ha");
/** Whatever makes pods. */
const workloads = [...base, ...ha].filter(({ spec }) => spec?.template !== undefined);

function containerOf({ spec }: Resource) {
  return spec.template.spec.containers[0];
}

function textOf(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** The first group of every place where the pattern matches. */
function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, group]) => group!);
}

function one(resources: readonly Resource[], kind: string): Resource {
  const [first, ...more] = resources.filter((each) => each.kind === kind);
  assert.ok(first !== undefined && more.length === 0, kind);
  return first!;
}

function namespaceOf(overlay: string): string {
  const [{ namespace }] = readManifest(`overlays/${overlay}/kustomization.yaml`) as [Resource];
  return namespace;
}

function covers(selector: Record<string, string>, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value);
}

describe("the manifests as files", (test) => {
  test("have no field that their kind does not know", () => {
    assert.ok(manifests.length >= 9);
    assert.equal(manifests.flatMap((file) => readManifest(file).flatMap(flawsOf)), []);
  });

  test("are refused with a field that is misspelt, misplaced or of another type", () => {
    const broken = (change: (deployment: Resource) => void) => {
      const [deployment] = structuredClone(readManifest("base/deployment.yaml"));
      change(deployment!);
      return flawsOf(deployment!);
    };
    assert.match(
      broken(({ spec }) => spec.template.spec.containers[0].imagePulPolicy = "Always")[0]!,
      /imagePulPolicy/,
    );
    assert.match(broken(({ spec }) => spec.readinessProbe = {})[0]!, /readinessProbe/);
    assert.match(broken(({ spec }) => spec.replicas = "2")[0]!, /replicas/);
    assert.match(broken(({ spec }) => delete spec.template.spec.securityContext)[0]!, /securityContext/);
  });

  test("have the fields of Kubernetes' published types, where the kind is its own", () => {
    const resources = manifests.flatMap(readManifest);
    const brought = new Set(resources.filter((one) => typesOf(one) === undefined).map(({ kind }) => kind));
    assert.equal([...brought].sort(), ["Consumer", "ScaledObject", "ServiceMonitor", "Stream"]);
    assert.equal(typeErrorsOf(resources), []);
    const wrong: [RegExp, (deployment: Resource) => void][] = [
      [/'"readinesProbe"' does not exist/, (deployment) => containerOf(deployment).readinesProbe = {}],
      [/'"gracePeriod"' does not exist/, ({ spec }) => spec.template.spec.gracePeriod = 30],
      [/'string' is not assignable to type 'number'/, ({ spec }) => spec.replicas = "2"],
      [/'selector' is missing/, ({ spec }) => delete spec.selector],
      [/no exported member .*'Deploy'/, (deployment) => Object.assign(deployment, { kind: "Deploy" })],
    ];
    const broken = wrong.map(([, change]) => {
      const deployment = structuredClone(one(base, "Deployment"));
      change(deployment);
      return deployment;
    });
    const errors = typeErrorsOf(broken).join("\n");
    for (const [error] of wrong) assert.match(errors, error);
  });

  test("are named by their kustomizations, every one of them", () => {
    const named = new Set<string>();
    for (const file of kustomizations) {
      const [{ resources = [], patches = [], configMapGenerator = [] }] = readManifest(file) as [Resource];
      const paths = [
        ...resources,
        ...patches.flatMap(({ path }: { path?: string }) => path ?? []),
        ...configMapGenerator.flatMap(({ envs = [] }: { envs?: string[] }) => envs),
      ];
      for (const path of paths) {
        const at = normalize(join(dirname(file), path));
        assert.ok(existsSync(join(KUBERNETES_FOLDER, at)), `${file} names ${path}`);
        named.add(at);
      }
    }
    assert.equal(files.filter((file) => !kustomizations.includes(file) && !named.has(file)), []);
  });

  test("hold no secret: what is one comes from a Secret", () => {
    const held = manifests.flatMap(readManifest).filter(({ kind }) => kind === "Secret");
    assert.equal(held, []);
    for (const workload of workloads) {
      for (const { name, value } of containerOf(workload).env) {
        if (/URL/.test(name)) assert.is(value, undefined, `${workload.kind}: ${name}`);
      }
    }
  });

  test("are those that streams/ gives", () => {
    const args = ["--import", "tsx", "--no-warnings", "deploy/manifests.ts", "--check"];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
    assert.is(status, 0, stderr);
  });
});

describe("the manifests together", (test) => {
  test("give the processes settings that they take, and no more variables with their prefix", () => {
    for (const overlay of OVERLAYS) {
      for (const workload of workloads) {
        const { env, envFrom } = containerOf(workload);
        assert.is(envFrom[0].configMapRef.name, "latecomer-settings");
        const stated = env.map((
          { name, value }: { name: string; value?: string },
        ) => [name, value ?? "tls://nats:4222"]);
        const secret = { ...Object.fromEntries(stated), CLICKHOUSE_URL: "https://clickhouse:8443" };
        resolveConfig({ ...settingsOf(overlay), ...secret });
      }
    }
  });

  test("select the pods that are meant, and probe the port that they open", () => {
    const deployment = one(base, "Deployment");
    const { labels } = deployment.spec.template.metadata;
    const init = one(base, "Job").spec.template.metadata.labels;
    const { matchLabels } = deployment.spec.selector;
    assert.ok(covers(matchLabels, labels));
    assert.not.ok(covers(matchLabels, init), "the Deployment leaves the Job's pod alone");
    const { spec: service } = one(base, "Service");
    assert.ok(covers(service.selector, labels));
    assert.not.ok(covers(service.selector, init));
    const { podSelector } = one(base, "NetworkPolicy").spec;
    assert.ok(covers(podSelector.matchLabels, labels) && covers(podSelector.matchLabels, init));
    const container = containerOf(deployment);
    const containerPort = Number(settingsOf("single").LATECOMER_HTTP_PORT);
    assert.equal(container.ports, [{ name: "http", containerPort }]);
    assert.is(service.ports[0].port, containerPort);
    for (const name of ["startupProbe", "livenessProbe", "readinessProbe"]) {
      const { path, port } = container[name].httpGet;
      assert.equal([path, port], [name === "readinessProbe" ? "/readyz" : "/healthz", "http"]);
    }
  });

  test("let pods reach what the runbook names, on the ports that it and NATS have", () => {
    const runbook = textOf("deploy/RUNBOOK.md");
    const script = scriptsOf("Install on Kubernetes").join();
    const egress: { to?: { podSelector: { matchLabels: Record<string, string> } }[]; ports: { port: number }[] }[] =
      one(base, "NetworkPolicy").spec.egress;
    const rules = egress.filter(({ ports }) => ports[0]!.port !== 53);
    const [nats, clickhouse, ...more] = rules.map(({ ports }) => ports.map(({ port }) => String(port)));
    assert.equal(more, []);
    for (const file of ["nats-2.9.conf", "nats-2.10.conf"]) {
      assert.equal(found(textOf(`deploy/nats/${file}`), /^listen: "[\d.]+:(\d+)"$/gm), nats, file);
    }
    assert.equal([...new Set(found(script, /tls:\/\/\w+:…@[\w.]+:(\d+)/g))], nats);
    assert.equal([...new Set(found(script, /https:\/\/…:(\d+)/g))], clickhouse);
    const [[label, value]] = Object.entries(rules[0]!.to![0]!.podSelector.matchLabels) as [[string, string]];
    assert.ok(runbook.includes(`as pods labelled \`${label}: ${value}\``));
  });

  test("take the Secrets that the runbook makes, with users that NATS has, and each key from where it lies", () => {
    const script = scriptsOf("Install on Kubernetes").join().replace(/\\\n/g, "");
    const made = found(script, /create secret generic (.*)/g).map((line) =>
      found(line, /--from-(?:file|literal)=([\w.-]+?)(?:=|$)/g).map((key) => `${line.split(" ")[0]} ${key}`)
    );
    const taken = workloads.flatMap((workload) => {
      const { env, volumeMounts: [mount] } = containerOf(workload);
      const [{ secret }] = workload.spec.template.spec.volumes;
      const [{ key, path }] = secret.items;
      const ca = env.find(({ name }: { name: string }) => name === "NATS_CA");
      assert.is(ca.value, `${mount.mountPath}/${path}`);
      const refs = env.flatMap(({ valueFrom }: { valueFrom?: { secretKeyRef?: { name: string; key: string } } }) =>
        valueFrom?.secretKeyRef ?? []
      );
      return [{ name: secret.secretName, key }, ...refs].map(({ name, key }) => `${name} ${key}`);
    });
    assert.equal([...new Set(taken)].sort(), made.flat().sort());
    const roles = ["processor", "operator"];
    assert.equal(found(script, /generic latecomer-(\w+) .*tls:/g), roles);
    assert.equal(found(script, /tls:\/\/(\w+):/g), roles);
    const users = found(textOf("deploy/nats/accounts.conf"), /\buser: (\w+)/g);
    assert.equal(roles.filter((role) => !users.includes(role)), []);
    assert.equal([...new Set(found(script, /(?:-n|namespace) (\w+)/g))], [...new Set(OVERLAYS.map(namespaceOf))]);
  });

  test("leave a pod room for its heap, for what is bounded beside it, for its batches, and for Node", () => {
    const all = OVERLAYS.map((overlay) => resolveConfig(settingsOf(overlay)));
    // One pod may hold all partitions, `all` too.
    const held = Math.max(...all.map((settings) => {
      const bounded = Object.entries(BYTES_OF_ONE) as [keyof typeof BYTES_OF_ONE, number][];
      const rests = bounded.reduce((sum, [name, bytes]) => sum + settings[name] * bytes, 0);
      // What is kept for the next batch was in one before.
      const batches = Math.max(settings.batchRows * BATCH_BYTES, MOST_FREE_BYTES);
      return (settings.partitions + 1) * rests + settings.maxSightings * SIGHTING_BYTES + batches;
    }));
    for (const workload of workloads) {
      const { env, resources } = containerOf(workload);
      const { value: options } = env.find(({ name }: { name: string }) => name === "NODE_OPTIONS");
      const [, old, semi] = /^--max-old-space-size=(\d+) --max-semi-space-size=(\d+)$/.exec(options)!;
      const isProcessor = workload.kind === "Deployment";
      if (isProcessor) {
        assert.is(options, POD.flags.join(" "), "what the bench runs with");
        const whole = Math.max(
          ...all.map(({ partitions, maxOpen }) => partitions * maxOpen * WHOLE_SHARE * WHOLE_BYTES),
        );
        assert.ok(whole / 2 ** 20 <= Number(old) / 3, "what is kept whole leaves room in the heap for all else");
      }
      const heap = Number(old) + 3 * Number(semi);
      const most = heap + BESIDE_MIB + (isProcessor ? held / 2 ** 20 : 0);
      const limit = Number(/^(\d+)Mi$/.exec(resources.limits.memory)![1]);
      assert.ok(most <= limit, `${workload.metadata.name} may take ${most.toFixed()} MiB of ${limit}`);
    }
  });

  test("hold open, by partition, what the documents say", () => {
    const [runbook, scaling] = ["RUNBOOK", "SCALING"].map((page) => textOf(`deploy/${page}.md`).replace(/\s+/g, " "));
    assert.match(runbook!, `what is open takes ${OPEN_BYTES} bytes, and ${EVENT_BYTES} more for its event`);
    assert.match(runbook!, `each takes some ${WHOLE_BYTES} bytes, on the heap`);
    assert.match(textOf("deploy/CONFIGURATION.md"), `these take some ${WHOLE_BYTES} bytes of the heap each`);
    assert.match(runbook!, `by ${BYTES_OF_ONE.maxOpen} bytes × partitions for each more`);
    const { maxOpen, partitions, allowedLatenessMs } = resolveConfig(settingsOf("single"));
    const perSecond = maxOpen * partitions / OPEN_SHARE / (allowedLatenessMs / 1_000);
    const most = String(Math.floor(perSecond / 50) * 50);
    assert.match(runbook!, `some ${most} events a second under an hour`);
    assert.match(scaling!, `| ${most}/s | the memory of a pod of 512 MiB under an hour of lateness`);
  });

  test("have the Job begin as the runbook finds it where a generation is to be raised", () => {
    const args: string[] = containerOf(one(base, "Job")).args;
    const raised = JSON.stringify([...args, "--raise-generation"]).replaceAll(",", ", ");
    assert.match(textOf("deploy/RUNBOOK.md"), `have \`args: ${raised}\` in \`k8s/base/init-job.yaml\``);
    assert.match(textOf("deploy/k8s/base/init-job.yaml"), `args: ${JSON.stringify(args)}`);
  });

  test("have a pod for every partition at most, and partitions as the NATS server makes them", () => {
    const { partitions } = resolveConfig(settingsOf("ha"));
    const { spec } = one(ha, "ScaledObject");
    const deployment = one(base, "Deployment");
    assert.is(spec.maxReplicaCount, partitions);
    assert.ok(spec.minReplicaCount >= 2);
    assert.is(spec.scaleTargetRef.name, deployment.metadata.name);
    assert.is(deployment.spec.replicas, undefined, "the number of pods is KEDA's");
    assert.equal(found(textOf("deploy/nats/ingest.conf"), /partition\((\d+),3\)/g), [String(partitions)]);
  });

  test("scale by a metric that the pods have, of their namespace, from a Prometheus that reaches them", () => {
    const { query, serverAddress } = one(ha, "ScaledObject").spec.triggers[0].metadata;
    assert.equal(promProblems(query, documentedMetrics(), ["namespace"]), [], query);
    assert.equal(found(query, /\{namespace="([^"]*)"\}/g), [namespaceOf("ha")]);
    const [{ from }] = one(base, "NetworkPolicy").spec.ingress;
    const { matchLabels } = from[0].namespaceSelector;
    assert.equal(matchLabels, { "kubernetes.io/metadata.name": new URL(serverAddress).hostname.split(".")[1] });
  });

  test("watch and guard the Deployment's pods", () => {
    const { labels } = one(base, "Deployment").spec.template.metadata;
    assert.ok(covers(one(ha, "PodDisruptionBudget").spec.selector.matchLabels, labels));
    const { metadata, spec } = one(base, "Service");
    const monitor = one(ha, "ServiceMonitor").spec;
    assert.ok(covers(monitor.selector.matchLabels, metadata.labels ?? {}));
    assert.is(monitor.endpoints[0].port, spec.ports[0].name);
  });

  test("keep events as long as the processes think", () => {
    const { streamRetentionMs } = resolveConfig(settingsOf("ha"));
    const { spec } = resourcesOf("streams").find(({ spec }) => spec.name === "LIVEPEER_EVENTS")!;
    assert.is(spec.maxAge, `${streamRetentionMs / 1_000}s`);
  });
});

describe("the overlays, rendered", (test) => {
  for (const overlay of OVERLAYS) {
    test(`${overlay} has known fields alone, one namespace, its settings, and streams as often as they say`, () => {
      const resources = render(overlay);
      if (resources === undefined) return;
      assert.equal([...resources.flatMap(flawsOf), ...typeErrorsOf(resources)], []);
      assert.equal(resources.filter(({ metadata }) => metadata.namespace !== namespaceOf(overlay)), []);
      const { metadata, data } = one(resources, "ConfigMap");
      assert.equal(data, { ...settingsOf(overlay) });
      for (const kind of ["Deployment", "Job"]) {
        assert.is(containerOf(one(resources, kind)).envFrom[0].configMapRef.name, metadata.name);
      }
      const { replicas } = resolveConfig(data);
      const streams = resources.filter(({ kind }) => kind === "Stream");
      assert.is(streams.length, overlay === "ha" ? 10 : 0);
      assert.equal(streams.map(({ spec }) => spec.replicas), streams.map(() => replicas));
    });
  }
});
