/** The manifests of `deploy/k8s`: their shapes, what they say of each other, and that they are what `streams/` says. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { resolveConfig } from "../../src/config.ts";
import { flawsOf, KUBERNETES_FOLDER, readManifest, render, type Resource } from "../helpers/kubernetes.ts";
import { describe } from "../helpers/suite.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const HEALTH_PORT = 8_080;

const files = (readdirSync(KUBERNETES_FOLDER, { recursive: true }) as string[]).filter((file) =>
  file.endsWith(".yaml")
);
const kustomizations = files.filter((file) => file.endsWith("kustomization.yaml"));
/** Whole resources; a patch is a part of one. */
const manifests = files.filter((file) => !kustomizations.includes(file) && !file.endsWith("spread.yaml"));

function one(resources: readonly Resource[], kind: string, name?: string): Resource {
  const found = resources.filter((each) => each.kind === kind && (name === undefined || each.metadata.name === name));
  assert.is(found.length, 1, `${kind} ${name ?? ""}`);
  return found[0]!;
}

/** The settings of an overlay as the pods get them. */
function settingsOf(resources: readonly Resource[]) {
  return resolveConfig(one(resources, "ConfigMap").data);
}

function rendered(overlay: string, holds: (resources: readonly Resource[]) => void): void {
  const resources = render(overlay);
  if (resources !== undefined) holds(resources);
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
    for (const file of ["base/deployment.yaml", "base/init-job.yaml"]) {
      const [{ spec }] = readManifest(file) as [Resource];
      for (const { name, value } of spec.template.spec.containers[0].env) {
        if (/URL/.test(name)) assert.is(value, undefined, `${file}: ${name}`);
      }
    }
  });

  test("are those that streams/ gives", () => {
    const args = ["--import", "tsx", "--no-warnings", "deploy/manifests.ts", "--check"];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
    assert.is(status, 0, stderr);
  });
});

for (const overlay of ["single", "ha"]) {
  describe(`the overlay ${overlay}`, (test) => {
    test("renders to resources whose every field is known, all in one namespace", () =>
      rendered(overlay, (resources) => {
        assert.equal(resources.flatMap(flawsOf), []);
        assert.equal(resources.filter(({ metadata }) => metadata.namespace !== "latecomer"), []);
      }));

    test("gives the processes settings that they take, and no more variables with their prefix", () =>
      rendered(overlay, (resources) => {
        settingsOf(resources);
        for (const { spec } of [one(resources, "Deployment"), one(resources, "Job")]) {
          const [{ env, envFrom }] = spec.template.spec.containers;
          assert.is(envFrom[0].configMapRef.name, one(resources, "ConfigMap").metadata.name);
          const stated = env.map((
            { name, value }: { name: string; value?: string },
          ) => [name, value ?? "tls://nats:4222"]);
          resolveConfig({ ...Object.fromEntries(stated), CLICKHOUSE_URL: "https://clickhouse:8443" });
        }
      }));

    test("selects the pods that are meant, and probes the port that they open", () =>
      rendered(overlay, (resources) => {
        const { selector, template } = one(resources, "Deployment").spec;
        const init = one(resources, "Job").spec.template.metadata.labels;
        const { labels } = template.metadata;
        assert.ok(covers(selector.matchLabels, labels));
        assert.not.ok(covers(selector.matchLabels, init), "the Deployment leaves the Job's pod alone");
        const { spec: service } = one(resources, "Service");
        assert.ok(covers(service.selector, labels));
        assert.not.ok(covers(service.selector, init));
        const { podSelector } = one(resources, "NetworkPolicy").spec;
        assert.ok(covers(podSelector.matchLabels, labels) && covers(podSelector.matchLabels, init));
        const [container] = template.spec.containers;
        assert.equal(container.ports, [{ name: "http", containerPort: HEALTH_PORT }]);
        const { data } = resources.find(({ kind, metadata }) =>
          kind === "ConfigMap" && /settings/.test(metadata.name)
        )!;
        assert.is(data.LATECOMER_HTTP_PORT, String(HEALTH_PORT));
        assert.is(container.readinessProbe.httpGet.path, "/readyz");
        for (const name of ["startupProbe", "livenessProbe"]) assert.is(container[name].httpGet.path, "/healthz");
        for (const name of ["startupProbe", "livenessProbe", "readinessProbe"]) {
          assert.is(container[name].httpGet.port, "http");
        }
      }));
  });
}

describe("the overlay ha", (test) => {
  test("has a pod for every partition at most, and partitions as the NATS server makes them", () =>
    rendered("ha", (resources) => {
      const { partitions } = settingsOf(resources);
      const { spec } = one(resources, "ScaledObject");
      assert.is(spec.maxReplicaCount, partitions);
      assert.ok(spec.minReplicaCount >= 2);
      assert.is(spec.scaleTargetRef.name, one(resources, "Deployment").metadata.name);
      assert.is(one(resources, "Deployment").spec.replicas, undefined, "the number of pods is KEDA's");
      const ingest = readFileSync(join(ROOT, "deploy/nats/ingest.conf"), "utf8");
      assert.is(Number(/partition\((\d+),3\)/.exec(ingest)?.[1]), partitions);
    }));

  test("keeps streams as many times and as long as the processes think", () =>
    rendered("ha", (resources) => {
      const { replicas, streamRetentionMs } = settingsOf(resources);
      const streams = resources.filter(({ kind }) => kind === "Stream");
      assert.is(streams.length, 10);
      assert.equal(streams.map(({ spec }) => spec.replicas), streams.map(() => replicas));
      const events = streams.find(({ spec }) => spec.name === "LIVEPEER_EVENTS")!;
      assert.is(events.spec.maxAge, `${streamRetentionMs / 1_000}s`);
    }));

  test("watches and guards the Deployment's pods", () =>
    rendered("ha", (resources) => {
      const { labels } = one(resources, "Deployment").spec.template.metadata;
      assert.ok(covers(one(resources, "PodDisruptionBudget").spec.selector.matchLabels, labels));
      const { metadata, spec } = one(resources, "Service");
      const monitor = one(resources, "ServiceMonitor").spec;
      assert.ok(covers(monitor.selector.matchLabels, metadata.labels ?? {}));
      assert.is(monitor.endpoints[0].port, spec.ports[0].name);
    }));
});
