/** Our own nats-server: started, used, crashed, restarted on its port, and never left behind. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "nats";
import * as assert from "uvu/assert";
import { EXIT, exitCodeOf } from "../../src/errors.ts";
import { ensureNatsServer, findNatsServer } from "../../src/local/nats-install.ts";
import { type LocalNats, type NatsServerOptions, startNatsServer } from "../../src/local/nats-server.ts";
import { eventually, inFolder } from "../helpers/cluster.ts";
import { failureOf } from "../helpers/failure.ts";
import { isAlive, moduleUrl, runScript } from "../helpers/script.ts";
import { describe } from "../helpers/suite.ts";

async function withNats(options: Partial<NatsServerOptions>, use: (nats: LocalNats, folder: string) => Promise<void>) {
  await inFolder(async (folder) => {
    const nats = await startNatsServer({ folder, ...options });
    try {
      await use(nats, folder);
    } finally {
      await nats.kill();
    }
  });
}

describe("startNatsServer()", (test) => {
  test("gives a server on loopback whose JetStream answers and takes messages of 8 MB", () =>
    withNats({}, async (nats, folder) => {
      assert.is(nats.url, `nats://127.0.0.1:${nats.port}`);
      assert.ok(isAlive(nats.pid));
      const nc = await connect({ servers: nats.url });
      assert.is(nc.info?.max_payload, 8 << 20);
      const jsm = await nc.jetstreamManager();
      await jsm.streams.add({ name: "events", subjects: ["events.>"] });
      const ack = await nc.jetstream().publish("events.large", new Uint8Array((8 << 20) - 1_024));
      assert.is(ack.seq, 1);
      await nc.close();
      assert.ok(existsSync(join(folder, "jetstream")), "its data is in its own folder");
    }));

  test("brings everything back on the same port after a crash and after a stop", () =>
    withNats({}, async (first, folder) => {
      const count = async (url: string, publish: boolean) => {
        const nc = await connect({ servers: url });
        const jsm = await nc.jetstreamManager();
        if (publish) await nc.jetstream().publish("events.a");
        const { state } = await jsm.streams.info("events");
        await nc.close();
        return state.messages;
      };
      const nc = await connect({ servers: first.url });
      await (await nc.jetstreamManager()).streams.add({ name: "events", subjects: ["events.>"] });
      await nc.close();
      assert.is(await count(first.url, true), 1);
      await first.kill();
      assert.not.ok(isAlive(first.pid));
      const second = await startNatsServer({ folder, port: first.port });
      try {
        assert.is(second.url, first.url);
        assert.is(await count(second.url, true), 2);
        await second.stop();
        await second.stop();
      } finally {
        await second.kill();
      }
      const third = await startNatsServer({ folder, port: first.port });
      try {
        assert.is(await count(third.url, false), 2);
        await third.stop("SIGINT");
        assert.not.ok(isAlive(third.pid));
      } finally {
        await third.kill();
      }
    }));

  test("lets a client that keeps trying find the restarted server", () =>
    withNats({}, async (nats, folder) => {
      const nc = await connect({ servers: nats.url, reconnectTimeWait: 20, maxReconnectAttempts: -1 });
      await nats.kill();
      // Long enough for many attempts: in the system's range of outgoing ports one of them could meet itself.
      await new Promise((resolve) => setTimeout(resolve, 500));
      const again = await startNatsServer({ folder, port: nats.port });
      try {
        await eventually("the client is connected again", () => nc.info !== undefined && !nc.isClosed());
        await nc.flush();
        await nc.close();
      } finally {
        await again.kill();
      }
    }));

  test("takes more configuration, such as users", () =>
    withNats({ configText: "authorization { users = [ { user: a, password: b } ] }" }, async (nats) => {
      const nc = await connect({ servers: nats.url, user: "a", pass: "b" });
      await (await nc.jetstreamManager()).getAccountInfo();
      await nc.close();
    }));

  test("refuses a folder on which a server runs, and forgets one that has crashed", () =>
    withNats({}, async (nats, folder) => {
      const failure = await failureOf(startNatsServer({ folder }));
      assert.is(failure.code, "NATS_FOLDER_LOCKED");
      assert.match(failure.message, `kill ${nats.pid}`);
      assert.is(exitCodeOf(failure), EXIT.unavailable);
      await nats.kill();
      const next = await startNatsServer({ folder });
      await next.stop();
    }));

  test("refuses a port that another program has", () =>
    withNats({}, async (nats, folder) => {
      const failure = await failureOf(startNatsServer({ folder: join(folder, "other"), port: nats.port }));
      assert.is(failure.kind, "unavailable");
      assert.match(failure.message, String(nats.port));
    }));

  test("shows the last lines of the log when the server does not start", () =>
    inFolder(async (folder) => {
      const failure = await failureOf(startNatsServer({ folder, configText: "no_such_option: 1" }));
      assert.is(failure.code, "NATS_SERVER_FAILED");
      assert.match(failure.message, "no_such_option");
      assert.is(exitCodeOf(failure), EXIT.unavailable);
    }));

  test("ends with the process that started it", () =>
    inFolder(async (folder) => {
      const child = runScript(
        folder,
        `import { startNatsServer } from ${JSON.stringify(moduleUrl("src/local/nats-server.ts"))};
        const nats = await startNatsServer({ folder: ${JSON.stringify(join(folder, "nats"))} });
        console.log("pid", nats.pid);`,
      );
      assert.is(await child.ended, 0, child.output);
      const pid = Number(/^pid (\d+)/m.exec(child.output)?.[1]);
      assert.ok(pid > 0, child.output);
      await eventually("the server has ended", () => !isAlive(pid));
    }));
});

describe("ensureNatsServer()", (test) => {
  /** A folder of stand-ins for system programs. */
  const program = (folder: string, name: string, script: string) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  };

  test("finds an installed server, on the PATH or beside it", () =>
    inFolder(async (folder) => {
      program(join(folder, "sbin"), "nats-server", "");
      const expected = join(folder, "sbin", "nats-server");
      assert.is(findNatsServer({ path: "/nowhere", others: [join(folder, "sbin")] }), expected);
      assert.is(await ensureNatsServer({ path: `/nowhere:${join(folder, "sbin")}`, others: [] }), expected);
      assert.is(findNatsServer({ path: "/nowhere", others: [folder] }), undefined);
    }));

  test("says what is missing where no package manager is known", async () => {
    const failure = await failureOf(ensureNatsServer({ path: "/nowhere", others: [] }));
    assert.is(failure.code, "NATS_SERVER_MISSING");
    assert.is(exitCodeOf(failure), EXIT.unavailable);
  });

  test("installs with a package manager that asks nothing", () =>
    inFolder(async (folder) => {
      program(folder, "brew", `echo "$@" > ${folder}/asked; cp /bin/sh ${folder}/nats-server`);
      assert.is(await ensureNatsServer({ path: folder, others: [] }), join(folder, "nats-server"));
      assert.is(readFileSync(join(folder, "asked"), "utf8"), "install --quiet nats-server\n");
    }));

  test("gives the command to type when the installation fails", () =>
    inFolder(async (folder) => {
      program(folder, "brew", "echo no such formula >&2; exit 1");
      const failure = await failureOf(ensureNatsServer({ path: folder, others: [] }));
      assert.is(failure.code, "NATS_SERVER_MISSING");
      assert.match(failure.message, "no such formula");
      assert.match(failure.message, /run: .*brew install --quiet nats-server/);
    }));

  test("updates the package lists before it asks apt for the package, or names both commands", () =>
    inFolder(async (folder) => {
      program(folder, "apt-get", `echo "$DEBIAN_FRONTEND $@" >> ${folder}/asked; cp /bin/sh ${folder}/nats-server`);
      const work = ensureNatsServer({ path: folder, others: [] });
      if (process.getuid?.() === 0) {
        await work;
        const asked = readFileSync(join(folder, "asked"), "utf8").trim().split("\n");
        assert.match(asked[0]!, /^noninteractive .*update/);
        assert.match(asked[1]!, /^noninteractive .*install .*nats-server$/);
      } else {
        // The stand-ins have no sudo among them, so nothing may be run as root.
        const failure = await failureOf(work);
        assert.match(failure.message, /sudo .*apt-get.* update .*&& sudo .* install .*nats-server/);
      }
    }));
});
