/**
 * Who a connection is, by NATS_URL and by files that may be renewed under it; that no password goes out without the TLS
 * that was asked for; and what is opened on one that does not answer.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Events, type NatsConnection, nkeys } from "nats";
import * as assert from "uvu/assert";
import { resolveConfig } from "../../src/config.ts";
import type { LatecomerError } from "../../src/errors.ts";
import { ensureNatsServer } from "../../src/local/nats-install.ts";
import { freePort, startNatsServer } from "../../src/local/nats-server.ts";
import { openBroadcast } from "../../src/nats/broadcast.ts";
import { openBuckets } from "../../src/nats/bucket.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { openDirtyMinuteQueue } from "../../src/nats/dirty.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import { eventually, inFolder, within } from "../helpers/cluster.ts";
import { withLine } from "../helpers/line.ts";
import { certificates } from "../helpers/nats-roles.ts";
import { reload } from "../helpers/reload.ts";
import { describe } from "../helpers/suite.ts";

/** What a server with these lines of configuration answers to each URL: `""` when it lets it in, else what is said. */
async function answersOf(configText: string, urls: readonly ((address: string) => string)[]): Promise<string[]> {
  const answers: string[] = [];
  await inFolder(async (folder) => {
    const nats = await startNatsServer({ folder, configText });
    try {
      for (const url of urls) {
        const config = resolveConfig({ NATS_URL: url(`127.0.0.1:${nats.port}`) });
        answers.push(
          await connectNats(config).then((nc) => nc.close().then(() => ""), (error: Error) => error.message),
        );
      }
    } finally {
      await nats.kill();
    }
  });
  return answers;
}

describe("NATS_URL", (test) => {
  test("names a user, whatever the password holds, on any of its servers", async () => {
    const password = "p@ss:w/rd%, ü";
    const [right, second, wrong, none] = await answersOf(
      `authorization: { user: "one", password: ${JSON.stringify(password)} }`,
      [
        (address) => `nats://one:${encodeURIComponent(password)}@${address}`,
        (address) => `nats://${address},nats://one:${encodeURIComponent(password)}@${address}`,
        (address) => `nats://one:other@${address}`,
        (address) => `nats://${address}`,
      ],
    );
    assert.equal([right, second], ["", ""]);
    for (const answer of [wrong, none]) assert.match(answer!, "refuses these credentials");
  });

  test("names a token", async () => {
    const [right, wrong] = await answersOf(`authorization: { token: "t0ken" }`, [
      (address) => `nats://t0ken@${address}`,
      (address) => `nats://other@${address}`,
    ]);
    assert.is(right, "");
    assert.match(wrong!, "refuses these credentials");
  });

  test("with tls:// tells a server nothing that offers no TLS", async () => {
    const [plain, demanded] = await answersOf(`authorization: { user: "one", password: "two" }`, [
      (address) => `nats://one:two@${address}`,
      (address) => `tls://one:two@${address}`,
    ]);
    assert.is(plain, "");
    assert.match(demanded!, "offers no TLS");
  });
});

describe("a server that does not answer any more", (test) => {
  test("keeps nothing from being opened, and what is asked of it then fails as what can be tried again", () =>
    inFolder(async (folder) => {
      const nats = await startNatsServer({ folder });
      try {
        await withLine(nats.url, async (line) => {
          const nc = await connectNats(resolveConfig({ NATS_URL: `nats://127.0.0.1:${line.port}` }));
          try {
            line.mode = "hang";
            const opening = Promise.all([
              openEventStream(nc),
              openDirtyMinuteQueue(nc),
              openBuckets(nc),
              openBroadcast(nc),
            ]);
            const [stream] = await within("opened", opening, 2_000);
            const error = await stream.bounds().catch((error: unknown) => error);
            assert.is((error as LatecomerError).kind, "retryable");
          } finally {
            line.mode = "pass";
            await nc.close();
          }
        });
      } finally {
        await nats.kill();
      }
    }));
});

type KeyPair = ReturnType<typeof nkeys.createUser>;

/** The file of a user's credentials; a server that knows the user by its key asks for nothing else in it. */
function credentials(user: KeyPair): string {
  const seed = new TextDecoder().decode(user.getSeed());
  const part = (of: string, what: string) => `-----BEGIN ${of}-----\n${what}\n------END ${of}------\n`;
  return [part("NATS USER JWT", "none"), part("USER NKEY SEED", seed)].join("\n");
}

