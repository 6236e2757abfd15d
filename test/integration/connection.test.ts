/** Who a connection is, by NATS_URL, and that no password goes out without the TLS that was asked for. */
import * as assert from "uvu/assert";
import { resolveConfig } from "../../src/config.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { inFolder } from "../helpers/cluster.ts";
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
