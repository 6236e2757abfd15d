// Completes package-lock.json with the optional platform packages that npm leaves out.
//
// npm records only the platform packages that it could resolve on the machine that wrote the lock.
// `npm ci` then refuses the lock on every machine ("Missing: … from lock file"). This adds an entry for
// each optional dependency that a locked package names at an exact version and that the lock lacks.
// Run it after every `npm install`; it changes nothing when nothing is missing.
import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("../package-lock.json", import.meta.url);
const text = readFileSync(file, "utf8");
const lock = JSON.parse(text);

/** `os`, `cpu` and `libc` as told by the package's own name, e.g. `@chdb/lib-linux-arm64-gnu`. */
function platformOf(name) {
  const words = name.split("/").pop().split("-");
  const os = words.find((word) => ["linux", "darwin", "win32", "freebsd", "openbsd"].includes(word));
  const cpu = words.find((word) => ["x64", "arm64", "ia32"].includes(word));
  if (os === undefined || cpu === undefined) {
    throw new Error(`cannot tell the platform of ${name}: add it to the lock by hand`);
  }
  const libc = words.some((word) => word === "gnu" || word === "glibc") ? { libc: ["glibc"] } : {};
  return { cpu: [cpu], os: [os], ...libc };
}

const added = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === "") continue;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const at = `node_modules/${name}`;
    if (at in lock.packages || entry.peerDependencies?.[name] !== undefined) continue;
    if (!/^\d/.test(version)) continue; // A range is npm's to resolve; exact versions are the platform packages.
    lock.packages[at] = {
      version,
      ...(entry.dev ? { dev: true } : {}),
      ...platformOf(name),
      optional: true,
    };
    added.push(`${name}@${version}`);
  }
}

if (added.length > 0) {
  const head = Object.entries(lock.packages).filter(([path]) => path === "");
  const rest = Object.entries(lock.packages).filter(([path]) => path !== "").sort(([a], [b]) => a < b ? -1 : 1);
  lock.packages = Object.fromEntries([...head, ...rest]);
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
console.log(added.length === 0 ? "the lock is complete" : `added to the lock: ${added.join(", ")}`);