/** Waits until the connection has been lost and found again. */
async function reconnected(nc: NatsConnection, lose: () => void): Promise<void> {
  const again = (async () => {
    for await (const { type } of nc.status()) if (type === Events.Reconnect) return;
    throw new Error("the connection is closed for good");
  })();
  lose();
  await within("reconnected", again, 15_000);
}

describe("a connection", (test) => {
  test("whose credentials are taken back says so, as of what is unavailable", () =>
    inFolder(async (folder) => {
      const nats = await startNatsServer({ folder, configText: `authorization: { user: "one", password: "two" }` });
      const nc = await connectNats(resolveConfig({ NATS_URL: `nats://one:two@127.0.0.1:${nats.port}` }));
      try {
        const { leases } = await openBuckets(nc);
        reload(folder, nats, `"two"`, `"three"`);
        await within("closed", nc.closed());
        const { kind, message } = await leases.get("0").then(() => assert.unreachable(), (error) => error);
        assert.is(kind, "unavailable");
        assert.match(message, "refuses the credentials of this connection: check NATS_URL");
      } finally {
        await nc.close();
        await nats.kill();
      }
    }));

  test("that may not do something, or is to send more than is taken, says so, as of what is unavailable", () =>
    inFolder(async (folder) => {
      const user = `{ user: one, password: two, permissions: { publish: { deny: "$KV.leases.>" } } }`;
      const configText = `authorization: { users: [ ${user} ] }\nmax_payload: 1000`;
      const nats = await startNatsServer({ folder, configText });
      const nc = await connectNats(resolveConfig({ NATS_URL: `nats://one:two@127.0.0.1:${nats.port}` }));
      try {
        const { leases, workflow_sessions } = await openBuckets(nc);
        const writes = [leases.put("0", "{}", 0), workflow_sessions.put("s.key", "x".repeat(1_001), 0)];
        const answers = await Promise.all(
          writes.map((write) => write.then(() => assert.unreachable(), (error) => error)),
        );
        assert.equal(answers.map(({ kind }) => kind), ["unavailable", "unavailable"]);
        assert.match(answers[0].message, /does not permit it to this user.*\$KV\.leases\.0/);
        assert.match(answers[1].message, "raise its max_payload");
      } finally {
        await nc.close();
        await nats.kill();
      }
    }));

  test("goes on by a credentials file that was renewed under it", () =>
    inFolder(async (folder) => {
      const [before, after] = [nkeys.createUser(), nkeys.createUser()];
      const file = join(folder, "user.creds");
      writeFileSync(file, credentials(before));
      const configText = `authorization: { users: [ { nkey: ${before.getPublicKey()} } ] }`;
      const nats = await startNatsServer({ folder, configText });
      const nc = await connectNats(resolveConfig({ NATS_URL: nats.url, NATS_CREDS: file }));
      try {
        writeFileSync(file, credentials(after));
        await reconnected(nc, () => reload(folder, nats, before.getPublicKey(), after.getPublicKey()));
      } finally {
        await nc.close();
        await nats.kill();
      }
    }));

  test("goes on by certificates that were renewed under it, with the server's own and their authority", () =>
    inFolder(async (folder) => {
      const { ca, cert, key } = certificates(folder);
      const port = await freePort();
      const conf = join(folder, "nats.conf");
      const tls = `{ cert_file: "${cert}", key_file: "${key}", ca_file: "${ca}", verify: true }`;
      writeFileSync(conf, `listen: "127.0.0.1:${port}"\njetstream: { store_dir: "${folder}" }\ntls: ${tls}\n`);
      const start = async () => spawn(await ensureNatsServer(), ["-c", conf], { stdio: "ignore" });
      let server = await start();
      const url = { NATS_URL: `tls://localhost:${port}`, NATS_CA: ca, NATS_CERT: cert, NATS_KEY: key };
      let nc: NatsConnection | undefined;
      await eventually("connected", async () => {
        return (nc = await connectNats(resolveConfig(url)).catch(() => undefined)) !== undefined;
      });
      try {
        certificates(folder);
        await reconnected(nc!, () => {
          server.once("exit", async () => server = await start());
          server.kill();
        });
      } finally {
        await nc!.close();
        const ended = once(server.removeAllListeners("exit"), "exit");
        server.kill("SIGKILL");
        await ended;
      }
    }));
});
