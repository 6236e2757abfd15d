/**
 * Who a connection is, by NATS_URL, and that no password goes out without the TLS that was asked for; and what is opened
 * on one that does not answer.
 */
import * as assert from "uvu/assert";
import { resolveConfig } from "../../src/config.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import type { LatecomerError } from "../../src/errors.ts";
import { openBroadcast } from "../../src/nats/broadcast.ts";
import { openBuckets } from "../../src/nats/bucket.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { openDirtyMinuteQueue } from "../../src/nats/dirty.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import { inFolder, within } from "../helpers/cluster.ts";
import { withLine } from "../helpers/line.ts";
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
