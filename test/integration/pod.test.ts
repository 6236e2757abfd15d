/**
 * The image as far as a machine without Docker can have it: the Dockerfile's steps in folders, and what they give run as
 * another user, who can write nothing, against a real NATS server and ClickHouse behind HTTP.
 *
 * Every day the first installation of packages is that of this checkout, which came about by the same command; a soak
 * runs it again.
 */
import { spawn } from "node:child_process";
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import * as assert from "uvu/assert";
import { build, only, readStages, ROOT } from "../helpers/dockerfile.ts";
import { type Ended, GATEWAY_LOG, productionEvents, within, withServedCluster } from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

/** On a disk: all packages with the engine take 700 MB. */
const DISK = "/var/tmp";
const SOAK = process.env.LATECOMER_SOAK === "1";
/** What the image adds to its base at most, in bytes. */
const MOST_BYTES = 15_000_000;
const NOBODY = 65_532;

function sizeOf(path: string): number {
  const stat = lstatSync(path);
  return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : stat.size;
}

/** Every package of a node_modules folder, and of those within. */
function packagesOf(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .filter((path) => path.endsWith("package.json"))
    .map((path) => path.split("node_modules/").at(-1)!.replace(/\/package\.json$/, ""));
}

async function withImage(use: (app: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(DISK, "latecomer-pod-"));
  try {
    chmodSync(folder, 0o755);
    const app = build(folder, (command, cwd) => {
      if (SOAK || !command.startsWith("npm ci") || command.includes("--omit=dev")) return false;
      symlinkSync(join(ROOT, "node_modules"), join(cwd, "node_modules"));
      return true;
    });
    await use(app);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the image's command with arguments, as its user where this process may choose one. */
function start(app: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  const [, ...entry] = JSON.parse(only(readStages().at(-1)!, "ENTRYPOINT")) as string[];
  const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const child = spawn(process.execPath, [...entry, ...args], {
    cwd: app,
    env: { NODE_ENV: "production", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...user,
  });
  const written = { out: "", err: "" };
  child.stdout.on("data", (chunk) => written.out += chunk);
  child.stderr.on("data", (chunk) => written.err += chunk);
  const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ code, ...written })));
  return within(`latecomer ${args.join(" ")}`, ended, 120_000).finally(() => child.kill("SIGKILL"));
}

describe("the image", (test) => {
  test("is small, holds no compiler and no engine, and does the whole work of a pod", () =>
    withImage((app) =>
      withServedCluster({}, async (cluster) => {
        const bytes = sizeOf(app);
        console.log(`the image adds ${(bytes / 1e6).toFixed(1)} MB to its base`);
        assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
        const packages = packagesOf(join(app, "node_modules"));
        assert.ok(packages.includes("nats") && packages.includes("@clickhouse/client"));
        assert.equal(packages.filter((name) => /chdb|tsx|esbuild|typescript|deno|fast-check|uvu/.test(name)), []);
        assert.equal(readdirSync(join(app, "dist")).sort(), ["package.json", "sql", "src", "streams", "test"]);

        const { natsUrl, clickhouseUrl } = cluster.config;
        const env = { NATS_URL: natsUrl, CLICKHOUSE_URL: clickhouseUrl, LATECOMER_TABLE_RETENTION: "none" };
        const sound = async (...args: string[]) => {
          const { code, out, err } = await start(app, args, env);
          assert.is(code, 0, `${args.join(" ")}: ${out}${err}`);
          return out;
        };
        assert.match(await sound("--version"), /^\d+\.\d+\.\d+\n$/);
        await sound("init");
        assert.match(await sound("doctor"), /Ready to run/);
        await cluster.publish("org", productionEvents(GATEWAY_LOG));
        const { counts } = JSON.parse(await sound("run", "--until-drained", "--json"));
        assert.is(counts.accepted, 65);
        assert.is(await cluster.count("SELECT count() FROM raw_streaming_events FINAL"), 65);

        const embedded = await start(app, ["doctor"], { NATS_URL: natsUrl });
        assert.is(embedded.code, 1, "without an engine there is none to fall back on");
        assert.not.match(embedded.out, "Ready to run");
      })
    ));
});
