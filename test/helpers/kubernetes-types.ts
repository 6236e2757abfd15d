/** Resources of the kinds that Kubernetes itself has, held against its published types by the compiler. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Resource } from "./kubernetes.ts";
import { temporaryFolder } from "./temporary.ts";

const PACKAGES = fileURLToPath(new URL("../../node_modules/", import.meta.url));
const OPTIONS = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--types", ""];

/** Where the types of a resource are; undefined where an operator has brought its kind. */
export function typesOf({ apiVersion }: Resource): string | undefined {
  const [version, group = "core"] = apiVersion.split("/").reverse() as [string, string?];
  const path = join(PACKAGES, "kubernetes-types", group.replace(/\.k8s\.io$/, ""), version);
  return existsSync(`${path}.d.ts`) ? path : undefined;
}

/** What the compiler says of the resources that have types, one line for each; empty when nothing is wrong. */
export function typeErrorsOf(resources: readonly Resource[]): string[] {
  const folder = mkdtempSync(join(temporaryFolder(), "latecomer-types-"));
  try {
    const file = join(folder, "resources.ts");
    const sources = resources.filter((one) => typesOf(one) !== undefined).map((one, at) =>
      `import type { ${one.kind} as Kind${at} } from ${JSON.stringify(typesOf(one))};\n` +
      `export const resource${at}: Kind${at} = ${JSON.stringify(one, null, 2)};\n`
    );
    writeFileSync(file, sources.join(""));
    const tsc = join(PACKAGES, ".bin/tsc");
    const { stdout, error } = spawnSync(tsc, [...OPTIONS, file], { cwd: folder, encoding: "utf8" });
    if (error !== undefined) throw error;
    return stdout.split("\n").filter((line) => line !== "");
  } finally {
    rmSync(folder, { recursive: true });
  }
}
