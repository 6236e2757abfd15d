/** Commands as processes that are told to end, most while ClickHouse hangs: it takes connections and never answers. */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import * as assert from "uvu/assert";
import { registerDoctor } from "../../src/cli/doctor.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import {
  type Command,
  type Ended,
  eventually,
  inFolder,
  startCommand,
  withCluster,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { inProcess } from "../helpers/command.ts";
import { ROOT } from "../helpers/dockerfile.ts";
import { describe } from "../helpers/suite.ts";

interface Hung {
  readonly url: string;
  /** How many have come to it. */
  readonly count: () => number;
}

/** Runs with a ClickHouse that hangs. */
async function withHung(use: (hung: Hung) => Promise<void>): Promise<void> {
  let count = 0;
  const server = createServer((socket) => {
    count++;
    socket.on("error", () => {});
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, count: () => count });
  } finally {
    server.close();
  }
}

/** Sends a signal, and kills what is not moved by it. */
async function endBy(command: Command, signal: NodeJS.Signals): Promise<Ended> {
  command.kill(signal);
  try {
    return await within(`ended by ${signal}`, command.ended, 5_000);
  } finally {
    command.kill("SIGKILL");
  }
}

describe("a ClickHouse that hangs", (test) => {
  test("is found by doctor within seconds, and all else is looked at", () =>
    withCluster({}, (cluster) =>
      withHung(async (hung) => {
        const started = performance.now();
        const env = { NATS_URL: cluster.config.natsUrl, CLICKHOUSE_URL: hung.url };
        const { code, out } = await inProcess(registerDoctor, env, ["doctor", "--json"]);
        assert.ok(performance.now() - started < 15_000, "long before a query is given up");
        assert.is(code, 1);
        const findings = JSON.parse(out).findings as { check: string; state: string; detail: string; fix: string }[];
        const [failed, ...others] = findings.filter(({ state }) => state === "failed");
        assert.equal(others, []);
        assert.is(failed!.check, "ClickHouse");
        assert.match(failed!.detail, /does not answer within 3s/);
        assert.match(failed!.fix, /if it hangs/);
        for (const check of ["streams", "partition 0", "rollup"]) {
          assert.is(findings.find((one) => one.check === check)?.state, "ok", check);
        }
      })));
});

describe("the first signal", (test) => {
  test("ends a command that waits for ClickHouse, with the code of the signal", () =>
    inFolder((cwd) =>
      withHung(async (hung) => {
        const env = { CLICKHOUSE_URL: hung.url };
        const window = ["--from", "2026-01-01", "--to", "2026-01-02"];
        const calls: [string[], NodeJS.Signals, number][] = [
          [["digest"], "SIGTERM", 143],
          [["triage", "--html", join(cwd, "page.html"), ...window], "SIGINT", 130],
          [["rollup", ...window], "SIGTERM", 143],
          [["cutover", "to", "mv"], "SIGINT", 130],
        ];
        for (const [args, signal, expected] of calls) {
          const before = hung.count();
          const command = startCommand(args, { cwd, env });
          await eventually(`${args[0]} waits`, () => hung.count() > before);
          const { code, out } = await endBy(command, signal);
          assert.equal([code, out], [expected, ""], args.join(" "));
        }
        assert.equal(readdirSync(cwd), [], "nothing is half written");
      })
    ));

  test("ends an init that waits for ClickHouse before it has made anything", () =>
    inFolder((cwd) =>
      withHung(async (hung) => {
        const nats = await startNatsServer({ folder: join(cwd, "server") });
        try {
          const command = startCommand(["init"], { cwd, env: { NATS_URL: nats.url, CLICKHOUSE_URL: hung.url } });
          await eventually("init waits", () => hung.count() > 0);
          assert.is((await endBy(command, "SIGTERM")).code, 143);
          const account = readdirSync(join(cwd, "server"), { recursive: true }).map(String);
          assert.equal(account.filter((path) => /streams\/./.test(path)), []);
        } finally {
          await nats.kill();
        }
      })
    ));

  test("ends a demo, which leaves nothing of its folder", () =>
    inFolder(async (cwd) => {
      const temporary = join(cwd, "temporary");
      mkdirSync(temporary);
      const demo = startCommand(["demo"], { cwd, env: { TMPDIR: temporary } });
      const made = () =>
        readdirSync(temporary, { recursive: true }).map(String).filter((path) => path.startsWith("latecomer-"));
      await eventually("the demo has stored something", () =>
        made().some((path) => /LIVEPEER_EVENTS.*\.blk$/.test(path)));
      assert.is((await endBy(demo, "SIGINT")).code, 130);
      await eventually("nothing is left", () =>
        made().length === 0, 5_000);
    }));
});

describe("a signal to `deno task`", (test) => {
  test("reaches the process, which drains and ends with it", () =>
    withServedCluster({}, async ({ config: { natsUrl, clickhouseUrl } }) => {
      const child = spawn("node_modules/.bin/deno", ["task", "latecomer", "run"], {
        cwd: ROOT,
        env: { ...process.env, NATS_URL: natsUrl, CLICKHOUSE_URL: clickhouseUrl },
        stdio: ["ignore", "pipe", "pipe"],
        // A group of its own, so that nothing of it is left whatever comes of this.
        detached: true,
      });
      let log = "";
      child.stderr.on("data", (chunk) => log += chunk);
      // Its streams close when the last process that has them has ended.
      const ended = new Promise((resolve) => child.once("close", resolve));
      try {
        await eventually("it processes", () => log.includes('"processing"'));
        child.kill("SIGTERM");
        assert.is(await within("ended, with all that it started", ended), 0, log);
        assert.match(log, "finishing the batches in hand");
      } finally {
        try {
          process.kill(-child.pid!, "SIGKILL");
        } catch {
          // All of it has ended.
        }
      }
    }));
});
